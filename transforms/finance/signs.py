"""The sign of a journal line: positive on the side on which its account grows."""

import polars as pl

from transforms.common.dimensions import attributes, with_key


def with_net_amount(gl_entry: pl.LazyFrame, account: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Add `account_key` and `net_amount`: debit - credit, or credit - debit for accounts that grow by credit.

    An account that no master data describes counts as growing by debit.
    """
    sides = attributes(account, "account", code_map, ["normal_side"])
    grows_by_credit = pl.col("normal_side").eq_missing("credit")
    balance = pl.col("debit") - pl.col("credit")
    return (
        with_key(gl_entry, gl_entry, "account_id", "account", code_map)
        .join(sides, on="account_key", how="left")
        .with_columns(
            pl.when(grows_by_credit).then(-balance).otherwise(balance).cast(pl.Decimal(18, 4)).alias("net_amount")
        )
    )
