"""Pulling files: what lands, what counts as one delivery, and every format that is read."""

import gzip
import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from flows.io.pull import slots, unmatched_files
from schemas.errors import ExtractError, SourceError, StorageError
from tests.sources import HEADER, NOW, ROW, TestSource, make_source, po_lines

SLOT = r"slot: '(?P<as_of>\d{4}-\d{2}-\d{2})(_r(?P<revision>\d+))?(_p(?P<part>\d+))?'"
TEXT = f"{HEADER}\n{ROW}\n"
OTHER = TEXT + ROW.replace("P1", "P2") + "\n"
HOUR = timedelta(hours=1)


def test_nothing_landed(tmp_path: Path) -> None:
    assert po_lines(tmp_path).pull().deliveries == []


def test_slot_revision_and_parts(tmp_path: Path) -> None:
    source = po_lines(tmp_path, SLOT)
    source.land("lines_2026-03-01_p2.csv", TEXT)
    source.land("lines_2026-03-01_p1.csv", OTHER)
    source.land("lines_2026-03-01_r1_p1.csv", TEXT)
    source.land("lines_2026-02-28.csv", TEXT)
    deliveries = source.pull().deliveries
    assert [(d.slot, d.revision, d.as_of, len(d.files)) for d in deliveries] == [
        ("2026-02-28", 0, date(2026, 2, 28), 1),
        ("2026-03-01", 0, date(2026, 3, 1), 2),
        ("2026-03-01", 1, date(2026, 3, 1), 1),
    ]
    assert [file.name for file in deliveries[1].files] == ["lines_2026-03-01_p1.csv", "lines_2026-03-01_p2.csv"]
    staged = source.stage(deliveries[1])
    # The same row stands in both parts.
    assert (staged.rows_in, staged.rows_accepted, staged.rows_duplicate) == (3, 2, 1)
    assert pl.read_parquet(staged.rows)["_row_no"].n_unique() == 2


def test_a_name_without_slot_is_reported(tmp_path: Path) -> None:
    source = po_lines(tmp_path, SLOT)
    source.land("lines_today.csv", TEXT)
    source.land("lines_2026-02-31.csv", TEXT)
    source.land("notes.txt", "hello")
    pulled = source.pull()
    assert pulled.deliveries == []
    assert unmatched_files(source.source, source.settings.landing) == ["notes.txt"]
    assert sorted(pulled.odd) == ["lines_2026-02-31.csv", "lines_today.csv"]


