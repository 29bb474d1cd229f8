"""The short scorecard at the end of a night, as a person reads it. Imports only rich."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from flows import console
from flows.io.headlines import Headline

_BARS = "▁▂▃▄▅▆▇█"
_COLOURS = {"green": "green", "amber": "yellow", "red": "red"}
_BETTER = {"higher": 1, "lower": -1}


def scorecard(headlines: Sequence[Headline]) -> Table:
    """One line per metric: its newest period, the target, the change against the period before, and the course."""
    titles = ("metric", "period", "unit", "value", "target", "change", "status", "course")
    return console.table("Scorecard", titles, [_row(one) for one in headlines], numbers_from=3, numbers_to=5)


def sparkline(values: Sequence[float]) -> str:
    """Numbers as bars between the least and the greatest of them; equal ones are all low."""
    low, high = min(values), max(values)
    steps = len(_BARS) - 1
    return "".join(_BARS[round(steps * (value - low) / (high - low)) if high > low else 0] for value in values)


def figure(value: float) -> str:
    """A number with about four digits."""
    places = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:,.{places}f}"


def _row(one: Headline) -> tuple[object, ...]:
    newest = one.values[-1]
    end = f"{one.period_end:%b %Y}" if one.period == "month" else f"week to {one.period_end:%d %b}"
    target = "" if one.target is None else figure(one.target)
    status = Text(one.status or "", style=_COLOURS.get(one.status or "", ""))
    return one.name, end, one.unit, figure(newest), target, _change(one), status, sparkline(one.values)


def _change(one: Headline) -> Text:
    if one.prior is None:
        return Text("")
    change = one.values[-1] - one.prior
    gain = change * _BETTER.get(one.direction, 0)
    said = figure(change)
    style = "green" if gain > 0 else "red" if gain < 0 else ""
    return Text(said if said.startswith("-") else f"+{said}", style=style)
