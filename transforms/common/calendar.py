"""Days: which date an instant has at a site, and the span between two instants."""

from datetime import timedelta

import polars as pl

_HOUR_US = 3_600_000_000
_MINUTE_US = 60_000_000


def local_date(instant: str, zone: str) -> pl.Expr:
    """Date of a UTC instant on the clock of the IANA zone that the row names; NULL where either is."""
    return pl.struct(instant, zone).map_batches(_local_dates, return_dtype=pl.Date, is_elementwise=True)


def business_date(instant: str, zone: str, filed_on: str = "_date") -> pl.Expr:
    """Date of an instant at the row's site; where no zone is known, the day that files the row (the source's clock).

    Kept within a day of that day, which the windows of the catalogue rely on: zones a day apart exist only between
    islands on both sides of the date line.
    """
    day = timedelta(days=1)
    at_site = local_date(instant, zone).clip(pl.col(filed_on) - day, pl.col(filed_on) + day)
    return pl.coalesce(at_site, pl.col(filed_on))


def hours_between(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Hours from one instant to another as NUMERIC(18,4)."""
    return _between(start, end, _HOUR_US)


def minutes_between(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Minutes from one instant to another as NUMERIC(18,4)."""
    return _between(start, end, _MINUTE_US)


def _between(start: pl.Expr, end: pl.Expr, unit_us: int) -> pl.Expr:
    microseconds = (end - start).dt.total_microseconds().cast(pl.Decimal(38, 4))
    return (microseconds / pl.lit(unit_us, pl.Decimal(38, 4))).cast(pl.Decimal(18, 4))


def days_between(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Whole days from one date to another; negative when the second is earlier."""
    return (end - start).dt.total_days().cast(pl.Int32)


def _local_dates(pairs: pl.Series) -> pl.Series:
    """Dates of (instant, zone) pairs: one vectorised conversion per zone, as Polars takes one zone at a time."""
    instant, zone = (pairs.struct.field(name) for name in pairs.struct.fields)
    dates = pl.Series(instant.name, [None], dtype=pl.Date).new_from_index(0, len(pairs))
    for name in zone.drop_nulls().unique():
        dates = instant.dt.convert_time_zone(name).dt.date().zip_with(zone.eq_missing(name), dates)
    return dates
