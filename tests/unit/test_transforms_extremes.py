"""Rows at the edge of what the contracts accept build without leaving the decimals' range."""

from pathlib import Path

import polars as pl
import pytest

from schemas.catalog import FACTS
from schemas.units import UNITS
from tests.golden.frames import dataset_frame
from tests.golden.test_slices import _build

PRICE = "999999999999.9999999999"
QTY = "99999999999999.9999"
SITES = "site_id,name,country,time_zone,currency\nS,Site,JP,Asia/Tokyo,JPY\n"
ITEMS = "item_id,name,item_type,base_uom,is_active\ni,I,raw,MGM,true\n"
COSTS = (
    "item_id,site_id,valid_from,material_cost,labour_cost,overhead_cost,currency\n"
    f"i,'',2026-01-01,{PRICE},{PRICE},{PRICE},EUR\n"
)
RATES = "\n".join(
    ["rate_date,from_currency,to_currency,rate_type,rate"]
    + [f"2026-03-01,{a},{b},average,999999999.9999999999" for a, b in (("EUR", "USD"), ("EUR", "JPY"), ("JPY", "USD"))]
)
TABLES = {
    "site": SITES,
    "item": ITEMS,
    "item_cost": COSTS,
    "fx_rate": RATES + "\n",
    "purchase_order_line": "po_id,line_no,supplier_id,item_id,site_id,ordered_on,promised_on,ordered_qty,uom,"
    f"unit_price,currency,status\nP,1,S,i,S,2026-03-01,2020-01-01,100,T,{PRICE},EUR,closed\n"
    f"P,2,S,i,S,2026-03-01,2020-01-01,{QTY},T,0.5,JPY,closed\n",
    "goods_receipt": "receipt_id,line_no,po_id,po_line_no,received_at,received_qty,uom\n"
    f"R,1,P,1,2026-03-01T00:00:00+00:00,{QTY},T\nR,2,P,2,2026-03-01T00:00:00+00:00,-{QTY},MG\n",
    "stock_snapshot": "snapshot_date,site_id,item_id,location,lot,on_hand_qty,uom,unit_cost,currency\n"
    f"2026-03-01,S,i,'','',{QTY},T,{PRICE},EUR\n2026-03-01,S,i,'',L,-{QTY},T,,\n",
    "gl_entry": "journal_id,line_no,posted_on,account_id,site_id,debit,credit,currency\n"
    f"J,1,2026-03-01,A,S,{QTY},0,EUR\nJ,2,2026-03-01,A,S,-{QTY},0,EUR\n",
    "budget_line": "version,scenario,account_id,cost_center_id,period_start,amount,currency\n"
    f"v,budget,A,'',2026-03-01,{QTY},EUR\n",
    "production_order": "order_id,item_id,site_id,planned_qty,uom,planned_start,due_at,good_qty,status\n"
    f"O,i,S,{QTY},T,2026-03-01T00:00:00+00:00,2026-03-01T00:00:00+00:00,{QTY},started\n",
    "operation_confirmation": "confirmation_id,order_id,operation_no,work_center_id,started_at,ended_at,run_min,"
    "good_qty,scrap_qty,rework_qty,uom,planned_cost,actual_cost,currency\n"
    f"C,O,1,W,2000-01-01T00:00:00+00:00,2026-03-01T00:00:00+00:00,{QTY},{QTY},0,0,T,{QTY},-{QTY},EUR\n",
}


@pytest.mark.parametrize("name", FACTS)
def test_extremes_build(name: str, tmp_path: Path) -> None:
    inputs: dict[str, pl.LazyFrame] = {}
    for dataset in FACTS[name].arguments:
        path = tmp_path / f"{dataset}.csv"
        if dataset in TABLES:
            path.write_text(TABLES[dataset])
        inputs[dataset] = dataset_frame(dataset, path)
    assert _build(FACTS[name], inputs).height


def test_the_largest_factor_is_known() -> None:
    # The rules that bound prices and rates count on it.
    assert max(unit.factor for unit in UNITS.values()) <= 1000
    assert min(unit.factor for unit in UNITS.values()) >= pl.Series(["0.000001"]).cast(pl.Decimal(10, 6)).item()
