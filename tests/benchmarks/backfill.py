"""Two years of the sample company taken by one backfill, beside one large night; killed once, and gone on with."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from flows import startup
from flows.io.warehouse import Warehouse
from samples import bench_day, history
from tests.benchmarks import data
from tests.benchmarks.day import CONFIRMATIONS, ORDER_LINES
from tests.benchmarks.history import ROWS_A_DAY, START
from tests.benchmarks.home import ROOT, Home, opened
from tests.benchmarks.monthly import write_month
from tests.benchmarks.report import Check, Report, Say, brief, cpu

END, MONTHS = date(2025, 12, 31), 24
TARGET = 1 / 0.6
"""Seconds per row of the backfill over those of the night: at least 60 % of its rows per second."""


def run(folder: Path, size: float, at_once: int, say: Say) -> Report:
    """One night of one day; a backfill of two years of it; the same killed half way; and once more from the lake."""
    confirmations, lines = max(1, round(CONFIRMATIONS * size)), max(1, round(ORDER_LINES * size))
    rows = max(100, round(ROWS_A_DAY * size))
    programs, monthly = [*(ROOT / "samples").glob("*.py")], Path(__file__).with_name("monthly.py")

    def write_day(target: Path) -> None:
        bench_day(confirmations, lines).write(target, dirt=0.0)

    def write_years(target: Path) -> None:
        for number, company in enumerate(history(MONTHS, rows, start=START), start=1):
            say(f"writing month {number} of {MONTHS}")
            write_month(company, target)

    day = data.cached(folder / "data", f"day-{confirmations}", programs, write_day)
    years = data.cached(folder / "data", f"years-{rows}", [*programs, monthly], write_years)
    found: dict[str, dict[str, Any]] = {}
    with opened(folder / "work" / "backfill-day") as home:
        home.land(day)
        found["one large night"] = home.night(apart=True, at_once=at_once)
        say(brief(found["one large night"]))
    with opened(folder / "work" / "backfill") as home:
        home.land(years)
        found["backfill of two years"] = _backfill(home, at_once)
        say(brief(found["backfill of two years"]))
        found["again from the lake (--all)"] = _backfill(home, at_once, "--all")
        say(brief(found["again from the lake (--all)"]))
    with opened(folder / "work" / "backfill-killed") as home:
        home.land(years)
        extracts = found["backfill of two years"]["extracts"]
        killed = _killed(home, at_once, lambda done: done["extracts"] >= extracts / 2)
        say(f"killed with {killed['extracts']} extracts accepted")
        found["the rest after a kill"] = _backfill(home, at_once)
        say(brief(found["the rest after a kill"]))
        first = _done(home)
        killed["twice"] = first["accepts"] - first["extracts"]

        def published(done: dict[str, Any]) -> dict[Any, str]:
            return {name: at for name, at in done["slices"].items() if at != first["slices"][name]}

        cut_short = _killed(home, at_once, lambda done: len(published(done)) >= len(first["slices"]) / 2, "--all")
        finished = published(cut_short)
        say(f"killed with {len(finished)} of {len(first['slices'])} slices built again")
        found["the rest of --all after a kill"] = _backfill(home, at_once, "--all")
        say(brief(found["the rest of --all after a kill"]))
        last = _done(home)["slices"]
    killed |= {"slices": len(finished), "slices_twice": sum(last[name] != at for name, at in finished.items())}
    return _report(size, found, killed)


def _backfill(home: Home, at_once: int, *options: str) -> dict[str, Any]:
    arguments = ["--apart", "--at-once", str(at_once), "--backfill", str(START), str(END), *options]
    return home.run("tests.benchmarks.worker", *arguments)


def _killed(home: Home, at_once: int, is_far: Callable[[dict[str, Any]], bool], *options: str) -> dict[str, Any]:
    """A backfill that is killed with SIGKILL once it is far enough; what had been finished by then."""
    arguments = ["--apart", "--at-once", str(at_once), "--backfill", str(START), str(END), *options]
    # The ledger is asked before the backfill may have made it.
    startup.migrate(home.settings)
    process = psutil.Popen(home.command("tests.benchmarks.worker", *arguments), cwd=ROOT, env=home.environment())
    while process.poll() is None and not is_far(_done(home)):
        time.sleep(0.2)
    process.kill()
    process.wait()
    return _done(home)


def _done(home: Home) -> dict[str, Any]:
    with closing(Warehouse.at(startup.warehouse_url(home.settings))) as warehouse, warehouse.session() as session:
        slices = session.fetch("select fact, source, day::text, published_at::text from ops.slice").rows()
        accepted = session.fetch(
            "select count(*) filter (where state = 'accepted') as extracts,"
            " (select sum(accept_count)::bigint from ops.stream) as accepts from ops.extract"
        ).row(0, named=True)
    return {"slices": {row[:3]: row[3] for row in slices if row[0].startswith("fct_")}, **accepted}


def _report(size: float, found: dict[str, dict[str, Any]], killed: dict[str, Any]) -> Report:
    told = {name: figure for name, figure in killed.items() if isinstance(figure, int)}
    report = Report("backfill", size, {"runs": found, "killed": told})
    for name, one in found.items():
        report.night(name, one)
    night, years = found["one large night"], found["backfill of two years"]
    report.steps(years, "Steps of the backfill (they overlap)")
    pace = {name: one["rows_in"] / one["seconds"] for name, one in (("night", night), ("years", years))}
    report.notes.append(f"rows per second: night {pace['night']:,.0f}, backfill {pace['years']:,.0f}")
    report.check(Check("seconds per row, backfill / night", pace["night"] / pace["years"], TARGET))
    report.check(Check("the same in CPU seconds", (cpu(years) / years["rows_in"]) / (cpu(night) / night["rows_in"])))
    report.check(Check("peak memory, MB", max(one["peak_mb"] for one in found.values()), 2048))
    report.check(Check(f"deliveries taken twice, of {killed['extracts']} before the kill", killed["twice"], 0))
    report.check(Check(f"slices built twice, of {killed['slices']} before the kill", killed["slices_twice"], 0))
    return report
