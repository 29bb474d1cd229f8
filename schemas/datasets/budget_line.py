"""Budget lines. Key: (version, scenario, account_id, cost_center_id, period_start). Dated by period_start."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract


class BudgetLine(DatasetContract):
    """Planned amount of an account and cost centre in a month, signed by the account's normal side."""

    version = c.text("Version of the budget; sorts by age, for example 2026-v2", key=True, min_length=1)
    scenario = c.choice("Kind of plan", ("budget", "forecast", "target"), key=True)
    account_id = c.code("Account", "account", key=True)
    cost_center_id = c.code("Cost centre; '' for none", "cost_center", key=True, any_=True)
    period_start = c.date("First day of the month", key=True)
    amount = c.amount("Planned amount, in currency; positive on the account's normal side")
    currency = c.currency()
    fixed_amount = c.amount("Part that does not follow the driver, in currency", null=True)
    variable_rate = c.price("Amount per unit of the driver, in currency", null=True)
    driver = c.text("What the variable part follows, for example produced_qty", null=True)

    @dy.rule()
    def period_start_is_first_of_month(cls) -> pl.Expr:
        return pl.col("period_start").dt.day() == 1

    @dy.rule()
    def variable_rate_has_driver(cls) -> pl.Expr:
        return pl.col("variable_rate").is_null() | pl.col("driver").is_not_null()

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")
