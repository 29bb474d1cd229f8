"""Items: see schemas/dimensions/dim_item.py."""

import polars as pl

from schemas.dimensions.dim_item import DimItem
from transforms.common.dimensions import members
from transforms.common.shape import dimension_columns

ATTRIBUTES = (
    "item_type",
    "category",
    "base_uom",
    "standard_cost",
    "list_price",
    "currency",
    "lead_time_days",
    "safety_stock_qty",
    "reorder_point_qty",
    "is_active",
)


def dim_item(item: pl.LazyFrame, code_map: pl.LazyFrame, code_span: pl.LazyFrame) -> pl.LazyFrame:
    """All items: delivered, inferred from codes, unknown and not applicable."""
    return dimension_columns(members(item, "item", code_map, code_span, ATTRIBUTES), DimItem)
