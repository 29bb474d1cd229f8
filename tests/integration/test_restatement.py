"""What happens to the mart when deliveries repeat, correct, move, end or come late: only what differs is written."""

from collections.abc import Callable
from datetime import date

import pytest

from flows.io.checks import differences
from flows.io.lake import Lake
from tests.shop import Shop, changed, line, receipt

LINES, RECEIPTS = "mart.fct_purchase_order_line", "mart.fct_goods_receipt"


# ── the same again, and a little different ──────────────────────────────────────────────────────────────────────────


def test_running_twice_changes_nothing(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot", goods_receipt="append", item="snapshot", fx_rate="delta")
    shop.land("purchase_order_line", "2026-03-31", line("P1"), line("P2", ordered_on="2026-04-02"))
    shop.land("goods_receipt", "2026-03-31", receipt("R1", "P1"))
    shop.land("item", "2026-03-31", {})
    shop.land("fx_rate", "2026-03-31", {})
    assert not shop.good_night().is_empty
    query = "select fact, source, day, generation, published_at from ops.slice order by 1, 2, 3"
    slices, mart = shop.fetch(query), shop.stamps("fct_purchase_order_line", "row_key")
    assert shop.night().is_empty
    # The same bytes under the same name, written anew.
    shop.land("goods_receipt", "2026-03-31", receipt("R1", "P1"))
    assert shop.night().is_empty
    assert (shop.fetch(query), shop.stamps("fct_purchase_order_line", "row_key")) == (slices, mart)


def test_only_the_rows_that_changed_are_built(shop: Shop) -> None:
    """Their own, and those whose documents they belong to; not the others of the day."""
    shop.source(purchase_order_line="snapshot", goods_receipt="append", item="snapshot")
    lines = [line(f"P{n}", ordered_on=f"2026-03-{n % 3 + 1:02d}") for n in range(60)]
    shop.land("purchase_order_line", "2026-03-31", *lines)
    shop.land("goods_receipt", "2026-03-31", *(receipt(f"R{n}", f"P{n}") for n in range(60)))
    shop.good_night()
    # A line that moves to another day, one that has another quantity, and a late receipt of a third.
    lines[0]["ordered_on"], lines[1]["ordered_qty"] = "2026-03-03", 9
    shop.land("purchase_order_line", "2026-04-01", *lines)
    shop.land("goods_receipt", "2026-04-01", receipt("R99", "P2"))
    built = {table.table: table for table in shop.good_night().built}
    assert (built["fct_purchase_order_line"].rows_added, built["fct_purchase_order_line"].rows_unchanged) == (3, 0)
    assert built["fct_goods_receipt"].rows_added <= 3
    assert built["fct_goods_receipt"].rows_unchanged <= 2
    rows = shop.fetch(
        "select po_id, ordered_on::text, ordered_qty::int, received_qty::int from mart.fct_purchase_order_line"
    )
    assert {row[0]: row[1:] for row in rows if row[0] in ("P0", "P1", "P2", "P3")} == {
        "P0": ("2026-03-03", 5, 5),
        "P1": ("2026-03-02", 9, 5),
        "P2": ("2026-03-03", 5, 10),
        "P3": ("2026-03-01", 5, 5),
    }
    # The slices' records follow, and nothing is left to remember.
    with shop.warehouse.session() as session:
        assert list(differences(session, Lake(shop.settings.lake))) == []
    assert shop.fetch("select count(*) from ops.dirty_row") == [(0,)]


def test_a_complete_delivery_of_the_same_rows_publishes_nothing(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot")
    shop.land("purchase_order_line", "2026-03-31", line("P1"), line("P2"))
    shop.good_night()
    before = shop.fetch("select fact, source, day, generation, published_at from ops.slice order by 1, 2, 3")
    shop.land("purchase_order_line", "2026-04-01", line("P2"), line("P1"))
    report = shop.good_night()
    assert [extract.state for extract in report.taken] == ["accepted"]
    assert report.built == []
    assert shop.fetch("select fact, source, day, generation, published_at from ops.slice order by 1, 2, 3") == before


@pytest.mark.parametrize("mode", ["snapshot", "delta", "append"])
def test_a_corrected_file_rewrites_only_the_rows_that_differ(
    shop: Shop, mode: str, from_scratch: Callable[[Shop], None]
) -> None:
    shop.source(purchase_order_line=mode)
    lines = [line("P1"), line("P2"), line("P3", ordered_on="2026-04-02"), line("P4", ordered_on="2026-04-02")]
    shop.land("purchase_order_line", "2026-04-03", *lines)
    shop.good_night()
    before = shop.stamps("fct_purchase_order_line", "po_id")
    lines[1]["ordered_qty"] = 6
    shop.land("purchase_order_line", "2026-04-03_r1", *lines)
    report = shop.good_night()
    assert changed(shop, "fct_purchase_order_line", "po_id", before) == {"P2"}
    (built,) = (built for built in report.built if built.table == "fct_purchase_order_line")
    assert (built.rows_added, built.rows_removed) == (1, 1)
    from_scratch(shop)


# ── rows that move and rows that go ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["snapshot", "delta"])
def test_a_line_that_moves_from_march_to_april_leaves_march(
    shop: Shop, mode: str, from_scratch: Callable[[Shop], None]
) -> None:
    shop.source(purchase_order_line=mode)
    shop.land("purchase_order_line", "2026-03-31", line("P1", ordered_on="2026-03-31"), line("P2"))
    shop.good_night()
    shop.land("purchase_order_line", "2026-04-01", line("P1", ordered_on="2026-04-01"), line("P2"))
    shop.good_night()
    assert shop.fetch(f"select po_id, ordered_on from {LINES} order by 1") == [
        ("P1", date(2026, 4, 1)),
        ("P2", date(2026, 3, 10)),
    ]
    assert shop.fetch("select day, row_count from ops.slice where fact = 'fct_purchase_order_line' order by 1") == [
        (date(2026, 3, 10), 1),
        (date(2026, 3, 31), 0),
        (date(2026, 4, 1), 1),
    ]
    from_scratch(shop)


@pytest.mark.parametrize("mode", ["snapshot", "delta", "append"])
def test_a_receipt_booked_to_another_order_changes_both(
    shop: Shop, mode: str, from_scratch: Callable[[Shop], None]
) -> None:
    shop.source(purchase_order_line="snapshot", goods_receipt=mode)
    shop.land("purchase_order_line", "2026-04-02", line("P1"), line("P2", ordered_on="2026-04-02"), line("P3"))
    shop.land("goods_receipt", "2026-04-02", receipt("R1", "P1"), receipt("R2", "P3"))
    shop.good_night()
    query = f"select po_id, received_qty::bigint from {LINES} order by 1"
    assert shop.fetch(query) == [("P1", 5), ("P2", 0), ("P3", 5)]
    before = shop.stamps("fct_purchase_order_line", "po_id")
    shop.land("goods_receipt", "2026-04-02_r1", receipt("R1", "P2"), receipt("R2", "P3"))
    shop.good_night()
    assert shop.fetch(query) == [("P1", 0), ("P2", 5), ("P3", 5)]
    assert changed(shop, "fct_purchase_order_line", "po_id", before) == {"P1", "P2"}
    from_scratch(shop)


def test_a_snapshot_that_lacks_a_key_ends_it(shop: Shop, from_scratch: Callable[[Shop], None]) -> None:
    shop.source(purchase_order_line="snapshot", item="snapshot")
    shop.land("purchase_order_line", "2026-03-31", line("P1"), line("P2"), line("P3"))
    shop.land("item", "2026-03-31", {}, {"item_id": "I2"}, {"item_id": "I3"})
    shop.good_night()
    shop.land("purchase_order_line", "2026-04-01", line("P1"), line("P3"))
    shop.land("item", "2026-04-01", {}, {"item_id": "I3"})
    shop.good_night()
    assert shop.fetch(f"select po_id from {LINES} order by 1") == [("P1",), ("P3",)]
    assert shop.fetch("select item_id, is_deleted from mart.dim_item where code_space = 'shop' order by 1") == [
        ("I1", False),
        ("I2", True),
        ("I3", False),
    ]
    present = "select item_id, is_deleted from mart.dim_item_history where code_space = 'shop' and is_current"
    assert sorted(shop.fetch(present)) == [("I1", False), ("I2", True), ("I3", False)]
    assert shop.fetch(
        "select is_deleted, valid_to from mart.dim_item_history where item_id = 'I2' order by valid_from"
    ) == [(False, date(2026, 4, 1)), (True, date(9999, 12, 31))]
    # And it may come back.
    shop.land("item", "2026-04-02", {}, {"item_id": "I2"}, {"item_id": "I3"})
    shop.land("purchase_order_line", "2026-04-02", line("P1"), line("P2"), line("P3"))
    shop.good_night()
    assert shop.fetch(f"select count(*) from {LINES}") == [(3,)]
    assert shop.fetch("select is_deleted from mart.dim_item where item_id = 'I2'") == [(False,)]
    from_scratch(shop)


def test_one_bad_row_in_a_snapshot_does_not_end_its_key(shop: Shop) -> None:
    shop.source(purchase_order_line={"mode": "snapshot", "tolerances": {"rows": 5}, "reason": "a small list"})
    shop.land("purchase_order_line", "2026-03-31", line("P1"), line("P2"), line("P3"))
    shop.good_night()
    before = shop.stamps("fct_purchase_order_line", "po_id")
    # P1 cannot be read, P3 is missing: the delivery still claims to be complete, because it is known that P1 is in it.
    shop.land("purchase_order_line", "2026-04-01", line("P1", ordered_qty="five"), line("P2"))
    shop.good_night()
    assert shop.fetch(f"select po_id, ordered_qty::bigint from {LINES} order by 1") == [("P1", 5), ("P2", 5)]
    assert changed(shop, "fct_purchase_order_line", "po_id", before) == {"P3"}
    # Where the key itself cannot be read, nothing may end: it might be any key.
    shop.land("purchase_order_line", "2026-04-02", line("P1"), line(""), line("P4"))
    shop.good_night()
    assert shop.fetch(f"select po_id from {LINES} order by 1") == [("P1",), ("P2",), ("P4",)]
    assert shop.fetch("select gives_coverage from ops.extract order by extract_id") == [(True,), (True,), (False,)]


def test_a_delta_deletes(shop: Shop, from_scratch: Callable[[Shop], None]) -> None:
    shop.source(purchase_order_line="delta")
    told = {"updated_at": "2026-03-20 10:00:00"}
    shop.land("purchase_order_line", "2026-03-20", line("P1", **told), line("P2", **told))
    shop.good_night()
    gone = {"updated_at": "2026-03-21 10:00:00", "is_deleted": "true"}
    shop.land("purchase_order_line", "2026-03-21", line("P1", **gone))
    shop.good_night()
    assert shop.fetch(f"select po_id from {LINES}") == [("P2",)]
    # A late delta that carries an older version revives nothing.
    shop.land("purchase_order_line", "2026-03-22", line("P1", updated_at="2026-03-20 18:00:00"))
    shop.good_night()
    assert shop.fetch(f"select po_id from {LINES}") == [("P2",)]
    from_scratch(shop)


def test_a_revision_of_an_append_slot_replaces_its_rows(shop: Shop, from_scratch: Callable[[Shop], None]) -> None:
    shop.source(goods_receipt="append")
    late = {"received_at": "2026-04-01 09:00:00"}
    shop.land("goods_receipt", "2026-03-31", receipt("R1", "P1"), receipt("R2", "P1"), receipt("R3", "P2"))
    shop.land("goods_receipt", "2026-04-01", receipt("R4", "P1", **late))
    shop.good_night()
    before = shop.stamps("fct_goods_receipt", "receipt_id")
    shop.land("goods_receipt", "2026-03-31_r1", receipt("R1", "P1"), receipt("R2", "P1", received_qty=4))
    shop.good_night()
    assert changed(shop, "fct_goods_receipt", "receipt_id", before) == {"R2", "R3"}
    assert shop.fetch(f"select receipt_id, received_qty::bigint from {RECEIPTS} order by 1") == [
        ("R1", 5), ("R2", 4), ("R4", 5)
    ]  # fmt: skip
    # An older revision that comes after a newer one counts for nothing.
    shop.land("goods_receipt", "2026-04-01_r2", receipt("R4", "P1", received_qty=2, **late))
    shop.good_night()
    shop.land("goods_receipt", "2026-04-01_r1", receipt("R4", "P1", received_qty=3, **late))
    shop.good_night()
    assert shop.fetch(f"select received_qty::bigint from {RECEIPTS} where receipt_id = 'R4'") == [(2,)]
    from_scratch(shop)


def test_a_period_replaces_its_own_days_only(shop: Shop, from_scratch: Callable[[Shop], None]) -> None:
    shop.source(gl_entry={"mode": "period", "period": {"column": "posted_on"}})
    shop.land("gl_entry", "2026-03", {"journal_id": "J1"}, {"journal_id": "J2"})
    shop.land("gl_entry", "2026-04", {"journal_id": "J3", "posted_on": "2026-04-10"})
    shop.good_night()
    shop.land("gl_entry", "2026-03_r1", {"journal_id": "J2", "credit": "90.00"}, {"journal_id": "J4"})
    shop.good_night()
    assert shop.fetch("select journal_id, credit::bigint from mart.fct_gl_entry order by 1") == [
        ("J2", 90), ("J3", 100), ("J4", 100)
    ]  # fmt: skip
    # A journal that moves to April leaves March although March is not delivered again.
    shop.land("gl_entry", "2026-04_r1", *({"journal_id": j, "posted_on": "2026-04-10"} for j in ("J3", "J4")))
    shop.good_night()
    assert shop.fetch("select journal_id, posted_on from mart.fct_gl_entry order by 1") == [
        ("J2", date(2026, 3, 10)), ("J3", date(2026, 4, 10)), ("J4", date(2026, 4, 10))
    ]  # fmt: skip
    assert shop.fetch("select row_count from ops.slice where fact = 'fct_budget_actual' order by day") == [(1,), (1,)]
    from_scratch(shop)


def test_retire_limit(shop: Shop) -> None:
    shop.source(purchase_order_line={"mode": "snapshot", "retire_limit_pct": 40})
    shop.land("purchase_order_line", "2026-03-31", *(line(f"P{n}") for n in range(5)))
    shop.good_night()
    # Three of five missing: that is a broken export rather than three orders gone.
    shop.land("purchase_order_line", "2026-04-01", line("P0"), line("P1", ordered_qty=7))
    shop.good_night()
    assert shop.fetch(f"select po_id, ordered_qty::bigint from {LINES} order by 1") == [
        ("P0", 5), ("P1", 7), ("P2", 5), ("P3", 5), ("P4", 5)
    ]  # fmt: skip
    shop.land("purchase_order_line", "2026-04-02", line("P0"), line("P1", ordered_qty=7), line("P2"))
    shop.good_night()
    assert shop.fetch(f"select po_id from {LINES} order by 1") == [("P0",), ("P1",), ("P2",)]


def test_an_event_that_another_slot_says_differently_moves_between_its_documents(shop: Shop) -> None:
    """Of a key's rows of one day the newest delivery's counts: the document that it leaves is built again, too."""
    shop.source(purchase_order_line="snapshot", goods_receipt="append")
    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P0"}, {"po_id": "P1", "ordered_on": "2026-03-11"})
    shop.land("goods_receipt", "2026-03-20", {"po_id": "P0"})
    shop.good_night()
    shop.land("goods_receipt", "2026-03-21", {"po_id": "P1"}, {"receipt_id": "R2", "po_id": "P1"})
    shop.good_night()
    received = "select po_id, received_qty::bigint from mart.fct_purchase_order_line order by 1"
    assert shop.fetch(received) == [("P0", 0), ("P1", 10)]
    # The revision does not have it any more: what the other slot says counts again.
    shop.land("goods_receipt", "2026-03-21_r1", {"receipt_id": "R2", "po_id": "P1"})
    shop.good_night()
    assert shop.fetch(received) == [("P0", 5), ("P1", 5)]
    # An older slot that comes late says nothing new about it.
    shop.land("goods_receipt", "2026-03-19", {"po_id": "P1"})
    shop.good_night()
    assert shop.fetch(received) == [("P0", 5), ("P1", 5)]


def test_two_versions_in_one_delivery_are_one_row_though_another_key_is_quarantined(shop: Shop) -> None:
    shop.source(purchase_order_line="delta")
    versions = [{"ordered_qty": n, "updated_at": f"2026-03-01 10:00:0{n}"} for n in (1, 2)]
    shop.land("purchase_order_line", "2026-03-31", *versions, {"po_id": "P2", "ordered_qty": "many"})
    shop.good_night()
    assert shop.fetch("select po_id, ordered_qty::bigint from mart.fct_purchase_order_line") == [("P1", 2)]
