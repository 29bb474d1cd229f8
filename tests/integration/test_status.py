"""What `opsmart status` reads from the ledger: what is due, what came, what lacks."""

from datetime import UTC, date, datetime

from flows.io import look
from flows.io.pull import load_sources
from tests.shop import Shop

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAILY = {"deadline": "06:00"}


def _status(shop: Shop) -> dict[str, look.Rows]:
    sources = load_sources(shop.settings.sql_root / "sources", shop.settings.sources)
    with shop.warehouse.session() as session:
        extracts = look.last_extracts(session)
        look.add_expected(extracts, look.expectations(session, sources, NOW), NOW)
    return {row["dataset"]: row for row in extracts}


def test_what_is_late_and_what_is_missing(shop: Shop) -> None:
    shop.source(
        purchase_order_line={"mode": "delta", **DAILY}, goods_receipt={"mode": "append", **DAILY}, item="snapshot"
    )
    # a source that nobody has connected is not late
    shop.source("asleep", gl_entry={"mode": "delta", **DAILY})
    for day in (5, 7, 9):
        shop.land("purchase_order_line", f"2026-03-{day:02d}", {"po_id": f"P{day}"})
    shop.land("item", "2026-03-05", {})
    # a blocked delivery speaks for nothing
    shop.land_bytes("purchase_order_line", "2026-03-08", b"")
    shop.night()
    status = _status(shop)
    lines = status["purchase_order_line"]
    assert (lines["freshness"], lines["days_behind"], lines["blocked"]) == ("on time", 0, 1)
    assert lines["gaps"] == [date(2026, 3, 6), date(2026, 3, 8)]
    assert lines["next_deadline"] == datetime(2026, 3, 11, 6, tzinfo=UTC)
    assert (status["goods_receipt"]["freshness"], status["goods_receipt"]["days_behind"]) == ("overdue", None)
    assert status["item"]["freshness"] is None
    assert "gl_entry" not in status
    # what was missed for days comes in one go, in any order
    for day in (8, 6):
        shop.land("purchase_order_line", f"2026-03-{day:02d}_r1", {"po_id": f"P{day}"})
    shop.good_night()
    assert _status(shop)["purchase_order_line"]["gaps"] == []
    assert _status(shop)["purchase_order_line"]["blocked"] == 0
