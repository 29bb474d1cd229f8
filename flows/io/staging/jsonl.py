"""JSON Lines: one object a line, every value as text, as a CSV file would have it."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from flows.io.staging.lines import MAX_RAGGED_SHARE, Lines
from schemas.errors import ExtractError

_SAMPLE = 1_000
_LINE = "line"


def names(path: Path, announced: Iterable[str], needed: Iterable[str] | None) -> list[str]:
    """Names that the file's objects use: those of its first lines, and the needed ones found further down."""
    found: dict[str, None] = {}
    with path.open("rb") as file:
        for line in islice(file, _SAMPLE):
            found |= dict.fromkeys(_object(line))
    late = [name for name in (*announced, *(needed or ())) if name not in found]
    if late:
        lines = pl.scan_lines(path, name=_LINE)
        mentions = [pl.col(_LINE).str.contains(json.dumps(name), literal=True).any().alias(name) for name in set(late)]
        seen = lines.select(mentions).collect(engine="streaming").row(0, named=True)
        found |= dict.fromkeys(name for name in late if seen[name])
    return list(found)


def _object(line: bytes) -> dict[str, object]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def scan(path: Path, name: str, columns: Sequence[str], offset: int, work_dir: Path) -> tuple[pl.LazyFrame, Lines]:
    """The file's rows as text and `_row_no`, and its lines that hold no object.

    Raises:
        ExtractError: The file is not UTF-8, or most of its lines hold no object.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    parsed = work_dir / f"{path.name[:16]}-{offset}.parquet"
    try:
        pl.scan_ndjson(path, schema=dict.fromkeys(columns, pl.String())).sink_parquet(
            parsed, compression="lz4", maintain_order=True
        )
    except pl.exceptions.ComputeError:
        # One broken line fails the whole file there; then every line is looked at by itself, which is slow.
        return _scan_lines(path, name, columns, offset)
    frame = pl.scan_parquet(parsed, row_index_name="_row_no", row_index_offset=offset + 1)
    rows = frame.select(pl.len()).collect().item()
    return frame, Lines(rows, rows)


def _scan_lines(path: Path, name: str, columns: Sequence[str], offset: int) -> tuple[pl.LazyFrame, Lines]:
    lines = pl.scan_lines(path, name=_LINE, row_index_name="_row_no", row_index_offset=offset + 1)
    line = pl.col(_LINE)
    is_blank = line.str.strip_chars() == ""
    # Anything but an object has no root that is one; `$` of an object is the object's text.
    is_object = line.str.json_path_match("$").str.starts_with("{").fill_null(value=False)
    number = pl.col("_row_no").cast(pl.Int64) - offset - 1
    try:
        numbered = lines.select(pl.len()).collect(engine="streaming").item()
        odd = lines.filter(is_blank | ~is_object).select(number, line, is_blank.alias("blank")).collect()
    except pl.exceptions.ComputeError as error:
        raise ExtractError(
            "the file is not UTF-8", where=name, remedy="name its encoding in source.yaml (utf-16, latin-1, cp1252)"
        ) from error
    blank = tuple(odd.filter("blank")["_row_no"].to_list())
    ragged = dict(odd.filter(~pl.col("blank")).select("_row_no", _LINE).iter_rows())
    rows = numbered - len(blank)
    if len(ragged) > rows * MAX_RAGGED_SHARE:
        number_, text = next(iter(ragged.items()))
        raise ExtractError(
            "most lines hold no JSON object",
            where=f"{name}, line {number_ + 1}: {text[:120]!r}",
            remedy="deliver one object a line, or set another format in source.yaml",
        )
    values = [line.str.json_path_match(_path(column)).alias(column) for column in columns]
    return lines.select("_row_no", *values), Lines(rows, numbered, ragged=ragged, blank=blank)


def _path(column: str) -> str:
    escaped = column.replace("\\", "\\\\").replace("'", "\\'")
    return f"$['{escaped}']"