def test_bytes_are_kept_once_and_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    source = po_lines(tmp_path, SLOT)
    first = source.land("lines_2026-03-01.csv", TEXT)
    source.land("lines_2026-03-02.csv", TEXT)
    (one, two) = source.pull().deliveries
    assert one.files[0].path == two.files[0].path
    assert one.files[0].path.read_text() == TEXT
    # Same size, time and inode: taken for unchanged, without a look at the bytes.
    stat = first.stat()
    with first.open("r+") as file:
        file.write(TEXT.replace("P1", "P9"))
    os.utime(first, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source.pull(NOW + HOUR).deliveries == [one, two]


def test_content_changed_under_the_same_name(tmp_path: Path) -> None:
    source = po_lines(tmp_path, SLOT)
    source.land("lines_2026-03-01.csv", TEXT)
    (before,) = source.pull().deliveries
    source.land("lines_2026-03-01.csv", OTHER)
    (after,) = source.pull(NOW + HOUR).deliveries
    assert (before.slot, before.revision) == (after.slot, after.revision)
    assert before.content_hash != after.content_hash
    assert after.landed_at == NOW + HOUR


def test_without_slot_each_change_is_a_landing(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    path = source.land("lines.csv", TEXT)
    source.pull()
    source.pull(NOW + HOUR)
    source.land("lines.csv", OTHER)
    source.pull(NOW + 2 * HOUR)
    source.land("lines.csv", TEXT)
    deliveries = source.pull(NOW + 3 * HOUR).deliveries
    assert [d.landed_at for d in deliveries] == [NOW, NOW + 2 * HOUR, NOW + 3 * HOUR]
    assert deliveries[0].content_hash == deliveries[2].content_hash
    assert deliveries[0].slot != deliveries[2].slot
    # What landed stays a delivery when its file is tidied away.
    path.unlink()
    assert source.pull(NOW + 4 * HOUR).deliveries == deliveries


def test_files_of_one_pull_belong_together(tmp_path: Path) -> None:
    source = _joined(tmp_path, "")
    source.land("heads.csv", "po,supplier\nP1,S1\n")
    source.land("rows.csv", "po,line\nP1,1\n")
    (delivery,) = source.pull().deliveries
    assert delivery.is_complete
    assert {file.table for file in delivery.files} == {"heads", "rows"}


def test_a_corrected_header_file_comes_with_the_uncorrected_rows(tmp_path: Path) -> None:
    source = _joined(tmp_path, SLOT)
    source.land("heads_2026-03-01.csv", "po,supplier\nP1,S1\n")
    source.land("rows_2026-03-01.csv", "po,line\nP1,1\n")
    source.land("heads_2026-03-01_r2.csv", "po,supplier\nP1,S2\n")
    first, second = source.pull().deliveries
    assert (first.revision, second.revision) == (0, 2)
    assert {file.name for file in second.files} == {"heads_2026-03-01_r2.csv", "rows_2026-03-01.csv"}


def test_a_file_without_slot_belongs_to_every_slot(tmp_path: Path) -> None:
    source = _joined(tmp_path, "", SLOT)
    source.land("heads.csv", "po,supplier\nP1,S1\n")
    source.land("rows_2026-03-01.csv", "po,line\nP1,1\n")
    source.land("rows_2026-03-02.csv", "po,line\nP1,2\n")
    deliveries = source.pull().deliveries
    assert [delivery.slot for delivery in deliveries] == ["2026-03-01", "2026-03-02"]
    assert all(delivery.is_complete for delivery in deliveries)


def _joined(tmp_path: Path, slot: str, rows_slot: str | None = None) -> TestSource:
    def keys(text: str) -> str:
        return f"\n            {text}" if text else ""

    return make_source(
        tmp_path,
        f"""
        name: shop
        tables:
          heads:
            path: "heads*"{keys(slot)}
          rows:
            path: "rows*"{keys(slot if rows_slot is None else rows_slot)}
        datasets:
          purchase_order_line: {{mode: snapshot}}
        """,
        purchase_order_line="""
        select l.po as po_id, l.line as line_no, h.supplier as supplier_id, 'I' as item_id,
          date '2026-01-01' as ordered_on, 1 as ordered_qty, 'EA' as uom, 1 as unit_price, 'EUR' as currency,
          'open' as status
        from rows as l left join heads as h on h.po = l.po
        """,
    )


def test_rows_outside_the_period(tmp_path: Path) -> None:
    slot = r"slot: '(?P<period>\d{4}-\d{2})'"
    source = po_lines(tmp_path, slot, mode="period, period: {column: ordered_on}")
    source.land("lines_2026-02.csv", TEXT + ROW.replace("P1", "P2").replace("2026-02-03", "2026-03-01") + "\n")
    (delivery,) = source.pull().deliveries
    assert delivery.period == (date(2026, 2, 1), date(2026, 2, 28))
    staged = source.stage(delivery)
    assert (staged.rows_accepted, staged.rows_quarantined) == (1, 1)
    assert staged.quarantined["rule"].to_list() == ["outside_period"]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-02", (2026, 2, 1), (2026, 2, 28)),
        ("202602", (2026, 2, 1), (2026, 2, 28)),
        ("2026", (2026, 1, 1), (2026, 12, 31)),
        ("2026-Q2", (2026, 4, 1), (2026, 6, 30)),
        ("2026-W01", (2025, 12, 29), (2026, 1, 4)),
        ("2026-03-01_2026-03-15", (2026, 3, 1), (2026, 3, 15)),
        ("20260301", (2026, 3, 1), (2026, 3, 1)),
    ],
)
def test_period_bounds(text: str, first: tuple[int, int, int], last: tuple[int, int, int]) -> None:
    assert slots.period_bounds(text) == (date(*first), date(*last))


