"""What was held back comes in later, in its delivery's order, as if it had been right from the start."""

import json
import shutil
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from flows import held_export, pipeline
from flows.io import look, stage
from flows.io.lake import Lake
from flows.io.quarantine import TABLE
from flows.io.span import Span
from flows.io.staging import quarantine
from flows.report import UsageError
from schemas.errors import LakeError, StorageError
from tests.dying_night import ended, replay_beside
from tests.night import run_span
from tests.shop import Shop, line, receipt, same_mart

LINES, RECEIPTS = "mart.fct_purchase_order_line", "mart.fct_goods_receipt"
COUNTS = "select rows_in, rows_accepted, rows_quarantined, rows_duplicate, rows_excluded from ops.extract"
QUANTITIES = f"select po_id, ordered_qty::bigint from {LINES} order by 1"


def fixing(po: str, **cells: tuple[str | None, str | None]) -> dict[str, object]:
    """A correction of an order line: per column what is delivered and what is meant."""
    return {
        "dataset": "purchase_order_line",
        "where": {"po_id": po},
        "expect": {name: was for name, (was, _) in cells.items()},
        "set": {name: means for name, (_, means) in cells.items()},
    }


FIVE = {"ordered_qty": ("five", "5")}


@pytest.fixture
def lines(shop: Shop) -> Shop:
    """A source of order lines, delivered whole each day."""
    shop.source(purchase_order_line={"mode": "snapshot", "retire_limit_pct": 100})
    return shop


# ── replay ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["snapshot", "delta", "period"])
def test_rows_come_in_at_the_order_of_their_delivery(
    shop: Shop, mode: str, from_scratch: Callable[[Shop], None]
) -> None:
    bounds = {"period": {"column": "ordered_on"}} if mode == "period" else {}
    shop.source(purchase_order_line={"mode": mode, "retire_limit_pct": 100} | bounds)
    slots = ("2026-03", "2026-03_r1") if mode == "period" else ("2026-03-31", "2026-04-01")
    shop.land("purchase_order_line", slots[0], *(line(po, ordered_qty="five") for po in ("P1", "P2")), line("P3"))
    shop.land("purchase_order_line", slots[1], line("P1", ordered_qty=7), line("P2", ordered_qty="five"))
    shop.good_night()
    assert shop.fetch(QUANTITIES) == [("P1", 7)] + ([("P3", 5)] if mode == "delta" else [])
    shop.correct(fixing("P1", **FIVE), fixing("P2", **FIVE))
    report = shop.replay()
    assert [(t.rows_in, t.rows_accepted, t.rows_quarantined) for t in report.taken] == [(2, 2, 0), (1, 1, 0)]
    # P1 of the later delivery stays newer.
    assert shop.fetch(QUANTITIES) == [("P1", 7), ("P2", 5)] + ([("P3", 5)] if mode == "delta" else [])
    from_scratch(shop)
    assert shop.fetch(f"{COUNTS} order by slot, revision") == [(3, 3, 0, 0, 0), (2, 2, 0, 0, 0)]
    assert shop.fetch(
        "select sum(held_count)::bigint as held, sum(row_count)::bigint as row_count from ops.quarantine_count"
    ) == [(0, 3)]
    assert shop.fetch("select count(*) from ops.quarantined_row where replayed_at is null") == [(0,)]
    assert shop.replay().taken == []
    assert shop.night().is_empty


def test_a_replay_that_leaves_no_unreadable_key_ends_what_the_delivery_lacks(
    lines: Shop, from_scratch: Callable[[Shop], None]
) -> None:
    lines.land("purchase_order_line", "2026-03-31", line("P1"), line("P2"), line("P3"))
    lines.good_night()
    lines.land("purchase_order_line", "2026-04-01", line("P1"), line("", ordered_qty=9))
    report = lines.good_night()
    # It might be any key, so none ends; the report says so.
    assert "of its quarantined rows may be of any" in report.notes[0]
    assert lines.fetch(QUANTITIES) == [("P1", 5), ("P2", 5), ("P3", 5)]
    lines.land("purchase_order_line", "2026-04-02", line("P1"), line(""), line("P2"))
    lines.good_night()
    lines.correct(fixing("", po_id=("", "P2")))
    lines.replay(2)
    # P3 ended on the first of April; P2 is that day's nine until the later delivery says five.
    assert lines.fetch(QUANTITIES) == [("P1", 5), ("P2", 5)]
    assert lines.fetch("select gives_coverage, unreadable_keys from ops.extract order by extract_id") == [
        (True, 0), (True, 0), (False, 1)
    ]  # fmt: skip


