"""From dirty slices to published ones: read, build, gate, publish; facts chunk by chunk, dimensions whole."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime

import polars as pl

from flows.io import gates
from flows.io.build import Chunk, FactBuilder, chunks, dirty_slices, transform_of, whole_chunks, whole_table
from flows.io.current import Everything, current_rows
from flows.io.dirty import forget_rows
from flows.io.journal import Journal
from flows.io.lake import Lake
from flows.io.publish import SLICE, Forecast, Target, Written, compare, forecast, publish
from flows.io.row_keys import of_driving_rows
from flows.io.warehouse import ACCEPT_LOCK, Session, Warehouse
from flows.report import BuiltTable
from schemas.catalog import DATASETS, DIMENSIONS, FACTS
from schemas.registry import ALL_SOURCES, UNDATED, Dimension, Fact

Advance = Callable[[int, int], None]


class TableBuilder:
    """Builds and publishes the dirty slices of a table."""

    def __init__(
        self,
        warehouse: Warehouse,
        lake: Lake,
        journal: Journal,
        reporting_currency: str,
        building: threading.Lock,
        advance: Advance,
    ) -> None:
        """`building` is held while a chunk is built: Polars uses all cores for one, and two would fill the memory.

        `advance` is told of each chunk that is done: about how many rows drove it, how many it has.
        """
        self._advance = advance
        self._warehouse, self._lake, self._journal, self._building = warehouse, lake, journal, building
        self._reporting_currency = reporting_currency

    def build(self, table: str) -> BuiltTable:
        """Bring a table up to date with what has been accepted."""
        began = time.monotonic()
        parts = self._build_fact(FACTS[table]) if table in FACTS else [self._build_dimension(DIMENSIONS[table])]
        return BuiltTable(
            table,
            slices=sum(part.slices for part in parts),
            rows_added=sum(part.rows_added for part in parts),
            rows_removed=sum(part.rows_removed for part in parts),
            rows_unchanged=sum(part.rows_unchanged for part in parts),
            seconds=time.monotonic() - began,
        )

    def _build_fact(self, fact: Fact) -> list[Written]:
        """While PostgreSQL takes one chunk, Polars builds the next."""
        written: list[Future[Written]] = []
        with self._warehouse.session() as session, ThreadPoolExecutor(1) as publisher:
            slices = dirty_slices(session, fact)
            if not slices.height:
                return []
            members = _members(session, fact)
            builder = FactBuilder(session, self._lake, fact, self._reporting_currency)
            for chunk in chunks(session, fact, slices):
                with self._building:
                    rows, slices = self._built_and_judged(builder, fact, chunk, members)
                if written:
                    # One chunk at most is in memory beside the one being built.
                    written[-1].result()
                written.append(publisher.submit(self._publish, fact, chunk, rows, slices))
                # Published, they must not wait here until the next ones are built.
                del rows
            results = [future.result() for future in written]
        if fact.is_by_row:
            with self._warehouse.session() as session:
                session.lock(ACCEPT_LOCK)
                forget_rows(session, fact)
                session.commit()
        return results

    def _built_and_judged(
        self, builder: FactBuilder, fact: Fact, chunk: Chunk, members: Mapping[str, pl.Series]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows of a chunk, and its slices that no gate holds back."""
        rows, driving = builder.build(chunk)
        with self._warehouse.session() as session:
            published = _last_versions(session, fact, chunk)
        results = gates.judge_slices(
            fact.name,
            rows,
            None if driving is None else _in_slices(driving, rows, fact, chunk),
            checked_at=datetime.now(UTC),
            members=members,
            published=published,
        )
        self._journal.note(results)
        failed = [result for result in results if result.status == "failed"]
        return rows, self._block(fact, chunk, failed) if failed else chunk.slices

    def _publish(self, fact: Fact, chunk: Chunk, rows: pl.DataFrame, slices: pl.DataFrame) -> Written:
        written = Written()
        if slices.height:
            among = None if chunk.rows is None else of_driving_rows(fact, chunk.rows)
            written = publish(
                self._warehouse, _target(fact), chunk.source, rows, slices, datetime.now(UTC), among=among
            )
        self._advance(chunk.row_count, rows.height)
        return written

    def _block(self, fact: Fact, chunk: Chunk, failed: list[gates.GateResult]) -> pl.DataFrame:
        """Hold back the slices that a gate fails, at the generation that was built; the others."""
        reasons: dict[date, str] = {}
        for result in failed:
            for day in chunk.slices["day"]:
                if result.subject.day <= day <= result.subject.until:
                    reasons[day] = f"{result.gate}: {result.observed}, expected {result.expected}"
        blocked = pl.DataFrame(
            {"day": list(reasons), "reason": list(reasons.values())}, schema_overrides={"day": pl.Date}
        )
        with self._warehouse.session() as session:
            session.load_temporary(blocked.join(chunk.slices, on="day"), "failed_slice")
            session.execute(
                "update ops.dirty_slice as dirty set state = 'blocked', reason = failed.reason"
                " from pg_temp.failed_slice as failed where dirty.fact = $1 and dirty.source = $2"
                " and dirty.day = failed.day and dirty.generation = failed.generation",
                fact.name,
                chunk.source,
            )
            session.commit()
        return chunk.slices.join(blocked, on="day", how="anti")

    def _build_dimension(self, dimension: Dimension) -> Written:
        with self._warehouse.session() as session:
            slices = dirty_slices(session, dimension)
            if not slices.height:
                return Written()
            rows = self._dimension_rows(session, dimension)
        return publish(self._warehouse, _target(dimension), ALL_SOURCES, rows, slices, datetime.now(UTC))

    def _dimension_rows(self, session: Session, dimension: Dimension) -> pl.DataFrame:
        """The complete rows of a dimension."""
        inputs = {name: self._dimension_input(session, dimension, name) for name in dimension.inputs}
        options = _calendar(session) if dimension.name == "dim_date" else {}
        transform = transform_of(f"transforms.dimensions.{dimension.name}", dimension.name)
        return whole_table(transform(**inputs, **options), dimension.contract, dimension.name).collect()

    def forecast(self, table: str, slices: pl.DataFrame, mart: Warehouse) -> Forecast:
        """What building some slices (source, day) would change in a mart; nothing is judged, nothing is written."""
        wanted = slices.select("source", "day", generation=pl.lit(0, pl.Int64))
        with self._warehouse.session() as session, mart.session() as published:
            if table in DIMENSIONS:
                rows, target = self._dimension_rows(session, DIMENSIONS[table]), _target(DIMENSIONS[table])
                return forecast(published, target, [compare(published, target, ALL_SOURCES, rows, wanted)])
            fact, compared = FACTS[table], []
            builder = FactBuilder(session, self._lake, fact, self._reporting_currency)
            for chunk in whole_chunks(session, fact, wanted):
                rows, _ = builder.build(chunk)
                compared.append(compare(published, _target(fact), chunk.source, rows, chunk.slices))
                self._advance(chunk.row_count, rows.height)
            return forecast(published, _target(fact), compared)

    def _dimension_input(self, session: Session, dimension: Dimension, name: str) -> pl.LazyFrame:
        match name:
            case "code_span":
                return session.fetch("select distinct entity, code_space, code from ops.code_span").lazy()
            case "coverage":
                (dataset,) = (other for other in dimension.inputs if other in DATASETS and other != "code_map")
                return _complete_deliveries(session, dataset)
            case "code_map":
                return current_rows(session, self._lake, DATASETS[name], Everything()).collect().lazy()
            case _ if dimension.history:
                return _versions(session, self._lake, name)
            case _:
                rows = current_rows(session, self._lake, DATASETS[name], Everything(), with_gone=True)
                return rows.collect().lazy()


