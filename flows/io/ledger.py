"""The ledger's extracts and streams: what has landed, what became of it, and in which order it counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import polars as pl

from flows.io.warehouse import NUL_PICTURE, Session, Warehouse
from transforms.common.accept import Scope

COUNTS = ("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate", "rows_excluded")
"""Columns of ops.extract that balance: rows_in is the sum of the others."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One dataset of one source, with the number of keys the ledger holds for it.

    `books_zone` is the zone of its closings where what comes after them is booked later, else None.
    """

    stream_id: int
    source: str
    dataset: str
    key_count: int
    accept_count: int
    books_zone: str | None

    @property
    def partition(self) -> str:
        """Name of its partition of ops.current_key."""
        return f"current_key_{self.stream_id}"


@dataclass(frozen=True, slots=True)
class Extract:
    """A delivery as the ledger knows it."""

    extract_id: int
    stream_id: int
    source: str
    dataset: str
    slot: str
    revision: int
    content_hash: str
    mode: str
    as_of: date
    period_start: date | None
    period_end: date | None
    file: str
    landed_at: datetime
    state: str
    gives_coverage: bool | None
    unreadable_keys: int | None
    replays: int

    @property
    def at(self) -> datetime:
        """The first part of its order."""
        return midnight(self.as_of)

    def append_id(self, replay: int = 0) -> str:
        """Id under which its rows are appended to the lake, and those of each replay."""
        return f"extract-{self.extract_id}" + (f"-replay-{replay}" if replay else "")

    @property
    def append_ids(self) -> list[str]:
        """Ids of all its appends."""
        return [self.append_id(replay) for replay in range(self.replays + 1)]

    @property
    def scope(self) -> str:
        """What it may be complete for: '' the whole dataset, else its period."""
        return "" if self.period_start is None else f"{self.period_start}_{self.period_end}"


def midnight(day: date) -> datetime:
    """The instant that stands for a day in orders."""
    return datetime.combine(day, time(), UTC)


def streams(session: Session, dataset: str | None = None) -> list[Stream]:
    """Streams of a dataset, or all of them."""
    frame = session.fetch(
        "select stream_id, source, dataset, key_count, accept_count, books_zone from ops.stream"
        " where $1::text is null or dataset = $1 order by source, dataset",
        dataset,
    )
    return [Stream(**row) for row in frame.iter_rows(named=True)]


def ensure_stream(session: Session, source: str, dataset: str, books_zone: str | None = None) -> Stream:
    """The stream of a source's dataset; registered where it is new."""
    session.execute(
        "insert into ops.stream (source, dataset, books_zone) values ($1, $2, $3)"
        " on conflict (source, dataset) do nothing",
        source,
        dataset,
        books_zone,
    )
    return next(stream for stream in streams(session, dataset) if stream.source == source)


def register(
    session: Session,
    stream: Stream,
    *,
    slot: str,
    revision: int,
    content_hash: str,
    mode: str,
    as_of: date,
    period: tuple[date, date] | None,
    file: str,
    landed_at: datetime,
) -> Extract:
    """Record that a delivery has landed. The same delivery again finds its first record."""
    start, end = period or (None, None)
    session.execute(
        "insert into ops.extract (stream_id, source, dataset, slot, revision, content_hash, mode, as_of, period_start,"
        " period_end, file, landed_at, state)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'landed')"
        " on conflict (source, dataset, slot, revision, content_hash) do nothing",
        stream.stream_id,
        stream.source,
        stream.dataset,
        slot,
        revision,
        content_hash,
        mode,
        as_of,
        start,
        end,
        file,
        landed_at,
    )
    return extracts(
        session,
        "stream_id = $1 and slot = $2 and revision = $3 and content_hash = $4",
        stream.stream_id,
        slot,
        revision,
        content_hash,
    )[0]


def extracts(session: Session, condition: str, *parameters: object) -> list[Extract]:
    """Extracts that satisfy an SQL condition, oldest order first."""
    frame = session.fetch(
        "select extract_id, stream_id, source, dataset, slot, revision, content_hash, mode, as_of, period_start,"
        " period_end, file, landed_at, state, gives_coverage, unreadable_keys, replays"
        f" from ops.extract where {condition}"
        " order by as_of, revision, landed_at, content_hash",
        *parameters,
    )
    return [Extract(**row) for row in frame.iter_rows(named=True)]


def extract_orders(session: Session, stream_id: int) -> pl.DataFrame:
    """extract_id, at and rank of every delivery of a stream: the order in which they count, whenever they came."""
    return session.fetch(
        "select extract_id, as_of::timestamp at time zone 'UTC' as at,"
        " row_number() over (order by as_of, revision, landed_at, content_hash) as rank"
        " from ops.extract where stream_id = $1",
        stream_id,
    )


def sighting_groups(session: Session, stream_id: int, orders: pl.DataFrame) -> pl.DataFrame:
    """sighting_id, extract_id, at and rank of a stream's sighting groups."""
    groups = session.fetch("select sighting_id, extract_id from ops.sighting where stream_id = $1", stream_id)
    return groups.join(orders, on="extract_id", how="left")


def scopes(session: Session, stream: Stream, orders: pl.DataFrame) -> list[Scope]:
    """What a stream's deliveries have claimed to be complete for."""
    frame = session.fetch(
        "select extract_id, scope_from as first, scope_to as last from ops.coverage where source = $1 and dataset = $2",
        stream.source,
        stream.dataset,
    ).join(orders, on="extract_id", how="left")
    return [Scope(row["at"], row["rank"], row["first"], row["last"]) for row in frame.iter_rows(named=True)]


