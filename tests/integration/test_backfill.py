"""Backfill and rebuild: what is missing or stale, and nothing else; a plan that comes true and changes nothing."""

import hashlib
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date

import pytest

from flows import pipeline, rehearsal
from flows.io.embedded_server import Server
from flows.io.span import Span
from flows.report import BuiltTable, PlannedTable, RunReport
from flows.settings import Settings
from tests.conftest import fresh_database
from tests.dying_night import backfill_beside, ended
from tests.night import run_span
from tests.shop import EVERY_TABLE, Shop

LINES = "select po_id, ordered_qty::bigint from mart.fct_purchase_order_line order by 1"
SLICES = "select fact, source, day, generation, published_at from ops.slice order by 1, 2, 3"
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))
YEAR = Span(date(2026, 1, 1), date(2026, 12, 31), dataset="purchase_order_line")
FACT = "fct_purchase_order_line"


def deliver(shop: Shop) -> None:
    """Order lines of three months, one delivery each; receipts for all of them."""
    shop.source(purchase_order_line="delta", goods_receipt="append")
    for month in (2, 3, 4):
        rows = [{"po_id": f"P{month}-{n}", "ordered_on": f"2026-{month:02d}-{n:02d}"} for n in range(1, 6)]
        shop.land("purchase_order_line", f"2026-{month:02d}-20", *rows)
        shop.land("goods_receipt", f"2026-{month:02d}-20", {"receipt_id": f"R{month}", "po_id": f"P{month}-1"})


def prepare(shop: Shop) -> None:
    """All of it taken."""
    deliver(shop)
    shop.good_night()


@pytest.fixture
def months(shop: Shop) -> Shop:
    """The three months, none taken yet."""
    deliver(shop)
    return shop


@pytest.fixture
def filled(prepared: Shop) -> Shop:
    """The three months, taken in one night."""
    return prepared


def everything(shop: Shop) -> dict[str, object]:
    """All rows of all tables and the bytes of every file of a home."""
    found: dict[str, object] = {name: shop.fetch(f"select * from mart.{name} order by 1") for name in EVERY_TABLE}
    for (name,) in shop.fetch("select tablename from pg_tables where schemaname = 'ops'"):
        found[str(name)] = sorted(map(repr, shop.fetch(f"select * from ops.{name}")))
    for file in sorted(shop.settings.home.rglob("*")):
        if file.is_file():
            found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


Plan = Callable[..., RunReport]


@pytest.fixture
def plan(server: Server) -> Plan:
    """A plan of what a backfill of a span would do."""

    def plan(shop: Shop, span: Span, *, all_of_it: bool = False, repull: bool = False) -> RunReport:
        def scratch(_: Settings) -> AbstractContextManager[str]:
            return fresh_database(server)

        given = {"everything": all_of_it, "repull": repull}
        return rehearsal.plan("backfill", shop.settings, span, "test", scratch=scratch, **given)

    return plan


def rebuild(shop: Shop) -> BuiltTable:
    """A rebuild, as flows/rebuild.py does it."""
    with pipeline.open(shop.settings) as pipe:
        pipe.mark(Span.always(FACT), "rebuild", everything=True)
        return pipe.build(FACT)


def planned(report: RunReport, table: str) -> PlannedTable:
    (found,) = (entry for entry in report.planned if entry.table == table)
    return found


def test_a_backfill_takes_what_speaks_for_its_days_and_the_night_the_rest(months: Shop, plan: Plan) -> None:
    assert {(pull.dataset, pull.deliveries) for pull in plan(months, MARCH).pulls} == {
        ("purchase_order_line", 1), ("goods_receipt", 1)
    }  # fmt: skip
    report = run_span(months.settings, MARCH)
    assert {(taken.dataset, taken.slot) for taken in report.taken} == {
        ("purchase_order_line", "2026-03-20"), ("goods_receipt", "2026-03-20")
    }  # fmt: skip
    assert months.fetch(LINES) == [(f"P3-{n}", 5) for n in range(1, 6)]
    assert run_span(months.settings, MARCH).is_empty
    assert plan(months, MARCH).sentence() == "Nothing is to be done."
    months.good_night()
    assert len(months.fetch(LINES)) == 15


