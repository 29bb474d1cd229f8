"""Item costs. Key: (item_id, site_id, valid_from). Master data with its own validity."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract


class ItemCost(DatasetContract):
    """Standard cost of one base unit from a day on, until the next row of the item and site. site_id '': any site."""

    item_id = c.code("Item", "item", key=True)
    site_id = c.code("Site; '' for any", "site", key=True, any_=True)
    valid_from = c.date("First day the cost holds", key=True)
    material_cost = c.price("Material cost per base unit, in currency")
    labour_cost = c.price("Labour cost per base unit, in currency", null=True)
    overhead_cost = c.price("Overhead cost per base unit, in currency", null=True)
    currency = c.currency()

    @dy.rule()
    def costs_not_negative(cls) -> pl.Expr:
        parts = ("material_cost", "labour_cost", "overhead_cost")
        return pl.all_horizontal(pl.col(part).fill_null(0) >= 0 for part in parts)

    @dy.rule()
    def costs_fit(cls) -> pl.Expr:
        # Larger ones would leave the widest decimal there is where units and rates multiply them.
        parts = ("material_cost", "labour_cost", "overhead_cost")
        return pl.all_horizontal(pl.col(part).fill_null(0) < 10**12 for part in parts)

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")
