"""Dimensions: members, hierarchies, history, calendar."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.frames import dataset_frame
from transforms.common.history import BEGINNING, END
from transforms.common.keys import NOT_APPLICABLE_KEY, UNKNOWN_KEY, durable_key
from transforms.dimensions.dim_account import dim_account
from transforms.dimensions.dim_account_closure import dim_account_closure
from transforms.dimensions.dim_date import dim_date
from transforms.dimensions.dim_item import dim_item
from transforms.dimensions.dim_supplier_history import dim_supplier_history
from transforms.dimensions.dim_work_center import dim_work_center

NO_MAP = dataset_frame("code_map", Path("no such file"))
NO_SPAN = pl.LazyFrame(schema=dict.fromkeys(("entity", "code_space", "code"), pl.String))
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def _key(space: str, code: str) -> int:
    return int(pl.select(durable_key(pl.lit(space), pl.lit(code))).item())


def _table(tmp_path: Path, name: str, text: str) -> pl.LazyFrame:
    path = tmp_path / f"{name}.csv"
    path.write_text(text)
    return dataset_frame(name, path)


def test_members_are_delivered_inferred_and_standing(tmp_path: Path) -> None:
    items = _table(
        tmp_path,
        "item",
        "source,item_id,name,item_type,base_uom,is_active,is_deleted\n"
        "erp,bolt,Bolt,raw,EA,true,\nerp,nut,Nut,raw,EA,true,true\nmes,M1,Bolt of the MES,raw,PCS,true,\n",
    )
    code_map = _table(
        tmp_path, "code_map", "entity,code_space,code,master_code_space,master_code\nitem,mes,M1,erp,bolt\n"
    )
    span = pl.LazyFrame(
        {
            "entity": ["item", "item", "item", "site", "item"],
            "code_space": ["mes", "mes", "erp", "erp", "erp"],
            "code": ["M1", "M2", "nut", "BRE", ""],
        }
    )
    found = dim_item(items, code_map, span).collect()
    rows = {row["item_id"]: row for row in found.to_dicts()}
    assert set(rows) == {"bolt", "nut", "M2", "(unknown)", "(not applicable)"}
    assert found["item_key"].is_unique().all()
    assert (rows["bolt"]["name"], rows["bolt"]["item_key"]) == ("Bolt", _key("erp", "bolt"))
    assert rows["nut"]["is_deleted"]
    assert (rows["M2"]["is_inferred"], rows["M2"]["name"], rows["M2"]["code_space"]) == (True, "M2", "mes")
    assert rows["(unknown)"]["item_key"] == UNKNOWN_KEY


def test_what_a_member_refers_to_has_a_key(tmp_path: Path) -> None:
    centers = _table(tmp_path, "work_center", "work_center_id,site_id,name\nW,BRE,Press\n")
    found = dim_work_center(centers, NO_MAP, NO_SPAN).collect()
    keys = dict(zip(found["work_center_id"], found["site_key"], strict=True))
    assert keys == {"W": _key("erp", "BRE"), "(unknown)": UNKNOWN_KEY, "(not applicable)": UNKNOWN_KEY}


ACCOUNTS = """account_id,name,account_type,parent_account_id,normal_side
1,Profit,revenue,,credit
10,Sales,revenue,1,credit
20,Cost,expense,1,debit
200,Wages,expense,20,debit
A,Ring A,asset,B,debit
B,Ring B,asset,A,debit
"""


def test_closure_has_every_pair_with_its_depth(tmp_path: Path) -> None:
    accounts = _table(tmp_path, "account", ACCOUNTS)
    names = {_key("erp", code): code for code in ("1", "10", "20", "200", "A", "B")}
    members = dim_account(accounts, NO_MAP, NO_SPAN).collect()
    roots = dict(zip(members["account_id"], members["parent_account_key"], strict=True))
    assert roots["1"] == NOT_APPLICABLE_KEY
    found = dim_account_closure(accounts, NO_MAP, NO_SPAN).collect()
    pairs = {
        (names[row["ancestor_account_key"]], names[row["descendant_account_key"]]): (row["depth"], row["is_leaf"])
        for row in found.to_dicts()
        if row["ancestor_account_key"] in names
    }
    assert pairs == {
        ("1", "1"): (0, False),
        ("10", "10"): (0, True),
        ("20", "20"): (0, False),
        ("200", "200"): (0, True),
        ("1", "10"): (1, True),
        ("1", "20"): (1, False),
        ("1", "200"): (2, True),
        ("20", "200"): (1, True),
        # A ring in the master data ends where it began instead of never.
        ("A", "A"): (0, False),
        ("B", "B"): (0, False),
        ("A", "B"): (1, False),
        ("B", "A"): (1, False),
    }


def test_closure_follows_deep_hierarchies(tmp_path: Path) -> None:
    lines = [f"{n},n,asset,{n - 1 if n else ''},debit" for n in range(13)]
    accounts = _table(tmp_path, "account", "\n".join([ACCOUNTS.splitlines()[0], *lines]) + "\n")
    found = dim_account_closure(accounts, NO_MAP, NO_SPAN).collect()
    assert found.filter(pl.col("ancestor_account_key") == _key("erp", "0"))["depth"].max() == 12


def _versions(tmp_path: Path, rows: list[tuple[int, str, str]]) -> pl.LazyFrame:
    """Supplier versions (day, id, name), each with the moment that orders it."""
    lines = [f"{code},{name},active" for _, code, name in rows]
    frame = _table(tmp_path, "supplier", "\n".join(["supplier_id,name,status", *lines]) + "\n").collect()
    at = pl.Series([MONDAY + timedelta(days=day) for day, *_ in rows], dtype=pl.Datetime("us", "UTC"))
    return frame.with_columns(_order_at=at).lazy()


def _coverage(*days: int) -> pl.LazyFrame:
    at = [MONDAY + timedelta(days=day) for day in days]
    schema = {"source": pl.String, "_order_at": pl.Datetime("us", "UTC")}
    return pl.LazyFrame({"source": ["erp"] * len(at), "_order_at": at}, schema=schema)


def test_history_starts_before_everything_and_ends_with_the_member(tmp_path: Path) -> None:
    versions = _versions(
        tmp_path, [(0, "S", "Old"), (1, "S", "Old"), (3, "S", "New"), (3, "T", "Other"), (9, "S", "New")]
    )
    found = dim_supplier_history(versions, _coverage(0, 1, 3, 5, 9), NO_MAP).collect().sort("supplier_id", "valid_from")
    day = [date(2026, 3, 2) + timedelta(days=n) for n in range(10)]
    columns = ("supplier_id", "name", "is_deleted", "valid_from", "valid_to", "is_current")
    assert found.select(columns).rows() == [
        ("S", "Old", False, BEGINNING, day[3], False),
        ("S", "New", False, day[3], day[5], False),
        ("S", "New", True, day[5], day[9], False),
        ("S", "New", False, day[9], END, True),
        ("T", "Other", False, BEGINNING, day[5], False),
        ("T", "Other", True, day[5], END, True),
    ]


@pytest.mark.parametrize("shuffle", [1, 2])
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from("ST"), st.sampled_from("xyz")), min_size=1, max_size=12),
    st.sets(st.integers(0, 8)),
)
def test_history_has_neither_gaps_nor_overlaps(
    tmp_path_factory: pytest.TempPathFactory, shuffle: int, rows: list[tuple[int, str, str]], complete: set[int]
) -> None:
    one_a_day = sorted({(day, code): name for day, code, name in rows}.items(), key=lambda item: hash((item, shuffle)))
    versions = _versions(tmp_path_factory.mktemp("h"), [(day, code, name) for (day, code), name in one_a_day])
    found = dim_supplier_history(versions, _coverage(*complete), NO_MAP).collect()
    for (code,), states in found.sort("valid_from").group_by("supplier_id"):
        assert states["valid_from"][0] == BEGINNING
        assert states["valid_to"][-1] == END
        assert states["valid_from"][1:].to_list() == states["valid_to"][:-1].to_list()
        assert (states["valid_from"] < states["valid_to"]).all()
        assert states["is_current"].to_list() == [False] * (states.height - 1) + [True]
        told = {day: name for (day, who), name in dict(one_a_day).items() if who == code}
        for day in range(min(told), 9):
            said = max(d for d in told if d <= day)
            is_gone = any(said < c <= day for c in complete)
            on = date(2026, 3, 2) + timedelta(days=day)
            state = states.filter((pl.col("valid_from") <= on) & (on < pl.col("valid_to"))).row(0, named=True)
            assert (state["name"], state["is_deleted"]) == (told[said], is_gone)


def test_calendar_knows_iso_weeks_and_fiscal_periods(tmp_path: Path) -> None:
    periods = _table(
        tmp_path,
        "fiscal_period",
        "calendar_id,period_id,starts_on,ends_on,fiscal_year,fiscal_quarter\n"
        "main,2026-P01,2025-11-01,2025-11-30,2026,1\nmain,2026-P03,2026-01-01,2026-01-31,2026,1\n"
        "other,X,2025-11-01,2026-12-31,1999,4\n",
    )
    found = dim_date(periods, first=date(2025, 11, 30), last=date(2026, 1, 2)).collect()
    assert (found["date"].min(), found["date"].max(), found.height) == (date(2025, 1, 1), date(2026, 12, 31), 730)
    days = {row["date"]: row for row in found.to_dicts()}
    january = days[date(2026, 1, 1)]
    assert (january["date_key"], january["iso_year"], january["iso_week"], january["day_name"]) == (
        20260101,
        2026,
        1,
        "Thursday",
    )
    assert (days[date(2025, 12, 29)]["iso_year"], days[date(2025, 12, 28)]["iso_week"]) == (2026, 52)
    assert [days[date(2026, 1, n)]["is_working_day"] for n in (2, 3, 4, 5)] == [True, False, False, True]
    assert (january["fiscal_period_id"], january["fiscal_year"]) == ("2026-P03", 2026)
    # December lies in no period of the calendar that sorts first.
    assert days[date(2025, 12, 5)]["fiscal_period_id"] is None
    assert days[date(2025, 11, 5)]["fiscal_period_id"] == "2026-P01"
