"""Suppliers: see schemas/dimensions/dim_supplier.py."""

import polars as pl

from schemas.dimensions.dim_supplier import DimSupplier
from transforms.common.dimensions import members
from transforms.common.shape import dimension_columns

ATTRIBUTES = (
    "country",
    "currency",
    "payment_terms_days",
    "risk_tier",
    "status",
)


def dim_supplier(supplier: pl.LazyFrame, code_map: pl.LazyFrame, code_span: pl.LazyFrame) -> pl.LazyFrame:
    """All suppliers: delivered, inferred from codes, unknown and not applicable."""
    return dimension_columns(members(supplier, "supplier", code_map, code_span, ATTRIBUTES), DimSupplier)
