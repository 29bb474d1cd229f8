"""Items. Key: item_id. Master data."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract
from schemas.units import is_unit


class Item(DatasetContract):
    """A material, product or service."""

    item_id = c.code("Item", "item", key=True)
    name = c.text("Name")
    item_type = c.choice("Kind of item", ("raw", "semi", "finished", "service"))
    category = c.text("Category or item group", null=True)
    base_uom = c.text("Base unit of measure")
    standard_cost = c.price("Standard cost per base unit, in currency", null=True)
    list_price = c.price("List price per base unit, in currency", null=True)
    currency = c.currency("Currency of standard_cost and list_price (ISO 4217)", null=True)
    lead_time_days = c.whole("Planned lead time in days", null=True)
    safety_stock_qty = c.quantity("Safety stock, in base units", null=True, additive="no")
    reorder_point_qty = c.quantity("Reorder point, in base units", null=True, additive="no")
    is_active = c.flag("In use")

    @dy.rule()
    def cost_and_price_not_negative(cls) -> pl.Expr:
        return (pl.col("standard_cost").fill_null(0) >= 0) & (pl.col("list_price").fill_null(0) >= 0)

    @dy.rule()
    def cost_and_price_have_currency(cls) -> pl.Expr:
        has_money = pl.col("standard_cost").is_not_null() | pl.col("list_price").is_not_null()
        return ~has_money | pl.col("currency").is_not_null()

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")

    @dy.rule()
    def lead_time_not_negative(cls) -> pl.Expr:
        return pl.col("lead_time_days") >= 0

    @dy.rule()
    def planning_quantities_not_negative(cls) -> pl.Expr:
        return (pl.col("safety_stock_qty").fill_null(0) >= 0) & (pl.col("reorder_point_qty").fill_null(0) >= 0)

    @dy.rule()
    def base_uom_is_known(cls) -> pl.Expr:
        return is_unit("base_uom")