def _target(table: Fact | Dimension) -> Target:
    if isinstance(table, Fact):
        return Target(table.name, ("row_key",), table.anchor, table.grain == "month", table.logic_version)
    return Target(table.name, table.contract.key(), None, is_monthly=False, logic_version=table.logic_version)


def _members(session: Session, fact: Fact) -> dict[str, pl.Series]:
    """Durable keys that master data has delivered, of each dimension that the fact refers to."""
    names = {name for name in fact.contract.marked("dimension").values() if name in DIMENSIONS}
    return {
        name: session.fetch(
            f"select {name.removeprefix('dim_')}_key from mart.{name} where not is_inferred"
        ).to_series()
        for name in sorted(names)
        if DIMENSIONS[name].entity is not None
    }


def _last_versions(session: Session, fact: Fact, chunk: Chunk) -> pl.DataFrame | None:
    """source, _slice, published_rows of a chunk's published slices; None where only some of their rows are built."""
    if chunk.rows is not None:
        return None
    held = session.fetch(
        "select source, day as _slice, row_count as published_rows from ops.slice"
        " where fact = $1 and source = $2 and day between $3 and $4",
        fact.name,
        chunk.source,
        chunk.slices["day"].min(),
        chunk.slices["day"].max(),
    )
    return held.join(chunk.slices.select(_slice="day"), on=SLICE, how="semi")


