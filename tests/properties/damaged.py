"""Valid files of every reader, ways to damage them, and what must be true of whatever staging makes of the result."""

import csv
import gzip
import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from flows.io.stage import Staged
from schemas.errors import ExtractError
from tests.corpus.staged import delivery, source, staged

LIMIT_S = 20.0
"""A file of a few hundred bytes takes some hundredths of a second; on a busy machine more, but never this long."""

COLUMNS = ("po", "line", "supplier", "item", "ordered", "qty", "price", "currency")
TYPES = {"ordered": "date", "qty": "decimal", "price": "decimal"}
SQL = """
    select
      l.po as po_id, l.line as line_no, l.supplier as supplier_id, l.item as item_id, l.ordered as ordered_on,
      l.qty as ordered_qty, 'EA' as uom, l.price as unit_price, l.currency as currency, 'open' as status
    from lines as l
"""
Row = Sequence[str]
ROWS: list[Row] = [
    (f"P{number}", "1", f"Smith {number}", f"00{number}", f"2026-02-{number + 1:02d}", str(number), "2.50", "EUR")
    for number in range(8)
]


@dataclass(frozen=True)
class Reader:
    """A way to deliver rows: what source.yaml says of it, and who writes it (nobody of ours)."""

    name: str
    write: Callable[[Sequence[Row]], bytes]
    table: dict[str, Any] = field(default_factory=dict)
    unpack: Callable[[bytes], bytes] = bytes
    says: dict[str, Any] = field(default_factory=dict)

    def lines(self, content: bytes) -> list[str] | None:
        """The lines that a file surely has, its header's apart; None where that is not as sure."""
        if self.table.get("format", "csv") not in ("csv", "jsonl"):
            return None
        try:
            text = self.unpack(content).decode(self.table.get("encoding", "utf-8"))
        except (ValueError, OSError, EOFError, zipfile.BadZipFile):
            return None
        is_csv = "format" not in self.table
        if is_csv and '"' in text:
            return None
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        has_header = is_csv and self.table.get("header", True)
        if "trailer" in self.table:
            while lines and not lines[-1].strip(" \t\r\n\0"):
                lines.pop()
            lines = lines[:-1]
        # Python alone takes control characters such as U+001F for white space.
        return [line for line in lines[1 if has_header else 0 :] if (line if is_csv else line.strip(" \t\r\v\f"))]


def _csv(delimiter: str, *, quoting: Any = csv.QUOTE_MINIMAL, header: bool = True) -> Callable[[Sequence[Row]], str]:
    def write(rows: Sequence[Row]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\r\n")
        writer.writerows([COLUMNS, *rows] if header else rows)
        return text.getvalue()

    return write


def _encoded(write: Callable[[Sequence[Row]], str], encoding: str) -> Callable[[Sequence[Row]], bytes]:
    return lambda rows: write(rows).encode(encoding)


def _wide(rows: Sequence[Row]) -> bytes:
    cells = [
        ['"' + cell.replace('"', '""') + '"' if set('"|\n\r') & set(cell) else cell for cell in row] for row in rows
    ]
    return "".join("||".join(row) + "\n" for row in [COLUMNS, *cells]).encode()


def _json_lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows).encode()


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    columns = zip(*rows, strict=True) if rows else [[] for _ in COLUMNS]
    table = pa.table({name: pa.array(cells, pa.string()) for name, cells in zip(COLUMNS, columns, strict=True)})
    parquet.write_table(table, buffer, row_group_size=5)
    return buffer.getvalue()


def _workbook(rows: Sequence[Row]) -> bytes:
    import xlsxwriter

    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_numbers": False}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([COLUMNS, *rows]):
            for column, cell in enumerate(row):
                sheet.write_string(number, column, cell)
    return buffer.getvalue()


