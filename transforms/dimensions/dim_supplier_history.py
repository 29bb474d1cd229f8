"""Suppliers as they were: see schemas/dimensions/dim_supplier.py."""

import polars as pl

from schemas.dimensions.dim_supplier import DimSupplierHistory
from transforms.common.history import history
from transforms.common.shape import dimension_columns
from transforms.dimensions.dim_supplier import ATTRIBUTES


def dim_supplier_history(supplier: pl.LazyFrame, coverage: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Validity of every state in which master data has described each of the suppliers."""
    rows = history(supplier, coverage, "supplier", code_map, ATTRIBUTES)
    return dimension_columns(rows, DimSupplierHistory)
