"""The calendar: see schemas/dimensions/dim_date.py."""

from datetime import date

import polars as pl

from schemas.dimensions.dim_date import DimDate
from transforms.common.shape import dimension_columns

_SATURDAY = 6


def dim_date(fiscal_period: pl.LazyFrame, *, first: date, last: date) -> pl.LazyFrame:
    """All days from `first` to `last`, whole years around them."""
    span = pl.date_range(date(first.year, 1, 1), date(last.year, 12, 31), interval="1d", eager=False)
    day = pl.col("date")
    days = (
        pl.LazyFrame()
        .select(span.alias("date"))
        .with_columns(
            (day.dt.year().cast(pl.Int64) * 10_000 + day.dt.month().cast(pl.Int64) * 100 + day.dt.day()).alias(
                "date_key"
            ),
            day.dt.year().alias("year"),
            day.dt.quarter().cast(pl.Int32).alias("quarter"),
            day.dt.month().cast(pl.Int32).alias("month"),
            day.dt.strftime("%B").alias("month_name"),
            day.dt.truncate("1mo").alias("month_start"),
            day.dt.day().cast(pl.Int32).alias("day_of_month"),
            day.dt.iso_year().alias("iso_year"),
            day.dt.week().cast(pl.Int32).alias("iso_week"),
            day.dt.weekday().cast(pl.Int32).alias("iso_weekday"),
            day.dt.strftime("%A").alias("day_name"),
            (day.dt.weekday() < _SATURDAY).alias("is_working_day"),
        )
    )
    periods = _one_calendar(fiscal_period)
    is_within = pl.col("date") <= pl.col("ends_on")
    fiscal = ("fiscal_calendar_id", "fiscal_period_id", "fiscal_year", "fiscal_quarter")
    return dimension_columns(
        days.join_asof(periods, left_on="date", right_on="starts_on").with_columns(
            pl.when(is_within).then(pl.col(name)).alias(name) for name in fiscal
        ),
        DimDate,
    )


def _one_calendar(fiscal_period: pl.LazyFrame) -> pl.LazyFrame:
    """Periods of the fiscal calendar that sorts first, by their first day; the source that sorts first wins."""
    return (
        fiscal_period.filter(pl.col("calendar_id") == pl.col("calendar_id").min())
        .sort("starts_on", "source", "period_id")
        .unique("starts_on", keep="first", maintain_order=True)
        .select(
            "starts_on",
            "ends_on",
            pl.col("calendar_id").alias("fiscal_calendar_id"),
            pl.col("period_id").alias("fiscal_period_id"),
            "fiscal_year",
            "fiscal_quarter",
        )
        .sort("starts_on")
    )