def test_source_dataset_and_fact_narrow_a_backfill_down(months: Shop, plan: Plan) -> None:
    months.source("other", gl_entry="delta")
    months.land("gl_entry", "2026-03-20", {}, source="other")
    for narrow, taken in (
        (Span(MARCH.start, MARCH.end, source="other"), {"gl_entry"}),
        (Span(MARCH.start, MARCH.end, dataset="goods_receipt"), {"goods_receipt"}),
        (Span(MARCH.start, MARCH.end, fact=FACT), {"purchase_order_line"}),
    ):
        assert {pull.dataset for pull in plan(months, narrow).pulls} >= taken
        assert {extract.dataset for extract in run_span(months.settings, narrow).taken} == taken
    assert len(months.fetch(LINES)) == 5
    assert months.fetch("select journal_id from mart.fct_gl_entry") == [("J1",)]
    # of a delivery that several facts read the others are built by the night
    assert months.fetch("select count(*) from mart.fct_goods_receipt") == [(1,)]
    months.good_night()
    assert months.fetch("select count(*) from mart.fct_goods_receipt") == [(3,)]


def test_by_default_only_what_is_missing_or_stale_is_built(filled: Shop, plan: Plan) -> None:
    stale, missing = "2026-03-02", "2026-03-04"
    with filled.warehouse.session() as session:
        session.execute(f"update ops.slice set logic_version = 0 where fact = '{FACT}' and day = '{stale}'")
        # as if the fact had been new in the catalogue: nobody has ever marked the slice
        session.execute(f"delete from ops.slice where fact = '{FACT}' and day = '{missing}'")
        session.execute(f"delete from ops.dirty_slice where fact = '{FACT}' and day = '{missing}'")
        session.execute(f"delete from mart.{FACT} where ordered_on = '{missing}'")
        session.commit()
    entry = planned(plan(filled, MARCH), FACT)
    assert (entry.slices, entry.missing, entry.stale, entry.rows_added, entry.rows_unchanged) == (2, 1, 1, 1, 1)
    report = run_span(filled.settings, MARCH)
    (built,) = report.built
    assert (built.table, built.slices, built.rows_added, built.rows_unchanged) == (FACT, 2, 1, 1)
    assert len(filled.fetch(LINES)) == 15
    assert run_span(filled.settings, MARCH).is_empty


def test_a_plan_says_what_pending_deliveries_would_change(filled: Shop, plan: Plan) -> None:
    filled.source(purchase_order_line="delta", goods_receipt="append", site="snapshot")
    # two rows that change, one of a day outside the span, a new one, and one that is withdrawn
    changed = [{"po_id": f"P{month}-1", "ordered_on": f"2026-0{month}-01", "ordered_qty": 6} for month in (2, 3)]
    withdrawn = {"po_id": "P3-3", "ordered_on": "2026-03-03", "is_deleted": "true"}
    filled.land("purchase_order_line", "2026-03-30", *changed, {"po_id": "P9", "ordered_on": "2026-03-09"}, withdrawn)
    filled.land("site", "2026-03-30", {})
    filled.land_bytes("goods_receipt", "2026-03-30", b"no such column\n1\n")
    before = everything(filled)
    report = plan(filled, MARCH)
    assert everything(filled) == before
    entry = planned(report, FACT)
    assert (entry.rows_added, entry.rows_removed, entry.rows_changed) == (1, 1, 2)
    assert [problem.subject for problem in report.problems] == ["shop · goods_receipt · 2026-03-30"]
    built = {one.table: one for one in run_span(filled.settings, MARCH).built}
    assert set(built) == {one.table for one in report.planned}
    for table, one in built.items():
        said = planned(report, table)
        assert one.rows_added == said.rows_added + said.rows_changed, table
        assert one.rows_removed == said.rows_removed + said.rows_changed, table


