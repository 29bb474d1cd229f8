"""Cost centres: see schemas/dimensions/dim_cost_center.py."""

import polars as pl

from schemas.dimensions.dim_cost_center import DimCostCenter
from transforms.common.dimensions import members, with_key
from transforms.common.keys import NOT_APPLICABLE_KEY, UNKNOWN_KEY
from transforms.common.shape import dimension_columns

ATTRIBUTES = (
    "site_id",
    "site_key",
    "parent_cost_center_id",
    "parent_cost_center_key",
)


def dim_cost_center(cost_center: pl.LazyFrame, code_map: pl.LazyFrame, code_span: pl.LazyFrame) -> pl.LazyFrame:
    """All cost centres: delivered, inferred from codes, unknown and not applicable."""
    rows = members(with_references(cost_center, code_map), "cost_center", code_map, code_span, ATTRIBUTES)
    return dimension_columns(
        rows.with_columns(
            pl.col("site_key").fill_null(UNKNOWN_KEY),
            pl.col("parent_cost_center_key").fill_null(NOT_APPLICABLE_KEY),
        ),
        DimCostCenter,
    )


def with_references(cost_center: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Add the durable keys of what a row refers to."""
    rows = with_key(cost_center, cost_center, "site_id", "site", code_map, key="site_key")
    return with_key(
        rows,
        cost_center,
        "parent_cost_center_id",
        "cost_center",
        code_map,
        key="parent_cost_center_key",
        absent=NOT_APPLICABLE_KEY,
    )
