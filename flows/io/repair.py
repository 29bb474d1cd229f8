"""Mending what `checks` finds: what the lake lacks is staged again, what was tampered with is built again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from flows.io import dirty
from flows.io.checks import SOURCE, Difference, LakeGap, OutdatedMetric, Table, Tampered, altered_rows, slice_day
from flows.io.dirty import Change
from flows.io.lake import Lake
from flows.io.ledger import Extract
from flows.io.metrics import recompute, set_aside
from flows.io.publish import SLICE
from flows.io.pull import pull
from flows.io.pull.again import SEPARATOR
from flows.io.pull.deliveries import Delivery
from flows.io.spans import Seen
from flows.io.stage import stage
from flows.io.staging.pseudonym import pseudonymiser
from flows.io.warehouse import ACCEPT_LOCK, Session, Warehouse, quote
from flows.settings import Settings
from schemas.catalog import DATASETS, DIMENSIONS, FACTS
from schemas.errors import OpsmartError
from schemas.registry import Fact
from schemas.source import Source

REASON = "verify"


@dataclass(frozen=True, slots=True)
class Repair:
    """Mends an installation."""

    settings: Settings
    sources: Mapping[str, Source]
    warehouse: Warehouse
    lake: Lake

    def mend(self, found: Sequence[Difference]) -> list[str]:
        """Give the lake what it lacks, from the landing store, and dirty slices that differ; what stays, in words."""
        beyond = [text for gap in found if isinstance(gap, LakeGap) for text in self._refill(gap)]
        tampered = [slice_ for slice_ in found if isinstance(slice_, Tampered)]
        for table in sorted({slice_.table for slice_ in tampered}):
            redo(self.warehouse, table, [slice_ for slice_ in tampered if slice_.table == table])
        outdated = {metric.fact for metric in found if isinstance(metric, OutdatedMetric)}
        recompute(self.warehouse, outdated - {slice_.table for slice_ in tampered})
        return beyond

    def _refill(self, gap: LakeGap) -> Iterator[str]:
        source = self.sources.get(gap.stream.source)
        if source is None:
            yield f"{gap.stream.source}: the source's folder is gone, so its bytes cannot be read"
            return
        landed = {
            (delivery.dataset, delivery.slot, delivery.revision, delivery.content_hash): delivery
            for delivery in pull(source, self.settings, with_queries=False).deliveries
        }
        for extract in gap.extracts:
            where = f"{extract.source} · {extract.dataset} · {extract.slot}"
            content_hash = extract.content_hash.partition(SEPARATOR)[0]
            delivery = landed.get((extract.dataset, extract.slot, extract.revision, content_hash))
            if delivery is None or not all(file.path.exists() for file in delivery.files):
                yield f"{where}: its bytes are not in the landing store; restore it, or have it delivered again"
                continue
            try:
                self._append_again(extract, delivery, source)
            except OpsmartError as error:
                yield f"{where}: {error}"

    def _append_again(self, extract: Extract, delivery: Delivery, source: Source) -> None:
        """Append the rows that the lake does not have of the delivery: those that were known then may be lost too."""
        pseudonym = pseudonymiser(self.settings.home)
        with TemporaryDirectory(prefix="repair-", dir=self.settings.home / "work") as folder:
            rows = stage(
                delivery, source, DATASETS[extract.dataset], Path(folder),
                extract_id=extract.extract_id, pseudonym=pseudonym,
            ).rows  # fmt: skip
            dataset = DATASETS[extract.dataset]
            known = self.lake.appended(dataset, extract.append_ids)
            lost = [append for append in extract.append_ids if append not in known]
            missing = self._missing(extract, rows)
            # Which of them came with which replay nobody asks, but each has left some, and verify looks for each.
            for at, append in enumerate(lost, 1):
                share = missing[at - 1 :] if at == len(lost) else missing[at - 1 : at]
                self.lake.append(dataset, rows, append, share)
            with self.warehouse.session() as session:
                # A night that ran meanwhile has built its slices without them.
                session.lock(ACCEPT_LOCK)
                nothing_new = Seen(frozenset(), has_new_days=False)
                dirty.mark(session, self.lake, extract, Change.of_staged(rows), nothing_new)
                session.commit()

    def _missing(self, extract: Extract, rows: Path) -> pl.DataFrame:
        """`_row_no` of a delivery's rows that the lake has not."""
        have = self.lake.scan(DATASETS[extract.dataset]).filter(pl.col("_extract_id") == extract.extract_id)
        number = pl.col("_row_no")
        return pl.scan_parquet(rows).select(number).join(have.select(number), on="_row_no", how="anti").collect()


def redo(warehouse: Warehouse, name: str, found: Sequence[Tampered]) -> None:
    """Dirty the tampered slices of a table, and see to it that the next build notices what is wrong with their rows."""
    table: Table = FACTS[name] if name in FACTS else DIMENSIONS[name]
    with warehouse.session() as session:
        session.lock(ACCEPT_LOCK)
        session.lock(f"opsmart.publish.{name}")
        # Publishing takes off what the tampered rows would come to, which is not what they were added with.
        set_aside(session, name)
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