def test_rows_of_an_append_delivery_are_replayed(shop: Shop, from_scratch: Callable[[Shop], None]) -> None:
    shop.source(goods_receipt="append", purchase_order_line="snapshot")
    shop.land("purchase_order_line", "2026-03-31", line("P1"))
    one, other = {"receipt_id": "R1"}, {"receipt_id": "R2", "received_qty": "two"}
    far = {"receipt_id": "R3", "received_qty": "two", "received_at": "2026-01-05 08:00:00"}
    shop.land("goods_receipt", "2026-03-31", one, other, far)
    shop.good_night()
    two = {"expect": {"received_qty": "two"}, "set": {"received_qty": "2"}, "dataset": "goods_receipt"}
    shop.correct(two | {"where": {"receipt_id": "R2"}}, two | {"where": {"receipt_id": "R3"}})
    shop.replay()
    assert shop.fetch(f"select receipt_id, received_qty::bigint from {RECEIPTS} order by 1") == [
        ("R1", 5), ("R2", 2), ("R3", 2)
    ]  # fmt: skip
    from_scratch(shop)
    # A revision replaces the slot's rows, those that were replayed too.
    shop.land("goods_receipt", "2026-03-31_r1", one)
    shop.good_night()
    assert shop.fetch(f"select receipt_id from {RECEIPTS}") == [("R1",)]
    ((old,),) = shop.fetch("select extract_id from ops.extract where dataset = 'goods_receipt' and revision = 0")
    shop.replay(old)
    assert shop.fetch(f"select receipt_id from {RECEIPTS}") == [("R1",)]


def test_what_is_wrong_still_stays_for_todays_reason(lines: Shop) -> None:
    lines.land("purchase_order_line", "2026-03-31", line("P0"), line("P1", ordered_qty="five"), line("P2", uom="X"))
    lines.good_night()
    lines.correct(fixing("P1", ordered_qty=("five", "-5")))
    lines.replay()
    assert lines.fetch("select row_no, rule, value from ops.quarantined_row where replayed_at is null order by 1") == [
        (2, "ordered_qty_sign_agrees_with_is_return", None), (3, "uom_is_known", "X")
    ]  # fmt: skip
    assert lines.fetch("select rule, row_count, held_count from ops.quarantine_count order by 1") == [
        ("ordered_qty_sign_agrees_with_is_return", 1, 1), ("ordered_qty|unreadable", 1, 0), ("uom_is_known", 1, 1)
    ]  # fmt: skip
    assert lines.fetch(COUNTS) == [(3, 1, 2, 0, 0)]
    # Twice more: first right, then as a copy of a row that is in already.
    lines.correct(fixing("P1", ordered_qty=("five", "5")), fixing("P2", po_id=("P2", "P0"), uom=("X", "EA")))
    lines.replay()
    assert lines.fetch(COUNTS) == [(3, 2, 0, 1, 0)]
    assert lines.fetch(QUANTITIES) == [("P0", 5), ("P1", 5)]
    filed = pl.read_delta(Lake(lines.settings.lake).uri(TABLE))
    assert filed["replayed_at"].null_count() == 0
    assert sorted(filed["row_no"]) == [2, 3]


def test_a_delivery_that_was_read_wrongly_is_taken_once_its_folder_is_mended(lines: Shop) -> None:
    folder = lines.settings.sources[0] / "shop"
    right = (folder / "source.yaml").read_text()
    (folder / "source.yaml").write_text(
        right.replace("name: shop", "name: shop\nraw_types: {date_formats: ['%d.%m.%Y']}")
    )
    lines.land("purchase_order_line", "2026-03-31", line("P1"), line("P2"))
    assert lines.night().exit_code == 3
    assert lines.fetch("select state from ops.extract") == [("blocked",)]
    # Not mended, it is judged as before.
    lines.replay(1)
    assert lines.fetch("select state from ops.extract") == [("blocked",)]
    (folder / "source.yaml").write_text(right)
    lines.replay(1)
    assert lines.fetch(QUANTITIES) == [("P1", 5), ("P2", 5)]
    assert lines.fetch("select state, rows_quarantined from ops.extract") == [("accepted", 0)]
    assert lines.fetch("select count(*) from ops.quarantine_count") == [(0,)]
    assert lines.night().is_empty


