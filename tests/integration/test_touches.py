"""Which slices a change of master data rebuilds: those that look at what changed, and no others."""

from datetime import date

from tests.shop import Shop

FACT = "fct_purchase_order_line"


def _generations(shop: Shop) -> dict[date, int]:
    return dict(shop.fetch(f"select day, generation from ops.slice where fact = '{FACT}'"))


def _item(shop: Shop, day: str, **said: object) -> dict[date, int]:
    """A night with a new snapshot of the items: generations of the fact's slices after it."""
    shop.land("item", day, said)
    shop.night()
    return _generations(shop)


def test_columns_that_a_fact_does_not_look_at_rebuild_nothing(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot", item="snapshot")
    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P1"}, {"po_id": "P2", "ordered_on": "2026-03-11"})
    first = _item(shop, "2026-03-31")
    assert set(first) == {date(2026, 3, 10), date(2026, 3, 11)}
    assert _item(shop, "2026-04-01", name="Screw") == first
    assert shop.fetch("select name from mart.dim_item where item_id = 'I1'") == [("Screw",)]
    in_dozens = _item(shop, "2026-04-02", name="Screw", base_uom="DZ")
    assert all(in_dozens[day] > first[day] for day in first)
    assert shop.fetch(f"select distinct base_uom from mart.{FACT}") == [("DZ",)]


def test_an_item_that_comes_late_rebuilds_the_days_that_used_its_code(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot", item="snapshot")
    shop.land(
        "purchase_order_line",
        "2026-03-31",
        {"po_id": "P1"},
        {"po_id": "P2", "ordered_on": "2026-03-11", "item_id": "I2"},
    )
    shop.night()
    before = _generations(shop)
    after = _item(shop, "2026-04-01", base_uom="DZ")
    assert after[date(2026, 3, 10)] > before[date(2026, 3, 10)]
    assert after[date(2026, 3, 11)] == before[date(2026, 3, 11)]
    assert shop.fetch(f"select base_uom from mart.{FACT} where po_id = 'P1'") == [("DZ",)]


def test_a_code_that_nobody_uses_rebuilds_nothing(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot", goods_receipt="snapshot", item="snapshot", code_map="snapshot")
    shop.land("purchase_order_line", "2026-03-31", {})
    shop.land("goods_receipt", "2026-03-31", {})
    first = _item(shop, "2026-03-31")
    shop.land("code_map", "2026-04-01", {"code": "never ordered"})
    shop.night()
    assert _generations(shop) == first
    shop.land("code_map", "2026-04-02", {})
    shop.night()
    assert _generations(shop) != first


def test_a_member_that_is_gone_before_it_came_has_its_name(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot", supplier="snapshot")
    shop.land("purchase_order_line", "2026-03-31", {})
    shop.land("supplier", "2026-03-31", {"supplier_id": "S2"})
    shop.night()
    columns = "supplier_id, name, is_inferred, is_deleted"
    members = f"select {columns} from mart.dim_supplier where supplier_id like 'S%' order by 1"
    assert shop.fetch(members) == [("S1", "S1", True, False), ("S2", "Smith", False, False)]
    shop.land("supplier", "2026-03-01", {"supplier_id": "S1", "name": "Jones"})
    shop.night()
    assert shop.fetch(members) == [("S1", "Jones", False, True), ("S2", "Smith", False, False)]
    states = "select name, is_deleted from mart.dim_supplier_history where supplier_id = 'S1' order by valid_from"
    assert shop.fetch(states) == [("Jones", False), ("Jones", True)]
