"""What earlier deliveries measured, and how a delivery compares with it. Only earlier as_of count, never its own.

A delivery is compared once, when it is judged; what it measured is kept unless a gate fails it.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import date, timedelta

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


@dataclass(frozen=True, slots=True)
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

    def of_parts(self, measure: str) -> pl.DataFrame:
        """part, most, before (its newest value) and times (how many of the last deliveries had it), per part known."""
        rows = self.rows.filter(pl.col("measure") == measure).sort("place")
        return rows.group_by("part").agg(
            most=pl.col("value").max(), before=pl.col("value").first(), times=(pl.col("place") <= LAST).sum()
        )

    def columns(self) -> set[str]:
        """Columns of the newest earlier delivery, as `table.column`."""
        rows = self.rows.filter(pl.col("measure") == "columns")
        return set(rows.filter(pl.col("place") == pl.col("place").min())["part"])


def kinds_of_days(days: Iterable[date], calendar: str | None) -> list[str]:
    """What tells each day from others as to how much happens there.

    A holiday of the calendar (a country, and perhaps a part of it, as in DE-HB), a month's end (its last day, or its
    last working day), else its weekday.
    """
    free: Container[date] = ()
    if calendar is not None:
        import holidays

        country, _, subdivision = calendar.partition("-")
        free = holidays.country_holidays(country, subdiv=subdivision or None)
    return [_kind(day, free) for day in days]


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
    before = history.of_parts(name)
    last = min(LAST, history.deliveries)
    said[f"{name}_new"] = _names(now.join(before, on="part", how="anti"))
    said[f"{name}_missing"] = _names(before.filter(pl.col("times") == last).join(now, on="part", how="anti"))
    both = now.join(before, on="part").with_columns(
        rise=pl.col("value") - pl.col("most"),
        factor=pl.when(pl.col("value").sign() == pl.col("before").sign()).then(
            pl.max_horizontal(pl.col("value") / pl.col("before"), pl.col("before") / pl.col("value"))
        ),
    )
    for kind, other in (("rise", "most"), ("factor", "before")):
        worst = both.filter(pl.col(kind).is_finite()).sort(kind, "part", descending=[True, False]).head(1)
        for row in worst.iter_rows(named=True):
            said |= {
                f"{name}_{kind}": row[kind],
                f"{name}_{kind}_at": f"{row['part']}: {row['value']:g} after {row[other]:g}",
            }
    return said


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


def _names(parts: pl.DataFrame) -> str:
    names = parts["part"].sort().to_list()
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
