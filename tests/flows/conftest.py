"""A home with real servers, made once per run, and the command line run in it as a person would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows import startup
from flows.io import embedded_server
from flows.io.embedded_server import Role
from flows.settings import Settings, child_environment, load_settings

COMMAND_LIMIT_S = 240


@dataclass(frozen=True)
class Home:
    """A home and the commands run in it."""

    folder: Path

    @property
    def settings(self) -> Settings:
        return load_settings(home=self.folder)

    def environment(self, **values: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OPSMART_")}
        return {**child_environment({}), **kept, "OPSMART_HOME": str(self.folder), **values}

    def opsmart(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Runs `opsmart …`, checks its exit code, and returns what it wrote to standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            env=self.environment(**environment), cwd=self.folder.parent, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        if code in (0, 3):
            assert not done.stderr, done.stderr
        return done.stdout + (done.stderr if code in (1, 2) else "")

    def json(self, *arguments: str) -> Any:
        return json.loads(self.opsmart(*arguments, "--json"))

    def fetch(self, query: str, role: Role = "loader") -> list[tuple[Any, ...]]:
        """Rows of a query to the warehouse, or with the role `prefect` to Prefect's database."""
        with psycopg.connect(embedded_server.ensure_running(self.settings).url(role)) as connection:
            return connection.execute(query).fetchall()

    def prefect(self, *arguments: str) -> str:
        """Runs `prefect …` in the project's folder against this home's server."""
        settings = self.settings
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            env=self.environment(**startup.prefect_server(settings).client_environment()),
            cwd=settings.project_root, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def served_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with PostgreSQL and Prefect server running, nothing delivered yet."""
    home = Home(tmp_path_factory.mktemp("served") / "home")
    try:
        home.opsmart("warehouse", "up")
        yield home
    finally:
        startup.stop(home.settings)
