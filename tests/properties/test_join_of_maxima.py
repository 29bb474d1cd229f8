"""Accepting is a join of maxima: any order, any repetition, any grouping of deliveries, the same current rows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flows.io import ledger
from flows.io.accept import StagedRows, accept
from flows.io.current import Days, Everything, current_rows
from flows.io.lake import Lake, lake_schema
from flows.io.warehouse import Warehouse
from schemas.catalog import DATASETS
from tests.properties.deliveries import Expected, Given, Row, expected, histories, wide_deliveries
from tests.properties.pure_ledger import PureLedger
from transforms.common.keys import hash_columns

DATASET = DATASETS["purchase_order_line"]
TYPES = DATASET.contract.dtypes()


# ── the rules alone ─────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_the_join_is_commutative(seed: int) -> None:
    first, second = wide_deliveries(seed, 2)
    assert_frame_equal(_taken(first, second).state(), _taken(second, first).state())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_the_join_is_idempotent(seed: int) -> None:
    first, second = wide_deliveries(seed, 2)
    once = _taken(first, second).state()
    assert_frame_equal(_taken(first, second, second).state(), once)
    assert_frame_equal(_taken(first, second, first).state(), once)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_the_join_is_associative(seed: int) -> None:
    """Rows of one delivery may be joined with each other first, or with the ledger one part after the other."""
    ledger, whole = wide_deliveries(seed, 2, mode="delta")
    cut = Random(seed).randint(0, len(whole.rows))
    head, tail = replace(whole, rows=whole.rows[:cut]), replace(whole, rows=whole.rows[cut:])
    together = _taken(ledger, whole).state()
    assert_frame_equal(_taken(ledger, head, tail).state(), together)
    assert_frame_equal(_taken(tail, ledger, head).state(), together)


def _taken(*order: Given) -> PureLedger:
    pure = PureLedger()
    every = list({given.landing: given for given in order}.values())
    for delivery in order:
        pure.accept(delivery, every)
    return pure


@settings(max_examples=200, deadline=None)
@given(deliveries=histories(), seed=st.integers(0, 1000))
def test_rules_are_commutative_associative_and_idempotent(deliveries: list[Given], seed: int) -> None:
    random = Random(seed)
    order = deliveries + random.choices(deliveries, k=random.randint(0, 2))
    random.shuffle(order)
    pure = PureLedger()
    for delivery in order:
        pure.accept(delivery, deliveries)
    assert pure.present() == expected(deliveries).present


# ── lake and ledger ─────────────────────────────────────────────────────────────────────────────────────────────────


class RealLedger:
    """Accepts random deliveries through the real lake and the real ledger."""

    def __init__(self, warehouse: Warehouse, folder: Path, source: str) -> None:
        self.warehouse, self.folder, self.source = warehouse, folder, source
        self.lake = Lake(folder / "lake")
        self.take = accept
        folder.mkdir(parents=True)

    def accept(self, given: Given) -> None:
        """Land, stage and accept."""
        with self.warehouse.session() as session:
            stream = ledger.ensure_stream(session, self.source, DATASET.name)
            extract = ledger.register(
                session,
                stream,
                slot=f"{given.mode}-{given.as_of}-{given.period}",
                revision=given.revision,
                content_hash=str(given.landing),
                mode=given.mode,
                as_of=given.at.date(),
                period=given.bounds,
                file="rows.csv",
                landed_at=datetime(2026, 6, 1, tzinfo=UTC) + timedelta(hours=given.landing),
            )
            session.commit()
        if extract.state == "accepted":
            return
        rows = self._staged(given, extract.extract_id)
        path = self.folder / f"{extract.extract_id}.parquet"
        rows.filter(~pl.col("_quarantined")).drop("_quarantined").write_parquet(path)
        good = rows.filter(~pl.col("_quarantined")).height
        staged = StagedRows(
            rows=path,
            row_count=good,
            sightings=rows.filter("_quarantined").select("_key_hash", "_order_at"),
            counts={
                "rows_in": rows.height,
                "rows_accepted": good,
                "rows_quarantined": rows.height - good,
                "rows_duplicate": 0,
                "rows_excluded": 0,
            },
            gives_coverage=given.gives_coverage,
        )
        self.take(self.warehouse, self.lake, extract, staged, datetime.now(UTC))

    def _staged(self, given: Given, extract_id: int) -> pl.DataFrame:
        frame = pl.DataFrame([_values(row) for row in given.rows], schema_overrides={"is_deleted": pl.Boolean})
        frame = frame.select(
            pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in TYPES.items()
        )
        payload = {name: dtype for name, dtype in TYPES.items() if name != "updated_at"}
        assert DATASET.link is not None
        technical = {
            "source": pl.lit(self.source),
            "_extract_id": pl.lit(extract_id, dtype=pl.Int64),
            "_row_no": pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
            "_key_hash": hash_columns({name: TYPES[name] for name in DATASET.contract.key()}, salt=[self.source]),
            "_payload_hash": hash_columns(payload),
            "_order_at": pl.Series([given.row_at(row) for row in given.rows], dtype=pl.Datetime("us", "UTC")),
            "_date": pl.col("ordered_on"),
            "_link_hash": hash_columns({name: TYPES[name] for name in DATASET.link.columns}, salt=[self.source]),
        }
        spaces = {f"_space_{column}": pl.lit(self.source) for column in DATASET.coded_columns()}
        staged = frame.with_columns(**technical, **spaces)
        return staged.select(name for name in lake_schema(DATASET) if name != "_month").with_columns(
            _quarantined=pl.Series([row.is_quarantined for row in given.rows])
        )

    def present(self, days: Sequence[date] | None = None) -> dict[int, tuple[date, int]]:
        """key → (day, quantity) of the current rows."""
        which = Everything() if days is None else Days(days)
        with self.warehouse.session() as session:
            rows = current_rows(session, self.lake, DATASET, which, source=self.source).collect()
        found = {
            int(row["line_no"]): (row["ordered_on"], int(row["ordered_qty"])) for row in rows.iter_rows(named=True)
        }
        assert len(found) == rows.height
        return found


def _values(row: Row) -> dict[str, object]:
    return {
        "po_id": "4711",
        "line_no": str(row.key),
        "supplier_id": "S1",
        "item_id": "I1",
        "ordered_on": row.date,
        "ordered_qty": row.quantity,
        "uom": "EA",
        "unit_price": 1,
        "currency": "EUR",
        "status": "open",
        "is_deleted": row.is_deleted,
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=histories(), seed=st.integers(0, 1000))
def test_lake_and_ledger_forget_the_order_of_arrival(
    warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory, deliveries: list[Given], seed: int
) -> None:
    random = Random(seed)
    order = deliveries + random.choices(deliveries, k=1)
    random.shuffle(order)
    folder = tmp_path_factory.mktemp("ledger")
    real = RealLedger(warehouse, folder / "home", folder.name)
    for delivery in order:
        real.accept(delivery)
    want: Expected = expected(deliveries)
    assert real.present() == want.present
    some_days = sorted({day for day, _ in want.present.values()})[:1]
    assert real.present(some_days) == {k: v for k, v in want.present.items() if v[0] in some_days}


def test_a_delivery_that_two_processes_take_at_once_is_accepted_once(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a delivery is lost with its connection; what was decided first, its coverage too, stays."""

    def accept_twice(*arguments: Any) -> None:
        accept(*arguments)
        accept(*arguments)

    real = RealLedger(warehouse, tmp_path / "home", "twice")
    monkeypatch.setattr(real, "take", accept_twice)
    real.accept(Given("snapshot", 0, 0, 0, (Row(0, 0, 1), Row(1, 0, 1))))
    with warehouse.session() as session:
        assert session.fetch("select accept_count, key_count from ops.stream").rows() == [(1, 2)]
