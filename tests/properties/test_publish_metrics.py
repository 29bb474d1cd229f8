"""Whatever is published in whatever order, the mart has the rows that it should, and the metrics' sums are theirs.

Rows come, go, change and move between slices and sites, with NULLs; slices are published in parts, in random order,
whole or only the rows concerned. After each part the sums are the fact's; after each night the rows are the truth.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from flows.io import metric_cards
from flows.io.embedded_server import Server
from flows.io.metric_files import load
from flows.io.metrics import Components, set_aside
from flows.io.publish import Target, publish
from flows.io.warehouse import Session, Warehouse
from schemas.catalog import FACTS
from tests.conftest import fresh_database

FACT = "fct_production_order"
TARGET = Target(FACT, ("row_key",), "planned_start_on", is_monthly=False, logic_version=1)
TYPES = {name: dtype for name, dtype in FACTS[FACT].contract.dtypes().items() if name != "published_at"}
FIRST = date(2026, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(5)]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = range(14)
BLANK: dict[type, Any] = {pl.String: "x", pl.Boolean: False, pl.Date: FIRST, pl.Datetime: NOW}

Row = dict[str, Any]


@pytest.fixture(scope="module")
def warehouse(server: Server) -> Iterator[Warehouse]:
    """A warehouse without rows, with the cards that come along."""
    with fresh_database(server) as url, closing(Warehouse.at(url)) as warehouse:
        yield warehouse


def a_row(random: Random, key: int) -> Row:
    """An order with what the cards look at; its hash is that of all it says."""

    def quantity() -> Decimal | None:
        return random.choice([None, Decimal(random.randint(0, 30000)) / 10000])

    row: Row = {name: BLANK.get(type(dtype), 0) for name, dtype in TYPES.items()} | {
        "row_key": key, "source": "erp", "order_id": str(key), "item_key": 3, "order_count": 1,
        "planned_start_on": random.choice(DAYS), "due_on": random.choice(DAYS), "site_key": random.choice([1, 2]),
        "ended_on": random.choice([None, *DAYS]), "completed_count": random.randint(0, 1),
        "late_count": random.randint(0, 1), "good_qty": quantity(), "scrap_qty": quantity(), "elapsed_h": quantity(),
        "processing_h": random.choice([None, Decimal(1)]), "planned_qty": random.choice([None, Decimal(7)]),
    }  # fmt: skip
    return row | {"row_hash": hash(tuple(map(str, row.values()))) % 2**62}


def try_nights(warehouse: Warehouse, home: Path, random: Random, nights: int) -> None:
    """Publish a random history into a mart that has another one's rows, and look at it after each step."""
    with warehouse.session() as session:
        session.execute(f"truncate mart.{FACT}, mart.fct_metric_component, mart.dim_metric_component, ops.dirty_slice")
        session.execute("delete from ops.slice where fact = $1", FACT)
        session.commit()
    assert metric_cards.take(warehouse, load(home), NOW).errors == ()
    truth: dict[int, Row] = {}
    for night in range(1, nights + 1):
        held = dict(truth)
        for key in KEYS:
            what = random.random()
            if what < 0.25:
                truth[key] = a_row(random, key)
            elif what < 0.35:
                truth.pop(key, None)
        if random.random() < 0.1:
            with warehouse.session() as session:
                set_aside(session, FACT)
                session.commit()
            if random.random() < 0.5:
                assert metric_cards.take(warehouse, load(home), NOW).errors == ()
        publish_night(warehouse, random, held, truth, night)
        with warehouse.session() as session:
            check_rows(session, truth)


def publish_night(
    warehouse: Warehouse, random: Random, held: dict[int, Row], truth: dict[int, Row], generation: int
) -> None:
    """All days in parts: of each every row, or those that changed and some others."""
    with warehouse.session() as session:
        session.execute(
            "insert into ops.dirty_slice (fact, source, day, generation, whole_generation, reason)"
            " select $1, 'erp', day, $2, $2, 'x' from unnest($3::date[]) as days (day)"
            " on conflict (fact, source, day) do update set generation = $2, whole_generation = $2",
            FACT,
            generation,
            DAYS,
        )
        session.commit()
    changed = [key for key in KEYS if truth.get(key) != held.get(key)]
    is_whole = generation == 1 or random.random() < 0.5
    ends = sorted(random.sample(range(1, len(DAYS)), random.randint(0, 3)))
    parts = [DAYS[start:end] for start, end in zip([0, *ends], [*ends, len(DAYS)], strict=True)]
    for part in random.sample(parts, len(parts)):
        rows = [row for row in truth.values() if row["planned_start_on"] in part]
        among = None
        if not is_whole:
            rows = [row for row in rows if row["row_key"] in changed or random.random() < 0.3]
            filed = [
                key
                for key in changed
                if {each[key]["planned_start_on"] for each in (held, truth) if key in each} & {*part}
            ]
            among = pl.DataFrame({"row_key": filed}, schema={"row_key": pl.Int64})
        publish(
            warehouse, TARGET, "erp",
            pl.DataFrame(rows, schema=TYPES).with_columns(_slice=pl.col("planned_start_on")),
            pl.DataFrame({"day": part, "generation": [generation] * len(part)}, schema_overrides={"day": pl.Date}),
            datetime.now(UTC), among=among,
        )  # fmt: skip
        with warehouse.session() as session:
            assert list(Components.of(session, FACT).outdated(session)) == []


def check_rows(session: Session, truth: dict[int, Row]) -> None:
    """The fact is the truth, the ledger counts it, and no sum is known twice."""
    rows = session.fetch(f"select row_key, row_hash from mart.{FACT}").rows()
    assert sorted(rows) == sorted((key, row["row_hash"]) for key, row in truth.items())
    counted = "select day, row_count::bigint from ops.slice where fact = $1 and row_count > 0 order by 1"
    filed = f"select planned_start_on, count(*) from mart.{FACT} group by 1 order by 1"
    assert session.fetch(counted, FACT).rows() == session.fetch(filed).rows()
    known = "select component_key, date, site_key from mart.fct_metric_component where known_to is null"
    assert session.fetch(known).is_duplicated().sum() == 0
    wrong = "select count(*) from mart.fct_metric_component where known_to < known_from or row_count <= 0"
    assert session.value(wrong) == 0


def test_metrics_are_the_rows_whatever_is_published(warehouse: Warehouse, tmp_path: Path) -> None:
    for seed in range(2):
        try_nights(warehouse, tmp_path, Random(seed), nights=8)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 150))
def test_metrics_are_the_rows_for_long(warehouse: Warehouse, tmp_path: Path, seed: int) -> None:
    try_nights(warehouse, tmp_path, Random(seed), nights=40)
