"""A night may be killed anywhere: the next one ends in the mart that an undisturbed one would have made."""

import signal
from pathlib import Path
from random import Random

import pytest

from flows import pipeline
from flows.io import ledger
from flows.io.embedded_server import Server
from schemas.errors import WarehouseError
from tests.conftest import fresh_database
from tests.dying_night import POINTS, ended, night_beside
from tests.shop import Shop, line, same_mart

KILLS, NIGHT_S, CHECKED = 100, 2.5, 0.3
"""Nights to kill, how long one takes at most, and the share after which the mart is looked at."""


RECEIVED = "select po_id, ordered_qty::bigint, received_qty::bigint from mart.fct_purchase_order_line order by 1"


def _first_night(shop: Shop) -> None:
    shop.source(purchase_order_line="snapshot", goods_receipt="append", item="delta")
    shop.land("purchase_order_line", "2026-03-31", *(line(f"P{n}") for n in range(4)))
    shop.land("goods_receipt", "2026-03-31", {"po_id": "P0"}, {"receipt_id": "R2", "po_id": "P1"})
    shop.good_night()


def _land_news(shop: Shop, number: int) -> list[tuple[str, int, int]]:
    """A line comes, one goes, one changes, one moves; a receipt changes. What the lines must come to."""
    moved = line("P3", ordered_on=f"2026-04-{1 + number % 28:02d}")
    rows = [line("P0", ordered_qty=10 + number), line("P1"), line(f"N{number}"), moved]
    shop.land("purchase_order_line", f"2026-03-31_r{number}", *rows)
    booked = {"receipt_id": "R2", "po_id": "P1", "received_qty": 20 + number}
    shop.land("goods_receipt", f"2026-03-31_r{number}", {"po_id": "P0"}, booked)
    shop.land("item", f"2026-03-31_r{number}", {"name": f"Bolt {number}"})
    return [(f"N{number}", 5, 0), ("P0", 10 + number, 5), ("P1", 5, 20 + number), ("P3", 5, 0)]


def _is_undisturbed(shop: Shop, server: Server, home: Path) -> None:
    """Nothing waits, nothing is left over, and the mart is that of a shop where no night was killed."""
    assert shop.fetch("select count(*) from ops.extract where state <> 'accepted'") == [(0,)]
    assert shop.night().is_empty
    assert list((shop.settings.home / "work").iterdir()) == []
    with pipeline.open(shop.settings) as pipe:
        assert pipe.verify() == []
    with fresh_database(server) as url, shop.at(home, url) as other:
        other.good_night()
        same_mart(shop.mart(), other.mart())


def test_a_night_killed_anywhere_is_made_up_by_the_next(shop: Shop, server: Server, tmp_path: Path) -> None:
    """A complete delivery, one of events and a delta come each night; the end comes at whichever is first there."""
    _first_night(shop)
    for number, point in enumerate(POINTS, start=1):
        wanted = _land_news(shop, number)
        assert ended(night_beside(shop, point)) == -signal.SIGKILL, point
        shop.good_night()
        assert shop.fetch(RECEIVED) == wanted, point
    _is_undisturbed(shop, server, tmp_path / "undisturbed")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_nights_killed_at_any_time(shop: Shop, server: Server, tmp_path: Path, seed: int) -> None:
    """Now and then a second night goes on beside the one that is killed."""
    random, killed, number = Random(seed), 0, 0
    _first_night(shop)
    while killed < KILLS:
        number += 1
        wanted = _land_news(shop, number)
        night, *others = [night_beside(shop) for _ in range(random.choice([1, 1, 2]))]
        night.join(random.uniform(0, NIGHT_S))
        night.kill()
        killed += ended(night) == -signal.SIGKILL
        assert [ended(other) for other in others] == [0] * len(others)
        if random.random() < CHECKED:
            shop.good_night()
            assert shop.fetch(RECEIVED) == wanted
    shop.good_night()
    assert shop.fetch(RECEIVED) == wanted
    _is_undisturbed(shop, server, tmp_path / "undisturbed")


def test_a_mapping_mended_after_a_crash_is_the_only_one_that_counts(
    shop: Shop, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between lake and ledger: rows of the first try are in the lake already, of every kind of delivery."""

    def refuse(*_: object) -> None:
        raise WarehouseError("the server went away", where="here", remedy="run again")

    shop.source(purchase_order_line="snapshot", goods_receipt="append", item="snapshot", item_cost="delta")
    shop.land("purchase_order_line", "2026-03-31", *(line(f"P{n}") for n in range(3)))
    shop.land("goods_receipt", "2026-03-31", {"po_id": "P0"}, {"receipt_id": "R2", "po_id": "P1"})
    shop.land("item", "2026-03-31", {})
    shop.land("item_cost", "2026-03-31", {}, {"valid_from": "2026-02-01"})
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "record_accepted", refuse)
        assert shop.night().problems
    folder = shop.settings.sources[0] / "shop"
    for dataset, old, new in (
        ("purchase_order_line", "raw.ordered_qty as", "raw.ordered_qty * 2 as"),
        ("goods_receipt", "raw.received_qty as", "raw.received_qty * 3 as"),
        ("goods_receipt", "raw.receipt_id as", "raw.receipt_id || 'x' as"),
        ("item", "raw.name as", "raw.name || '!' as"),
        ("item_cost", "raw.material_cost as", "raw.material_cost * 2 as"),
    ):
        path = folder / f"{dataset}.sql"
        path.write_text(path.read_text().replace(old, new))
    shop.good_night()
    assert shop.fetch("select sum(received_qty)::bigint, count(*) from mart.fct_goods_receipt") == [(30, 2)]
    with fresh_database(server) as url, shop.at(tmp_path / "undisturbed", url) as other:
        other.good_night()
        same_mart(shop.mart(), other.mart())
