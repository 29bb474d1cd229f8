"""Dirt: cells that cannot be read, words nobody knows, rows delivered twice, corrected files.

What is spoiled in a delivery depends on the seed, the dataset and the slot alone, so that any subset of deliveries in
any order has the same dirt. A corrected file (revision 1) has most of it mended and says a few things differently.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from samples.damage import kinds_of
from samples.faults import BREAKS_LINE, CONFLICT, EVERY, ORDINARY, Fault
from samples.plan import Plan
from samples.systems import TABLES, mode
from samples.tools import Array, stream

READABLE = -1

CORRECTED = {
    "sample_erp.purchase_order_line": "unit_price",
    "sample_wms.stock_snapshot": "on_hand_qty",
    "sample_mes.production_order": "planned_qty",
    "sample_mes.operation_confirmation": "run_min",
}
"""What a corrected file says one more of, in one row."""

SHORTENED = ("sample_wms.stock_snapshot", "sample_mes.operation_confirmation")
"""Datasets whose corrected file lacks a row."""

JOURNAL = "sample_ledger.gl_entry"
MOST_BAD_ROWS = 4
"""Of a small file: ordinary dirt is not so much that the file as a whole is refused."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What identifies the dirt of a delivery and its corrections."""

    plan: Plan
    name: str
    night: int
    period: str
    dirt: float
    every_kind: bool = False

    def damage(self, share: float) -> str:
        """How the first file of the delivery is damaged, for a share of all deliveries; '' for the others."""
        rng = stream(self.plan.seed, "damage", self.name, self.night, self.period, self.plan.start)
        kinds = kinds_of(next(iter(TABLES[self.name].values())).dialect)
        return str(rng.choice(kinds)) if rng.random() < share else ""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Ways in which its rows are spoiled."""
        return (EVERY if self.every_kind else ORDINARY).get(self.name, ())

    def draw(self, rows: int) -> tuple[np.random.Generator, int, bool, bool]:
        """The slot's random stream, how many rows are bad, whether a correction follows, whether it comes twice."""
        rng = stream(self.plan.seed, "dirt", self.name, self.night, self.period, self.plan.start)
        bad = int(rng.binomial(rows, self.dirt)) if self.faults else 0
        if not self.every_kind:
            bad = min(bad, max(MOST_BAD_ROWS, rows // 50))
        if self.name == JOURNAL:
            bad = (bad + 1) // 2  # journals, of two to four lines each
        odds = max(0.5, self.plan.p_revision) if bad else self.plan.p_revision
        corrects = bool(self.faults) and rng.random() < odds
        is_one_file = self.name != "sample_erp.purchase_order_line"
        twice = is_one_file and mode(self.name) in ("append", "delta") and rng.random() < self.plan.p_twice
        return rng, bad, bool(corrects and self.plan.p_revision > 0), twice

    def kinds(self, rng: np.random.Generator, count: int) -> Array:
        """How each of the bad rows is spoiled; where every kind is wanted they take turns."""
        if self.every_kind:
            return (5 * self.night + np.arange(count)) % len(self.faults)
        return rng.integers(0, len(self.faults), count)


def soil(slot: Slot, rows: pl.DataFrame, revision: int) -> pl.DataFrame:
    """The rows of a delivery as its file has them, with `_fault` (position in its faults or -1) and `_is_duplicate`.

    `rows` has `_is_excluded`: rows that the mapping leaves out are never spoiled, so that every row counts once; nor
    are deletions, whose key alone must be right.
    """
    rng, bad, _, _ = slot.draw(len(rows))
    is_deletion = pl.col("is_deleted") if "is_deleted" in rows.columns else pl.lit(value=False)
    usable = np.flatnonzero(rows.select(~(pl.col("_is_excluded") | is_deletion)).to_series().to_numpy())
    spoiled = rng.permutation(usable)[: min(bad, max(len(usable) - 1, 0))]
    fault = np.full(len(rows), READABLE)
    if len(spoiled):
        fault[spoiled] = slot.kinds(rng, len(spoiled))
    if revision:
        fault[spoiled[rng.random(len(spoiled)) < 0.8]] = READABLE
        rows, fault = _corrected(rng, slot.name, rows, fault, usable)
    if slot.name == JOURNAL:
        fault = _whole_journals(rows, fault)
    marked = rows.with_columns(pl.Series("_fault", fault, dtype=pl.Int32), _is_duplicate=pl.lit(value=False))
    return _with_copies(rng, slot, marked)


def _corrected(
    rng: np.random.Generator, name: str, rows: pl.DataFrame, fault: Array, usable: Array
) -> tuple[pl.DataFrame, Array]:
    position = pl.int_range(pl.len())
    if (column := CORRECTED.get(name)) and len(usable):
        chosen = int(rng.choice(usable))
        more = pl.when(position == chosen).then(pl.col(column) + 1).otherwise(pl.col(column))
        rows = rows.with_columns(more.cast(rows.schema[column]).alias(column))
    clean = np.flatnonzero(fault == READABLE)
    if name in SHORTENED and len(clean) > 1:
        left_out = int(rng.choice(clean))
        keep = np.arange(len(rows)) != left_out
        rows, fault = rows.filter(pl.Series(keep)), fault[keep]
    return rows, fault


def _whole_journals(rows: pl.DataFrame, fault: Array) -> Array:
    """A journal is spoiled as a whole: half a journal in quarantine would leave the other half out of balance."""
    marked = rows.select("journal_id", _fault=pl.Series(fault)).with_columns(pl.col("_fault").max().over("journal_id"))
    whole = marked["_fault"].to_numpy()
    return whole if (whole == READABLE).any() else np.full(len(whole), READABLE)


def _with_copies(rng: np.random.Generator, slot: Slot, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that stand in the file twice, and conflicting versions of the rows spoiled that way."""
    parts = [rows]
    conflicts = [number for number, fault in enumerate(slot.faults) if fault is CONFLICT]
    if conflicts:
        other = rows.filter(pl.col("_fault").is_in(conflicts))
        parts.append(other.with_columns((pl.col("unit_price") + 7).cast(rows.schema["unit_price"])))
    clean = np.flatnonzero((rows["_fault"] == READABLE).to_numpy() & ~rows["_is_excluded"].to_numpy())
    copies = rng.permutation(clean)[: int(rng.binomial(len(clean), slot.plan.p_duplicate))] if len(clean) else clean
    if len(copies):
        parts.append(rows[np.sort(copies)].with_columns(_is_duplicate=pl.lit(value=True)))
    return pl.concat(parts) if len(parts) > 1 else rows


def spoil(text: pl.DataFrame, name: str, fault: pl.Series) -> pl.DataFrame:
    """The raw table with the cells of spoiled rows overwritten."""
    for number in sorted(set(fault.to_list()) - {READABLE}):
        for heading, cell in EVERY[name][number].cells:
            is_spoiled, cells = fault == number, _cell(cell, text.schema[heading])
            text = text.with_columns(pl.when(is_spoiled).then(cells).otherwise(pl.col(heading)).alias(heading))
    return text


def _cell(cell: str | None, dtype: pl.DataType) -> pl.Expr:
    """A cell as text, or as what a typed file can say."""
    if cell is not None and dtype == pl.Date:
        return pl.lit(date.fromisoformat(cell))
    return pl.lit(cell, dtype=pl.String).cast(dtype)


def breaks_lines(name: str, fault: pl.Series) -> bool:
    """Whether a spoiled row breaks its line."""
    return any(
        cell == BREAKS_LINE for number in set(fault.to_list()) - {READABLE} for _, cell in EVERY[name][number].cells
    )
