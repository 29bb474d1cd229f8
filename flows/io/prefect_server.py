"""The Prefect server of one home: a background process of its own, started when it is needed and not running.

It listens on 127.0.0.1 only, asks for a password (generated once, readable by the owner alone) and keeps its data in
a PostgreSQL database. Nothing here imports Prefect: a night without news asks for the server's health by a plain HTTP
request, and Prefect reads its settings from the environment when it is imported, so `client_environment` must be in
the environment before.
"""

import contextlib
import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flows.events import Event
from flows.settings import child_environment
from schemas.errors import OpsmartError

HOST = "127.0.0.1"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 15.0
PROBE_TIMEOUT_S = 5.0
LOG_LIMIT_BYTES = 5_000_000

_LOGGING_YAML = """\
version: 1
disable_existing_loggers: false
formatters:
  line:
    format: "%(asctime)s %(levelname)-7s %(name)s %(message)s"
handlers:
  api: {class: prefect.logging.handlers.APILogHandler, level: 0}
  worker_api: {class: prefect.logging.handlers.WorkerAPILogHandler, level: 0}
  file:
    class: logging.handlers.RotatingFileHandler
    filename: %(log_file)s
    maxBytes: 5000000
    backupCount: 3
    encoding: utf-8
    delay: true
    formatter: line
    level: 0
loggers:
  prefect: {level: INFO}
  prefect.extra: {level: INFO, handlers: [api]}
  prefect.flow_runs: {level: NOTSET, handlers: [api]}
  prefect.task_runs: {level: NOTSET, handlers: [api]}
  prefect.workers: {level: NOTSET, handlers: [worker_api]}
root: {level: WARNING, handlers: [file]}
"""


