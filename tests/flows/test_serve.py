"""`opsmart serve`: what lands is taken by it, what is asked for runs, Ctrl-C ends all of it; killed, it goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from flows import startup
from flows.arrivals import TOGETHER
from flows.io import embedded_server
from flows.io.prefect_server import PrefectServer
from flows.io.warehouse import ACCEPT_LOCK
from samples import write_sample
from tests.flows.conftest import Home

LIMIT_S = 120


@pytest.fixture(scope="module")
def kept_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home for all tests: making one takes longer than most of them."""
    return Home(tmp_path_factory.mktemp("served") / "home")


@pytest.fixture
def home(kept_home: Home) -> Iterator[Home]:
    """A home with nothing running; whatever a failing test leaves is stopped."""
    yield kept_home
    startup.stop(kept_home.settings)


@pytest.fixture
def extracts(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Deliveries of one system of the sample company, not landed yet."""
    landing = tmp_path / "company"
    write_sample(landing, days=2, scale=0.2)
    for folder in landing.iterdir():
        if folder.name != request.param:
            shutil.rmtree(folder)
    return landing


@contextmanager
def _serving(home: Home) -> "Iterator[subprocess.Popen[bytes]]":
    log = home.folder.parent / "serve.txt"
    with log.open("w") as file:
        serving = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "serve"],
            env=home.environment(), cwd=home.folder.parent, stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait_for(lambda: "Ctrl-C stops" in log.read_text(), serving)
        yield serving
        if serving.poll() is None:
            serving.send_signal(signal.SIGINT)
            assert serving.wait(LIMIT_S) == 0, log.read_text()
            assert log.read_text().rstrip().endswith("Stopped.")
    finally:
        if serving.poll() is None:
            serving.kill()
            serving.wait()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("extracts", ["sample_ledger"], indirect=True)
def test_serve_takes_what_lands_and_runs_what_is_asked_for(home: Home, extracts: Path):
    with _serving(home) as serving:
        for deployment, parameters in (
            ("nightly/nightly", []),
            ("backfill/backfill", ["-p", "start=2025-01-01", "-p", "end=2025-01-31", "-p", "plan=true"]),
        ):
            started = home.prefect(
                "deployment", "run", deployment, *parameters, "--watch", "--watch-timeout", str(LIMIT_S)
            )
            assert "Completed" in started
        _land(home, extracts)
        _wait_for(lambda: _everything_is_taken(home, extracts), serving)
        assert _rows(home, "select count(*) > 0 from mart.fct_gl_entry") == [(True,)]
        landed = [payload for name, payload in _events(home) if name == "opsmart.extract.landed"]
        files = {f"{payload['source']}/{file}" for payload in landed for file in payload["files"]}
        assert files == {file.relative_to(extracts).as_posix() for file in extracts.rglob("*") if file.is_file()}
        _wait_for(lambda: "opsmart.fact.published" in {name for name, _ in _events(home)}, serving)
        _anybody_may_post(home, serving)
        # another one of the same home does nothing but say so
        assert "served already" in home.opsmart("serve", code=1)
    assert embedded_server.status(home.settings) is None
    assert not PrefectServer(home.folder).is_running()
    _no_process_of(home)


def _anybody_may_post(home: Home, serving: "subprocess.Popen[bytes]") -> None:
    """Events that somebody else posts make runs; those that come together are done as one."""
    _wait_for(lambda: not _open_runs(home), serving)
    before = _arrivals(home)
    _post(home, 3)
    _wait_for(lambda: len(_arrivals(home)) == len(before) + 3 and not _open_runs(home), serving)
    ends = _arrivals(home)[len(before) :]
    assert ends.count("Completed") >= 1
    assert set(ends) == {"Completed", TOGETHER}


@pytest.mark.parametrize("extracts", ["sample_planning"], indirect=True)
def test_a_serve_that_was_killed_goes_on_where_it_was(home: Home, extracts: Path):
    with _serving(home) as serving:
        url = home.opsmart("warehouse", "url", "--role", "loader").strip()
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (ACCEPT_LOCK,))
            _land(home, extracts)
            waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
            _wait_for(lambda: other.execute(waiting).fetchall(), serving)
            serving.kill()
            serving.wait()
    with _serving(home) as serving:
        _wait_for(lambda: _everything_is_taken(home, extracts), serving)
        assert "Crashed" in _arrivals(home)
    _no_process_of(home)


def _land(home: Home, extracts: Path) -> None:
    shutil.copytree(extracts, home.settings.landing, dirs_exist_ok=True)


def _everything_is_taken(home: Home, extracts: Path) -> bool:
    """Whether every file is part of an accepted delivery and every table is published."""
    files = {file.name for file in extracts.rglob("*") if file.is_file()}
    taken = _rows(home, "select file from ops.extract where state = 'accepted'")
    names = {part.rpartition("/")[2] for (text,) in taken for part in str(text).split(", ")}
    dirty = _rows(
        home,
        "select 1 from ops.dirty_slice left join ops.slice using (fact, source, day)"
        " where dirty_slice.generation > coalesce(slice.generation, 0)",
    )
    return names >= files and not dirty


def _post(home: Home, count: int) -> None:
    """As the documentation's curl does."""
    server = PrefectServer(home.folder)
    login = b64encode(server.login_file.read_bytes().strip()).decode()
    event = {"event": "opsmart.extract.landed", "resource": {"prefect.resource.id": "opsmart.source.sample_erp"}}
    now = datetime.now(UTC).isoformat()
    body = json.dumps([event | {"id": str(uuid4()), "occurred": now} for _ in range(count)])
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    address = urlsplit(server.api_url)
    with closing(HTTPConnection(address.netloc)) as connection:
        connection.request("POST", f"{address.path}/events", body, headers)
        assert connection.getresponse().status == 204


def _rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(embedded_server.ensure_running(home.settings).url("loader")) as connection:
        return connection.execute(query).fetchall()


def _of_prefect(home: Home, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(embedded_server.ensure_running(home.settings).url("prefect")) as connection:
        return connection.execute(query).fetchall()


def _events(home: Home) -> list[tuple[str, dict[str, Any]]]:
    return _of_prefect(home, "select event, payload from events where event like 'opsmart.%' order by occurred")


def _arrivals(home: Home) -> list[str]:
    """States of the runs of on-arrival that were due, oldest first."""
    return [state for (state,) in _of_prefect(home, f"{_RUNS} order by run.created")]


def _open_runs(home: Home) -> list[tuple[Any, ...]]:
    return _of_prefect(home, f"{_RUNS} and run.state_type in ('SCHEDULED', 'PENDING', 'RUNNING')")


_RUNS = (
    "select run.state_name from flow_run as run join flow on flow.id = run.flow_id"
    " where flow.name = 'on-arrival' and run.expected_start_time <= now()"
)


def _wait_for(condition: Callable[[], Any], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, "serve ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _no_process_of(home: Home) -> None:
    import psutil

    left = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            if process.pid != os.getpid() and process.environ().get("OPSMART_HOME") == str(home.folder):
                left.append(process.info)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    assert not left, json.dumps(left)
