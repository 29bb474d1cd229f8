"""Raw cells to typed values."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from schemas.source import RawType, RawTypes
from transforms.common import parse

GERMAN = RawTypes(decimal_mark=",", thousands_separator=".", date_formats=("%d.%m.%Y", "%Y%m%d"))


def read(cells: list[Any], raw_type: RawType, conventions: RawTypes = RawTypes(), dtype: Any = pl.String) -> list[Any]:  # noqa: B008
    """The cells' values; '!' stands for a cell that cannot be read."""
    frame = pl.LazyFrame({"cell": cells}, schema={"cell": dtype})
    held = frame.collect_schema()["cell"]
    read_once = frame.with_columns(value=parse.typed("cell", held, raw_type, conventions))
    bad = parse.is_unreadable("cell", held, conventions, pl.col("value"))
    rows = read_once.select("value", bad.alias("bad")).collect()
    assert rows.schema["value"] == parse.value_type(held, raw_type, conventions)
    return ["!" if is_bad else value for value, is_bad in rows.iter_rows()]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12.50", Decimal("12.5")),
        (".0000", Decimal(0)),
        ("-.5", Decimal("-0.5")),
        ("+7", Decimal(7)),
        ("  8.25 ", Decimal("8.25")),
        ("1e3", Decimal(1000)),
        ("0.1234567890", Decimal("0.123456789")),
        ("0.12345678901", "!"),
        ("12,50", "!"),
        ("1_000", "!"),
        ("twelve", "!"),
        ("12 kg", "!"),
        ("nan", "!"),
        ("inf", "!"),
        ("", None),
    ],
)
def test_decimal(cell: str, value: object) -> None:
    assert read([cell], "decimal") == [value]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1.234.567,89", Decimal("1234567.89")),
        ("1234567,89", Decimal("1234567.89")),
        ("-1.234", Decimal(-1234)),
        ("1.5", "!"),
        ("1.23.456,0", "!"),
        ("1,234.5", "!"),
    ],
)
def test_german_decimal(cell: str, value: object) -> None:
    assert read([cell], "decimal", GERMAN) == [value]


def test_excess_decimals_are_rounded_only_where_the_source_says_so() -> None:
    rounding = RawTypes(excess_decimals="round")
    assert read(["0.12345678901"], "decimal", rounding) == [Decimal("0.1234567890")]


@pytest.mark.parametrize(
    ("cell", "value"), [("42", 42), (" 42", 42), ("4.2", "!"), ("9223372036854775808", "!"), ("", None)]
)
def test_integer(cell: str, value: object) -> None:
    assert read([cell], "integer") == [value]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("31.12.2026", date(2026, 12, 31)),
        ("20261231", date(2026, 12, 31)),
        ("30.02.2026", "!"),
        ("2026-12-31", "!"),
        ("", None),
    ],
)
def test_date_formats_are_tried_in_order(cell: str, value: object) -> None:
    assert read([cell], "date", GERMAN) == [value]


def test_timestamps_without_offset_stay_naive() -> None:
    cells = ["2026-03-01 12:30:00", "2026-03-01 12:30:00.250", "2026-03-01T12:30:00", "2026-03-01 25:00:00"]
    noon = datetime(2026, 3, 1, 12, 30)  # noqa: DTZ001 - naive on purpose
    assert read(cells, "timestamp") == [noon, noon.replace(microsecond=250_000), noon, "!"]


def test_timestamps_with_offset_are_utc() -> None:
    conventions = RawTypes(timestamp_formats=("%Y-%m-%dT%H:%M:%S%#z",))
    cells = ["2026-03-01T12:30:00+02:00", "2026-03-01T12:30:00Z", "2026-03-01T12:30:00"]
    noon = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    assert read(cells, "timestamp", conventions) == [noon.replace(hour=10), noon, "!"]


def test_formats_with_and_without_offset_do_not_mix() -> None:
    with pytest.raises(ValueError, match="mix formats"):
        RawTypes(timestamp_formats=("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"))


def test_boolean_knows_the_sources_words() -> None:
    conventions = RawTypes(true_words=("J",), false_words=("N",))
    assert read(["J", "N", "", "true"], "boolean", conventions) == [True, False, None, "!"]


def test_null_words_are_no_unreadable_cells() -> None:
    conventions = RawTypes(null_words=("", "NULL", "-"))
    assert read(["NULL", "-", "", "x"], "integer", conventions) == [None, None, None, "!"]
    assert read(["NULL", "00870"], "text", conventions) == [None, "00870"]


def test_native_values() -> None:
    assert read([870.0, 1.5, None], "text", dtype=pl.Float64) == ["870", "1.5", None]
    assert read([870.0, 1.5], "integer", dtype=pl.Float64) == [870, "!"]
    assert read([0.1, float("nan")], "decimal", dtype=pl.Float64) == [Decimal("0.1"), "!"]
    assert read([7], "decimal", dtype=pl.Int64) == [Decimal(7)]
    assert read([7], "text", dtype=pl.Int64) == ["7"]
    assert read([datetime(2026, 3, 1), datetime(2026, 3, 1, 5)], "date", dtype=pl.Datetime("ns")) == [  # noqa: DTZ001
        date(2026, 3, 1),
        "!",
    ]
    assert read([date(2026, 3, 1)], "timestamp", dtype=pl.Date) == [datetime(2026, 3, 1)]  # noqa: DTZ001
    assert read([True], "boolean", dtype=pl.Boolean) == [True]
    assert read([1, 0, 2], "boolean", dtype=pl.Int32) == [True, False, "!"]


def test_reasons_name_column_and_value() -> None:
    frame = pl.LazyFrame({"a": ["1", "x"], "b": ["2026-13-01", "2026-01-01"]})
    values = {"a": pl.col("a").cast(pl.Int64, strict=False), "b": pl.col("b").str.to_date(strict=False)}
    cells = parse.unreadable_cells(values, {"a": pl.String(), "b": pl.String()}, RawTypes(), end=";")
    assert frame.select(cells).collect().to_series().to_list() == ["b=2026-13-01;", "a=x;"]
