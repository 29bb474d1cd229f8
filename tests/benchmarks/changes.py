"""One per cent of a month changed after its end: moved dates, late receipts, late confirmations, corrections."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from samples import Company
from tests.benchmarks.monthly import write_rows

EVERY = 100
KINDS = 3


def write_changes(company: Company, landing: Path, turn: int) -> None:
    """Write a later night's files; each turn changes other rows.

    Order lines and production orders: a third moves to another day, a third is promised for another day, a third
    differs in quantity. Receipts: half are new ones of past days, half corrections. Confirmations: new ones of past
    days. The journal: the whole month again, with corrected lines.
    """
    slot = company.plan.start + timedelta(days=company.plan.days + turn)
    at = datetime(slot.year, slot.month, slot.day, 2, tzinfo=UTC)
    made = {
        "sample_erp.purchase_order_line": _order_lines(company, at, turn),
        "sample_wms.goods_receipt": _receipts(company, at, turn),
        "sample_mes.production_order": _production_orders(company, at, turn),
        "sample_mes.operation_confirmation": _confirmations(company, turn),
    }
    for name, rows in made.items():
        write_rows(name, rows, f"{slot}", landing)
    journal = company.states["sample_ledger.gl_entry"]
    month = journal.filter(pl.col("_to") > company.plan.days - 1, pl.col("posted_on") >= company.plan.start)
    is_changed = pl.int_range(pl.len()) % EVERY == turn
    corrected = pl.when(is_changed).then(pl.format("corrected {}", pl.lit(turn))).otherwise("reference")
    month = month.with_columns(reference=corrected)
    write_rows("sample_ledger.gl_entry", month, f"{company.plan.start:%Y-%m}_asof_{slot}", landing)


def _some(company: Company, name: str, key: list[str], turn: int) -> pl.DataFrame:
    """The newest delivered version of every hundredth key, numbered in `_kind`."""
    rows = company.events[name].filter(pl.col("_night") < company.plan.days)
    if "updated_at" in rows.columns:
        rows = rows.sort("updated_at").unique(key, keep="last", maintain_order=True)
        rows = rows.filter(~pl.col("is_deleted"))
    if "_is_quotation" in rows.columns:
        rows = rows.filter(~pl.col("_is_quotation"))
    return rows.sort(key).gather_every(EVERY, turn).with_columns(_kind=pl.int_range(pl.len()) % KINDS)


def _changed(rows: pl.DataFrame, kind: int, **columns: pl.Expr) -> pl.DataFrame:
    """Change columns of the rows of one kind."""
    kept = {
        name: pl.when(pl.col("_kind") == kind).then(change.cast(rows.schema[name])).otherwise(pl.col(name))
        for name, change in columns.items()
    }
    return rows.with_columns(**kept)


def _order_lines(company: Company, at: datetime, turn: int) -> pl.DataFrame:
    rows = _some(company, "sample_erp.purchase_order_line", ["po_id", "line_no"], turn)
    rows = _changed(rows, 0, ordered_on=pl.col("ordered_on").dt.offset_by("-1d"))
    rows = _changed(
        rows,
        1,
        promised_on=pl.col("promised_on").dt.offset_by("3d"),
        committed_on=pl.col("committed_on").dt.offset_by("4d"),
    )
    return _changed(rows, 2, ordered_qty=pl.col("ordered_qty") + 1).with_columns(updated_at=pl.lit(at))


def _receipts(company: Company, at: datetime, turn: int) -> pl.DataFrame:
    rows = _some(company, "sample_wms.goods_receipt", ["receipt_id", "line_no"], turn)
    is_new = pl.int_range(pl.len()) % 2 == 0
    return rows.with_columns(
        receipt_id=pl.when(is_new).then(pl.format("GL{}{}", pl.lit(turn), "receipt_id")).otherwise("receipt_id"),
        received_qty=(pl.col("received_qty") + 1).cast(rows.schema["received_qty"]),
        accepted_qty=(pl.col("accepted_qty") + 1).cast(rows.schema["accepted_qty"]),
        updated_at=pl.lit(at),
    )


def _production_orders(company: Company, at: datetime, turn: int) -> pl.DataFrame:
    rows = _some(company, "sample_mes.production_order", ["order_id"], turn)
    rows = _changed(rows, 0, planned_start=pl.col("planned_start").dt.offset_by("-1d"))
    rows = _changed(rows, 1, due_at=pl.col("due_at").dt.offset_by("2d"))
    return _changed(rows, 2, planned_qty=pl.col("planned_qty") + 1).with_columns(updated_at=pl.lit(at))


def _confirmations(company: Company, turn: int) -> pl.DataFrame:
    rows = _some(company, "sample_mes.operation_confirmation", ["confirmation_id"], turn)
    return rows.with_columns(confirmation_id=pl.format("L{}-{}", pl.lit(turn), "confirmation_id"))
