"""Stock balances: see schemas/facts/fct_inventory_daily.py for grain and measures."""

import polars as pl

from schemas.facts.fct_inventory_daily import FctInventoryDaily
from transforms.common.currency import RATE, multiply, with_rate, with_standard_cost
from transforms.common.facts import in_other_currencies, one, with_item_unit, with_site
from transforms.common.quantity import in_base_unit
from transforms.common.shape import fact_columns


def fct_inventory_daily(
    stock_snapshot: pl.LazyFrame,
    item: pl.LazyFrame,
    item_cost: pl.LazyFrame,
    site: pl.LazyFrame,
    code_map: pl.LazyFrame,
    fx_rate: pl.LazyFrame,
    *,
    reporting_currency: str,
) -> pl.LazyFrame:
    """One row per balance; where the snapshot names no cost, the standard cost of its day values it."""
    rows = with_site(stock_snapshot, stock_snapshot, site, code_map)
    rows = with_item_unit(rows, stock_snapshot, item, code_map)
    rows = with_standard_cost(rows, item_cost, code_map, on="snapshot_date")
    has_cost = pl.col("unit_cost").is_not_null()
    per_base_unit = pl.col("unit_cost").cast(pl.Decimal(38, 10)) / pl.col("uom_factor")
    # Before the quantities become base units: the amount is exact in the unit that the cost is given in.
    given = multiply(pl.col("on_hand_qty"), pl.col("unit_cost"))
    rows = rows.with_columns(
        pl.when(has_cost).then(given).alias("_given_amount"),
        pl.when(has_cost).then(per_base_unit.cast(RATE, strict=False)).otherwise("standard_cost").alias("unit_cost"),
        pl.when(has_cost).then("currency").otherwise("cost_currency").alias("currency"),
        *in_base_unit(["on_hand_qty", "reserved_qty", "in_transit_qty"]),
    )
    for rate, to in (("fx_rate_functional", "functional_currency"), ("fx_rate_reporting", pl.lit(reporting_currency))):
        rows = with_rate(rows, fx_rate, rate, currency="currency", to=to, on="snapshot_date")
    valued = multiply(pl.col("on_hand_qty"), pl.col("unit_cost"))
    rows = rows.with_columns(
        pl.coalesce("_given_amount", valued).alias("on_hand_amount"),
        one("balance_count"),
        one("stockout_count", pl.col("on_hand_qty") <= 0),
        one("negative_count", pl.col("on_hand_qty") < 0),
    )
    return fact_columns(rows.with_columns(in_other_currencies("on_hand_amount")), FctInventoryDaily)
