"""Whoever reads while nights publish sees each slice before or after, gets no error, and never waits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import psycopg

from tests.dying_night import ended, night_beside
from tests.shop import Shop

DAYS, ROWS, NIGHTS = 3, 400, 4
LIMIT_S = 1.0
SLICES = (
    "select ordered_on::text, count(*), min(ordered_qty)::int, max(ordered_qty)::int, count(distinct line.published_at)"
    " from mart.fct_purchase_order_line as line join mart.dim_supplier using (supplier_key) group by ordered_on"
)

Slice = tuple[str, int, int, int, int]
"""Day, rows, least and greatest quantity, publishes that its rows are from."""


@dataclass
class Reader:
    """What somebody saw who asked again and again, and the longest wait."""

    seen: set[frozenset[Slice]] = field(default_factory=set)
    reads: int = 0
    longest_s: float = 0.0
    error: Exception | None = None

    def read(self, url: str, stop: Event) -> None:
        """Until told to stop."""
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                while not stop.is_set():
                    began = time.monotonic()
                    self.seen.add(frozenset(connection.execute(SLICES).fetchall()))
                    self.longest_s = max(self.longest_s, time.monotonic() - began)
                    self.reads += 1
        except psycopg.Error as error:
            self.error = error


@contextmanager
def reading(url: str) -> Iterator[Reader]:
    reader, stop = Reader(), Event()
    thread = Thread(target=reader.read, args=(url, stop))
    thread.start()
    try:
        yield reader
    finally:
        stop.set()
        thread.join()


def _land(shop: Shop, night: int) -> None:
    """Every row of every day changes, and says which night it is of."""
    rows = [
        {"po_id": f"P{number}", "ordered_on": f"2026-03-{number % DAYS + 1:02d}", "ordered_qty": night}
        for number in range(DAYS * ROWS)
    ]
    shop.land("purchase_order_line", f"2026-03-31_r{night}", *rows)
    shop.land("supplier", f"2026-03-31_r{night}", {"name": f"Smith {night}"})


def test_a_reader_sees_whole_slices_and_never_waits(shop: Shop, reader_url: str) -> None:
    shop.source(purchase_order_line="snapshot", supplier="snapshot")
    _land(shop, 1)
    shop.good_night()
    with reading(reader_url) as reader:
        for night in range(2, NIGHTS + 1):
            _land(shop, night)
            assert ended(night_beside(shop)) == 0
    assert reader.error is None
    assert reader.reads > 100
    assert reader.longest_s < LIMIT_S
    days = {f"2026-03-{day:02d}" for day in range(1, DAYS + 1)}
    for seen in reader.seen:
        assert {day for day, *_ in seen} == days
    whole = {(day, ROWS, night, night, 1) for day in days for night in range(1, NIGHTS + 1)}
    assert frozenset.union(*reader.seen) == whole
