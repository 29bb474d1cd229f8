"""Work centres. Key: work_center_id. Master data."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract


class WorkCenter(DatasetContract):
    """A machine, line or group of places at which operations are done."""

    work_center_id = c.code("Work centre", "work_center", key=True)
    site_id = c.code("Site it stands at", "site")
    name = c.text("Name")
    area = c.text("Area or department within the site", null=True)
    capacity_h_per_day = c.quantity("Hours of capacity per day, all parallel units together", null=True, additive="no")
    cost_rate_per_h = c.price("Cost per hour, in currency", null=True)
    currency = c.currency("Currency of cost_rate_per_h (ISO 4217)", null=True)

    @dy.rule()
    def capacity_not_negative(cls) -> pl.Expr:
        return pl.col("capacity_h_per_day") >= 0

    @dy.rule()
    def cost_rate_not_negative(cls) -> pl.Expr:
        return pl.col("cost_rate_per_h") >= 0

    @dy.rule()
    def cost_rate_has_currency(cls) -> pl.Expr:
        return pl.col("cost_rate_per_h").is_null() | pl.col("currency").is_not_null()

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")
