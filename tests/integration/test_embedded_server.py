"""The embedded server: a real PostgreSQL that starts anywhere, asks for passwords, and survives what happens to it."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import psycopg
import pytest

from flows.io import embedded_server, postgres_binaries, postgres_config
from flows.io.embedded_server import ROLES
from flows.settings import Settings, load_settings
from schemas.errors import WarehouseError

ENSURE = """
import sys
from flows.io import embedded_server
from flows.settings import load_settings
server = embedded_server.ensure_running(load_settings(home=sys.argv[1]))
print(server.pid, server.port)
"""
GIB = postgres_config.GIB


@pytest.fixture
def new(home: Path) -> Iterator[Settings]:
    """Settings of a home that has no server yet; what the test starts is stopped."""
    settings = load_settings(home=home)
    yield settings
    embedded_server.stop(settings)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a home whose server the tests of this file may kill, stop and restart."""
    settings = load_settings(home=tmp_path_factory.mktemp("own"))
    yield settings
    embedded_server.stop(settings)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def _ensure_in_another_process(home: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", ENSURE, str(home)], stdout=subprocess.PIPE, text=True)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while _is_alive(pid):
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_that_start_it_at_once_share_one_server_that_outlives_them(new: Settings) -> None:
    processes = [_ensure_in_another_process(new.home) for _ in range(3)]
    said = {process.communicate(timeout=60)[0] for process in processes}
    assert len(said) == 1
    server = embedded_server.ensure_running(new)
    assert said == {f"{server.pid} {server.port}\n"}
    assert embedded_server.status(new) == server


def test_every_role_has_its_own_password_in_a_private_file(own: Settings) -> None:
    server = embedded_server.ensure_running(own)
    passwords = set()
    for role, name in ROLES.items():
        file = server.password_file(role)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        passwords.add(file.read_text().strip())
        with psycopg.connect(server.url(role)) as connection:
            assert connection.info.user == name
    assert len(passwords) == len(ROLES)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://opsmart_reader:guessed@{server.host}:{server.port}/opsmart")
    for database in ("prefect", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="denied"):
            psycopg.connect(server.url("reader", database))


def test_it_is_set_up_for_this_machine_only(own: Settings) -> None:
    server = embedded_server.ensure_running(own)
    with psycopg.connect(server.url("admin")) as connection:
        wanted = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "server_encoding": "UTF8",
            "data_checksums": "on",
            "password_encryption": "scram-sha-256",
            "synchronous_commit": "on",
            "jit": "off",
            "TimeZone": "UTC",
        }
        for name, value in wanted.items():
            assert connection.execute("select current_setting(%s)", (name,)).fetchone() == (value,), name
        rules = connection.execute("select distinct type, auth_method from pg_hba_file_rules").fetchall()
    assert rules == [("host", "scram-sha-256")]


def test_a_killed_server_comes_back_with_what_was_committed(own: Settings) -> None:
    server = embedded_server.ensure_running(own)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("create table if not exists kept as select 42 as answer")
    _kill(server.pid)
    assert embedded_server.status(own) is None
    again = embedded_server.ensure_running(own)
    assert again.port == server.port
    with psycopg.connect(again.url()) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_a_stale_pid_file_whose_number_another_program_got_is_no_obstacle(own: Settings) -> None:
    embedded_server.ensure_running(own)
    pid_file = own.warehouse_folder / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    embedded_server.stop(own)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert embedded_server.status(own) is None
    assert embedded_server.ensure_running(own).pid != os.getpid()