def test_a_path_out_of_the_landing_folder(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    path = source.folder / "source.yaml"
    path.write_text(path.read_text().replace("lines*", "../other/lines*"))
    with pytest.raises(SourceError, match="leads out"):
        source.pull()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", TEXT).chmod(0)
    with pytest.raises(ExtractError, match="cannot be read"):
        source.pull()


def test_store_that_is_a_file(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", TEXT)
    (source.settings.landing / ".store").write_text("")
    with pytest.raises(StorageError, match="landing zone"):
        source.pull()


@pytest.mark.parametrize(
    ("table", "content"),
    [
        ('delimiter: "\\t"', TEXT.replace(",", "\t").encode()),
        ('delimiter: "||"', TEXT.replace(",", "||").encode()),
        ('delimiter: "||"', TEXT.replace("I1", '"I||1"').replace(",", "||").replace("I||1", "I1").encode()),
        ("encoding: utf-16", TEXT.encode("utf-16")),
        ("encoding: utf-16\ndelimiter: '~|~'", TEXT.replace(",", "~|~").encode("utf-16")),
        ("encoding: latin-1", TEXT.encode("latin-1")),
        ("encoding: utf-8-sig", TEXT.encode("utf-8-sig")),
        ("", gzip.compress(TEXT.encode(), mtime=0)),
        (f"header: false\ncolumns: [{HEADER}]", ROW.encode()),
        ("skip_lines: 2", f"Report of today\n\n{TEXT}".encode()),
        ("quote: null", TEXT.encode()),
    ],
)
def test_text_formats(tmp_path: Path, table: str, content: bytes) -> None:
    source = po_lines(tmp_path, table)
    source.land("lines.dat", content)
    staged = source.stage_only()
    assert staged.rows_accepted == 1
    row = pl.read_parquet(staged.rows).row(0, named=True)
    assert (row["po_id"], row["item_id"], row["ordered_on"]) == ("P1", "I1", date(2026, 2, 3))


def test_latin_1_letters(tmp_path: Path) -> None:
    source = po_lines(tmp_path, "encoding: latin-1")
    source.land("lines.csv", TEXT.replace("S1", "S\xfcd").encode("latin-1"))
    assert pl.read_parquet(source.stage_only().rows)["supplier_id"].to_list() == ["S\xfcd"]


def test_delimiter_of_several_characters_inside_quotes(tmp_path: Path) -> None:
    source = po_lines(tmp_path, 'delimiter: "||"')
    source.land("lines.csv", TEXT.replace(",", "||").replace("I1", '"I||1"'))
    assert pl.read_parquet(source.stage_only().rows)["item_id"].to_list() == ["I||1"]


def test_json_lines(tmp_path: Path) -> None:
    source = po_lines(tmp_path, "format: jsonl")
    keys = HEADER.split(",")
    good = json.dumps(dict(zip(keys, ["00870", 1, "S1", "I1", "2026-02-03", 5, 2.5, "EUR"], strict=True)))
    source.land("lines.jsonl", f"{good}\n{good.replace('00870', '871')}\n")
    assert set(pl.read_parquet(source.stage_only().rows)["po_id"]) == {"00870", "871"}
    source.land("lines.jsonl", f"{good}\nno json\n\n{good.replace('00870', '871')}\n")
    staged = source.stage(source.pull(NOW + HOUR).deliveries[-1])
    assert (staged.rows_accepted, staged.rows_quarantined) == (2, 1)
    assert staged.quarantined.row(0)[:4] == (2, "ragged_row", "", "no json")
    source.land("lines.jsonl", f"{good.replace(keys[1], 'lin')}\n")
    with pytest.raises(ExtractError, match="no column 'line'; the nearest is 'lin'"):
        source.stage(source.pull(NOW + 2 * HOUR).deliveries[-1])


def test_parquet(tmp_path: Path) -> None:
    source = po_lines(tmp_path, "format: parquet")
    frame = pl.DataFrame(
        {
            "po": [870.0, 871.0],
            "line": [1, 1],
            "supplier": ["S1", "S1"],
            "item": ["I1", "I1"],
            "ordered": [datetime(2026, 2, 3), datetime(2026, 2, 3, 5)],  # noqa: DTZ001 - as files have it
            "qty": [5, 5],
            "price": [2.5, 2.5],
            "currency": ["EUR", "EUR"],
        }
    )
    path = source.land("lines.parquet", b"")
    frame.write_parquet(path)
    staged = source.stage_only()
    assert pl.read_parquet(staged.rows)["po_id"].to_list() == ["870"]
    assert staged.quarantined["rule"].to_list() == ["ordered|unreadable"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ExtractError, match="not a readable Parquet file"):
        source.stage(source.pull(NOW + HOUR).deliveries[-1])


def _workbook(path: Path) -> None:
    book = xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd"})
    book.add_worksheet("Cover").write(0, 0, "not this one")
    sheet = book.add_worksheet("Lines")
    sheet.write_row(0, 0, HEADER.split(","))
    sheet.write_row(1, 0, ["00870", 1.0, 4711.0, "I1", datetime(2026, 2, 3), 5.25, 0.1, "EUR"])  # noqa: DTZ001
    sheet.write_row(2, 0, ["871", 1.0, "S1", "I1", "2026-02-03", "5", "2,5", "EUR"])
    book.close()


def test_excel(tmp_path: Path) -> None:
    source = po_lines(tmp_path, "format: excel\nsheet: Lines", extra='raw_types: {decimal_mark: ","}')
    _workbook(source.land("lines.xlsx", b""))
    staged = source.stage_only()
    row = pl.read_parquet(staged.rows).row(0, named=True)
    assert (row["po_id"], row["supplier_id"], row["ordered_on"]) == ("00870", "4711", date(2026, 2, 3))
    # A spreadsheet's numbers are numbers, whatever mark the source's text files use.
    assert staged.quarantined.select("rule", "value").rows() == [("price|unreadable", "2,5")]


def test_excel_without_the_sheet(tmp_path: Path) -> None:
    source = po_lines(tmp_path, "format: excel\nsheet: Orders")
    _workbook(source.land("lines.xlsx", b""))
    with pytest.raises(ExtractError, match="no sheet 'Orders'"):
        source.stage_only()


def test_no_workbook(tmp_path: Path) -> None:
    source = po_lines(tmp_path, "format: excel")
    source.land("lines.xlsx", b"PK\x03\x04 nothing")
    with pytest.raises(ExtractError, match="workbook cannot be read"):
        source.stage_only()


def test_remote_files_through_fsspec(tmp_path: Path) -> None:
    import fsspec

    source = po_lines(tmp_path)
    path = source.folder / "source.yaml"
    path.write_text(path.read_text().replace("lines*", "memory://share/lines_*.csv"))
    system = fsspec.filesystem("memory")
    with system.open("/share/lines_a.csv", "wb") as file:
        file.write(TEXT.encode())
    assert source.stage_only().rows_accepted == 1


def test_local_times(tmp_path: Path) -> None:
    source = make_source(
        tmp_path,
        """
        name: shop
        time_zone: Europe/Berlin
        tables:
          moves: {path: "moves.csv", types: {at: timestamp, qty: decimal}}
        datasets:
          goods_receipt: {mode: append}
        """,
        goods_receipt="""
        select m.id as receipt_id, '1' as line_no, 'P1' as po_id, '1' as po_line_no, m.at as received_at,
          m.qty as received_qty, 'EA' as uom
        from moves as m
        """,
    )
    source.land(
        "moves.csv",
        "id,at,qty\nA,2026-01-01 00:30:00,1\nB,2026-03-29 02:30:00,1\nC,2025-10-26 02:30:00,1\n",
    )
    staged = source.stage_only()
    rows = pl.read_parquet(staged.rows).sort("receipt_id")
    # 00:30 in Berlin is still the old year in UTC, but it is a row of the new one.
    assert rows.row(0, named=True)["received_at"] == datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    assert rows["_date"].to_list() == [date(2026, 1, 1), date(2025, 10, 26)]
    # Of the hour that comes twice the first is taken; the hour that never was is held back.
    assert rows.row(1, named=True)["received_at"] == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert staged.quarantined.select("row_no", "rule").rows() == [(2, "received_at|does_not_fit")]
    assert (staged.first_day, staged.last_day) == (date(2025, 10, 26), date(2026, 1, 1))
