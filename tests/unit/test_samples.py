"""The simulated company: it repeats itself, its documents belong together, and its files say what it knows."""

from hashlib import sha256
from pathlib import Path
from random import Random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import samples
from flows.io.stage import Staged
from samples import Company
from samples.dirt import READABLE
from samples.faults import ORDINARY
from samples.systems import TABLES, mode
from schemas.catalog import DATASETS
from schemas.source import Source
from tests.sample_staging import Slot, sample_sources, slot_of, stage_all

DIRT = 0.03
SEEDS = range(4)


@pytest.fixture(scope="module")
def company() -> Company:
    """A month of the ordinary company."""
    return samples.simulate(seed=3, days=35)


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    """The example sources."""
    return sample_sources()


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_equal_seeds_write_equal_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        samples.write_sample(tmp_path / name, seed=seed, days=8, scale=0.2)
    one, two, other = (_digests(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one != other
    assert {path.partition("/")[0] for path in one} == {name.partition(".")[0] for name in TABLES}


def test_a_delivery_is_the_same_whatever_is_written_beside_it(tmp_path: Path) -> None:
    deliveries = samples.tiny(2).deliveries(dirt=DIRT)
    for delivery in deliveries:
        delivery.write(tmp_path / "forward")
    for delivery in reversed(samples.tiny(2).deliveries(dirt=DIRT)):
        delivery.write(tmp_path / "backward")
    assert _digests(tmp_path / "forward") == _digests(tmp_path / "backward")
    assert sum(len(delivery.files()) for delivery in deliveries) == len(_digests(tmp_path / "forward"))


def test_every_mode_and_kind_of_dirt_occurs(company: Company) -> None:
    deliveries = company.deliveries(dirt=0.01)
    assert {mode(delivery.name) for delivery in deliveries} == {"append", "delta", "snapshot", "period"}
    assert {delivery.dataset for delivery in deliveries} == set(DATASETS)
    assert any(delivery.revision for delivery in deliveries)
    assert any(delivery.is_copy for delivery in deliveries)
    known = {fault.kind for faults in ORDINARY.values() for fault in faults}
    assert set(company.expected_quarantine(deliveries)["kind"]) == known
    balance = company.expected_balance(deliveries)
    assert balance["rows_duplicate"].sum() > 0
    assert balance["rows_excluded"].sum() > 0
    assert 0.002 < balance["rows_quarantined"].sum() / balance["rows_in"].sum() < 0.02


def test_truth_names_every_spoiled_row(tmp_path: Path) -> None:
    samples.write_sample(tmp_path, days=3, scale=0.1, dirt=0.3, every_kind=True, truth=tmp_path / "truth")
    spoiled = pl.read_csv(tmp_path / "truth" / "quarantine.csv", infer_schema=False)
    assert all((tmp_path / file).exists() for file in spoiled["file"].unique())
    balance = pl.read_csv(tmp_path / "truth" / "balance.csv")
    assert balance["rows_quarantined"].sum() == spoiled.select("file", "row").n_unique() > 50


def test_journals_balance(company: Company) -> None:
    journal = company.current(company.deliveries(dirt=0.01))["sample_ledger.gl_entry"]
    sums = journal.group_by("journal_id").agg(pl.col("debit").sum(), pl.col("credit").sum())
    assert sums.filter(pl.col("debit") != pl.col("credit")).is_empty()
    assert len(sums) > 100


def test_receipts_belong_to_lines_and_add_up(company: Company) -> None:
    current = company.current(company.deliveries(dirt=0))
    lines, receipts = current["sample_erp.purchase_order_line"], current["sample_wms.goods_receipt"]
    inspected = receipts.drop_nulls("accepted_qty")
    added = inspected["accepted_qty"] + inspected["rejected_qty"]
    assert (added == inspected["received_qty"]).all()
    assert 0 < len(inspected) < len(receipts)
    key = {"left_on": ["po_id", "po_line_no"], "right_on": ["po_id", "line_no"]}
    orphans = receipts.join(lines, how="anti", **key)
    assert len(orphans) < len(receipts) * 0.05
    received = receipts.join(lines, suffix="_of_line", **key)
    assert (received["received_at"].dt.date() >= received["ordered_on"]).mean() > 0.99
    assert received.filter(pl.col("status") == "cancelled").is_empty()
    closed = company.truth(company.deliveries(dirt=0))["fct_purchase_order_line"].filter(pl.col("status") == "closed")
    assert 0.6 < closed["in_full_count"].mean() < 0.95
    assert 0.3 < closed["otif_promised_count"].mean() < 0.8


def test_operations_make_their_orders(company: Company) -> None:
    current = company.current(company.deliveries(dirt=0))
    orders = current["sample_mes.production_order"].filter(pl.col("status") == "completed")
    assert orders.filter((pl.col("scrap_qty") > 0) & pl.col("scrap_reason").is_null()).is_empty()
    assert orders.filter((pl.col("scrap_qty") == 0) & pl.col("scrap_reason").is_not_null()).is_empty()
    operations = current["sample_mes.operation_confirmation"].sort("order_id", "operation_no")
    per_order = operations.group_by("order_id", maintain_order=True).agg(
        scrap=pl.col("scrap_qty").sum(),
        good=(pl.col("good_qty") + pl.col("rework_qty")).last(),
        steps=pl.len(),
        last_step=pl.col("operation_no").last().cast(pl.Int64),
        ended=pl.col("ended_at").max(),
    )
    whole = orders.join(per_order, on="order_id").filter(
        (pl.col("steps") * 10 == pl.col("last_step")) & (pl.col("ended") == pl.col("actual_end"))
    )
    # A confirmation or a version may be withheld by a correction or a late file.
    agree = whole.filter((pl.col("scrap") == pl.col("scrap_qty")) & (pl.col("good") == pl.col("good_qty")))
    assert len(agree) > 0.97 * len(whole) > 100
    assert (operations["ended_at"] >= operations["started_at"]).all()


def test_stock_follows_from_receipts_and_production(company: Company) -> None:
    stock = company.events["sample_wms.stock_snapshot"]
    assert stock.group_by("snapshot_date").len()["len"].n_unique() == 1
    negative = stock["on_hand_qty"] < 0
    assert 0 < negative.mean() < 0.05
    first, last = stock["snapshot_date"].min(), stock["snapshot_date"].max()
    assert (last - first).days == company.plan.days - 1


def test_current_rows_do_not_depend_on_the_order_of_landing() -> None:
    for seed in SEEDS:
        deliveries = samples.tiny(seed).deliveries(dirt=DIRT)
        straight = samples.tiny(seed).current(deliveries)
        Random(seed).shuffle(deliveries)
        shuffled = samples.tiny(seed).current(deliveries)
        for name, rows in straight.items():
            assert_frame_equal(shuffled[name], rows, check_row_order=False)


def test_tiny_is_small_and_dense() -> None:
    for seed in SEEDS:
        company = samples.tiny(seed)
        rows = {name: len(frame) for name, frame in (company.events | company.states).items()}
        assert max(rows.values()) < 200, rows
        lines = company.events["sample_erp.purchase_order_line"]
        assert lines.group_by("po_id", "line_no").len()["len"].max() > 1
        assert lines.group_by("po_id", "line_no").agg(pl.col("ordered_on").n_unique())["ordered_on"].max() > 1


def test_scaling_grows_documents_and_keeps_the_rest() -> None:
    small, large = samples.simulate(days=20), samples.simulate(days=20, scale=4)
    name = "sample_erp.purchase_order_line"
    assert 3 < len(large.events[name]) / len(small.events[name]) < 5
    assert len(large.master.suppliers) == 2 * len(small.master.suppliers)


def test_months_of_a_history_share_master_data_but_no_documents() -> None:
    first, second = samples.history(2, rows_per_day=500)
    name = "sample_erp.purchase_order_line"
    assert_frame_equal(first.master.items, second.master.items)
    assert first.events[name].join(second.events[name], on="po_id", how="semi").is_empty()
    assert first.plan.days == 31
    assert second.plan.days == 28


def test_a_benchmark_day_has_the_rows_asked_for_and_each_key_once() -> None:
    company = samples.bench_day(20_000, 5_000)
    lines = company.events["sample_erp.purchase_order_line"]
    assert lines.select("po_id", "line_no").is_unique().all()
    assert 4_000 < len(lines) < 6_000
    assert 18_000 < len(company.events["sample_mes.operation_confirmation"]) < 22_000
    assert len(company.events["sample_wms.goods_receipt"]) > 4_000


# -- the files, read by the example sources ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> Company:
    """The company whose files are read."""
    return samples.tiny(2)


@pytest.fixture(scope="module")
def staged(tiny: Company, sources: dict[str, Source], tmp_path_factory: pytest.TempPathFactory) -> dict[Slot, Staged]:
    """Every delivery as the example sources read it, by source, dataset, slot and revision."""
    return stage_all(tiny.deliveries(dirt=DIRT), sources, tmp_path_factory.mktemp("home"))


def test_staging_finds_every_delivery(tiny: Company, staged: dict[Slot, Staged]) -> None:
    assert set(staged) == {slot_of(delivery) for delivery in tiny.deliveries(dirt=DIRT)}


def test_staged_rows_are_the_simulated_ones(tiny: Company, staged: dict[Slot, Staged]) -> None:
    for delivery in tiny.deliveries(dirt=DIRT):
        contract = DATASETS[delivery.dataset].contract
        rows = delivery.rows().filter(
            (pl.col("_fault") == READABLE) & ~pl.col("_is_duplicate") & ~pl.col("_is_excluded")
        )
        have = pl.read_parquet(staged[slot_of(delivery)].rows)
        columns = [name for name in contract.columns() if name in rows.columns]
        want = rows.select(pl.col(name).cast(contract.dtypes()[name]) for name in columns)
        if "is_deleted" in columns:
            want = want.with_columns(pl.col("is_deleted").fill_null(value=False))
            have = have.with_columns(pl.col("is_deleted").fill_null(value=False))
        assert_frame_equal(have.select(columns), want, check_row_order=False)


def test_staging_counts_what_the_simulator_says(tiny: Company, staged: dict[Slot, Staged]) -> None:
    deliveries = tiny.deliveries(dirt=DIRT)
    by_slot = {slot_of(delivery): delivery for delivery in deliveries}
    for row in tiny.expected_balance(deliveries).iter_rows(named=True):
        key = next(
            slot
            for slot, one in by_slot.items()
            if (one.source, one.dataset, one.as_of, one.period, one.revision)
            == (row["source"], row["dataset"], row["as_of"], row["period"], row["revision"])
        )
        assert staged[key].counts == {name: row[name] for name in staged[key].counts}, key


def test_staging_holds_back_the_spoiled_rows_for_the_right_reason(tiny: Company, staged: dict[Slot, Staged]) -> None:
    deliveries = tiny.deliveries(dirt=DIRT)
    expected = tiny.expected_quarantine(deliveries)
    assert len(expected) > 10
    for delivery in deliveries:
        same = [
            (pl.col(name) == getattr(delivery, name)) for name in ("source", "dataset", "as_of", "period", "revision")
        ]
        want = expected.filter(same).select("row", "rule").sort("row")
        have = staged[slot_of(delivery)].quarantined.select(row="row_no", rule="rule").sort("row")
        assert have.rows() == want.rows(), slot_of(delivery)
