"""Set gates on real deliveries: control totals of trailers and manifests, columns, history, and what is read back."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from flows.io import publish, warehouse
from flows.io.gates_docs import write_data_docs
from flows.io.gates_history import kinds_of_days
from schemas.errors import ExtractError, WarehouseError
from tests.shop import Shop, text
from tests.sources import HEADER, PO_LINE_SQL, ROW, make_source

SECOND = ROW.replace("P1", "P2").replace("2.50", "0.01")
TRAILER = r"trailer: '^T,(?P<n>\d+),(?P<sum>[\d.]+)$'"
STATED = "control_totals: {rows: n, sums: {price: sum}}"
MANIFEST = "control_totals: {stated_in: manifest, rows: n, sums: {price: total}, where: {file: lines}}"


def source_with(tmp_path: Path, stated: str, *, table: str = "path: 'lines*'", more: str = ""):
    return make_source(
        tmp_path,
        f"""
        name: shop
        tables:
          lines: {{{table}, types: {{ordered: date, qty: decimal, price: decimal}}}}
          {more}
        datasets:
          purchase_order_line: {{mode: snapshot, {stated}}}
        """,
        purchase_order_line=PO_LINE_SQL,
    )


@pytest.mark.parametrize(
    ("last", "rows", "sums"),
    [
        ("T,2,2.51", 0, ""),
        ("T,3,2.51\r\n\n", -1, ""),
        ("T,1,2.5100000001", 1, "price: 2.5100000001 stated, 2.51 found"),
    ],
)
def test_a_trailer_is_no_row_and_says_what_was_sent(tmp_path: Path, last: str, rows: int, sums: str) -> None:
    shop = source_with(tmp_path, STATED, table=f"path: 'lines*', {TRAILER}")
    shop.land("lines.csv", "\n".join((HEADER, ROW, SECOND, last)))
    staged = shop.stage_only()
    assert (staged.rows_in, staged.rows_accepted) == (2, 2)
    assert (staged.control.rows, staged.control.sums) == (rows, sums)


def test_a_file_cut_off_before_its_trailer_is_refused(tmp_path: Path) -> None:
    shop = source_with(tmp_path, STATED, table=f"path: 'lines*', {TRAILER}")
    shop.land("lines.csv", "\n".join((HEADER, ROW, SECOND[:10])))
    with pytest.raises(ExtractError, match="last line is not its trailer"):
        shop.stage_only()


def test_nothing_sent_is_said_by_a_trailer(tmp_path: Path) -> None:
    shop = source_with(tmp_path, STATED, table=f"path: 'lines*', {TRAILER}")
    shop.land("lines.csv", f"{HEADER}\nT,0,0\n")
    staged = shop.stage_only()
    assert (staged.rows_in, staged.control.rows, staged.control.sums) == (0, 0, "")


def test_a_cell_that_cannot_be_read_leaves_its_sum_short(tmp_path: Path) -> None:
    shop = source_with(tmp_path, STATED, table=f"path: 'lines*', {TRAILER}")
    shop.land("lines.csv", "\n".join((HEADER, ROW, SECOND.replace("0.01", "cheap"), "T,2,2.51")))
    staged = shop.stage_only()
    assert (staged.rows_quarantined, staged.control.rows) == (1, 0)
    assert staged.control.sums == "price: 2.51 stated, 2.5 found"


def test_a_manifest_is_waited_for_and_says_what_was_sent(tmp_path: Path) -> None:
    shop = source_with(tmp_path, MANIFEST, more="manifest: {path: 'manifest*'}")
    shop.land("lines.csv", "\n".join((HEADER, ROW, SECOND)))
    assert not any(delivery.is_complete for delivery in shop.pull().deliveries)
    shop.land("manifest.csv", "file,n,total\nlines,1,2.50\nothers,9,9\nlines,1,0.02\n")
    (delivery,) = (one for one in shop.pull().deliveries if one.is_complete)
    staged = shop.stage(delivery)
    assert (staged.control.rows, staged.control.sums) == (0, "price: 2.52 stated, 2.51 found")


@pytest.mark.parametrize(
    ("day", "calendar", "kind"),
    [
        ("2026-03-02", None, "mon"),
        ("2026-05-01", None, "fri"),
        ("2026-05-01", "DE", "holiday"),
        ("2026-10-31", "DE-HB", "holiday"),
        ("2026-10-31", "DE-BY", "month_end"),
        ("2026-10-30", None, "month_end"),
        ("2026-01-29", None, "thu"),
        ("2026-12-31", "DE", "month_end"),
        ("2026-05-29", None, "month_end"),
        ("2026-05-30", None, "sat"),
        ("2026-05-31", None, "month_end"),
    ],
)
def test_kinds_of_days(day: str, calendar: str | None, kind: str) -> None:
    assert kinds_of_days([date.fromisoformat(day)], calendar) == [kind]


def said(shop: Shop, gate: str) -> dict[str, str]:
    """What a gate said, by the day that the delivery speaks for."""
    query = "select day::text, status from mart.v_gate_result where gate = '{}' and judged = 'purchase_order_line'"
    return dict(shop.fetch(query.format(gate)))


MONDAYS = ("2026-01-05", "2026-01-12", "2026-01-19", "2026-02-02", "2026-02-09")


def many(number: int, start: int = 0) -> list[dict[str, object]]:
    return [{"po_id": f"P{start + at}"} for at in range(number)]


def test_a_delivery_is_compared_with_earlier_ones_only_and_once(shop: Shop) -> None:
    declared = {"mode": "delta", "history_gates": "fail"}
    shop.source(purchase_order_line=declared)
    for at, day in enumerate(MONDAYS):
        shop.land("purchase_order_line", day, *many(30, 100 * at))
    # A Tuesday is of another kind, whatever came on it.
    shop.land("purchase_order_line", "2026-02-10", *many(2, 900))
    shop.good_night()
    assert said(shop, "rows_as_usual") == {"2026-02-09": "passed"}
    shop.land("purchase_order_line", "2026-02-16", *many(3, 1000))
    (problem,) = shop.night().problems
    for part in ("rows_as_usual", "Far fewer rows", "rows_a_day = 3", "2026-02-16.csv", "release"):
        assert part in problem.message
    assert "expected column" not in problem.message
    # What was held back is no baseline; nor is what comes later for a day that was judged.
    kept = "select count(*) from ops.extract_measure inner join ops.extract using (extract_id) where state = 'blocked'"
    assert shop.fetch(kept) == [(0,)]
    shop.land("purchase_order_line", "2026-02-23", *many(31, 2000))
    shop.land("purchase_order_line", "2026-01-26", *many(500, 3000))
    shop.night()
    assert said(shop, "rows_as_usual") == {
        "2026-02-09": "passed", "2026-02-16": "failed", "2026-02-23": "passed",
    }  # fmt: skip
    assert shop.fetch("select state from ops.extract where as_of = '2026-02-16'") == [("blocked",)]


def test_a_day_that_loses_most_of_its_rows_is_told_of(shop: Shop) -> None:
    shop.source(purchase_order_line="delta")
    shop.land("purchase_order_line", "2026-03-10", *many(20))
    shop.good_night()
    shop.land("purchase_order_line", "2026-03-11", *(one | {"is_deleted": "true"} for one in many(11)))
    shop.good_night()
    assert shop.fetch("select count(*) from mart.fct_purchase_order_line") == [(9,)]
    told = "select day::text, observed from ops.gate_result where gate = 'rows_as_before' and status = 'warned'"
    assert shop.fetch(told) == [("2026-03-10", "lost_share = 0.5500000")]


def test_a_header_that_changes_blocks_where_it_is_frozen(shop: Shop) -> None:
    shop.source(purchase_order_line={"mode": "delta", "table": {"schema_policy": "freeze"}})
    shop.land("purchase_order_line", "2026-03-02", {})
    shop.good_night()
    lines = text("purchase_order_line", {"po_id": "P2"}).splitlines()
    shop.land_bytes("purchase_order_line", "2026-03-03", f"{lines[0]},colour\n{lines[1]},red\n".encode())
    (problem,) = shop.night().problems
    assert "raw_purchase_order_line.colour is new" in problem.message
    assert said(shop, "columns_frozen") == {"2026-03-03": "failed"}


def off_by_a_factor(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns((pl.col("unit_price") * 1000).cast(frame.schema["unit_price"]))


def a_day_off(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("ordered_on").dt.offset_by("1d"))


def cut(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("supplier_id").str.slice(0, 1))


def lost(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.head(frame.height - 1)


def emptied(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(currency=pl.lit(""))


@pytest.mark.parametrize("damage", [off_by_a_factor, a_day_off, cut, lost, emptied])
def test_rows_that_do_not_read_back_are_not_published(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, damage: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    shop.source(purchase_order_line="delta")
    shop.land("purchase_order_line", "2026-03-02", *many(3))
    copy = warehouse.Session.copy

    def damaged(self: warehouse.Session, frame: pl.DataFrame, table: str, *, schema: str) -> None:
        copy(self, damage(frame) if table == "fct_purchase_order_line" else frame, table, schema=schema)

    with monkeypatch.context() as patched:
        patched.setattr(publish.Session, "copy", damaged)
        (problem,) = shop.night().problems
    assert "does not read back as it was built" in problem.message
    assert shop.fetch("select count(*) from mart.fct_purchase_order_line") == [(0,)]
    shop.good_night()
    assert shop.fetch("select count(*) from mart.fct_purchase_order_line") == [(3,)]


def test_many_rows_are_added_up_over_a_sample(shop: Shop) -> None:
    from flows.io import readback

    frame = pl.DataFrame({"row_key": range(-200, 200), "row_hash": [2**62] * 400, "n": range(400)})
    with shop.warehouse.session() as session:
        session.execute("create table mart.sampled (row_key bigint, row_hash bigint, n bigint)")
        session.copy(frame, "sampled", schema="mart")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(readback, "MANY", 100)
            readback.check_written(session, "sampled", frame)
            with pytest.raises(WarehouseError, match="n sum is"):
                readback.check_written(session, "sampled", frame.with_columns(n=pl.col("n") + 1))
            with pytest.raises(WarehouseError, match="rows is 400, not 399"):
                readback.check_written(session, "sampled", frame.head(399))


def test_what_gates_said_becomes_a_static_site(shop: Shop, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shop.source(purchase_order_line="delta")
    for day in MONDAYS:  # a history: gates whose limits come from it are to speak too
        shop.land("purchase_order_line", day, {"po_id": day})
    shop.land("purchase_order_line", "2026-03-02", {"promised_on": "2026-03-01"})
    shop.good_night()
    with shop.warehouse.session() as session:
        limits = session.value("select expected from ops.gate_result where gate = 'rows_as_usual'")
        capfd.readouterr()
        pages = write_data_docs(session, tmp_path / "site", days=1)
    assert capfd.readouterr().err == ""  # Great Expectations prints what it cannot render, and leaves the page out
    written = {file.relative_to(tmp_path / "site").parts[1] for file in tmp_path.glob("site/validations/*/**/*.html")}
    assert written == {"purchase_order_line", "fct_purchase_order_line"}
    assert pages == 2
    (page,) = tmp_path.glob("site/validations/purchase_order_line/**/*.html")
    assert "promised_before_ordered = 1" in page.read_text()
    assert limits.endswith("(min_value=-9, max_value=11)")
    assert re.search(r">-9\.?0?<.*>11\.?0?<", page.read_text(), re.DOTALL), "the limits that held"
    assert "PARAMETER" not in page.read_text()
    assert (tmp_path / "site" / "index.html").is_file()


def test_nul_characters_in_a_header_are_told_of(shop: Shop) -> None:
    """The server refuses them: the night must not end there, and again every night."""
    shop.source(purchase_order_line="delta")
    shop.land("purchase_order_line", "2026-03-30", {"po_id": "P1"})
    shop.good_night()
    header, row = text("purchase_order_line", {"po_id": "P2"}).splitlines()
    shop.land_bytes("purchase_order_line", "2026-03-31", f"{header},x\0y\n{row},1\n".encode())
    shop.land_bytes("purchase_order_line", "2026-04-01", f"{header},x\0y\n{row},1\n".replace("po_id", "p\0").encode())
    assert [problem.subject for problem in shop.night().problems] == ["shop · purchase_order_line · 2026-04-01"]
    assert shop.fetch("select state, blocked_by like '%p\u2400%' from ops.extract order by slot") == [
        ("accepted", None), ("accepted", None), ("blocked", True)
    ]  # fmt: skip
    changed = "select observed from ops.gate_result where gate = 'columns_as_before' and status = 'warned'"
    assert shop.fetch(changed) == [("column_changes = raw_purchase_order_line.x\u2400y is new",)]
