"""Ways to spoil a file as a whole, so that its delivery must be refused: what a broken export or transfer leaves."""

import gzip
from collections.abc import Callable

from samples.systems import Dialect

Damage = Callable[[bytes, Dialect], bytes]

_PAGE = b"<html><body><h1>503 Service Unavailable</h1></body></html>\n"
_KINDS = ("csv", "jsonl", "parquet", "excel")


def _renamed(content: bytes, dialect: Dialect) -> bytes:
    """The first column under another name."""
    if dialect.kind == "jsonl":
        return gzip.compress(gzip.decompress(content).replace(b'{"', b'{"x_'), compresslevel=1, mtime=0)
    return ("x_" + content.decode(dialect.encoding)).encode(dialect.encoding)


def _redelimited(content: bytes, dialect: Dialect) -> bytes:
    other = "," if dialect.delimiter == "|" else "|"
    return content.decode(dialect.encoding).replace(dialect.delimiter, other).encode(dialect.encoding)


def _recoded(content: bytes, dialect: Dialect) -> bytes:
    return content.decode(dialect.encoding).encode("utf-8" if dialect.encoding == "utf-16" else "utf-16")


DAMAGES: dict[str, tuple[tuple[str, ...], Damage]] = {
    "no bytes": (_KINDS, lambda _content, _dialect: b""),
    "an error page": (_KINDS, lambda _content, _dialect: _PAGE),
    "cut off": (("jsonl", "parquet", "excel"), lambda content, _dialect: content[: len(content) * 2 // 3]),
    "a column renamed": (("csv", "jsonl"), _renamed),
    "another delimiter": (("csv",), _redelimited),
    "another encoding": (("csv",), _recoded),
}
"""Kind of damage → formats that it is for, and what it makes of a file."""


def kinds_of(dialect: Dialect) -> list[str]:
    """How files of a system can be damaged."""
    return [kind for kind, (formats, _) in DAMAGES.items() if dialect.kind in formats]


def damaged(content: bytes, dialect: Dialect, kind: str) -> bytes:
    """A file's content, damaged."""
    return DAMAGES[kind][1](content, dialect)
