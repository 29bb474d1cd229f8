"""Journal lines: see schemas/facts/fct_gl_entry.py for grain and measures."""

import polars as pl

from schemas.facts.fct_gl_entry import FctGlEntry
from transforms.common.books import IS_REVERSAL, ORIGINAL_DATE
from transforms.common.currency import with_rate
from transforms.common.dimensions import with_key
from transforms.common.facts import in_other_currencies, one, with_site
from transforms.common.shape import fact_columns
from transforms.finance.signs import with_net_amount


def fct_gl_entry(
    gl_entry: pl.LazyFrame,
    account: pl.LazyFrame,
    site: pl.LazyFrame,
    code_map: pl.LazyFrame,
    fx_rate: pl.LazyFrame,
    *,
    reporting_currency: str,
) -> pl.LazyFrame:
    """One row per journal line or correction of one, signed by its account's normal side, in three currencies."""
    rows = with_net_amount(gl_entry, account, code_map)
    rows = with_key(rows, gl_entry, "cost_center_id", "cost_center", code_map)
    rows = with_site(rows, gl_entry, site, code_map)
    # Of the day as delivered: else what takes back a line would not come to the same in other currencies.
    on = ORIGINAL_DATE
    rows = with_rate(rows, fx_rate, "fx_rate_functional", currency="currency", to="functional_currency", on=on)
    rows = with_rate(rows, fx_rate, "fx_rate_reporting", currency="currency", to=pl.lit(reporting_currency), on=on)
    rows = rows.with_columns(
        pl.col(ORIGINAL_DATE).alias("original_posted_on"),
        pl.col(IS_REVERSAL).alias("is_reversal"),
        (pl.col("posted_on") != pl.col(ORIGINAL_DATE)).alias("is_adjustment"),
        pl.col("is_closing").fill_null(value=False),
        *(expr for name in ("debit", "credit", "net_amount") for expr in in_other_currencies(name)),
        one("entry_count"),
    )
    return fact_columns(rows, FctGlEntry)
