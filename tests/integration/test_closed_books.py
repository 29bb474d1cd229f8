"""Closed periods on the whole path: night by night, switched on later, and a source that says it wrongly."""

from pathlib import Path

import pytest

from flows.io.embedded_server import Server
from flows.io.pull import load_source
from schemas.errors import SourceError
from tests.conftest import fresh_database
from tests.night import table
from tests.shop import Shop, same_mart

BOOKS = ("fct_gl_entry", "fct_budget_actual")
MEASURED = (
    "select component_key, date::text, value::text from mart.fct_metric_component"
    " where known_to is null order by 1, 2, 3"
)
ADJUSTS = {"mode": "delta", "closed_periods": "adjust"}
MARCH = {"period_id": "2026-03", "starts_on": "2026-03-01", "ends_on": "2026-03-31"}
APRIL = {"period_id": "2026-04", "starts_on": "2026-04-01", "ends_on": "2026-04-30"}
POSTED = (
    "select posted_on::text, original_posted_on::text, is_reversal, credit::float from mart.fct_gl_entry"
    " order by 1, 2, 3, 4"
)
REPORTED = [("2026-03-10", "2026-03-10", False, 100.0), ("2026-03-11", "2026-03-11", False, 30.0)]
ADJUSTED = [
    *REPORTED,
    ("2026-04-01", "2026-03-10", False, 120.0),
    ("2026-04-01", "2026-03-10", True, -100.0),
    ("2026-04-01", "2026-03-11", True, -30.0),
]
RESTATED = [("2026-03-10", "2026-03-10", False, 120.0)]


def _journal(shop: Shop) -> None:
    """Two entries in time; after the closing one is corrected, the other withdrawn."""
    first = {"currency": "USD"}
    second = first | {"journal_id": "J2", "posted_on": "2026-03-11", "credit": "30.00"}
    shop.land("gl_entry", "2026-03-31", first, second)
    shop.land("gl_entry", "2026-04-07", first | {"credit": "120.00"}, second | {"is_deleted": "true"})


def _closing(shop: Shop) -> None:
    # Late in the evening of the source's day, which is the next one in UTC.
    shop.land("fiscal_period", "2026-04-03", MARCH | {"closed_at": "2026-04-03 23:30:00"}, APRIL)


def test_corrections_of_a_closed_period_are_booked_after_it(shop: Shop, server: Server, tmp_path: Path) -> None:
    shop.source(gl_entry=ADJUSTS, fiscal_period="snapshot")
    _zone(shop, "America/New_York")
    _closing(shop)
    _journal(shop)
    shop.good_night()
    assert shop.fetch(POSTED) == ADJUSTED
    months = "select period_start::text, sum(actual_amount)::float from mart.fct_budget_actual group by 1 order by 1"
    assert shop.fetch(months) == [("2026-03-01", -130.0), ("2026-04-01", 10.0)]
    # The closing comes last, each file in a night of its own; then it is taken back.
    with fresh_database(server) as url, shop.at(tmp_path / "late", url) as late:
        closing = late.settings.landing / "shop" / "fiscal_period"
        closing.rename(tmp_path / "closing")
        late.good_night()
        assert late.fetch(POSTED) == RESTATED
        (tmp_path / "closing").rename(closing)
        late.good_night()
        for name in BOOKS:
            same_mart({name: table(late.warehouse, name)}, {name: table(shop.warehouse, name)})
        assert late.fetch(MEASURED) == shop.fetch(MEASURED) != []
        late.land("fiscal_period", "2026-04-09", MARCH, APRIL)
        late.good_night()
        assert late.fetch(POSTED) == RESTATED
        assert late.fetch("select count(*) from ops.dirty_slice left join ops.slice using (fact, source, day)"
                          " where dirty_slice.generation > coalesce(slice.generation, 0)") == [(0,)]  # fmt: skip


def test_a_source_may_say_so_later_and_take_it_back(shop: Shop) -> None:
    shop.source(gl_entry="delta", fiscal_period="snapshot")
    _closing(shop)
    _journal(shop)
    shop.good_night()
    assert shop.fetch(POSTED) == RESTATED
    for says, books in ((ADJUSTS, ADJUSTED), ("delta", RESTATED)):
        shop.source(gl_entry=says, fiscal_period="snapshot")
        shop.good_night()
        assert shop.fetch(POSTED) == books


def test_a_source_that_cannot_know_or_take_back_is_refused(shop: Shop) -> None:
    folder = shop.settings.sources[0] / "shop"
    shop.source(gl_entry=ADJUSTS)
    with pytest.raises(SourceError, match="delivers no fiscal_period") as refused:
        load_source(folder)
    assert "line" in refused.value.where
    shop.source(gl_entry="delta", supplier=ADJUSTS, fiscal_period="snapshot")
    with pytest.raises(SourceError, match="supplier cannot be adjusted"):
        load_source(folder)


def _zone(shop: Shop, zone: str) -> None:
    path = shop.settings.sources[0] / "shop" / "source.yaml"
    path.write_text(f"time_zone: {zone}\n" + path.read_text())
