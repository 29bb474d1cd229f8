"""Production orders. Key: order_id. Dated by planned_start."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.contract import DatasetContract
from schemas.units import is_unit


class ProductionOrder(DatasetContract):
    """An order to make a quantity of an item."""

    order_id = c.code("Production order", "production_order", key=True)
    item_id = c.code("Item made", "item")
    site_id = c.code("Site it is made at", "site", null=True)
    planned_qty = c.quantity("Quantity to make, in uom")
    uom = c.text("Unit of measure of the quantities")
    planned_start = c.instant("When production was planned to start")
    due_at = c.instant("When the order is due")
    actual_start = c.instant("When production started", null=True, happened=True)
    actual_end = c.instant("When production ended", null=True, happened=True)
    good_qty = c.quantity("Good quantity made, in uom", null=True)
    scrap_qty = c.quantity("Scrapped quantity, in uom", null=True)
    status = c.choice("State of the order", ("planned", "released", "started", "completed", "closed", "cancelled"))
    scrap_reason = c.text("Reason of the scrap", null=True)

    @dy.rule()
    def quantities_not_negative(cls) -> pl.Expr:
        parts = ("planned_qty", "good_qty", "scrap_qty")
        return pl.all_horizontal(pl.col(part).fill_null(0) >= 0 for part in parts)

    @dy.rule()
    def actual_end_not_before_actual_start(cls) -> pl.Expr:
        return pl.col("actual_end") >= pl.col("actual_start")

    @dy.rule()
    def actual_end_has_actual_start(cls) -> pl.Expr:
        return pl.col("actual_end").is_null() | pl.col("actual_start").is_not_null()

    @dy.rule()
    def uom_is_known(cls) -> pl.Expr:
        return is_unit("uom")
