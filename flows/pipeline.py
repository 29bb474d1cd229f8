"""The way of the data, as plain functions: take (pull, stage, gate, accept), build (gate, publish), close.

Flows call these as tasks; nothing here knows Prefect.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as closing_connections
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from flows import events, startup
from flows.io import closing, dirty, gates, ledger, news
from flows.io.checks import Difference, differences
from flows.io.journal import Journal
from flows.io.lake import Lake
from flows.io.pull import load_sources, pull
from flows.io.pull.deliveries import Delivery
from flows.io.staging.pseudonym import pseudonymiser
from flows.io.tables import TableBuilder
from flows.io.take import TakenExtract, Taker
from flows.io.warehouse import ACCEPT_LOCK, Warehouse
from flows.report import BuiltTable, RunReport
from flows.settings import Settings
from schemas.catalog import DIMENSIONS, FACTS
from schemas.errors import OpsmartError, SourceError
from schemas.registry import ALL_SOURCES
from schemas.source import Source

AT_ONCE = 2
"""Deliveries of a source in work: while PostgreSQL accepts one, Polars stages the next."""

_SETTLED = ("accepted", "blocked", "superseded")

Built = BuiltTable

__all__ = ["Built", "Pipeline", "Planned", "TakenExtract", "open"]


@dataclass(frozen=True, slots=True)
class Planned:
    """Slices of a table that a backfill or rebuild would build."""

    table: str
    slices: int


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

    def __init__(self, settings: Settings, warehouse: Warehouse) -> None:
        self._settings, self._warehouse = settings, warehouse
        self._lake, self._work = Lake(settings.lake), settings.home / "work"
        self._journal, self._report = Journal(warehouse, "unrecorded"), RunReport("unrecorded")
        self._staging, self._building = threading.Lock(), threading.Lock()
        self._broken: dict[str, SourceError] = {}
        self._sources: Mapping[str, Source] = load_sources(
            settings.sql_root / "sources", settings.sources, broken=self._broken
        )
        self._pending: dict[str, list[Delivery]] = {}

    @contextmanager
    def recorded(self, run_id: str, flow: str, parameters: Mapping[str, Any], report: RunReport) -> Iterator[None]:
        """Keep the run in the ledger: its parameters, its end, what its gates said."""
        self._journal, self._report = Journal(self._warehouse, run_id), report
        self._journal.begin(flow, json.dumps(parameters), datetime.now(UTC))
        state = "failed"
        try:
            yield
            report.add_gates(**self._journal.gate_counts)
            state = "partial" if report.is_partial else "ok"
        finally:
            self._journal.end(state, datetime.now(UTC))

    def pending_sources(self, *, with_queries: bool = True) -> list[str]:
        """Sources that have delivered something not yet taken; what is wrong with one is a problem of the run."""
        self._sweep()
        for name, broken in self._broken.items():
            self._report.add_problem(name, str(broken))
        for name, source in self._sources.items():
            try:
                pulled = pull(source, self._settings, with_queries=with_queries)
            except OpsmartError as failed:
                self._report.add_problem(name, str(failed))
                continue
            for error in pulled.failed:
                self._report.add_problem(name, str(error))
            found = self._unsettled([delivery for delivery in pulled.deliveries if delivery.is_complete])
            if found:
                # Of a day's deliveries the largest goes first: the others are staged while it is accepted.
                self._pending[name] = sorted(found, key=lambda delivery: (delivery.as_of, -delivery.size))
                waiting = [f"{name}: {text}" for text in pulled.waiting]
                odd = [f"{name}: the name of {file} says no slot" for file in pulled.odd]
                self._report.notes.extend(waiting + odd)
        if self._pending:
            # Judging needs Great Expectations, whose import takes seconds: it runs beside the staging.
            gates.preload()
        sizes = {name: sum(delivery.size for delivery in found) for name, found in self._pending.items()}
        return sorted(sizes, key=lambda name: -sizes[name])

    def _sweep(self) -> None:
        """Remove what a killed run left of deliveries that nobody will take again."""
        left = {int(path.name.removeprefix("extract-")): path for path in self._work.glob("extract-*")}
        if not left:
            return
        with self._warehouse.session() as session:
            pending = session.fetch(
                "select extract_id from ops.extract where extract_id = any($1) and state <> all($2)",
                list(left),
                list(_SETTLED),
            )["extract_id"]
        for extract_id in left.keys() - set(pending):
            shutil.rmtree(left[extract_id], ignore_errors=True)

    def _unsettled(self, deliveries: list[Delivery]) -> list[Delivery]:
        if not deliveries:
            return []
        with self._warehouse.session() as session:
            known = session.fetch(
                "select dataset, slot, revision, content_hash from ops.extract where source = $1 and state = any($2)",
                deliveries[0].source,
                list(_SETTLED),
            )
        settled = set(known.iter_rows())
        return [d for d in deliveries if (d.dataset, d.slot, d.revision, d.content_hash) not in settled]

    def take(self, source: str) -> list[TakenExtract]:
        """Take what a source has pending.

        Each delivery goes into the run's report as it is settled: an error of the lake or the warehouse, which is
        raised once the others are through, does not hide them.
        """
        taker = Taker(
            warehouse=self._warehouse,
            lake=self._lake,
            source=self._sources[source],
            work=self._work,
            journal=self._journal,
            pseudonym=pseudonymiser(self._settings.home),
            staging=self._staging,
        )
        with ThreadPoolExecutor(AT_ONCE) as pool:
            taken = list(pool.map(lambda delivery: self._take_one(taker, delivery), self._pending[source]))
        return [extract for extract in taken if extract is not None]

    def _take_one(self, taker: Taker, delivery: Delivery) -> TakenExtract | None:
        with self._warehouse.session() as guard:
            # Two runs at once take a delivery once: the second waits, and finds it settled.
            guard.lock(f"opsmart.take.{delivery.source}.{delivery.dataset}.{delivery.slot}.{delivery.content_hash}")
            extract = self._register(taker, delivery)
            if extract.state in _SETTLED:
                return None
            taken = taker.take(delivery, extract)
        self._report.add_taken([taken])
        return taken

    def _register(self, taker: Taker, delivery: Delivery) -> ledger.Extract:
        with self._warehouse.session() as session:
            stream = ledger.ensure_stream(session, delivery.source, delivery.dataset)
            extract = ledger.register(
                session,
                stream,
                slot=delivery.slot,
                revision=delivery.revision,
                content_hash=delivery.content_hash,
                mode=taker.source.datasets[delivery.dataset].mode,
                as_of=delivery.as_of,
                period=delivery.period,
                file=", ".join(sorted({file.name for file in delivery.files})),
                landed_at=delivery.landed_at,
            )
            session.commit()
        return extract

    def dirty_dimensions(self) -> list[str]:
        """Dimensions that await a build; those that were never built do."""
        with self._warehouse.session() as session:
            have = set(session.fetch("select fact from ops.dirty_slice where source = $1", ALL_SOURCES)["fact"])
            never = [name for name in DIMENSIONS if name not in have]
            if never:
                dirty.mark_slices(session, dirty.table_slices(never), "never built")
                session.commit()
        return self._dirty(DIMENSIONS)

    def dirty_facts(self) -> list[str]:
        """Facts with slices that await a build."""
        names = self._dirty(FACTS)
        with self._warehouse.session() as session:
            rows = dict(session.fetch(_DIRTY_ROWS, names).iter_rows())
        # The largest goes first: while it is published the others are built.
        return sorted(names, key=lambda name: -max(rows.get(dataset, 0) for dataset in FACTS[name].driving))

    def _dirty(self, tables: Mapping[str, object]) -> list[str]:
        with self._warehouse.session() as session:
            names = session.fetch(
                "select distinct fact from ops.dirty_slice as dirty left join ops.slice as published"
                " using (fact, source, day) where dirty.state = 'pending'"
                " and dirty.generation > coalesce(published.generation, 0)"
            )["fact"]
        return [name for name in tables if name in set(names)]

    def build(self, table: str) -> BuiltTable:
        """Build, gate and publish the dirty slices of a table."""
        builder = TableBuilder(
            self._warehouse, self._lake, self._journal, self._settings.reporting_currency, self._building
        )
        return builder.build(table)

    def dirty_range(
        self, start: date, end: date, *, source: str | None, dataset: str | None, plan: bool
    ) -> list[Planned]:
        """Dirty the known slices of some days; with `plan` only say which."""
        facts = [fact for fact in FACTS.values() if dataset is None or dataset in fact.inputs]
        return self._dirty_where(
            [fact.name for fact in facts],
            "day between $2 and $3 and ($4::text is null or source = $4)",
            (start, end, source),
            reason="backfill",
            plan=plan,
        )

    def dirty_table(self, table: str) -> list[Planned]:
        """Dirty every known slice of a table."""
        return self._dirty_where([table], "true", (), reason="rebuild", plan=False)

    def dirty_stale(self) -> list[Planned]:
        """Dirty the slices that an older logic built."""
        found: list[Planned] = []
        for name, table in (FACTS | DIMENSIONS).items():
            found += self._dirty_where(
                [name],
                "exists (select from ops.slice as published where published.fact = dirty.fact"
                " and published.source = dirty.source and published.day = dirty.day and published.logic_version < $2)",
                (table.logic_version,),
                reason="newer logic",
                plan=False,
            )
        return found

    def _dirty_where(
        self, tables: list[str], condition: str, parameters: tuple[Any, ...], *, reason: str, plan: bool
    ) -> list[Planned]:
        with self._warehouse.session() as session:
            if not plan:
                # Two that mark many slices in different orders would wait for each other for ever.
                session.lock(ACCEPT_LOCK)
            slices = session.fetch(
                f"select fact, source, day from ops.dirty_slice as dirty where fact = any($1) and {condition}",
                tables,
                *parameters,
            )
            if not plan:
                dirty.mark_slices(session, slices, reason)
                session.commit()
        counts = dict(slices.group_by("fact").len().iter_rows())
        return [Planned(table, counts[table]) for table in tables if table in counts]

    def close(self, report: RunReport) -> None:
        """Close the business dates that have ended, and name what is held back."""
        with self._warehouse.session() as session:
            for table, count in closing.blocked_slices(session):
                report.add_problem(table, f"{count:,} slices are held back by a gate (opsmart status)")
            closing.close_business_dates(session, self._sources, datetime.now(UTC))
            session.commit()

    def announce(self, report: RunReport, send: Callable[[Sequence[events.Event]], None]) -> None:
        """Send events of what this run published, and of what is blocked or overdue and was not told yet."""
        now = datetime.now(UTC)
        published = [
            events.published(
                table.table, self._journal.run_id, slices=table.slices, rows_written=table.rows_added,
                rows_removed=table.rows_removed, now=now,
            )
            for table in report.built
            if table.table in FACTS and table.rows_added + table.rows_removed
        ]  # fmt: skip
        with self._warehouse.session() as session:
            untold = news.untold(session, self._sources, now)
            send([*published, *untold])
            news.note_told(session, untold)
            session.commit()

    def verify(self) -> list[Difference]:
        """Where lake, ledger and mart do not agree."""
        with self._warehouse.session() as session:
            return list(differences(session, self._lake))


_DIRTY_ROWS = """
with dirty as (
    select distinct dirty.day
    from ops.dirty_slice as dirty
    left join ops.slice as published using (fact, source, day)
    where fact = any($1) and dirty.state = 'pending' and dirty.generation > coalesce(published.generation, 0)
)
select stream.dataset, sum(stream_day.row_count)::bigint
from dirty
inner join ops.stream_day using (day)
inner join ops.stream using (stream_id)
group by stream.dataset
"""
