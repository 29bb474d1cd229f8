"""The sample company's facts and metrics equal the simulator's truth, its defects included."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import samples
from flows.io import headlines
from flows.io.embedded_server import Server
from flows.io.warehouse import Warehouse
from flows.settings import Settings, load_settings
from samples import Company
from samples.metrics import METRICS
from schemas.catalog import FACTS
from tests.conftest import fresh_database
from tests.metrics import differing, measured
from tests.night import run_night, table

DIRT = 0.01


@dataclass(frozen=True)
class Filled:
    """A company, and its mart after one night."""

    company: Company
    settings: Settings
    warehouse: Warehouse


@pytest.fixture(scope="module")
def filled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Four weeks over the turn of a month."""
    company = samples.simulate(seed=7, start=date(2025, 1, 15), days=28, scale=0.3)
    with fresh_database(server) as url:
        settings = load_settings(home=tmp_path_factory.mktemp("truth") / "home", warehouse_url=url)
        company.write(settings.landing, dirt=DIRT)
        assert run_night(settings).problems == []
        with closing(Warehouse(url)) as warehouse:
            yield Filled(company, settings, warehouse)


def test_facts_equal_the_truth(filled: Filled) -> None:
    truth = filled.company.truth(filled.company.deliveries(dirt=DIRT))
    assert set(truth) == set(FACTS)
    for name, want in truth.items():
        _compare(want, table(filled.warehouse, name))
    _compare_quarantine(filled.company, filled.warehouse)
    _compare_balance(filled.company, filled.warehouse)


def test_metrics_equal_the_truth_by_every_scope_day_and_month(filled: Filled) -> None:
    want, have = filled.company.metrics(filled.company.deliveries(dirt=DIRT)), measured(filled.warehouse)
    assert set(want["metric"]) == set(have["metric"]) == set(METRICS)
    shown = ["metric", "scope"]
    assert_frame_equal(want.select(shown).unique(), have.select(shown).unique(), check_row_order=False)
    assert differing(want, have).to_dicts() == []
    valued = want.drop_nulls("value")["metric"].unique()
    assert set(METRICS) - set(valued) == {"opex_ratio"}  # it sells nothing


def test_rows_of_the_process_view_add_up_to_the_scorecard(filled: Filled) -> None:
    with filled.warehouse.session() as session:
        shown, differ, places = session.fetch(_RECONCILED).row(0)
    assert differ == 0
    assert shown > 10 * places > 0
    assert places == 6  # three sites, two months


def test_the_short_scorecard_shows_the_newest_complete_periods(filled: Filled) -> None:
    shown = headlines.read(filled.warehouse)
    ends = {"week": date(2025, 2, 9), "month": date(2025, 1, 31)}
    assert len(shown) == 10
    assert {one.period_end for one in shown} == set(ends.values())
    assert all(one.period_end == ends[one.period] for one in shown)
    truth = filled.company.metrics(filled.company.deliveries(dirt=DIRT))
    (burn,) = truth.filter(metric="budget_burn", scope="company", period="month", period_start=date(2025, 1, 1))[
        "value"
    ]
    assert shown[-1].values == (pytest.approx(burn),)


_RECONCILED = """
with process as (
    select
        metric_id, site_key, date_trunc('month', date)::date as month_start,
        sum(numerator) as numerator, sum(denominator) as denominator
    from mart.v_process_control
    group by 1, 2, 3
),
scorecard as (
    select * from mart.v_operations_scorecard
    where scope = 'site' and metric_id in (select metric_id from process)
)
select
    count(*) as shown,
    count(*) filter (
        where (process.numerator, process.denominator) is distinct from (scorecard.numerator, scorecard.denominator)
    ) as differing,
    count(distinct (site_key, month_start)) as places
from process full join scorecard using (metric_id, site_key, month_start)
"""


def test_a_second_night_writes_nothing(filled: Filled) -> None:
    before = _last_published(filled.warehouse)
    again = run_night(filled.settings)
    assert again.taken == []
    assert again.built == []
    assert _last_published(filled.warehouse) == before


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
