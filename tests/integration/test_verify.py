"""`opsmart verify` after a restore or after somebody's hand: what it finds, and that it mends it."""

import shutil

import pytest

from flows import pipeline
from flows.io.checks import differences
from flows.io.lake import Lake
from tests.shop import Shop, same_mart

LINES = "mart.fct_purchase_order_line"


def prepare(shop: Shop) -> None:
    """A company after its first night: all modes, type 2 history, a fact of months and one of days."""
    shop.source(
        purchase_order_line="delta", goods_receipt="append", item="snapshot", gl_entry={
            "mode": "period", "period": {"column": "posted_on"}
        }, fx_rate="delta",
    )  # fmt: skip
    shop.land("purchase_order_line", "2026-03-11", *({"po_id": f"P{n}"} for n in range(3)))
    shop.land("purchase_order_line", "2026-04-11", *({"po_id": f"Q{n}", "ordered_on": "2026-04-10"} for n in range(3)))
    shop.land("goods_receipt", "2026-03-16", {"po_id": "P1"})
    shop.land("item", "2026-03-11", {})
    shop.land("gl_entry", "2026-03", {})
    shop.land("fx_rate", "2026-03-11", {})
    shop.good_night()


@pytest.fixture
def filled(prepared: Shop) -> Shop:
    """The shop above, a copy for each test."""
    return prepared


def verify(shop: Shop) -> list[str]:
    with pipeline.open(shop.settings) as pipe:
        return [str(difference) for difference in pipe.verify()]


def repair(shop: Shop) -> list[str]:
    with pipeline.open(shop.settings) as pipe:
        return pipe.repair(pipe.verify())


def test_what_is_right_has_no_differences(filled: Shop) -> None:
    assert verify(filled) == []
    assert repair(filled) == []
    assert filled.night().is_empty


@pytest.mark.parametrize("builds_meanwhile", [False, True])
def test_a_lake_older_than_the_ledger_is_filled_up(filled: Shop, builds_meanwhile: bool) -> None:
    backup = filled.settings.home / "backup"
    shutil.copytree(filled.settings.lake, backup)
    filled.land("purchase_order_line", "2026-04-12", {"po_id": "P0", "ordered_qty": 7}, {"po_id": "P9"})
    filled.land("purchase_order_line", "2026-04-13", {"po_id": "P8"})
    filled.land("goods_receipt", "2026-03-16_r1", {"po_id": "P2"})
    filled.land("item", "2026-03-12", {"name": "Screw"})
    filled.land("gl_entry", "2026-03_r1", {"credit": "7.00"}, {"line_no": "2", "credit": "5.00"})
    filled.good_night()
    right = filled.mart()
    shutil.rmtree(filled.settings.lake)
    shutil.copytree(backup, filled.settings.lake)
    if builds_meanwhile:
        # a night on the old lake publishes what is wrong
        filled.land("goods_receipt", "2026-03-17", {"receipt_id": "R5", "po_id": "P0"})
        filled.night()
    said = verify(filled)
    for dataset, deliveries in {"purchase_order_line": 2, "goods_receipt": 1, "item": 1, "gl_entry": 1}.items():
        assert any(f"shop.{dataset}: " in text and f"{deliveries} deliveries" in text for text in said), said
    assert repair(filled) == []
    filled.good_night()
    assert verify(filled) == []
    if not builds_meanwhile:
        same_mart(filled.mart(), right)
    rows = filled.fetch(f"select po_id, ordered_qty::bigint, received_qty::bigint from {LINES} order by 1")
    assert rows[0] == ("P0", 7, 5 if builds_meanwhile else 0)
    assert [row[0] for row in rows] == ["P0", "P1", "P2", "P8", "P9", "Q0", "Q1", "Q2"]
    assert filled.night().is_empty


def test_a_lake_that_is_gone_is_filled_up(filled: Shop) -> None:
    right = filled.mart()
    shutil.rmtree(filled.settings.lake)
    assert len(verify(filled)) == 5
    assert repair(filled) == []
    filled.good_night()
    assert verify(filled) == []
    same_mart(filled.mart(), right)


def test_bytes_that_are_gone_are_named(filled: Shop) -> None:
    shutil.rmtree(filled.settings.lake / "goods_receipt")
    shutil.rmtree(filled.settings.landing)
    (said,) = repair(filled)
    assert "shop · goods_receipt · 2026-03-16" in said
    assert "landing store" in said


TAMPERED: dict[str, str] = {
    "a measure": f"update {LINES} set ordered_qty = 99 where po_id = 'P0'",
    "a key column": f"update {LINES} set po_id = 'X' where po_id = 'P0'",
    "the primary key": f"update {LINES} set row_key = 5 where po_id = 'P0'",
    "the hash": f"update {LINES} set row_hash = 5 where po_id = 'P0'",
    "the day": f"update {LINES} set ordered_on = '2026-04-10' where po_id = 'P0'",
    "a row gone": f"delete from {LINES} where po_id = 'P0'",
    "a row too many": f"insert into {LINES} select (jsonb_populate_record(l, '{{\"row_key\": 5}}')).*"
    f" from {LINES} as l where po_id = 'P0'",
    "a row where nothing was": f"insert into {LINES} select (jsonb_populate_record(l,"
    f' \'{{"row_key": 7, "ordered_on": "2025-01-01"}}\')).* from {LINES} as l where po_id = \'P0\'',
    "a source that nobody knows": f"insert into {LINES} select (jsonb_populate_record(l,"
    f' \'{{"row_key": 6, "source": "mine"}}\')).* from {LINES} as l where po_id = \'P0\'',
    "a table emptied": f"delete from {LINES}",
    "a fact of months": "update mart.fct_budget_actual set actual_amount = 1",
    "a dimension": "update mart.dim_item set name = 'Nut' where item_id = 'I1'",
    "a dimension's row gone": "delete from mart.dim_item where item_id = 'I1'",
    "type 2 history": "update mart.dim_item_history set name = 'Nut'",
}


def test_whatever_was_tampered_with_is_noticed(filled: Shop) -> None:
    tables = {statement.split("mart.")[1].split()[0] for statement in TAMPERED.values()}
    with filled.warehouse.session() as session:
        for table in tables:
            session.execute(f"create table ops.kept_{table} as table mart.{table}")
        session.commit()
    for what, statement in TAMPERED.items():
        with filled.warehouse.session() as session:
            assert session.execute(statement) != 0, what
            session.commit()
            assert list(differences(session, Lake(filled.settings.lake))) != [], what
            for table in tables:
                session.execute(f"delete from mart.{table}")
                session.execute(f"insert into mart.{table} select * from ops.kept_{table}")
            session.commit()
    assert verify(filled) == []


def test_a_mart_that_was_tampered_with_is_built_again(filled: Shop) -> None:
    """In rounds of what can be done to it at once."""
    right, left = filled.mart(), dict(TAMPERED)
    rounds = [
        ["a measure", "a row where nothing was", "a dimension's row gone", "a fact of months", "type 2 history"],
        ["a row too many", "the hash", "a dimension"],
        ["the primary key", "a source that nobody knows"],
        ["a key column"],
        ["the day"],
        ["a row gone"],
        ["a table emptied"],
    ]
    for at_once in rounds:
        with filled.warehouse.session() as session:
            for what in at_once:
                assert session.execute(left.pop(what)) != 0
            session.commit()
        assert repair(filled) == [], at_once
        filled.good_night()
        same_mart(filled.mart(), right)
    assert verify(filled) == []
    assert left == {}
