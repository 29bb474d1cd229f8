"""Staged extracts of small sample companies, to be accepted in any arrangement by lake, ledger and builds alone.

Staging does not depend on what came before, so each extract is staged once and accepted thousands of times.
"""

import atexit
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import polars as pl

import samples
from flows.io import backlog, ledger
from flows.io.accept import StagedRows, accept
from flows.io.lake import Lake
from flows.io.pull import Delivery, load_sources, pull
from flows.io.stage import stage
from flows.io.staging.pseudonym import pseudonymiser
from flows.io.warehouse import Warehouse
from flows.pipeline import Pipeline
from flows.settings import Settings, load_settings
from schemas.catalog import DATASETS, DIMENSIONS, FACTS
from schemas.ledger import metadata
from schemas.source import Source
from tests.night import table

DIRT = 0.03
COMPANIES = (7, 411, 5204)
THEMES = (
    ("purchase_order_line", "goods_receipt", "fx_rate", "code_map", "item"),
    ("production_order", "operation_confirmation", "work_center", "code_map"),
    ("stock_snapshot", "item_cost", "fx_rate"),
    ("gl_entry", "fx_rate", "account"),
    ("budget_line", "gl_entry", "code_map", "cost_center"),
)
"""Datasets that facts read together: extracts that have nothing to do with each other teach little."""
_EPOCH = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StagedExtract:
    """An extract as staging leaves it; equal bytes are one extract, however often they come."""

    source: str
    dataset: str
    mode: str
    slot: str
    revision: int
    content_hash: str
    as_of: date
    period: tuple[date, date] | None
    rows: Path
    sightings: pl.DataFrame
    counts: dict[str, int]
    gives_coverage: bool
    books_zone: str | None = None

    def __hash__(self) -> int:
        return hash((self.source, self.dataset, self.slot, self.revision, self.content_hash))


def staged_extracts(settings: Settings) -> tuple[StagedExtract, ...]:
    """Everything that has landed at an installation, in the order of the slots."""
    return tuple(_staged(settings, source, delivery) for source, delivery in _landed(settings))


def some_extracts(random: Random) -> list[StagedExtract]:
    """A few extracts of one company that have to do with each other."""
    datasets = random.choice(THEMES)
    company = random.choice(COMPANIES)
    pool = [(number, dataset) for number, dataset in enumerate(_delivered(company)) if dataset in datasets]
    first = random.choice(pool)[1]
    numbers = [number for number, dataset in pool if dataset == first or random.random() < 0.3]
    chosen = random.sample(numbers, min(len(numbers), random.randint(2, 4)))
    return [_extract(company, number) for number in sorted(chosen)]


@cache
def _company(seed: int) -> tuple[Settings, list[tuple[Source, Delivery]]]:
    """Where all deliveries of a tiny company have landed, and they."""
    home = Path(mkdtemp(prefix="opsmart-extracts-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    settings = load_settings(home=home)
    for delivery in samples.tiny(seed).deliveries(dirt=DIRT):
        delivery.write(settings.landing)
    return settings, _landed(settings)


def _delivered(seed: int) -> list[str]:
    """Dataset of each delivery of a company."""
    return [delivery.dataset for _, delivery in _company(seed)[1]]


@cache
def _extract(seed: int, number: int) -> StagedExtract:
    """A company's delivery of that number, staged when it is asked for."""
    settings, landed = _company(seed)
    return _staged(settings, *landed[number])


def _landed(settings: Settings) -> list[tuple[Source, Delivery]]:
    sources = load_sources(settings.sql_root / "sources", settings.sources).values()
    found = [
        (source, delivery) for source in sources for delivery in pull(source, settings).deliveries
        if delivery.is_complete
    ]  # fmt: skip
    return sorted(
        found, key=lambda pair: (pair[1].as_of, pair[1].revision, pair[0].name, pair[1].dataset, pair[1].slot)
    )


def _staged(settings: Settings, source: Source, delivery: Delivery) -> StagedExtract:
    dataset, said = DATASETS[delivery.dataset], source.datasets[delivery.dataset]
    work = Path(mkdtemp(dir=settings.home))
    staged = stage(delivery, source, dataset, work, extract_id=0, pseudonym=pseudonymiser(settings.home))
    claims = said.mode in ("snapshot", "period") and staged.unreadable_keys == 0
    return StagedExtract(
        source.name, delivery.dataset, said.mode, delivery.slot, delivery.revision, delivery.content_hash,
        delivery.as_of, delivery.period, staged.rows, staged.sightings, staged.counts, claims,
        source.books_zone(delivery.dataset),
    )  # fmt: skip


def arranged(random: Random, extracts: Sequence[StagedExtract]) -> list[list[StagedExtract]]:
    """The extracts in any order, some of them again, in any number of runs."""
    order = [*extracts, *random.choices(extracts, k=random.randint(0, 2))]
    random.shuffle(order)
    cuts = sorted({0, len(order), *(random.randint(0, len(order)) for _ in range(random.randint(0, 2)))})
    return [order[first:last] for first, last in pairwise(cuts)]


class Mart:
    """Lake, ledger and mart of one database, emptied for each arrangement."""

    def __init__(self, settings: Settings, warehouse: Warehouse) -> None:
        self.settings, self.warehouse = settings, warehouse

    def run(
        self, runs: Sequence[Sequence[StagedExtract]], tables: Sequence[Mapping[str, object]]
    ) -> dict[str, pl.DataFrame]:
        """Accept the extracts, build some tables after each run; what is in them in the end."""
        self._empty()
        pipeline = Pipeline(self.settings, self.warehouse)
        moment = 0
        for run in runs:
            for extract in run:
                moment += 1
                self._accept(extract, _EPOCH + timedelta(hours=moment))
            for kind in tables:
                with self.warehouse.session() as session:
                    names = backlog.dirty(session, kind)
                for name in names:
                    pipeline.build(name)
        return {name: table(self.warehouse, name) for kind in tables for name in kind}

    def _accept(self, staged: StagedExtract, landed_at: datetime) -> None:
        with self.warehouse.session() as session:
            stream = ledger.ensure_stream(session, staged.source, staged.dataset, staged.books_zone)
            extract = ledger.register(
                session, stream, slot=staged.slot, revision=staged.revision, content_hash=staged.content_hash,
                mode=staged.mode, as_of=staged.as_of, period=staged.period, file="", landed_at=landed_at,
            )  # fmt: skip
            session.commit()
        if extract.state == "accepted":
            return
        rows = self.settings.home / "rows.parquet"
        own = pl.lit(extract.extract_id, dtype=pl.Int64).alias("_extract_id")
        pl.read_parquet(staged.rows).with_columns(own).write_parquet(rows)
        accept(
            self.warehouse,
            Lake(self.settings.lake),
            extract,
            StagedRows(rows, staged.counts["rows_accepted"], staged.sightings, staged.counts, staged.gives_coverage),
            datetime.now(UTC),
        )

    def _empty(self) -> None:
        shutil.rmtree(self.settings.lake, ignore_errors=True)
        with self.warehouse.session() as session:
            partitions = session.fetch(
                "select inhrelid::regclass::text from pg_inherits where inhparent = 'ops.current_key'::regclass"
            ).to_series()
            ledger_tables = [str(one) for one in reversed(metadata.sorted_tables)]
            tables = [*ledger_tables, *(f"mart.{name}" for name in (*FACTS, *DIMENSIONS))]
            statements = [f"drop table {name}" for name in partitions] + [f"delete from {name}" for name in tables]
            session.execute("; ".join(statements))
            session.commit()
