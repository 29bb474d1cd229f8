"""Accepting a staged extract: its rows go to the lake, then one transaction moves the ledger on.

The rules are `transforms.common.accept`'s; here are the reads and writes around them. Ledger transactions run one at a
time under one advisory lock, which is taken before anything is read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from flows.io import dirty, ledger, spans
from flows.io.booked import with_history
from flows.io.dirty import Change
from flows.io.lake import Lake, months_between
from flows.io.ledger import Extract, Stream
from flows.io.warehouse import ACCEPT_LOCK, Session, Warehouse, quote
from schemas.catalog import DATASETS
from transforms.common import accept as rules

WIDE_SHARE = 0.05
"""From this share of a stream's keys on, its rows are read whole instead of looked up one by one."""

_LEDGER_COLUMNS = tuple(rules.EXISTING)
_NEW = {f"new_{name}": name for name in _LEDGER_COLUMNS if name != "key_hash"}
_KEY_COLUMNS = {
    "key_hash": "_key_hash",
    "payload_hash": "_payload_hash",
    "at": "_order_at",
    "row_date": "_date",
    "link_hash": "_link_hash",
}


@dataclass(frozen=True, slots=True)
class StagedRows:
    """What accepting needs of a staged extract.

    `rows` is the Parquet file of good rows; `sightings` has _key_hash and _order_at of quarantined rows; `counts` are
    the rows_… columns of ops.extract, `unreadable_keys` the quarantined rows that no key tells.
    """

    rows: Path
    row_count: int
    sightings: pl.DataFrame
    counts: dict[str, int]
    gives_coverage: bool
    unreadable_keys: int = 0
    retire_limit_pct: float = 100.0


@dataclass(frozen=True, slots=True)
class _Existing:
    """Ledger rows that a delivery may change, as of the stream's `accept_count`."""

    rows: pl.DataFrame
    is_whole: bool
    accept_count: int


def accept(
    warehouse: Warehouse,
    lake: Lake,
    extract: Extract,
    staged: StagedRows,
    accepted_at: datetime,
    *,
    replay: int = 0,
    also: Callable[[Session], None] | None = None,
) -> bool | None:
    """Append the rows to the lake and take the delivery into the ledger; whether its keys count as all there are.

    Safe to repeat after a crash at any point: the lake knows the append's transaction id, and the ledger's changes are
    maxima. For the same reason rows that were held back can come later, in the delivery's own order: `replay` numbers
    these times from 1. `also` is done in the ledger's transaction.
    """
    dataset = DATASETS[extract.dataset]
    keep, existing = None, None
    if extract.mode != "append":
        with warehouse.session() as session:
            stream = ledger.ensure_stream(session, extract.source, extract.dataset)
            existing = _read_existing(session, stream, extract, staged)
            session.commit()
        if stream.key_count and not dataset.keeps_history and stream.books_zone is None:
            keep = _unknown_payloads(staged.rows, existing.rows)
    lake.append(dataset, staged.rows, extract.append_id(replay), keep)
    with warehouse.session() as session:
        session.lock(ACCEPT_LOCK)
        is_taken = "extract_id = $1 and state = 'accepted' and replays >= $2"
        if taken := ledger.extracts(session, is_taken, extract.extract_id, replay):
            # Whoever lost the connection that guards a delivery may find it taken. What was decided then stays.
            return taken[0].gives_coverage
        gives_coverage: bool | None = None
        if extract.mode == "append":
            change = _accept_append(session, lake, extract, staged)
        else:
            change, gives_coverage = _accept_keyed(session, extract, staged, existing)
        if ledger.ensure_stream(session, extract.source, extract.dataset).books_zone is not None:
            change = with_history(session, extract, staged.rows, staged.sightings, change)
        seen = spans.widen(session, extract, staged.rows)
        dirty.mark(session, lake, extract, change, seen)
        # A replay that brings no row leaves no trace in the lake, where verify would look for it.
        replays = replay if staged.row_count else 0
        ledger.record_accepted(session, extract, _said(staged), gives_coverage, accepted_at, replays)
        if also is not None:
            also(session)
        session.commit()
    return gives_coverage


