"""The corpus' files: what the text of a case is as bytes, and what must happen to the delivery."""

import gzip
import io
import zipfile
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from schemas.source import Source
from tests.corpus.cases import FOLDER, read
from tests.corpus.staged import source

SQL = """
    select
      l.po as po_id, l.line as line_no, l.supplier as supplier_id, l.item as item_id, l.ordered as ordered_on,
      l.qty as ordered_qty, 'EA' as uom, l.price as unit_price, l.currency as currency, 'open' as status
    from lines as l
"""
TYPES = {"ordered": "date", "qty": "decimal", "price": "decimal"}


@dataclass(frozen=True)
class FileCase:
    """A file, how source.yaml says it is read, and what must happen.

    `refused`: words of the message with which it is blocked as a whole. Else `rows` are the accepted ones (the values
    that are named), `quarantined` the broken rule by row, `excluded` how many rows the mapping left out.
    """

    name: str
    content: bytes
    table: dict[str, Any] = field(default_factory=dict)
    where: str = ""
    refused: tuple[str, ...] = ()
    rows: tuple[dict[str, str], ...] = ()
    quarantined: dict[str, str] = field(default_factory=dict)
    excluded: int = 0

    def source(self) -> Source:
        """A source that delivers such files."""
        sql = SQL + (f" where {self.where}" if self.where else "")
        return source("purchase_order_line", {"types": TYPES} | self.table, sql)


@cache
def file_cases() -> dict[str, FileCase]:
    """Every case of `files/`, by name."""
    cases = {}
    for path in sorted((FOLDER / "files").glob("*.yaml")):
        said = read(path)
        for name, case in said["cases"].items():
            given = dict(case)
            content = _bytes(given, said["ordinary header"])
            given["excluded"] = int(given.pop("excluded", 0))
            cases[name] = FileCase(name, content, **{key: _fixed(value) for key, value in given.items()})
    return cases


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _bytes(said: dict[str, Any], header: str) -> bytes:
    if "bytes" in said:
        return bytes.fromhex(said.pop("bytes"))
    text = said.pop("whole") if "whole" in said else f"{header}\n{said.pop('content')}"
    content = text.encode(said.pop("encoding", "utf-8"))
    packed = said.pop("packed", "")
    if packed == "gzip":
        content = gzip.compress(content, mtime=0)
    elif packed == "zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("lines.csv", content)
        content = archive.getvalue()
    return content[: len(content) - int(said.pop("cut", 0))]
