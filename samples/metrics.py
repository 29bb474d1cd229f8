"""What each metric must come to, from the facts' truth: written from what the cards say, not from their SQL.

A part of a metric is a sum over one fact; periods are days and months. Stock is a balance: of a period it is the last
day's, or the average over the days that are known.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from samples.lookups import Rows
from samples.master import ACCOUNTS, MES_SITES, SITES, WMS_SITES

_SITES = SITES["site_id"].to_list()
_SITE_CODES = {code: site for codes in (WMS_SITES, MES_SITES) for code, site in zip(codes, _SITES, strict=True)}
_TYPES = {row[0]: row[2] for row in ACCOUNTS}
_UNKNOWN = "(unknown)"

_LINES, _RECEIPTS = "fct_purchase_order_line", "fct_goods_receipt"
_ORDERS, _OPERATIONS = "fct_production_order", "fct_operation"
_STOCK, _JOURNAL, _PLAN = "fct_inventory_daily", "fct_gl_entry", "fct_budget_actual"

col = pl.col


@dataclass(frozen=True)
class Part:
    """The sum of `value` over the rows of a fact that are `counted`, by the day in a column."""

    fact: str
    on: str
    value: pl.Expr
    counted: pl.Expr | None = None
    rule: str = "sum"


@dataclass(frozen=True)
class Metric:
    """A part, or two and what is made of them."""

    upper: Part
    lower: Part | None = None
    made: Callable[[pl.Expr, pl.Expr, pl.Expr], pl.Expr] = lambda upper, lower, days: upper
    scopes: tuple[str, ...] = ("company", "site")
    is_zero_without_rows: bool = True


def _divided(upper: pl.Expr, lower: pl.Expr) -> pl.Expr:
    return pl.when(lower != 0).then(upper / lower)


def _share(upper: Part, lower: Part, *scopes: str, by: float = 100, known: bool = True) -> Metric:
    return Metric(upper, lower, lambda u, w, _: by * _divided(u, w), ("company", *scopes), known)


def _less(upper: Part, lower: Part, *scopes: str) -> Metric:
    return Metric(upper, lower, lambda u, w, _: u - w, scopes, is_zero_without_rows=False)


def _sum(part: Part, *scopes: str, known: bool = False) -> Metric:
    return Metric(part, scopes=("company", *scopes), is_zero_without_rows=known)


_SUPPLIER, _PLACE = ("site", "supplier"), ("site", "work_center")
_IS_LINE = ~col("is_cancelled")
_IS_DUE = col("due_promised_count") == 1
_ENDED = col("completed_count") == 1


def _open(on: str) -> Part:
    rest = col("ordered_amount_reporting") - col("received_amount_reporting").fill_null(0)
    return Part(_LINES, on, pl.when(rest > 0).then(rest).otherwise(0), col("status") == "open")


def _purchasing() -> dict[str, Metric]:
    made = {}
    for kind in ("requested", "promised", "committed"):
        due = Part(_LINES, f"{kind}_on", col(f"due_{kind}_count"))
        for name, count in (("on_time", "on_time"), ("otif", "otif")):
            hit = Part(_LINES, f"{kind}_on", col(f"{count}_{kind}_count"))
            made[f"supplier_{name}_{kind}"] = _share(hit, due, *_SUPPLIER)
    due = Part(_LINES, "promised_on", pl.lit(1), _IS_DUE)
    ordered, received = col("ordered_amount_reporting"), col("received_amount_reporting")
    filled = Part(_LINES, "promised_on", pl.when(received > ordered).then(ordered).otherwise(received), _IS_DUE)
    days = Part(_LINES, "last_received_on", (col("last_received_on") - col("ordered_on")).dt.total_days(), _IS_LINE)
    came = Part(_RECEIPTS, "received_on", col("received_amount_reporting"))
    stock = Part(_STOCK, "snapshot_date", col("on_hand_amount_reporting"), rule="average")
    return made | {
        "supplier_in_full": _share(Part(_LINES, "promised_on", col("in_full_count"), _IS_DUE), due, *_SUPPLIER),
        "supplier_fill_rate": _share(filled, Part(_LINES, "promised_on", ordered, _IS_DUE), *_SUPPLIER),
        "supplier_lead_time": _share(
            days, Part(_LINES, "last_received_on", pl.lit(1), _IS_LINE), *_SUPPLIER, by=1, known=False
        ),
        "supplier_reject_ppm": _share(
            Part(_RECEIPTS, "received_on", col("received_qty") - col("accepted_qty")),
            Part(_RECEIPTS, "received_on", col("received_qty")),
            *_SUPPLIER,
            by=1e6,
        ),
        "supplier_spend": _sum(came, *_SUPPLIER),
        "purchase_order_value": _sum(Part(_LINES, "ordered_on", ordered, _IS_LINE), *_SUPPLIER),
        "open_order_value": _sum(_open("ordered_on"), *_SUPPLIER, known=True),
        "late_order_value": _sum(_open("due_on"), *_SUPPLIER, known=True),
        "stock_value": _sum(Part(_STOCK, "snapshot_date", col("on_hand_amount_reporting"), rule="last"), "site"),
        "days_on_hand": Metric(stock, came, lambda u, w, days: _divided(u, w / days), is_zero_without_rows=False),
        "stock_turns": Metric(came, stock, lambda u, w, days: _divided(u * 365 / days, w), is_zero_without_rows=False),
        "stockout_ratio": _share(
            Part(_STOCK, "snapshot_date", (col("on_hand_qty") <= 0).cast(pl.Float64)),
            Part(_STOCK, "snapshot_date", pl.lit(1)),
            "site",
        ),
    }


def _production() -> dict[str, Metric]:
    def order(value: pl.Expr, counted: pl.Expr = _ENDED, on: str = "ended_on") -> Part:
        return Part(_ORDERS, on, value, counted)

    late_days = col("days_late").clip(lower_bound=0)
    made = col("good_qty") + col("scrap_qty")
    in_time = _ENDED & (col("ended_on") <= col("due_on"))
    planned, good = col("planned_qty"), col("good_qty")
    is_timed = _ENDED & col("processing_h").is_not_null()
    return {
        "order_late_ratio": _share(order(col("late_count")), order(pl.lit(1)), "site"),
        "order_lateness_days": _share(order(late_days), order(pl.lit(1)), "site", by=1),
        "schedule_attainment": _share(
            order(pl.when(good > planned).then(planned).otherwise(good), in_time, "due_on"),
            order(planned, col("status") != "cancelled", "due_on"),
            "site",
        ),
        "production_output": _sum(order(good), "site", known=True),
        "throughput_rate": _share(order(made), order(col("elapsed_h")), "site", by=1),
        "order_scrap_ratio": _share(order(col("scrap_qty")), order(made), "site"),
        "order_elapsed_time": _share(order(col("elapsed_h")), order(pl.lit(1)), "site", by=1, known=False),
        "production_process_ratio": _share(
            order(col("processing_h")), order(col("elapsed_h"), is_timed), "site", known=False
        ),
        "cost_per_good_unit": _share(_operation(col("actual_cost_reporting")), order(good), "site", by=1, known=False),
    }


def _operation(value: pl.Expr, counted: pl.Expr | None = None) -> Part:
    return Part(_OPERATIONS, "business_date", value, counted)


def _operations() -> dict[str, Metric]:
    made = _operation(col("good_qty") + col("scrap_qty") + col("rework_qty"))
    setup, run = col("setup_min"), col("run_min")
    is_planned = col("planned_min") > 0
    planned, actual = _operation(col("planned_cost_reporting")), _operation(col("actual_cost_reporting"))
    return {
        "scrap_ratio": _share(_operation(col("scrap_qty")), made, *_PLACE),
        "rework_ratio": _share(_operation(col("rework_qty")), made, *_PLACE),
        "first_pass_yield": _share(_operation(col("good_qty")), made, *_PLACE),
        "cycle_time": _share(_operation(run), made, *_PLACE, by=1, known=False),
        "setup_ratio": _share(_operation(setup), _operation(setup + run), *_PLACE, known=False),
        "run_to_standard_time": _share(
            _operation(col("elapsed_min"), is_planned), _operation(col("planned_min"), is_planned), *_PLACE, known=False
        ),
        "operation_late_ratio": _share(_operation(col("late_count")), _operation(pl.lit(1)), *_PLACE),
        "resource_hours": _sum(_operation((setup + run) / 60), *_PLACE, known=True),
        "labour_hours": _sum(_operation(col("labour_min") / 60), *_PLACE),
        "operation_cost_to_plan": _share(actual, planned, *_PLACE, known=False),
        "operation_cost_variance": _less(planned, actual, "company", *_PLACE),
    }


def _finance() -> dict[str, Metric]:
    grows_by_credit = (col("normal_side") == "credit").fill_null(value=False)

    def debit(amount: str, counted: pl.Expr | None = None) -> Part:
        value = pl.when(grows_by_credit).then(-col(amount)).otherwise(col(amount))
        is_current = col("is_current_budget")
        return Part(_PLAN, "period_start", value, is_current if counted is None else is_current & counted)

    of_cost = col("account_type") == "expense"
    is_actual = ~col("is_closing")
    balance = col("debit_reporting") - col("credit_reporting")
    spent = Part(_JOURNAL, "posted_on", balance, is_actual & of_cost)
    earned = Part(_JOURNAL, "posted_on", -balance, is_actual & (col("account_type") == "revenue"))
    budget, actual = debit("budget_amount", of_cost), debit("actual_amount", of_cost)
    every_budget, every_actual = debit("budget_amount"), debit("actual_amount")
    kind = ("account_type",)
    return {
        "actual_cost": _sum(spent, "site", "cost_center"),
        "budget_cost": _sum(budget, "cost_center"),
        "budget_variance": _less(budget, actual, "company", "cost_center"),
        "budget_burn": _share(actual, budget, "cost_center"),
        "opex_ratio": _share(spent, earned, "site", "cost_center", known=False),
        "account_actual": Metric(
            Part(_JOURNAL, "posted_on", balance, is_actual), scopes=kind, is_zero_without_rows=False
        ),
        "account_budget": Metric(every_budget, scopes=kind, is_zero_without_rows=False),
        "account_variance": _less(every_budget, every_actual, *kind),
        "account_burn": Metric(every_actual, every_budget, lambda u, w, _: 100 * _divided(u, w), kind),
    }


METRICS = _purchasing() | _production() | _operations() | _finance()


def metrics(facts: Rows) -> pl.DataFrame:
    """Every metric of the facts that are there, by scope and period.

    Has metric, scope, scope_id, period, period_start, numerator, denominator, value. The value is NULL where there is
    no denominator, or where it is not known without a numerator.
    """
    placed = {name: _placed(frame) for name, frame in facts.items()}
    frames = [
        _metric(name, metric, scope, period, placed)
        for name, metric in METRICS.items()
        if metric.upper.fact in facts and (metric.lower is None or metric.lower.fact in facts)
        for scope in metric.scopes
        for period in ("day", "month")
    ]
    return pl.concat(frames)


def _placed(frame: pl.DataFrame) -> pl.DataFrame:
    """A fact's rows with the members that each belongs to: a list per scope, of the codes that dimensions give them."""
    code = {
        name: col(f"{name}_id") if f"{name}_id" in frame.columns else pl.lit(None, pl.String)
        for name in ("site", "supplier", "work_center", "cost_center", "account")
    }
    center = pl.when(code["cost_center"] != "").then(code["cost_center"]).fill_null(_UNKNOWN)
    # CC-1000-10 belongs to CC-1000 and to CC
    levels = [center.str.split("-").list.head(depth).list.join("-") for depth in (1, 2, 3)]
    kind = code["account"].replace_strict(_TYPES, default="")
    return frame.cast({pl.Decimal: pl.Float64}).with_columns(
        _company=pl.concat_list(pl.lit("")),
        _site=pl.concat_list(code["site"].replace(_SITE_CODES).fill_null(_UNKNOWN)),
        _supplier=pl.concat_list(code["supplier"].fill_null(_UNKNOWN)),
        _work_center=pl.concat_list(code["work_center"].fill_null(_UNKNOWN)),
        _cost_center=pl.concat_list(levels).list.unique(),
        _account_type=pl.concat_list(kind),
        account_type=kind,
    )


