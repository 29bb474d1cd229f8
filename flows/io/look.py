"""Looking at the ledger: what came, what is held back, what waits to be built. Reads only."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from flows.expected import Expectation, Spoken, expectation
from flows.io.warehouse import Session
from schemas.source import Source

Rows = list[dict[str, Any]]

_LAST_EXTRACTS = """
with newest as (
    select
        source, dataset, slot, revision, state, file, landed_at, accepted_at, blocked_by,
        rows_in, rows_accepted, rows_quarantined,
        row_number() over (partition by source, dataset order by as_of desc, revision desc, extract_id desc) as place
    from ops.extract
),
waiting as (
    select
        source, dataset, count(*) filter (where state = 'blocked') as blocked, max(accepted_at) as last_accepted_at
    from ops.extract
    group by source, dataset
)
select
    source, dataset, slot, revision, state, landed_at, accepted_at, blocked_by, file,
    rows_in, rows_accepted, rows_quarantined, 0 as pending, blocked, last_accepted_at
from newest
inner join waiting using (source, dataset)
where place = 1
order by source, dataset
"""

_COLUMNS = (
    "source", "dataset", "slot", "revision", "state", "landed_at", "accepted_at", "blocked_by", "file",
    "rows_in", "rows_accepted", "rows_quarantined", "pending", "blocked",
    "last_accepted_at",
)  # fmt: skip

_ACCEPTED = """
select distinct source, dataset, as_of, period_start, period_end
from ops.extract
where state = 'accepted'
"""

_SETTLED = """
select dataset, slot, revision, content_hash
from ops.extract
where source = $1 and state in ('accepted', 'blocked', 'superseded')
"""

_SLICES = """
select
    coalesce(d.fact, s.fact) as table_name,
    count(*) filter (where a.state = 'pending') as dirty,
    count(*) filter (where a.state = 'blocked') as blocked,
    count(s.fact) as published,
    sum(s.row_count)::bigint as row_count,
    max(s.published_at) as published_at
from ops.dirty_slice as d
full join ops.slice as s using (fact, source, day)
left join ops.awaiting_slice as a using (fact, source, day)
group by 1
order by 1
"""

_STALE = """
select fact as table_name, logic_version, count(*) as slices
from ops.slice
group by fact, logic_version
order by fact, logic_version
"""

_HELD = """
held as (
    select
        q.extract_id, e.source, e.dataset, e.slot, e.file, q.row_no, q.rule, q.column_name, q.value,
        q.raw::text as raw, q.quarantined_at, q.replayed_at,
        -- the key has come again since, or all of what the delivery spoke for has
        exists (
            select from ops.current_key as k
            inner join ops.sighting as s on k.version_sighting = s.sighting_id
            inner join ops.extract as n on s.extract_id = n.extract_id
            where
                k.stream_id = e.stream_id and k.key_hash = q.key_hash
                and (coalesce(k.version_at, n.as_of::timestamp at time zone 'UTC'),
                     n.as_of, n.revision, n.landed_at, n.content_hash)
                > (q.order_at, e.as_of, e.revision, e.landed_at, e.content_hash)
        ) or exists (
            select from ops.extract as n
            where
                n.stream_id = e.stream_id and n.state = 'accepted'
                and case e.mode
                    when 'append' then n.slot = e.slot
                    when 'period' then n.gives_coverage
                        and n.period_start <= e.period_start and n.period_end >= e.period_end
                    when 'snapshot' then n.gives_coverage
                    else false
                end
                and (n.as_of, n.revision, n.landed_at, n.content_hash)
                > (e.as_of, e.revision, e.landed_at, e.content_hash)
        ) as is_superseded
    from ops.quarantined_row as q
    inner join ops.extract as e on q.extract_id = e.extract_id
)
"""

_QUARANTINE = f"""
with {_HELD}, kept as (
    select
        extract_id, rule, min(column_name) as column_name, min(value) as example,
        count(*) filter (where is_superseded) as superseded
    from held
    where replayed_at is null
    group by extract_id, rule
), counted as (
    select
        e.extract_id, e.source, e.dataset, e.slot, c.rule, kept.column_name, kept.example,
        c.held_count - coalesce(kept.superseded, 0) as row_count
    from ops.quarantine_count as c
    inner join ops.extract as e on c.extract_id = e.extract_id
    left join kept on c.extract_id = kept.extract_id and c.rule = kept.rule
    where
        c.held_count > 0 and e.state <> 'superseded'
        and ($1 = '' or e.source = $1) and ($2 = '' or e.dataset = $2)
)
select * from counted
where row_count > 0
order by extract_id desc, row_count desc, rule
"""

_BLOCKED = """
select extract_id, source, dataset, slot, revision, file, blocked_by, landed_at
from ops.extract
where state = 'blocked' and ($1 = '' or source = $1) and ($2 = '' or dataset = $2)
order by extract_id desc
"""

_QUARANTINED_ROWS = f"""
with {_HELD}
select
    row_no, rule, column_name, value, raw, file, quarantined_at, replayed_at,
    case
        when replayed_at is not null then 'replayed'
        when is_superseded then 'superseded'
        else 'held'
    end as state
