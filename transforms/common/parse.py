"""Raw cells to typed values: text by a source's conventions, native values (Parquet) by the declared type.

Nothing here fails: a cell that cannot be read becomes NULL, and `is_unreadable` tells it from a cell that was empty.
"""

from collections.abc import Mapping

import polars as pl

from schemas.source import RawType, RawTypes, has_offset

DECIMAL = pl.Decimal(38, 10)
"""Type of a raw `decimal`: as many decimals as the finest contract column has."""

_PROBE = pl.Decimal(38, 18)
"""Finer than DECIMAL: what it holds and DECIMAL does not are excess decimals."""

_INSTANT = pl.Datetime("us", "UTC")


def typed(name: str, dtype: pl.DataType, raw_type: RawType, conventions: RawTypes) -> pl.Expr:
    """The raw column `name` of Polars type `dtype` as values of `raw_type`; NULL where a cell cannot be read.

    A timestamp without an offset stays naive (the clock of the source's zone), one with an offset is UTC.
    """
    column = pl.col(name)
    if dtype == pl.String:
        return _from_text(column, raw_type, conventions)
    return _from_native(column, dtype, raw_type, conventions)


def is_unreadable(name: str, dtype: pl.DataType, conventions: RawTypes, value: pl.Expr) -> pl.Expr:
    """True where the raw cell holds something and `value`, what `typed` read, is NULL."""
    held = _cleaned(pl.col(name), conventions) if dtype == pl.String else pl.col(name)
    return held.is_not_null() & value.is_null()


def unreadable_cells(
    values: Mapping[str, pl.Expr], dtypes: Mapping[str, pl.DataType], conventions: RawTypes, *, end: str
) -> pl.Expr:
    """Text `column=value`, each ended by `end`, of a row's unreadable cells; `''` where there is none.

    `values` has the typed value of each raw column to be judged.
    """
    cells = [
        pl.when(is_unreadable(name, dtypes[name], conventions, value)).then(
            pl.concat_str(pl.lit(f"{name}="), pl.col(name).cast(pl.String), pl.lit(end))
        )
        for name, value in values.items()
    ]
    return pl.concat_str(cells, ignore_nulls=True) if cells else pl.lit("")


def native_type(dtype: pl.DataType) -> RawType:
    """The raw type that a typed column has when source.yaml says nothing."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "decimal"
    if dtype == pl.Date:
        return "date"
    if isinstance(dtype, pl.Datetime):
        return "timestamp"
    return "boolean" if dtype == pl.Boolean else "text"


def _cleaned(text: pl.Expr, conventions: RawTypes) -> pl.Expr:
    """The text, NULL where it is a null word."""
    words = conventions.null_words
    if not words:
        return text
    return pl.when(text != words[0] if len(words) == 1 else ~text.is_in(list(words))).then(text)


def _from_text(column: pl.Expr, raw_type: RawType, conventions: RawTypes) -> pl.Expr:
    text = _cleaned(column, conventions)
    if raw_type == "text":
        return text
    if raw_type == "date":
        return _date(text, conventions.date_formats)
    if raw_type == "timestamp":
        return _timestamp(text, conventions.timestamp_formats)
    readers = {"integer": _integer, "decimal": _decimal, "boolean": _boolean}
    return readers[raw_type](text, conventions)


def _plain_number(text: pl.Expr, conventions: RawTypes) -> pl.Expr:
    """The number's text with a point as decimal mark and without padding and thousands separators."""
    mark, separator = conventions.decimal_mark, conventions.thousands_separator
    text = text.str.strip_chars()
    if separator:
        # "1.5" where "." separates thousands is not 15: the groups must be of three.
        grouped = rf"^[+-]?\d{{1,3}}(?:[{separator}]\d{{3}})+(?:[{mark}]\d*)?$"
        text = (
            pl.when(text.str.contains(grouped))
            .then(text.str.replace_all(separator, "", literal=True))
            .when(~text.str.contains(separator, literal=True))
            .then(text)
        )
    if mark == ",":
        return pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(",", ".", literal=True))
    return text


