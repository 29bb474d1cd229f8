"""Work centres as they were: see schemas/dimensions/dim_work_center.py."""

import polars as pl

from schemas.dimensions.dim_work_center import DimWorkCenterHistory
from transforms.common.history import history
from transforms.common.shape import dimension_columns
from transforms.dimensions.dim_work_center import ATTRIBUTES, with_references


def dim_work_center_history(work_center: pl.LazyFrame, coverage: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Validity of every state in which master data has described each of the work centres."""
    rows = history(with_references(work_center, code_map), coverage, "work_center", code_map, ATTRIBUTES)
    return dimension_columns(rows, DimWorkCenterHistory)
