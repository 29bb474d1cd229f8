"""What a benchmark found: tables for people, JSON for later."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psutil
from rich.console import Console
from rich.table import Table

Say = Callable[[str], None]
"""Tells whoever waits what happens."""


@dataclass(frozen=True, slots=True)
class Check:
    """A figure, and what it should be at most (None: for information)."""

    what: str
    value: float
    target: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.value <= self.target


@dataclass
class Report:
    """One benchmark's figures. `measured` is everything; tables and checks are what people look at."""

    name: str
    size: float
    measured: dict[str, Any]
    checks: list[Check] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _nights: Table | None = None

    def check(self, check: Check) -> None:
        """Add a figure that matters."""
        self.checks.append(check)

    def night(self, name: str, night: dict[str, Any]) -> None:
        """Add a night to the table of nights."""
        if self._nights is None:
            self._nights = _table(
                "Nights", "", "whole s", "night s", "CPU s", "server CPU s", "peak MB", "rows in", "written"
            )
            self.tables.append(self._nights)
        cells = (night["whole_s"], night["seconds"], night["cpu_s"], night["server_cpu_s"])
        written = night["rows_added"] + night["rows_removed"]
        self._nights.add_row(
            name, *(f"{cell:.2f}" for cell in cells), f"{night['peak_mb']:.0f}", f"{night['rows_in']:,}", f"{written:,}"
        )
        started = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in night["startup"].items())
        self.notes.append(f"{name}: start-up: {started}")
        self.notes += [f"{name}: {problem}" for problem in night["problems"]]
        if night["rows_quarantined"]:
            self.notes.append(f"{name}: {night['rows_quarantined']:,} rows quarantined")

    def steps(self, night: dict[str, Any], title: str = "Steps (they overlap)") -> None:
        """Add the table of a night's steps."""
        table = _table(title, "", "seconds", "calls", "rows", "rows/s")
        for name, step in night["steps"].items():
            rate = f"{step['rows'] / step['seconds']:,.0f}" if step["rows"] and step["seconds"] else ""
            table.add_row(name, f"{step['seconds']:.2f}", f"{step['calls']:,}", f"{step['rows']:,}", rate)
        self.tables.append(table)

    def floor(self, floor: dict[str, Any]) -> None:
        """Add the floor."""
        table = _table("Floor", "", "seconds", "rows", "rows/s")
        for name, seconds, rows in (
            ("DuckDB reads the files", floor["read_s"], floor["rows_read"]),
            ("COPY of the facts", floor["copy_s"], floor["rows_copied"]),
        ):
            table.add_row(name, f"{seconds:.2f}", f"{rows:,}", f"{rows / seconds:,.0f}" if seconds else "")
        self.tables.append(table)
        used = f"{floor['cpu_s']:.2f} + {floor['server_cpu_s']:.2f}"
        self.notes.append(f"floor: start-up {floor['startup_s']:.2f} s, CPU of process + server {used} s")
        self.notes += [
            f"floor: {name} read {one['how']}" for name, one in floor["read"].items() if one["how"] != "typed"
        ]

    def show(self, console: Console) -> None:
        """Print it."""
        console.rule(f"{self.name}, {self.size:g} times")
        for table in self.tables:
            console.print(table)
        for note in self.notes:
            console.print(note, style="dim", highlight=False, markup=False)
        results = _table("Result", "", "found", "target at most", "")
        for check in self.checks:
            verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[check.is_met]
            results.add_row(
                check.what, f"{check.value:,.2f}", "" if check.target is None else f"{check.target:g}", verdict
            )
        console.print(results)

    def save(self, folder: Path) -> Path:
        """Write it as JSON below a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        path = folder / f"{self.name}-{now:%Y%m%dT%H%M%SZ}.json"
        checks = [asdict(check) | {"is_met": check.is_met} for check in self.checks]
        found = {"benchmark": self.name, "size": self.size, "at": now.isoformat(), "machine": machine()}
        path.write_text(
            json.dumps(found | {"checks": checks, "measured": self.measured, "notes": self.notes}, indent=1)
        )
        return path


def cpu(found: dict[str, Any]) -> float:
    """CPU seconds of the process and of PostgreSQL together."""
    return float(found["cpu_s"] + found["server_cpu_s"])


def brief(night: dict[str, Any]) -> str:
    """A night in one line."""
    problems = "".join(f"; {problem}" for problem in night["problems"])
    return (
        f"{night['whole_s']:.2f} s whole, {night['seconds']:.2f} s night, {night['peak_mb']:.0f} MB,"
        f" {night['rows_in']:,} rows in, {night['rows_added'] + night['rows_removed']:,} written{problems}"
    )


def machine() -> dict[str, Any]:
    """What a figure depends on."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "polars": pl.__version__,
        "duckdb": duckdb.__version__,
    }


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table
