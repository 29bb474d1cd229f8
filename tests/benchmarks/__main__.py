"""`python -m tests.benchmarks [NAME …] [--size S]`: measure, print, write JSON below .bench/."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.benchmarks import adventureworks, arrival, backfill, day, history
from tests.benchmarks.home import ROOT, BenchmarkError
from tests.benchmarks.report import Report, Say, machine

BENCHMARKS = ("day", "history", "backfill", "adventureworks", "arrival")


def main(argv: Sequence[str] | None = None) -> list[Report]:
    """Run the benchmarks that are asked for (all where none is)."""
    args = _arguments(argv)
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    found = machine()
    load = found["load"][0]
    console.print(f"{found['cores']} cores, {found['memory_gb']} GB, load {load:.1f}", highlight=False)
    if load > 1:
        console.print("Others are using this machine: trust the ratios at most.", style="yellow")
    reports: list[Report] = []
    failed: list[str] = []
    for name in args.names or BENCHMARKS:
        try:
            report = _run(name, args, _telling(console, name))
        except BenchmarkError as error:
            console.print(f"{name} failed: {error}", style="red", markup=False, highlight=False)
            failed.append(name)
            continue
        if isinstance(report, str):
            console.print(f"{name} is skipped: {report}", style="yellow", markup=False)
            continue
        report.show(console)
        console.print(f"written to {report.save(args.folder / 'results')}", style="dim", highlight=False, markup=False)
        reports.append(report)
    if failed:
        sys.exit(1)
    return reports


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--size", type=float, default=1.0, help="share of the full size, e.g. 0.05")
    parser.add_argument("--months", type=int, default=24, help="history: months of it")
    parser.add_argument("--rounds", type=int, default=3, help="history: nights on each state; the median counts")
    parser.add_argument(
        "--daily", action="store_true", help="history: a file per day, as systems deliver; loads slowly"
    )
    parser.add_argument("--copies", type=int, help="adventureworks: copies of it; 50 times size where not given")
    parser.add_argument("--at-once", type=int, default=2, help="tasks at a time; the flow has 2")
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench", help="data, homes and results")
    args = parser.parse_args(argv)
    if unknown := set(args.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {min(unknown)}; there are {', '.join(BENCHMARKS)}")
    return args


def _run(name: str, args: argparse.Namespace, say: Say) -> Report | str:
    """Run one benchmark; where it cannot run, why."""
    folder = args.folder.resolve()
    if name == "day":
        return day.run(folder, args.size, args.at_once, say)
    if name == "backfill":
        return backfill.run(folder, args.size, args.at_once, say)
    if name == "history":
        return history.run(
            folder, args.size, args.at_once, say, months=args.months, rounds=args.rounds, daily=args.daily
        )
    if name == "arrival":
        return arrival.run(folder, args.size, say)
    copies = args.copies or max(1, round(adventureworks.COPIES * args.size))
    return adventureworks.run(folder, copies, args.at_once, say)


def _telling(console: Console, name: str) -> Say:
    """Tells how far a benchmark is; the figures stay on the screen should a later step fail."""
    began = time.monotonic()

    def say(what: str) -> None:
        line = f"{time.monotonic() - began:7.1f} s  {name}: {what}"
        console.print(line, style="dim", highlight=False, markup=False)

    return say


if __name__ == "__main__":
    main()
