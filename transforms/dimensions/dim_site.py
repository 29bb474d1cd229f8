"""Sites: see schemas/dimensions/dim_site.py."""

import polars as pl

from schemas.dimensions.dim_site import DimSite
from transforms.common.dimensions import members
from transforms.common.shape import dimension_columns

ATTRIBUTES = (
    "country",
    "time_zone",
    "currency",
)


def dim_site(site: pl.LazyFrame, code_map: pl.LazyFrame, code_span: pl.LazyFrame) -> pl.LazyFrame:
    """All sites: delivered, inferred from codes, unknown and not applicable."""
    return dimension_columns(members(site, "site", code_map, code_span, ATTRIBUTES), DimSite)
