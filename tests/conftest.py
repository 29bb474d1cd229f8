"""What tests share: a home of their own, one real PostgreSQL per run, a fresh database per test, the real data."""

import itertools
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from flows.io import embedded_server
from flows.io.embedded_server import ROLES, Server
from flows.io.migrate import migrate
from flows.io.pull import complete
from flows.io.warehouse import Warehouse
from flows.settings import NOT_OURS, Settings, load_settings

TEMPLATE = "template_opsmart"
QUICK = ("contracts", "golden", "unit")
"""Folders of tests that take next to no time each."""

_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first: no worker waits at the end for another one's last file."""
    items.sort(key=lambda item: item.path.parent.name in QUICK)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own OPSMART_ variables must not reach a test."""
    for name in list(os.environ):
        if name.startswith("OPSMART_") and name not in NOT_OURS:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _no_quiet_time() -> Iterator[None]:
    """Tests do not wait until the file that they have just written has not changed for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(complete, "QUIET_S", 0.0)
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home, for one test."""
    return tmp_path / "home"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running embedded server with a migrated template database; one per worker, stopped at the end."""
    settings = load_settings(home=tmp_path_factory.mktemp("server"))
    try:
        running = embedded_server.ensure_running(settings)
        with psycopg.connect(running.url("admin", "postgres"), autocommit=True) as connection:
            connection.execute(_create_database(TEMPLATE, "template0"))
            # Nothing here is to survive this machine, and no commit need wait for its disk.
            connection.execute("alter system set fsync = off")
            connection.execute("select pg_reload_conf()")
        migrate(running.url("loader", TEMPLATE))
        yield running
    finally:
        embedded_server.stop(settings)


@contextmanager
def fresh_database(server: Server, template: str = TEMPLATE) -> Iterator[str]:
    """A libpq URL of opsmart_loader to a fresh, migrated, empty database, or a copy of `template`; gone afterwards."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.url("admin", "postgres"), autocommit=True) as connection:
        connection.execute(_create_database(name, template))
        # a database's own rights are not copied from its template
        connection.execute(sql.SQL("revoke temporary on database {} from public").format(sql.Identifier(name)))
        try:
            yield server.url("loader", name)
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def warehouse_url(server: Server) -> Iterator[str]:
    """A fresh database of the test's own."""
    with fresh_database(server) as url:
        yield url


@pytest.fixture
def reader_url(server: Server, warehouse_url: str) -> str:
    """The same database as opsmart_reader."""
    return server.url("reader", warehouse_url.rpartition("/")[2])


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """A fresh, migrated, empty warehouse."""
    with closing(Warehouse(warehouse_url)) as warehouse:
        yield warehouse


@pytest.fixture
def settings(home: Path, warehouse_url: str) -> Settings:
    """Settings of an empty home whose warehouse is a fresh database."""
    return load_settings(home=home, warehouse_url=warehouse_url)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of the real data; the test is skipped where there is none."""
    folder = Path(os.environ.get("OPSMART_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (folder / "adventureworks").is_dir():
        pytest.skip(f"real data is not in {folder}; set OPSMART_TEST_DATA")
    return folder


def _create_database(name: str, template: str) -> sql.Composed:
    return sql.SQL("create database {} template {} owner {}").format(
        sql.Identifier(name), sql.Identifier(template), sql.Identifier(ROLES["loader"])
    )
