"""Publishing: writing what differs inside rebuilt slices, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import psycopg

from flows.io.metrics import GONE, Components
from flows.io.readback import check_written
from flows.io.warehouse import Session, Warehouse, quote
from schemas.registry import UNDATED

SLICE = "_slice"
_WRAP = 2**64


@dataclass(frozen=True, slots=True)
class Target:
    """A table of the mart: what identifies a row, and which column is its slice (None: the table is one slice)."""

    name: str
    identity: tuple[str, ...]
    anchor: str | None
    is_monthly: bool
    logic_version: int


@dataclass(frozen=True, slots=True)
class Written:
    """What one publish did. `dropped` slices changed under the build, or are published by newer logic."""

    slices: int = 0
    rows_added: int = 0
    rows_removed: int = 0
    rows_unchanged: int = 0
    dropped: int = 0


def publish(
    warehouse: Warehouse,
    target: Target,
    source: str,
    rows: pl.DataFrame,
    slices: pl.DataFrame,
    published_at: datetime,
    *,
    among: pl.DataFrame | None = None,
) -> Written:
    """Make the published slices equal to the built ones.

    Args:
        warehouse: Where to.
        target: Which table.
        source: Anchor source of all the slices.
        rows: The slices' complete rows: the table's columns but published_at, and the slice's day as `_slice`. In
            runs of key order if they are many, so that the primary key's index is walked once a run.
        slices: day and generation of each slice, the generation read before its inputs were.
        published_at: Goes into every row that is written.
        among: Identities of the rows that the build was about, if not the slices' every row; the others stay.

    Returns:
        The number of slices published, and of rows written, removed and left alone.
    """
    with warehouse.session() as session:
        session.lock(f"opsmart.publish.{target.name}")
        live = _still_wanted(session, target, source, slices)
        dropped = slices.height - live.height
        if not live.height:
            return Written(dropped=dropped)
        if dropped:
            rows = rows.join(live.select(pl.col("day").alias(SLICE)), on=SLICE, how="semi")
        identity = list(target.identity)
        if among is None:
            published = _published(session, target, source, live)
        else:
            published = _published_among(session, target, among, rows, live)
        new = rows
        if published.height:
            new = rows.join(published, on=[*identity, "row_hash"], how="anti", maintain_order="left")
        session.execute(f"create temporary table {GONE} (like mart.{quote(target.name)}) on commit drop")
        _delete(session, target, published.join(rows, on=[*identity, "row_hash"], how="anti").select(identity))
        stamp = pl.lit(published_at).cast(pl.Datetime("us", "UTC")).alias("published_at")
        stamped = new.drop(SLICE).with_columns(stamp)
        session.execute("savepoint deleted")
        try:
            session.copy(stamped, target.name, schema="mart")
        except psycopg.errors.UniqueViolation:
            # Rows have moved here from slices that are built later, or somebody has moved them by hand.
            session.execute("rollback to savepoint deleted")
            _delete(session, target, new.select(identity))
            session.copy(stamped, target.name, schema="mart")
        removed = _removed(session, target)
        if new.height + removed.height:
            written = _written(session, target, new, published_at, among)
            check_written(session, target.name, new.drop(SLICE), *written)
            Components.of(session, target.name).update(session, *written, has_gone=removed.height > 0)
        held = _sums(rows)
        if among is not None:
            held = _held(session, target, source, live, _sums(new), removed)
        _record(session, target, source, held, live, published_at)
        _take_from_others(session, target, source, removed, live)
        session.commit()
    return Written(live.height, new.height, int(removed["row_count"].sum()), rows.height - new.height, dropped)


def _written(
    session: Session, target: Target, new: pl.DataFrame, published_at: datetime, among: pl.DataFrame | None
) -> tuple[str, *tuple[object, ...]]:
    """A condition that only the rows hold that were just written, and its parameters."""
    if not new.height:
        return ("where false",)
    if target.anchor is None:
        return "where held.published_at = $1", published_at
    if among is not None:
        # Few rows of many slices: looked up, not looked for.
        session.load_temporary(new.select(target.identity), "written_row")
        return (f"inner join pg_temp.written_row using ({', '.join(map(quote, target.identity))})",)
    anchor = f"held.{quote(target.anchor)}"
    days = new[target.anchor]
    return f"where {anchor} between $1 and $2 and held.published_at = $3", days.min(), days.max(), published_at


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows that publishing some slices would write and take away, by identity; and how many it would leave alone."""

    written: pl.DataFrame
    outdated: pl.DataFrame
    unchanged: int