def current_append_extracts(session: Session, stream_ids: Sequence[int]) -> pl.DataFrame:
    """Deliveries of append streams that count: the newest accepted revision of each slot, with their rank.

    Columns extract_id, stream_id, rank, first_date, last_date.
    """
    return session.fetch(
        "select distinct on (stream_id, slot) extract_id, stream_id, first_date, last_date,"
        " row_number() over (partition by stream_id order by as_of, revision, landed_at, content_hash) as rank"
        " from ops.extract where stream_id = any($1) and mode = 'append' and state = 'accepted'"
        " order by stream_id, slot, as_of desc, revision desc, landed_at desc, content_hash desc",
        list(stream_ids),
    )


def cover(session: Session, extract: Extract, orders: pl.DataFrame) -> None:
    """Take the delivery's claim of completeness, unless a newer one stands for the scope."""
    held = session.value(
        "select extract_id from ops.coverage where dataset = $1 and source = $2 and scope = $3",
        extract.dataset,
        extract.source,
        extract.scope,
    )
    rank = dict(orders.select("extract_id", "rank").iter_rows())
    if held is not None and rank[held] > rank[extract.extract_id]:
        return
    session.execute(
        "insert into ops.coverage (dataset, source, scope, scope_from, scope_to, coverage_order, extract_id)"
        " values ($1, $2, $3, $4, $5, $6, $7) on conflict (dataset, source, scope)"
        " do update set coverage_order = excluded.coverage_order, extract_id = excluded.extract_id",
        extract.dataset,
        extract.source,
        extract.scope,
        extract.period_start,
        extract.period_end,
        extract.at,
        extract.extract_id,
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What an accepted delivery came to: the rows_… columns, rows that no key tells, first and last day of its rows."""

    counts: Mapping[str, int]
    unreadable_keys: int
    first: date | None
    last: date | None


def record_accepted(
    session: Session, extract: Extract, said: Said, gives_coverage: bool | None, accepted_at: datetime, replay: int
) -> None:
    """The delivery is accepted: its counts, its days, its coverage. A replay adds to what was accepted before."""
    session.execute(
        "update ops.extract set state = 'accepted', blocked_by = null, accepted_at = coalesce(accepted_at, $2),"
        " gives_coverage = case when $3 then true else coalesce(gives_coverage, $3) end,"
        " first_date = least(first_date, $4), last_date = greatest(last_date, $5), rows_in = $6, rows_accepted = $7,"
        " rows_quarantined = $8, rows_duplicate = $9, rows_excluded = $10, unreadable_keys = $11,"
        " replays = greatest(replays, $12) where extract_id = $1",
        extract.extract_id,
        accepted_at,
        gives_coverage,
        said.first,
        said.last,
        *(said.counts[name] for name in COUNTS),
        said.unreadable_keys,
        replay,
    )
    supersede(session, extract)
    session.execute("update ops.stream set accept_count = accept_count + 1 where stream_id = $1", extract.stream_id)


def block(warehouse: Warehouse, extract: Extract, why: str, counts: Mapping[str, int]) -> None:
    """Nothing of the delivery is used; a corrected one supersedes it."""
    with warehouse.session() as session:
        session.execute(
            "update ops.extract set state = 'blocked', blocked_by = $2, rows_in = $3, rows_accepted = $4,"
            " rows_quarantined = $5, rows_duplicate = $6, rows_excluded = $7"
            " where extract_id = $1 and state <> 'accepted'",
            extract.extract_id,
            why.replace("\0", NUL_PICTURE),
            *(counts.get(name) for name in COUNTS),
        )
        session.commit()


def release(session: Session, extract: Extract, *, by: str, reason: str, overruled: str, at: datetime) -> None:
    """Let a delivery pass in spite of what holds it back. A blocked one is pending then."""
    session.execute(
        "insert into ops.release (extract_id, released_at, released_by, reason, overruled) values ($1, $2, $3, $4, $5)",
        extract.extract_id,
        at,
        by,
        reason,
        overruled,
    )
    reopen(session, extract)


def reopen(session: Session, extract: Extract) -> None:
    """Have a blocked delivery pending again."""
    session.execute(
        "update ops.extract set state = 'landed' where extract_id = $1 and state = 'blocked'", extract.extract_id
    )


def is_released(session: Session, extract: Extract) -> bool:
    """Whether somebody let the delivery pass."""
    rows = session.fetch("select 1 from ops.release where extract_id = $1 limit 1", extract.extract_id)
    return bool(rows.height)


def counts_of(session: Session, extract: Extract) -> dict[str, int]:
    """The rows_… columns of an accepted delivery."""
    return session.fetch(f"select {', '.join(COUNTS)} from ops.extract where extract_id = $1", extract.extract_id).row(
        0, named=True
    )


def supersede(session: Session, extract: Extract) -> None:
    """A blocked delivery whose slot has a newer accepted one is no longer waited for."""
    session.execute(
        "update ops.extract as old set state = 'superseded' from ops.extract as new"
        " where new.extract_id = $1 and old.stream_id = new.stream_id and old.slot = new.slot"
        " and old.state = 'blocked'"
        " and (old.as_of, old.revision, old.landed_at) < (new.as_of, new.revision, new.landed_at)",
        extract.extract_id,
    )
