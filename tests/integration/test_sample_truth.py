"""The sample company's facts equal the simulator's truth, its defects included."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import samples
from flows.io.warehouse import Warehouse
from flows.settings import Settings
from samples import Company
from schemas.catalog import FACTS
from tests.night import run_night, table

DIRT = 0.01


@pytest.fixture(scope="module")
def company() -> Company:
    """Four weeks over the turn of a month."""
    return samples.simulate(seed=7, days=28, scale=0.3)


def test_facts_equal_the_truth_and_a_second_night_writes_nothing(
    company: Company, settings: Settings, warehouse: Warehouse
) -> None:
    company.write(settings.landing, dirt=DIRT)
    report = run_night(settings)
    assert report.problems == []
    truth = company.truth(company.deliveries(dirt=DIRT))
    assert set(truth) == set(FACTS)
    for name, want in truth.items():
        _compare(want, table(warehouse, name))
    _compare_quarantine(company, warehouse)
    _compare_balance(company, warehouse)

    before = _last_published(warehouse)
    again = run_night(settings)
    assert again.taken == []
    assert again.built == []
    assert _last_published(warehouse) == before


def _compare(want: pl.DataFrame, have: pl.DataFrame) -> None:
    """Natural key and main measures, exactly."""
    columns = want.columns
    have = have.select(columns).cast({c: t for c, t in want.schema.items() if not isinstance(t, pl.Decimal)})
    have = have.with_columns(pl.col(c).cast(t) for c, t in want.schema.items())
    assert_frame_equal(have.sort(columns), want.sort(columns))


def _last_published(warehouse: Warehouse) -> object:
    with warehouse.session() as session:
        return session.value("select max(published_at) from ops.slice")


def _compare_quarantine(company: Company, warehouse: Warehouse) -> None:
    want = company.expected_quarantine(company.deliveries(dirt=DIRT))
    with warehouse.session() as session:
        have = session.fetch(
            "select distinct source, dataset, as_of, revision, row_no from ops.quarantined_row"
            " inner join ops.extract using (extract_id)"
        )
    keys = ["source", "dataset", "as_of", "revision"]
    counts = want.group_by(keys).agg(pl.col("row").n_unique().cast(pl.Int64).alias("rows")).sort(keys)
    found = have.group_by(keys).agg(pl.col("row_no").n_unique().cast(pl.Int64).alias("rows")).sort(keys)
    assert_frame_equal(found, counts.cast(dict(found.schema)))


def _compare_balance(company: Company, warehouse: Warehouse) -> None:
    want = company.expected_balance(company.deliveries(dirt=DIRT))
    names = ["rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate", "rows_excluded"]
    keys = ["source", "dataset", "as_of", "revision"]
    with warehouse.session() as session:
        have = session.fetch(f"select source, dataset, as_of, revision, {', '.join(names)} from ops.extract")
    want = want.group_by(keys).agg(pl.col(names).max())
    found = have.group_by(keys).agg(pl.col(names).max())
    assert_frame_equal(found.sort(keys), want.select(found.columns).cast(dict(found.schema)).sort(keys))
    assert have.filter(
        pl.col("rows_in") != pl.sum_horizontal("rows_accepted", "rows_quarantined", "rows_duplicate", "rows_excluded")
    ).is_empty()
