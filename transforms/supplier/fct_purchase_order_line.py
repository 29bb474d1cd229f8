"""Purchase order lines: see schemas/facts/fct_purchase_order_line.py for grain and measures."""

import polars as pl

from schemas.facts.fct_purchase_order_line import FctPurchaseOrderLine
from transforms.common.calendar import days_between
from transforms.common.currency import multiply, with_rate
from transforms.common.dimensions import with_key
from transforms.common.facts import first_per_link, in_other_currencies, one, with_item_unit, with_site
from transforms.common.quantity import QUANTITY, in_base_unit
from transforms.common.shape import fact_columns
from transforms.supplier.receipts import receipts_per_line
from transforms.supplier.variance import with_ppv

_DATES = {"requested_on": "requested", "promised_on": "promised", "committed_on": "committed"}
"""The three dates a supplier may be measured against, and the names of their measures."""


def fct_purchase_order_line(
    purchase_order_line: pl.LazyFrame,
    goods_receipt: pl.LazyFrame,
    item: pl.LazyFrame,
    item_cost: pl.LazyFrame,
    site: pl.LazyFrame,
    code_map: pl.LazyFrame,
    fx_rate: pl.LazyFrame,
    *,
    reporting_currency: str,
) -> pl.LazyFrame:
    """One row per purchase order line with what has been received on it."""
    given = purchase_order_line
    rows = with_site(with_key(given, given, "supplier_id", "supplier", code_map), given, site, code_map)
    rows = with_item_unit(rows, given, item, code_map).with_columns(order_uom=pl.col("uom"))
    lines = first_per_link(rows, "_zone", "base_uom", "order_uom", *_DATES)
    rows = rows.join(receipts_per_line(goods_receipt, lines, _DATES), on="_link_hash", how="left")
    for rate, to in (("fx_rate_functional", "functional_currency"), ("fx_rate_reporting", pl.lit(reporting_currency))):
        rows = with_rate(rows, fx_rate, rate, currency="currency", to=to, on="ordered_on")
    rows = _with_amounts(rows.with_columns(due_on=pl.coalesce("committed_on", "promised_on", "requested_on")))
    rows = with_ppv(
        rows,
        item_cost,
        code_map,
        fx_rate,
        quantity="_received_in_order_uom",
        order_factor="uom_factor",
        on="ordered_on",
    )
    return fact_columns(_with_counts(rows), FctPurchaseOrderLine)


def _with_amounts(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Quantities in the base unit, amounts in three currencies; nothing received yet is 0."""
    has_receipts = pl.col("received_qty").is_not_null() | pl.col("_received_in_order_uom").is_not_null()
    nothing_yet = ["received_qty", "accepted_qty", "rejected_qty", "_received_in_order_uom"]
    rows = rows.with_columns(
        pl.when(has_receipts).then(name).otherwise(pl.lit(0, QUANTITY)).alias(name) for name in nothing_yet
    )
    return rows.with_columns(
        *in_base_unit(["ordered_qty"]),
        multiply(pl.col("ordered_qty"), pl.col("unit_price")).alias("ordered_amount"),
        multiply(pl.col("_received_in_order_uom"), pl.col("unit_price")).alias("received_amount"),
    ).with_columns(expr for name in ("ordered_amount", "received_amount") for expr in in_other_currencies(name))


def _with_counts(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Flags and counts, decided without looking at today."""
    ordered, received, last = pl.col("ordered_qty"), pl.col("received_qty"), pl.col("last_received_on")
    is_return = pl.col("is_return").fill_null(value=False)
    is_measured = (pl.col("status") != "cancelled") & ~is_return
    in_full = is_measured & (received > 0) & (received >= ordered)
    counts = []
    for date, name in _DATES.items():
        by_date = pl.col(f"_received_by_{name}")
        is_decided = in_full.fill_null(value=False) | (pl.col("status") == "closed") | (last > pl.col(date))
        due = is_measured & pl.col(date).is_not_null() & is_decided
        counts += [
            one(f"due_{name}_count", due),
            one(f"on_time_{name}_count", due & (received > 0) & (by_date >= pl.min_horizontal(ordered, received))),
            one(f"otif_{name}_count", due & (received > 0) & (by_date >= ordered)),
        ]
    return rows.with_columns(
        is_return.alias("is_return"),
        (pl.col("status") == "cancelled").alias("is_cancelled"),
        one("line_count"),
        one("in_full_count", in_full),
        *counts,
        days_between(pl.col("ordered_on"), last).alias("lead_time_days"),
        days_between(pl.col("promised_on"), last).alias("days_late"),
    )
