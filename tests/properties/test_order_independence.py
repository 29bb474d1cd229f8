"""The mart is a function of the set of accepted extracts: any order, any repetition, any grouping into runs."""

from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.io import gates
from flows.io.embedded_server import Server
from flows.io.warehouse import Warehouse
from flows.settings import load_settings
from schemas.catalog import DIMENSIONS, FACTS
from tests.conftest import fresh_database
from tests.properties.extracts import Mart, arranged, some_extracts
from tests.shop import same_mart

SETS, ARRANGEMENTS = 25, 8
"""Each arrangement is an example: 200 in all."""
WITH_DIMENSIONS = 0.15
"""Dimensions take twice as long as the rest, and most extracts only name members in them."""
HASTY = "-c%20synchronous_commit%3Doff"
"""No crash of the server is tried here, so no commit need wait for the disk."""


@pytest.fixture(scope="module")
def mart(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mart]:
    """An empty mart without gates: of what they hold back the last build that passed stays, in any order."""
    home = tmp_path_factory.mktemp("mart")
    (home / "bare" / "sql" / "sources").mkdir(parents=True)
    with fresh_database(server) as url, pytest.MonkeyPatch.context() as patched:
        patched.setattr(gates, "judge_slices", lambda *_, **__: [])
        with closing(Warehouse(f"{url}?options={HASTY}")) as warehouse:
            yield Mart(load_settings(home=home, warehouse_url=url, project_root=home / "bare"), warehouse)


def try_arrangements(mart: Mart, seed: int) -> None:
    random = Random(seed)
    extracts = some_extracts(random)
    tables = (DIMENSIONS, FACTS) if random.random() < WITH_DIMENSIONS else (FACTS,)
    undisturbed = mart.run([extracts], tables)
    for _ in range(ARRANGEMENTS):
        runs = arranged(random, extracts)
        try:
            same_mart(mart.run(runs, tables), undisturbed)
        except AssertionError as error:
            said = "; ".join(", ".join(f"{e.dataset} {e.slot} r{e.revision}" for e in run) for run in runs)
            raise AssertionError(f"arrived as {said}: {error}") from None


@pytest.mark.timeout(900)
@settings(max_examples=SETS, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_any_arrangement_of_extracts_makes_the_same_mart(mart: Mart, seed: int) -> None:
    try_arrangements(mart, seed)


@pytest.mark.soak
@pytest.mark.parametrize("hundred", range(10))
def test_thousands_of_arrangements_make_the_same_mart(mart: Mart, hundred: int) -> None:
    for seed in range(hundred * 100, hundred * 100 + 100):
        try_arrangements(mart, seed)
