"""Rows of an accepted delivery that were held back, taken later: as its source maps and corrects them by then.

They count in the delivery's own order, so what came after it stays newer. Rows that were accepted stay as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from flows.io import ledger, quarantine
from flows.io.accept import StagedRows, accept
from flows.io.lake import Lake
from flows.io.ledger import Extract
from flows.io.stage import Staged
from flows.io.staging.duplicates import write
from flows.io.warehouse import Session, Warehouse

CLAIMING = ("snapshot", "period")
"""Modes whose deliveries claim to be complete."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the rows that were held: how many there were, how many are in now, how many are held still."""

    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    rows_duplicate: int
    rows_excluded: int
    gives_coverage: bool


def take_held(
    warehouse: Warehouse, lake: Lake, extract: Extract, staged: Staged, *, retire_limit_pct: float, now: datetime
) -> Replayed:
    """Accept of a delivery that was staged once more what had been held back.

    Safe to repeat after a crash at any point.

    Args:
        warehouse: The warehouse.
        lake: The lake.
        extract: The delivery, accepted.
        staged: All of it, as staged now.
        retire_limit_pct: As in source.yaml, or 100 where the delivery was released.
        now: The moment.
    """
    with warehouse.session() as session:
        held = quarantine.held(session, lake, extract)
        before = ledger.counts_of(session, extract)
        is_released = ledger.is_released(session, extract)
    still = staged.quarantined.filter(pl.col("row_no").is_in(held.implode()))
    rows = staged.rows.with_name("held.parquet")
    write(pl.scan_parquet(staged.rows).filter(pl.col("_row_no").is_in(held.implode())), rows)
    moved = _moved(before, held, still, rows, staged)
    unreadable = still.filter(pl.col("key_hash").is_null())["row_no"].n_unique()
    # Kept back for its unreadable keys it may give coverage now; for the limit it does once somebody releases it.
    may_claim = extract.mode in CLAIMING and (is_released or bool(extract.unreadable_keys))
    accepted = StagedRows(
        rows=rows,
        row_count=pl.scan_parquet(rows).select(pl.len()).collect().item(),
        sightings=staged.sightings,
        counts={name: count + moved.get(name, 0) for name, count in before.items()},
        gives_coverage=may_claim and not unreadable,
        unreadable_keys=unreadable,
        retire_limit_pct=retire_limit_pct,
    )

    def note(session: Session) -> None:
        quarantine.note_replayed(session, extract, still, now)
        quarantine.keep_corrections(session, extract, staged)

    gives_coverage = accept(warehouse, lake, extract, accepted, now, replay=extract.replays + 1, also=note)
    quarantine.file_replayed(lake, extract, still, now)
    counts = moved | {"rows_in": before["rows_quarantined"], "rows_quarantined": still["row_no"].n_unique()}
    return Replayed(**counts, gives_coverage=bool(extract.gives_coverage or gives_coverage))


def _moved(
    before: Mapping[str, int], held: pl.Series, still: pl.DataFrame, rows: Path, staged: Staged
) -> dict[str, int]:
    """By how much the rows_… columns of the delivery change; they balance afterwards as before."""
    free = before["rows_quarantined"] - still["row_no"].n_unique()
    duplicate = min(free, staged.copies.is_in(held.implode()).sum())
    accepted = min(free - duplicate, pl.scan_parquet(rows).select(pl.len()).collect().item())
    return {
        "rows_accepted": accepted,
        "rows_quarantined": -free,
        "rows_duplicate": duplicate,
        "rows_excluded": free - duplicate - accepted,
    }


def withheld(extract: Extract, unreadable_keys: int, *, gives_coverage: bool) -> list[str]:
    """Why a delivery that claims to be complete ends no key, in words; nothing where it does not claim it or does."""
    if extract.mode not in CLAIMING or gives_coverage:
        return []
    if unreadable_keys:
        return [f"it ends no key, because {unreadable_keys:,} of its quarantined rows may be of any"]
    remedy = f"opsmart release {extract.extract_id} --reason …"
    return [f"it lacks more keys than may end at once, so they stay; if that is right: {remedy}"]
