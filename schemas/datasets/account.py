"""Accounts. Key: account_id. Master data."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.contract import DatasetContract


class Account(DatasetContract):
    """An account of the chart of accounts; parents make the hierarchy."""

    account_id = c.code("Account", "account", key=True)
    name = c.text("Name")
    account_type = c.choice(
        "Kind of account; statistical accounts count something and are in no statement",
        ("asset", "liability", "equity", "revenue", "expense", "statistical"),
    )
    parent_account_id = c.code("Account it rolls up to", "account", null=True)
    normal_side = c.choice("Side on which the account grows; signs net_amount", ("debit", "credit"))

    @dy.rule()
    def account_is_not_its_own_parent(cls) -> pl.Expr:
        return pl.col("parent_account_id") != pl.col("account_id")
