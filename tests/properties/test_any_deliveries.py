"""Any deliveries of the sample company, in any order and grouped into any nights, come to the simulator's truth."""

from contextlib import closing
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import samples
from flows.io import embedded_server
from flows.io.warehouse import Warehouse
from flows.settings import load_settings
from schemas.catalog import FACTS
from tests.conftest import fresh_database
from tests.night import run_night, table

DIRT = 0.03


@pytest.mark.timeout(900)
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), shuffle=st.integers(0, 10_000))
@example(seed=411, shuffle=5427)  # one delivery with a key in quarantine only and another key in two versions
def test_any_deliveries_come_to_the_truth(
    server: embedded_server.Server, tmp_path_factory: pytest.TempPathFactory, seed: int, shuffle: int
) -> None:
    random = Random(shuffle)
    company = samples.tiny(seed)
    deliveries = company.deliveries(dirt=DIRT)
    random.shuffle(deliveries)
    kept = deliveries[: random.randint(len(deliveries) // 2, len(deliveries))]
    with fresh_database(server) as url:
        settings_ = load_settings(home=tmp_path_factory.mktemp("any"), warehouse_url=url)
        nights = [*sorted(random.sample(range(1, len(kept)), 2)), len(kept)]
        first = 0
        for night in nights:
            for delivery in kept[first:night]:
                delivery.write(settings_.landing)
            run_night(settings_)
            first = night
        with closing(Warehouse.at(url)) as warehouse:
            have = {name: table(warehouse, name) for name in FACTS}
    for name, want in company.truth(kept).items():
        found = have[name].select(pl.col(column).cast(dtype) for column, dtype in want.schema.items())
        assert_frame_equal(found.sort(want.columns), want.sort(want.columns))
