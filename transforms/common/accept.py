"""Accepting a delivery as a join of maxima: what it changes in the newest versions and sightings of keys.

Pure: the ledger's rows come in, the ledger's changes go out. Orders are compared as (`at`, `rank`, payload hash), where
`rank` numbers the stream's deliveries by (as_of, revision, landing, content hash) and `at` is a delta row's updated_at,
else the delivery's as_of.

A key's version and sighting refer to a *sighting group*, a row that names a delivery. When a delivery repeats most of a
group, the group is moved to the new delivery and the few keys that it lacks leave the group: cost follows what changed.
"""

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

EXISTING: dict[str, pl.DataType] = {
    "key_hash": pl.Int64(),
    "payload_hash": pl.Int64(),
    "row_date": pl.Date(),
    "link_hash": pl.Int64(),
    "version_sighting": pl.Int32(),
    "version_at": pl.Datetime("us", "UTC"),
    "seen_sighting": pl.Int32(),
    "seen_at": pl.Datetime("us", "UTC"),
    "is_deleted": pl.Boolean(),
}
"""Columns of ops.current_key beside its stream."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A claim of completeness: from day to day (None: unbounded), with its order."""

    at: datetime
    rank: int
    first: date | None = None
    last: date | None = None


def newest_versions(incoming: pl.LazyFrame) -> pl.LazyFrame:
    """The newest of several versions of a key in one delivery.

    Takes and returns key_hash, payload_hash, at, row_date, link_hash, is_deleted.
    """
    return incoming.sort("at", "payload_hash").unique("key_hash", keep="last")


def with_orders(existing: pl.LazyFrame, groups: pl.LazyFrame) -> pl.LazyFrame:
    """Spell out the orders of the ledger's rows: version (`v_at`, `v_rank`), sighting (`s_at`, `s_rank`).

    `groups` has sighting_id, at (its delivery's as_of) and rank. A key that was only ever seen in quarantine has no
    version: v_at and v_rank are NULL.
    """
    version = groups.select(version_sighting="sighting_id", _v_at="at", v_rank="rank")
    seen = groups.select(seen_sighting="sighting_id", _s_at="at", _s_rank="rank")
    return (
        existing.join(version, on="version_sighting", how="left")
        .join(seen, on="seen_sighting", how="left")
        .with_columns(v_at=pl.coalesce("version_at", "_v_at"))
        .with_columns(
            s_at=pl.when(pl.col("seen_sighting").is_null()).then("v_at").otherwise(pl.coalesce("seen_at", "_s_at")),
            s_rank=pl.coalesce("_s_rank", "v_rank"),
        )
        .drop("_v_at", "_s_at", "_s_rank")
    )


def is_present(scopes: list[Scope], prefix: str = "") -> pl.Expr:
    """Whether a row counts: it has a version, not a deleted one, and no newer claim of completeness lacks its key.

    `prefix` is '' for the columns of `with_orders` and `new_` for those of `settle`.
    """
    order = (pl.col(f"{prefix}s_at"), pl.col(f"{prefix}s_rank"))
    row_date = pl.col(f"{prefix}row_date")
    gone = [pl.col(f"{prefix}is_deleted")]
    for scope in scopes:
        is_later = _is_newer((pl.lit(scope.at), pl.lit(scope.rank, dtype=pl.Int64)), order)
        if scope.first is not None:
            is_later &= row_date >= scope.first
        if scope.last is not None:
            is_later &= row_date <= scope.last
        gone.append(is_later)
    return pl.col(f"{prefix}payload_hash").is_not_null() & ~pl.any_horizontal(gone).fill_null(value=False)


