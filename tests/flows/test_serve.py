"""`opsmart serve`: it takes over the deployments, its worker runs them, Ctrl-C ends all of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flows.io import embedded_server
from flows.io.prefect_server import PrefectServer
from tests.flows.conftest import Home

LIMIT_S = 120


def test_serve_runs_what_is_asked_for_until_it_is_stopped(tmp_path: Path):
    home = Home(tmp_path / "home")
    log = tmp_path / "serve.txt"
    with log.open("w") as file:
        serving = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "serve"],
            env=home.environment(), cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait_for(lambda: "Ctrl-C stops" in log.read_text(), serving)
        for deployment, parameters in (
            ("nightly/nightly", []),
            ("backfill/backfill", ["-p", "start=2025-01-01", "-p", "end=2025-01-31", "-p", "plan=true"]),
        ):
            started = home.prefect(
                "deployment", "run", deployment, *parameters, "--watch", "--watch-timeout", str(LIMIT_S)
            )
            assert "Completed" in started
        # nothing was delivered: the night built the empty dimensions, in this home
        assert home.json("status")["tables"]
        serving.send_signal(signal.SIGINT)
        assert serving.wait(LIMIT_S) == 0, log.read_text()
    finally:
        if serving.poll() is None:
            serving.kill()
            serving.wait()
    said = log.read_text()
    assert said.rstrip().endswith("Stopped.")
    assert "Traceback" not in said
    assert embedded_server.status(home.settings) is None
    assert not PrefectServer(home.folder).is_running()
    _no_process_of(home)


def _wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
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
