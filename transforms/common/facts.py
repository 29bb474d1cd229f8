"""What every fact does alike: look up the item's unit and the site's clock, and take one row per linked document.

`given` is the input that codes come from; see dimensions.with_key.
"""

import polars as pl

from transforms.common.currency import multiply
from transforms.common.dimensions import attributes, with_key
from transforms.common.quantity import with_unit_factor


def with_item(frame: pl.LazyFrame, given: pl.LazyFrame, item: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Add `item_key` and `base_uom` (the item's; NULL where no master data has come)."""
    codes = given.select("_space_item_id", "item_id").unique()
    known = with_key(codes, given, "item_id", "item", code_map).join(
        attributes(item, "item", code_map, ["base_uom"]), on="item_key", how="left"
    )
    return frame.join(known, on=["_space_item_id", "item_id"], how="left", nulls_equal=True)


def with_site(frame: pl.LazyFrame, given: pl.LazyFrame, site: pl.LazyFrame, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Add `site_key`, `functional_currency` and `_zone` (the site's; NULL where no master data has come)."""
    codes = given.select("_space_site_id", "site_id").unique()
    known = with_key(codes, given, "site_id", "site", code_map).join(
        attributes(site, "site", code_map, {"currency": "functional_currency", "time_zone": "_zone"}),
        on="site_key",
        how="left",
    )
    return frame.join(known, on=["_space_site_id", "site_id"], how="left", nulls_equal=True)


def with_item_unit(
    frame: pl.LazyFrame, given: pl.LazyFrame, item: pl.LazyFrame, code_map: pl.LazyFrame
) -> pl.LazyFrame:
    """Add `item_key`, `base_uom` (uom where the item is not known) and `uom_factor`: once per item and unit."""
    codes = given.select("_space_item_id", "item_id", "uom").unique()
    known = with_unit_factor(with_item(codes, given, item, code_map))
    return frame.join(known, on=["_space_item_id", "item_id", "uom"], how="left", nulls_equal=True)


def first_per_link(frame: pl.LazyFrame, *columns: str) -> pl.LazyFrame:
    """One row per linked document, of the source that sorts first, with the columns named."""
    return (
        frame.filter(pl.col("_link_hash").is_not_null())
        .sort("_link_hash", "source")
        .unique("_link_hash", keep="first", maintain_order=True)
        .select("_link_hash", *columns)
    )


def in_other_currencies(amount: str) -> list[pl.Expr]:
    """`<amount>_functional` and `<amount>_reporting` at the row's rates."""
    return [
        multiply(pl.col(amount), pl.col(f"fx_rate_{kind}")).alias(f"{amount}_{kind}")
        for kind in ("functional", "reporting")
    ]


def one(column: str, condition: pl.Expr | None = None) -> pl.Expr:
    """A count: 1 for every row, or for rows of which the condition is true, else 0."""
    if condition is None:
        return pl.lit(1, pl.Int32).alias(column)
    return condition.fill_null(value=False).cast(pl.Int32).alias(column)
