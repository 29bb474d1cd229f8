"""Operation confirmations: see schemas/facts/fct_operation.py for grain and measures."""

import polars as pl

from schemas.facts.fct_operation import FctOperation
from transforms.common.calendar import business_date, minutes_between
from transforms.common.currency import multiply, with_rate
from transforms.common.dimensions import attributes, with_key
from transforms.common.facts import first_per_link, one, with_item, with_site
from transforms.common.keys import UNKNOWN_KEY
from transforms.common.quantity import in_base_unit, with_unit_factor
from transforms.common.shape import fact_columns

_OF_ORDER = ("item_id", "_space_item_id", "site_id", "_space_site_id")


def fct_operation(
    operation_confirmation: pl.LazyFrame,
    production_order: pl.LazyFrame,
    work_center: pl.LazyFrame,
    item: pl.LazyFrame,
    site: pl.LazyFrame,
    code_map: pl.LazyFrame,
    fx_rate: pl.LazyFrame,
    *,
    reporting_currency: str,
) -> pl.LazyFrame:
    """One row per operation confirmation, with the item of its order and the site of its work centre."""
    given = operation_confirmation
    rows = given.join(first_per_link(production_order, *_OF_ORDER), on="_link_hash", how="left")
    rows = _with_place(with_key(rows, given, "work_center_id", "work_center", code_map), work_center, code_map)
    sites = pl.concat([table.select("_space_site_id", "site_id") for table in (work_center, production_order)])
    rows = with_site(rows, sites, site, code_map)
    rows = with_unit_factor(with_item(rows, production_order, item, code_map))
    rows = rows.with_columns(
        business_date("ended_at", "_zone").alias("business_date"),
        *(pl.col(key).fill_null(UNKNOWN_KEY) for key in ("item_key", "site_key")),
        *in_base_unit(["good_qty", "scrap_qty", "rework_qty"]),
    )
    rows = with_rate(
        rows, fx_rate, "fx_rate_reporting", currency="currency", to=pl.lit(reporting_currency), on="business_date"
    )
    rate = pl.col("fx_rate_reporting")
    rows = rows.with_columns(
        pl.col("good_qty").alias("first_pass_qty"),
        minutes_between(pl.col("started_at"), pl.col("ended_at")).alias("elapsed_min"),
        minutes_between(pl.col("planned_start"), pl.col("planned_end")).alias("planned_min"),
        multiply(pl.col("planned_cost"), rate).alias("planned_cost_reporting"),
        multiply(pl.col("actual_cost"), rate).alias("actual_cost_reporting"),
        one("operation_count"),
        one("due_count", pl.col("planned_end").is_not_null()),
        one("late_count", pl.col("ended_at") > pl.col("planned_end")),
    )
    return fact_columns(rows, FctOperation)


def _with_place(rows: pl.LazyFrame, work_center: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Put the work centre's site before the order's: it stands there, an order's site only says who asked for it."""
    places = attributes(work_center, "work_center", code_map, {"site_id": "_place", "_space_site_id": "_space_place"})
    space = pl.when(pl.col("_place").is_not_null()).then("_space_place").otherwise("_space_site_id")
    return rows.join(places, on="work_center_key", how="left").with_columns(
        pl.coalesce("_place", "site_id").alias("site_id"), space.alias("_space_site_id")
    )
