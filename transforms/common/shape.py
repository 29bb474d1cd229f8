"""The shape a transform hands over: its contract's columns, but for those that publishing adds."""

import polars as pl

from schemas.contract import FactContract, PublishedContract

_ADDED_BY_PUBLISHING = frozenset({"row_key", "row_hash", "extract_id", "published_at"})


def fact_columns(rows: pl.LazyFrame, contract: type[FactContract]) -> pl.LazyFrame:
    """The contract's columns in order, and `_extract_id` of the driving row."""
    return _select(rows, contract, "_extract_id")


def dimension_columns(rows: pl.LazyFrame, contract: type[PublishedContract]) -> pl.LazyFrame:
    """The contract's columns in order."""
    return _select(rows, contract)


def _select(rows: pl.LazyFrame, contract: type[FactContract] | type[PublishedContract], *more: str) -> pl.LazyFrame:
    return rows.select(*(name for name in contract.columns() if name not in _ADDED_BY_PUBLISHING), *more)
