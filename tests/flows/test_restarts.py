"""PostgreSQL or the Prefect server restarts while a night is going on: the night waits, tries again, and is whole."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from flows import startup
from flows.io import embedded_server
from flows.settings import Settings
from samples import write_sample
from tests.flows.conftest import COMMAND_LIMIT_S, Home


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with servers, and a few days of the sample company."""
    home = Home(tmp_path_factory.mktemp("restarted") / "home")
    try:
        write_sample(home.settings.landing, days=2, scale=0.1)
        home.opsmart("warehouse", "up")
        yield home
    finally:
        startup.stop(home.settings)


def _restart_postgres(settings: Settings) -> None:
    """As an administrator would: whoever is connected is thrown out."""
    embedded_server.stop(settings)
    time.sleep(1)
    embedded_server.ensure_running(settings)


def _restart_prefect(settings: Settings) -> None:
    server = startup.prefect_server(settings)
    assert server.stop()
    server.ensure_running()


def _count(home: Home, query: str) -> int:
    return int(home.fetch(query)[0][0])


def _wait_until(is_so: Callable[[], bool], night: subprocess.Popen[str]) -> None:
    while not is_so():
        assert night.poll() is None, "the night was over before it could be disturbed"
        time.sleep(0.02)


ACCEPTED = "select count(*) from ops.extract where state = 'accepted'"
PUBLISHED = "select count(*) from ops.slice where fact like 'fct%'"


@pytest.mark.timeout(300)
def test_a_night_survives_servers_that_restart(home: Home) -> None:
    night = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "nightly"], env=home.environment(), cwd=home.folder.parent,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        _wait_until(lambda: _count(home, ACCEPTED) > 5, night)
        _restart_postgres(home.settings)
        _wait_until(lambda: _count(home, PUBLISHED) > 0, night)
        _restart_prefect(home.settings)
        said, _ = night.communicate(timeout=COMMAND_LIMIT_S)
    finally:
        night.kill()
    assert night.returncode == 0, said
    assert "Traceback" not in said
    assert _count(home, "select count(*) from ops.extract where state <> 'accepted'") == 0
    assert "Nothing is new" in home.opsmart("nightly")
    home.opsmart("verify")
