"""Goods receipts netted: a reversal takes back its receipt on the receipt's own day."""

import polars as pl

from transforms.common.calendar import business_date
from transforms.common.quantity import QUANTITY, with_unit_factor


def with_outcome(goods_receipt: pl.LazyFrame) -> pl.LazyFrame:
    """Fill accepted_qty and rejected_qty: what a receipt does not say counts as accepted."""
    received, accepted, rejected = (pl.col(f"{name}_qty") for name in ("received", "accepted", "rejected"))
    # Where a source gives only the accepted part, the rest was rejected.
    rejected = pl.coalesce(rejected, received - accepted, pl.lit(0)).cast(QUANTITY)
    accepted = pl.coalesce(accepted, received - rejected).cast(QUANTITY)
    return goods_receipt.with_columns(accepted, rejected)


def receipts_per_line(goods_receipt: pl.LazyFrame, lines: pl.LazyFrame, dates: dict[str, str]) -> pl.LazyFrame:
    """What has been received on each purchase order line, per `_link_hash`.

    `lines` has `_link_hash`, `_zone`, `base_uom`, `order_uom` and the date columns that `dates` maps to names of
    measures. Adds per line, in its base unit: received_qty, accepted_qty, rejected_qty, `_received_by_<name>` (up to
    and on the date); in the order's unit `_received_in_order_uom`; the first and the last day of receipts that stand.
    """
    rows = with_outcome(goods_receipt).join(lines, on="_link_hash")
    rows = with_unit_factor(with_unit_factor(rows), factor="_order_factor", base="order_uom")
    is_original = pl.col("reversal_of").is_null()
    # A reversal counts on the day of the receipt that it takes back, as if that had never come.
    receipts = (
        rows.with_columns(business_date("received_at", "_zone").alias("received_on"))
        .group_by("_link_hash", pl.coalesce("reversal_of", "receipt_id").alias("_receipt"), *dates)
        .agg(
            pl.coalesce(pl.col("received_on").filter(is_original).max(), pl.col("received_on").max()),
            *(
                (pl.col(name) * pl.col("uom_factor")).sum().cast(QUANTITY, strict=False)
                for name in ("received_qty", "accepted_qty", "rejected_qty")
            ),
            (pl.col("received_qty") * pl.col("_order_factor")).sum().alias("_received_in_order_uom"),
            pl.col("uom_factor").is_null().any().alias("_unconverted"),
        )
    )
    received, day = pl.col("received_qty"), pl.col("received_on")
    stands = received > 0
    return receipts.group_by("_link_hash").agg(
        *(
            pl.when(~pl.col("_unconverted").any()).then(pl.col(name).sum()).cast(QUANTITY, strict=False).alias(name)
            for name in ("received_qty", "accepted_qty", "rejected_qty")
        ),
        pl.col("_received_in_order_uom").sum().cast(QUANTITY, strict=False),
        *(received.filter(day <= pl.col(date)).sum().alias(f"_received_by_{name}") for date, name in dates.items()),
        day.filter(stands).min().alias("first_received_on"),
        day.filter(stands).max().alias("last_received_on"),
    )