class PrefectServerError(OpsmartError):
    """The Prefect server does not start or does not answer."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What `server.json` says of the process; `started_at` tells it from a later process with the same id."""

    pid: int
    port: int
    started_at: float


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """The Prefect server that belongs to one home.

    `home` is opsmart's home; `database_url` the SQLAlchemy URL (asyncpg) of Prefect's database, needed to start.
    """

    home: Path
    database_url: str | None = None

    @property
    def folder(self) -> Path:
        """Prefect's own home."""
        return self.home / "prefect"

    @property
    def login_file(self) -> Path:
        """File with `user:password`, which is what the UI asks for."""
        return self.folder / "login"

    @property
    def log_file(self) -> Path:
        """What the server itself writes."""
        return self.home / "logs" / "prefect-server.log"

    @property
    def ui_url(self) -> str:
        """Address of the UI; raises PrefectServerError when no server was ever started in this home."""
        return f"http://{HOST}:{self._known_port()}"

    @property
    def api_url(self) -> str:
        """Address of the API, as in PREFECT_API_URL."""
        return f"{self.ui_url}/api"

    def is_running(self) -> bool:
        """Whether this home's server answers (a few milliseconds)."""
        remembered = self._remembered()
        return remembered is not None and self._answers(remembered.port)

    def start(self) -> None:
        """Starts the server when it is not running and returns at once; `wait` waits for it to answer."""
        with self._locked():
            remembered = self._remembered()
            if remembered is not None and _is_alive(remembered):
                return
            self._launch(_free_port(remembered.port if remembered else None))

    def wait(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Waits until the server answers; raises PrefectServerError when it ended or takes longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.is_running():
            remembered = self._remembered()
            if remembered is None or not _is_alive(remembered):
                raise self._failure("The Prefect server ended while it was starting")
            if time.monotonic() > deadline:
                raise self._failure(f"The Prefect server did not answer within {timeout_s:.0f} s")
            time.sleep(0.05)

    def ensure_running(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Has the server running: starts it, and starts it again when its process lives but no longer answers."""
        if self.is_running():
            return
        self.start()
        try:
            self.wait(timeout_s)
        except PrefectServerError:
            self.stop()
            self.start()
            self.wait(timeout_s)

    def stop(self) -> bool:
        """Stops the server; False when none was running."""
        with self._locked():
            remembered = self._remembered()
            if remembered is None or not _is_alive(remembered):
                return False
            _signal(remembered.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while _is_alive(remembered) and time.monotonic() < deadline:
                time.sleep(0.05)
            if _is_alive(remembered):
                _signal(remembered.pid, signal.SIGKILL)
            return True

    def client_environment(self) -> dict[str, str]:
        """Prefect's settings of a process that talks to this server: put them there before Prefect is imported."""
        return {
            "PREFECT_HOME": str(self.folder),
            "PREFECT_PROFILES_PATH": str(self.folder / "profiles.toml"),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_API_AUTH_STRING": self._login(),
            "PREFECT_LOGGING_CONFIG_PATH": str(self.folder / "client_logging.yml"),
            "PREFECT_CLI_PROMPT": "false",
            # What the server answers while its database restarts.
            "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
            "DO_NOT_TRACK": "1",
        }

    def _server_environment(self, port: int) -> dict[str, str]:
        if self.database_url is None:
            raise PrefectServerError("Prefect's database is not known", remedy="start it with `opsmart warehouse up`")
        return {
            "PREFECT_HOME": str(self.folder),
            "PREFECT_PROFILES_PATH": str(self.folder / "profiles.toml"),
            "PREFECT_API_DATABASE_CONNECTION_URL": self.database_url,
            "PREFECT_API_URL": f"http://{HOST}:{port}/api",
            "PREFECT_API_AUTH_STRING": self._login(),
            "PREFECT_SERVER_API_AUTH_STRING": self._login(),
            "PREFECT_SERVER_API_HOST": HOST,
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            # Without this the run history grows for ever; events are vacuumed by default.
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
            "PREFECT_SERVER_UI_ENABLED": "true",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT__SERVER_FINAL": "1",
            "DO_NOT_TRACK": "1",
        }

    def _launch(self, port: int) -> None:
        self._prepare_folder(port)
        # The same command as `prefect server start --background` runs, without loading Prefect's command line first.
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        command += ["--host", HOST, "--port", str(port), "--log-level", "warning"]
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=child_environment(self._server_environment(port)),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _CHILDREN[process.pid] = process
        self._remember(_Remembered(process.pid, port, _started_at(process.pid) or 0.0))

    def _prepare_folder(self, port: int) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        log_file = json.dumps(str(self.home / "logs" / "opsmart.log"))
        _write_private(self.folder / "client_logging.yml", _LOGGING_YAML.replace("%(log_file)s", log_file))
        _write_private(
            self.folder / "profiles.toml",
            'active = "opsmart"\n\n[profiles.opsmart]\n'
            f'PREFECT_API_URL = "http://{HOST}:{port}/api"\nPREFECT_API_AUTH_STRING = "{self._login()}"\n',
        )

    def _login(self) -> str:
        """The text `user:password`, made up once."""
        if not self.login_file.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_private(self.login_file, f"admin:{secrets.token_urlsafe(24)}")
        return self.login_file.read_text(encoding="utf-8").strip()

    def _known_port(self) -> int:
        remembered = self._remembered()
        if remembered is None:
            raise PrefectServerError("No Prefect server runs here", where=str(self.folder), remedy="opsmart nightly")
        return remembered.port

    def _remembered(self) -> _Remembered | None:
        try:
            return _Remembered(**json.loads((self.folder / "server.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _remember(self, server: _Remembered) -> None:
        _write_private(self.folder / "server.json", json.dumps(asdict(server)))

    def _answers(self, port: int) -> bool:
        """Asks something that needs our password: another home's server on the same port is not ours."""
        try:
            return self._request(port, "GET", "/api/admin/version") == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def send_events(self, events: Sequence[Event]) -> None:
        """Sends events, all or none; raises PrefectServerError where the server does not take them."""
        if not events:
            return
        body = json.dumps([event.as_json(str(self.home)) for event in events])
        try:
            status = self._request(self._known_port(), "POST", "/api/events", body)
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(f"The Prefect server cannot be reached ({type(error).__name__})") from error
        if status != http.client.NO_CONTENT:
            raise self._failure(f"The Prefect server refused {len(events)} events (status {status})")

    def _request(self, port: int, method: str, path: str, body: str | None = None) -> int:
        """Status of the answer."""
        connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_TIMEOUT_S)
        try:
            login = b64encode(self._login().encode()).decode()
            headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One starter at a time: two commands begun together must not start two servers."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "server.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _failure(self, what: str) -> PrefectServerError:
        return PrefectServerError(
            f"{what}.", where=str(self.log_file), remedy="read the end of that file, then run the command again"
        )


_CHILDREN: dict[int, "subprocess.Popen[bytes]"] = {}
"""Servers started by this process, so that one that ended is seen as ended and not as a zombie."""


def _is_alive(server: _Remembered) -> bool:
    child = _CHILDREN.get(server.pid)
    if child is not None and child.poll() is not None:
        return False
    return _started_at(server.pid) == server.started_at


def _started_at(pid: int) -> float | None:
    """When the process began, in seconds since 1970; None where there is none, or a dead one nobody asked about."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def remember_process(file: Path, pid: int) -> None:
    """Writes down a process so that `remembered_process` finds it again, and no later one with the same number."""
    _write_private(file, json.dumps({"pid": pid, "started_at": _started_at(pid)}))


def remembered_process(file: Path) -> psutil.Process | None:
    """The process written down in `file`, if it is still alive."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return psutil.Process(known["pid"]) if _started_at(known["pid"]) == known["started_at"] else None
    except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _free_port(preferred: int | None) -> int:
    """A port nobody listens on: `preferred` where it is free, so that bookmarks of the UI go on working."""
    for port in (preferred or 0, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PrefectServerError("No free port on 127.0.0.1", remedy="close programs that listen on many ports")


def _write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
