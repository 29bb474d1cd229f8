"""Whatever bytes come, by whatever reader: every row is counted, or the file is refused in words. No crash, no hang."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.damaged import READERS, ROWS, Reader, Row, judge, take
from tests.sources import PO_LINE_SQL, make_source

JUNK = st.sampled_from(
    [
        *(b"\n", b"\r\n", b"\r", b'"', b",", b";", b"|", b"\t", b"\0", b"\x1f", b"\x80", b"\xff", b"\xc3\xbc"),
        *(b"x", b"-", b".", b" ", b"1e9", b"{", b"}", b"\\", b"[1]", b"null"),
        *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xff\xff\xff\x7f", b"PK\x03\x04", b"\x1f\x8b"),
    ]
)  # fmt: skip
Edit = tuple[str, float, float, int, bytes, int]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "drop", "overwrite", "flip", "copy", "cut"]),
        st.floats(0, 1), st.floats(0, 1), st.integers(0, 40), JUNK, st.integers(0, 7),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


def damaged(content: bytes, edits: Sequence[Edit]) -> bytes:
    """The content with bytes inserted, dropped, overwritten, flipped, copied to another place or cut off."""
    for how, place, other, length, junk, bit in edits:
        at, source = int(place * len(content)), int(other * len(content))
        head, tail = content[:at], content[at:]
        content = {
            "insert": head + junk + tail,
            "drop": head + tail[length:],
            "overwrite": head + junk + tail[len(junk) :],
            "flip": head + bytes([tail[0] ^ 1 << bit]) + tail[1:] if tail else head,
            "copy": head + content[source : source + length] + tail,
            "cut": head,
        }[how]
    return content


def try_damage(reader: Reader, cases: int) -> None:
    good = reader.write(ROWS)
    assert judge(reader, good) == "accepted"

    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(EDITS)
    def any_damage(edits: Sequence[Edit]) -> None:
        judge(reader, damaged(good, edits))

    any_damage()


def try_text(reader: Reader, cases: int) -> None:
    """Rows of any text come back as they were written, those with a NUL character or without a supplier do not."""
    encoding = reader.table.get("encoding", "utf-8")
    # A workbook is XML, which knows few control characters; the others have one that stands in for a long delimiter.
    hidden = ("Cs", "Cc") if reader.name == "workbook" else ("Cs",)
    characters = st.characters(codec=encoding, exclude_categories=hidden, exclude_characters="\x1f")
    texts = st.text(characters, max_size=12)

    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
    def any_text(cells: list[tuple[str, str]]) -> None:
        rows: list[Row] = [
            (f"P{number}", "1", supplier, item, "2026-02-01", "1", "2.50", "EUR")
            for number, (supplier, item) in enumerate(cells)
        ]
        taken = take(reader, reader.write(rows))
        assert taken is not None
        found, good = taken
        want = [row[:4] for row in rows if row[2] and row[3] and "\0" not in row[2] + row[3]]
        assert good.sort("_row_no").select("po_id", "line_no", "supplier_id", "item_id").rows() == want
        assert found.rows_quarantined == found.rows_in - len(want) == len(rows) - len(want)

    any_text()


@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes(name: str) -> None:
    try_damage(READERS[name], 15)


@pytest.mark.parametrize("name", READERS)
def test_any_text(name: str) -> None:
    try_text(READERS[name], 6)


PIECES = st.sampled_from(
    ["2026-02-28", "2026-02-30", "20260228", "202602", "31.03.2026", "0000-00-00", "9999-12-31", "_r1", "_r0", "-1",
     "..", "_r99999999999999999999", "lines", "ü", " ", "\n", "%", ".csv", "²", "٣"]
)  # fmt: skip
NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=30),
    st.lists(PIECES, min_size=1, max_size=5).map("".join),
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
SLOTS = r"""
name: shop
tables:
  lines: {path: "*", slot: '(?P<as_of>[\d.-]{6,10})(_r(?P<revision>\d+))?'}
datasets:
  purchase_order_line: {mode: delta}
"""


def try_names(cases: int) -> None:
    """A file of any name speaks for a slot that the ledger can hold, or is said to speak for none."""

    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sets(NAMES, min_size=1, max_size=4))
    def any_names(names: set[str]) -> None:
        with TemporaryDirectory() as folder:
            source = make_source(Path(folder), SLOTS, purchase_order_line=PO_LINE_SQL)
            for name in names:
                source.land(name, "x")
            pulled = source.pull()
        hidden = {name for name in names if name.startswith(".")}
        assert {file.name for one in pulled.deliveries for file in one.files} | {*pulled.odd} == names - hidden
        assert all(one.revision < 2**31 for one in pulled.deliveries)

    any_names()


def test_any_names() -> None:
    try_names(20)


SOAK: dict[str, Callable[[Reader, int], None]] = {"damage": try_damage, "text": try_text}


@pytest.mark.soak
def test_soak_names() -> None:
    try_names(2_000)


@pytest.mark.soak
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("kind", "cases"), [("damage", 1_000), ("text", 200)])
def test_soak(name: str, kind: str, cases: int) -> None:
    SOAK[kind](READERS[name], cases)


def test_files_that_are_fine_beside_one_that_is_not() -> None:
    """Two files of one table are one extract: a damaged one blocks both, and none is half taken."""
    reader = READERS["commas"]
    good = reader.write(ROWS)
    taken = take(reader, good, reader.write([("Q1", *ROWS[0][1:])]))
    assert taken is not None
    assert taken[0].rows_in == len(ROWS) + 1
    assert take(reader, good, b"\xff" + good) is None
    assert take(reader, good, good[:20]) is None
    assert taken[1].height == len(ROWS) + 1
