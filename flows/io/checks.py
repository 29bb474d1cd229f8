"""Do lake, ledger and mart agree? Asked after a restore, or for peace of mind."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from flows.io import ledger
from flows.io.build import CHUNK_ROWS, hashed
from flows.io.current import newest_keys
from flows.io.lake import Lake
from flows.io.ledger import Extract, Stream
from flows.io.metrics import Components
from flows.io.publish import SLICE, wrapped
from flows.io.row_keys import with_row_key
from flows.io.warehouse import Session, quote
from schemas.catalog import DATASETS, DIMENSIONS, FACTS
from schemas.registry import ALL_SOURCES, UNDATED, Dimension, Fact
from transforms.common.keys import hash_columns

SOURCE = "_source"
Table = Fact | Dimension


@dataclass(frozen=True, slots=True)
class LakeGap:
    """Rows that the ledger counts on and the lake lacks; `extracts` are accepted deliveries that the lake never saw."""

    stream: Stream
    rows: int
    extracts: tuple[Extract, ...]

    def __str__(self) -> str:
        what = f"the lake lacks {self.rows:,} current rows" if self.rows else "the lake lacks deliveries"
        return f"{self.stream.source}.{self.stream.dataset}: {what}; {len(self.extracts):,} deliveries never reached it"


@dataclass(frozen=True, slots=True)
class Tampered:
    """A slice of the mart that is not as it was published; of `altered` rows the hash is not that of their content."""

    table: str
    source: str
    day: date
    published_rows: int
    rows: int
    altered: int = 0

    def __str__(self) -> str:
        slice_ = self.table if self.day == UNDATED else f"{self.table} {self.source} {self.day}"
        if self.altered:
            return f"{slice_}: {self.altered:,} rows were altered"
        return f"{slice_}: {self.rows:,} rows stand where {self.published_rows:,} were published, or other ones"


@dataclass(frozen=True, slots=True)
class OutdatedMetric:
    """Sums of a metric's component that are not what their fact comes to."""

    fact: str
    component: str
    sums: int

    def __str__(self) -> str:
        return f"fct_metric_component: {self.sums:,} sums are not those of the fact: {self.component}"


Difference = LakeGap | Tampered | OutdatedMetric


def differences(session: Session, lake: Lake) -> Iterator[Difference]:
    """Where lake and ledger, or ledger and mart, do not agree. Reads every row of the mart."""
    for dataset in DATASETS.values():
        for stream in ledger.streams(session, dataset.name):
            yield from _lake_gaps(session, lake, stream)
    tables: list[Table] = [*FACTS.values(), *DIMENSIONS.values()]
    for table in tables:
        yield from _tampered_slices(session, table)
    for name in FACTS:
        for component, sums in Components.of(session, name).outdated(session):
            yield OutdatedMetric(name, str(component), sums)


def _lake_gaps(session: Session, lake: Lake, stream: Stream) -> Iterator[LakeGap]:
    dataset = DATASETS[stream.dataset]
    rows = _missing_in_lake(session, lake, stream)
    if not rows and not dataset.keeps_history and stream.books_zone is None:
        # A delivery that said nothing new appended nothing.
        return
    accepted = ledger.extracts(session, "stream_id = $1 and state = 'accepted' and rows_accepted > 0", stream.stream_id)
    known = lake.appended(dataset, [append for extract in accepted for append in extract.append_ids])
    lost = tuple(extract for extract in accepted if not known.issuperset(extract.append_ids))
    if rows or lost:
        yield LakeGap(stream, rows, lost)


def _missing_in_lake(session: Session, lake: Lake, stream: Stream) -> int:
    dataset = DATASETS[stream.dataset]
    rows = lake.scan(dataset).filter(pl.col("source") == stream.source)
    extracts = ledger.current_append_extracts(session, [stream.stream_id])
    if extracts.height:
        have = rows.group_by("_extract_id").len().collect()
        want = session.fetch(
            "select extract_id as _extract_id, rows_accepted from ops.extract where extract_id = any($1)",
            extracts["extract_id"].to_list(),
        )
        short = want.join(have, on="_extract_id", how="left").select(
            (pl.col("rows_accepted") - pl.col("len").fill_null(0).cast(pl.Int64)).clip(lower_bound=0).sum()
        )
        return int(short.item())
    keys = ["_key_hash", "_payload_hash"]
    newest = newest_keys(session, stream).lazy()
    return int(newest.join(rows.select(keys), on=keys, how="anti").select(pl.len()).collect().item())


