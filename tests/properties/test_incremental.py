"""Incremental equals full rebuild: any sequence of deliveries of the sample company, any grouping into nights."""

from contextlib import closing
from itertools import pairwise
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import samples
from flows import pipeline
from flows.io import embedded_server
from flows.io.metrics import Components
from flows.io.warehouse import Warehouse
from flows.settings import Settings, load_settings
from schemas.catalog import DIMENSIONS, FACTS
from tests.conftest import fresh_database
from tests.night import run_night, tables

EVERY_TABLE = (*FACTS, *DIMENSIONS)
NIGHTS = 5
"""At most so many: many small nights teach little that a few do not, and each has its own cost."""


def _rebuild(settings: Settings) -> None:
    """Empty the mart, forget what was published, and build every slice from the lake."""
    with closing(_warehouse(settings)) as warehouse, warehouse.session() as session:
        for name in (*EVERY_TABLE, "fct_metric_component"):
            session.execute(f"truncate mart.{name}")
        session.execute("delete from ops.slice")
        session.commit()
    with pipeline.open(settings) as pipe:
        for name in (*pipe.dirty_dimensions(), *pipe.dirty_facts()):
            pipe.build(name)


def _warehouse(settings: Settings) -> Warehouse:
    return Warehouse.at(settings.warehouse_url.get_secret_value())


def _mart(settings: Settings) -> dict[str, pl.DataFrame]:
    """Every table; and the sums that metrics are made of are those of the facts."""
    with closing(_warehouse(settings)) as warehouse:
        with warehouse.session() as session:
            assert [found for name in FACTS for found in Components.of(session, name).outdated(session)] == []
        return tables(warehouse, EVERY_TABLE)


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), shuffle=st.integers(0, 10_000))
def test_incremental_equals_full_rebuild(
    server: embedded_server.Server, tmp_path_factory: pytest.TempPathFactory, seed: int, shuffle: int
) -> None:
    random = Random(shuffle)
    home = tmp_path_factory.mktemp("incremental")
    with fresh_database(server) as url:
        settings_ = load_settings(home=home, warehouse_url=url)
        deliveries = samples.tiny(seed).deliveries(dirt=0.02)
        random.shuffle(deliveries)
        last = [*sorted(random.sample(range(1, len(deliveries)), random.randint(1, NIGHTS - 1))), len(deliveries)]
        for first, end in pairwise([0, *last]):
            for delivery in deliveries[first:end]:
                delivery.write(settings_.landing)
            run_night(settings_)
        incremental = _mart(settings_)
        _rebuild(settings_)
        rebuilt = _mart(settings_)
    for name in EVERY_TABLE:
        assert_frame_equal(incremental[name], rebuilt[name])
    assert incremental["fct_purchase_order_line"].height
