"""Money: exchange rates as of a day, standard costs as of a day, and products that stay exact."""

from datetime import timedelta

import polars as pl

from transforms.common.dimensions import with_key
from transforms.common.keys import UNKNOWN_KEY

RATE_LOOK_BACK = timedelta(days=7)
"""How old a rate may be: bridges weekends and holidays. The catalogue's LookBack reads as many days."""

AMOUNT = pl.Decimal(18, 4)
RATE = pl.Decimal(28, 10)

_PREFERRED_TYPE = "average"
_ONE = pl.lit(1, RATE)


def multiply(amount: pl.Expr, rate: pl.Expr) -> pl.Expr:
    """Exact product as NUMERIC(18,4); NULL where either is, and where it would not fit (the estimate is in floats)."""
    fits = (amount.cast(pl.Float64) * rate.cast(pl.Float64)).abs() < 1e14
    return (pl.when(fits).then(amount) * rate).cast(AMOUNT, strict=False)


def rates_as_given(fx_rate: pl.LazyFrame) -> pl.LazyFrame:
    """One rate per day and pair of currencies: `from_currency`, `to_currency`, `rate_date`, `rate`, sorted by day.

    Rates of type average come first, then those given over those turned round (1 / rate), then the type and source
    that sort first.
    """
    given = fx_rate.select("rate_date", "from_currency", "to_currency", "rate_type", "source", "rate", is_turned=False)
    turned = given.select(
        "rate_date",
        pl.col("to_currency").alias("from_currency"),
        pl.col("from_currency").alias("to_currency"),
        "rate_type",
        "source",
        (_ONE.cast(pl.Decimal(38, 10)) / pl.col("rate")).cast(RATE, strict=False).alias("rate"),
        is_turned=True,
    )
    pair = ["rate_date", "from_currency", "to_currency"]
    return (
        pl.concat([given, turned])
        .filter(pl.col("rate") > 0)
        .sort(*pair, pl.col("rate_type") != _PREFERRED_TYPE, "is_turned", "rate_type", "source")
        .unique(pair, keep="first", maintain_order=True)
        .select("from_currency", "to_currency", "rate_date", "rate")
        .sort("rate_date")
    )


def with_rate(
    frame: pl.LazyFrame, fx_rate: pl.LazyFrame, rate: str, *, currency: str, to: str | pl.Expr, on: str
) -> pl.LazyFrame:
    """Add `rate`: units of `to` (a column's name, or a literal) for one unit of `currency` on the day `on`.

    1 where the currencies are the same, NULL where none was given within RATE_LOOK_BACK or a currency is not known.
    """
    target = pl.col(to) if isinstance(to, str) else to
    needed = frame.select(from_currency=pl.col(currency), to_currency=target, rate_date=pl.col(on)).unique()
    known = (
        needed.drop_nulls()
        .sort("rate_date")
        .join_asof(
            rates_as_given(fx_rate),
            on="rate_date",
            by=["from_currency", "to_currency"],
            tolerance=RATE_LOOK_BACK,
            check_sortedness=False,
        )
        .select(
            "from_currency",
            "to_currency",
            "rate_date",
            pl.when(pl.col("from_currency") == pl.col("to_currency")).then(_ONE).otherwise(pl.col("rate")).alias(rate),
        )
    )
    return (
        frame.with_columns(target.alias("_to_currency"))
        .join(
            known,
            left_on=[currency, "_to_currency", on],
            right_on=["from_currency", "to_currency", "rate_date"],
            how="left",
        )
        .drop("_to_currency")
    )


def with_standard_cost(
    frame: pl.LazyFrame, item_cost: pl.LazyFrame, code_map: pl.LazyFrame, *, on: str
) -> pl.LazyFrame:
    """Add `standard_cost` (per base unit) and `cost_currency` of `item_key` at `site_key` on the day `on`.

    A cost of the site goes before one of any site; NULL where neither is valid yet.
    """
    costs = with_key(with_key(item_cost, "item_id", "item", code_map), "site_id", "site", code_map)
    parts = ("material_cost", "labour_cost", "overhead_cost")
    costs = (
        costs.select(
            "item_key",
            "site_key",
            pl.col("valid_from").alias(on),
            pl.sum_horizontal(pl.col(part).fill_null(0) for part in parts).cast(RATE).alias("standard_cost"),
            pl.col("currency").alias("cost_currency"),
            "source",
        )
        .sort("item_key", "site_key", on, "source")
        .unique(["item_key", "site_key", on], keep="first", maintain_order=True)
        .drop("source")
        .sort(on)
    )
    of_any_site = costs.filter(pl.col("site_key") == UNKNOWN_KEY).drop("site_key")
    valued = (
        frame.select("item_key", "site_key", on)
        .unique()
        .sort(on)
        .join_asof(costs, on=on, by=["item_key", "site_key"], check_sortedness=False)
        .join_asof(of_any_site, on=on, by="item_key", suffix="_any", check_sortedness=False)
        .select(
            "item_key",
            "site_key",
            on,
            # Cost and currency of the same row: never one's amount in the other's currency.
            pl.coalesce("standard_cost", "standard_cost_any").alias("standard_cost"),
            pl.coalesce("cost_currency", "cost_currency_any").alias("cost_currency"),
        )
    )
    return frame.join(valued, on=["item_key", "site_key", on], how="left")
