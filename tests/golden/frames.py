"""Golden cases: input tables and the expected output as text files, typed by the contracts.

A cell that is empty is NULL, `''` is the empty string, `key(space:code)` a durable key, and a column that a table
leaves out is NULL (`source`: erp; `_space_<column>`: the row's source).
"""

import re
from pathlib import Path

import polars as pl

from schemas.catalog import DATASETS
from schemas.registry import UNDATED, Dataset
from transforms.common.books import IS_REVERSAL, ORIGINAL_DATE
from transforms.common.keys import durable_key

_KEY = re.compile(r"key\(([^:)]*):([^)]*)\)")


def read_text(path: Path) -> pl.DataFrame:
    """A table of text cells."""
    frame = pl.read_csv(path, infer_schema=False)
    return frame.with_columns(pl.when(pl.all() == "''").then(pl.lit("")).otherwise(pl.all()).name.keep())


def typed(frame: pl.DataFrame, dtypes: dict[str, pl.DataType]) -> pl.DataFrame:
    """Text cells as the types of the contract; columns it does not name stay text."""
    return frame.select(_parsed(name, dtypes.get(name, pl.String())) for name in frame.columns)


def dataset_frame(name: str, path: Path, *, zone: str = "UTC") -> pl.LazyFrame:
    """Current rows of a dataset as a build reads them: the contract's columns and the technical ones.

    Args:
        name: The dataset.
        path: Its table; a missing file is a dataset without rows.
        zone: IANA zone of the source's clock, which dates the rows.
    """
    dataset = DATASETS[name]
    dtypes = dict(dataset.contract.dtypes())
    given = read_text(path) if path.exists() else pl.DataFrame(schema=dict.fromkeys(dtypes, pl.String))
    unknown = set(given.columns) - set(dtypes) - {"source"} - {f"_space_{c}" for c in dataset.coded_columns()}
    if unknown:
        raise ValueError(f"{path}: {unknown} is in no contract")
    frame = typed(given, dtypes)
    missing = {column: dtype for column, dtype in dtypes.items() if column not in frame.columns}
    frame = frame.with_columns(pl.lit(None, dtype=dtype).alias(column) for column, dtype in missing.items())
    if "source" not in frame.columns:
        frame = frame.with_columns(pl.lit("erp").alias("source"))
    spaces = [f"_space_{column}" for column in dataset.coded_columns()]
    frame = frame.with_columns(pl.col("source").alias(space) for space in spaces if space not in frame.columns)
    return frame.with_columns(
        pl.lit(1, pl.Int64).alias("_extract_id"),
        _day(dataset, zone).alias("_date"),
        _day(dataset, zone).alias(ORIGINAL_DATE),
        pl.lit(value=False).alias(IS_REVERSAL),
        _link(dataset).alias("_link_hash"),
        pl.lit(1, pl.Int64).alias("_payload_hash"),
        pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("_order_at"),
    ).lazy()


def _day(dataset: Dataset, zone: str) -> pl.Expr:
    if dataset.dated_by is None:
        return pl.lit(UNDATED)
    dated = pl.col(dataset.dated_by)
    if dataset.contract.dtypes()[dataset.dated_by] == pl.Date:
        return dated
    return dated.dt.convert_time_zone(zone).dt.date()


def _link(dataset: Dataset) -> pl.Expr:
    if dataset.link is None:
        return pl.lit(None, dtype=pl.Int64)
    return durable_key(pl.lit(dataset.link.entity), pl.concat_str(dataset.link.columns, separator="|"))


def _parsed(name: str, dtype: pl.DataType) -> pl.Expr:
    cell = pl.col(name)
    if dtype == pl.Date:
        return cell.str.to_date("%Y-%m-%d")
    if isinstance(dtype, pl.Datetime):
        return cell.str.to_datetime("%Y-%m-%dT%H:%M:%S%#z", time_unit="us").dt.convert_time_zone("UTC")
    if dtype == pl.Boolean:
        return cell.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    if dtype == pl.Int64:
        return cell.map_elements(_key_or_number, return_dtype=pl.Int64)
    return cell.cast(dtype) if dtype != pl.String else cell


def _key_or_number(cell: str) -> int:
    if (match := _KEY.fullmatch(cell)) is None:
        return int(cell)
    return int(pl.select(durable_key(pl.lit(match[1]), pl.lit(match[2]))).item())
