"""Metrics as mart.v_metric shows them, compared with what they must come to."""

import polars as pl

from flows.io.warehouse import Warehouse

KEY = ["metric", "scope", "scope_id", "period", "period_start"]
PARTS = ["numerator", "denominator", "value"]


def measured(warehouse: Warehouse, *scopes: str) -> pl.DataFrame:
    """Every metric by day and month, of some scopes or all: KEY and PARTS."""
    with warehouse.session() as session:
        return session.fetch(
            "select metric_id as metric, scope, scope_id, period, period_start, numerator::float8 as numerator,"
            " denominator::float8 as denominator, value::float8 as value"
            " from mart.v_metric where period in ('day', 'month') and (cardinality($1::text[]) = 0 or scope = any($1))",
            list(scopes),
        )


def differing(want: pl.DataFrame, have: pl.DataFrame) -> pl.DataFrame:
    """Metrics, members and periods that are not alike; without rows and a sum of 0 are, without a value and 0 are not.

    Of a metric that is shown by month only, `want` may know the days too.
    """
    both = want.join(have.select("metric", "period").unique(), on=["metric", "period"], how="semi").join(
        have, on=KEY, how="full", coalesce=True, suffix="_have"
    )
    sums = [_differs(pl.col(name).fill_null(0), pl.col(f"{name}_have").fill_null(0)) for name in PARTS]
    is_empty = pl.all_horizontal(pl.col("numerator", "denominator").fill_null(0) == 0)
    has_no_value = (pl.col("value").is_null() != pl.col("value_have").is_null()) & ~is_empty
    return both.filter(pl.any_horizontal(*sums, has_no_value))


def _differs(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    # Sums of floats on the one side, decimals of ten places on the other.
    return (one - other).abs() > 1e-6 + 1e-9 * one.abs()
