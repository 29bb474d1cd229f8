"""Rows of one extract that speak of the same version of a key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from flows.io.staging.mapping import ROW_NO

OPTIONS: dict[str, Any] = {"compression": "lz4", "row_group_size": 250_000, "maintain_order": False}

_POSITION = "_position"
_VERSION = ["_key_hash", "_order_at"]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What staging found among its good rows; `conflicts` has _row_no, _key_hash and _order_at.

    `copies` are the numbers of the rows that repeat another.
    """

    rows: int
    distinct_rows: int
    copies: pl.Series
    conflicts: pl.DataFrame


def settle(path: Path, *, counts_rows: bool) -> Duplicates:
    """Keep one of identical rows and none of contradicting ones; the file is rewritten only if there are any.

    Args:
        path: Parquet file of good rows.
        counts_rows: Whether a driving row may have come out more than once, so that they must be counted.
    """
    file = pl.scan_parquet(path)
    facts = file.select(
        rows=pl.len(),
        keys=pl.col("_key_hash").n_unique(),
        distinct=pl.col(ROW_NO).n_unique() if counts_rows else pl.len(),
    ).collect(engine="streaming")
    rows, keys, distinct = facts.row(0)
    none = pl.DataFrame(schema={ROW_NO: pl.Int64(), "_key_hash": pl.Int64(), "_order_at": pl.Datetime("us", "UTC")})
    if rows == keys:
        return Duplicates(rows, distinct, none[ROW_NO], none)
    hashes = file.select(ROW_NO, *_VERSION, "_payload_hash").with_row_index(_POSITION)
    # Few keys repeat; only theirs are looked at closely.
    repeated = hashes.filter(pl.len().over(_VERSION) > 1).collect().sort(ROW_NO, _POSITION)
    is_copy = ~pl.struct(*_VERSION, "_payload_hash").is_first_distinct()
    copies = repeated.filter(is_copy)
    kept = repeated.filter(~is_copy)
    conflicts = kept.filter(pl.len().over(_VERSION) > 1)
    dropped = pl.concat([copies, conflicts])[_POSITION]
    if len(dropped):
        _rewrite(path, dropped)
    return Duplicates(rows - len(dropped), distinct, copies[ROW_NO], conflicts.select(none.columns))


def _rewrite(path: Path, dropped: pl.Series) -> None:
    draft = path.with_suffix(".kept.parquet")
    kept = pl.scan_parquet(path).with_row_index(_POSITION).filter(~pl.col(_POSITION).is_in(dropped.implode()))
    write(kept.drop(_POSITION), draft)
    draft.replace(path)


def write(rows: pl.LazyFrame, path: Path) -> None:
    """Sink rows to Parquet as staging does: light compression, row groups that fit a core's share of memory."""
    rows.sink_parquet(path, mkdir=True, **OPTIONS)