def _integer(text: pl.Expr, conventions: RawTypes) -> pl.Expr:
    return _plain_number(text, conventions).cast(pl.Int64, strict=False)


def _decimal(text: pl.Expr, conventions: RawTypes) -> pl.Expr:
    number = _plain_number(text, conventions)
    value = number.cast(DECIMAL, strict=False)
    if conventions.excess_decimals == "round":
        return value
    # Polars rounds excess decimals silently, even in a strict cast.
    return pl.when(number.cast(_PROBE, strict=False) == value).then(value)


def _date(text: pl.Expr, formats: tuple[str, ...]) -> pl.Expr:
    return pl.coalesce(text.str.to_date(format_, strict=False) for format_ in formats)


def _timestamp(text: pl.Expr, formats: tuple[str, ...]) -> pl.Expr:
    return pl.coalesce(text.str.to_datetime(format_, strict=False, time_unit="us") for format_ in formats)


def _boolean(text: pl.Expr, conventions: RawTypes) -> pl.Expr:
    return (
        pl.when(text.is_in(list(conventions.true_words)))
        .then(statement=True)
        .when(text.is_in(list(conventions.false_words)))
        .then(statement=False)
    )


def _from_native(column: pl.Expr, dtype: pl.DataType, raw_type: RawType, conventions: RawTypes) -> pl.Expr:
    if raw_type == "text":
        # Whole numbers stored as floats are how many tools write nullable integers: 870.0 is the id 870.
        whole = column.cast(pl.Int64, strict=False)
        is_whole = whole.cast(pl.Float64) == column
        return (
            pl.when(is_whole).then(whole.cast(pl.String)).otherwise(column.cast(pl.String))
            if dtype.is_float()
            else column.cast(pl.String)
        )
    if raw_type == "integer" and dtype.is_numeric():
        whole = column.cast(pl.Int64, strict=False)
        return pl.when(whole.cast(dtype, strict=False) == column).then(whole)
    if raw_type == "decimal" and dtype.is_float():
        # Binary fractions have no exact decimals; ten are kept.
        return pl.when(column.is_finite()).then(column).cast(DECIMAL, strict=False)
    if raw_type == "decimal" and dtype.is_numeric():
        value = column.cast(DECIMAL, strict=False)
        is_exact = value.cast(dtype, strict=False) == column
        return value if conventions.excess_decimals == "round" else pl.when(is_exact).then(value)
    if raw_type == "date" and isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        return pl.when(column == column.dt.truncate("1d")).then(column.dt.date())
    if raw_type == "timestamp" and isinstance(dtype, pl.Datetime):
        moment = column.dt.cast_time_unit("us")
        return moment if dtype.time_zone is None else moment.dt.convert_time_zone("UTC")
    if raw_type == "timestamp" and dtype == pl.Date:
        return column.cast(pl.Datetime("us"))
    if raw_type == native_type(dtype):
        return column
    return _from_text(column.cast(pl.String), raw_type, conventions)


def value_type(dtype: pl.DataType, raw_type: RawType, conventions: RawTypes) -> pl.DataType:
    """Polars type of what `typed` yields."""
    if raw_type == "timestamp":
        if isinstance(dtype, pl.Datetime):
            return pl.Datetime("us") if dtype.time_zone is None else _INSTANT
        is_offset = dtype == pl.String and any(map(has_offset, conventions.timestamp_formats))
        return _INSTANT if is_offset else pl.Datetime("us")
    plain: dict[RawType, pl.DataType] = {
        "text": pl.String(),
        "integer": pl.Int64(),
        "decimal": DECIMAL,
        "date": pl.Date(),
        "boolean": pl.Boolean(),
    }
    return plain[raw_type]
