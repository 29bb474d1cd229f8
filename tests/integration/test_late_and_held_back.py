"""What comes late, and what is held back: the facts concerned are written, and no others."""

import inspect
from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from tests.shop import Shop, changed, line, receipt
from transforms.supplier.fct_purchase_order_line import fct_purchase_order_line

LINES, RECEIPTS = "mart.fct_purchase_order_line", "mart.fct_goods_receipt"


# ── what comes late ─────────────────────────────────────────────────────────────────────────────────────────────────


def _company(shop: Shop) -> None:
    """Two items in two currencies over two months, received; items, costs and rates come later."""
    shop.source(
        purchase_order_line="snapshot", goods_receipt="append", item="snapshot", item_cost="snapshot",
        fx_rate="delta", code_map="snapshot", supplier="snapshot",
    )  # fmt: skip
    shop.land(
        "purchase_order_line", "2026-04-30",
        line("P1"),
        line("P2", item_id="I2"),
        line("P3", ordered_on="2026-04-20", uom="DZ"),
        line("P4", ordered_on="2026-04-20", item_id="I2", currency="USD"),
    )  # fmt: skip
    late = {"received_at": "2026-04-28 08:00:00"}
    shop.land("goods_receipt", "2026-04-30", receipt("R1", "P1"), receipt("R2", "P4", **late))
    shop.good_night()


def test_late_master_data_touches_the_facts_concerned(shop: Shop, from_scratch: Callable[[Shop], None]) -> None:
    _company(shop)
    before = shop.stamps("fct_purchase_order_line", "po_id")

    def newly_written() -> set[Any]:
        nonlocal before
        written = changed(shop, "fct_purchase_order_line", "po_id", before)
        before = shop.stamps("fct_purchase_order_line", "po_id")
        return written

    # An item's name is nothing that facts look at, its unit is.
    shop.land("item", "2026-04-30", {"item_id": "I1"}, {"item_id": "I2"})
    shop.good_night()
    assert newly_written() == {"P3"}
    assert shop.fetch(f"select base_uom, ordered_qty::bigint from {LINES} where po_id = 'P3'") == [("EA", 60)]
    assert shop.fetch("select is_inferred from mart.dim_item where item_id = 'I1'") == [(False,)]
    shop.land("item", "2026-05-01", {"item_id": "I1", "name": "Screw"}, {"item_id": "I2"})
    shop.good_night()
    assert newly_written() == set()
    assert shop.fetch("select count(*) from mart.dim_item_history where item_id = 'I1'") == [(2,)]

    # A cost that holds from April leaves March alone.
    shop.land("item_cost", "2026-04-30", {"valid_from": "2026-04-01"})
    shop.good_night()
    assert newly_written() == {"P3"}

    # A rate is looked up for a week.
    shop.land("fx_rate", "2026-04-30", {"rate_date": "2026-03-08"}, {"rate_date": "2026-03-01", "rate": "9"})
    shop.good_night()
    assert newly_written() == {"P1", "P2"}
    assert shop.fetch(f"select fx_rate_reporting::text::numeric::float from {LINES} where po_id = 'P1'") == [(1.1,)]

    # One code is another system's: the lines that say it get the other's key.
    keys = dict(shop.fetch(f"select po_id, item_key from {LINES}"))
    shop.land("code_map", "2026-04-30", {})
    shop.good_night()
    assert newly_written() == {"P1", "P3"}
    after = dict(shop.fetch(f"select po_id, item_key from {LINES}"))
    assert {po for po in keys if keys[po] != after[po]} == {"P1", "P3"}
    assert shop.fetch(f"select count(*) from {LINES} join mart.dim_item using (item_key)") == [(4,)]
    from_scratch(shop)


