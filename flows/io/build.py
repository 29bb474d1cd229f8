"""Building: dirty slices, chunked by rows, from current rows through the fact's transform to complete rows.

What a slice contains does not depend on which slices are built with it; chunks only bound memory.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from flows.io.booked import booked_rows
from flows.io.current import Days, Everything, Links, Rows, Which, current_rows
from flows.io.lake import Lake
from flows.io.publish import SLICE
from flows.io.row_keys import with_row_key
from flows.io.warehouse import Session
from schemas.catalog import DATASETS, PERIODS
from schemas.contract import Contract, FactContract
from schemas.errors import BuildError
from schemas.registry import UNDATED, Closing, Dimension, Driving, Fact, Linked, LookBack, Reference, Whole
from transforms.common.keys import hash_columns

CHUNK_ROWS = 250_000
"""Driving rows that a chunk reads: bounds the memory of a build, unless one day alone has more."""

PART_ROWS = 250_000
"""Driving rows that go through a transform at a time, where documents do not depend on each other."""

_ADDED = ("row_key", "row_hash", "extract_id", "published_at")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Slices of one anchor source that are built together: day and generation, read before any input.

    `row_count` is about how many rows drive them. With `rows` (row_date, key_hash, link_hash) only what these driving
    rows stand for is built, and the slices' other rows stay.
    """

    source: str
    slices: pl.DataFrame
    row_count: int = 0
    rows: pl.DataFrame | None = None


def dirty_slices(session: Session, table: Fact | Dimension) -> pl.DataFrame:
    """source, day, generation, is_whole of the slices of a table that await a build.

    Where not the whole slice does, some rows do: never in a slice that has not been published by the same logic.
    """
    return session.fetch(
        "select source, day, generation, is_whole or published_logic <> $2 as is_whole from ops.awaiting_slice"
        " where fact = $1 and state = 'pending' order by source, day",
        table.name,
        table.logic_version,
    )


def chunks(session: Session, fact: Fact, slices: pl.DataFrame) -> Iterator[Chunk]:
    """Cut dirty slices into chunks: whole ones of consecutive days, and by rows where only some are dirty."""
    yield from whole_chunks(session, fact, slices.filter("is_whole"))
    yield from _row_chunks(session, fact, slices.filter(~pl.col("is_whole")))


def _row_chunks(session: Session, fact: Fact, slices: pl.DataFrame) -> Iterator[Chunk]:
    for (source,), part in slices.group_by("source", maintain_order=True):
        # Read after the generations were. Rows that a change names meanwhile make them newer, and the build is dropped.
        rows = session.fetch_many(
            "select distinct row_date, key_hash, link_hash from ops.dirty_row where fact = $1 and source = $2",
            fact.name,
            source,
        )
        sizes = dict(rows.group_by("row_date").len().iter_rows())
        window = fact.window(fact.driving[0])
        for days in _cut(part, sizes, window):
            read = _around(days["day"], window)
            named = rows.filter(pl.col("row_date").is_in(read.implode()))
            yield Chunk(str(source), days.select("day", "generation"), named.height, named)


def whole_chunks(session: Session, fact: Fact, slices: pl.DataFrame) -> Iterator[Chunk]:
    """Cut slices (source, day, generation) into chunks of consecutive days."""
    sizes = session.fetch(
        "select stream.source, stream_day.day, stream_day.row_count from ops.stream_day"
        " inner join ops.stream using (stream_id) where stream.dataset = any($1)",
        list(fact.driving),
    )
    if fact.grain == "month":
        sizes = sizes.with_columns(pl.col("day").dt.truncate("1mo"))
    if fact.is_cross_source:
        sizes = sizes.with_columns(source=pl.lit(""))
    sizes = sizes.group_by("source", "day").agg(pl.col("row_count").sum())
    window = fact.window(fact.driving[0])
    for (source,), part in slices.sort("source", "day").group_by("source", maintain_order=True):
        rows = dict(sizes.filter(pl.col("source") == source).select("day", "row_count").iter_rows())
        for days in _cut(part, rows, window):
            yield Chunk(str(source), days.select("day", "generation"), sum(rows.get(day, 0) for day in days["day"]))


