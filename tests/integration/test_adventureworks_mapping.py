"""The AdventureWorks SELECTs alone: what they take, leave out and mean, before anything is loaded."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from flows.io.pull import load_source, pull
from flows.io.stage import Staged, stage
from flows.settings import Settings, load_settings
from schemas.catalog import DATASETS

FOLDER = Path(__file__).parents[2] / "sql" / "sources" / "adventureworks"
TAKEN = {
    "account": (99, 0),
    "budget_line": (4_846, 34_563),
    "cost_center": (98, 0),
    "fx_rate": (13_532, 0),
    "gl_entry": (34_563, 4_846),
    "goods_receipt": (8_845, 0),
    "item": (504, 0),
    "item_cost": (395, 0),
    "operation_confirmation": (67_131, 0),
    "production_order": (72_591, 0),
    "purchase_order_line": (8_845, 0),
    "supplier": (104, 0),
    "work_center": (14, 0),
}
"""Rows accepted and rows that the SELECT leaves out."""


@pytest.fixture(scope="module")
def staged(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Staged]:
    settings: Settings = load_settings(home=tmp_path_factory.mktemp("home"))
    landing = settings.landing / "adventureworks"
    landing.mkdir(parents=True)
    for name in ("oltp", "dw"):
        (landing / name).symlink_to(test_data / "adventureworks" / name)
    source = load_source(FOLDER)
    deliveries = pull(source, settings, now=datetime(2025, 11, 1, tzinfo=UTC)).deliveries
    return {
        delivery.dataset: stage(
            delivery,
            source,
            DATASETS[delivery.dataset],
            tmp_path_factory.mktemp(delivery.dataset),
            extract_id=1,
            pseudonym=lambda ids: ids,
        )
        for delivery in deliveries
    }


def _rows(staged: dict[str, Staged], dataset: str) -> pl.DataFrame:
    return pl.read_parquet(staged[dataset].rows)


def test_every_row_is_accepted_or_left_out_on_purpose(staged: dict[str, Staged]) -> None:
    assert {name: (one.rows_accepted, one.rows_excluded) for name, one in staged.items()} == TAKEN
    assert sum(one.rows_quarantined + one.rows_duplicate for one in staged.values()) == 0


def test_lines_promised_before_they_were_ordered_are_kept(staged: dict[str, Staged]) -> None:
    lines = _rows(staged, "purchase_order_line")
    assert lines.filter(pl.col("promised_on") < pl.col("ordered_on")).height == 7
    assert lines.select((pl.col("ordered_qty") * pl.col("unit_price")).sum()).item() == Decimal("63791994.838")


def test_output_stands_at_the_last_operation_only(staged: dict[str, Staged]) -> None:
    operations = _rows(staged, "operation_confirmation")
    orders = _rows(staged, "production_order").join(operations, on="order_id", how="semi")
    assert operations["good_qty"].sum() == orders["good_qty"].sum()
    assert operations["scrap_qty"].sum() == orders["scrap_qty"].sum()
    with_output = operations.filter(pl.col("good_qty") + pl.col("scrap_qty") > 0)
    assert not with_output["order_id"].is_duplicated().any()


def test_days_without_a_clock_are_not_shifted(staged: dict[str, Staged]) -> None:
    operations = _rows(staged, "operation_confirmation")
    assert (operations["ended_at"].dt.date() == operations["_date"]).all()
    assert operations["ended_at"].dt.hour().max() == 0


def test_journal_amounts_are_signed_by_the_operator(staged: dict[str, Staged]) -> None:
    journal = _rows(staged, "gl_entry").join(
        _rows(staged, "account").select("account_id", "normal_side", "account_type"), on="account_id"
    )
    assert journal.height == TAKEN["gl_entry"][0]
    balance = pl.col("debit") - pl.col("credit")
    net = pl.when(pl.col("normal_side") == "credit").then(-balance).otherwise(balance)
    # Returns (53) and taxes (94) go into their parents with a minus, salaries (60) and gross sales (52) with a plus.
    signs = journal.group_by("account_id").agg(net.sum().sign().alias("sign"))
    assert dict(signs.filter(pl.col("account_id").is_in(["53", "94", "60", "52"])).iter_rows()) == {
        "53": -1,
        "94": -1,
        "60": 1,
        "52": 1,
    }


def test_odd_month_ends_belong_to_the_month_they_close(staged: dict[str, Staged]) -> None:
    months = _rows(staged, "gl_entry")["posted_on"].dt.truncate("1mo").unique().sort()
    assert months.len() == 37
    assert months.dt.offset_by("1mo")[:-1].to_list() == months[1:].to_list()
    assert _rows(staged, "budget_line")["period_start"].n_unique() == 12


def test_cost_centers_roll_up_by_organisation(staged: dict[str, Staged]) -> None:
    centers = _rows(staged, "cost_center")
    parents = dict(zip(centers["cost_center_id"], centers["parent_cost_center_id"], strict=True))
    assert (parents["1-3"], parents["3-2"]) == (None, "14-2")
    assert set(parents.values()) - {None} <= set(parents)
