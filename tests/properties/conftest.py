"""What tests of properties share: a mart that is emptied instead of made anew."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from flows.io import gates
from flows.io.embedded_server import Server
from flows.io.warehouse import Warehouse
from flows.settings import load_settings
from tests.conftest import fresh_database
from tests.properties.extracts import Mart


@pytest.fixture(scope="module")
def mart(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mart]:
    """An empty mart without gates: of what they hold back the last build that passed stays, in any order."""
    home = tmp_path_factory.mktemp("mart")
    (home / "bare" / "sql" / "sources").mkdir(parents=True)
    with fresh_database(server) as url, pytest.MonkeyPatch.context() as patched:
        patched.setattr(gates, "judge_slices", lambda *_, **__: [])
        with closing(Warehouse(url)) as warehouse:
            yield Mart(load_settings(home=home, warehouse_url=url, project_root=home / "bare"), warehouse)
