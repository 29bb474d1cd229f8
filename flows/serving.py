"""`opsmart serve`: one machine that keeps time by itself: PostgreSQL, Prefect server, deployments and a worker."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from flows import console, startup
from flows.io.prefect_server import remember_process, remembered_process
from flows.report import ExitCode
from flows.settings import Settings, child_environment
from schemas.errors import OpsmartError

POOL = "operations"
WORKER_FILE = "worker.json"
WORKER_STOP_TIMEOUT_S = 60.0


class ServeError(OpsmartError):
    """The deployments cannot be taken over, or the worker ended."""


def serve(installation: startup.Installation) -> ExitCode:
    """Runs until Ctrl-C or SIGTERM; then the worker is stopped, and after it the servers."""
    with _alone(installation.prefect.folder):
        return _serve(installation)


def _serve(installation: startup.Installation) -> ExitCode:
    settings, prefect = installation.settings, installation.prefect
    with console.waiting("Starting the Prefect server …"):
        prefect.ensure_running()
    environment = child_environment(prefect.client_environment() | _folders(settings))
    with console.waiting("Taking over the deployments …"):
        _prefect(environment, settings.project_root, "work-pool", "create", POOL, "--type", "process", "--overwrite")
        _prefect(environment, settings.project_root, "deploy", "--all")
    console.show_access(installation.access())
    console.out.print("Serving the deployments of prefect.yaml; Ctrl-C stops.")
    log = settings.home / "logs" / "worker.log"
    with log.open("ab") as file:
        worker = subprocess.Popen(
            [*_PREFECT, "worker", "start", "--pool", POOL, "--type", "process", "--name", "opsmart"],
            env=environment,
            cwd=settings.project_root,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    remember_process(prefect.folder / WORKER_FILE, worker.pid)
    stopped = _wait(worker)
    with console.waiting("Stopping …"):
        _stop(worker)
        startup.stop(settings)
    if not stopped:
        raise ServeError("The worker ended by itself.", where=str(log), remedy="read its end, then serve again")
    console.out.print("Stopped.")
    return ExitCode.OK


def _folders(settings: Settings) -> dict[str, str]:
    """Flow runs start in the project's folder; they must find this home, whatever its folders were relative to."""
    return {
        "OPSMART_HOME": str(settings.home),
        "OPSMART_LANDING": str(settings.landing),
        "OPSMART_LAKE": str(settings.lake),
        "OPSMART_SOURCES": os.pathsep.join(str(folder) for folder in settings.sources),
    }


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One `serve` for each home; a worker that outlived a killed one is stopped.

    Raises ServeError where another one is going on.
    """
    with (folder / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServeError("This home is being served already.", where=str(folder), remedy="stop that one") from None
        left = remembered_process(folder / WORKER_FILE)
        if left is not None:
            left.terminate()
        yield


_PREFECT = [sys.executable, "-m", "prefect"]


def _prefect(environment: dict[str, str], folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [*_PREFECT, "--no-prompt", *arguments],
        env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        last = " / ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        raise ServeError(f"Prefect refused: {last}", where=f"prefect {' '.join(arguments)}", remedy="mend prefect.yaml")


def _wait(worker: "subprocess.Popen[bytes]") -> bool:
    """Waits for a signal to stop (True) or for the worker to end by itself (False)."""
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    while not asked:
        try:
            worker.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
        return bool(asked)
    return True


def _stop(worker: "subprocess.Popen[bytes]") -> None:
    """Lets the worker end its runs' processes; a run that is cut off is taken up by the next one."""
    if worker.poll() is not None:
        return
    worker.send_signal(signal.SIGINT)
    try:
        worker.wait(WORKER_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