def _cut(slices: pl.DataFrame, rows: Mapping[date, int], window: Driving) -> Iterator[pl.DataFrame]:
    """Slices of one source in the order of their days, in parts that read about CHUNK_ROWS of the rows of each day."""
    starts = _starts(slices["day"].to_list(), rows, window)
    for first, end in zip(starts, [*starts[1:], slices.height], strict=True):
        yield slices[first:end]


def _around(days: pl.Series, window: Driving) -> pl.Series:
    """Days that are read for some days."""
    offsets = [days.dt.offset_by(f"{n}d") for n in range(-window.before, window.after + 1)]
    return pl.concat(offsets).unique().sort()


def _starts(days: Sequence[date], rows: Mapping[date, int], window: Driving) -> list[int]:
    """Positions at which chunks of the days begin.

    A day whose rows are mostly read already stays with the days before it: rows would be read once more for each chunk.
    """
    starts, read, count = [0], set[date](), 0
    for position, day in enumerate(days):
        reads = {day + timedelta(days=n) for n in range(-window.before, window.after + 1)}
        again = sum(rows.get(other, 0) for other in reads & read)
        more = sum(rows.get(other, 0) for other in reads - read)
        if read and count + more > CHUNK_ROWS and again <= max(CHUNK_ROWS, count) / 2:
            starts.append(position)
            read, count, more = set(), 0, again + more
        read |= reads
        count += more
    return starts


class FactBuilder:
    """Builds slices of one fact. References are read once, after the generations of all slices were."""

    def __init__(self, session: Session, lake: Lake, fact: Fact, reporting_currency: str) -> None:
        self._session, self._lake, self._fact = session, lake, fact
        self._transform = transform_of(f"transforms.{fact.domain}.{fact.name}", fact.name)
        self._options: dict[str, str] = {}
        if "reporting_currency" in inspect.signature(self._transform).parameters:
            self._options["reporting_currency"] = reporting_currency
        self._references = {
            name: self._read_reference(name)
            for name, way in fact.inputs.items()
            if isinstance(way, Reference | Whole | LookBack | Closing)
        }

    def build(self, chunk: Chunk) -> tuple[pl.DataFrame, pl.LazyFrame | None]:
        """The complete rows of a chunk's slices, with their slice's day as `_slice`; and the rows that drive them.

        None where several datasets do.
        """
        fact = self._fact
        driving = {name: self._driving(name, chunk) for name in fact.driving}
        inputs, parts = driving, 1
        linked = [name for name, way in fact.inputs.items() if isinstance(way, Linked)]
        if linked:
            # The rows' documents say which linked rows are needed, so they are looked at before the build.
            frames = {name: rows.collect(engine="streaming") for name, rows in driving.items()}
            parts += sum(frame.height for frame in frames.values()) // PART_ROWS
            driving = {name: frame.lazy() for name, frame in frames.items()}
            links = pl.concat([frame.select(link_hash="_link_hash") for frame in frames.values()])
            wanted = Links(links.drop_nulls().unique())
            inputs = driving | {name: self._current(name, wanted).collect(engine="streaming").lazy() for name in linked}
        built = pl.concat([self._build_part(inputs, chunk, part, parts) for part in range(parts)])
        return built, next(iter(driving.values())) if len(driving) == 1 else None

    def _build_part(self, inputs: Mapping[str, pl.LazyFrame], chunk: Chunk, part: int, parts: int) -> pl.DataFrame:
        """The complete rows of the documents whose turn it is, in order of their key."""
        if parts > 1:
            is_in = pl.col("_link_hash").fill_null(0) % parts == part
            inputs = {name: rows.filter(is_in) for name, rows in inputs.items()}
        given = {**inputs, **self._references}
        built = self._transform(**{name: given[name] for name in self._fact.arguments}, **self._options)
        rows = complete(built, self._fact, chunk).collect(engine="streaming")
        # Sorted in the query it would take five times as long.
        return rows.sort("row_key")

    def _driving(self, name: str, chunk: Chunk) -> pl.LazyFrame:
        """The driving rows of a chunk, as they stand in the books where closed periods count."""
        fact, dataset = self._fact, DATASETS[name]
        which = self._days(chunk, name) if chunk.rows is None else Rows(chunk.rows)
        source = None if fact.is_cross_source else chunk.source
        if fact.has_books and dataset.reverses:
            return booked_rows(self._session, self._lake, dataset, which, source, self._references[PERIODS])
        return self._current(name, which, source)

    def _days(self, chunk: Chunk, dataset: str) -> Days:
        """The days that a chunk of whole slices reads."""
        days = chunk.slices.select("day")
        if self._fact.grain == "month":
            end = pl.col("day").dt.offset_by("1mo").dt.offset_by("-1d")
            days = days.select(pl.date_ranges("day", end).alias("day")).explode("day")
        return Days(_around(days["day"], self._fact.window(dataset)).to_list())

    def _read_reference(self, name: str) -> pl.LazyFrame:
        return self._current(name, Everything()).collect().lazy()

    def _current(self, dataset: str, which: Which, source: str | None = None) -> pl.LazyFrame:
        return current_rows(self._session, self._lake, DATASETS[dataset], which, source=source)


