"""The embedded warehouse: a real PostgreSQL server of our own, in `<home>/warehouse/`.

It listens on 127.0.0.1 only, asks everybody for a password, and goes on running until it is stopped. Everything here
can be repeated: after a crash at any point, the next `ensure_running` mends what was left.

    <home>/warehouse/
      data/                 PostgreSQL's data folder, its log in data/server.log
      <role>.password       one file per role, readable by its owner only
      port                  chosen once, so that a BI tool's connection lasts; write another number to change it
      lock                  held while the server is started or stopped
"""

import fcntl
import os
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psutil

from flows.io import home, postgres_binaries, postgres_config
from flows.io.postgres_binaries import Runner
from flows.settings import Settings
from schemas.errors import WarehouseError

HOST = "127.0.0.1"
DATABASE = "opsmart"
PREFECT_DATABASE = "prefect"

Role = Literal["admin", "loader", "reader", "prefect"]
ROLES: dict[Role, str] = {
    "admin": "opsmart_admin",
    "loader": "opsmart_loader",
    "reader": "opsmart_reader",
    "prefect": "opsmart_prefect",
}
LOWEST_PORT, HIGHEST_PORT = 15_432, 31_999
"""Below the ports that systems hand out to outgoing connections, which could be taken at the next start."""

START_TIMEOUT_S = 300
"""Recovery after a crash replays up to max_wal_size."""

STOP_TIMEOUT_S = 120
_PREPARED = "opsmart.prepared"


@dataclass(frozen=True, slots=True)
class Server:
    """A running embedded server."""

    folder: Path
    port: int
    pid: int
    host: str = HOST

    def url(self, role: Role = "loader", database: str | None = None) -> str:
        """The libpq URL with the role's password; `database` defaults to the role's own."""
        own = PREFECT_DATABASE if role == "prefect" else DATABASE
        password = quote(self.password_file(role).read_text().strip(), safe="")
        return f"postgresql://{ROLES[role]}:{password}@{self.host}:{self.port}/{database or own}"

    def password_file(self, role: Role) -> Path:
        """File that holds the role's password."""
        return self.folder / f"{ROLES[role]}.password"


def ensure_running(settings: Settings) -> Server:
    """The embedded server of this home: made, started and given its roles and databases where that is not done yet.

    Safe to call from several processes at once. Raises WarehouseError (disk full, port taken, data of another
    version, folder not writable, no user to run it).
    """
    folder = settings.warehouse_folder
    try:
        if not folder.exists():
            home.make(settings)
    except OSError as error:
        raise _as_warehouse_error(str(error), folder) from error
    with _lock(folder):
        data = folder / "data"
        running = _running(folder)
        if running is None:
            if data.exists():
                _check_version(data)
            runner = postgres_binaries.find_runner(folder)
            if not data.exists():
                _create(folder, runner)
            (data / _PREPARED).unlink(missing_ok=True)
            running = _start(folder, runner)
        # At each start, for a role may have changed its own password and settings.
        if not (data / _PREPARED).exists():
            from flows.io import embedded_roles

            embedded_roles.prepare(running, {role: _password(folder, role) for role in ROLES})
            (data / _PREPARED).touch()
        return running


def status(settings: Settings) -> Server | None:
    """The embedded server if it is running now, else None; starts nothing."""
    return _running(settings.warehouse_folder)


def stop(settings: Settings) -> bool:
    """Stop the embedded server: open transactions are rolled back. Returns whether one was running."""
    folder = settings.warehouse_folder
    if not (folder / "data").exists():
        return False
    with _lock(folder):
        if _running(folder) is None:
            return False
        runner = postgres_binaries.find_runner(folder)
        timeout = str(STOP_TIMEOUT_S)
        said = runner.run(
            "pg_ctl", "stop", "-D", folder / "data", "-m", "fast", "-w", "-t", timeout, timeout_s=STOP_TIMEOUT_S + 10
        )
        if said.returncode != 0:
            raise WarehouseError(
                f"The embedded PostgreSQL did not stop within {STOP_TIMEOUT_S} s.",
                where=str(folder),
                remedy=f"look at {folder / 'data' / 'server.log'}, end what is connected, and try again",
            )
        return True


