"""The same night with 1 % changes on top of many months of history, and on top of one: the night follows what changed.

Both states end with the same month; one has the months before it too. The changes concern that last month.
"""

import statistics
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from samples import Company, history
from tests.benchmarks import data
from tests.benchmarks.changes import write_changes
from tests.benchmarks.home import ROOT, opened
from tests.benchmarks.monthly import write_month
from tests.benchmarks.report import Check, Report, Say, brief, cpu

ROWS_A_DAY = 50_000
START = date(2024, 1, 1)
"""Early enough that twenty-four months have passed: what is changed in the future is quarantined."""

TARGET = 1.2


def run(folder: Path, size: float, at_once: int, say: Say, *, months: int, rounds: int, daily: bool) -> Report:
    """Write the history, load both states, run the changed nights on each in turn."""
    rows = max(100, round(ROWS_A_DAY * size))

    def write(target: Path) -> None:
        for number, company in enumerate(history(months, rows, start=START), start=1):
            say(f"writing month {number} of {months}")
            is_last = number == months
            for state in ("long", "short") if is_last else ("long",):
                _write(company, target / state, daily=daily)
            if is_last:
                for turn in range(rounds):
                    write_changes(company, target / f"changes-{turn}", turn)

    name = f"history-{months}-{rows}-{rounds}{'-daily' if daily else ''}"
    programs = [
        *(ROOT / "samples").glob("*.py"),
        *(Path(__file__).with_name(f"{n}.py") for n in ("changes", "monthly")),
    ]
    files = data.cached(folder / "data", name, programs, write)
    loads: dict[str, Any] = {}
    nights: dict[str, list[dict[str, Any]]] = {"long": [], "short": []}
    with ExitStack() as stack:
        homes = {state: stack.enter_context(opened(folder / "work" / f"history-{state}")) for state in nights}
        for state, home in homes.items():
            say(f"loading the {state} history")
            home.land(files / state)
            loads[state] = home.night(apart=True, at_once=at_once)
            say(brief(loads[state]))
        # In turn, so that whatever else the machine does meets both.
        for turn in range(rounds):
            for state, home in homes.items():
                say(f"changes {turn + 1} of {rounds} on the {state} history")
                home.land(files / f"changes-{turn}")
                nights[state].append(home.night(apart=True, at_once=at_once))
                say(brief(nights[state][-1]))
    return _report(size, months, loads, nights)


def _write(company: Company, target: Path, *, daily: bool) -> None:
    if daily:
        company.write(target, dirt=0.0)
    else:
        write_month(company, target)


def _report(size: float, months: int, loads: dict[str, Any], nights: dict[str, list[dict[str, Any]]]) -> Report:
    report = Report("history", size, {"months": months, "loads": loads, "nights": nights})
    report.night(f"load {months} months", loads["long"])
    report.night("load one month", loads["short"])
    for turn, (long, short) in enumerate(zip(nights["long"], nights["short"], strict=True), start=1):
        report.night(f"changes {turn} on {months} months", long)
        report.night(f"changes {turn} on one month", short)
    report.steps(nights["long"][-1], f"Steps on {months} months (they overlap)")
    report.steps(nights["short"][-1], "Steps on one month (they overlap)")
    seconds = {state: statistics.median(night["seconds"] for night in found) for state, found in nights.items()}
    used = {state: statistics.median(map(cpu, found)) for state, found in nights.items()}
    peak = max(night["peak_mb"] for found in nights.values() for night in found)
    report.check(Check(f"night on {months} months / on one (medians)", seconds["long"] / seconds["short"], TARGET))
    report.check(Check("the same in CPU seconds", used["long"] / used["short"]))
    report.check(Check("peak memory, MB", peak, 2048))
    return report
