"""Any deliveries of the sample company, in any order and grouped into any nights, come to the simulator's truth."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import samples
from flows.io.embedded_server import Server
from flows.io.warehouse import Warehouse
from flows.settings import load_settings
from schemas.catalog import DIMENSIONS, FACTS
from tests.conftest import fresh_database
from tests.night import run_night, tables
from tests.properties.extracts import THEMES
from tests.shop import same_mart

DIRT = 0.03
SETS, ARRANGEMENTS = 5, 3
"""Each arrangement is an example: 15 in all."""


def some_deliveries(random: Random) -> tuple[samples.Company, list[samples.Delivery]]:
    """A company and some of its deliveries that have to do with each other, copies and corrections among them."""
    company = samples.tiny(random.randrange(10_000))
    datasets = random.choice(THEMES)
    found = [delivery for delivery in company.deliveries(dirt=DIRT) if delivery.dataset in datasets]
    return company, [found[n] for n in sorted(random.sample(range(len(found)), min(len(found), random.randint(4, 9))))]


def mart_of(server: Server, nights: Sequence[Sequence[samples.Delivery]]) -> dict[str, pl.DataFrame]:
    """What is in the mart when the deliveries of the last night are taken; a file that is there already comes again."""
    with fresh_database(server) as url, TemporaryDirectory() as home:
        settings_ = load_settings(home=Path(home), warehouse_url=url)
        for night in nights:
            for delivery in night:
                delivery.write(settings_.landing)
            run_night(settings_)
        with closing(Warehouse.at(url)) as warehouse:
            with warehouse.session() as session:
                held = session.fetch("select 1 from ops.extract where state = 'blocked'").height
                held += session.fetch("select 1 from ops.dirty_slice where state = 'blocked'").height
            assert not held, "a gate blocks: the deliveries prove nothing"
            return tables(warehouse, (*FACTS, *DIMENSIONS))


def try_deliveries(server: Server, seed: int) -> None:
    random = Random(seed)
    company, deliveries = some_deliveries(random)
    undisturbed = mart_of(server, [deliveries])
    for name, want in company.truth(deliveries).items():
        found = undisturbed[name].select(pl.col(column).cast(dtype) for column, dtype in want.schema.items())
        assert_frame_equal(found.sort(want.columns), want.sort(want.columns))
    for _ in range(ARRANGEMENTS):
        order = deliveries + random.choices(deliveries, k=2)
        random.shuffle(order)
        cut = random.randint(0, len(order))
        nights = [night for night in (order[:cut], order[cut:]) if night]
        try:
            same_mart(mart_of(server, nights), undisturbed)
        except AssertionError as error:
            said = "; ".join(", ".join(f"{d.name} {d.slot}" for d in night) for night in nights)
            raise AssertionError(f"company {company.plan.seed}, arrived as {said}: {error}") from None


@pytest.mark.timeout(900)
@settings(max_examples=SETS, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_any_deliveries_come_to_the_truth(server: Server, seed: int) -> None:
    try_deliveries(server, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100))
def test_hundreds_of_deliveries_come_to_the_truth(server: Server, seed: int) -> None:
    try_deliveries(server, seed)
