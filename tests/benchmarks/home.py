"""Homes of a benchmark's own, each with its embedded server, and processes that run in them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.io import embedded_server
from flows.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]


class BenchmarkError(Exception):
    """A benchmark's own process failed; the message is the end of what it wrote."""


@dataclass(frozen=True, slots=True)
class Home:
    """A home below `folder`. `project_root` holds other sources than the project's, at sql/sources."""

    folder: Path
    project_root: Path = ROOT

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return load_settings(home=self.folder, project_root=self.project_root)

    def environment(self) -> dict[str, str]:
        """The environment of a process that runs in this home."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPSMART_", "PREFECT_"))}
        return kept | {"OPSMART_HOME": str(self.folder), "OPSMART_PROJECT_ROOT": str(self.project_root)}

    def land(self, folder: Path) -> None:
        """Put the files of a folder (one subfolder per source) into the landing folder; equal names are replaced."""
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            target = self.settings.landing / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            os.link(file, target)

    def night(self, *, apart: bool = False, at_once: int = 2) -> dict[str, Any]:
        """One night in a fresh process; `whole_s` is the process from start to end. See worker.py for the rest."""
        arguments = ["--at-once", str(at_once), *(["--apart"] if apart else [])]
        return self.run("tests.benchmarks.worker", *arguments)

    def warm_up(self) -> None:
        """Load what a night loads, so that it is compiled and no night pays for reading it from the disk."""
        self.timed(
            sys.executable,
            "-c",
            "import flows.pipeline, flows.io.migrate, tests.benchmarks.floor, tests.benchmarks.worker;"
            "from flows.io import gates; gates.import_great_expectations()",
        )

    def run(self, module: str, *arguments: str) -> dict[str, Any]:
        """Run a module of the benchmarks; what it wrote as JSON, and `whole_s`."""
        out = self.folder / "measured.json"
        out.unlink(missing_ok=True)
        whole = self.timed(*self.command(module, *arguments))
        found: dict[str, Any] = json.loads(out.read_text()) | {"whole_s": whole}
        return found

    def command(self, module: str, *arguments: str) -> list[str]:
        """The command that runs a module of the benchmarks in this home."""
        return [sys.executable, "-m", module, str(self.folder / "measured.json"), *arguments]

    def timed(self, *command: str) -> float:
        """Seconds that a program takes from start to end."""
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise BenchmarkError(f"{' '.join(command[1:4])} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return seconds


@contextmanager
def opened(folder: Path, project_root: Path = ROOT) -> Iterator[Home]:
    """A fresh home with its server up; gone afterwards, server included."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    home = Home(folder, project_root)
    try:
        embedded_server.ensure_running(home.settings)
        yield home
    finally:
        embedded_server.stop(home.settings)
        shutil.rmtree(folder, ignore_errors=True)