def compare(session: Session, target: Target, source: str, rows: pl.DataFrame, slices: pl.DataFrame) -> Comparison:
    """What `publish` would do with the same rows and slices; nothing is written."""
    identity, same = list(target.identity), [*target.identity, "row_hash"]
    published = _published(session, target, source, slices)
    written = rows.join(published, on=same, how="anti").select(identity)
    outdated = published.join(rows, on=same, how="anti").select(identity)
    return Comparison(written, outdated, rows.height - written.height)


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many rows publishing would change in a table."""

    rows_added: int = 0
    rows_removed: int = 0
    rows_changed: int = 0
    rows_unchanged: int = 0


def forecast(session: Session, target: Target, comparisons: Sequence[Comparison]) -> Forecast:
    """Comparisons of one table's chunks taken together: a row that moves between them is changed, not removed."""
    if not comparisons:
        return Forecast()
    identity = list(target.identity)
    written = pl.concat([one.written for one in comparisons])
    outdated = pl.concat([one.outdated for one in comparisons])
    fresh = written.join(outdated, on=identity, how="anti")
    changed, added = written.height - fresh.height, fresh.height
    if fresh.height and _has_rows(session, target):
        # Rows that move here from slices that are not built.
        session.load_temporary(fresh, "planned_row")
        held = f"select count(*) from mart.{quote(target.name)} inner join pg_temp.planned_row using ({{}})"
        moved = int(session.value(held.format(", ".join(map(quote, identity)))))
        changed, added = changed + moved, added - moved
    removed = outdated.join(written, on=identity, how="anti").height
    return Forecast(added, removed, changed, sum(one.unchanged for one in comparisons))


def _still_wanted(session: Session, target: Target, source: str, slices: pl.DataFrame) -> pl.DataFrame:
    """Slices whose dirty generation is still the one the build read, and whose published logic is not newer."""
    now = session.fetch(
        "select dirty.day, dirty.generation from ops.dirty_slice as dirty left join ops.slice as published"
        " using (fact, source, day) where fact = $1 and source = $2 and day between $3 and $4"
        " and coalesce(published.logic_version, 0) <= $5",
        target.name,
        source,
        slices["day"].min(),
        slices["day"].max(),
        target.logic_version,
    )
    return slices.select("day", "generation").join(now, on=["day", "generation"], how="semi")


def _published(session: Session, target: Target, source: str, slices: pl.DataFrame) -> pl.DataFrame:
    """Identity and row hash of what the slices hold."""
    names = ", ".join(map(quote, (*target.identity, "row_hash")))
    table = f"mart.{quote(target.name)}"
    if target.anchor is None:
        return session.fetch_many(f"select {names} from {table}")
    has_rows = session.value(
        "select 1 from ops.slice where fact = $1 and source = $2 and day between $3 and $4 and row_count > 0 limit 1",
        target.name,
        source,
        slices["day"].min(),
        slices["day"].max(),
    )
    if not has_rows:
        return session.fetch(f"select {names} from {table} where false")
    anchor = quote(target.anchor)
    last = slices["day"].max()
    end = pl.select(pl.lit(last).dt.offset_by("1mo" if target.is_monthly else "1d")).item()
    frame = session.fetch_many(
        f"select {names}, {anchor} as {SLICE} from {table} where source = $1 and {anchor} >= $2 and {anchor} < $3",
        source,
        slices["day"].min(),
        end,
    )
    day = pl.col(SLICE).dt.truncate("1mo") if target.is_monthly else pl.col(SLICE)
    return frame.filter(day.is_in(slices["day"].implode())).drop(SLICE)


def _published_among(
    session: Session, target: Target, among: pl.DataFrame, rows: pl.DataFrame, slices: pl.DataFrame
) -> pl.DataFrame:
    """Identity and row hash of those of some rows that the slices hold, and of built ones wherever they stand."""
    identity = list(target.identity)
    wanted = pl.concat([among.with_columns(is_built=False), rows.select(*identity, is_built=True)])
    session.load_temporary(wanted.group_by(identity).agg(pl.col("is_built").any()), "wanted_row")
    names, key = (", ".join(map(quote, of)) for of in ((*identity, "row_hash", "is_built"), identity))
    found = session.fetch(
        f"select {names}, {quote(target.anchor or '')} as {SLICE}"
        f" from mart.{quote(target.name)} inner join pg_temp.wanted_row using ({key})"
    )
    is_here = pl.col(SLICE).is_in(slices["day"].implode())
    return found.filter(is_here | pl.col("is_built")).select(*identity, "row_hash")


