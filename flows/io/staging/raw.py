"""Raw tables: the files of one table of a delivery as one lazy frame of raw cells with their row numbers."""

import csv
import difflib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from flows.io.staging import jsonl
from flows.io.staging.lines import Lines, check_lines, delimiter_hint, refuse_utf16
from flows.io.staging.plain import plain_delimiter, plain_file
from flows.io.staging.trailer import Trailers, take_trailer
from schemas.errors import ExtractError
from schemas.source import RawTable

ROW_NO = "_row_no"


@dataclass(frozen=True, slots=True)
class RawRows:
    """The rows of one raw table of a delivery.

    `frame` has the raw columns (`dtypes`: text, or as a Parquet file types them) and `_row_no`, from 1 through all
    files; `ragged` maps the number of a row that is not as wide as the others to its text.
    """

    frame: pl.LazyFrame
    dtypes: dict[str, pl.DataType]
    rows: int
    ragged: dict[int, str] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()
    trailers: Trailers = ()


@dataclass(frozen=True, slots=True)
class RawFile:
    """One delivered file: its bytes and the name it came by."""

    path: Path
    name: str


def open_raw(raw: RawTable, files: Sequence[RawFile], needed: Iterable[str] | None, work_dir: Path) -> RawRows:
    """Open the files of a raw table.

    Args:
        raw: What source.yaml says of the table.
        files: Its files, in order.
        needed: Columns that the SELECT names; None for all that there are.
        work_dir: Folder for converted copies.

    Raises:
        ExtractError: A file cannot be read as a whole, or lacks a column.
    """
    parts: list[RawRows] = []
    offset = 0
    for file in files:
        if file.path.stat().st_size == 0:
            part, numbered = _no_bytes(raw, file, needed), 0
        else:
            part, numbered = _READERS["parquet" if raw.is_query else raw.format](raw, file, needed, offset, work_dir)
        parts.append(part)
        offset += numbered
    if len(parts) == 1:
        return parts[0]
    return RawRows(
        frame=pl.concat([part.frame for part in parts], how="diagonal"),
        dtypes={name: dtype for part in reversed(parts) for name, dtype in part.dtypes.items()},
        rows=sum(part.rows for part in parts),
        ragged={number: text for part in parts for number, text in part.ragged.items()},
        unexpected=tuple(dict.fromkeys(name for part in parts for name in part.unexpected)),
        trailers=tuple(trailer for part in parts for trailer in part.trailers),
    )


def _no_bytes(raw: RawTable, file: RawFile, needed: Iterable[str] | None, trailers: Trailers = ()) -> RawRows:
    if not raw.may_be_empty and not trailers:
        raise ExtractError(
            "the file is empty: it has no bytes at all",
            where=file.name,
            remedy="have it delivered again, or set may_be_empty: true if that is how the source says 'no rows'",
        )
    names = list(raw.columns or needed or ())
    return RawRows(_empty(names), dict.fromkeys(names, pl.String()), 0, trailers=trailers)


def _empty(names: Sequence[str]) -> pl.LazyFrame:
    return pl.LazyFrame(schema=dict.fromkeys(names, pl.String()) | {ROW_NO: pl.Int64()})


def check_columns(names: Sequence[str], raw: RawTable, needed: Iterable[str] | None, file: str) -> tuple[str, ...]:
    """Refuse a file that lacks a needed column; the columns that nobody announced.

    Raises:
        ExtractError: Naming the column and the nearest one that there is.
    """
    missing = [name for name in needed or () if name not in names]
    if missing:
        near = difflib.get_close_matches(missing[0], names, n=1, cutoff=0.5)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        more = f" (and {len(missing) - 1} more: {', '.join(missing[1:6])})" if missing[1:] else ""
        raise ExtractError(
            f"the file has no column {missing[0]!r}{hint}{more}",
            where=f"{file}, header: {', '.join(names)[:300]}",
            remedy="have the column delivered again, or change the mapping SELECT and source.yaml to its new name",
        )
    return tuple(name for name in names if name not in raw.columns) if raw.columns else ()


def _read_csv(
    raw: RawTable, file: RawFile, needed: Iterable[str] | None, offset: int, work_dir: Path
) -> tuple[RawRows, int]:
    path, trailers = _rows_file(raw, file, work_dir)
    delimiter = plain_delimiter(raw)
    if path.stat().st_size == 0:
        return _no_bytes(raw, file, needed, trailers), 0
    refuse_utf16(path, file.name)
    names, skipped = _header(path, file.name, raw, delimiter) if raw.header else (list(raw.columns), raw.skip_lines)
    unexpected = check_columns(names, raw, needed, file.name)
    lines = check_lines(path, file.name, delimiter=delimiter, quote=raw.quote, width=len(names), skipped=skipped)
    if not lines.rows:
        return RawRows(_empty(names), dict.fromkeys(names, pl.String()), 0, {}, unexpected, trailers), lines.numbered
    conventions = raw.raw_types
    frame = pl.scan_csv(
        path,
        has_header=False,
        skip_lines=skipped,
        separator=delimiter,
        quote_char=raw.quote,
        schema=dict.fromkeys(names, pl.String()),
        infer_schema=False,
        empty_string_is_null=conventions is None or "" in conventions.null_words,
        row_index_name=ROW_NO,
        row_index_offset=offset + 1,
        missing_columns="insert",
        extra_columns="ignore",
        glob=False,
    )
    if lines.has_quotes:
        _refuse_if_read_otherwise(frame, names[0], lines, file.name)
    return _numbered(frame, names, lines, offset, unexpected, trailers), lines.numbered


