"""Fiscal periods. Key: (calendar_id, period_id). Master data."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.contract import DatasetContract


class FiscalPeriod(DatasetContract):
    """A period of a fiscal calendar, both ends inclusive."""

    calendar_id = c.text("Fiscal calendar", key=True)
    period_id = c.text("Period within the calendar, for example 2026-03", key=True, min_length=1)
    starts_on = c.date("First day")
    ends_on = c.date("Last day")
    fiscal_year = c.whole("Fiscal year")
    fiscal_quarter = c.whole("Fiscal quarter, 1 to 4")
    closed_at = c.instant("When the books of the period were closed", null=True, happened=True)

    @dy.rule()
    def ends_on_not_before_starts_on(cls) -> pl.Expr:
        return pl.col("ends_on") >= pl.col("starts_on")

    @dy.rule()
    def fiscal_quarter_is_1_to_4(cls) -> pl.Expr:
        return pl.col("fiscal_quarter").is_between(1, 4)
