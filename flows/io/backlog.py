"""Tables that await a build."""

from collections.abc import Iterable, Sequence

from flows.io.warehouse import Session
from schemas.catalog import FACTS


def dirty(session: Session, tables: Iterable[str]) -> list[str]:
    """Those of the tables that have slices to be built."""
    names = session.fetch("select distinct fact from ops.awaiting_slice where state = 'pending'")["fact"]
    return [name for name in tables if name in set(names)]


def largest_first(session: Session, facts: Sequence[str]) -> list[str]:
    """Dirty facts by how much drives their dirty days: while the largest is published the others are built."""
    rows = dict(session.fetch(_DIRTY_ROWS, list(facts)).iter_rows())
    return sorted(facts, key=lambda name: -max(rows.get(dataset, 0) for dataset in FACTS[name].driving))


_DIRTY_ROWS = """
with dirty as (
    select distinct day from ops.awaiting_slice
    where fact = any($1) and state = 'pending'
)
select stream.dataset, sum(stream_day.row_count)::bigint
from dirty
inner join ops.stream_day using (day)
inner join ops.stream using (stream_id)
group by stream.dataset
"""