def test_what_a_crash_left_of_the_first_start_is_mended(new: Settings) -> None:
    half = new.warehouse_folder / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = embedded_server.ensure_running(new)
    # as if the process had ended before roles and databases were there
    (new.warehouse_folder / "data" / "opsmart.prepared").unlink()
    with psycopg.connect(server.url("admin", "postgres"), autocommit=True) as connection:
        connection.execute("drop database opsmart")
        connection.execute("drop role opsmart_reader")
    with psycopg.connect(embedded_server.ensure_running(new).url("reader")) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_start_sets_a_roles_password_and_settings_back(own: Settings) -> None:
    running = embedded_server.ensure_running(own)
    with psycopg.connect(running.url("reader"), autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute("alter role opsmart_reader set statement_timeout = '1ms'")
        connection.execute("alter role opsmart_reader password 'mine'")
    embedded_server.stop(own)
    with psycopg.connect(embedded_server.ensure_running(own).url("reader")) as connection:
        assert connection.execute("show statement_timeout").fetchone() == ("15min",)


def test_stopping_is_quick_and_may_be_repeated(own: Settings) -> None:
    server = embedded_server.ensure_running(own)
    connection = psycopg.connect(server.url(), autocommit=True)
    assert embedded_server.stop(own) is True
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    connection.close()
    assert embedded_server.stop(own) is False
    assert embedded_server.status(own) is None


def test_the_first_start_takes_a_free_port(new: Settings, monkeypatch: pytest.MonkeyPatch, taken_port: int) -> None:
    # The one that is taken first, as if somebody had taken it since we looked.
    free = embedded_server._free_ports(new.warehouse_folder)
    monkeypatch.setattr(embedded_server, "_free_ports", lambda _folder: chain([taken_port], free))
    assert embedded_server.ensure_running(new).port != taken_port


def test_a_remembered_port_that_is_taken_is_named(own: Settings, taken_port: int) -> None:
    embedded_server.ensure_running(own)
    embedded_server.stop(own)
    port_file = own.warehouse_folder / "port"
    remembered = port_file.read_text()
    port_file.write_text(f"{taken_port}\n")
    with pytest.raises(WarehouseError) as caught:
        embedded_server.ensure_running(own)
    port_file.write_text(remembered)
    assert str(taken_port) in caught.value.what
    assert "port" in caught.value.remedy


def test_data_of_another_version_is_left_alone(new: Settings) -> None:
    data = new.warehouse_folder / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("13\n")
    with pytest.raises(WarehouseError, match="PostgreSQL 13"):
        embedded_server.ensure_running(new)
    assert [file.name for file in data.iterdir()] == ["PG_VERSION"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that are closed to the server's user")
def test_root_may_keep_project_and_home_in_a_closed_folder(
    new: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = postgres_binaries.binaries().parents[1]
    closed = tmp_path / "closed"
    for folder in (installed, installed.with_name(f"{installed.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, closed / folder.name)
    closed.chmod(0o700)
    monkeypatch.setattr(postgres_binaries, "binaries", lambda: closed / installed.name / "pginstall" / "bin")
    with psycopg.connect(embedded_server.ensure_running(new).url()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_home_that_cannot_be_a_folder_is_named(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(WarehouseError) as caught:
        embedded_server.ensure_running(load_settings(home=home))
    assert str(home) in caught.value.where


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_home_that_cannot_be_written_is_named(home: Path) -> None:
    home.mkdir(mode=0o500)
    with pytest.raises(WarehouseError) as caught:
        embedded_server.ensure_running(load_settings(home=home))
    assert str(home) in caught.value.where


def test_a_full_disk_is_called_so(home: Path) -> None:
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", home], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount the small disk of this test")
    try:
        with pytest.raises(WarehouseError, match="disk is full"):
            embedded_server.ensure_running(load_settings(home=home))
    finally:
        subprocess.run(["umount", home], check=True)


def test_a_server_of_ones_own_is_used_as_its_url_says(home: Path) -> None:
    url = "postgresql://me:secret@host/mart"
    settings = load_settings(home=home, warehouse_url=url)
    assert embedded_server.warehouse_url(settings) == url
    with pytest.raises(WarehouseError, match="opsmart_reader"):
        embedded_server.warehouse_url(settings, "reader")
    assert not home.exists()


@pytest.mark.parametrize(
    ("memory", "free_disk", "shared_memory", "expected"),
    [
        (24 * GIB, 100 * GIB, 12 * GIB, {"shared_buffers": "1024MB", "max_wal_size": "8192MB"}),
        (4 * GIB, 8 * GIB, 64 * 2**20, {"shared_buffers": "512MB", "max_wal_size": "2048MB"}),
        (GIB // 4, GIB, None, {"shared_buffers": "32MB", "dynamic_shared_memory_type": "mmap"}),
    ],
)
def test_sizes_follow_the_machine(
    memory: int, free_disk: int, shared_memory: int | None, expected: dict[str, str]
) -> None:
    text = postgres_config.render(5432, memory=memory, free_disk=free_disk, shared_memory=shared_memory, has_lz4=False)
    for name, value in expected.items():
        assert f"{name} = '{value}'" in text
