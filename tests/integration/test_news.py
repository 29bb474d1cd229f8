"""What is told to whoever watches: blocked and overdue deliveries once each, and facts whose rows have changed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flows import events, pipeline
from flows.io import news
from flows.io.pull import load_sources
from flows.report import RunReport
from tests.night import run_night
from tests.shop import Shop

TUESDAY = datetime(2026, 3, 10, 12, tzinfo=UTC)


def _told(shop: Shop, now: datetime) -> list[events.Event]:
    """What is told at a moment."""
    sources = load_sources(shop.settings.sql_root / "sources", shop.settings.sources)
    with shop.warehouse.session() as session:
        found = news.untold(session, sources, now)
        news.note_told(session, found)
        session.commit()
    return found


def test_an_overdue_day_is_told_once_and_the_next_one_again(shop: Shop) -> None:
    shop.source(purchase_order_line={"mode": "delta", "deadline": "06:00", "time_zone": "Asia/Tokyo"}, item="snapshot")
    shop.land("purchase_order_line", "2026-03-08", {})
    shop.land("item", "2026-03-08", {})
    shop.good_night()
    due = datetime(2026, 3, 9, 21, tzinfo=UTC)  # the delivery of Monday, on Tuesday at six in Tokyo
    assert _told(shop, due - timedelta(seconds=1)) == []
    [event] = _told(shop, due)
    assert (event.name, event.resource) == (events.OVERDUE, "shop.purchase_order_line")
    assert dict(event.payload) == {
        "source": "shop", "dataset": "purchase_order_line", "day": "2026-03-09", "newest_day": "2026-03-08",
        "deadline": "2026-03-09T21:00:00+00:00", "owner": "",
    }  # fmt: skip
    assert _told(shop, due) == _told(shop, due + timedelta(hours=23)) == []
    [later] = _told(shop, due + timedelta(days=1))
    assert later.payload["day"] == "2026-03-10"
    # what came is not overdue, and what is overdue afterwards is told again
    shop.land("purchase_order_line", "2026-03-11", {})
    shop.good_night()
    assert _told(shop, due + timedelta(days=2)) == []
    assert [event.payload["day"] for event in _told(shop, due + timedelta(days=3))] == ["2026-03-12"]


def test_a_blocked_delivery_is_told_once(shop: Shop) -> None:
    shop.source(purchase_order_line="delta")
    shop.land_bytes("purchase_order_line", "2026-03-08", b"")
    shop.night()
    [event] = _told(shop, TUESDAY)
    assert (event.name, event.resource) == (events.BLOCKED, "shop.purchase_order_line")
    said: dict[str, Any] = dict(event.payload)
    assert (said["slot"], said["revision"], said["file"]) == ("2026-03-08", 0, "purchase_order_line/2026-03-08.csv")
    assert "empty" in said["reason"]
    assert _told(shop, TUESDAY) == []
    # another one that is blocked is other news
    shop.land_bytes("purchase_order_line", "2026-03-08_r1", b"\n")
    shop.night()
    assert [event.payload["revision"] for event in _told(shop, TUESDAY)] == [1]


def test_a_run_tells_which_facts_have_changed(shop: Shop) -> None:
    shop.source(purchase_order_line="delta", goods_receipt="append")
    shop.land("purchase_order_line", "2026-03-08", {})
    report = run_night(shop.settings)
    heard: list[events.Event] = []

    def hear(sent: Sequence[events.Event]) -> None:
        heard.extend(sent)

    with pipeline.open(shop.settings) as pipe:
        pipe.announce(report, hear)
        assert [(event.name, event.resource) for event in heard] == [(events.PUBLISHED, "fct_purchase_order_line")]
        assert (heard[0].payload["slices"], heard[0].payload["rows_written"]) == (1, 1)
        heard.clear()
        pipe.announce(RunReport("a night without news"), hear)
    assert heard == []


def test_what_could_not_be_sent_is_told_the_next_time(shop: Shop) -> None:
    shop.source(purchase_order_line="delta")
    shop.land_bytes("purchase_order_line", "2026-03-08", b"")
    shop.night()
    heard: list[events.Event] = []

    def deaf(_: Sequence[events.Event]) -> None:
        raise ConnectionError

    with pipeline.open(shop.settings) as pipe:
        for send in (deaf, heard.extend, heard.extend):
            try:
                pipe.announce(RunReport("night"), send)
            except ConnectionError:
                continue
    assert [event.name for event in heard] == [events.BLOCKED]
