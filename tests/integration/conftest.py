"""A shop: small sources of a test's own, in a fresh home and a fresh warehouse."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.settings import load_settings
from tests.shop import Shop


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
