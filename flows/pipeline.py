"""The way of the data, as plain functions: take (pull, stage, gate, accept), build (gate, publish), close.

Flows call these as tasks; nothing here knows Prefect.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as closing_connections
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from flows import events, startup
from flows.io import backlog, closing, dirty, gates, ledger, metric_cards, metric_files, metric_news, metrics, news
from flows.io.build import chunks, dirty_slices
from flows.io.checks import Difference, differences
from flows.io.held import delivery_of, held_extracts, known
from flows.io.journal import Journal
from flows.io.lake import Lake
from flows.io.publish import Forecast
from flows.io.pull import landed_again, load_sources, pull
from flows.io.pull.deliveries import Delivery
from flows.io.repair import Repair
from flows.io.span import Span, to_build, to_mark
from flows.io.staging.pseudonym import pseudonymiser
from flows.io.steady import steady
from flows.io.tables import Advance, TableBuilder
from flows.io.take import SETTLED, TakenExtract, Taker, lock, sweep
from flows.io.warehouse import ACCEPT_LOCK, Warehouse
from flows.report import BuiltTable, RunReport, Workload
from flows.settings import Settings
from schemas.catalog import DIMENSIONS, FACTS
from schemas.errors import OpsmartError, SourceError
from schemas.registry import ALL_SOURCES
from schemas.source import Source

AT_ONCE = 2
"""Deliveries of a source in work: while PostgreSQL accepts one, Polars stages the next."""


def _unwatched(weight: int, rows: int) -> None:
    """Nobody follows how far it is."""


def _alone() -> None:
    """No other run is to be waited for."""


__all__ = ["BuiltTable", "Pipeline", "TakenExtract", "Workload", "open"]


_kept: ContextVar[Warehouse | None] = ContextVar("kept_warehouse", default=None)


@contextmanager
def open(settings: Settings) -> Iterator["Pipeline"]:  # noqa: A001 - read as pipeline.open
    """The pipeline of an installation, its warehouse up and migrated."""
    url = startup.warehouse_url(settings)
    startup.migrate(settings)
    work = settings.home / "work"
    work.mkdir(parents=True, exist_ok=True)
    kept = _kept.get()
    if kept is not None:
        yield Pipeline(settings, kept)
        return
    with closing_connections(Warehouse.at(url)) as warehouse:
        yield Pipeline(settings, warehouse)


@contextmanager
def kept_open(settings: Settings) -> Iterator[None]:
    """Within, one pipeline after the other uses the same connections: for a process that runs many flows."""
    with closing_connections(Warehouse.at(startup.warehouse_url(settings))) as warehouse:
        token = _kept.set(warehouse)
        try:
            yield
        finally:
            _kept.reset(token)


class Pipeline:
    """What flows do, step by step."""

    def __init__(self, settings: Settings, warehouse: Warehouse, lake: Lake | None = None) -> None:
        """`lake` is the settings', unless another one is given."""
        self._settings, self._warehouse = settings, warehouse
        self._lake, self._work = lake or Lake(settings.lake), settings.home / "work"
        self._journal, self._report = Journal(warehouse, "unrecorded"), RunReport("unrecorded")
        self._staging, self._building = threading.Lock(), threading.Lock()
        self._broken: dict[str, SourceError] = {}
        self._sources: Mapping[str, Source] = load_sources(
            settings.sql_root / "sources", settings.sources, broken=self._broken
        )
        self._pending: dict[str, list[Delivery]] = {}
        self.keep_turn: Callable[[], None] = _alone
        """Called before each long step; raises where another run goes on in this one's place."""

    def watch(self, report: RunReport) -> None:
        """Have what is wrong noted in a report, of work that no run records."""
        self._report = report

    @contextmanager
    def recorded(self, run_id: str, flow: str, parameters: Mapping[str, Any], report: RunReport) -> Iterator[None]:
        """Keep the run in the ledger: its parameters, its end, what its gates said."""
        self._journal, self._report = Journal(self._warehouse, run_id), report
        self._journal.begin(flow, json.dumps(parameters), datetime.now(UTC))
        state = "failed"
        try:
            yield
            report.add_gates(**self._journal.gate_counts)
            report.gates.findings += self._journal.findings
            state = "partial" if report.is_partial else "ok"
        finally:
            self._journal.end(state, datetime.now(UTC))

    def have(self, source: str, deliveries: list[Delivery]) -> None:
        """Have these deliveries of a source pending, whatever else it has delivered."""
        self._pending[source] = deliveries

    def let_pass(self, source: str, delivery: Delivery) -> None:
        """Have a delivery pass whatever its gates say, because somebody released it."""
        extract = self._register(self._sources[source], delivery)
        with self._warehouse.session() as session:
            now, why = datetime.now(UTC), "it was released"
            ledger.release(session, extract, by="opsmart", reason=why, overruled="", at=now)
            session.commit()

    def pending_sources(
        self, span: Span | None = None, *, with_queries: bool = True, repull: bool = False
    ) -> list[str]:
        """Sources that have delivered something not yet taken; what is wrong with one is a problem of the run.

        With a span only what speaks for it. With `repull` the sources' files are read again even where they look
        unchanged, and what was taken already is taken once more, as a new landing, if the source now maps it
        differently.
        """
        self._tidy()
        for name, broken in self._broken.items():
            self._report.add_problem(name, str(broken))
        for name, source in self._sources.items():
            if span is not None and span.source not in (None, name):
                continue
            found = self._found(source, span, with_queries=with_queries, repull=repull)
            if found:
                # Of a day's deliveries the largest goes first: the others are staged while it is accepted.
                self._pending[name] = sorted(found, key=lambda delivery: (delivery.as_of, -delivery.size))
        if self._pending:
            # Judging needs Great Expectations, whose import takes seconds: it runs beside the staging.
            gates.preload()
        sizes = {name: sum(delivery.size for delivery in found) for name, found in self._pending.items()}
        return sorted(sizes, key=lambda name: -sizes[name])

    def _found(
        self, source: Source, span: Span | None, *, with_queries: bool, repull: bool, beside: Path | None = None
    ) -> list[Delivery]:
        """Deliveries of a source that are to be taken; with `beside` they are only looked at."""
        only_look = beside is not None
        try:
            pulled = pull(
                source,
                self._settings,
                with_queries=with_queries,
                reread=repull,
                only_look=only_look,
                beside=beside,
            )
        except OpsmartError as failed:
            self._report.add_problem(source.name, str(failed))
            return []
        for error in pulled.failed:
            self._report.add_problem(source.name, str(error))
        complete = [d for d in pulled.deliveries if d.is_complete and (span is None or span.concerns(d))]
        found = self._unsettled(complete)
        if repull:
            fresh = {id(delivery) for delivery in found}
            again = landed_again(source, [d for d in complete if id(d) not in fresh], datetime.now(UTC))
            again = self._unsettled(again)
            if not only_look:
                # Before any is taken: their order must not depend on which are, when this run is cut short.
                for delivery in again:
                    self._register(source, delivery)
            found += again
        if found:
            waiting = [f"{source.name}: {text}" for text in pulled.waiting]
            odd = [f"{source.name}: the name of {file} says no slot" for file in pulled.odd]
            self._report.notes.extend(waiting + odd)
        return found

    @steady
    def _tidy(self) -> None:
        """Remove what a killed run left, and have the ledger know of which streams closed periods are adjusted."""
        with self._warehouse.session() as session:
            sweep(session, self._work)
            dirty.keep_books(session, self._lake, self._sources)
            session.commit()

    @steady
    def _unsettled(self, deliveries: list[Delivery]) -> list[Delivery]:
        if not deliveries:
            return []
        with self._warehouse.session() as session:
            known_rows = session.fetch(
                "select dataset, slot, revision, content_hash from ops.extract where source = $1 and state = any($2)",
                deliveries[0].source,
                list(SETTLED),
            )
        settled = set(known_rows.iter_rows())
        return [d for d in deliveries if (d.dataset, d.slot, d.revision, d.content_hash) not in settled]

    def pending_workload(self) -> Workload:
        """The deliveries that are to be taken, and their bytes."""
        deliveries = [delivery for found in self._pending.values() for delivery in found]
        return Workload(len(deliveries), sum(delivery.size for delivery in deliveries))

    def take(self, source: str, advance: Advance = _unwatched) -> list[TakenExtract]:
        """Take what a source has pending.

        Each delivery goes into the run's report as it is settled: an error of the lake or the warehouse, which is
        raised once the others are through, does not hide them. `advance` is told the bytes and rows of each.
        """
        self.keep_turn()
        taker = self._taker(source)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            taken = list(pool.map(lambda delivery: self._take_one(taker, delivery, advance), self._pending[source]))
        return [extract for extract in taken if extract is not None]

    def _taker(self, source: str) -> Taker:
        pseudonym = pseudonymiser(self._settings.home)
        source_of = self._sources[source]
        return Taker(self._warehouse, self._lake, source_of, self._work, self._journal, pseudonym, self._staging)

    def held(self, extract: int | None, source: str | None, dataset: str | None) -> list[int]:
        """The extract, or all of a source and dataset that have rows held back or are blocked."""
        with self._warehouse.session() as session:
            return held_extracts(session, source, dataset) if extract is None else [extract]

    def replay(self, extract_id: int) -> TakenExtract | None:
        """Take a blocked delivery once more, or the held rows of an accepted one; None where there is nothing to do."""
        self.keep_turn()
        with self._warehouse.session() as session:
            extract = known(session, extract_id)
        delivery = delivery_of(extract, self._sources.get(extract.source), self._settings.landing)
        taken = self._taker(extract.source).take_again(delivery, extract)
        self._report.add_taken([] if taken is None else [taken])
        return taken

    def _take_one(self, taker: Taker, delivery: Delivery, advance: Advance) -> TakenExtract | None:
        with self._warehouse.session() as guard:
            lock(guard, delivery)
            extract = self._register(taker.source, delivery)
            if extract.state in SETTLED:
                return None
            taken = taker.take(delivery, extract)
        self._report.add_taken([taken])
        advance(delivery.size, taken.rows_in)
        return taken

    @steady
    def _register(self, source: Source, delivery: Delivery) -> ledger.Extract:
        with self._warehouse.session() as session:
            zone = source.books_zone(delivery.dataset)
            stream = ledger.ensure_stream(session, delivery.source, delivery.dataset, zone)
            extract = ledger.register(
                session,
                stream,
                slot=delivery.slot,
                revision=delivery.revision,
                content_hash=delivery.content_hash,
                mode=source.datasets[delivery.dataset].mode,
                as_of=delivery.as_of,
                period=delivery.period,
                file=", ".join(sorted({file.name for file in delivery.files})),
                landed_at=delivery.landed_at,
            )
            session.commit()
        return extract

    @steady
    def dirty_dimensions(self) -> list[str]:
        """Dimensions that await a build; those that were never built do."""
        with self._warehouse.session() as session:
            have = set(session.fetch("select fact from ops.dirty_slice where source = $1", ALL_SOURCES)["fact"])
            never = [name for name in DIMENSIONS if name not in have]
            if never:
                dirty.mark_slices(session, dirty.table_slices(never), "never built")
                session.commit()
            return backlog.dirty(session, DIMENSIONS)

    @steady
    def dirty_facts(self) -> list[str]:
        """Facts with slices that await a build."""
        with self._warehouse.session() as session:
            return backlog.largest_first(session, backlog.dirty(session, FACTS))

    def build(self, table: str, advance: Advance = _unwatched) -> BuiltTable:
        """Build, gate and publish the dirty slices of a table; `advance` is told the rows of each chunk."""
        self.keep_turn()
        return self._builder(advance).build(table)

    def _builder(self, advance: Advance) -> TableBuilder:
        return TableBuilder(
            self._warehouse, self._lake, self._journal, self._settings.reporting_currency, self._building, advance
        )

    @steady
    def build_workload(self, tables: Sequence[str]) -> Workload:
        """The chunks of the dirty slices of some tables, and about how many rows drive them."""
        with self._warehouse.session() as session:
            parts = [
                chunk
                for name in tables
                if name in FACTS
                for chunk in chunks(session, FACTS[name], dirty_slices(session, FACTS[name]))
            ]
        return Workload(len(parts), sum(chunk.row_count for chunk in parts))

    @steady
    def mark(self, span: Span, reason: str, *, everything: bool) -> None:
        """Dirty the slices of a span that are missing or stale; with `everything` all of them.

        Under the reason of a run that was cut short only what that one left is built.
        """
        with self._warehouse.session() as session:
            # Two that mark many slices in different orders would wait for each other for ever.
            session.lock(ACCEPT_LOCK)
            dirty.mark_slices(session, to_mark(span.slices(session), reason, everything=everything), reason)
            session.commit()

    def look(self, span: Span, *, repull: bool, beside: Path) -> dict[str, list[Delivery]]:
        """What taking a span's deliveries would take, by source. Nothing is landed; databases are not asked.

        The bytes of what has not landed are put into the folder `beside`.
        """
        wanted = {name: one for name, one in self._sources.items() if span.source in (None, name)}
        found = {
            name: self._found(one, span, with_queries=False, repull=repull, beside=beside)
            for name, one in wanted.items()
        }
        return {name: deliveries for name, deliveries in found.items() if deliveries}

    def planned_slices(self, span: Span, reason: str, *, everything: bool) -> pl.DataFrame:
        """The slices that a run would mark and build."""
        with self._warehouse.session() as session:
            return to_build(session, span, reason, everything=everything)

    def forecast(self, table: str, slices: pl.DataFrame, mart: Warehouse, advance: Advance = _unwatched) -> Forecast:
        """What building some slices of a table would change in a mart. Nothing is judged or published."""
        return self._builder(advance).forecast(table, slices, mart)

    def close(self, report: RunReport) -> None:
        """Close the business dates that have ended, and name what is held back."""
        for table, count in self._closed():
            report.add_problem(table, f"{count:,} slices are held back by a gate (opsmart status)")

    @steady
    def _closed(self) -> list[tuple[str, int]]:
        with self._warehouse.session() as session:
            blocked = list(closing.blocked_slices(session))
            closing.close_business_dates(session, self._sources, datetime.now(UTC))
            session.commit()
        return blocked

    @steady
    def take_cards(self, report: RunReport) -> None:
        """Have the mart keep the metrics and targets that the cards' files describe now."""
        updated = metric_cards.take(self._warehouse, metric_files.load(self._settings.home), datetime.now(UTC))
        report.metrics, report.targets = updated.metrics, updated.targets
        for error in updated.errors:
            report.add_problem("metrics", str(error))

    @steady
    def recompute_metrics(self, tables: Sequence[str]) -> None:
        """Compute the metrics of facts from scratch; what differs is written."""
        metrics.recompute(self._warehouse, [name for name in tables if name in FACTS])

    @steady
    def announce(self, report: RunReport, send: Callable[[Sequence[events.Event]], None]) -> None:
        """Send events of what this run published, and of what is blocked, overdue or red and was not told yet."""
        now = datetime.now(UTC)
        published = news.published(report.built, self._journal.run_id, now)
        with self._warehouse.session() as session:
            untold = [*news.untold(session, self._sources, now), *metric_news.turned_red(session, now)]
            send([*published, *untold])
            news.note_told(session, untold)
            session.commit()

    def verify(self) -> list[Difference]:
        """Where lake, ledger and mart do not agree."""
        with self._warehouse.session() as session:
            return list(differences(session, self._lake))

    def repair(self, found: Sequence[Difference]) -> list[str]:
        """Give the lake what it lacks and dirty the slices that differ; what cannot be mended, in words."""
        return Repair(self._settings, self._sources, self._warehouse, self._lake).mend(found)
