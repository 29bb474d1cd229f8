"""A shop: small sources of a test's own, in a fresh home and a fresh warehouse."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flows.io.embedded_server import Server
from flows.settings import load_settings
from tests.conftest import fresh_database
from tests.shop import Shop, same_mart

Made = tuple[Path, str]
"""Folder and database of a shop."""


@pytest.fixture
def shop(tmp_path: Path, warehouse_url: str) -> Iterator[Shop]:
    """No source yet, nothing delivered."""
    with _shop_in(tmp_path, warehouse_url) as shop:
        yield shop


@pytest.fixture(scope="module")
def _prepared(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("prepared")
    with fresh_database(server) as url:
        with _shop_in(folder, url) as shop:
            request.module.prepare(shop)
        yield folder, urlsplit(url).path.removeprefix("/")


@pytest.fixture
def prepared(_prepared: Made, server: Server, tmp_path: Path) -> Iterator[Shop]:
    """A copy of the shop that the file's function `prepare(shop)` has made, once for all its tests."""
    folder, database = _prepared
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with fresh_database(server, database) as url, _shop_in(tmp_path, url) as shop:
        yield shop


def _shop_in(folder: Path, warehouse_url: str) -> Shop:
    # Without the sources that come along: reading them each night is most of a small night.
    bare = folder / "bare"
    (bare / "sql" / "sources").mkdir(parents=True, exist_ok=True)
    settings = load_settings(
        home=folder / "home", warehouse_url=warehouse_url, sources=(folder / "sources",), project_root=bare
    )
    return Shop(settings)


@pytest.fixture
def from_scratch(server: Server, tmp_path: Path) -> Callable[[Shop], None]:
    """Compares a shop's mart with one that gets all its files in one night."""

    def compare(shop: Shop) -> None:
        with fresh_database(server) as url, shop.at(tmp_path / "from_scratch", url) as other:
            other.night()
            same_mart(shop.mart(), other.mart())

    return compare