def complete(built: pl.LazyFrame, fact: Fact, chunk: Chunk) -> pl.LazyFrame:
    """The built rows of the chunk's slices, in the contract's columns and with their hashes.

    Raises:
        BuildError: The transform's columns are not the contract's.
    """
    contract = fact.contract
    check_columns(built, contract, fact.name, but=_ADDED)
    slice_day = pl.col(fact.anchor).dt.truncate("1mo") if fact.grain == "month" else pl.col(fact.anchor)
    columns = [name for name in contract.columns() if name != "published_at"]
    rows = built.with_columns(slice_day.alias(SLICE)).filter(pl.col(SLICE).is_in(chunk.slices["day"].implode()))
    return (
        with_row_key(rows, fact, chunk.source)
        .with_columns(row_hash=hash_columns(hashed(contract)), extract_id=pl.col("_extract_id"))
        .select(*columns, SLICE)
    )


def whole_table(built: pl.LazyFrame, contract: type[Contract], name: str) -> pl.LazyFrame:
    """The rows of a table that is one slice (a dimension), in the contract's columns and with their hashes."""
    check_columns(built, contract, name, but=("row_hash", "published_at"))
    columns = hashed(contract)
    return built.select(*columns, row_hash=hash_columns(columns)).with_columns(pl.lit(UNDATED).alias(SLICE))


def hashed(contract: type[Contract]) -> dict[str, pl.DataType]:
    """Columns of a fact or dimension that its row_hash is made of, with their types: keys first."""
    types = contract.dtypes()
    keys = contract.key() if issubclass(contract, FactContract) else ()
    return {name: types[name] for name in (*keys, *types) if name not in _ADDED}


def check_columns(built: pl.LazyFrame, contract: type[Contract], name: str, *, but: tuple[str, ...]) -> None:
    """Refuse a transform whose result is not what the contract says.

    Raises:
        BuildError: A column is missing or has another type.
    """
    schema = built.collect_schema()
    for column, dtype in contract.dtypes().items():
        if column not in but and schema.get(column) != dtype:
            raise BuildError(
                f"the transform yields {column} as {schema.get(column, 'nothing')}, the contract says {dtype}",
                where=name,
                remedy="mend the transform or the contract",
            )


def transform_of(module: str, function: str) -> Callable[..., pl.LazyFrame]:
    """The one public function of a transform module."""
    found: Callable[..., pl.LazyFrame] = getattr(importlib.import_module(module), function)
    return found
