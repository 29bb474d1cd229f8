"""AdventureWorks' facts equal its published data, its metrics a second computation over the raw files."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flows.io.embedded_server import Server
from flows.io.metric_files import CARDS, load_card
from flows.io.warehouse import Session, Warehouse
from flows.settings import Settings, load_settings
from tests.conftest import fresh_database
from tests.metrics import KEY, differing, measured
from tests.night import run_night

HERE = Path(__file__).parent

PUBLISHED = {
    "select count(*) from mart.fct_purchase_order_line": 8_845,
    "select count(distinct po_id) from mart.fct_purchase_order_line": 4_012,
    "select sum(ordered_qty) from mart.fct_purchase_order_line": 2_348_637,
    "select sum(received_qty) from mart.fct_purchase_order_line": 2_327_299,
    "select sum(rejected_qty) from mart.fct_purchase_order_line": 72_700,
    "select sum(ordered_amount) from mart.fct_purchase_order_line": Decimal("63791994.838"),
    "select count(*) from mart.fct_purchase_order_line where days_late > 0": 7,
    "select count(*) from mart.fct_purchase_order_line where rejected_qty > 0": 563,
    "select sum(received_qty) from mart.fct_goods_receipt": 2_327_299,
    "select count(*) from mart.fct_production_order": 72_591,
    "select sum(planned_qty) from mart.fct_production_order": 4_507_721,
    "select sum(good_qty) from mart.fct_production_order": 4_497_070,
    "select sum(scrap_qty) from mart.fct_production_order": 10_651,
    "select sum(late_count) from mart.fct_production_order": 22_790,
    "select count(*) from mart.fct_operation": 67_131,
    "select sum(run_min) / 60 from mart.fct_operation": Decimal("228962.2"),
    "select sum(late_count) from mart.fct_operation": 39_212,
    "select sum(planned_cost) from mart.fct_operation": Decimal("3487969.50"),
    "select sum(actual_cost) from mart.fct_operation": Decimal("3487969.50"),
    "select count(*) from mart.fct_gl_entry": 34_563,
    "select count(distinct date_trunc('month', posted_on)) from mart.fct_gl_entry": 37,
    "select count(*) from mart.fct_budget": 4_846,
    "select count(distinct period_start) from mart.fct_budget": 12,
}
"""Counted from the raw files by their publisher's README, not by this program."""

NOT_DELIVERED = {
    "supplier_on_time_requested": "no day requested",
    "supplier_otif_requested": "no day requested",
    "supplier_on_time_committed": "no second promise",
    "supplier_otif_committed": "no second promise",
    "setup_ratio": "no times of setting up",
    "labour_hours": "no times of people",
    "stock_value": "no stock by day",
    "stockout_ratio": "no stock by day",
    "days_on_hand": "no stock by day",
    "stock_turns": "no stock by day",
}
"""Metrics that the files have no data for, and what they lack."""


@dataclass(frozen=True)
class Filled:
    """A home, and its mart after one night."""

    settings: Settings
    warehouse: Warehouse


@pytest.fixture(scope="module")
def filled(server: Server, test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The mart after a night with the whole company in the landing folder."""
    with fresh_database(server) as url:
        settings = load_settings(home=tmp_path_factory.mktemp("adventureworks") / "home", warehouse_url=url)
        folder = settings.landing / "adventureworks"
        folder.mkdir(parents=True)
        for name in ("oltp", "dw"):
            (folder / name).symlink_to(test_data / "adventureworks" / name)
        assert run_night(settings).problems == []
        with closing(Warehouse(url)) as warehouse:
            yield Filled(settings, warehouse)


def test_facts_equal_the_published_data(filled: Filled) -> None:
    with filled.warehouse.session() as session:
        found = {query: session.value(query) for query in PUBLISHED}
        assert {query: Decimal(str(value)) for query, value in found.items()} == {
            query: Decimal(value) for query, value in PUBLISHED.items()
        }
        _nothing_is_lost(session)


def test_metrics_equal_what_duckdb_makes_of_the_raw_files_by_every_scope(filled: Filled, test_data: Path) -> None:
    query = (HERE / "adventureworks_metrics.sql").read_text().replace("{folder}", str(test_data / "adventureworks"))
    cards = [load_card(file).card for file in CARDS.glob("*.yaml")]
    shown = pl.DataFrame([(card.metric, scope) for card in cards for scope in card.scopes], KEY[:2], orient="row")
    with duckdb.connect() as database:
        want = database.sql(query).pl().join(shown, on=KEY[:2], how="semi")
    have = measured(filled.warehouse)
    lacking = pl.col("metric").is_in(list(NOT_DELIVERED))
    assert have.filter(lacking)["value"].drop_nulls().is_empty()
    have = have.filter(~lacking)
    for each in (want, have):
        assert each.select(KEY[:2]).unique().sort(KEY[:2]).equals(shown.filter(~lacking).sort(KEY[:2]))
    assert differing(want, have).to_dicts() == []


def test_a_second_night_finds_nothing(filled: Filled) -> None:
    assert run_night(filled.settings).is_empty


def _nothing_is_lost(session: Session) -> None:
    unbalanced = session.value(
        "select count(*) from ops.extract"
        " where rows_in <> rows_accepted + rows_quarantined + rows_duplicate + rows_excluded"
    )
    unexplained = session.value(
        "select sum(rows_quarantined)::bigint - (select count(distinct (extract_id, row_no)) from ops.quarantined_row)"
        " from ops.extract"
    )
    assert (unbalanced, unexplained) == (0, 0)