def _zipped(content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("lines.csv", content)
    return archive.getvalue()


def _unzipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(archive.namelist()[0])


_plain = _encoded(_csv(","), "utf-8")
READERS = {
    reader.name: reader
    for reader in (
        Reader("commas", _plain),
        Reader("all quoted", _encoded(_csv(",", quoting=csv.QUOTE_ALL), "utf-8-sig")),
        Reader("semicolons in latin-1", _encoded(_csv(";"), "latin-1"), {"delimiter": ";", "encoding": "latin-1"}),
        Reader("tabs in utf-16", _encoded(_csv("\t"), "utf-16"), {"delimiter": "\t", "encoding": "utf-16"}),
        Reader("two bars", _wide, {"delimiter": "||"}),
        Reader("no header", _encoded(_csv("|", header=False), "utf-8"),
               {"delimiter": "|", "header": False, "columns": COLUMNS}),
        Reader("json lines", _json_lines, {"format": "jsonl"}),
        Reader("parquet", _parquet, {"format": "parquet"}),
        Reader("workbook", _workbook, {"format": "excel"}),
        Reader("gzip", lambda rows: gzip.compress(_plain(rows), mtime=0), {}, gzip.decompress),
        Reader(
            "trailer",
            lambda rows: _plain(rows) + b"T;%d\r\n" % len(rows),
            {"trailer": r"^T;(?P<rows>\d+)$"},
            says={"control_totals": {"stated_in": "trailer", "rows": "rows"}},
        ),
        Reader("zip", lambda rows: _zipped(_plain(rows)), {}, _unzipped),
    )
}  # fmt: skip


def take(reader: Reader, content: bytes, *more: bytes) -> tuple[Staged, pl.DataFrame] | None:
    """What staging makes of files, and its good rows; None where it refuses them, in words."""
    one = source("purchase_order_line", {"types": TYPES} | reader.table, SQL, **reader.says)
    started = time.monotonic()
    # What Polars had begun to write when it gave up may still come while the folder is removed.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        files = delivery(one, "purchase_order_line", {"lines": [content, *more]}, Path(folder))
        try:
            found = staged(one, files, Path(folder) / "work")
        except ExtractError as error:
            is_clear = bool(error.what and error.remedy) and "lines" in error.where
        else:
            return found, pl.read_parquet(found.rows)
        finally:
            assert time.monotonic() - started < LIMIT_S
    assert is_clear
    return None


def judge(reader: Reader, content: bytes) -> str:
    """Stage a damaged file; every row of it is somewhere. Returns what became of it, for statistics."""
    taken = take(reader, content)
    if taken is None:
        return "refused"
    found, rows = taken
    counts = found.counts
    assert min(counts.values()) >= 0
    assert found.rows_excluded == 0
    assert rows.height == found.rows_accepted
    assert rows.select("po_id", "line_no").is_unique().all()
    assert found.quarantined["row_no"].n_unique() == found.rows_quarantined
    assert found.quarantined.select("row_no", "rule").is_unique().all()
    assert found.quarantined["raw"].null_count() == 0
    assert found.sightings.height + found.unreadable_keys == found.rows_quarantined
    lines = reader.lines(content)
    if lines is not None:
        assert found.rows_in == len(lines)
        _whole_rows_are_there(reader, lines, found, rows)
    return "accepted" if found.rows_accepted == found.rows_in else "quarantined"


def _whole_rows_are_there(reader: Reader, lines: list[str], found: Staged, rows: pl.DataFrame) -> None:
    """Rows whose lines nobody touched are accepted with what they say, once, unless another contradicts them."""
    whole = {line for line in reader.lines(reader.write(ROWS)) or () if line in lines}
    have = dict(rows.select("po_id", pl.concat_str("supplier_id", "item_id", separator="/")).iter_rows())
    held_back = set(found.quarantined.filter(rule="conflicting_versions")["row_no"])
    for row in ROWS:
        (line,) = reader.lines(reader.write([row])) or [""]
        if line in whole and not held_back:
            assert have[row[0]] == f"{row[2]}/{row[3]}"
