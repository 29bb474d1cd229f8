"""A day of a million confirmations, a quarter of a million order lines and as many receipts; the night after it."""

from pathlib import Path
from typing import Any

from samples import bench_day
from tests.benchmarks import data
from tests.benchmarks.home import ROOT, opened
from tests.benchmarks.report import Check, Report, Say, brief, cpu

CONFIRMATIONS, ORDER_LINES = 1_000_000, 250_000
TARGET, METRICS_TARGET, GATES_TARGET = 2.0, 0.25, 0.2


def run(folder: Path, size: float, at_once: int, say: Say) -> Report:
    """Write the day, run its night, take the floor."""
    confirmations, lines = max(1, round(CONFIRMATIONS * size)), max(1, round(ORDER_LINES * size))

    def write(target: Path) -> None:
        say("writing the day")
        bench_day(confirmations, lines).write(target, dirt=0.0)

    files = data.cached(folder / "data", f"day-{confirmations}", (ROOT / "samples").glob("*.py"), write)
    with opened(folder / "work" / "day") as home:
        home.land(files)
        say("the night")
        night = home.night(apart=True, at_once=at_once)
        say(brief(night))
        say("the floor")
        floor = home.run("tests.benchmarks.floor")
    measured: dict[str, Any] = {
        "confirmations": confirmations,
        "order_lines": lines,
        "files_mb": data.size_mb(files),
        "night": night,
        "floor": floor,
    }
    report = Report("day", size, measured)
    report.check(Check("night without start-up / floor", night["seconds"] / floor["seconds"], TARGET))
    report.check(Check("the same in CPU seconds", cpu(night) / cpu(floor)))
    report.check(Check("metrics / floor", night["steps"]["metrics"]["seconds"] / floor["seconds"], METRICS_TARGET))
    gates = sum(night["steps"][step]["seconds"] for step in ("gate extracts", "gate slices"))
    report.check(Check("gates / floor", gates / floor["seconds"], GATES_TARGET))
    report.check(Check("peak memory, MB", night["peak_mb"], 2048))
    report.night("night", night)
    report.steps(night)
    report.floor(floor)
    return report
