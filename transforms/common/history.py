"""Type 2 history: the validity of every state in which master data has described a member."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from transforms.common.dimensions import conformed_codes
from transforms.common.keys import UNKNOWN_KEY

BEGINNING = date(1900, 1, 1)
"""valid_from of a member's first state: nobody knows since when it holds."""
END = date(9999, 12, 31)
"""valid_to of a member's present state."""


def history(
    versions: pl.LazyFrame, coverage: pl.LazyFrame, entity: str, code_map: pl.LazyFrame, columns: Sequence[str]
) -> pl.LazyFrame:
    """States of every member: `<entity>_key`, `<entity>_id`, name, columns, valid_from, valid_to, is_current, ….

    `versions` are all deliveries of the master rows with their `_order_at`, equal ones too; `coverage` (source,
    `_order_at`) the complete deliveries of the dataset. A complete delivery that lacks a member begins a state with
    is_deleted. Validity is half-open, without gaps or overlaps; of several states on a day the last one holds.
    """
    key, id_ = f"{entity}_key", f"{entity}_id"
    said = _said_by_master(versions, id_, entity, code_map).select(
        pl.col("_key").alias(key),
        pl.col("_master_code").alias(id_),
        pl.col("_master_space").alias("code_space"),
        pl.lit(value=False).alias("is_inferred"),
        pl.col("is_deleted").fill_null(value=False),
        "name",
        *columns,
        "source",
        "_order_at",
        "_payload_hash",
    )
    state = ["is_deleted", "name", *columns]
    events = pl.concat([said, _absences(said, coverage, key)]).with_columns(
        pl.col("_order_at").dt.date().alias("valid_from")
    )
    starts = (
        events.sort(key, "_order_at", "_payload_hash")
        .unique([key, "valid_from"], keep="last", maintain_order=True)
        .filter(
            pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift().over(key)) for name in state) | _first(key)
        )
    )
    is_last = pl.col("valid_from").shift(-1).over(key).is_null()
    return starts.with_columns(
        pl.when(_first(key)).then(pl.lit(BEGINNING)).otherwise("valid_from").alias("valid_from"),
        pl.col("valid_from").shift(-1).over(key).fill_null(pl.lit(END)).alias("valid_to"),
        is_last.alias("is_current"),
    )


def _first(key: str) -> pl.Expr:
    return pl.int_range(pl.len()).over(key) == 0


def _said_by_master(versions: pl.LazyFrame, id_: str, entity: str, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Versions of the one source and code that speaks for each member (see dimensions.master_rows)."""
    space = f"_space_{id_}"
    codes = conformed_codes(versions.select(space, id_).unique(), space, id_, entity, code_map)
    rows = versions.join(codes, on=[space, id_], how="left", nulls_equal=True).filter(pl.col("_key") != UNKNOWN_KEY)
    is_foreign = (pl.col(space) != pl.col("_master_space")) | (pl.col(id_) != pl.col("_master_code"))
    speakers = (
        rows.select("_key", is_foreign.alias("_is_foreign"), "source", space, id_)
        .unique()
        .sort("_key", "_is_foreign", "source", space, id_)
        .unique("_key", keep="first", maintain_order=True)
        .drop("_is_foreign")
    )
    return rows.join(speakers, on=["_key", "source", space, id_], how="semi")


def _absences(said: pl.LazyFrame, coverage: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """A deleted copy of each version that the next complete delivery after it lacks, at that delivery's order."""
    complete = coverage.select("source", pl.col("_order_at").alias("_complete_at")).unique().sort("_complete_at")
    following = pl.col("_order_at").shift(-1).over(key, order_by="_order_at")
    return (
        said.with_columns(
            following.alias("_next_at"), (pl.col("_order_at") + pl.duration(microseconds=1)).alias("_after")
        )
        .sort("_after")
        .join_asof(
            complete, left_on="_after", right_on="_complete_at", by="source", strategy="forward", check_sortedness=False
        )
        .filter(pl.col("_complete_at").is_not_null())
        .filter((pl.col("_complete_at") < pl.col("_next_at")) | pl.col("_next_at").is_null())
        .with_columns(pl.col("_complete_at").alias("_order_at"), pl.lit(value=True).alias("is_deleted"))
        .drop("_complete_at", "_next_at", "_after")
    )
