"""Manifests and trailers of any bytes: what they state is compared with what came, or they are refused in words."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings

from flows.io.stage import Staged
from schemas.errors import ExtractError
from schemas.source import Source
from tests.corpus.staged import delivery, source, staged
from tests.properties.damaged import READERS, ROWS, SQL, TYPES
from tests.properties.test_damaged_files import EDITS, Edit, damaged

TOTAL = sum(Decimal(row[5]) for row in ROWS)
LINES = READERS["commas"].write(ROWS)
MANIFEST = f"file,row_count,qty\r\nother,3,1.5\r\nlines,{len(ROWS) - 1},{TOTAL}\r\nlines,1,0\r\n".encode()
TRAILER = f"T;{len(ROWS)};{TOTAL}\r\n".encode()
STATED = {"rows": "row_count", "sums": {"qty": "qty"}}
Stated = tuple[Decimal, Decimal]

_PLAIN = r"-?\d{1,12}(\.\d{1,6})?"
_TRAILER = r"^T;(?P<row_count>[\d.+e-]+);(?P<qty>[\d.+e-]+)$"


def beside(manifest: bytes) -> tuple[Source, dict[str, list[bytes]]]:
    """A delivery with a manifest, of which its own rows count."""
    totals = STATED | {"stated_in": "manifest", "where": {"file": "lines"}}
    others = {"manifest": {"path": "manifest"}}
    one = source("purchase_order_line", {"types": TYPES}, SQL, others=others, control_totals=totals)
    return one, {"lines": [LINES], "manifest": [manifest]}


def below(trailer: bytes) -> tuple[Source, dict[str, list[bytes]]]:
    """A file with a trailer."""
    table = {"types": TYPES, "trailer": _TRAILER}
    one = source("purchase_order_line", table, SQL, control_totals=STATED | {"stated_in": "trailer"})
    return one, {"lines": [LINES + trailer]}


def said_beside(manifest: bytes) -> Stated | None:
    """Rows and sum that a manifest surely states, read by nobody's CSV reader; None where it is no plain file."""
    try:
        text = manifest.decode()
    except UnicodeDecodeError:
        return None
    lines = [line.split(",") for line in text.split("\r\n") if line]
    if set('"\n\r\0\ufeff') & set(text.replace("\r\n", "")) or lines[:1] != [["file", "row_count", "qty"]]:
        return None
    own = [line[1:] for line in lines[1:] if line[0] == "lines"]
    if (
        any(len(line) != 3 for line in lines)
        or not own
        or not all(re.fullmatch(_PLAIN, cell) for line in own for cell in line)
    ):
        return None
    return sum((Decimal(one[0]) for one in own), Decimal()), sum((Decimal(one[1]) for one in own), Decimal())


def said_below(trailer: bytes) -> Stated | None:
    """The same of a trailer that is one whole line."""
    found = re.fullmatch(rf"T;({_PLAIN});({_PLAIN})\r\n", trailer.decode("utf-8", errors="replace"))
    return found and (Decimal(found[1]), Decimal(found[3]))  # type: ignore[return-value]


Case = tuple[bytes, Callable[[bytes], tuple[Source, dict[str, list[bytes]]]], Callable[[bytes], Stated | None]]
KINDS: Mapping[str, Case] = {"manifest": (MANIFEST, beside, said_beside), "trailer": (TRAILER, below, said_below)}


def take(one: Source, contents: dict[str, list[bytes]]) -> Staged | None:
    """What staging makes of it; None where it refuses it, in words."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        files = delivery(one, "purchase_order_line", contents, Path(folder))
        try:
            return staged(one, files, Path(folder) / "work")
        except ExtractError as error:
            is_clear = bool(error.what and error.where and error.remedy)
    assert is_clear
    return None


def judge(kind: str, content: bytes) -> str:
    """Compare what is found with what was stated; 'agrees', 'differs' or 'refused', for statistics."""
    _, deliver, said = KINDS[kind]
    found, stated = take(*deliver(content)), said(content)
    if found is None:
        assert stated is None or stated[0] != int(stated[0]), content
        return "refused"
    assert found.control.rows is not None
    assert found.control.sums is not None
    if stated is not None:
        assert found.control.rows == len(ROWS) - stated[0]
        assert bool(found.control.sums) == (stated[1] != TOTAL)
    return "differs" if found.control.rows or found.control.sums else "agrees"


def try_totals(kind: str, cases: int) -> None:
    content = KINDS[kind][0]
    assert judge(kind, content) == "agrees"

    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(EDITS)
    def any_damage(edits: Sequence[Edit]) -> None:
        judge(kind, damaged(content, edits))

    any_damage()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_totals(kind: str) -> None:
    try_totals(kind, 30)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_soak_totals(kind: str) -> None:
    try_totals(kind, 1_500)


@pytest.mark.parametrize(
    ("kind", "content", "want"),
    [
        ("trailer", b"T;8;28.0000000\r\n", "agrees"),
        ("trailer", b"T;8;28.0000001\r\n", "differs"),
        ("trailer", b"T;8.5;28\r\n", "refused"),
        ("trailer", b"T;-8;28\r\n", "differs"),
        ("trailer", b"T;8;" + b"9" * 60 + b"\r\n", "refused"),
        ("trailer", b"", "refused"),
        ("manifest", MANIFEST.replace(b"lines,", b"Lines,"), "refused"),
        ("manifest", MANIFEST.replace(b"lines,1,0", b"lines,,0"), "refused"),
        ("manifest", MANIFEST + b"lines,1,0\r\n", "differs"),
        ("manifest", MANIFEST.replace(b"other,3,1.5\r\n", b"other,three,\r\n"), "agrees"),
        ("manifest", b"", "refused"),
        ("manifest", MANIFEST.replace(b"qty", b"quantity"), "refused"),
    ],
)
def test_totals_that_are_odd(kind: str, content: bytes, want: str) -> None:
    assert judge(kind, content) == want
