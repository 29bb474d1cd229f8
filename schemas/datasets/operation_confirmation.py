"""Operation confirmations. Key: confirmation_id. Dated by ended_at."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract
from schemas.units import is_unit


class OperationConfirmation(DatasetContract):
    """What a work centre reports about an operation of a production order, or about a part of it."""

    confirmation_id = c.code("Confirmation", "operation_confirmation", key=True)
    order_id = c.code("Production order", "production_order")
    operation_no = c.text("Operation within the order's routing", min_length=1)
    work_center_id = c.code("Work centre", "work_center")
    shift_id = c.text("Shift as the source names it", null=True)
    started_at = c.instant("When the work started", happened=True)
    ended_at = c.instant("When the work ended; equal to started_at where the source knows days only", happened=True)
    planned_start = c.instant("When the work was planned to start", null=True)
    planned_end = c.instant("When the work was planned to end", null=True)
    setup_min = c.quantity("Setup time, in minutes", null=True)
    run_min = c.quantity("Run time of the work centre, in minutes", null=True)
    labour_min = c.quantity("Labour time, in minutes", null=True)
    good_qty = c.quantity("Good quantity, in uom")
    scrap_qty = c.quantity("Scrapped quantity, in uom")
    rework_qty = c.quantity("Quantity to be reworked, in uom")
    uom = c.text("Unit of measure of the quantities")
    worker_id = c.text("Worker who confirmed", null=True, personal=True)
    reason_code = c.text("Reason of scrap, rework or delay", null=True)
    planned_cost = c.amount("Planned cost of the operation, in currency", null=True)
    actual_cost = c.amount("Actual cost of the operation, in currency", null=True)
    currency = c.currency("Currency of the costs (ISO 4217)", null=True)

    @dy.rule()
    def ended_at_not_before_started_at(cls) -> pl.Expr:
        return pl.col("ended_at") >= pl.col("started_at")

    @dy.rule()
    def planned_end_not_before_planned_start(cls) -> pl.Expr:
        return pl.col("planned_end") >= pl.col("planned_start")

    @dy.rule()
    def quantities_not_negative(cls) -> pl.Expr:
        return pl.all_horizontal(pl.col(part) >= 0 for part in ("good_qty", "scrap_qty", "rework_qty"))

    @dy.rule()
    def minutes_not_negative(cls) -> pl.Expr:
        return pl.all_horizontal(pl.col(part).fill_null(0) >= 0 for part in ("setup_min", "run_min", "labour_min"))

    @dy.rule()
    def costs_have_currency(cls) -> pl.Expr:
        has_cost = pl.col("planned_cost").is_not_null() | pl.col("actual_cost").is_not_null()
        return ~has_cost | pl.col("currency").is_not_null()

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")

    @dy.rule()
    def uom_is_known(cls) -> pl.Expr:
        return is_unit("uom")