def _read_existing(session: Session, stream: Stream, extract: Extract, staged: StagedRows) -> _Existing:
    """Ledger rows of the delivery's keys and, where it claims completeness, of the scope it claims."""
    if not stream.key_count:
        return _Existing(pl.DataFrame(schema=rules.EXISTING), is_whole=True, accept_count=stream.accept_count)
    columns = ", ".join(f"key.{name}" for name in _LEDGER_COLUMNS)
    table = f"ops.{quote(stream.partition)} as key"
    claims_all = staged.gives_coverage and extract.period_start is None
    if claims_all or staged.row_count + staged.sightings.height >= WIDE_SHARE * stream.key_count:
        rows = session.fetch_many(f"select {columns} from {table}")
        return _Existing(_typed(rows), is_whole=True, accept_count=stream.accept_count)
    keys = pl.scan_parquet(staged.rows).select(key_hash="_key_hash").collect()
    session.load_temporary(pl.concat([keys, staged.sightings.select(key_hash="_key_hash")]).unique(), "incoming_key")
    rows = session.fetch(f"select {columns} from {table} inner join pg_temp.incoming_key using (key_hash)")
    if staged.gives_coverage:
        # Keys of the period that the delivery may lack.
        scope = session.fetch(
            f"select {columns} from {table} where row_date between $1 and $2"
            " and not exists (select from pg_temp.incoming_key as i where i.key_hash = key.key_hash)",
            extract.period_start,
            extract.period_end,
        )
        rows = pl.concat([_typed(rows), _typed(scope)])
    return _Existing(_typed(rows), is_whole=False, accept_count=stream.accept_count)


def _typed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(dtype) for name, dtype in rules.EXISTING.items())


def _unknown_payloads(rows: Path, existing: pl.DataFrame) -> pl.DataFrame:
    """`_row_no` of the staged rows whose payload is not their key's newest."""
    known = existing.lazy().select(_key_hash="key_hash", _payload_hash="payload_hash")
    return (
        pl.scan_parquet(rows)
        .select("_row_no", "_key_hash", "_payload_hash")
        .join(known, on=["_key_hash", "_payload_hash"], how="anti")
        .select("_row_no")
        .collect(engine="streaming")
    )


def _incoming(rows: Path, mode: str) -> pl.LazyFrame:
    frame = pl.scan_parquet(rows).select(
        **{name: pl.col(column) for name, column in _KEY_COLUMNS.items()},
        is_deleted=pl.col("is_deleted").fill_null(value=False),
    )
    return rules.newest_versions(frame) if mode == "delta" else frame


def _accept_keyed(
    session: Session, extract: Extract, staged: StagedRows, existing: _Existing | None
) -> tuple[Change, bool]:
    """Newest versions, sightings and coverage of a delta, snapshot or period delivery."""
    stream = ledger.ensure_stream(session, extract.source, extract.dataset)
    if existing is None or existing.accept_count != stream.accept_count:
        # Another delivery of the stream was accepted in between.
        existing = _read_existing(session, stream, extract, staged)
    orders = ledger.extract_orders(session, stream.stream_id)
    rank = int(orders.filter(pl.col("extract_id") == extract.extract_id)["rank"].item())
    before = ledger.scopes(session, stream, orders)
    claimed = [*before, rules.Scope(extract.at, rank, extract.period_start, extract.period_end)]
    group = _new_group(session, stream, extract.extract_id)
    incoming = _incoming(staged.rows, extract.mode)
    if not stream.key_count and not before and not staged.sightings.height:
        # Nothing to compare with; the comparison would only cost memory.
        _fill_partition(session, stream, _first_rows(incoming, group, extract))
        change, gives_coverage = Change.of_staged(staged.rows), staged.gives_coverage
    else:
        groups = ledger.sighting_groups(session, stream.stream_id, orders)
        sightings = staged.sightings.lazy().select(key_hash="_key_hash", at="_order_at")
        known = rules.with_orders(existing.rows.lazy(), groups.lazy().select("sighting_id", "at", "rank"))
        settled = rules.settle(rules.join_maxima(known, incoming, sightings, rank), group, extract.at, rank)
        touched, retired_pct = _touched(settled, before, claimed if staged.gives_coverage else before)
        gives_coverage = staged.gives_coverage and retired_pct <= staged.retire_limit_pct
        if staged.gives_coverage and not gives_coverage:
            touched, _ = _touched(settled, before, before)
        change = Change(touched)
        _write_settled(session, stream, settled, existing, groups, group)
    if gives_coverage:
        ledger.cover(session, extract, orders)
    return change, gives_coverage