def _has_rows(session: Session, target: Target) -> bool:
    return bool(session.value(f"select 1 from mart.{quote(target.name)} limit 1"))


_NOTHING = pl.DataFrame(schema={"day": pl.Date(), "row_count": pl.Int64(), "checksum": pl.Int64()})
"""No rows of any slice."""


def _delete(session: Session, target: Target, outdated: pl.DataFrame) -> None:
    """Move rows, wherever the table holds them, to the transaction's table of what is gone."""
    if not outdated.height:
        return
    session.load_temporary(outdated, "outdated_row")
    condition = " and ".join(f"kept.{quote(name)} = outdated.{quote(name)}" for name in target.identity)
    session.execute(
        f"with deleted as (delete from mart.{quote(target.name)} as kept using pg_temp.outdated_row as outdated"
        f" where {condition} returning kept.*) insert into pg_temp.{GONE} select * from deleted"
    )


def _removed(session: Session, target: Target) -> pl.DataFrame:
    """day, row_count and checksum of what is gone, by slice."""
    day = f"date '{UNDATED}'" if target.anchor is None else quote(target.anchor)
    if target.is_monthly:
        day = f"date_trunc('month', {day})::date"
    removed = session.fetch(
        f"select {day} as day, count(*) as row_count, sum(row_hash)::text as checksum from pg_temp.{GONE} group by 1"
    )
    checksums = pl.Series("checksum", [wrapped(int(number)) for number in removed["checksum"]], dtype=pl.Int64)
    return removed.with_columns(checksums).cast(_NOTHING.schema)


def wrapped(number: int) -> int:
    """A sum as Polars' 64-bit sum has it."""
    return (number + _WRAP // 2) % _WRAP - _WRAP // 2


def _sums(rows: pl.DataFrame) -> pl.DataFrame:
    """day, row_count and checksum of rows, by slice."""
    sums = rows.group_by(day=SLICE).agg(row_count=pl.len().cast(pl.Int64), checksum=pl.col("row_hash").sum())
    return sums.cast(_NOTHING.schema)


def _held(
    session: Session, target: Target, source: str, slices: pl.DataFrame, added: pl.DataFrame, removed: pl.DataFrame
) -> pl.DataFrame:
    """day, row_count and checksum of slices of which some rows were written and some removed."""
    known = session.fetch(
        "select day, row_count, checksum from ops.slice where fact = $1 and source = $2 and day between $3 and $4",
        target.name,
        source,
        slices["day"].min(),
        slices["day"].max(),
    ).cast(_NOTHING.schema)
    lost = removed.with_columns(-pl.col("row_count", "checksum"))
    return pl.concat([known, added, lost]).group_by("day").sum()


def _take_from_others(session: Session, target: Target, source: str, removed: pl.DataFrame, live: pl.DataFrame) -> None:
    """Slices that lost rows to the published ones hold less than was recorded of them."""
    others = removed.join(live, on="day", how="anti")
    if not others.height:
        return
    held = _held(session, target, source, others, _NOTHING, others).join(others, on="day", how="semi")
    session.load_temporary(held, "robbed_slice")
    session.execute(
        "update ops.slice as held set row_count = robbed.row_count, checksum = robbed.checksum"
        " from pg_temp.robbed_slice as robbed where fact = $1 and source = $2 and held.day = robbed.day",
        target.name,
        source,
    )


def _record(
    session: Session, target: Target, source: str, held: pl.DataFrame, live: pl.DataFrame, published_at: datetime
) -> None:
    """The slices are published at the generation that the build read."""
    slices = live.join(held, on="day", how="left").with_columns(pl.col("row_count", "checksum").fill_null(0))
    session.load_temporary(slices.select("day", "generation", "row_count", "checksum"), "published_slice")
    session.execute(
        "insert into ops.slice (fact, source, day, row_count, checksum, generation, logic_version, published_at)"
        " select $1, $2, day, row_count, checksum, generation, $3, $4 from pg_temp.published_slice"
        " on conflict (fact, source, day) do update set row_count = excluded.row_count,"
        " checksum = excluded.checksum, generation = excluded.generation, logic_version = excluded.logic_version,"
        " published_at = excluded.published_at",
        target.name,
        source,
        target.logic_version,
        published_at,
    )
