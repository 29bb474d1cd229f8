"""Days of 23 and 25 hours: what the clock on the wall says, at the source and at the site."""

from datetime import UTC, date, datetime

import pytest

from flows.io.closing import close_business_dates
from tests.shop import Shop

RECEIVED = "select receipt_id, received_at, received_on from mart.fct_goods_receipt order by 1"


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_receipts_on_the_days_on_which_the_clock_changes(shop: Shop) -> None:
    """The source writes Berlin's clock; one order is for Berlin, the other for Chicago, seven or six hours behind."""
    shop.source(
        site="snapshot",
        purchase_order_line="snapshot",
        goods_receipt={"mode": "append", "time_zone": "Europe/Berlin"},
    )
    shop.land("site", "2026-11-01", {}, {"site_id": "C", "time_zone": "America/Chicago"})
    shop.land("purchase_order_line", "2026-11-01", {"site_id": "B"}, {"po_id": "P2", "site_id": "C"})
    at = {
        "R1": "2026-03-29 00:10:00",  # still the day before by UTC
        "R2": "2026-03-29 03:00:00",  # an hour after 01:59:59
        "R3": "2026-03-29 23:59:59",
        "R4": "2026-10-25 02:30:00",  # the clock says so twice; the first time is taken
        "R5": "2026-10-25 23:30:00",
        "R6": "2026-03-29 02:30:00",  # the clock never said so
    }
    rows = [{"receipt_id": name, "received_at": said} for name, said in at.items()]
    shop.land("goods_receipt", "2026-11-01", *rows, {"receipt_id": "R7", "po_id": "P2", "received_at": at["R1"]})
    shop.good_night()
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    assert shop.fetch(RECEIVED) == [
        ("R1", _utc("2026-03-28 23:10:00"), spring),
        ("R2", _utc("2026-03-29 01:00:00"), spring),
        ("R3", _utc("2026-03-29 21:59:59"), spring),
        ("R4", _utc("2026-10-25 00:30:00"), autumn),
        ("R5", _utc("2026-10-25 22:30:00"), autumn),
        ("R7", _utc("2026-03-28 23:10:00"), date(2026, 3, 28)),
    ]
    assert shop.fetch("select row_no, column_name from ops.quarantined_row") == [(6, "received_at")]


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        ("2026-03-29T21:59:00", date(2026, 3, 28)),
        ("2026-03-29T22:00:00", date(2026, 3, 29)),
        ("2026-10-25T22:59:00", date(2026, 10, 24)),
        ("2026-10-25T23:00:00", date(2026, 10, 25)),
    ],
)
def test_a_business_date_closes_when_the_day_is_over_at_the_site(shop: Shop, now: str, closed: date) -> None:
    shop.source(site="snapshot")
    shop.land("site", "2026-03-01", {})
    shop.good_night()
    with shop.warehouse.session() as session:
        session.execute("delete from ops.business_date")
        close_business_dates(session, {}, datetime.fromisoformat(now).replace(tzinfo=UTC))
        session.commit()
    query = "select date from ops.business_date as day join mart.dim_site as site on site.site_id = day.site"
    assert shop.fetch(query) == [(closed,)]