def _other_slices(session: Session, table: Table) -> Iterator[Tampered]:
    """Slices with other rows than were published, by their number and the sum of their hashes."""
    found = session.fetch(
        f"with held as (select {_slice_of(table)}, count(*) as row_count, sum(row_hash)::text as checksum"
        f" from mart.{quote(table.name)} group by 1, 2)"
        " select source, day, published.row_count as want_rows, published.checksum as want_sum,"
        " held.row_count as have_rows, held.checksum as have_sum"
        " from held full join (select source, day, row_count, checksum from ops.slice where fact = $1) as published"
        " using (source, day) where published.row_count is distinct from 0 or held.row_count is not null",
        table.name,
    )
    for row in found.iter_rows(named=True):
        have = wrapped(int(row["have_sum"])) if row["have_sum"] is not None else 0
        if row["have_rows"] != row["want_rows"] or have != row["want_sum"]:
            yield Tampered(table.name, row["source"], row["day"], row["want_rows"] or 0, row["have_rows"] or 0)


def _slice_of(table: Table) -> str:
    if isinstance(table, Dimension):
        return f"'{ALL_SOURCES}' as source, date '{UNDATED}' as day"
    return f"source, {slice_day(table)} as day"


def slice_day(fact: Fact) -> str:
    """Day of the slice that a row belongs to, as SQL."""
    return f"date_trunc('month', {quote(fact.anchor)})::date" if fact.grain == "month" else quote(fact.anchor)


def _tampered_slices(session: Session, table: Table) -> Iterator[Tampered]:
    others = {(found.source, found.day): found for found in _other_slices(session, table)}
    for rows in altered_rows(session, table):
        for source, day, count in rows.group_by(SOURCE, SLICE).len().iter_rows():
            as_published = Tampered(table.name, source, day, count, count)
            yield replace(others.pop((source, day), as_published), altered=count)
    yield from others.values()


def altered_rows(session: Session, table: Table) -> Iterator[pl.DataFrame]:
    """Rows whose content does not come to their hash: what identifies them, and `_source` and `_slice` of their slice.

    A fact is read some days at a time.
    """
    columns = hashed(table.contract)
    is_altered = hash_columns(columns) != pl.col("row_hash")
    if isinstance(table, Dimension):
        identity = list(table.contract.key())
        rows = _read(session, table, [*identity, *columns], "true").filter(is_altered)
        yield rows.select(*identity, pl.lit(ALL_SOURCES).alias(SOURCE), pl.lit(UNDATED).alias(SLICE))
        return
    day = pl.col(table.anchor).dt.truncate("1mo") if table.grain == "month" else pl.col(table.anchor)
    for source, first, end in _portions(session, table):
        condition = f"source = $1 and {quote(table.anchor)} >= $2 and {quote(table.anchor)} < $3"
        rows = _read(session, table, ["row_key", *columns], condition, source, first, end)
        keyed = with_row_key(rows.lazy().with_columns(_held="row_key"), table, source)
        altered = keyed.filter(is_altered | (pl.col("row_key") != pl.col("_held")))
        yield altered.select(pl.col("_held").alias("row_key"), pl.lit(source).alias(SOURCE), day.alias(SLICE)).collect()


def _read(session: Session, table: Table, columns: list[str], condition: str, *parameters: Any) -> pl.DataFrame:
    """Committed rows of a table, with the contract's types."""
    types = {name: dtype for name, dtype in table.contract.dtypes().items() if name in columns}
    names = ", ".join(map(quote, dict.fromkeys((*columns, "row_hash"))))
    rows = session.fetch_many(f"select {names} from mart.{quote(table.name)} where {condition}", *parameters)
    return rows.cast(pl.Schema(types))


def _portions(session: Session, fact: Fact) -> Iterator[tuple[str, date, date]]:
    """Source, first day and end of parts of a fact that hold about as many rows as a chunk."""
    sizes = session.fetch(
        "select source, day, row_count from ops.slice where fact = $1 order by source, day", fact.name
    ).with_columns(chunk=pl.col("row_count").cum_sum() // CHUNK_ROWS)
    for days in sizes.partition_by("source", "chunk", maintain_order=True):
        last = pl.col("day").max().dt.offset_by("1mo" if fact.grain == "month" else "1d")
        yield days.select("source", first=pl.col("day").min(), end=last).row(0)