@pytest.mark.parametrize("mode", ["append", "delta"])
def test_a_replay_killed_after_its_append_is_made_up_by_the_next(
    shop: Shop, mode: str, from_scratch: Callable[[Shop], None]
) -> None:
    """Its rows are in the lake, the ledger knows of none; a month later somebody restores an older lake."""
    shop.source(goods_receipt=mode, purchase_order_line="snapshot")
    shop.land("purchase_order_line", "2026-03-31", line("P1"))
    shop.land("goods_receipt", "2026-03-31", receipt("R1", "P1"), receipt("R2", "P1", received_qty="two"))
    shop.good_night()
    backup = shop.settings.home / "backup"
    shutil.copytree(shop.settings.lake, backup)
    two = {"expect": {"received_qty": "two"}, "set": {"received_qty": "2"}, "dataset": "goods_receipt"}
    shop.correct(two | {"where": {"receipt_id": "R2"}})
    assert ended(replay_beside(shop, "4 accept: ledger written, not committed")) == -signal.SIGKILL
    rows = f"select receipt_id, received_qty::bigint from {RECEIPTS} order by 1"
    assert shop.fetch(rows) == [("R1", 5)]
    assert shop.night().is_empty
    shop.replay()
    assert shop.fetch(rows) == [("R1", 5), ("R2", 2)]
    filed = pl.read_delta(Lake(shop.settings.lake).uri("goods_receipt"))
    assert sorted(filed["receipt_id"]) == ["R1", "R2"]
    from_scratch(shop)
    right = shop.mart()
    for has_backup in (True, False):
        shutil.rmtree(shop.settings.lake)
        if has_backup:
            shutil.copytree(backup, shop.settings.lake)
        with pipeline.open(shop.settings) as pipe:
            assert "goods_receipt" in str(pipe.verify()[-1])
            assert pipe.repair(pipe.verify()) == []
        shop.good_night()
        with pipeline.open(shop.settings) as pipe:
            assert pipe.verify() == []
        same_mart(shop.mart(), right)


def test_rows_that_the_lake_has_forgotten_are_not_taken_for_replayed(lines: Shop) -> None:
    lines.land("purchase_order_line", "2026-03-31", line("P1"), line("P2", ordered_qty="five"))
    lines.good_night()
    shutil.rmtree(lines.settings.lake / TABLE)
    with pytest.raises(LakeError, match="does not know which rows"):
        lines.replay(1)
    assert lines.fetch("select held_count from ops.quarantine_count") == [(1,)]


def test_bytes_that_are_gone_are_named(lines: Shop) -> None:
    lines.land("purchase_order_line", "2026-03-31", line("P1"), line("P2", ordered_qty="five"))
    lines.good_night()
    for file in lines.settings.landing.glob(".store/??/*"):
        file.unlink()
    with pytest.raises(StorageError, match="not in the landing store"):
        lines.replay(1)


# ── release ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_blocked_delivery_is_released_on_the_record(lines: Shop) -> None:
    bad = [line(f"B{number}", uom="X") for number in range(11)]
    lines.land("purchase_order_line", "2026-03-31", line("P1"), *bad)
    assert "quarantined_rows_tolerable" in lines.night().problems[0].message
    assert lines.fetch("select count(*) from ops.current_key") == [(0,)]
    with pytest.raises(UsageError, match="reason"):
        lines.release(1, reason=" ")
    lines.release(1, reason="the bad ones are tests")
    assert lines.fetch(QUANTITIES) == [("P1", 5)]
    ((who, why, what),) = lines.fetch("select released_by, reason, overruled from ops.release")
    assert (who, why) == ("tester", "the bad ones are tests")
    assert "quarantined_rows_tolerable" in what
    assert lines.fetch(COUNTS) == [(12, 1, 11, 0, 0)]
    with pytest.raises(UsageError, match="Nothing holds extract 1 back"):
        lines.release(1)


