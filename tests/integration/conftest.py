"""A shop: small sources of a test's own, in a fresh home and a fresh warehouse."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.io.embedded_server import Server
from flows.settings import load_settings
from tests.conftest import fresh_database
from tests.shop import Shop, same_mart


@pytest.fixture
def shop(home: Path, tmp_path: Path, warehouse_url: str) -> Iterator[Shop]:
    """No source yet, nothing delivered."""
    # Without the sources that come along: reading them each night is most of a small night.
    (tmp_path / "bare" / "sql" / "sources").mkdir(parents=True)
    settings = load_settings(
        home=home, warehouse_url=warehouse_url, sources=(tmp_path / "sources",), project_root=tmp_path / "bare"
    )
    with Shop(settings) as shop:
        yield shop


@pytest.fixture
def from_scratch(server: Server, tmp_path: Path) -> Callable[[Shop], None]:
    """Compares a shop's mart with one that gets all its files in one night."""

    def compare(shop: Shop) -> None:
        with fresh_database(server) as url, shop.at(tmp_path / "from_scratch", url) as other:
            other.night()
            same_mart(shop.mart(), other.mart())

    return compare
