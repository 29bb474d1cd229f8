"""The hierarchy of accounts: see schemas/dimensions/dim_account.py."""

import polars as pl

from schemas.dimensions.dim_account import DimAccountClosure
from transforms.common.dimensions import closure
from transforms.common.shape import dimension_columns
from transforms.dimensions.dim_account import dim_account


def dim_account_closure(account: pl.LazyFrame, code_map: pl.LazyFrame, code_span: pl.LazyFrame) -> pl.LazyFrame:
    """Every member of dim_account with each member it rolls up to, itself included."""
    return dimension_columns(closure(dim_account(account, code_map, code_span), "account"), DimAccountClosure)
