"""Ordinary dirt: cells that cannot be read, words nobody knows, rows delivered twice, corrected files.

What is spoiled in a delivery depends on the seed, the dataset and the slot alone, so that any subset of deliveries in
any order has the same dirt. A corrected file (revision 1) has most of it mended and says a few things differently.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from samples.plan import Plan
from samples.systems import mode
from samples.tools import Array, stream

READABLE = -1


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to spoil a row: `cell` is written under `heading`; `rule` is what quarantine must name."""

    kind: str
    heading: str
    cell: str
    rule: str


def _number(heading: str, cell: str) -> Fault:
    return Fault("bad number", heading, cell, f"{heading}|unreadable")


def _date(heading: str, cell: str) -> Fault:
    return Fault("bad date", heading, cell, f"{heading}|unreadable")


def _unit(heading: str) -> Fault:
    return Fault("unknown unit", heading, "??", "uom_is_known")


def _currency(heading: str) -> Fault:
    return Fault("unknown currency", heading, "QQQ", "currency_exists")


FAULTS: dict[str, tuple[Fault, ...]] = {
    "sample_erp.item": (_number("Listenpreis", "siehe Liste"),),
    "sample_erp.supplier": (Fault("unknown country", "Land", "XQ", "country_exists"),),
    "sample_erp.purchase_order_line": (
        _number("Menge", "12 Stk."),
        _date("Zusage", "31.02.2025"),
        _unit("ME"),
        _currency("Währung"),
        Fault("conflicting versions", "", "", "conflicting_versions"),
    ),
    "sample_wms.goods_receipt": (
        _number("qtyReceived", "n/a"),
        _date("receivedAt", "2025-02-30T10:00:00"),
        _unit("unit"),
    ),
    "sample_wms.stock_snapshot": (_unit("unit"), _currency("value_currency")),
    "sample_mes.production_order": (
        _number("QTY", "ten"),
        _date("DUE", "2025-13-01T00:00:00+00:00"),
        _unit("UNIT"),
        Fault("unknown state", "STATE", "55", "status|nullability"),
    ),
    "sample_mes.operation_confirmation": (
        _number("RUN_MIN", "1:30"),
        _date("BEGIN", "2025-02-29T07:00:00+00:00"),
        _unit("UNIT"),
        _currency("CURR"),
        Fault(
            "ends before it starts",
            "BEGIN",
            "2090-01-01T00:00:00+00:00",
            "ended_at_not_before_started_at",
        ),
    ),
    "sample_ledger.fx_rate": (_number("rate", "N/A"),),
    "sample_ledger.gl_entry": (_date("Posting Date", "02/30/2025"), _currency("Currency")),
    "sample_planning.budget_line": (_currency("Currency"),),
}

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

    def draw(self, rows: int) -> tuple[np.random.Generator, int, bool, bool]:
        """The slot's random stream, how many rows are bad, whether a correction follows, whether it comes twice."""
        rng = stream(self.plan.seed, "dirt", self.name, self.night, self.period, self.plan.start)
        bad = min(int(rng.binomial(rows, self.dirt)), max(MOST_BAD_ROWS, rows // 50)) if self.name in FAULTS else 0
        if self.name == JOURNAL:
            bad = (bad + 1) // 2  # journals, of two to four lines each
        odds = max(0.5, self.plan.p_revision) if bad else self.plan.p_revision
        corrects = self.name in FAULTS and rng.random() < odds
        is_one_file = self.name != "sample_erp.purchase_order_line"
        twice = is_one_file and mode(self.name) in ("append", "delta") and rng.random() < self.plan.p_twice
        return rng, bad, bool(corrects and self.plan.p_revision > 0), twice


def soil(slot: Slot, rows: pl.DataFrame, revision: int) -> pl.DataFrame:
    """The rows of a delivery as its file has them, with `_fault` (position in FAULTS or -1) and `_is_duplicate`.

    `rows` has `_is_excluded`: rows that the mapping leaves out are never spoiled, so that every row counts once; nor
    are deletions, whose key alone must be right.
    """
    rng, bad, _, _ = slot.draw(len(rows))
    is_deletion = pl.col("is_deleted") if "is_deleted" in rows.columns else pl.lit(value=False)
    usable = np.flatnonzero(rows.select(~(pl.col("_is_excluded") | is_deletion)).to_series().to_numpy())
    spoiled = rng.permutation(usable)[: min(bad, max(len(usable) - 1, 0))]
    fault = np.full(len(rows), READABLE)
    if len(spoiled):
        fault[spoiled] = rng.integers(0, len(FAULTS[slot.name]), len(spoiled))
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
    conflicts = [i for i, fault in enumerate(FAULTS.get(slot.name, ())) if fault.kind == "conflicting versions"]
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
        heading, cell = FAULTS[name][number].heading, FAULTS[name][number].cell
        if heading and heading in text.columns:
            is_spoiled = fault == number
            text = text.with_columns(pl.when(is_spoiled).then(pl.lit(cell)).otherwise(pl.col(heading)).alias(heading))
    return text