def _touched(settled: pl.LazyFrame, before: list[rules.Scope], after: list[rules.Scope]) -> tuple[pl.DataFrame, float]:
    """Both sides of every row whose version or presence changes, and the share (%) of present rows that vanish."""
    was, is_ = rules.is_present(before), rules.is_present(after, "new_")
    judged = settled.with_columns(_was=was.fill_null(value=False), _is=is_.fill_null(value=False))
    is_touched = (pl.col("_was") != pl.col("_is")) | (pl.col("is_new_version") & pl.col("_is"))
    rows, totals = pl.collect_all(
        [
            judged.filter(is_touched).select(
                "key_hash", "row_date", "link_hash", "new_row_date", "new_link_hash", "_was", "_is"
            ),
            judged.select(
                was=pl.col("_was").sum(), gone=(pl.col("_was") & ~pl.col("_is") & ~pl.col("is_new_version")).sum()
            ),
        ]
    )
    old = rows.filter("_was").select("key_hash", "row_date", "link_hash")
    new = rows.filter("_is").select("key_hash", row_date="new_row_date", link_hash="new_link_hash")
    was_count, gone = totals.row(0)
    return pl.concat([old, new]), 100.0 * gone / was_count if was_count else 0.0


def _first_rows(incoming: pl.LazyFrame, group: int, extract: Extract) -> pl.DataFrame:
    rows = incoming.with_columns(
        version_sighting=pl.lit(group, dtype=pl.Int32),
        version_at=pl.when(pl.col("at") != pl.lit(extract.at)).then("at"),
        seen_sighting=pl.lit(None, dtype=pl.Int32),
        seen_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
    )
    # Filed by day, so that the block-range index on the day stays narrow.
    return rows.select(_LEDGER_COLUMNS).sort("row_date").collect()


def _fill_partition(session: Session, stream: Stream, rows: pl.DataFrame) -> None:
    """Create the stream's partition with its first rows; the indexes come after the rows, which is much quicker."""
    if not rows.height:
        return
    table = f"ops.{quote(stream.partition)}"
    session.execute(f"create table {table} (like ops.current_key including defaults including comments)")
    session.copy(rows.with_columns(stream_id=pl.lit(stream.stream_id, dtype=pl.Int32)), stream.partition, schema="ops")
    session.execute(f"alter table {table} add primary key (stream_id, key_hash)")
    session.execute(f"alter table {table} add check (stream_id = {stream.stream_id})")
    session.execute(f"alter table ops.current_key attach partition {table} for values in ({stream.stream_id})")
    session.execute("update ops.stream set key_count = $1 where stream_id = $2", rows.height, stream.stream_id)


def _new_group(session: Session, stream: Stream, extract_id: int) -> int:
    return int(
        session.value(
            "insert into ops.sighting (stream_id, extract_id) values ($1, $2) returning sighting_id",
            stream.stream_id,
            extract_id,
        )
    )


def _write_settled(
    session: Session,
    stream: Stream,
    settled: pl.LazyFrame,
    existing: _Existing,
    groups: pl.DataFrame,
    group: int,
) -> None:
    """Write the rows that change; a group of which most is repeated is moved as one."""
    follows = pl.col("is_moved_with_group")
    columns = ["key_hash", *_NEW]
    repeated, others = pl.collect_all(
        [
            settled.filter(follows).group_by("version_sighting").len("hits"),
            settled.filter(~follows).select(*columns, _IS_CHANGED, is_known=pl.col("s_rank").is_not_null()),
        ]
    )
    moved = _groups_to_move(existing, repeated)
    others = _leave_groups(session, stream, others, moved, groups)
    singles = settled.filter(follows & ~pl.col("version_sighting").is_in(moved)).select(*columns)
    changed = others.filter("is_changed")
    updates = pl.concat([changed.filter("is_known").select(columns), singles.collect()])
    inserts = changed.filter(~pl.col("is_known")).select(columns)
    if moved:
        extract_of_group = "select extract_id from ops.sighting where sighting_id = $2"
        session.execute(
            f"update ops.sighting set extract_id = ({extract_of_group}) where sighting_id = any($1)", moved, group
        )
    _upsert(session, stream, updates.rename(_NEW), inserts.rename(_NEW))


_IS_CHANGED = (pl.col("is_new_version") | pl.col("takes_order") | pl.col("is_seen")).alias("is_changed")


def _groups_to_move(existing: _Existing, repeated: pl.DataFrame) -> list[int]:
    """Sighting groups of which the delivery repeats more than half. Only a whole read knows a group's size."""
    if not existing.is_whole or not repeated.height:
        return []
    members = (
        pl.concat([existing.rows["version_sighting"], existing.rows["seen_sighting"]])
        .drop_nulls()
        .value_counts(name="members")
    )
    counts = repeated.join(members, on="version_sighting")
    return counts.filter(2 * pl.col("hits") > pl.col("members"))["version_sighting"].to_list()


