"""The Prefect server of a home: found again, guarded by a password, mended after a crash."""

import http.client
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from flows import startup
from flows.io.prefect_server import HOST, PrefectServer, PrefectServerError
from tests.flows.conftest import Home


def _pid(server: PrefectServer) -> int:
    return int(json.loads((server.folder / "server.json").read_text())["pid"])


def _status(server: PrefectServer, path: str, method: str = "GET") -> int:
    connection = http.client.HTTPConnection(HOST, int(server.ui_url.rpartition(":")[2]), timeout=10)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_nobody_comes_in_without_the_password(served_home: Home):
    server = startup.prefect_server(served_home.settings)
    assert _status(server, "/api/flows/count", "POST") == http.client.UNAUTHORIZED
    assert _status(server, "/") == http.client.OK  # the UI, which then asks for it


def test_secrets_are_the_owners_alone_and_in_no_process_list(served_home: Home):
    server = startup.prefect_server(served_home.settings)
    for name in ("login", "profiles.toml", "server.json"):
        assert (server.folder / name).stat().st_mode & 0o077 == 0
    secrets = [
        server.login_file.read_text().partition(":")[2],
        *(file.read_text().strip() for file in served_home.settings.warehouse_folder.glob("*.password")),
    ]
    assert len(secrets) > 2
    for process in psutil.process_iter(["cmdline"]):
        shown = " ".join(process.info["cmdline"] or [])
        assert not any(secret in shown for secret in secrets)


def test_its_data_is_in_postgresql(served_home: Home):
    import psycopg

    from flows.io import embedded_server

    url = embedded_server.ensure_running(served_home.settings).url("prefect")
    with psycopg.connect(url) as connection:
        assert connection.execute("select to_regclass('public.flow_run')").fetchone() != (None,)


def test_it_is_started_once_however_often_it_is_asked_for(served_home: Home):
    server = startup.prefect_server(served_home.settings)
    before = _pid(server)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: startup.prefect_server(served_home.settings).ensure_running(), range(4)))
    assert _pid(server) == before


def test_after_a_crash_it_comes_back_on_the_same_port(served_home: Home):
    server = startup.prefect_server(served_home.settings)
    pid, address = _pid(server), server.ui_url
    os.kill(pid, signal.SIGKILL)
    _wait_until_gone(pid)
    assert not server.is_running()
    server.ensure_running()
    assert server.is_running()
    assert server.ui_url == address
    assert _pid(server) != pid


def test_it_outlives_a_restart_of_postgresql(served_home: Home):
    from flows.io import embedded_server

    server = startup.prefect_server(served_home.settings)
    server.ensure_running()
    embedded_server.stop(served_home.settings)
    startup.begin(served_home.settings).prefect.ensure_running()
    assert json.loads(_ask(server, "/api/flows/count", "POST")) >= 0


def _ask(server: PrefectServer, path: str, method: str) -> str:
    from base64 import b64encode

    connection = http.client.HTTPConnection(HOST, int(server.ui_url.rpartition(":")[2]), timeout=30)
    login = b64encode(server.login_file.read_bytes()).decode()
    try:
        connection.request(
            method, path, body="{}", headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == http.client.OK, text
        return text
    finally:
        connection.close()


def test_a_server_that_cannot_start_names_its_log(tmp_path: Path):
    server = PrefectServer(tmp_path, "postgresql+asyncpg://nobody:x@127.0.0.1:1/nothing")
    with pytest.raises(PrefectServerError, match=r"prefect-server\.log"):
        server.ensure_running(timeout_s=30)
    assert not server.stop()


def test_a_home_without_a_server_says_so(tmp_path: Path):
    server = PrefectServer(tmp_path)
    assert not server.is_running()
    assert not server.stop()
    with pytest.raises(PrefectServerError, match="opsmart nightly"):
        _ = server.ui_url


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
