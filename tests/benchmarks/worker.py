"""One night in a process of its own: `python -m tests.benchmarks.worker OUT.json [--apart] [--at-once N] …`.

With `--apart` everything that a night needs once (imports, migration, Great Expectations) is done and measured before
the night; without it the night is as it comes. With `--backfill START END [--all]` it is a backfill instead. The home
is said by OPSMART_HOME.
"""

import argparse
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.benchmarks.usage import cpu_seconds, peak_mb, server_cpu_seconds

if TYPE_CHECKING:
    from flows.report import RunReport
    from flows.settings import Settings


def main() -> None:
    """Run the night and write what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--backfill", type=date.fromisoformat, nargs=2, metavar=("START", "END"))
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    process_began = psutil.Process().create_time()
    from flows.io import embedded_server
    from flows.settings import load_settings
    from tests.benchmarks.steps import watched

    settings = load_settings()
    server = embedded_server.ensure_running(settings)
    startup = {"python": time.time() - process_began}
    if args.apart:
        startup |= _start_up(settings)
    cpu, server_cpu, began = cpu_seconds(), server_cpu_seconds(server.pid), time.perf_counter()
    with watched() as steps:
        if args.backfill:
            report = backfill(settings, args.at_once, *args.backfill, everything=args.all)
        else:
            report = night(settings, args.at_once)
    found = {
        "seconds": time.perf_counter() - began,
        "cpu_s": cpu_seconds() - cpu,
        "server_cpu_s": server_cpu_seconds(server.pid) - server_cpu,
        "peak_mb": peak_mb(),
        "startup": startup,
        "steps": {name: asdict(step) for name, step in steps.steps.items()},
        **_outcome(report),
    }
    args.out.write_text(json.dumps(found))


def night(settings: "Settings", at_once: int) -> "RunReport":
    """The nightly flow's steps in its order, as many at a time as it has workers, without Prefect."""
    from flows import pipeline
    from flows.report import RunReport

    report = RunReport("benchmark")
    run_id = f"benchmark-{uuid.uuid4()}"
    with (
        pipeline.open(settings) as pipe,
        pipe.recorded(run_id, "benchmark", {}, report),
        ThreadPoolExecutor(at_once) as pool,
    ):
        list(pool.map(pipe.take, pipe.pending_sources()))
        for tables in (pipe.dirty_dimensions, pipe.dirty_facts):
            for built in pool.map(pipe.build, tables()):
                report.add_built(built)
        pipe.close(report)
        pipe.take_cards(report)
    return report


def backfill(settings: "Settings", at_once: int, start: date, end: date, *, everything: bool) -> "RunReport":
    """The steps of the flow `backfill` in its order."""
    from flows import pipeline
    from flows.io.span import Span
    from flows.report import RunReport

    report, span = RunReport("benchmark"), Span(start, end)
    with (
        pipeline.open(settings) as pipe,
        pipe.recorded(f"benchmark-{uuid.uuid4()}", "benchmark", {}, report),
        ThreadPoolExecutor(at_once) as pool,
    ):
        list(pool.map(pipe.take, pipe.pending_sources(span)))
        pipe.mark(span, f"backfill {span}", everything=everything)
        for tables in (pipe.dirty_dimensions, pipe.dirty_facts):
            for built in pool.map(pipe.build, tables()):
                report.add_built(built)
    return report


def _start_up(settings: "Settings") -> dict[str, float]:
    seconds, began = {}, time.perf_counter()
    from flows import pipeline, startup
    from flows.io import gates

    seconds["imports"] = time.perf_counter() - began
    began = time.perf_counter()
    startup.migrate(settings)
    with pipeline.open(settings):
        pass
    seconds["migrate"] = time.perf_counter() - began
    began = time.perf_counter()
    gates.import_great_expectations()
    seconds["Great Expectations"] = time.perf_counter() - began
    return seconds


def _outcome(report: "RunReport") -> dict[str, Any]:
    counts = ("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate", "rows_excluded")
    return {
        "extracts": len(report.taken),
        **{name: sum(getattr(extract, name) for extract in report.taken) for name in counts},
        "tables": [asdict(built) for built in report.built],
        "rows_added": sum(built.rows_added for built in report.built),
        "rows_removed": sum(built.rows_removed for built in report.built),
        "problems": [f"{problem.subject}: {problem.message}" for problem in report.problems],
    }


if __name__ == "__main__":
    main()