def _leave_groups(
    session: Session, stream: Stream, others: pl.DataFrame, moved: list[int], groups: pl.DataFrame
) -> pl.DataFrame:
    """Give rows that stay behind a group of their own, which keeps the order they had."""
    for old in moved:
        stays = (pl.col("new_version_sighting") == old) | (pl.col("new_seen_sighting") == old)
        if not others.select(stays.any()).item():
            continue
        extract_id = groups.filter(pl.col("sighting_id") == old)["extract_id"].item()
        copy = _new_group(session, stream, extract_id)
        others = others.with_columns(
            pl.col("new_version_sighting", "new_seen_sighting").replace(old, copy),
            is_changed=pl.col("is_changed") | stays.fill_null(value=False),
        )
    return others


def _upsert(session: Session, stream: Stream, updates: pl.DataFrame, inserts: pl.DataFrame) -> None:
    table = f"ops.{quote(stream.partition)}"
    if not stream.key_count:
        _fill_partition(session, stream, inserts.sort("row_date"))
        return
    if updates.height:
        session.load_temporary(updates, "changed_key")
        columns = ", ".join(f"{name} = changed.{name}" for name in _NEW.values())
        session.execute(
            f"update {table} as key set {columns} from pg_temp.changed_key as changed"
            " where key.key_hash = changed.key_hash"
        )
    rows = inserts.select(_LEDGER_COLUMNS).with_columns(stream_id=pl.lit(stream.stream_id, dtype=pl.Int32))
    # In index order, so that the index is walked once.
    session.copy(rows.sort("key_hash"), stream.partition, schema="ops")
    session.execute(
        "update ops.stream set key_count = key_count + $1 where stream_id = $2", inserts.height, stream.stream_id
    )


def _accept_append(session: Session, lake: Lake, extract: Extract, staged: StagedRows) -> Change:
    """An append delivery replaces the older revision of its slot, and counts for nothing if a newer one stands."""
    slot = ledger.extracts(
        session,
        "stream_id = $1 and slot = $2 and (state = 'accepted' or extract_id = $3)",
        extract.stream_id,
        extract.slot,
        extract.extract_id,
    )
    if slot[-1].extract_id != extract.extract_id:
        return Change.none()
    replaced = Change.none() if len(slot) == 1 else _rows_of(session, lake, slot[-2])
    rows = pl.concat([Change.of_staged(staged.rows).rows, replaced.rows])
    return Change(pl.concat([rows, _said_elsewhere(session, lake, extract, rows)]))


def _said_elsewhere(session: Session, lake: Lake, extract: Extract, rows: pl.DataFrame) -> pl.DataFrame:
    """What other slots say of the same keys and days: a row that stops or begins to count may name another document."""
    first, last = rows.select(pl.col("row_date").min(), last=pl.col("row_date").max()).row(0)
    overlapping = ledger.current_append_extracts(session, [extract.stream_id]).filter(
        (pl.col("first_date") <= last) & (pl.col("last_date") >= first)
    )
    if DATASETS[extract.dataset].link is None or not overlapping.height:
        return Change.none().rows
    said = lake.scan(DATASETS[extract.dataset], months_between(first, last)).filter(
        pl.col("_extract_id").is_in(overlapping["extract_id"].implode()), pl.col("_date").is_between(first, last)
    )
    said = said.select(key_hash="_key_hash", row_date="_date", link_hash="_link_hash")
    return said.join(rows.lazy(), on=["key_hash", "row_date"], how="semi").collect()


def _rows_of(session: Session, lake: Lake, extract: Extract) -> Change:
    """The rows that an accepted delivery brought."""
    days = session.fetch("select first_date, last_date from ops.extract where extract_id = $1", extract.extract_id)
    first, last = days.row(0)
    if first is None:
        return Change.none()
    rows = (
        lake.scan(DATASETS[extract.dataset], months_between(first, last))
        .filter(pl.col("_extract_id") == extract.extract_id)
        .select(key_hash="_key_hash", row_date="_date", link_hash="_link_hash")
    )
    return Change(rows.collect())


def _said(staged: StagedRows) -> ledger.Said:
    first, last = pl.scan_parquet(staged.rows).select(pl.min("_date"), last=pl.max("_date")).collect().row(0)
    return ledger.Said(staged.counts, staged.unreadable_keys, first, last)
