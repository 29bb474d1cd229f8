"""Mending what `checks` finds: what the lake lacks is staged again, what was tampered with is built again."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from flows.io import dirty
from flows.io.checks import SOURCE, LakeGap, Table, Tampered, altered_rows, append_id, slice_day
from flows.io.dirty import Change
from flows.io.lake import Lake
from flows.io.ledger import Extract
from flows.io.publish import SLICE
from flows.io.pull.again import SEPARATOR
from flows.io.pull.deliveries import Delivery
from flows.io.spans import Seen
from flows.io.stage import stage
from flows.io.warehouse import ACCEPT_LOCK, Session, Warehouse, quote
from schemas.catalog import DATASETS, DIMENSIONS, FACTS
from schemas.errors import OpsmartError
from schemas.registry import Fact
from schemas.source import Source

REASON = "verify"


def refill(
    warehouse: Warehouse,
    lake: Lake,
    gap: LakeGap,
    source: Source,
    landed: Mapping[tuple[str, str, int, str], Delivery],
    work: Path,
    pseudonym: Callable[[pl.Series], pl.Series],
) -> Iterator[str]:
    """Append what the lake lacks, from the bytes in the landing store, and dirty the slices it concerns.

    `landed` has the source's deliveries by dataset, slot, revision and content hash. What cannot be staged again is
    yielded, in words.
    """
    for extract in gap.extracts:
        where = f"{extract.source} · {extract.dataset} · {extract.slot}"
        delivery = landed.get(
            (extract.dataset, extract.slot, extract.revision, extract.content_hash.partition(SEPARATOR)[0])
        )
        if delivery is None or not all(file.path.exists() for file in delivery.files):
            yield f"{where}: its bytes are not in the landing store any more; restore it, or have it delivered again"
            continue
        folder = work / f"repair-{extract.extract_id}"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _append_again(warehouse, lake, extract, delivery, source, folder, pseudonym)
        except OpsmartError as error:
            yield f"{where}: {error}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _append_again(
    warehouse: Warehouse,
    lake: Lake,
    extract: Extract,
    delivery: Delivery,
    source: Source,
    folder: Path,
    pseudonym: Callable[[pl.Series], pl.Series],
) -> None:
    dataset = DATASETS[extract.dataset]
    staged = stage(delivery, source, dataset, folder, extract_id=extract.extract_id, pseudonym=pseudonym)
    # All of its rows: those that were known then may be among the lost ones, and a row there twice is one row.
    lake.append(dataset, staged.rows, append_id(extract))
    with warehouse.session() as session:
        # A night that ran meanwhile has built its slices without them.
        session.lock(ACCEPT_LOCK)
        dirty.mark(session, lake, extract, Change.of_staged(staged.rows), Seen(frozenset(), has_new_days=False))
        session.commit()


def redo(warehouse: Warehouse, name: str, found: Sequence[Tampered]) -> None:
    """Dirty the tampered slices of a table, and see to it that the next build notices what is wrong with their rows."""
    table: Table = FACTS[name] if name in FACTS else DIMENSIONS[name]
    with warehouse.session() as session:
        session.lock(ACCEPT_LOCK)
        session.lock(f"opsmart.publish.{name}")
        if any(slice_.altered for slice_ in found):
            _spoil_hashes(session, table)
        for slice_ in found:
            if not slice_.published_rows and isinstance(table, Fact):
                # Nothing was published there, so nobody would look there.
                day = slice_day(table)
                session.execute(
                    f"delete from mart.{quote(name)} where source = $1 and {day} = $2", slice_.source, slice_.day
                )
        slices = [(name, slice_.source, slice_.day) for slice_ in found if slice_.published_rows]
        schema = {"fact": pl.String, "source": pl.String, "day": pl.Date}
        dirty.mark_slices(session, pl.DataFrame(slices, schema=schema, orient="row"), REASON)
        session.commit()


def _spoil_hashes(session: Session, table: Table) -> None:
    """Have rows whose content is not that of their hash look outdated: publishing compares hashes."""
    for rows in altered_rows(session, table):
        own = rows.drop(SOURCE, SLICE)
        session.load_temporary(own, "altered_row")
        same = " and ".join(f"kept.{quote(column)} = altered.{quote(column)}" for column in own.columns)
        session.execute(
            f"update mart.{quote(table.name)} as kept set row_hash = ~row_hash"
            f" from pg_temp.altered_row as altered where {same}"
        )
