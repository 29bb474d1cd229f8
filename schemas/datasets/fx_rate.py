"""Exchange rates. Key: (rate_date, from_currency, to_currency, rate_type). Dated by rate_date."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract


class FxRate(DatasetContract):
    """Units of to_currency for one unit of from_currency on a day."""

    rate_date = c.date("Day the rate holds", key=True)
    from_currency = c.currency("Currency converted from (ISO 4217)", key=True)
    to_currency = c.currency("Currency converted to (ISO 4217)", key=True)
    rate_type = c.text("Kind of rate, for example average or closing", key=True)
    rate = c.price("Units of to_currency for one unit of from_currency")

    @dy.rule()
    def currencies_exist(cls) -> pl.Expr:
        return is_currency("from_currency") & is_currency("to_currency")

    @dy.rule()
    def currencies_differ_or_rate_is_one(cls) -> pl.Expr:
        return (pl.col("from_currency") != pl.col("to_currency")) | (pl.col("rate") == 1)

    @dy.rule()
    def rate_positive_and_fits(cls) -> pl.Expr:
        # Larger ones would leave the widest decimal there is where they multiply amounts.
        return (pl.col("rate") > 0) & (pl.col("rate") < 10**9)
