"""Purchase price variance: standard cost against price."""

import polars as pl

from transforms.common.currency import RATE, multiply, with_rate, with_standard_cost


def with_ppv(
    rows: pl.LazyFrame,
    item_cost: pl.LazyFrame,
    code_map: pl.LazyFrame,
    fx_rate: pl.LazyFrame,
    *,
    quantity: str,
    order_factor: str,
    on: str,
) -> pl.LazyFrame:
    """Add ppv_amount and ppv_amount_reporting: (standard cost - unit_price) x quantity; + is favourable.

    `quantity` is in the order's unit, like unit_price; `order_factor` holds the base units in one order unit, which
    take the standard cost there. The cost is the one of the day `on`, at that day's rate. Needs fx_rate_reporting.
    """
    rows = with_standard_cost(rows, item_cost, code_map, on=on)
    rows = with_rate(rows, fx_rate, "_cost_rate", currency="cost_currency", to="currency", on=on)
    cost = multiply(multiply(pl.col("standard_cost"), pl.col(order_factor), RATE), pl.col("_cost_rate"), RATE)
    ppv = multiply(pl.col(quantity), (cost - pl.col("unit_price")).cast(RATE, strict=False))
    rows = rows.with_columns(ppv.alias("ppv_amount"))
    return rows.with_columns(multiply(pl.col("ppv_amount"), pl.col("fx_rate_reporting")).alias("ppv_amount_reporting"))
