"""The transforms' helpers: codes, money, units, days."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import COUNTRIES, CURRENCIES, time_zones
from schemas.units import UNITS
from tests.golden.frames import typed
from transforms.common.calendar import business_date, days_between, hours_between, local_date
from transforms.common.currency import AMOUNT, RATE, daily_rates, multiply, with_rate
from transforms.common.dimensions import conformed_codes, master_rows, with_key
from transforms.common.keys import UNKNOWN_KEY, durable_key, hash_columns
from transforms.common.quantity import unit_pairs, with_unit_factor

CODE_MAP = pl.LazyFrame(
    {
        "source": ["b", "a", "a"],
        "entity": ["item", "item", "site"],
        "code_space": ["mes", "mes", "mes"],
        "code": ["M1", "M1", "M1"],
        "master_code_space": ["erp", "erp", "erp"],
        "master_code": ["wrong", "bolt", "BRE"],
    }
)


def _key(space: str, code: str) -> int:
    return int(pl.select(durable_key(pl.lit(space), pl.lit(code))).item())


def _rates(*rows: tuple[str, str, str, str, str]) -> pl.LazyFrame:
    columns = ["rate_date", "from_currency", "to_currency", "rate_type", "rate"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return typed(frame, {"rate_date": pl.Date(), "rate": RATE}).with_columns(source=pl.lit("bank")).lazy()


def test_codes_are_conformed_in_one_step_and_by_one_source() -> None:
    codes = pl.LazyFrame({"space": ["mes", "mes", "erp", "erp"], "code": ["M1", "M2", "bolt", ""]})
    found = conformed_codes(codes, "space", "code", "item", CODE_MAP).collect()
    assert dict(zip(found["code"], found["_key"], strict=True)) == {
        "M1": _key("erp", "bolt"),
        "M2": _key("mes", "M2"),
        "bolt": _key("erp", "bolt"),
        "": UNKNOWN_KEY,
    }


def test_with_key_keeps_rows_without_a_code() -> None:
    frame = pl.LazyFrame({"item_id": ["M1", None, "", "M1"], "_space_item_id": ["mes"] * 4})
    found = with_key(frame, frame, "item_id", "item", CODE_MAP, absent=-2).collect()
    assert sorted(found["item_key"].to_list()) == sorted([_key("erp", "bolt"), -2, -2, _key("erp", "bolt")])


def test_the_masters_own_row_speaks_for_a_member() -> None:
    rows = pl.LazyFrame(
        {
            "source": ["a_mes", "erp", "other", "another"],
            "item_id": ["M1", "bolt", "lone", "lone"],
            "_space_item_id": ["mes", "erp", "shared", "shared"],
            "name": ["MES bolt", "Bolt", "from other", "from another"],
        }
    )
    found = master_rows(rows, "item_id", "item", CODE_MAP).collect()
    assert dict(zip(found["_master_code"], found["name"], strict=True)) == {"bolt": "Bolt", "lone": "from another"}


def test_money_is_exact_and_never_overflows() -> None:
    frame = pl.DataFrame(
        {
            "a": ["0.1", "99999999999999.9999", "3", None, "-2.5"],
            "b": ["0.0000000003", "1000", "0.3333333333", "1", "2"],
        }
    ).select(pl.col("a").cast(AMOUNT), pl.col("b").cast(RATE))
    assert frame.select(multiply(pl.col("a"), pl.col("b"))).to_series().to_list() == [
        Decimal("0.0000"),
        None,
        Decimal("1.0000"),
        None,
        Decimal("-5.0000"),
    ]


def test_rates_hold_until_the_next_and_seven_days_at_most() -> None:
    rates = _rates(("2026-03-01", "EUR", "USD", "average", "1.2"), ("2026-03-03", "EUR", "USD", "average", "1.3"))
    found = daily_rates(rates).filter(pl.col("from_currency") == "EUR").sort("rate_date").collect()
    assert found["rate_date"].to_list() == [date(2026, 3, day) for day in range(1, 11)]
    assert found["rate"].to_list() == [Decimal("1.2")] * 2 + [Decimal("1.3")] * 8


def test_average_rates_go_first_then_given_before_turned_round() -> None:
    rates = _rates(
        ("2026-03-01", "EUR", "USD", "closing", "1.2"),
        ("2026-03-01", "EUR", "USD", "average", "1.25"),
        ("2026-03-01", "USD", "EUR", "closing", "0.7"),
        ("2026-03-01", "USD", "JPY", "average", "150"),
    )
    found = daily_rates(rates).filter(pl.col("rate_date") == date(2026, 3, 1)).collect()
    assert {row["from_currency"] + row["to_currency"]: row["rate"] for row in found.to_dicts()} == {
        "EURUSD": Decimal("1.25"),
        "USDEUR": Decimal("0.8"),
        "USDJPY": Decimal(150),
        "JPYUSD": Decimal("0.0066666667"),
    }


def test_with_rate_is_one_for_the_same_currency_and_null_for_an_unknown_one() -> None:
    frame = pl.LazyFrame({"currency": ["USD", "EUR", None], "on": [date(2026, 3, 1)] * 3})
    found = with_rate(frame, _rates(), "rate", currency="currency", to=pl.lit("USD"), on="on").collect()
    assert dict(zip(found["currency"], found["rate"], strict=True)) == {"USD": Decimal(1), "EUR": None, None: None}


def test_unit_pairs_undo_each_other() -> None:
    pairs = unit_pairs().collect()
    assert not pairs.select("uom", "base_uom").is_duplicated().any()
    both = pairs.join(pairs, left_on=["uom", "base_uom"], right_on=["base_uom", "uom"])
    assert both.height == pairs.height
    # Factors keep ten decimals, so only those that are not tiny can be turned round.
    large = both.filter((pl.col("uom_factor") > Decimal("0.01")) & (pl.col("uom_factor_right") > Decimal("0.01")))
    product = large.select(pl.col("uom_factor").cast(pl.Float64) * pl.col("uom_factor_right").cast(pl.Float64))
    assert product.to_series().is_between(1 - 1e-7, 1 + 1e-7).all()


@pytest.mark.parametrize(
    ("uom", "base", "factor"),
    [
        ("KG", "GRM", "1000"),
        ("DZN", "ea", "12"),
        ("LB", "KG", "0.45359237"),
        ("BOX", "EA", None),
        ("BOX", "BOX", "1"),
        ("??", "??", "1"),
    ],
)
def test_units_convert_within_their_kind(uom: str, base: str, factor: str | None) -> None:
    frame = pl.LazyFrame({"uom": [uom], "base_uom": [base]})
    found = with_unit_factor(frame).collect().row(0, named=True)
    assert found == {"uom": uom, "base_uom": base, "uom_factor": factor and Decimal(factor)}


def test_units_have_upper_and_lower_case() -> None:
    assert {code.upper() for code in UNITS} <= set(UNITS)
    assert {code.lower() for code in UNITS} <= set(UNITS)


def test_code_lists() -> None:
    assert {"EUR", "USD", "JPY", "DEM"} <= CURRENCIES
    assert "EURO" not in CURRENCIES
    assert len(COUNTRIES) == 249
    assert {"Europe/Berlin", "UTC"} <= time_zones()


def test_polars_knows_every_zone_that_a_site_may_have() -> None:
    instant = pl.Series([datetime(2026, 7, 1, tzinfo=UTC)]).cast(pl.Datetime("us", "UTC"))
    for zone in time_zones():
        instant.dt.convert_time_zone(zone)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(946_684_800, 2_114_380_800).map(lambda second: datetime.fromtimestamp(second, tz=UTC)),
            st.sampled_from(["Europe/Berlin", "America/Chicago", "Asia/Tokyo", "Australia/Lord_Howe", "UTC", None]),
        ),
        min_size=1,
    )
)
def test_local_dates_are_those_of_the_clock_on_the_wall(rows: list[tuple[datetime, str | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"at": pl.Datetime("us", "UTC"), "zone": pl.String}, orient="row")
    expected = [at.astimezone(ZoneInfo(zone)).date() if zone else None for at, zone in rows]
    assert frame.select(local_date("at", "zone")).to_series().to_list() == expected


def test_business_date_stays_beside_the_day_that_files_the_row() -> None:
    # The source's clock stands at UTC-11, the site's at UTC+14: two days apart, for an hour.
    at = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
    frame = pl.DataFrame({"at": [at, at], "zone": ["Pacific/Kiritimati", None], "_date": [date(2026, 3, 1)] * 2})
    frame = frame.with_columns(pl.col("at").dt.cast_time_unit("us"))
    found = frame.select(business_date("at", "zone")).to_series().to_list()
    assert found == [date(2026, 3, 2), date(2026, 3, 1)]


def test_spans() -> None:
    start = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    frame = pl.DataFrame({"a": [start], "b": [start + timedelta(hours=23, seconds=9)]})
    assert frame.select(hours_between(pl.col("a"), pl.col("b"))).item() == Decimal("23.0025")
    frame = pl.DataFrame({"a": [date(2026, 3, 1), None], "b": [date(2026, 2, 27), date(2026, 1, 1)]})
    assert frame.select(days_between(pl.col("a"), pl.col("b"))).to_series().to_list() == [-2, None]


def test_a_row_is_hashed_by_its_words() -> None:
    """FNV-1a over the numbers, once more in Python's own whole numbers."""
    frame = pl.DataFrame(
        {"quantity": [Decimal("-1.5"), None], "day": [date(2026, 3, 1), date(1969, 12, 31)], "is_closed": [True, None]},
        schema_overrides={"quantity": pl.Decimal(18, 4)},
    )
    mask, multiplier, null = 2**64 - 1, 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
    expected = []
    for words in ((-15000, 20513, 1), (null, -1, null)):
        mixed = int.from_bytes(hashlib.blake2b(b"fct", digest_size=8).digest(), "big")
        for word in words:
            mixed = ((mixed ^ (word & mask)) * multiplier) & mask
        mixed ^= mixed >> 32
        expected.append(mixed - 2**64 if mixed >> 63 else mixed)
    found = frame.select(hash_columns(dict(frame.schema), salt=["fct"])).to_series()
    assert found.to_list() == expected


@given(st.lists(st.tuples(st.text(max_size=3) | st.none(), st.text(max_size=3) | st.none()), max_size=30))
def test_texts_do_not_run_into_each_other(rows: list[tuple[str | None, str | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"one": pl.String, "other": pl.String}, orient="row")
    hashes = frame.select(hash_columns(dict(frame.schema))).to_series()
    assert hashes.n_unique() == len(set(rows))
