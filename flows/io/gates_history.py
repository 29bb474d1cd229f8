"""What earlier deliveries measured, and how a delivery compares with it. Only earlier as_of count, never its own.

A delivery is compared once, when it is judged; what it measured is kept unless a gate fails it.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property

import polars as pl

from schemas.gate import Days, Parts
from schemas.source import WEEKDAYS

ENOUGH = 4
"""Earlier deliveries below which there is no history to compare with."""

LAST = 8
"""Newest earlier deliveries that say what is usual on a day of their kind, and which parts are always there."""

NAMED = 5
"""Parts that a text names."""

_SATURDAY = 5

MEASURED: dict[str, pl.DataType] = {"measure": pl.String(), "part": pl.String(), "value": pl.Float64()}
"""Columns of what a delivery measured; `part` is '' for what is measured of the whole."""


@dataclass(frozen=True)
class History:
    """What earlier deliveries of a dataset measured.

    `rows` has measure, part, value, `place` (1 is the newest of them) and `is_like` (the day it speaks for is of the
    same kind); `deliveries` is how many there are.
    """

    rows: pl.DataFrame
    deliveries: int

    @classmethod
    def none(cls) -> "History":
        """Of a dataset's first delivery."""
        return cls(pl.DataFrame(schema=MEASURED | {"place": pl.Int64(), "is_like": pl.Boolean()}), 0)

    def usual(self, measure: str, days: Days) -> dict[str, float | None]:
        """`<measure>_usual`, `_spread`, `_least`, `_most` and `_days`; None with too few deliveries."""
        rows = self.rows.filter(pl.col("measure") == measure, pl.col("part") == "")
        if days == "like_days":
            rows = rows.filter("is_like").sort("place").head(LAST)
        values = rows["value"]
        said: dict[str, float | None] = dict.fromkeys(("usual", "spread", "least", "most"))
        if values.len() >= ENOUGH:
            middle = values.median()
            said = {"usual": middle, "spread": (values - middle).abs().median()}  # type: ignore[dict-item]
            said |= {"least": values.min(), "most": values.max()}  # type: ignore[dict-item]
        return {f"{measure}_{name}": value for name, value in (said | {"days": float(values.len())}).items()}

    @cached_property
    def _parts(self) -> pl.DataFrame:
        return (
            self.rows.sort("place")
            .group_by("measure", "part")
            .agg(most=pl.col("value").max(), before=pl.col("value").first(), times=(pl.col("place") <= LAST).sum())
        )

    def of_parts(self, measure: str) -> pl.DataFrame:
        """part, most, before (its newest value) and times (how many of the last deliveries had it), per part known."""
        return self._parts.filter(pl.col("measure") == measure).drop("measure")

    def columns(self) -> set[str]:
        """Columns of the newest earlier delivery, as `table.column`."""
        rows = self.rows.filter(pl.col("measure") == "columns")
        return set(rows.filter(pl.col("place") == pl.col("place").min())["part"])


def kinds_of_days(days: Iterable[date], calendar: str | None) -> list[str]:
    """What tells each day from others as to how much happens there.

    A holiday of the calendar (a country, and perhaps a part of it, as in DE-HB), a month's end (its last day, or its
    last working day), else its weekday.
    """
    free: Container[date] = () if calendar is None else _holidays(calendar)
    return [_kind(day, free) for day in days]


@cache
def _holidays(calendar: str) -> Container[date]:
    import holidays

    country, _, subdivision = calendar.partition("-")
    return holidays.country_holidays(country, subdiv=subdivision or None)


def _kind(day: date, free: Container[date]) -> str:
    if day in free:
        return "holiday"
    rest = [day + timedelta(days=number) for number in range(1, 32)]
    rest = [other for other in rest if (other.year, other.month) == (day.year, day.month)]
    is_last = all(other.weekday() >= _SATURDAY or other in free for other in rest)
    if not rest or (is_last and day.weekday() < _SATURDAY):
        return "month_end"
    return WEEKDAYS[day.weekday()]


def compared(name: str, parts: Parts, now: pl.DataFrame, history: History) -> dict[str, float | str | None]:
    """What `schemas.gate.Parts` promises of the parts `name`; `now` has part and value."""
    said: dict[str, float | str | None] = dict.fromkeys(
        f"{name}_{kind}" for kind in ("new", "missing", "rise", "rise_at", "factor", "factor_at")
    )
    if now.height > parts.at_most or history.deliveries < ENOUGH:
        return said
    last = min(LAST, history.deliveries)
    both = (
        now.lazy()
        .join(history.of_parts(name).lazy(), on="part", how="full", coalesce=True)
        .with_columns(
            rise=pl.col("value") - pl.col("most"),
            factor=pl.when(pl.col("value").sign() == pl.col("before").sign()).then(
                pl.max_horizontal(pl.col("value") / pl.col("before"), pl.col("before") / pl.col("value"))
            ),
        )
    )
    is_new, is_missing = pl.col("times").is_null(), pl.col("value").is_null() & (pl.col("times") == last)
    found = both.select(
        new=pl.col("part").filter(is_new).implode(),
        missing=pl.col("part").filter(is_missing).implode(),
        rise=_worst("rise", "most"),
        factor=_worst("factor", "before"),
    ).collect()
    said[f"{name}_new"], said[f"{name}_missing"] = _names(found["new"][0]), _names(found["missing"][0])
    for kind in ("rise", "factor"):
        if row := found[kind][0]:
            said |= {
                f"{name}_{kind}": row[kind],
                f"{name}_{kind}_at": f"{row['part']}: {row['value']:g} after {row['other']:g}",
            }
    return said


def _worst(kind: str, other: str) -> pl.Expr:
    """The part with the greatest value of `kind`, the first of those by name; NULL if none has one."""
    has_one = pl.col(kind).is_finite()
    row = pl.struct(kind, "part", "value", other=pl.col(other)).filter(has_one)
    return row.sort_by(pl.col(kind).filter(has_one), pl.col("part").filter(has_one), descending=[True, False]).first()


def to_keep(name: str, parts: Parts, now: pl.DataFrame, history: History) -> pl.DataFrame:
    """Of the parts `name`, what later deliveries are compared with."""
    if now.height > parts.at_most:
        return pl.DataFrame(schema=MEASURED)
    if parts.only_changes:
        now = now.join(history.of_parts(name).select("part", value="before"), on=["part", "value"], how="anti")
    return now.select(measure=pl.lit(name), part="part", value="value")


def column_changes(table: str, columns: set[str], known: set[str]) -> str:
    """How the columns of a table differ from those known; '' where they do not."""
    new, gone = sorted(columns - known), sorted(known - columns)
    return ", ".join([f"{table}.{name} is new" for name in new] + [f"{table}.{name} is gone" for name in gone])


def measured_columns(columns: Iterable[str]) -> pl.DataFrame:
    """The columns that a delivery came with, as something measured."""
    return pl.DataFrame([("columns", name, 1.0) for name in sorted(columns)], MEASURED, orient="row")


def _names(parts: pl.Series) -> str:
    names = parts.sort().to_list()
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
