"""Cost centres as they were: see schemas/dimensions/dim_cost_center.py."""

import polars as pl

from schemas.dimensions.dim_cost_center import DimCostCenterHistory
from transforms.common.history import history
from transforms.common.shape import dimension_columns
from transforms.dimensions.dim_cost_center import ATTRIBUTES, with_references


def dim_cost_center_history(cost_center: pl.LazyFrame, coverage: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Validity of every state in which master data has described each of the cost centres."""
    rows = history(with_references(cost_center, code_map), coverage, "cost_center", code_map, ATTRIBUTES)
    return dimension_columns(rows, DimCostCenterHistory)
