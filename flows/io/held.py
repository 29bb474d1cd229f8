"""What is held back: blocked deliveries, and those with quarantined rows; how they are found again and let pass."""

from datetime import datetime
from pathlib import Path

from flows.io import ledger
from flows.io.ledger import Extract
from flows.io.pull import landed_as
from flows.io.pull.deliveries import Delivery
from flows.io.replay import CLAIMING
from flows.io.warehouse import Session
from flows.report import UsageError
from schemas.errors import StorageError
from schemas.source import Source

_HELD = """
select extract_id
from ops.extract
where
    ($1 = '' or source = $1) and ($2 = '' or dataset = $2)
    and (
        state = 'blocked'
        or state = 'accepted' and exists (
            select from ops.quarantine_count as counted
            where counted.extract_id = extract.extract_id and counted.held_count > 0
        )
    )
order by as_of, revision, landed_at, extract_id
"""


def held_extracts(session: Session, source: str | None = None, dataset: str | None = None) -> list[int]:
    """Blocked deliveries, and accepted ones of which rows are held back; oldest first."""
    return session.fetch(_HELD, source or "", dataset or "")["extract_id"].to_list()


def known(session: Session, extract_id: int) -> Extract:
    """A delivery of the ledger's.

    Raises:
        UsageError: There is none of that number.
    """
    found = ledger.extracts(session, "extract_id = $1::bigint", extract_id)
    if not found:
        raise UsageError(
            f"There is no extract {extract_id}.",
            remedy="opsmart quarantine list shows the numbers of extracts with rows held back, and of blocked ones",
        )
    return found[0]


def delivery_of(extract: Extract, source: Source | None, landing: Path) -> Delivery:
    """A delivery as it landed, with the bytes it had.

    Raises:
        StorageError: It is not there any more.
    """
    delivery = None if source is None else landed_as(source, landing, extract)
    if delivery is None:
        raise StorageError(
            "the delivery is not in the landing store as the source's folder now reads it",
            where=f"extract {extract.extract_id}: {extract.source}.{extract.dataset} {extract.slot}, {extract.file}",
            remedy="restore the landing folder with .store in it, or have it delivered again; where slots or tables are"
            " named differently now, the next opsmart nightly takes it as a new delivery",
        )
    return delivery


def release(session: Session, extract: Extract, *, by: str, reason: str, now: datetime) -> None:
    """Record that somebody lets a delivery pass; it is taken by the next replay or night.

    Raises:
        UsageError: Nothing that a person may overrule holds it back, or no reason is given.
    """
    if not reason.strip():
        raise UsageError("The reason is empty.", remedy="say in --reason why the delivery is right as it is")
    overruled = _overruled(session, extract)
    ledger.release(session, extract, by=by, reason=reason.strip(), overruled=overruled, at=now)


def _overruled(session: Session, extract: Extract) -> str:
    if extract.state == "blocked":
        said, rows = session.fetch(
            "select blocked_by, rows_in from ops.extract where extract_id = $1", extract.extract_id
        ).row(0)
        if rows is None:
            raise UsageError(
                f"No gate holds extract {extract.extract_id} back: {said.splitlines()[0]}.",
                remedy="have it delivered again, or mend the source's folder, then opsmart quarantine replay"
                f" {extract.extract_id}",
            )
        return str(said)
    if extract.state == "accepted" and extract.mode in CLAIMING and not extract.gives_coverage:
        if extract.unreadable_keys:
            raise UsageError(
                f"Extract {extract.extract_id} holds {extract.unreadable_keys:,} rows back that may be of any key.",
                remedy=f"correct them, then opsmart quarantine replay {extract.extract_id}",
            )
        return "it lacks more keys than retire_limit_pct lets end at once"
    raise UsageError(
        f"Nothing holds extract {extract.extract_id} back that could be released: it is {extract.state}.",
        remedy="rows in quarantine are replayed: opsmart quarantine replay",
    )