def test_a_delivery_that_ends_too_much_is_released(shop: Shop) -> None:
    shop.source(purchase_order_line={"mode": "snapshot", "retire_limit_pct": 40})
    shop.land("purchase_order_line", "2026-03-31", *(line(f"P{n}") for n in range(4)))
    shop.good_night()
    shop.land("purchase_order_line", "2026-04-01", line("P0"), line("P9", ordered_qty="five"))
    assert "opsmart release 2" in shop.good_night().notes[0]
    assert len(shop.fetch(QUANTITIES)) == 4
    shop.release(2)
    assert shop.fetch(QUANTITIES) == [("P0", 5)]
    # What is held back is in the delivery all the same: corrected, it is there.
    shop.correct(fixing("P9", **FIVE))
    shop.replay(2)
    assert shop.fetch(QUANTITIES) == [("P0", 5), ("P9", 5)]


def test_what_cannot_be_read_is_not_released(lines: Shop) -> None:
    lines.land("purchase_order_line", "2026-03-31", line("P1"), line(""))
    lines.good_night()
    with pytest.raises(UsageError, match="may be of any key"):
        lines.release(1)
    with pytest.raises(UsageError, match="no extract 9"):
        lines.release(9)
    lines.land_bytes("purchase_order_line", "2026-04-01", b"")
    assert lines.night().problems
    with pytest.raises(UsageError, match="No gate holds extract 2 back: the file is empty"):
        lines.release(2)
    assert lines.fetch("select count(*) from ops.release") == [(0,)]


# ── what is kept ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_are_kept_up_to_a_limit_and_counted_beyond(lines: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "KEPT_ROWS", 2)
    monkeypatch.setattr(stage, "BAD_AT_ONCE", 2)
    bad = [line(f"B{number}", uom="X", currency="XXQ" if number else "EUR") for number in range(5)]
    lines.land("purchase_order_line", "2026-03-31", line("P1"), *bad)
    lines.good_night()
    assert lines.fetch("select row_no, rule, value, raw ->> 'po_id' from ops.quarantined_row order by 1, 2") == [
        (2, "uom_is_known", "X", "B0"), (3, "currency_exists", "XXQ", "B1"), (3, "uom_is_known", "X", "B1")
    ]  # fmt: skip
    assert lines.fetch("select rule, row_count from ops.quarantine_count order by 1") == [
        ("currency_exists", 4), ("uom_is_known", 5)
    ]  # fmt: skip
    filed = pl.read_delta(Lake(lines.settings.lake).uri(TABLE))
    assert filed.filter(rule="uom_is_known")["row_no"].sort().to_list() == [2, 3, 4, 5, 6]
    assert filed["raw"].null_count() == 6
    assert set(filed.select("source", "dataset", "extract_id", "file").rows()) == {
        ("shop", "purchase_order_line", 1, "purchase_order_line/2026-03-31.csv")
    }
    # Those beyond the limit are replayed as well.
    lines.correct(*({**fixing(f"B{n}", uom=("X", "EA"), currency=("XXQ", "EUR"))} for n in range(1, 5)))
    lines.replay()
    assert [po for po, _ in lines.fetch(QUANTITIES)] == ["B1", "B2", "B3", "B4", "P1"]


def test_nul_characters_survive(lines: Shop) -> None:
    odd = "I\\u0000\\" + "\0" + "\0"
    lines.land("purchase_order_line", "2026-03-31", line("P1"), line("P2", item_id=odd))
    lines.good_night()
    shown = odd.replace("\0", "\u2400")
    assert lines.fetch("select value, raw ->> 'item_id' from ops.quarantined_row") == [(shown, shown)]
    filed = pl.read_delta(Lake(lines.settings.lake).uri(TABLE))
    assert (filed["value"].item(), json.loads(filed["raw"].item())["item_id"]) == (odd, odd)


