"""Hashes and durable keys: 64 bits with a sign, so BIGINT in the warehouse, and stable between versions."""

import hashlib
from collections.abc import Mapping, Sequence

import polars as pl
import polars_hash as plh

UNKNOWN_KEY = -1
"""Durable key of a reference that was not given."""
NOT_APPLICABLE_KEY = -2
"""Durable key of a reference that cannot exist for the row."""

_MULTIPLIER = 0x9E3779B97F4A7C15
"""Odd, so that multiplying by it modulo 2^64 loses nothing: the golden ratio's bits."""
_NULL = 0xD1B54A32D192ED03
_WORD = pl.UInt64


def _word(name: str, dtype: pl.DataType) -> pl.Expr:
    """64 bits that stand for a value: the number itself, or the xxh3-64 of a text."""
    if dtype.is_integer() or dtype.is_decimal() or dtype.is_temporal():
        # Days and instants as their numbers, amounts as their digits: formatting them would cost thirty times as much.
        word = pl.col(name).to_physical().cast(_WORD, wrap_numerical=True)
    elif dtype == pl.Boolean:
        word = pl.col(name).cast(_WORD)
    elif dtype == pl.String:
        word = plh.col(name).nchash.xxh3_64()
    else:
        word = plh.concat_str(pl.col(name).cast(pl.String)).nchash.xxh3_64()
    return word.fill_null(pl.lit(_NULL, dtype=_WORD))


def hash_columns(columns: Mapping[str, pl.DataType], *, salt: Sequence[str] = ()) -> pl.Expr:
    """Int64 hash of the named columns in the order given: FNV-1a over one 64-bit word per value.

    NULL differs from `''`, and (`a`, `bc`) from (`ab`, `c`). `salt` is constant text that goes in first. Rows that
    differ in one value never collide unless two texts' xxh3-64 do.
    """
    seed = hashlib.blake2b("\0".join(salt).encode(), digest_size=8)
    mixed = pl.lit(int.from_bytes(seed.digest(), "big"), dtype=_WORD)
    for name, dtype in columns.items():
        mixed = (mixed ^ _word(name, dtype)) * pl.lit(_MULTIPLIER, dtype=_WORD)
    # A product's low bits know nothing of its factors' high bits; the high ones know all.
    return (mixed ^ (mixed // pl.lit(1 << 32, dtype=_WORD))).reinterpret(signed=True)


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
