"""Production orders: see schemas/facts/fct_production_order.py for grain and measures."""

import polars as pl

from schemas.facts.fct_production_order import FctProductionOrder
from transforms.common.calendar import business_date, days_between, hours_between, local_date
from transforms.common.facts import one, with_item_unit, with_site
from transforms.common.quantity import QUANTITY, in_base_unit
from transforms.common.shape import fact_columns

_MINUTES_PER_HOUR = pl.lit(60, pl.Decimal(38, 4))


def fct_production_order(
    production_order: pl.LazyFrame,
    operation_confirmation: pl.LazyFrame,
    item: pl.LazyFrame,
    site: pl.LazyFrame,
    code_map: pl.LazyFrame,
) -> pl.LazyFrame:
    """One row per production order with the time that its operations took."""
    rows = with_site(production_order, production_order, site, code_map)
    rows = with_item_unit(rows, production_order, item, code_map)
    rows = rows.join(_processing(operation_confirmation), on="_link_hash", how="left")
    start, end = pl.col("actual_start"), pl.col("actual_end")
    is_cancelled = pl.col("status") == "cancelled"
    elapsed = hours_between(start, end)
    queued = (elapsed - pl.col("processing_h")).cast(QUANTITY)
    rows = rows.with_columns(
        business_date("planned_start", "_zone").alias("planned_start_on"),
        _local_or_utc_date("due_at").alias("due_on"),
        _local_or_utc_date("actual_end").alias("ended_on"),
        is_cancelled.alias("is_cancelled"),
        *in_base_unit(["planned_qty", "good_qty", "scrap_qty"]),
        elapsed.alias("elapsed_h"),
        pl.when(queued < 0).then(pl.lit(0, QUANTITY)).otherwise(queued).alias("queue_h"),
        one("order_count"),
        one("completed_count", end.is_not_null() & ~is_cancelled),
        one("late_count", (end > pl.col("due_at")) & ~is_cancelled),
    ).with_columns(days_between(pl.col("due_on"), pl.col("ended_on")).alias("days_late"))
    return fact_columns(rows, FctProductionOrder)


def _processing(operation_confirmation: pl.LazyFrame) -> pl.LazyFrame:
    """Hours of an order's operations, per `_link_hash`: their minutes where given, else from start to end."""
    minutes = pl.col("setup_min").fill_null(0) + pl.col("run_min")
    hours = pl.coalesce(
        (minutes / _MINUTES_PER_HOUR).cast(QUANTITY), hours_between(pl.col("started_at"), pl.col("ended_at"))
    )
    return operation_confirmation.group_by("_link_hash").agg(hours.sum().cast(QUANTITY).alias("processing_h"))


def _local_or_utc_date(instant: str) -> pl.Expr:
    return pl.coalesce(local_date(instant, "_zone"), pl.col(instant).dt.date())