def test_a_map_that_ends_gives_the_codes_back(shop: Shop, from_scratch: Callable[[Shop], None]) -> None:
    _company(shop)
    keys = shop.fetch(f"select po_id, item_key from {LINES} order by 1")
    more = [{"code": f"X{n}", "master_code": f"Y{n}"} for n in range(3)]
    shop.land("code_map", "2026-04-30", {}, *more)
    shop.good_night()
    assert shop.fetch(f"select po_id, item_key from {LINES} order by 1") != keys
    shop.land("code_map", "2026-05-01", *more)
    shop.good_night()
    assert shop.fetch(f"select po_id, item_key from {LINES} order by 1") == keys
    from_scratch(shop)


# ── what is held back ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_blocked_delivery_leaves_what_was_there_and_a_correction_supersedes_it(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot")
    shop.source("other", goods_receipt="append")
    shop.land("purchase_order_line", "2026-03-31", line("P1"), line("P2"))
    shop.good_night()
    before = shop.stamps("fct_purchase_order_line", "po_id")
    shop.land("purchase_order_line", "2026-04-01", line("P1", ordered_qty="?"), line("P2", currency="???"))
    shop.land("goods_receipt", "2026-04-01", receipt("R1", "P9"), source="other")
    report = shop.night()
    assert report.exit_code == 3
    (problem,) = report.problems
    assert problem.subject == "shop · purchase_order_line · 2026-04-01"
    assert "something_usable" in problem.message
    assert shop.fetch("select state from ops.run order by started_at desc limit 1") == [("partial",)]
    assert changed(shop, "fct_purchase_order_line", "po_id", before) == set()
    assert shop.fetch(f"select receipt_id from {RECEIPTS}") == [("R1",)]
    # It is said once, and stays on the record.
    assert shop.night().is_empty
    states = "select slot, revision, state from ops.extract where source = 'shop' order by as_of, revision"
    assert shop.fetch(states) == [("2026-03-31", 0, "accepted"), ("2026-04-01", 0, "blocked")]
    shop.land("purchase_order_line", "2026-04-01_r1", line("P1", ordered_qty=8), line("P2"))
    shop.good_night()
    assert shop.fetch(states)[1:] == [("2026-04-01", 0, "superseded"), ("2026-04-01", 1, "accepted")]
    assert changed(shop, "fct_purchase_order_line", "po_id", before) == {"P1"}


def _without_p2(**inputs: Any) -> Any:
    """Loses a row: the row count of its day no longer reconciles with the current rows."""
    return fct_purchase_order_line(**inputs).filter(pl.col("po_id") != "P2")


def test_a_failing_fact_gate_holds_back_its_slices_only(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.source(purchase_order_line="snapshot", goods_receipt="append")
    shop.land("purchase_order_line", "2026-04-01", line("P1"), line("P2", ordered_on="2026-03-11"), line("P3"))
    shop.land("goods_receipt", "2026-04-01", receipt("R1", "P1"))
    with monkeypatch.context() as patch:
        # The builder looks at the signature to know what to hand over.
        patch.setattr(_without_p2, "__signature__", inspect.signature(fct_purchase_order_line), raising=False)
        patch.setattr("transforms.supplier.fct_purchase_order_line.fct_purchase_order_line", _without_p2)
        report = shop.night()
    assert [problem.subject for problem in report.problems] == ["fct_purchase_order_line"]
    assert "1 slice" in report.problems[0].message
    assert shop.fetch(f"select po_id from {LINES} order by 1") == [("P1",), ("P3",)]
    assert shop.fetch(f"select count(*) from {RECEIPTS}") == [(1,)]
    blocked = "select fact, day, state from ops.dirty_slice where state = 'blocked'"
    assert shop.fetch(blocked) == [("fct_purchase_order_line", date(2026, 3, 11), "blocked")]
    # It stays missing, and is said each night, until something new comes for the day.
    assert [problem.subject for problem in shop.night().problems] == ["fct_purchase_order_line"]
    moved = line("P2", ordered_on="2026-03-11", ordered_qty=6)
    shop.land("purchase_order_line", "2026-04-02", line("P1"), moved, line("P3"))
    shop.good_night()
    assert shop.fetch(blocked) == []
    assert shop.fetch(f"select ordered_qty::bigint from {LINES} order by po_id") == [(5,), (6,), (5,)]
