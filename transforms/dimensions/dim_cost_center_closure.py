"""The hierarchy of cost centres: see schemas/dimensions/dim_cost_center.py."""

import polars as pl

from schemas.dimensions.dim_cost_center import DimCostCenterClosure
from transforms.common.dimensions import closure
from transforms.common.shape import dimension_columns
from transforms.dimensions.dim_cost_center import dim_cost_center


def dim_cost_center_closure(cost_center: pl.LazyFrame, code_map: pl.LazyFrame, code_span: pl.LazyFrame) -> pl.LazyFrame:
    """Every member of dim_cost_center with each member it rolls up to, itself included."""
    return dimension_columns(
        closure(dim_cost_center(cost_center, code_map, code_span), "cost_center"), DimCostCenterClosure
    )
