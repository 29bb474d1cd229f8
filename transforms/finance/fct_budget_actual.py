"""Budget against actuals: see schemas/facts/fct_budget_actual.py for grain and measures."""

import polars as pl

from schemas.facts.fct_budget_actual import FctBudgetActual
from schemas.registry import ALL_SOURCES
from transforms.common.books import ORIGINAL_DATE
from transforms.common.currency import AMOUNT, multiply, with_rate
from transforms.common.dimensions import attributes, conformed_codes
from transforms.common.shape import fact_columns
from transforms.finance.signs import with_net_amount

NO_BUDGET = {"scenario": "none", "budget_version": ""}
"""What stands in the key of months that nobody has planned."""

_PLACE = ["account_key", "account_id", "cost_center_key", "cost_center_id"]
_PLAN = ["period_start", "scenario", "budget_version"]
_ZERO = pl.lit(0, AMOUNT)


def fct_budget_actual(
    budget_line: pl.LazyFrame,
    gl_entry: pl.LazyFrame,
    account: pl.LazyFrame,
    code_map: pl.LazyFrame,
    fx_rate: pl.LazyFrame,
    *,
    reporting_currency: str,
) -> pl.LazyFrame:
    """Every version of a month's budget, full-joined with the month's actuals on conformed account and cost centre."""
    budgets = _budgets(budget_line, code_map, fx_rate, reporting_currency)
    actuals = _actuals(gl_entry, account, code_map, fx_rate, reporting_currency)
    plans = budgets.select(_PLAN).unique()
    months = actuals.select("period_start").unique()
    unplanned = months.join(plans, on="period_start", how="anti").with_columns(
        pl.lit(value).alias(name) for name, value in NO_BUDGET.items()
    )
    by_plan = pl.concat([plans, unplanned]).join(actuals, on="period_start")
    rows = budgets.join(by_plan, on=[*_PLAN, *_PLACE], how="full", coalesce=True, nulls_equal=True)
    budget, actual = pl.col("budget_amount").fill_null(_ZERO), pl.col("actual_amount").fill_null(_ZERO)
    rows = rows.join(attributes(account, "account", code_map, ["normal_side"]), on="account_key", how="left")
    is_budget = pl.col("scenario") == "budget"
    newest = pl.col("budget_version").filter(is_budget).max().over("period_start")
    rows = rows.with_columns(
        pl.lit(ALL_SOURCES).alias("source"),
        pl.lit(reporting_currency).alias("currency"),
        (is_budget & (pl.col("budget_version") == newest)).fill_null(value=False).alias("is_current_budget"),
        budget,
        actual,
        (pl.col("flex_amount") - budget).cast(AMOUNT).alias("activity_variance"),
        (pl.col("flex_amount") - actual).cast(AMOUNT).alias("spending_variance"),
        (budget - actual).cast(AMOUNT).alias("total_variance"),
        pl.sum_horizontal("budget_missing", "actual_missing").cast(pl.Int32).alias("missing_rate_count"),
        pl.max_horizontal("budget_extract", "actual_extract").alias("_extract_id"),
    )
    return fact_columns(rows, FctBudgetActual)


def _budgets(
    budget_line: pl.LazyFrame, code_map: pl.LazyFrame, fx_rate: pl.LazyFrame, reporting_currency: str
) -> pl.LazyFrame:
    """Budget per plan and place; flex_amount is NULL unless every line gives a fixed part and nothing variable."""
    rows = with_rate(
        _placed(budget_line, budget_line, code_map),
        fx_rate,
        "fx_rate_reporting",
        currency="currency",
        to=pl.lit(reporting_currency),
        on="period_start",
    )
    rate = pl.col("fx_rate_reporting")
    fixed = pl.when(pl.col("variable_rate").fill_null(0) == 0).then("fixed_amount")
    return (
        rows.with_columns(multiply(pl.col("amount"), rate).alias("_amount"), multiply(fixed, rate).alias("_flex"))
        .group_by("period_start", "scenario", pl.col("version").alias("budget_version"), *_PLACE)
        .agg(
            pl.col("_amount").sum().cast(AMOUNT).alias("budget_amount"),
            pl.when(pl.col("_flex").count() == pl.len()).then(pl.col("_flex").sum()).cast(AMOUNT).alias("flex_amount"),
            pl.col("_amount").is_null().sum().alias("budget_missing"),
            pl.col("_extract_id").max().alias("budget_extract"),
        )
    )


def _actuals(
    gl_entry: pl.LazyFrame,
    account: pl.LazyFrame,
    code_map: pl.LazyFrame,
    fx_rate: pl.LazyFrame,
    reporting_currency: str,
) -> pl.LazyFrame:
    """Actuals per month and place: the journal without closing entries."""
    signed = with_net_amount(gl_entry.filter(~pl.col("is_closing").fill_null(value=False)), account, code_map)
    rows = with_rate(
        _placed(signed.drop("account_key"), gl_entry, code_map),
        fx_rate,
        "fx_rate_reporting",
        currency="currency",
        to=pl.lit(reporting_currency),
        on=ORIGINAL_DATE,
    )
    return (
        rows.with_columns(multiply(pl.col("net_amount"), pl.col("fx_rate_reporting")).alias("_amount"))
        .group_by(pl.col("posted_on").dt.truncate("1mo").alias("period_start"), *_PLACE)
        .agg(
            pl.col("_amount").sum().cast(AMOUNT).alias("actual_amount"),
            pl.col("_amount").is_null().sum().alias("actual_missing"),
            pl.col("_extract_id").max().alias("actual_extract"),
        )
    )


def _placed(rows: pl.LazyFrame, given: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Replace account and cost centre by their master members: key and id; no cost centre is '' and key -1."""
    for entity in ("account", "cost_center"):
        column, space = f"{entity}_id", f"_space_{entity}_id"
        codes = conformed_codes(given.select(space, column).unique(), space, column, entity, code_map)
        known = codes.select(
            space, column, pl.col("_key").alias(f"{entity}_key"), pl.col("_master_code").fill_null("").alias("_id")
        )
        rows = (
            rows.join(known, on=[space, column], how="left", nulls_equal=True)
            .with_columns(pl.col("_id").alias(column))
            .drop("_id")
        )
    return rows
