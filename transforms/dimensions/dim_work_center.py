"""Work centres: see schemas/dimensions/dim_work_center.py."""

import polars as pl

from schemas.dimensions.dim_work_center import DimWorkCenter
from transforms.common.dimensions import members, with_key
from transforms.common.keys import UNKNOWN_KEY
from transforms.common.shape import dimension_columns

ATTRIBUTES = (
    "area",
    "capacity_h_per_day",
    "cost_rate_per_h",
    "currency",
    "site_id",
    "site_key",
)


def dim_work_center(work_center: pl.LazyFrame, code_map: pl.LazyFrame, code_span: pl.LazyFrame) -> pl.LazyFrame:
    """All work centres: delivered, inferred from codes, unknown and not applicable."""
    rows = members(with_references(work_center, code_map), "work_center", code_map, code_span, ATTRIBUTES)
    return dimension_columns(
        rows.with_columns(
            pl.col("site_key").fill_null(UNKNOWN_KEY),
        ),
        DimWorkCenter,
    )


def with_references(work_center: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Add the durable keys of what a row refers to."""
    return with_key(work_center, work_center, "site_id", "site", code_map, key="site_key")
