"""Sites as they were: see schemas/dimensions/dim_site.py."""

import polars as pl

from schemas.dimensions.dim_site import DimSiteHistory
from transforms.common.history import history
from transforms.common.shape import dimension_columns
from transforms.dimensions.dim_site import ATTRIBUTES


def dim_site_history(site: pl.LazyFrame, coverage: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Validity of every state in which master data has described each of the sites."""
    rows = history(site, coverage, "site", code_map, ATTRIBUTES)
    return dimension_columns(rows, DimSiteHistory)
