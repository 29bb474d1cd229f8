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


def multiply(left: pl.Expr, right: pl.Expr, dtype: pl.Decimal = AMOUNT) -> pl.Expr:
    """Exact product as `dtype`, NUMERIC(18,4) unless said; NULL where either is, and where it would not fit.

    An overflow would fail the whole build for one absurd row. Whether it fits is estimated in floats.
    """
    fits = (left.cast(pl.Float64) * right.cast(pl.Float64)).abs() < 10.0 ** (dtype.precision - dtype.scale)
    return (pl.when(fits).then(left) * right).cast(dtype, strict=False)


def daily_rates(fx_rate: pl.LazyFrame) -> pl.LazyFrame:
    """The rate of every day on which one is known: `from_currency`, `to_currency`, `rate_date`, `rate`.

    A rate holds until the next of its pair of currencies, for RATE_LOOK_BACK at most. Of several on a day, type average
    goes first, then those given before those turned round (1 / rate), then the type and the source that sort first.
    """
    pair = ["from_currency", "to_currency"]
    last = pl.min_horizontal(
        pl.col("rate_date") + RATE_LOOK_BACK,
        pl.col("rate_date").shift(-1).over(pair, order_by="rate_date") - timedelta(days=1),
    )
    return (
        pl.concat([_given(fx_rate), _turned_round(fx_rate)])
        .filter(pl.col("rate") > 0)
        .sort(*pair, "rate_date", pl.col("rate_type") != _PREFERRED_TYPE, "is_turned", "rate_type", "source")
        .unique([*pair, "rate_date"], keep="first", maintain_order=True)
        .with_columns(pl.date_ranges("rate_date", last))
        .select(*pair, "rate_date", "rate")
        .explode("rate_date")
    )


def with_rate(
    frame: pl.LazyFrame, fx_rate: pl.LazyFrame, rate: str, *, currency: str, to: str | pl.Expr, on: str
) -> pl.LazyFrame:
    """Add `rate`: units of `to` (a column's name, or a literal) for one unit of `currency` on the day `on`.

    1 where the currencies are the same, NULL where none was given within RATE_LOOK_BACK or a currency is not known.
    """
    target = pl.col(to) if isinstance(to, str) else to
    rates = daily_rates(fx_rate).rename({"rate": "_rate"})
    if not isinstance(to, str):
        rates = rates.filter(pl.col("to_currency") == to)
    is_same = pl.col(currency) == pl.col("_to_currency")
    return (
        frame.with_columns(target.alias("_to_currency"))
        .join(
            rates,
            left_on=[currency, "_to_currency", on],
            right_on=["from_currency", "to_currency", "rate_date"],
            how="left",
        )
        .with_columns(pl.when(is_same).then(_ONE).otherwise("_rate").alias(rate))
        .drop("_to_currency", "_rate")
    )


def with_standard_cost(
    frame: pl.LazyFrame, item_cost: pl.LazyFrame, code_map: pl.LazyFrame, *, on: str
) -> pl.LazyFrame:
    """Add `standard_cost` (per base unit) and `cost_currency` of `item_key` at `site_key` on the day `on`.

    A cost of the site goes before one of any site; NULL where neither is valid yet.
    """
    costs = with_key(item_cost, item_cost, "item_id", "item", code_map)
    costs = with_key(costs, item_cost, "site_id", "site", code_map)
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
    return (
        frame.sort(on)
        .join_asof(costs, on=on, by=["item_key", "site_key"], check_sortedness=False)
        .join_asof(of_any_site, on=on, by="item_key", suffix="_any", check_sortedness=False)
        .with_columns(
            # Cost and currency of the same row: never one's amount in the other's currency.
            pl.coalesce("standard_cost", "standard_cost_any").alias("standard_cost"),
            pl.coalesce("cost_currency", "cost_currency_any").alias("cost_currency"),
        )
        .drop("standard_cost_any", "cost_currency_any")
    )


def _given(fx_rate: pl.LazyFrame) -> pl.LazyFrame:
    return fx_rate.select(
        "from_currency", "to_currency", "rate_date", "rate_type", "source", "rate", is_turned=pl.lit(value=False)
    )


def _turned_round(fx_rate: pl.LazyFrame) -> pl.LazyFrame:
    inverse = (_ONE.cast(pl.Decimal(38, 10)) / pl.col("rate")).cast(RATE, strict=False)
    return fx_rate.select(
        pl.col("to_currency").alias("from_currency"),
        pl.col("from_currency").alias("to_currency"),
        "rate_date",
        "rate_type",
        "source",
        inverse.alias("rate"),
        is_turned=pl.lit(value=True),
    )
