"""Looking at the ledger: what came, what is held back, what waits to be built. Reads only."""

from typing import Any

from flows.io.warehouse import Session

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
    select source, dataset, count(*) filter (where state = 'blocked') as blocked
    from ops.extract
    group by source, dataset
)
select
    source, dataset, slot, revision, state, landed_at, accepted_at, blocked_by, file,
    rows_in, rows_accepted, rows_quarantined, 0 as pending, blocked
from newest
inner join waiting using (source, dataset)
where place = 1
order by source, dataset
"""

_COLUMNS = (
    "source", "dataset", "slot", "revision", "state", "landed_at", "accepted_at", "blocked_by", "file",
    "rows_in", "rows_accepted", "rows_quarantined", "pending", "blocked",
)  # fmt: skip

_SETTLED = """
select dataset, slot, revision, content_hash
from ops.extract
where source = $1 and state in ('accepted', 'blocked', 'superseded')
"""

_SLICES = """
select
    coalesce(d.fact, s.fact) as table_name,
    count(*) filter (where d.generation > coalesce(s.generation, 0) and d.state <> 'blocked') as dirty,
    count(*) filter (where d.generation > coalesce(s.generation, 0) and d.state = 'blocked') as blocked,
    count(s.fact) as published,
    sum(s.row_count)::bigint as row_count,
    max(s.published_at) as published_at
from ops.dirty_slice as d
full join ops.slice as s using (fact, source, day)
group by 1
order by 1
"""

_STALE = """
select fact as table_name, logic_version, count(*) as slices
from ops.slice
group by fact, logic_version
order by fact, logic_version
"""

_QUARANTINE = """
select
    e.extract_id, e.source, e.dataset, e.slot, q.rule, q.column_name,
    count(*) as row_count, min(q.value) as example, min(q.row_no) as first_row_no
from ops.quarantined_row as q
inner join ops.extract as e using (extract_id)
where q.replayed_at is null and ($1 = '' or e.source = $1) and ($2 = '' or e.dataset = $2)
group by e.extract_id, e.source, e.dataset, e.slot, q.rule, q.column_name
order by e.extract_id desc, row_count desc, q.rule
"""

_QUARANTINED_ROWS = """
select q.row_no, q.rule, q.column_name, q.value, q.raw::text as raw, q.quarantined_at, q.replayed_at, e.file
from ops.quarantined_row as q
inner join ops.extract as e using (extract_id)
where q.extract_id = $1::bigint
order by q.row_no, q.rule
limit $2::bigint
"""


def last_extracts(session: Session) -> Rows:
    """Per source and dataset: the newest extract, and how many wait or are blocked."""
    return session.fetch(_LAST_EXTRACTS).to_dicts()


def settled(session: Session, source: str) -> set[tuple[Any, ...]]:
    """Dataset, slot, revision and content hash of a source's deliveries that were accepted, blocked or superseded."""
    return set(session.fetch(_SETTLED, source).iter_rows())


def add_waiting(extracts: Rows, waiting: dict[tuple[str, str], int]) -> None:
    """Sets `pending` to the deliveries that wait, and adds datasets of which none has been taken yet."""
    known = {(row["source"], row["dataset"]): row for row in extracts}
    for row in extracts:
        row["pending"] = waiting.get((row["source"], row["dataset"]), 0)
    for source, dataset in sorted(waiting.keys() - known.keys()):
        empty: dict[str, Any] = dict.fromkeys(_COLUMNS)
        extracts.append(empty | {"source": source, "dataset": dataset, "pending": waiting[source, dataset]})


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
    """Quarantined rows counted per extract and rule, newest extract first; replayed ones are left out."""
    return session.fetch(_QUARANTINE, source or "", dataset or "").to_dicts()


def quarantined_rows(session: Session, extract_id: int, limit: int) -> Rows:
    """Quarantined rows of one extract, one entry per broken rule."""
    return session.fetch(_QUARANTINED_ROWS, extract_id, limit).to_dicts()
