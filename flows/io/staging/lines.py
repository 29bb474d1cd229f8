"""One quick pass over a delimited file's lines: how many rows it has, and which of them are not as wide as the header.

Polars fills a short line with NULLs and cuts a long one, so a broken line would otherwise pass for a good row.
"""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from schemas.errors import ExtractError

MAX_RAGGED_SHARE = 0.5
"""From this share on it is the delimiter or the column list that is wrong, not the rows."""

_LINE = "line"


@dataclass(frozen=True, slots=True)
class Lines:
    """`rows` data rows (blank lines are none); numbers count lines of data from 0, blank ones too."""

    rows: int
    numbered: int
    has_quotes: bool = False
    ragged: dict[int, str] = field(default_factory=dict)
    blank: tuple[int, ...] = ()


@lru_cache(maxsize=512)
def check_lines(path: Path, name: str, *, delimiter: str, quote: str | None, width: int, skipped: int) -> Lines:
    """Count the rows of a UTF-8 file after `skipped` lines and find those that have not `width` fields.

    Remembered: a path in the store, or of a copy of it, names its content, and several datasets read the same files.

    Raises:
        ExtractError: The file is not UTF-8, or most rows have another width.
    """
    lines = pl.scan_lines(path, name=_LINE, row_index_name="number").slice(skipped)
    line = pl.col(_LINE)
    commas = line.str.count_matches(delimiter, literal=True)
    marks = line.str.count_matches(quote, literal=True) if quote else pl.lit(0)
    fact = _facts(lines, commas, marks, path, name)
    has_quotes = bool(fact["most_marks"])
    if has_quotes:
        if fact["has_open_quote"]:
            return _records(path, name, delimiter, quote or '"', width, skipped)
        # Looking for pairs is slow, and almost no file that a machine wrote quotes anything.
        commas = line.str.replace_all(f"{quote}[^{quote}]*{quote}", "").str.count_matches(delimiter, literal=True)
        fact |= _facts(lines, commas, marks, path, name)
    if fact["narrowest"] == fact["widest"] == width - 1 and not (width == 1 and fact["blank"]):
        return Lines(fact["numbered"], fact["numbered"], has_quotes)
    number = pl.col("number").cast(pl.Int64) - skipped
    blank = lines.filter(line == "").select(number).collect(engine="streaming")["number"].to_list()
    rows = fact["numbered"] - len(blank)
    odd = lines.filter((commas != width - 1) & (line != "")).select(number, line)
    ragged = {int(at): text for at, text in odd.head(int(rows * MAX_RAGGED_SHARE) + 1).collect().iter_rows()}
    _refuse_if_most(ragged, rows, width, delimiter, quote, name)
    return Lines(rows, fact["numbered"], has_quotes, ragged, tuple(blank))


def _facts(lines: pl.LazyFrame, commas: pl.Expr, marks: pl.Expr, path: Path, name: str) -> dict[str, Any]:
    try:
        return (
            lines.select(
                numbered=pl.len(),
                narrowest=commas.min(),
                widest=commas.max(),
                blank=(pl.col(_LINE) == "").sum(),
                most_marks=marks.max(),
                has_open_quote=(marks % 2 == 1).any(),
            )
            .collect(engine="streaming")
            .row(0, named=True)
        )
    except pl.exceptions.ComputeError as error:
        raise ExtractError(
            "the file is not UTF-8",
            where=f"{name}, byte {_invalid_byte(path)}",
            remedy="name the encoding in source.yaml (latin-1, cp1252 and utf-16 are known)",
        ) from error


def refuse_utf16(path: Path, name: str) -> None:
    """Refuse a file that is to be UTF-8 and begins with the mark of UTF-16.

    Raises:
        ExtractError: It does; read as UTF-8 its columns would seem to have other names.
    """
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise ExtractError("the file is UTF-16", where=name, remedy="set encoding: utf-16 in source.yaml")


def _records(path: Path, name: str, delimiter: str, quote: str, width: int, skipped: int) -> Lines:
    """The same by records instead of lines, for files whose quoted fields hold line ends."""
    ragged: dict[int, str] = {}
    blank: list[int] = []
    number = -1
    for number, record in enumerate(_read(path, delimiter, quote, skipped)):
        if not record:
            blank.append(number)
        elif len(record) != width:
            ragged[number] = delimiter.join(record)
    numbered = number + 1
    _refuse_if_most(ragged, numbered - len(blank), width, delimiter, quote, name)
    return Lines(numbered - len(blank), numbered, has_quotes=True, ragged=ragged, blank=tuple(blank))


def _read(path: Path, delimiter: str, quote: str, skipped: int) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for _ in range(skipped):
            file.readline()
        yield from csv.reader(file, delimiter=delimiter, quotechar=quote)


def _refuse_if_most(
    ragged: dict[int, str], rows: int, width: int, delimiter: str, quote: str | None, name: str
) -> None:
    if not ragged or len(ragged) <= rows * MAX_RAGGED_SHARE:
        return
    number, text = next(iter(ragged.items()))
    fields = text.count(delimiter) + 1
    compare = "compare columns in source.yaml with the file"
    if quote and quote in text:
        compare = f"set quote: null in source.yaml if {quote} is mere text there; else {compare}"
    raise ExtractError(
        f"most rows do not have the {width} columns expected: row {number + 1} has {fields}",
        where=f"{name}, row {number + 1}: {text[:120]!r}",
        remedy=delimiter_hint(text, delimiter) or compare,
    )


def delimiter_hint(line: str, delimiter: str) -> str:
    """Advice when another usual delimiter splits the line and the declared one does not; else empty."""
    if delimiter in line:
        return ""
    best = max("\t;|,", key=line.count)
    return f"set delimiter: {best!r} in source.yaml; the file seems to use it" if best in line else ""


def _invalid_byte(path: Path) -> int:
    """Offset of the first byte that is not UTF-8."""
    offset, carried = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            data = carried + chunk
            try:
                data.decode("utf-8")
                offset, carried = offset + len(data), b""
            except UnicodeDecodeError as error:
                if error.end < len(data) or error.reason != "unexpected end of data":
                    return offset + error.start
                offset, carried = offset + error.start, data[error.start :]
    return offset