from held
where extract_id = $1::bigint
order by row_no, rule
limit $2::bigint
"""

_HELD_ROWS = f"""
with {_HELD}
select extract_id, source, dataset, slot, file, row_no, rule, column_name, value, raw
from held
where
    replayed_at is null and not is_superseded
    and ($1 = '' or source = $1) and ($2 = '' or dataset = $2) and ($3::bigint = 0 or extract_id = $3::bigint)
order by extract_id, row_no, rule
"""


def last_extracts(session: Session) -> Rows:
    """Per source and dataset: the newest extract, and how many wait or are blocked."""
    return session.fetch(_LAST_EXTRACTS).to_dicts()


def settled(session: Session, source: str) -> set[tuple[Any, ...]]:
    """Dataset, slot, revision and content hash of a source's deliveries that were accepted, blocked or superseded."""
    return set(session.fetch(_SETTLED, source).iter_rows())


def add_waiting(extracts: Rows, waiting: dict[tuple[str, str], int]) -> None:
    """Sets `pending` to the deliveries that wait, and adds datasets of which none has been taken yet."""
    add_missing(extracts, waiting)
    for row in extracts:
        row["pending"] = waiting.get((row["source"], row["dataset"]), 0)


def add_missing(extracts: Rows, datasets: Iterable[tuple[str, str]]) -> None:
    """Adds empty rows for (source, dataset) of which no extract is known."""
    known = {(row["source"], row["dataset"]) for row in extracts}
    empty: dict[str, Any] = dict.fromkeys(_COLUMNS)
    extracts += [empty | {"source": s, "dataset": d, "pending": 0} for s, d in sorted(set(datasets) - known)]
    extracts.sort(key=lambda row: (row["source"], row["dataset"]))


def expectations(session: Session, sources: Mapping[str, Source], now: datetime) -> dict[tuple[str, str], Expectation]:
    """What each dataset with a deadline owes, of the sources that have delivered anything yet."""
    accepted: dict[tuple[str, str], list[Spoken]] = {}
    for source, dataset, as_of, first, last in session.fetch(_ACCEPTED).iter_rows():
        accepted.setdefault((source, dataset), []).append(Spoken(as_of, None if first is None else (first, last)))
    in_use = set(session.fetch("select distinct source from ops.stream")["source"])
    found = {
        (name, dataset): expectation(sources[name], dataset, accepted.get((name, dataset), []), now)
        for name in sorted(in_use & sources.keys())
        for dataset in sources[name].datasets
    }
    return {key: owed for key, owed in found.items() if owed is not None}


def add_expected(extracts: Rows, owed: Mapping[tuple[str, str], Expectation], now: datetime) -> None:
    """Sets what deadlines say of each dataset, and adds those of which nothing has come."""
    add_missing(extracts, owed)
    for row in extracts:
        expected = owed.get((row["source"], row["dataset"]))
        accepted_at = row["last_accepted_at"]
        row["age_h"] = None if accepted_at is None else round((now - accepted_at).total_seconds() / 3600, 1)
        row["next_deadline"] = expected and expected.next_deadline
        row["freshness"] = expected and ("overdue" if expected.is_overdue else "on time")
        row["days_behind"] = None if expected is None or expected.newest is None else len(expected.behind)
        row["gaps"] = [] if expected is None else list(expected.gaps)


def slices(session: Session) -> Rows:
    """Per fact and dimension: slices to be built, blocked and published, rows, newest publication."""
    return session.fetch(_SLICES).to_dicts()


def stale_slices(session: Session, logic_versions: dict[str, int]) -> Rows:
    """Slices that an older logic built; `logic_versions` is today's, per table."""
    return [
        row
        for row in session.fetch(_STALE).to_dicts()
        if row["logic_version"] < logic_versions.get(row["table_name"], row["logic_version"])
    ]


def quarantine(session: Session, source: str | None = None, dataset: str | None = None) -> Rows:
    """Rows in quarantine counted per extract and rule, newest extract first.

    Those that were replayed are left out, and those whose key has come again since.
    """
    return session.fetch(_QUARANTINE, source or "", dataset or "").to_dicts()


def blocked(session: Session, source: str | None = None, dataset: str | None = None) -> Rows:
    """Blocked deliveries, newest first, with what blocks them."""
    return session.fetch(_BLOCKED, source or "", dataset or "").to_dicts()


def quarantined_rows(session: Session, extract_id: int, limit: int) -> Rows:
    """Quarantined rows of one extract, one entry per broken rule."""
    return session.fetch(_QUARANTINED_ROWS, extract_id, limit).to_dicts()


def held_rows(
    session: Session, source: str | None = None, dataset: str | None = None, extract_id: int | None = None
) -> pl.DataFrame:
    """Rows in quarantine as `quarantine` counts them, one entry per broken rule; `raw` is JSON."""
    return session.fetch(_HELD_ROWS, source or "", dataset or "", extract_id or 0)
