"""News for whoever watches: what was published; what is blocked and what is overdue, each told once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import polars as pl

from flows import events
from flows.expected import deadline
from flows.io.look import expectations
from flows.io.warehouse import Session
from flows.report import BuiltTable
from schemas.catalog import FACTS
from schemas.source import Source

_BLOCKED = """
select extract_id, source, dataset, slot, revision, file, blocked_by
from ops.extract
where
    state = 'blocked'
    and not exists (
        select from ops.announcement
        where event = $1 and subject = extract.extract_id::text
    )
order by extract_id
"""


def published(built: Sequence[BuiltTable], run_id: str, now: datetime) -> list[events.Event]:
    """Events of the facts of which a run wrote or removed rows."""
    return [
        events.published(
            table.table, run_id, slices=table.slices, rows_written=table.rows_added, rows_removed=table.rows_removed,
            now=now,
        )
        for table in built
        if table.table in FACTS and table.rows_added + table.rows_removed
    ]  # fmt: skip


def untold(session: Session, sources: Mapping[str, Source], now: datetime) -> list[events.Event]:
    """Events of which none was sent yet: deliveries that are blocked, days whose deadline passed without one."""
    blocked = session.fetch(_BLOCKED, events.BLOCKED).iter_rows(named=True)
    return [*(events.blocked(extract, now) for extract in blocked), *_overdue(session, sources, now)]


def note_told(session: Session, told: Sequence[events.Event]) -> None:
    """Record that events were sent."""
    if not told:
        return
    rows = [(event.name, _subject(event), event.occurred_at) for event in told]
    session.load_temporary(pl.DataFrame(rows, ["event", "subject", "announced_at"], orient="row"), "told")
    session.execute(
        "insert into ops.announcement (event, subject, announced_at) select event, subject, announced_at"
        " from pg_temp.told on conflict (event, subject) do nothing"
    )


def _subject(event: events.Event) -> str:
    if event.name == events.BREACHED:
        return events.breached_subject(event)
    return event.key if event.name == events.BLOCKED else f"{event.resource} {event.key}"


def _overdue(session: Session, sources: Mapping[str, Source], now: datetime) -> Iterator[events.Event]:
    told = set(session.fetch("select subject from ops.announcement where event = $1", events.OVERDUE)["subject"])
    for (name, dataset), owed in expectations(session, sources, now).items():
        source = sources[name]
        if not owed.is_overdue:
            continue
        event = events.overdue(
            name, dataset, day=owed.due, deadline=deadline(source, dataset, owed.due), newest=owed.newest,
            owner=source.owner, now=now,
        )  # fmt: skip
        if _subject(event) not in told:
            yield event
