"""Quantities in the item's base unit, with the factor used."""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from schemas.units import UNITS
from transforms.common.currency import RATE

QUANTITY = pl.Decimal(18, 4)

_PLACES = Decimal("0.0000000001")


def unit_pairs() -> pl.LazyFrame:
    """Units of the same kind: `uom`, `base_uom`, `uom_factor` (base units in one uom)."""
    pairs = [
        (uom, base, (unit.factor / base_unit.factor).quantize(_PLACES))
        for uom, unit in UNITS.items()
        for base, base_unit in UNITS.items()
        if unit.kind == base_unit.kind
    ]
    return pl.LazyFrame(pairs, schema={"uom": pl.String, "base_uom": pl.String, "uom_factor": RATE}, orient="row")


def with_unit_factor(frame: pl.LazyFrame, *, factor: str = "uom_factor", base: str = "base_uom") -> pl.LazyFrame:
    """Add the factor from `uom` to the unit in column `base`; NULL where they do not convert.

    A row without a base unit keeps its own (factor 1): nothing better is known about its item.
    """
    pairs = unit_pairs().rename({"base_uom": "_base", "uom_factor": factor})
    return (
        frame.with_columns(pl.coalesce(base, "uom").alias("_base"))
        .join(pairs, on=["uom", "_base"], how="left")
        .with_columns(
            pl.when(pl.col("uom") == pl.col("_base")).then(pl.lit(1, RATE)).otherwise(factor).alias(factor),
            pl.col("_base").alias(base),
        )
        .drop("_base")
    )


def in_base_unit(columns: Sequence[str], factor: str = "uom_factor") -> list[pl.Expr]:
    """The quantity columns times the factor, under their own names; NULL where the factor is."""
    return [(pl.col(name) * pl.col(factor)).cast(QUANTITY, strict=False).alias(name) for name in columns]
