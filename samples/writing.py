"""Write raw tables the way the systems do."""

import gzip
import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from samples.faults import BREAKS_LINE
from samples.systems import Dialect

CREATED = datetime(2025, 1, 1, tzinfo=UTC).replace(tzinfo=None)
"""Workbooks carry the moment of their making; a fixed one keeps equal content equal to the byte."""


def write_table(raw: pl.DataFrame, dialect: Dialect, path: Path) -> None:
    """Write a raw table to a path; its folder is made. The same rows always give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if dialect.kind == "parquet":
        raw.write_parquet(path, compression="zstd", statistics=False)
    elif dialect.kind == "jsonl":
        path.write_bytes(gzip.compress(_json_lines(raw, dialect), compresslevel=1, mtime=0))
    elif dialect.kind == "excel":
        _write_workbook(raw, path)
    else:
        _write_csv(raw, dialect, path)


def break_lines(path: Path, dialect: Dialect) -> None:
    """Break the lines that hold BREAKS_LINE: a delimiter too many, or a quote too many in JSON."""
    is_json = dialect.kind == "jsonl"
    content = gzip.decompress(path.read_bytes()) if is_json else path.read_bytes()
    text = content.decode(dialect.encoding).replace(BREAKS_LINE, '"' if is_json else dialect.delimiter)
    content = text.encode(dialect.encoding)
    path.write_bytes(gzip.compress(content, compresslevel=1, mtime=0) if is_json else content)


def as_text(raw: pl.DataFrame, dialect: Dialect) -> pl.DataFrame:
    """Every column as the text the system would write, so that a cell can be spoiled."""
    if dialect.kind == "parquet":
        return raw
    mark = "," if dialect.decimal_comma else "."
    columns = []
    for name, dtype in raw.schema.items():
        cell = pl.col(name)
        if dtype == pl.Date:
            cell = cell.dt.strftime(dialect.date_format)
        elif isinstance(dtype, pl.Datetime):
            cell = _local(cell, dialect).dt.strftime(dialect.timestamp_format)
        elif dtype.is_decimal():
            cell = _thousands(cell) if dialect.thousands else cell.cast(pl.String).str.replace(".", mark, literal=True)
        columns.append(cell.cast(pl.String).alias(name))
    return raw.select(columns)


def _local(cell: pl.Expr, dialect: Dialect) -> pl.Expr:
    return cell.dt.convert_time_zone(dialect.time_zone).dt.replace_time_zone(None)


def _thousands(cell: pl.Expr) -> pl.Expr:
    """12345.6700 as 12,345.67; two decimals are all that a ledger has."""
    whole = cell.abs().cast(pl.Float64).floor().cast(pl.Int64)
    cents = ((cell.abs().cast(pl.Float64) - whole) * 100).round().cast(pl.Int64).cast(pl.String).str.zfill(2)
    parts = [(whole // 10**power) % 1000 for power in (9, 6, 3, 0)]
    text = pl.lit("")
    for power, part in zip((9, 6, 3, 0), parts, strict=True):
        digits = part.cast(pl.String)
        padded = pl.when(whole >= 10 ** (power + 3)).then(digits.str.zfill(3)).otherwise(digits)
        shown = padded + pl.lit("," if power else "")
        text = text + pl.when((whole >= 10**power) | (power == 0)).then(shown).otherwise(pl.lit(""))
    sign = pl.when(cell < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return sign + text + pl.lit(".") + cents


def _write_csv(raw: pl.DataFrame, dialect: Dialect, path: Path) -> None:
    if dialect.thousands:
        raw = as_text(raw, dialect)
    raw = raw.with_columns(_local(pl.col(pl.Datetime("us", "UTC")), dialect))
    is_utf8 = dialect.encoding in ("utf-8", "utf-8-sig")
    target: Path | io.BytesIO = path if is_utf8 else io.BytesIO()
    raw.write_csv(
        target,
        separator=dialect.delimiter,
        include_bom=dialect.encoding == "utf-8-sig",
        date_format=dialect.date_format,
        datetime_format=dialect.timestamp_format,
        decimal_comma=dialect.decimal_comma,
        null_value=dialect.null,
    )
    if isinstance(target, io.BytesIO):
        path.write_bytes(target.getvalue().decode().encode(dialect.encoding))


def _json_lines(raw: pl.DataFrame, dialect: Dialect) -> bytes:
    """One object a line. Cells that are no numbers are quoted; the simulator's text needs no escapes."""
    numbers = [name for name, dtype in raw.schema.items() if dtype.is_decimal() or name.startswith("qty")]
    text = as_text(raw, dialect)
    cells = []
    for name in text.columns:
        value = pl.col(name)
        quoted = pl.lit('"') + value + pl.lit('"')
        if name in numbers:
            is_number = value.str.contains(r"^-?\d+(\.\d+)?$")
            quoted = pl.when(is_number).then(value.str.replace(r"\.?0+$", "")).otherwise(quoted)
            quoted = pl.when(is_number & ~value.str.contains(".", literal=True)).then(value).otherwise(quoted)
        cells.append(pl.lit(f'"{name}":') + quoted.fill_null("null"))
    lines = text.select(pl.lit("{") + pl.concat_str(cells, separator=",") + pl.lit("}")).to_series()
    return ("\n".join(lines) + "\n").encode() if len(lines) else b""


def _write_workbook(raw: pl.DataFrame, path: Path) -> None:
    # Late: the package is needed only where a workbook is written.
    import xlsxwriter

    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd"}) as workbook:
        workbook.set_properties({"title": "Budget", "created": CREATED})
        raw.write_excel(workbook, worksheet="Budget", table_style="Table Style Light 1", autofilter=False)
        workbook.add_worksheet("Notes").write(0, 0, "Approved versions only. Months are given by their first day.")
