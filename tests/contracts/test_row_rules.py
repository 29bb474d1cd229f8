"""Staging's rules are dataframely's: what `filter` lets through is what staging would."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from flows.io.staging.mapping import analyse
from flows.io.staging.rows import Plan, rules_of
from schemas.catalog import DATASETS
from schemas.source import Source

CELLS: dict[type[pl.DataType], list[object]] = {
    pl.String: [None, "", "EUR", "EA", "DE", "Europe/Berlin", "open", "closed", "raw", "budget", "x"],
    pl.Decimal: [None, Decimal(-1), Decimal(0), Decimal(5)],
    pl.Date: [None, date(2026, 1, 1), date(2026, 2, 1)],
    pl.Datetime: [None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)],
    pl.Boolean: [None, True, False],
    pl.Int32: [None, -1, 0, 5],
}


def _anything(dtypes: dict[str, pl.DataType], rows: int = 500) -> pl.DataFrame:
    """Rows of every kind of cell, most of them wrong somewhere."""
    chance = random.Random(7)
    columns = {name: chance.choices(CELLS[dtype.base_type()], k=rows) for name, dtype in dtypes.items()}
    return pl.DataFrame(columns, schema=dtypes)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_rules_agree_with_dataframely(name: str) -> None:
    dataset = DATASETS[name]
    source = Source.model_validate(
        {
            "name": "shop",
            "tables": {"raw": {"path": "raw.csv"}},
            "datasets": {name: {"mode": "snapshot"}},
            "folder": Path(),
            "mappings": {name: "select x as y from raw"},
        }
    )
    mapping = analyse(name, source.mappings[name], source.tables, "x.sql")
    # later than any cell: what lies in the future is not dataframely's to know
    now = datetime(2026, 3, 1, tzinfo=UTC)
    plan = Plan(source, dataset, mapping, "snapshot", date(2026, 3, 1), None, now, 1, lambda series: series)
    rows = _anything(dataset.contract.dtypes()).with_columns(is_deleted=pl.lit(value=False))
    _, failure = dataset.contract.filter(rows)
    rules = rules_of(plan, has_nul=False)
    broken = rows.select((~rule.fill_null(value=True)).sum().alias(name) for name, rule in rules.items())
    counts = {name: count for name, count in broken.row(0, named=True).items() if count}
    assert counts == failure.counts()
    assert counts