def test_rows_whose_key_has_come_again_are_superseded(lines: Shop, tmp_path: Path) -> None:
    rows = [line("P1", uom="X"), line("P2", ordered_qty="=2+3", uom="X"), line("P3")]
    lines.land("purchase_order_line", "2026-03-31", *rows)
    lines.good_night()
    with lines.warehouse.session() as session:
        assert [(row["rule"], row["row_count"]) for row in look.quarantine(session)] == [
            ("ordered_qty|unreadable", 1), ("uom_is_known", 1)
        ]  # fmt: skip
        held = look.held_rows(session)
    assert held_export.write(held, tmp_path / "held.csv") == 2
    table = pl.read_csv(tmp_path / "held.csv", infer_schema=False)
    assert table.select("rule", "value", "po_id", "ordered_qty").rows() == [
        ("uom_is_known", "X", "P1", "5"), ("ordered_qty|unreadable", "'=2+3", "P2", "'=2+3")
    ]  # fmt: skip
    assert held_export.write(held, tmp_path / "held.xlsx") == 2
    book = pl.read_excel(tmp_path / "held.xlsx", sheet_name="shop purchase_order_line", infer_schema_length=0)
    assert book.select("row_no", "ordered_qty").rows() == [("1", "5"), ("2", "=2+3")]
    # A delta's row supersedes its own key; a later complete delivery supersedes all.
    lines.land("purchase_order_line", "2026-04-01", line("P1"))
    lines.good_night()
    with lines.warehouse.session() as session:
        assert [row["state"] for row in look.quarantined_rows(session, 1, 9)] == ["superseded", "superseded"]
        assert look.quarantine(session) == []
        assert look.held_rows(session).is_empty()


def test_a_later_row_supersedes_its_own_key_only(shop: Shop) -> None:
    shop.source(purchase_order_line="delta")
    shop.land("purchase_order_line", "2026-03-31", line("P1", uom="X"), line("P2", uom="X"), line("P3"))
    shop.land("purchase_order_line", "2026-04-01", line("P1"))
    shop.land("purchase_order_line", "2026-03-30", line("P2"))
    shop.good_night()
    with shop.warehouse.session() as session:
        held = look.held_rows(session)
        assert [json.loads(raw)["po_id"] for raw in held["raw"]] == ["P2"]
        assert [row["row_count"] for row in look.quarantine(session)] == [1]


# ── corrections ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_correction_is_counted_and_says_when_the_source_is_mended(lines: Shop) -> None:
    lines.correct(fixing("P1", **FIVE), fixing("P2", ordered_qty=("50", "5")))
    rows = [line("P1", ordered_qty="five"), line("P2", ordered_qty=50), line("P3", ordered_qty=50)]
    lines.land("purchase_order_line", "2026-03-31", *rows)
    lines.good_night()
    assert lines.fetch(QUANTITIES) == [("P1", 5), ("P2", 5), ("P3", 50)]
    kept = "select correction, rows_corrected, rows_unexpected, reason, owner from ops.correction"
    assert lines.fetch(f"{kept} order by 1") == [
        ("po_id=P1: ordered_qty five → 5", 1, 0, "known to purchasing", "purchasing"),
        ("po_id=P2: ordered_qty 50 → 5", 1, 0, "known to purchasing", "purchasing"),
    ]
    assert lines.night().is_empty
    # The source says six by now: nobody may turn that into five.
    lines.land("purchase_order_line", "2026-04-01", line("P1", ordered_qty=6), line("P3", ordered_qty=50))
    report = lines.good_night()
    assert lines.fetch(QUANTITIES) == [("P1", 6), ("P3", 50)]
    assert lines.fetch(f"{kept} where extract_id = 2")[0][:3] == ("po_id=P1: ordered_qty five → 5", 0, 1)
    assert "'po_id=P1: ordered_qty five → 5' expects" in report.notes[0]
    assert lines.fetch("select status from ops.gate_result where gate = 'corrections_expected' order by 1") == [
        ("passed",), ("warned",)
    ]  # fmt: skip


def test_a_correction_of_rows_that_were_accepted_takes_another_pull(lines: Shop) -> None:
    lines.land("purchase_order_line", "2026-03-31", line("P1", ordered_qty=50))
    lines.good_night()
    span = Span(date(2026, 3, 1), date(2026, 3, 31))
    run_span(lines.settings, span, repull=True)
    assert run_span(lines.settings, span, repull=True).taken == []
    lines.correct(fixing("P1", ordered_qty=("50", "5")))
    assert lines.night().is_empty
    assert len(run_span(lines.settings, span, repull=True).taken) == 1
    assert lines.fetch(QUANTITIES) == [("P1", 5)]
