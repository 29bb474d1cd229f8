"""Several runs at once, and builds that are overtaken: the mart is as if one had come after the other."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from flows import runs
from flows.io import dirty, ledger, publish
from flows.io.build import FactBuilder, chunks, dirty_slices
from flows.io.current import Everything, current_rows
from flows.io.embedded_server import Server
from flows.io.lake import Lake
from flows.io.warehouse import Session
from schemas.catalog import DATASETS, FACTS
from tests.conftest import fresh_database
from tests.dying_night import ended, night_beside, rebuilds_beside
from tests.shop import Shop, same_mart
from transforms.common.accept import Scope

FACT = FACTS["fct_purchase_order_line"]
TARGET = publish.Target(FACT.name, ("row_key",), FACT.anchor, is_monthly=False, logic_version=FACT.logic_version)
LINES = "select po_id, ordered_qty::bigint from mart.fct_purchase_order_line order by 1"


def test_nights_at_once_make_the_mart_of_one(shop: Shop, server: Server, tmp_path: Path) -> None:
    shop.source(purchase_order_line="snapshot", goods_receipt="append", item="snapshot")
    for day in range(1, 4):
        rows = [{"po_id": f"P{n}", "ordered_qty": day + n, "ordered_on": f"2026-03-{n:02d}"} for n in range(day, 30)]
        shop.land("purchase_order_line", f"2026-03-{day:02d}", *rows)
        receipts = [{"receipt_id": f"R{day}-{n}", "po_id": f"P{n}"} for n in range(1, 10)]
        shop.land("goods_receipt", f"2026-03-{day:02d}", *receipts)
        shop.land("item", f"2026-03-{day:02d}", {"name": f"Bolt {day}"})
    nights = [night_beside(shop) for _ in range(2)]
    assert [ended(night) for night in nights] == [0, 0]
    # Each delivery was taken by one of them, and nothing waits.
    assert shop.fetch("select state, count(*) from ops.extract group by state") == [("accepted", 9)]
    assert shop.fetch("select sum(accept_count)::bigint from ops.stream") == [(9,)]
    assert shop.night().is_empty
    with fresh_database(server) as url, shop.at(tmp_path / "one", url) as other:
        other.good_night()
        same_mart(shop.mart(), other.mart())


def test_a_night_beside_a_backfill_makes_the_mart_of_one(shop: Shop, server: Server, tmp_path: Path) -> None:
    """Every slice is built again and again while deliveries that change them come in."""
    shop.source(purchase_order_line="snapshot", goods_receipt="append", item="snapshot")
    for night in range(3):
        rows = [{"po_id": f"P{n}", "ordered_qty": night + n, "ordered_on": f"2026-03-{n:02d}"} for n in range(1, 30)]
        shop.land("purchase_order_line", f"2026-03-31_r{night}", *rows[night:])
        shop.land(
            "goods_receipt",
            f"2026-04-{night + 1:02d}",
            *({"receipt_id": f"R{n}", "po_id": f"P{n}"} for n in range(night, 30, 3)),
        )
        if night == 0:
            shop.good_night()
            backfill = rebuilds_beside(shop, 2)
        else:
            assert ended(night_beside(shop)) == 0
    assert ended(backfill) == 0
    assert shop.night().is_empty
    with fresh_database(server) as url, shop.at(tmp_path / "one", url) as other:
        other.good_night()
        same_mart(shop.mart(), other.mart())


def test_a_build_that_was_overtaken_is_dropped(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot")
    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P1"}, {"po_id": "P2", "ordered_on": "2026-03-11"})
    shop.good_night()
    with shop.warehouse.session() as session:
        known = session.fetch("select fact, source, day from ops.dirty_slice where fact = $1", FACT.name)
        dirty.mark_slices(session, known, "test")
        session.commit()
    with shop.warehouse.session() as session:
        builder = FactBuilder(session, Lake(shop.settings.lake), FACT, "USD")
        (chunk,) = chunks(session, FACT, dirty_slices(session, FACT))
        rows, _ = builder.build(chunk)
        session.commit()
    # While that was built, P1 changed, and another night published it.
    shop.land("purchase_order_line", "2026-04-01", {"ordered_qty": 9}, {"po_id": "P2", "ordered_on": "2026-03-11"})
    shop.good_night()
    generations = "select day, generation from ops.slice where fact = 'fct_purchase_order_line' order by day"
    before = shop.fetch(generations)
    written = publish.publish(shop.warehouse, TARGET, "shop", rows, chunk.slices, datetime.now(UTC))
    # The day of P1 is newer than the build; that of P2 was published at the generation that was built, by the other.
    assert (written.slices, written.dropped, written.rows_added, written.rows_removed) == (1, 1, 0, 0)
    assert shop.fetch(LINES) == [("P1", 9), ("P2", 5)]
    assert shop.fetch(generations) == before
    assert shop.night().is_empty


def test_rows_are_read_as_they_were_before_a_delivery_or_as_they_are_after_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several queries read a stream. A delivery that changes no row may still change what they have to do with."""
    shop.source(purchase_order_line="snapshot")
    shop.land("purchase_order_line", "2026-03-10", {"po_id": "P1"}, {"po_id": "P2"})
    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P2"})
    shop.good_night()
    # P1 was there on a day between, and is gone since: nothing is to be built for it.
    shop.land("purchase_order_line", "2026-03-20", {"po_id": "P1"}, {"po_id": "P2"})
    scopes, nights = ledger.scopes, [shop.good_night]

    def overtaken(session: Session, stream: ledger.Stream, orders: pl.DataFrame) -> list[Scope]:
        found = scopes(session, stream, orders)
        if nights:
            nights.pop()()
        return found

    monkeypatch.setattr(ledger, "scopes", overtaken)
    with shop.warehouse.session() as session:
        rows = current_rows(session, Lake(shop.settings.lake), DATASETS["purchase_order_line"], Everything()).collect()
    assert nights == []
    assert rows["po_id"].to_list() == ["P2"]


def test_older_logic_publishes_nothing_over_newer(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot")
    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P1"})
    shop.good_night()
    with shop.warehouse.session() as session:
        session.execute("update ops.slice set logic_version = $2 where fact = $1", FACT.name, FACT.logic_version + 1)
        session.commit()
    shop.land("purchase_order_line", "2026-04-01", {"po_id": "P1", "ordered_qty": 9})
    shop.night()
    assert shop.fetch(LINES) == [("P1", 5)]


def test_the_lock_of_a_run_ends_with_it(shop: Shop) -> None:
    """In a process that goes on, too: a connection that is kept for later would keep the lock."""
    free = f"select pg_try_advisory_xact_lock(hashtextextended('{runs.run_lock('nightly')}', 0))"
    for _ in range(2):
        with runs._one_at_a_time("nightly", shop.settings):
            assert shop.fetch(free) == [(False,)]
        with shop.warehouse.session() as session:
            # PostgreSQL hears of a closed connection a moment later
            session.execute("set local lock_timeout = '10s'")
            session.lock(runs.run_lock("nightly"))
