"""Budget lines: see schemas/facts/fct_budget.py for grain and measures."""

import polars as pl

from schemas.facts.fct_budget import FctBudget
from transforms.common.currency import multiply, with_rate
from transforms.common.dimensions import with_key
from transforms.common.facts import one
from transforms.common.shape import fact_columns


def fct_budget(
    budget_line: pl.LazyFrame, code_map: pl.LazyFrame, fx_rate: pl.LazyFrame, *, reporting_currency: str
) -> pl.LazyFrame:
    """One row per budget line."""
    rows = with_key(budget_line, budget_line, "account_id", "account", code_map)
    rows = with_key(rows, budget_line, "cost_center_id", "cost_center", code_map)
    rows = with_rate(
        rows, fx_rate, "fx_rate_reporting", currency="currency", to=pl.lit(reporting_currency), on="period_start"
    )
    rate = pl.col("fx_rate_reporting")
    rows = rows.with_columns(
        pl.col("version").alias("budget_version"),
        multiply(pl.col("amount"), rate).alias("amount_reporting"),
        multiply(pl.col("fixed_amount"), rate).alias("fixed_amount_reporting"),
        one("budget_line_count"),
    )
    return fact_columns(rows, FctBudget)
