"""Closed books: on which day a row is booked if it was delivered after the period of its own day had been closed.

What a period holds when it is closed stays in it. What changes later is booked on the first open day after it: the row
as the period holds it once more with the other sign, and the row as it is now. So the sum over all days is the sum of
the rows as they are now, whatever is closed. Everything follows from what was delivered and when it was of, never from
when it came: the same deliveries and closings give the same bookings.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from transforms.common.accept import Scope, is_present

ORIGINAL_DATE = "_original_date"
"""The row's own day; `_date` is the day on which it is booked."""
IS_REVERSAL = "_is_reversal"
"""Whether the row takes back what a closed period holds."""

_ROW = ("_key_hash", "_payload_hash", ORIGINAL_DATE)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed period: its days, both included, and the day after which deliveries are too late for it."""

    first: date
    last: date
    closed_on: date


def closings(periods: Iterable[Closed]) -> list[date]:
    """Days on which periods were closed, in order: between two of them the same days are closed."""
    return sorted({period.closed_on for period in periods})


def closed_runs(periods: Iterable[Closed], until: date = date.max) -> list[tuple[date, date]]:
    """First and last of the runs of days that periods hold which were closed by a day; in order, with gaps between."""
    runs: list[tuple[date, date]] = []
    for period in sorted(periods, key=lambda one: one.first):
        if period.closed_on > until:
            continue
        if runs and period.first <= runs[-1][1] + _DAY:
            runs[-1] = runs[-1][0], max(runs[-1][1], period.last)
        else:
            runs.append((period.first, period.last))
    return runs


def days_concerned(periods: Sequence[Closed], days: Iterable[date]) -> list[date]:
    """Those of some days that hold something else than their own current rows: closed ones, and the ones after."""
    runs, after = closed_runs(periods), {period.last + _DAY for period in periods}
    return [day for day in days if day in after or any(first <= day <= last for first, last in runs)]


def histories(versions: pl.LazyFrame, identity: Sequence[str], periods: Sequence[Closed]) -> pl.LazyFrame:
    """What has been said of each row, in short.

    Args:
        versions: Every version delivered: identity, _payload_hash, _date, as_of, rank, and whether its delivery claimed
            to be complete (`gives_coverage`) and still counts (`is_standing`).
        identity: Columns that tell rows apart.
        periods: The closed periods.

    Returns:
        identity, `day`, `first_rank`, in how many complete deliveries it was (`claims_seen`), and `is_plain`: one
        version only, delivered in time and never replaced.
    """
    days = [
        pl.LazyFrame().select(_date=pl.date_range(one.first, one.last), closed_on=pl.lit(one.closed_on))
        for one in periods
    ]
    closed_on = pl.concat(days).group_by("_date").agg(pl.col("closed_on").min())
    in_time = (pl.col("as_of").min() <= pl.col("closed_on").min()).fill_null(value=True)
    return (
        versions.join(closed_on, on="_date", how="left")
        .group_by(identity)
        .agg(
            day=pl.col("_date").min(),
            first_rank=pl.col("rank").min(),
            claims_seen=pl.col("rank").filter("gives_coverage").n_unique(),
            is_plain=(pl.col("_payload_hash").n_unique() == 1) & in_time & pl.col("is_standing").all(),
        )
        .select(*identity, "day" if "_date" not in identity else pl.col("_date").alias("day"), "first_rank",
                "claims_seen", "is_plain")
    )  # fmt: skip


def unsettled(rows: pl.LazyFrame, identity: Sequence[str], claims: pl.LazyFrame) -> pl.LazyFrame:
    """Identity of the rows that are not plain, or that some complete delivery lacked; a few too many do no harm.

    `rows` are `histories`; `claims` has rank, period_start and period_end (NULL: all days) of complete deliveries.
    """
    kinds = rows.select("day", "first_rank").unique()
    is_claimed = (
        pl.col("period_start").is_null() | pl.col("day").is_between("period_start", "period_end")
    ) & (pl.col("rank") >= pl.col("first_rank"))  # fmt: skip
    claimed = kinds.join(claims, how="cross").filter(is_claimed).group_by("day", "first_rank").len("claims")
    return (
        rows.join(claimed, on=["day", "first_rank"], how="left")
        .filter(~pl.col("is_plain") | (pl.col("claims_seen") < pl.col("claims").fill_null(0)))
        .select(identity)
    )


def keyed_state(seen: pl.LazyFrame, held: pl.LazyFrame, scopes: list[Scope]) -> pl.LazyFrame:
    """Current rows by the rules of accepting, from every sighting so far of rows (`seen`) and of keys (`held`).

    Args:
        seen: _key_hash, _payload_hash, _date, _order_at, rank, is_deleted.
        held: _key_hash, _order_at, rank of keys that were quarantined.
        scopes: Claims of completeness so far.

    Returns:
        _key_hash, _payload_hash, _original_date.
    """
    newest = seen.sort("_order_at", "rank", "_payload_hash").unique("_key_hash", keep="last")
    sighting = ["_key_hash", "_order_at", "rank"]
    last = pl.concat([seen.select(sighting), held.select(sighting)]).sort("_order_at", "rank")
    last = last.unique("_key_hash", keep="last").select("_key_hash", s_at="_order_at", s_rank="rank")
    return (
        newest.join(last, on="_key_hash")
        .with_columns(payload_hash="_payload_hash", row_date="_date")
        .filter(is_present(scopes))
        .select("_key_hash", "_payload_hash", pl.col("_date").alias(ORIGINAL_DATE))
    )


def append_state(seen: pl.LazyFrame) -> pl.LazyFrame:
    """Current rows of an append dataset, from the rows of the deliveries that counted; columns as in `keyed_state`."""
    return (
        seen.filter(~pl.col("is_deleted"))
        .sort("rank", "_order_at", "_payload_hash")
        .unique(["_date", "_key_hash"], keep="last")
        .select("_key_hash", "_payload_hash", pl.col("_date").alias(ORIGINAL_DATE))
    )


def bookings(states: Sequence[pl.LazyFrame], periods: Sequence[Closed]) -> pl.LazyFrame:
    """On which days rows are booked, and how: _key_hash, _payload_hash, _original_date, _date, _is_reversal.

    `states` are the current rows as of each of the `closings`, and as of now.
    """
    parts = []
    for number, state in enumerate(states):
        closed = closed_runs(periods, closings(periods)[number - 1]) if number else []
        parts.append(_on_open_days(state, closed).with_columns(sign=pl.lit(1)))
        if number:
            parts.append(_on_open_days(states[number - 1], closed).with_columns(sign=pl.lit(-1)))
    return (
        pl.concat(parts)
        .group_by(*_ROW, "_date")
        .agg(pl.col("sign").sum())
        .filter(pl.col("sign") != 0)
        .with_columns((pl.col("sign") < 0).alias(IS_REVERSAL))
        .drop("sign")
    )


def _on_open_days(rows: pl.LazyFrame, closed: Sequence[tuple[date, date]]) -> pl.LazyFrame:
    """Add `_date`: the row's own day, or the first after it that is not closed."""
    runs = pl.LazyFrame(closed, schema={"first": pl.Date, "last": pl.Date}, orient="row")
    is_closed = pl.col(ORIGINAL_DATE) <= pl.col("last")
    return (
        rows.sort(ORIGINAL_DATE)
        .join_asof(runs, left_on=ORIGINAL_DATE, right_on="first")
        .select(
            *_ROW,
            pl.when(is_closed).then(pl.col("last").dt.offset_by("1d")).otherwise(pl.col(ORIGINAL_DATE)).alias("_date"),
        )
    )


def as_booked(rows: pl.LazyFrame, dated_by: str, reverses: Sequence[str]) -> pl.LazyFrame:
    """Rows with `_date`, `_original_date` and `_is_reversal` as they stand in the books: day and signs."""
    return rows.with_columns(
        pl.col("_date").alias(dated_by),
        *(pl.when(IS_REVERSAL).then(-pl.col(name)).otherwise(pl.col(name)).alias(name) for name in reverses),
    )