def join_maxima(existing: pl.LazyFrame, incoming: pl.LazyFrame, sightings: pl.LazyFrame, rank: int) -> pl.LazyFrame:
    """Compare a delivery with the newest version and sighting of every key.

    Args:
        existing: Rows of `with_orders`.
        incoming: One row a key: key_hash, payload_hash, at, row_date, link_hash, is_deleted.
        sightings: key_hash and at of keys that were quarantined; they count as seen.
        rank: The delivery's rank among the stream's deliveries.

    Returns:
        One row for a key of any of the three: the ledger's columns (NULL for a new key), the delivery's as `n_…`, and
        the marks `is_new_version` (the delivery's version is the newest), `takes_order` (equal payload, newer order)
        and `is_seen` (the newest sighting is the delivery's, at `seen_now`).
    """
    renamed = {"payload_hash": "n_payload", "at": "n_at", "row_date": "n_date", "link_hash": "n_link"}
    new = incoming.rename(renamed | {"is_deleted": "n_deleted"})
    seen = sightings.group_by("key_hash").agg(q_at=pl.col("at").max())
    joined = existing.join(new, on="key_hash", how="full", coalesce=True).join(
        seen, on="key_hash", how="full", coalesce=True
    )
    n_rank = pl.lit(rank, dtype=pl.Int64)
    has_version, is_in = pl.col("v_rank").is_not_null(), pl.col("n_payload").is_not_null()
    is_same = pl.col("payload_hash") == pl.col("n_payload")
    is_newer = _is_newer((pl.col("n_at"), n_rank), (pl.col("v_at"), pl.col("v_rank"))) | (
        (pl.col("n_at") == pl.col("v_at"))
        & (n_rank == pl.col("v_rank"))
        & (pl.col("n_payload") > pl.col("payload_hash"))
    )
    seen_now = pl.max_horizontal("n_at", "q_at")
    was_seen = (pl.col("s_at"), pl.col("s_rank"))
    return joined.with_columns(
        is_new_version=is_in & (~has_version | (is_newer & ~is_same)).fill_null(value=False),
        takes_order=(is_in & has_version & is_same & is_newer).fill_null(value=False),
        is_seen=seen_now.is_not_null()
        & (pl.col("s_rank").is_null() | _is_newer((seen_now, n_rank), was_seen)).fill_null(value=False),
        seen_now=seen_now,
    )


def settle(joined: pl.LazyFrame, group: int, as_of: datetime, rank: int) -> pl.LazyFrame:
    """The ledger's columns after the delivery, as `new_…` beside the old ones, and the mark `is_moved_with_group`.

    `group` is the delivery's own sighting group. A row that is_moved_with_group needs no change of its own if the
    group it belongs to is moved to the delivery.
    """
    takes = pl.col("is_new_version") | pl.col("takes_order")
    is_new, is_seen = pl.col("is_new_version"), pl.col("is_seen")
    own_group = pl.lit(group, dtype=pl.Int32)
    return (
        joined.with_columns(
            new_payload_hash=pl.when(is_new).then("n_payload").otherwise("payload_hash"),
            new_row_date=pl.when(is_new).then("n_date").otherwise("row_date"),
            new_link_hash=pl.when(is_new).then("n_link").otherwise("link_hash"),
            new_is_deleted=pl.when(is_new).then("n_deleted").otherwise("is_deleted").fill_null(value=False),
            new_version_sighting=pl.when(takes).then(own_group).otherwise("version_sighting"),
            new_version_at=pl.when(takes).then(_null_if("n_at", as_of)).otherwise("version_at"),
            _seen_group=pl.when(is_seen).then(own_group).otherwise(pl.coalesce("seen_sighting", "version_sighting")),
            _seen_at=pl.when(is_seen)
            .then(_null_if("seen_now", as_of))
            .when(pl.col("seen_sighting").is_null())
            .then("version_at")
            .otherwise("seen_at"),
        )
        .with_columns(
            _is_one=pl.col("_seen_group").eq_missing(pl.col("new_version_sighting"))
            & pl.col("_seen_at").eq_missing(pl.col("new_version_at"))
        )
        .with_columns(
            new_seen_sighting=pl.when(~pl.col("_is_one")).then("_seen_group"),
            new_seen_at=pl.when(~pl.col("_is_one")).then("_seen_at"),
            is_moved_with_group=pl.col("takes_order")
            & is_seen
            & pl.col("_is_one")
            & pl.col("seen_sighting").is_null()
            & pl.col("version_at").eq_missing(pl.col("new_version_at")),
            new_s_at=pl.when(is_seen).then("seen_now").otherwise("s_at"),
            new_s_rank=pl.when(is_seen).then(pl.lit(rank, dtype=pl.Int64)).otherwise("s_rank"),
        )
        .drop("_seen_group", "_seen_at", "_is_one")
    )


Order = tuple[pl.Expr, pl.Expr]


def _is_newer(one: Order, other: Order) -> pl.Expr:
    return (one[0] > other[0]) | ((one[0] == other[0]) & (one[1] > other[1]))


def _null_if(column: str, value: datetime) -> pl.Expr:
    # NULL stands for the delivery's as_of, so that a group's rows follow when the group moves to a later delivery.
    return pl.when(pl.col(column) != pl.lit(value)).then(column)
