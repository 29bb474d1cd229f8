"""Small helpers of the simulator: random streams, exact decimals, days and instants."""

from datetime import date
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

Array = np.ndarray[Any, np.dtype[Any]]

US_PER_SECOND = 1_000_000
US_PER_MIN = 60 * US_PER_SECOND
US_PER_HOUR = 60 * US_PER_MIN
US_PER_DAY = 24 * US_PER_HOUR
FOREVER = 1 << 30
"""A night that never comes: the end of validity of rows that nobody withdraws."""

NEVER = np.iinfo(np.int64).max
"""The moment of what does not happen."""
END_OF_TIME = NEVER - 1

QUANTITY = pl.Decimal(18, 4)
PRICE = pl.Decimal(28, 10)


def stream(seed: int, *names: object) -> np.random.Generator:
    """A random stream of its own for each name, so that a change in one part leaves the others as they were."""
    return np.random.default_rng([seed, *(crc32(str(name).encode()) for name in names)])


def epoch_day(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days


def decimal(units: Array, places: int, dtype: pl.DataType = QUANTITY) -> pl.Series:
    """Whole numbers of the `places`-th decimal as exact decimals: `decimal([1250], 2)` is 12.50."""
    # A quotient of two doubles below 2**53 rounds back to the decimal it came from.
    quotient: pl.Series = pl.Series(np.asarray(units, dtype=np.int64)) / 10**places
    return quotient.cast(dtype)


def instants(microseconds: Array) -> pl.Series:
    """Microseconds since the epoch as UTC instants."""
    return pl.Series(np.asarray(microseconds, dtype=np.int64)).cast(pl.Datetime("us", "UTC"))


def days(numbers: Array) -> pl.Series:
    """Days since the epoch as dates."""
    return pl.Series(np.asarray(numbers, dtype=np.int32)).cast(pl.Date)


def null_where(series: pl.Series, mask: Array) -> pl.Series:
    """The series with NULL where the mask is true."""
    return pl.select(pl.when(~pl.Series(np.asarray(mask, dtype=bool))).then(series)).to_series()


def pick(values: pl.Series | list[str], index: Array) -> pl.Series:
    """Values at the given positions."""
    series = values if isinstance(values, pl.Series) else pl.Series(values)
    return series.gather(pl.Series(np.asarray(index, dtype=np.uint32)))


def codes(prefix: str, numbers: Array, width: int) -> pl.Series:
    """Numbers as zero-padded codes: `codes("PO", [7], 4)` is PO0007."""
    text = pl.Series(np.asarray(numbers, dtype=np.int64)).cast(pl.String).str.zfill(width)
    return pl.Series([prefix]).new_from_index(0, len(text)) + text if len(text) else text


def within(groups: Array) -> Array:
    """Position of each row inside its run of equal groups (rows of a group lie together), from 0."""
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    return np.arange(len(groups)) - np.repeat(starts, np.diff(np.r_[starts, len(groups)]))


def chance(rng: np.random.Generator, probability: float, size: int) -> Array:
    """A coin per row."""
    return rng.random(size) < probability