def _in_slices(driving: pl.LazyFrame, rows: pl.DataFrame, fact: Fact, chunk: Chunk) -> pl.LazyFrame:
    """The driving rows that belong to the slices: those that the fact has put there, and those it should have.

    A row that the transform lost has no anchor; it is counted where the day that files it says, and is missed there,
    unless a slice that is not being built could hold it.
    """
    (dataset,) = fact.driving
    window = fact.window(dataset)
    if not window.before and not window.after:
        return driving.with_columns(pl.col("_date").alias(SLICE))
    # The anchor is a day that the transform finds; the instant it is found from is the same on both sides.
    keys = [name for name in fact.contract.key() if name != fact.anchor]
    keys.append(DATASETS[dataset].dated_by or fact.anchor)
    anchors = rows.lazy().select(*keys, SLICE)
    days = chunk.slices["day"].implode()
    nearby = [pl.col("_date").dt.offset_by(f"{n}d").is_in(days) for n in range(-window.after, window.before + 1)]
    should_be = pl.when(pl.all_horizontal(nearby)).then("_date")
    return (
        driving.join(anchors, on=keys, how="left")
        .with_columns(pl.coalesce(SLICE, should_be).alias(SLICE))
        .filter(pl.col(SLICE).is_not_null())
    )


def _complete_deliveries(session: Session, dataset: str) -> pl.LazyFrame:
    """source and `_order_at` of the deliveries that claimed to be complete."""
    return session.fetch(
        "select source, (as_of::timestamp at time zone 'UTC') + (rank || ' microseconds')::interval as _order_at"
        f" from ({_RANKED}) as ranked where gives_coverage and period_start is null",
        dataset,
    ).lazy()


def _versions(session: Session, lake: Lake, dataset: str) -> pl.LazyFrame:
    """Every accepted version of master rows. Deliveries of one day are told apart by microseconds of `_order_at`."""
    ranks = session.fetch(
        f"select extract_id as _extract_id, rank as _rank, as_of as _as_of from ({_RANKED}) as ranked", dataset
    )
    is_dated_by_delivery = pl.col("_order_at") == pl.col("_as_of").cast(pl.Datetime("us", "UTC"))
    order = pl.col("_order_at") + pl.when(is_dated_by_delivery).then(pl.col("_rank")).otherwise(0).cast(
        pl.Duration("us")
    )
    return lake.scan(DATASETS[dataset]).join(ranks.lazy(), on="_extract_id").with_columns(_order_at=order)


_RANKED = (
    "select extract_id, source, as_of, period_start, gives_coverage, row_number() over"
    " (partition by stream_id order by as_of, revision, landed_at, content_hash) as rank"
    " from ops.extract where dataset = $1 and state = 'accepted'"
)


def _calendar(session: Session) -> dict[str, date]:
    """First and last day that any stream has rows of."""
    first, last = session.fetch("select min(day), max(day) from ops.stream_day where day <> $1", UNDATED).row(0)
    return {"first": first or UNDATED, "last": last or UNDATED}
