"""Items as they were: see schemas/dimensions/dim_item.py."""

import polars as pl

from schemas.dimensions.dim_item import DimItemHistory
from transforms.common.history import history
from transforms.common.shape import dimension_columns
from transforms.dimensions.dim_item import ATTRIBUTES


def dim_item_history(item: pl.LazyFrame, coverage: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Validity of every state in which master data has described each of the items."""
    rows = history(item, coverage, "item", code_map, ATTRIBUTES)
    return dimension_columns(rows, DimItemHistory)