def warehouse_url(settings: Settings, role: Role = "loader") -> str:
    """The warehouse as libpq URL: OPSMART_WAREHOUSE_URL where set, else the embedded server, started if need be.

    A server of your own is reached as the user its URL names; only that one (`loader`) is known to us.
    """
    if settings.warehouse_url is None:
        return ensure_running(settings).url(role)
    if role != "loader":
        raise WarehouseError(
            f"Only the loading user of the warehouse is known, not {ROLES[role]}.",
            where="OPSMART_WAREHOUSE_URL",
            remedy=f"give {ROLES[role]} a password on that server: alter role {ROLES[role]} login password '…'",
        )
    return settings.warehouse_url.get_secret_value()


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One process at a time makes, starts or stops the server; the lock goes with the process that holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # others may pass, for the server may run as another user; what is inside is closed
        folder.chmod(0o711)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _as_warehouse_error(str(error), folder) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _running(folder: Path) -> Server | None:
    """The server whose pid file lies in the data folder, if it is alive, is PostgreSQL, and listens."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _as_warehouse_error(str(error), folder) from error
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    pid, port = int(lines[0]), int(lines[3])
    return Server(folder, port, pid) if _is_postgres(pid) and _is_listening(port) else None


def _is_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        # a killed server stays as a zombie where nobody reaps it, as in many containers
        return process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_listening(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2):
            return True
    except OSError:
        return False


def _create(folder: Path, runner: Runner) -> None:
    """Make the data folder: beside its place first, so that a crash never leaves half of one."""
    new = folder / "data.new"
    password_file = folder / "initdb.password"
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        runner.owns(new)
        _write_private(password_file, _password(folder, "admin"))
        runner.owns(password_file)
        said = runner.run(
            "initdb", "-D", new, "-U", ROLES["admin"], f"--pwfile={password_file}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--data-checksums", "--no-instructions", timeout_s=START_TIMEOUT_S,
        )  # fmt: skip
        if said.returncode != 0:
            raise _as_warehouse_error(said.stderr or said.stdout, folder)
        with (new / "postgresql.conf").open("a") as config:
            config.write(f"\ninclude '{postgres_config.CONFIG_NAME}'\n")
        new.rename(folder / "data")
    except OSError as error:
        raise _as_warehouse_error(str(error), folder) from error
    finally:
        password_file.unlink(missing_ok=True)


def _start(folder: Path, runner: Runner) -> Server:
    """Start the server on its remembered port; the first time, on the first free one."""
    data = folder / "data"
    _remove_stale_pid_file(data)
    port_file = folder / "port"
    remembered = _remembered_port(port_file)
    for port in (remembered,) if remembered else _free_ports(folder):
        try:
            _start_on(port, data, runner)
        except WarehouseError:
            if remembered or _is_free(port):
                raise
            continue  # somebody took it since we looked
        if not remembered:
            port_file.write_text(f"{port}\n")
        if running := _running(folder):
            return running
        break
    raise WarehouseError(
        "The embedded PostgreSQL ended right after its start.", where=str(data / "server.log"), remedy="read that log"
    )


def _start_on(port: int, data: Path, runner: Runner) -> None:
    log = data / "server.log"
    try:
        has_lz4 = "--with-lz4" in runner.run("pg_config", "--configure", timeout_s=60).stdout
        postgres_config.write(data, port, runner, has_lz4=has_lz4)
        log.write_text("")
        runner.owns(log)
    except OSError as error:
        raise _as_warehouse_error(str(error), data.parent) from error
    deadline = time.monotonic() + 20
    while True:
        said = runner.run(
            "pg_ctl", "start", "-D", data, "-l", log, "-w", "-t", str(START_TIMEOUT_S), timeout_s=START_TIMEOUT_S + 10
        )
        text = log.read_text(errors="replace")
        if said.returncode == 0:
            return
        # the children of a killed server need a moment to notice
        if "pre-existing shared memory block" not in text or time.monotonic() > deadline:
            raise _as_warehouse_error(f"{said.stderr}\n{text}", data.parent, port)
        time.sleep(0.2)


def _check_version(data: Path) -> None:
    ours = postgres_binaries.major_version()
    theirs = (data / "PG_VERSION").read_text().strip() if (data / "PG_VERSION").is_file() else "an unknown version"
    if theirs != str(ours):
        raise WarehouseError(
            f"The warehouse's data was written by PostgreSQL {theirs}; the embedded server is {ours}.",
            where=str(data),
            remedy=f"move {data} away; the next run makes a new one and `opsmart rebuild` fills it from the lake;"
            f" or run it with PostgreSQL {theirs}, dump and restore",
        )


def _remove_stale_pid_file(data: Path) -> None:
    """Remove the pid file of a killed server whose number another program has got since: PostgreSQL would not start.

    Should a child of that server still be at work, PostgreSQL sees it by the shared memory and refuses all the same.
    """
    file = data / "postmaster.pid"
    if not file.exists():
        return
    first = file.read_text().partition("\n")[0].strip()
    if not first.isdigit() or not _is_postgres(int(first)):
        file.unlink()


def _remembered_port(file: Path) -> int | None:
    text = file.read_text().strip() if file.exists() else ""
    if not text:
        return None
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise WarehouseError(f"{text!r} is not a port.", where=str(file), remedy="write a number into it, or delete it")
    return int(text)


def _free_ports(folder: Path) -> Iterator[int]:
    """Ports that are free now; where the search begins depends on the home, so that two homes hardly ever meet."""
    count = HIGHEST_PORT - LOWEST_PORT + 1
    first = zlib.crc32(str(folder).encode()) % count
    for step in range(count):
        port = LOWEST_PORT + (first + step) % count
        if _is_free(port):
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _password(folder: Path, role: Role) -> str:
    """The role's password; made on first use."""
    file = folder / f"{ROLES[role]}.password"
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(24))
    return file.read_text().strip()


def _write_private(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text + "\n")


_KNOWN_FAILURES = (
    ("No space left on device", "The disk is full.", "make room on the disk of {folder}, then run it again"),
    ("Disk quota exceeded", "The disk quota is used up.", "make room on the disk of {folder}, then run it again"),
    (
        "Address already in use",
        "Port {port} of the embedded PostgreSQL is taken by another program.",
        "end that program, or delete {folder}/port to have a new port chosen (then tell your BI tools)",
    ),
    ("Permission denied", "The warehouse's folder cannot be used.", "give its owner the right to write {folder}"),
    ("Read-only file system", "The warehouse's folder cannot be written.", "choose another OPSMART_HOME"),
    ("Cannot allocate memory", "There is not enough memory for PostgreSQL.", "end other programs, then run it again"),
)


def _as_warehouse_error(text: str, folder: Path, port: int | None = None) -> WarehouseError:
    for sign, what, remedy in _KNOWN_FAILURES:
        if sign in text:
            return WarehouseError(
                what.format(port=port), where=str(folder), remedy=remedy.format(folder=folder, port=port)
            )
    last = [line for line in text.splitlines() if line.strip()][-3:]
    return WarehouseError(
        "The embedded PostgreSQL did not start: " + " / ".join(last),
        where=str(folder),
        remedy=f"read {folder / 'data' / 'server.log'}, or set OPSMART_WAREHOUSE_URL to a PostgreSQL of your own",
    )
