"""Whatever bytes come: staging counts every row, or refuses in words. Never a traceback, never a lost row."""

import tempfile
from datetime import timedelta
from pathlib import Path

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.io.pull import Delivery
from flows.io.stage import Staged
from schemas.errors import ExtractError
from tests.sources import HEADER, NOW, ROW, TestSource, po_lines

LINES = [
    HEADER,
    *(
        ROW.replace("P1", f"P{number}").replace("2026-02-03", day)
        for number, day in enumerate(("2026-02-03", "2026-02-04"))
    ),
    ROW,
    ROW,
    ROW.replace("P1", '"P,9"'),
    "P7,1,S1,I1,2026-02-03,x,2.50,EUR",
]
GOOD = ("\n".join(LINES) + "\n").encode()

JUNK = st.sampled_from(
    [b"\n", b"\r\n", b'"', b",", b";", b"\0", b"\xff", b"\xc3\xbc", b"x", b"-", b".", b" ", b"1e9", b"\x1f"]
)
EDITS = st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), JUNK), min_size=1, max_size=4)


def edited(edits: list[tuple[int, int, bytes]]) -> bytes:
    content = GOOD
    for at, dropped, added in edits:
        content = content[:at] + added + content[at + dropped :]
    return content


def staged_or_refused(source: TestSource, content: bytes) -> None:
    source.land("lines.csv", content)
    (delivery,) = source.pull(NOW + timedelta(hours=1)).deliveries
    staged, refusal = _tried(source, delivery)
    if staged is None:
        assert "lines.csv" in refusal
        return
    assert min(staged.counts.values()) >= 0
    assert staged.rows_excluded == 0
    assert staged.quarantined["row_no"].n_unique() == staged.rows_quarantined
    assert staged.quarantined.select("row_no", "rule").is_unique().all()
    assert staged.quarantined["raw"].null_count() == 0
    assert staged.sightings.height + staged.unreadable_keys == staged.rows_quarantined
    good = pl.read_parquet(staged.rows)
    assert good.height == staged.rows_accepted
    assert good.select("po_id", "line_no").is_unique().all()


def _tried(source: TestSource, delivery: Delivery) -> tuple[Staged | None, str]:
    try:
        return source.stage(delivery), ""
    except ExtractError as error:
        return None, str(error)


@given(EDITS)
@settings(max_examples=40, deadline=None)
@example([(0, 0, b'"')])
@example([(len(GOOD), 0, b'"')])
@example([(60, 0, b"\0"), (61, 0, b'"')])
def test_any_bytes(edits: list[tuple[int, int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        staged_or_refused(po_lines(Path(folder)), edited(edits))
