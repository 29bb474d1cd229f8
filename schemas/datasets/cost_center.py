"""Cost centres. Key: cost_center_id. Master data."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.contract import DatasetContract


class CostCenter(DatasetContract):
    """A place where cost is owned; parents make the hierarchy."""

    cost_center_id = c.code("Cost centre", "cost_center", key=True)
    name = c.text("Name")
    parent_cost_center_id = c.code("Cost centre it rolls up to", "cost_center", null=True)
    site_id = c.code("Site it belongs to", "site", null=True)

    @dy.rule()
    def cost_center_is_not_its_own_parent(cls) -> pl.Expr:
        return pl.col("parent_cost_center_id") != pl.col("cost_center_id")
