"""Hashes and durable keys. All are signed xxh3-64, so they are BIGINT in the warehouse and stable between versions."""

from collections.abc import Mapping, Sequence

import polars as pl
import polars_hash as plh

UNKNOWN_KEY = -1
"""Durable key of a reference that was not given."""
NOT_APPLICABLE_KEY = -2
"""Durable key of a reference that cannot exist for the row."""

_NULL = "~"
_SEPARATOR = "|"


def _as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Text whose concatenation is unambiguous: text carries its length, everything else is a plain number."""
    if dtype == pl.String:
        return pl.concat_str(column.str.len_bytes().cast(pl.String), pl.lit(":"), column)
    if dtype == pl.Boolean or isinstance(dtype, pl.Decimal):
        return column.cast(pl.String)
    # Days and instants as plain numbers: formatting them would cost ten times as much.
    return column.to_physical().cast(pl.String)


def hash_columns(columns: Mapping[str, pl.DataType], *, salt: Sequence[str] = ()) -> pl.Expr:
    """Int64 hash of the named columns in the order given.

    NULL differs from `''`, and (`a`, `bc`) from (`ab`, `c`). `salt` is constant text that goes in first.
    """
    parts = [pl.lit("".join(f"{len(part.encode())}:{part}" for part in salt))]
    parts += [_as_text(pl.col(name), dtype).fill_null(_NULL) for name, dtype in columns.items()]
    return _xxh3(pl.concat_str(parts, separator=_SEPARATOR))


def durable_key(space: pl.Expr, code: pl.Expr) -> pl.Expr:
    """Durable key of the member `code` of a code space; UNKNOWN_KEY where the code is NULL or empty."""
    pair = pl.concat_str(
        space.str.len_bytes().cast(pl.String),
        pl.lit(":"),
        space,
        code.str.len_bytes().cast(pl.String),
        pl.lit(":"),
        code,
    )
    is_given = code.is_not_null() & (code != "")
    return pl.when(is_given).then(_xxh3(pair)).otherwise(pl.lit(UNKNOWN_KEY, dtype=pl.Int64))


def _xxh3(text: pl.Expr) -> pl.Expr:
    return plh.concat_str(text).nchash.xxh3_64().reinterpret(signed=True)