def _metric(name: str, metric: Metric, scope: str, period: str, facts: Rows) -> pl.DataFrame:
    by = ["scope_id", "period_start"]
    rows = _sums(metric.upper, scope, period, facts).rename({"value": "numerator"})
    if metric.lower is None:
        rows = rows.with_columns(denominator=pl.lit(None, pl.Float64))
    else:
        lower = _sums(metric.lower, scope, period, facts).rename({"value": "denominator"})
        rows = rows.join(lower, on=by, how="full", coalesce=True)
    upper = col("numerator")
    if metric.is_zero_without_rows:
        rows = rows.with_columns(upper.fill_null(0))
    parts = [part for part in (metric.upper, metric.lower) if part]
    days = pl.concat([_known_days(facts[part.fact][part.on], period) for part in parts])
    rows = rows.join(days.group_by("period_start").agg(pl.col("days").max()), on="period_start", how="left")
    return rows.select(
        pl.lit(name).alias("metric"),
        pl.lit(scope).alias("scope"),
        "scope_id",
        pl.lit(period).alias("period"),
        "period_start",
        "numerator",
        "denominator",
        metric.made(upper, col("denominator"), col("days")).alias("value"),
    )


def _start(day: str, period: str) -> pl.Expr:
    return col(day).dt.truncate("1d" if period == "day" else "1mo")


def _known_days(dates: pl.Series, period: str) -> pl.DataFrame:
    """Of each period how many days lie between the first and the last of the dates."""
    every = dates.to_frame("day").select(pl.date_range(col("day").min(), col("day").max()))
    return every.group_by(_start("day", period).alias("period_start")).agg(days=pl.len())


def _sums(part: Part, scope: str, period: str, facts: Rows) -> pl.DataFrame:
    """Of each member and period what the part comes to; NULL where no row has a value."""
    rows = facts[part.fact].drop_nulls(part.on)
    if part.counted is not None:
        rows = rows.filter(part.counted)
    rows = rows.select(
        col(f"_{scope}").alias("scope_id"),
        _start(part.on, period).alias("period_start"),
        col(part.on).alias("day"),
        part.value.cast(pl.Float64).alias("value"),
    ).explode("scope_id")
    if part.rule == "last":
        rows = rows.filter(col("day") == col("day").max().over("period_start"))
    days = col("day").n_unique() if part.rule == "average" else 1
    return rows.group_by("scope_id", "period_start").agg(
        value=pl.when(col("value").count() > 0).then(col("value").sum() / days)
    )
