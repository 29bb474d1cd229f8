"""What was known at some moment: corrections, withdrawals and late deliveries that came after it do not count."""

from datetime import UTC, datetime, timedelta

import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

from flows.as_known import known_at
from flows.io.embedded_server import Server
from schemas.errors import BuildError
from tests.conftest import fresh_database
from tests.night import VOLATILE, table
from tests.shop import Shop

TABLES = ("fct_purchase_order_line", "fct_gl_entry", "dim_item", "dim_item_history")


def _known(shop: Shop, server: Server, moment: datetime, name: str) -> pl.DataFrame:
    with fresh_database(server) as url:
        rows = known_at(shop.settings, moment, name, url)
    rows = rows.drop(column for column in VOLATILE if column in rows.columns).with_columns(cs.decimal().cast(pl.String))
    return rows.sort(rows.columns)


def test_a_table_as_it_was_known_is_the_table_as_it_was(shop: Shop, server: Server) -> None:
    shop.source(
        purchase_order_line="snapshot", goods_receipt="append", item="snapshot", supplier="delta", gl_entry={
            "mode": "period", "period": {"column": "posted_on"}
        },
    )  # fmt: skip
    nights = []

    def night() -> None:
        shop.good_night()
        nights.append((datetime.now(UTC), {name: table(shop.warehouse, name) for name in TABLES}))

    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P1"}, {"po_id": "P2"}, {"po_id": "P3"})
    shop.land("gl_entry", "2026-03", {}, {"line_no": "2", "credit": "5.00"})
    shop.land("item", "2026-03-31", {})
    night()
    # the same payload again, a withdrawal, a correction, and a file replaced under its name
    shop.land("purchase_order_line", "2026-04-01", {"po_id": "P1"}, {"po_id": "P2", "ordered_qty": 9})
    shop.land("gl_entry", "2026-03_r1", {"credit": "7.00"})
    shop.land("goods_receipt", "2026-04-01", {"po_id": "P1"})
    shop.land("item", "2026-03-31", {"name": "Screw"})
    night()
    # late and out of order, and back to what it was
    shop.land("purchase_order_line", "2026-03-30", {"po_id": "P0"})
    shop.land("purchase_order_line", "2026-04-02", {"po_id": "P1"}, {"po_id": "P2"}, {"po_id": "P3"})
    shop.land("goods_receipt", "2026-04-01_r1", {"po_id": "P2"})
    shop.land("item", "2026-04-01", {"name": "Nut"})
    night()
    for moment, known in nights:
        assert_frame_equal(_known(shop, server, moment, TABLES[0]), known[TABLES[0]])
    moment, known = nights[1]
    for name in TABLES[1:]:
        assert_frame_equal(_known(shop, server, moment, name), known[name])
    (first, _), *_ = nights
    lines = _known(shop, server, first, "purchase_order_line")
    assert lines["po_id"].to_list() == ["P1", "P2", "P3"]
    assert _known(shop, server, first - timedelta(days=1), "fct_purchase_order_line").is_empty()


def test_what_was_blocked_was_not_known(shop: Shop, server: Server) -> None:
    shop.source(purchase_order_line="delta")
    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P1"})
    shop.land_bytes("purchase_order_line", "2026-04-01", b"")
    shop.night()
    assert _known(shop, server, datetime.now(UTC), "fct_purchase_order_line")["po_id"].to_list() == ["P1"]


def test_what_was_released_was_known(shop: Shop, server: Server) -> None:
    shop.source(purchase_order_line="delta")
    shop.land("purchase_order_line", "2026-03-31", *({"po_id": f"P{n}", "uom": "X"} for n in range(2, 13)), {})
    assert shop.night().problems
    shop.release(1)
    assert _known(shop, server, datetime.now(UTC), "fct_purchase_order_line")["po_id"].to_list() == ["P1"]


def test_what_cannot_be_taken_any_more_is_an_error(shop: Shop, server: Server) -> None:
    """Half of what was known would pass for all of it."""
    shop.source(purchase_order_line="delta")
    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P1"})
    shop.good_night()
    mapping = shop.settings.sources[0] / "shop" / "purchase_order_line.sql"
    mapping.write_text(mapping.read_text().replace("raw.uom as uom", "raw.po_id as unit"))
    with pytest.raises(BuildError, match="as known at"):
        _known(shop, server, datetime.now(UTC), "fct_purchase_order_line")


def test_bytes_that_are_gone_are_an_error(shop: Shop, server: Server) -> None:
    shop.source(purchase_order_line="delta")
    shop.land("purchase_order_line", "2026-03-31", {"po_id": "P1"})
    shop.good_night()
    for file in (shop.settings.landing / ".store").glob("??/*"):
        file.unlink()
    with pytest.raises(BuildError, match="purchase_order_line 2026-03-31"):
        _known(shop, server, datetime.now(UTC), "fct_purchase_order_line")
