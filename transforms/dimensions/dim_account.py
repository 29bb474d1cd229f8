"""Accounts: see schemas/dimensions/dim_account.py."""

import polars as pl

from schemas.dimensions.dim_account import DimAccount
from transforms.common.dimensions import members, with_key
from transforms.common.keys import NOT_APPLICABLE_KEY
from transforms.common.shape import dimension_columns

ATTRIBUTES = (
    "account_type",
    "normal_side",
    "parent_account_id",
    "parent_account_key",
)


def dim_account(account: pl.LazyFrame, code_map: pl.LazyFrame, code_span: pl.LazyFrame) -> pl.LazyFrame:
    """All accounts: delivered, inferred from codes, unknown and not applicable."""
    rows = members(with_references(account, code_map), "account", code_map, code_span, ATTRIBUTES)
    return dimension_columns(
        rows.with_columns(
            pl.col("parent_account_key").fill_null(NOT_APPLICABLE_KEY),
        ),
        DimAccount,
    )


def with_references(account: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Add the durable keys of what a row refers to."""
    return with_key(
        account, account, "parent_account_id", "account", code_map, key="parent_account_key", absent=NOT_APPLICABLE_KEY
    )
