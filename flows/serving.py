"""`opsmart serve`: one machine that goes by itself: servers, deployments, a worker, the watch, and what arrives."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from flows import console, startup
from flows.arrivals import Arrivals
from flows.io.prefect_server import remember_process, remembered_process
from flows.report import ExitCode
from flows.settings import Settings, child_environment, put_into_environment
from flows.watching import Watcher
from schemas.errors import OpsmartError

POOL = "operations"
WORKER_FILE = "worker.json"
STOP_TIMEOUT_S = 60.0
LOOK_S = 5.0
"""How often it is seen to that the servers run."""


class ServeError(OpsmartError):
    """The deployments cannot be taken over, or the worker ended."""


def serve(installation: startup.Installation) -> ExitCode:
    """Runs until Ctrl-C or SIGTERM; then watch, arrivals and worker are stopped, and after them the servers.

    Arrivals are taken in this process, which stays warm. The night, backfills and rebuilds are the worker's, in a
    process each: what they take of memory is given back.
    """
    with _alone(installation.prefect.folder):
        return _serve(installation)


def watch(installation: startup.Installation) -> ExitCode:
    """Watches the landing zone until Ctrl-C or SIGTERM. Several watches of one home tell nothing twice."""
    installation.prefect.ensure_running()
    stop = _stopped_by_signals()
    console.out.print(f"Watching {installation.settings.landing}; Ctrl-C stops.", markup=False)
    _watcher(installation).run(stop)
    console.out.print("Stopped.")
    return ExitCode.OK


def _watcher(installation: startup.Installation) -> Watcher:
    def tell(text: str) -> None:
        console.out.print(text, markup=False)

    return Watcher(installation.settings, installation.prefect.send_events, tell)


def _serve(installation: startup.Installation) -> ExitCode:
    settings, prefect = installation.settings, installation.prefect
    stop = _stopped_by_signals()
    with console.waiting("Starting the Prefect server …"):
        prefect.ensure_running()
    # from here on Prefect may be imported
    put_into_environment(prefect.client_environment())
    environment = child_environment(prefect.client_environment() | _folders(settings))
    with console.waiting("Taking over the deployments …"):
        _prefect(environment, settings.project_root, "work-pool", "create", POOL, "--type", "process", "--overwrite")
        _prefect(environment, settings.project_root, "deploy", "--all")
    console.show_access(installation.access())
    console.out.print("Serving the deployments of prefect.yaml; Ctrl-C stops.")
    log = settings.home / "logs" / "worker.log"
    worker = _start_worker(environment, settings.project_root, log)
    remember_process(prefect.folder / WORKER_FILE, worker.pid)

    def keep_up(stop: threading.Event) -> None:
        while not stop.wait(LOOK_S):
            startup.prefect_server(settings).ensure_running()

    parts = (_watcher(installation).run, Arrivals(settings).run, keep_up)
    threads = [_Thread(part, stop) for part in parts]
    while not stop.wait(0.5) and worker.poll() is None and all(thread.is_alive() for thread in threads):
        pass
    is_asked = stop.is_set()
    stop.set()
    with console.waiting("Stopping …"):
        for thread in threads:
            thread.join(STOP_TIMEOUT_S)
        _stop(worker)
        startup.stop(settings)
    for thread in threads:
        if thread.error is not None:
            raise thread.error
    if not is_asked:
        raise ServeError("The worker ended by itself.", where=str(log), remedy="read its end, then serve again")
    console.out.print("Stopped.")
    return ExitCode.OK


class _Thread(threading.Thread):
    """Runs `work` beside the worker; keeps the error that ended it."""

    def __init__(self, work: Callable[[threading.Event], None], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._work, self._stop_asked = work, stop
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Until it is asked to stop."""
        try:
            self._work(self._stop_asked)
        except Exception as error:  # noqa: BLE001 - raised by the main thread once the servers are stopped
            self.error = error


def _start_worker(environment: dict[str, str], folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    """A worker for all deployments but those of the queue of arrivals."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [*_PREFECT, "worker", "start", "--pool", POOL, "--type", "process", "--name", "opsmart",
             "--work-queue", "default"],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


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


def _stopped_by_signals() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return stop


def _stop(worker: "subprocess.Popen[bytes]") -> None:
    """Lets the worker end its runs' processes; a run that is cut off is taken up by the next one."""
    if worker.poll() is not None:
        return
    worker.send_signal(signal.SIGINT)
    try:
        worker.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
