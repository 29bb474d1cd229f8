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


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with nothing running; whatever a failing test leaves is stopped."""
    home = Home(tmp_path_factory.mktemp("served") / "home")
    yield home
    startup.stop(home.settings)


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """Deliveries of the sample company, not landed yet."""
    folder = tmp_path / "company"
    write_sample(folder, days=2, scale=0.2)
    return folder


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


def test_serve_takes_what_lands_runs_what_is_asked_for_and_goes_on_after_a_kill(home: Home, company: Path):
    with _serving(home) as serving:
        _what_is_asked_for_runs(home, serving)
        _what_lands_is_taken(home, company / "sample_ledger", serving)
        _anybody_may_post(home, serving)
        # another one of the same home does nothing but say so
        assert "served already" in home.opsmart("serve", code=1)
        _kill_while_it_accepts(home, company / "sample_planning", serving)
    with _serving(home) as serving:
        _wait_for(lambda: _everything_is_taken(home, company / "sample_planning"), serving)
        assert "Crashed" in _arrivals(home)
    assert embedded_server.status(home.settings) is None
    assert not PrefectServer(home.folder).is_running()
    _no_process_of(home)


def _what_is_asked_for_runs(home: Home, serving: "subprocess.Popen[bytes]") -> None:
    """By the command line with parameters, and by the API."""
    asked = _asked(home, "GET", "/deployments/name/nightly/nightly")
    nightly = _asked(home, "POST", f"/deployments/{asked['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    started = home.prefect(
        "deployment", "run", "backfill/backfill", "-p", "start=2025-01-01", "-p", "end=2025-01-31", "-p", "plan=true",
        "--watch", "--watch-timeout", str(LIMIT_S),
    )  # fmt: skip
    assert "Completed" in started
    _wait_for(lambda: _asked(home, "GET", f"/flow_runs/{nightly['id']}")["state_name"] == "Completed", serving)


def _what_lands_is_taken(home: Home, extracts: Path, serving: "subprocess.Popen[bytes]") -> None:
    _land(home, extracts)
    _wait_for(lambda: _everything_is_taken(home, extracts), serving)
    assert home.fetch("select count(*) > 0 from mart.fct_gl_entry") == [(True,)]
    landed = [payload for name, payload in _events(home) if name == "opsmart.extract.landed"]
    files = {f"{payload['source']}/{file}" for payload in landed for file in payload["files"]}
    assert files == {file.relative_to(extracts.parent).as_posix() for file in extracts.rglob("*") if file.is_file()}
    _wait_for(lambda: "opsmart.fact.published" in {name for name, _ in _events(home)}, serving)


def _anybody_may_post(home: Home, serving: "subprocess.Popen[bytes]") -> None:
    """Events that somebody else posts make runs; those that come together are done as one."""
    _wait_for(lambda: not _open_runs(home), serving)
    before = _arrivals(home)
    _post(home, 3)
    _wait_for(lambda: len(_arrivals(home)) == len(before) + 3 and not _open_runs(home), serving)
    ends = _arrivals(home)[len(before) :]
    assert ends.count("Completed") >= 1
    assert set(ends) == {"Completed", TOGETHER}


def _kill_while_it_accepts(home: Home, extracts: Path, serving: "subprocess.Popen[bytes]") -> None:
    with psycopg.connect(embedded_server.ensure_running(home.settings).url(), autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (ACCEPT_LOCK,))
        _land(home, extracts)
        waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
        _wait_for(lambda: other.execute(waiting).fetchall(), serving)
        serving.kill()
        serving.wait()


def _land(home: Home, extracts: Path) -> None:
    shutil.copytree(extracts, home.settings.landing / extracts.name, dirs_exist_ok=True)


def _everything_is_taken(home: Home, extracts: Path) -> bool:
    """Whether every file is part of an accepted delivery and every table is published."""
    files = {file.name for file in extracts.rglob("*") if file.is_file()}
    taken = home.fetch("select file from ops.extract where state = 'accepted'")
    names = {part.rpartition("/")[2] for (text,) in taken for part in str(text).split(", ")}
    dirty = home.fetch(
        "select 1 from ops.dirty_slice left join ops.slice using (fact, source, day)"
        " where dirty_slice.generation > coalesce(slice.generation, 0)",
    )
    return names >= files and not dirty


def _post(home: Home, count: int) -> None:
    """As the documentation's curl does."""
    event = {"event": "opsmart.extract.landed", "resource": {"prefect.resource.id": "opsmart.source.sample_erp"}}
    now = datetime.now(UTC).isoformat()
    _asked(home, "POST", "/events", [event | {"id": str(uuid4()), "occurred": now} for _ in range(count)])


def _asked(home: Home, method: str, path: str, body: object = None) -> Any:
    """What Prefect's API answers; None if nothing."""
    server = PrefectServer(home.folder)
    login = b64encode(server.login_file.read_bytes().strip()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    address = urlsplit(server.api_url)
    with closing(HTTPConnection(address.netloc)) as connection:
        connection.request(method, f"{address.path}{path}", json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        said = response.read()
    assert response.status < 300, said
    return json.loads(said) if said else None


def _events(home: Home) -> list[tuple[str, dict[str, Any]]]:
    return home.fetch("select event, payload from events where event like 'opsmart.%' order by occurred", "prefect")


def _arrivals(home: Home) -> list[str]:
    """States of the runs of on-arrival that were due, oldest first."""
    return [state for (state,) in home.fetch(f"{_RUNS} order by run.created", "prefect")]


def _open_runs(home: Home) -> list[tuple[Any, ...]]:
    return home.fetch(f"{_RUNS} and run.state_type in ('SCHEDULED', 'PENDING', 'RUNNING')", "prefect")


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
