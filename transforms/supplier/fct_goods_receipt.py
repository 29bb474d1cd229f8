"""Receipt lines: see schemas/facts/fct_goods_receipt.py for grain and measures."""

import polars as pl

from schemas.facts.fct_goods_receipt import FctGoodsReceipt
from transforms.common.calendar import business_date, days_between
from transforms.common.currency import multiply, with_rate
from transforms.common.dimensions import with_key
from transforms.common.facts import first_per_link, in_other_currencies, one, with_item, with_site
from transforms.common.keys import UNKNOWN_KEY
from transforms.common.quantity import QUANTITY, in_base_unit, with_unit_factor
from transforms.common.shape import fact_columns
from transforms.supplier.receipts import with_outcome
from transforms.supplier.variance import with_ppv

_QUANTITIES = ("received_qty", "accepted_qty", "rejected_qty")
_OF_ORDER: tuple[str, ...] = (
    *("supplier_id", "supplier_key", "item_id", "item_key", "base_uom", "site_id", "site_key"),
    *("functional_currency", "_zone", "order_uom", "currency", "unit_price", "promised_on"),
)
_KEYS = ("supplier_key", "item_key", "site_key")


def fct_goods_receipt(
    goods_receipt: pl.LazyFrame,
    purchase_order_line: pl.LazyFrame,
    item: pl.LazyFrame,
    item_cost: pl.LazyFrame,
    site: pl.LazyFrame,
    code_map: pl.LazyFrame,
    fx_rate: pl.LazyFrame,
    *,
    reporting_currency: str,
) -> pl.LazyFrame:
    """One row per receipt line, valued at the price of its purchase order line."""
    given = purchase_order_line
    orders = with_site(with_key(given, given, "supplier_id", "supplier", code_map), given, site, code_map)
    orders = with_item(orders, given, item, code_map).with_columns(
        pl.col("uom").alias("order_uom"), pl.coalesce("base_uom", "uom").alias("base_uom")
    )
    orders = first_per_link(orders, *_OF_ORDER).with_columns(is_orphan=pl.lit(value=False))
    rows = with_outcome(goods_receipt).join(orders, on="_link_hash", how="left")
    rows = rows.with_columns(
        business_date("received_at", "_zone").alias("received_on"),
        pl.col("is_orphan").fill_null(value=True),
        *(pl.col(key).fill_null(UNKNOWN_KEY) for key in _KEYS),
    )
    rows = with_unit_factor(with_unit_factor(rows), factor="_order_factor", base="order_uom")
    for rate, to in (("fx_rate_functional", "functional_currency"), ("fx_rate_reporting", pl.lit(reporting_currency))):
        rows = with_rate(rows, fx_rate, rate, currency="currency", to=to, on="received_on")
    rows = with_ppv(
        _with_measures(rows),
        item_cost,
        code_map,
        fx_rate,
        quantity="_received_in_order_uom",
        order_factor="_base_per_order_uom",
        on="received_on",
    )
    return fact_columns(rows, FctGoodsReceipt)


def _with_measures(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Quantities in the base unit, amounts in three currencies."""
    order_factor = pl.col("_order_factor").cast(pl.Decimal(38, 10))
    days_late = days_between(pl.col("promised_on"), pl.col("received_on")).clip(lower_bound=0)
    return (
        rows.with_columns(
            (pl.col("received_qty") * order_factor).cast(QUANTITY, strict=False).alias("_received_in_order_uom"),
            (pl.col("uom_factor") / order_factor).cast(pl.Decimal(28, 10), strict=False).alias("_base_per_order_uom"),
            *in_base_unit(_QUANTITIES),
        )
        .with_columns(
            (pl.col("received_qty") * days_late).cast(QUANTITY, strict=False).alias("days_late_x_qty"),
            multiply(pl.col("_received_in_order_uom"), pl.col("unit_price")).alias("received_amount"),
            one("receipt_line_count"),
        )
        .with_columns(in_other_currencies("received_amount"))
    )