def test_a_plan_says_what_changes_and_changes_nothing(filled: Shop, plan: Plan) -> None:
    with filled.warehouse.session() as session:
        # a row that differs, one that is not there, one that should not be, and one filed under another day
        session.execute(f"update mart.{FACT} set row_hash = 0 where po_id = 'P3-1'")
        session.execute(f"delete from mart.{FACT} where po_id = 'P3-2'")
        session.execute(f"update mart.{FACT} set row_key = 7, po_id = 'X' where po_id = 'P3-3'")
        session.execute(f"update mart.{FACT} set ordered_on = '2026-02-05' where po_id = 'P3-4'")
        session.commit()
    filled.land("goods_receipt", "2026-03-21", {"receipt_id": "R9", "po_id": "P3-5"})
    before = everything(filled)
    report = plan(filled, MARCH, all_of_it=True, repull=True)
    assert everything(filled) == before
    assert ("goods_receipt", 2) in {(pull.dataset, pull.deliveries) for pull in report.pulls}
    entry = planned(report, FACT)
    assert (entry.rows_added, entry.rows_removed, entry.rows_changed, entry.rows_unchanged) == (2, 1, 3, 0)
    (receipts,) = (one for one in report.planned if one.table == "fct_goods_receipt")
    assert (receipts.rows_added, receipts.rows_changed) == (1, 0)
    # what it said comes true
    (built,) = (b for b in run_span(filled.settings, MARCH, everything=True).built if b.table == FACT)
    assert built.slices == entry.slices
    assert (built.rows_added, built.rows_removed) == (2 + 3, 1 + 3)
    assert filled.fetch(LINES) == sorted((f"P{m}-{n}", 5) for m in (2, 3, 4) for n in range(1, 6))


def test_a_killed_backfill_goes_on_where_it_was(filled: Shop) -> None:
    first = dict(filled.fetch(f"select day, generation from ops.slice where fact = '{FACT}'"))
    done: dict[object, object] = {}
    for chunks in (3, 4):
        assert ended(backfill_beside(filled, YEAR, chunks)) == -signal.SIGKILL
        now = dict(filled.fetch(f"select day, generation from ops.slice where fact = '{FACT}'"))
        # what the runs before had finished is as they left it
        assert {day: now[day] for day in done} == done
        more = {day: generation for day, generation in now.items() if generation != first[day]}
        assert len(more) == len(done) + chunks
        done = more
    report = run_span(filled.settings, YEAR, everything=True)
    (lines,) = (built for built in report.built if built.table == FACT)
    assert lines.slices == 15 - 7
    generations = filled.fetch(f"select distinct generation from ops.slice where fact = '{FACT}'")
    assert len(generations) == 1
    assert filled.night().is_empty


def test_repull_reads_again_what_looks_unchanged(filled: Shop) -> None:
    assert filled.night().is_empty  # which notes the copied files
    file = filled.settings.landing / "shop" / "purchase_order_line" / "2026-03-20.csv"
    before = file.stat()
    text = file.read_text().replace("P3-1", "P3-0")
    # written in place: the same size, the same inode, and somebody set the time back
    with file.open("r+") as same:
        same.write(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert filled.night().is_empty
    report = run_span(filled.settings, MARCH, repull=True)
    assert {(taken.dataset, taken.slot) for taken in report.taken} >= {("purchase_order_line", "2026-03-20")}
    assert ("P3-0", 5) in filled.fetch(LINES)


def test_repull_takes_once_more_what_is_mapped_differently(months: Shop) -> None:
    """Both contents of a slot, in their order; and once: by the same mapping it is the same delivery."""
    months.land("purchase_order_line", "2026-03-20_r1", {"po_id": "P3-1", "ordered_on": "2026-03-01", "ordered_qty": 7})
    months.good_night()
    mapping = months.settings.sources[0] / "shop" / "purchase_order_line.sql"
    mapping.write_text(mapping.read_text().replace("raw.ordered_qty as", "raw.ordered_qty + 1 as"))
    assert months.night().is_empty
    assert len(run_span(months.settings, MARCH, repull=True).taken) == 3
    wanted = [(f"P{m}-{n}", 6 if m == 3 else 5) for m in (2, 3, 4) for n in range(1, 6)]
    assert months.fetch(LINES) == sorted([*wanted[:5], ("P3-1", 8), *wanted[6:]])
    assert run_span(months.settings, MARCH, repull=True).is_empty
    assert months.night().is_empty


def test_a_rebuild_takes_up_the_whole_table_and_touches_no_source(filled: Shop, plan: Plan) -> None:
    with filled.warehouse.session() as session:
        session.execute(f"update mart.{FACT} set row_hash = 0 where po_id in ('P2-1', 'P4-1')")
        session.commit()
    filled.land("goods_receipt", "2026-05-01", {"receipt_id": "R9"})
    entry = planned(plan(filled, Span.always(FACT), all_of_it=True), FACT)
    assert (entry.slices, entry.rows_changed, entry.rows_unchanged) == (15, 2, 13)
    built = rebuild(filled)
    assert (built.rows_added, built.rows_unchanged) == (2, 13)
    assert filled.fetch("select count(*) from ops.extract where slot = '2026-05-01'") == [(0,)]