def _rows_file(raw: RawTable, file: RawFile, work_dir: Path) -> tuple[Path, Trailers]:
    """The plain file, without its trailer where it has one; and what that states."""
    path = plain_file(file.path, file.name, raw, work_dir)
    return (path, ()) if raw.trailer is None else take_trailer(path, file.name, raw, work_dir)


def _refuse_if_read_otherwise(frame: pl.LazyFrame, column: str, lines: Lines, name: str) -> None:
    """Where quotes do not pair, Polars may see other rows than were counted: some would be lost, uncounted."""
    # Of a column: rows alone are counted by another way than they are read.
    read = frame.select(pl.col(column).is_null().count()).collect(engine="streaming").item()
    if read != lines.numbered:
        raise ExtractError(
            f"its quotes do not pair: it has {lines.numbered} rows, of which {read} can be told apart",
            where=name,
            remedy="if its text has stray quotes, set quote: null in source.yaml; else have it delivered again",
        )


def _numbered(
    frame: pl.LazyFrame,
    names: Sequence[str],
    lines: Lines,
    offset: int,
    unexpected: tuple[str, ...],
    trailers: Trailers,
) -> RawRows:
    if lines.blank:
        frame = frame.filter(~pl.col(ROW_NO).is_in([number + offset + 1 for number in lines.blank]))
    return RawRows(
        frame=frame.with_columns(pl.col(ROW_NO).cast(pl.Int64)),
        dtypes=dict.fromkeys(names, pl.String()),
        rows=lines.rows,
        ragged={number + offset + 1: text for number, text in lines.ragged.items()},
        unexpected=unexpected,
        trailers=trailers,
    )


def _header(path: Path, name: str, raw: RawTable, delimiter: str) -> tuple[list[str], int]:
    """Column names and the number of lines before the first row."""
    with path.open("rb") as file:
        for _ in range(raw.skip_lines):
            file.readline()
        start = file.read(1 << 20)
    text = io.StringIO(start.decode("utf-8-sig", errors="replace"), newline="")
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(text, delimiter=delimiter, quotechar=raw.quote or "\0", strict=False)
    names = [field.strip() for field in next(reader, [])]
    if len(names) == 1 and (hint := delimiter_hint(names[0], delimiter)):
        raise ExtractError("the header is read as one column", where=f"{name}: {names[0][:120]!r}", remedy=hint)
    if twice := sorted({field for field in names if names.count(field) > 1}):
        raise ExtractError(
            f"the header names {twice[0]!r} twice",
            where=name,
            remedy="set header: false, skip_lines: 1 and name the columns in source.yaml",
        )
    return names, raw.skip_lines + reader.line_num


def _read_parquet(
    raw: RawTable, file: RawFile, needed: Iterable[str] | None, offset: int, work_dir: Path
) -> tuple[RawRows, int]:
    path = plain_file(file.path, file.name, raw, work_dir)
    try:
        frame = pl.scan_parquet(path, glob=False, row_index_name=ROW_NO, row_index_offset=offset + 1)
        schema = frame.collect_schema()
        rows = frame.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ExtractError(
            "the file is not a readable Parquet file", where=file.name, remedy="have it delivered again, whole"
        ) from error
    dtypes = {name: dtype for name, dtype in schema.items() if name != ROW_NO}
    unexpected = check_columns(list(dtypes), raw, needed, file.name)
    return RawRows(frame.with_columns(pl.col(ROW_NO).cast(pl.Int64)), dtypes, rows, {}, unexpected), rows


def _read_excel(
    raw: RawTable, file: RawFile, needed: Iterable[str] | None, offset: int, work_dir: Path
) -> tuple[RawRows, int]:
    del work_dir
    import fastexcel

    try:
        book = fastexcel.read_excel(str(file.path))
        sheet = raw.sheet if raw.sheet is not None else 0
        if isinstance(sheet, str) and sheet not in book.sheet_names:
            raise ExtractError(
                f"the workbook has no sheet {sheet!r}",
                where=f"{file.name}, sheets: {', '.join(book.sheet_names)}",
                remedy="name the sheet under sheet in source.yaml",
            )
        header = raw.skip_lines if raw.header else None
        loaded = book.load_sheet(
            sheet,
            header_row=header,
            skip_rows=None if raw.header else raw.skip_lines or None,
            column_names=None if raw.header else list(raw.columns),
            dtypes="string",
        )
        frame = loaded.to_polars()
    except fastexcel.FastExcelError as error:
        raise ExtractError(
            f"the workbook cannot be read: {str(error).splitlines()[0]}",
            where=file.name,
            remedy="open it and save it as .xlsx, or have it delivered again",
        ) from error
    unexpected = check_columns(frame.columns, raw, needed, file.name)
    names = frame.columns
    numbered = frame.with_row_index(ROW_NO, offset=offset + 1).with_columns(pl.col(ROW_NO).cast(pl.Int64))
    # Rows that were once formatted and emptied are no rows.
    held = numbered.filter(~pl.all_horizontal(pl.col(name).is_null() for name in names))
    dtypes: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
    return RawRows(held.lazy(), dtypes, held.height, {}, unexpected), numbered.height


def _read_jsonl(
    raw: RawTable, file: RawFile, needed: Iterable[str] | None, offset: int, work_dir: Path
) -> tuple[RawRows, int]:
    path, trailers = _rows_file(raw, file, work_dir)
    refuse_utf16(path, file.name)
    names = jsonl.names(path, raw.columns, needed)
    unexpected = check_columns(names, raw, needed, file.name)
    frame, lines = jsonl.scan(path, file.name, names, offset, work_dir)
    return _numbered(frame, names, lines, offset, unexpected, trailers), lines.numbered


_READERS = {"csv": _read_csv, "parquet": _read_parquet, "excel": _read_excel, "jsonl": _read_jsonl}
