"""Bad input, as it comes: each gets a clear message, and no row is lost uncounted."""

import gzip
import io
import json
import resource
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from flows.io.pull import load_source
from schemas.errors import ExtractError, SourceError, StorageError
from tests.sources import HEADER, NOW, PO_LINE_SQL, ROW, TestSource, make_source, po_lines


def lines(*rows: str, header: str = HEADER) -> str:
    return "\n".join((header, *rows)) + "\n"


def refused(tmp_path: Path, content: str | bytes, *parts: str, table: str = "") -> None:
    """Staging the content is refused as a whole, in a message that holds all of `parts`."""
    source = po_lines(tmp_path, table)
    source.land("lines.csv", content)
    with pytest.raises(ExtractError) as error:
        source.stage_only()
    for part in ("lines.csv", *parts):
        assert part in str(error.value)


def test_empty_file(tmp_path: Path) -> None:
    refused(tmp_path, b"", "empty")


def test_empty_file_where_that_means_no_rows(tmp_path: Path) -> None:
    source = po_lines(tmp_path, "may_be_empty: true")
    source.land("lines.csv", b"")
    assert source.stage_only().rows_in == 0


def test_header_only(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", HEADER)
    assert source.stage_only().counts == dict.fromkeys(source.stage_only().counts, 0)


def test_wrong_delimiter(tmp_path: Path) -> None:
    refused(tmp_path, lines(ROW).replace(",", ";"), "one column", "';'")


def test_wrong_delimiter_without_header(tmp_path: Path) -> None:
    table = f"header: false\ncolumns: [{HEADER}]"
    refused(tmp_path, "\n".join([ROW.replace(",", "|")] * 3), "row 1 has 1", "'|'", table=table)


def test_wrong_encoding_names_the_byte(tmp_path: Path) -> None:
    content = lines(ROW, "P2,1,S\xfcd,I1,2026-02-03,5,2.50,EUR").encode("latin-1")
    refused(tmp_path, content, "not UTF-8", f"byte {content.index(0xFC)}")


def test_encoding_that_is_declared_but_not_there(tmp_path: Path) -> None:
    refused(tmp_path, lines(ROW).encode()[:-1], "utf-16", table="encoding: utf-16")


def test_truncated_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(lines(*[ROW] * 5000).encode())
    refused(tmp_path, packed[: len(packed) // 2], "cut off or damaged")


def zipped(*members: tuple[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return file.getvalue()


@pytest.mark.parametrize("name", ["../outside.csv", "/etc/lines.csv", "C:/lines.csv", "a\\..\\..\\b.csv"])
def test_zip_with_a_path_outside(tmp_path: Path, name: str) -> None:
    refused(tmp_path, zipped((name, lines(ROW))), "path outside")
    assert not (tmp_path / "outside.csv").exists()


def test_zip_with_several_files(tmp_path: Path) -> None:
    refused(tmp_path, zipped(("a.csv", lines(ROW)), ("b.csv", lines(ROW))), "2 files")


def test_truncated_zip(tmp_path: Path) -> None:
    refused(tmp_path, zipped(("a.csv", lines(*[ROW] * 5000)))[:200], "damaged")


def test_missing_column(tmp_path: Path) -> None:
    header = HEADER.replace(",price", "")
    refused(tmp_path, lines(ROW.replace(",2.50", ""), header=header), "no column 'price'")


def test_renamed_column_names_the_nearest(tmp_path: Path) -> None:
    header = HEADER.replace("supplier", "supplier_no")
    refused(tmp_path, lines(ROW, header=header), "no column 'supplier'", "nearest is 'supplier_no'")


def test_extra_column_is_fine_and_reported_where_columns_are_declared(tmp_path: Path) -> None:
    source = po_lines(tmp_path, f"columns: [{HEADER}]")
    source.land("lines.csv", lines(ROW + ",x", header=HEADER + ",colour"))
    staged = source.stage_only()
    assert staged.rows_accepted == 1
    assert staged.warnings == ["lines: column 'colour' is new; the mapping does not use it"]


def test_column_named_twice(tmp_path: Path) -> None:
    refused(tmp_path, lines(ROW + ",x", header=HEADER + ",po"), "names 'po' twice")


def test_ragged_rows_are_quarantined_with_their_line(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    rows = [ROW, ROW.replace("P1", "P2") + ",9,9", ROW.replace("P1", "P3"), "P4,1", ROW.replace("P1", "P5")]
    source.land("lines.csv", lines(*rows))
    staged = source.stage_only()
    assert (staged.rows_accepted, staged.rows_quarantined, staged.unreadable_keys) == (3, 2, 2)
    entries = staged.quarantined.select("row_no", "rule", "value").rows()
    assert entries == [(2, "ragged_row", rows[1]), (4, "ragged_row", "P4,1")]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", lines(ROW, "", ROW.replace("P1", "P2")) + "\n\n")
    assert source.stage_only().counts == {
        "rows_in": 2, "rows_accepted": 2, "rows_quarantined": 0, "rows_duplicate": 0, "rows_excluded": 0
    }  # fmt: skip


def test_duplicate_rows_are_kept_once(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", lines(ROW, ROW, ROW.replace("P1", "P2"), ROW))
    staged = source.stage_only()
    assert (staged.rows_accepted, staged.rows_duplicate) == (2, 2)


def test_same_key_with_different_payload_quarantines_all(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", lines(ROW, ROW, ROW.replace(",5,", ",6,"), ROW.replace("P1", "P2")))
    staged = source.stage_only()
    assert (staged.rows_accepted, staged.rows_duplicate, staged.rows_quarantined) == (1, 1, 2)
    assert set(staged.quarantined["rule"]) == {"conflicting_versions"}
    # The key was seen, twice: a snapshot must not end it.
    assert staged.sightings["_key_hash"].n_unique() == 1
    assert staged.unreadable_keys == 0


@pytest.mark.parametrize(
    ("old", "new", "rule", "value"),
    [
        (",5,", ",five,", "qty|unreadable", "five"),
        ("2026-02-03", "2026-02-30", "ordered|unreadable", "2026-02-30"),
        ("EUR", "XYZ", "currency_exists", "XYZ"),
        ("2.50", "-1", "unit_price_not_negative", "-1.0000000000"),
        (",5,", ",1.23456,", "ordered_qty|does_not_fit", "1.2345600000"),
        (",5,", ",123456789012345678,", "ordered_qty|does_not_fit", "123456789012345678.0000000000"),
        ("S1", "", "supplier_id|nullability", None),
        (",5,", ",-5,", "ordered_qty_sign_agrees_with_is_return", None),
    ],
)
def test_bad_cells_quarantine_their_row(tmp_path: Path, old: str, new: str, rule: str, value: str | None) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", lines(ROW.replace("P1", "P0"), ROW.replace(old, new)))
    staged = source.stage_only()
    assert (staged.rows_accepted, staged.rows_quarantined, staged.unreadable_keys) == (1, 1, 0)
    entry = staged.quarantined.filter(rule=rule).row(0, named=True)
    assert (entry["row_no"], entry["value"]) == (2, value)
    assert '"po":"P1"' in entry["raw"]


def test_nul_characters(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", lines(ROW, ROW.replace("P1", "P2").replace("I1", "I\0")))
    staged = source.stage_only()
    assert (staged.rows_accepted, staged.rows_quarantined) == (1, 1)
    entry = staged.quarantined.row(0, named=True)
    assert entry["rule"] == "item_id|nul_character"
    assert (entry["value"], json.loads(entry["raw"])["item"]) == ("I\0", "I\0")


def test_huge_field(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    huge = "x" * 3_000_000
    source.land("lines.csv", lines(ROW.replace("I1", huge), ROW.replace("P1", "P2").replace(",5,", f",{huge},")))
    staged = source.stage_only()
    assert staged.quarantined["rule"].to_list() == ["item_id|too_long", "qty|unreadable"]
    assert staged.quarantined["value"].str.len_bytes().to_list() == [1_000, 1_000]


def test_quotes_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    rows = ['"P,1",1,"S ""1""",I1,2026-02-03,5,2.50,EUR', '"P\n2",1,S1,I1,2026-02-03,5,2.50,EUR', "P3,1"]
    source.land("lines.csv", b"\xef\xbb\xbf" + lines(*rows).replace("\n", "\r\n").encode())
    staged = source.stage_only()
    assert (staged.rows_accepted, staged.rows_quarantined) == (2, 1)
    import polars as pl

    assert set(pl.read_parquet(staged.rows)["po_id"]) == {"P,1", "P\r\n2"}


def test_stray_quote_says_what_to_do(tmp_path: Path) -> None:
    refused(tmp_path, lines(ROW, ROW.replace("I1", '"I1" long')), "quote: null")


def test_unreadable_cell_in_a_joined_table(tmp_path: Path) -> None:
    source = _header_and_lines(tmp_path)
    source.land("heads.csv", "po,supplier,ordered\nP1,S1,2026-02-03\nP2,S2,2026-02-31\n")
    source.land("rows.csv", "po,line,qty\nP1,1,5\nP2,1,6\nP2,2,7\n")
    staged = source.stage_only()
    assert (staged.rows_accepted, staged.rows_quarantined) == (1, 2)
    assert set(staged.quarantined.select("rule", "value").rows()) == {("h.ordered|unreadable", "2026-02-31")}
    assert staged.sightings.height == 2


def test_a_row_that_the_select_leaves_out_for_a_bad_cell_is_not_excluded(tmp_path: Path) -> None:
    source = _header_and_lines(tmp_path, where="where l.qty > 0")
    source.land("heads.csv", "po,supplier,ordered\nP1,S1,2026-02-03\n")
    source.land("rows.csv", "po,line,qty\nP1,1,5\nP1,2,0\nP1,3,none\n")
    staged = source.stage_only()
    assert (staged.rows_accepted, staged.rows_excluded, staged.rows_quarantined) == (1, 1, 1)
    assert staged.quarantined["rule"].to_list() == ["qty|unreadable"]
    assert staged.unreadable_keys == 1


def test_a_join_that_finds_several_partners(tmp_path: Path) -> None:
    source = _header_and_lines(tmp_path)
    source.land("heads.csv", "po,supplier,ordered\nP1,S1,2026-02-03\nP1,S2,2026-02-03\n")
    source.land("rows.csv", "po,line,qty\nP1,1,5\n")
    with pytest.raises(ExtractError, match="more than once"):
        source.stage_only()


def test_half_of_the_files(tmp_path: Path) -> None:
    source = _header_and_lines(tmp_path)
    source.land("rows.csv", "po,line,qty\nP1,1,5\n")
    pulled = source.pull()
    assert [delivery.missing for delivery in pulled.deliveries] == [("heads",)]
    assert "waits for heads" in pulled.waiting[0]


def _header_and_lines(tmp_path: Path, where: str = "") -> TestSource:
    return make_source(
        tmp_path,
        """
        name: shop
        tables:
          heads: {path: "heads.csv", types: {ordered: date}}
          rows: {path: "rows.csv", types: {qty: decimal}}
        datasets:
          purchase_order_line: {mode: snapshot}
        """,
        purchase_order_line=f"""
        select l.po as po_id, l.line as line_no, h.supplier as supplier_id, 'I' as item_id, h.ordered as ordered_on,
          l.qty as ordered_qty, 'EA' as uom, l.qty as unit_price, 'EUR' as currency, 'open' as status
        from rows as l inner join heads as h on h.po = l.po {where}
        """,
    )


def test_future_change_and_deleted_rows_in_a_delta(tmp_path: Path) -> None:
    sql = PO_LINE_SQL.replace("'open' as status", "'open' as status, l.changed as updated_at, l.gone as is_deleted")
    source = po_lines(tmp_path, mode="delta", sql=sql)
    path = source.folder / "source.yaml"
    path.write_text(path.read_text().replace("price: decimal", "price: decimal, changed: timestamp, gone: boolean"))
    late = (NOW + timedelta(days=2)).strftime("%Y-%m-%d %H:%M:%S")
    header = HEADER + ",changed,gone"
    source.land(
        "lines.csv",
        lines(
            f"{ROW},2026-03-01 10:00:00,false",
            f"{ROW.replace(',5,', ',6,')},2026-03-01 11:00:00,false",
            f"{ROW.replace('P1', 'P2')},{late},false",
            "P3,1,,,,,,,2026-03-01 10:00:00,true",
            header=header,
        ),
    )
    staged = source.stage_only()
    # Two versions of P1 go on, and the deleted row needs nothing but its key.
    assert (staged.rows_accepted, staged.rows_quarantined) == (3, 1)
    assert staged.quarantined["rule"].to_list() == ["updated_at|in_the_future"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('path: "lines*"', 'pat: "lines*"', "unknown key 'pat'"),
        ("mode: snapshot", "mode: snapshots", "mode"),
        ("purchase_order_line: {mode", "purchase_order_lines: {mode", "did you mean purchase_order_line"),
        ("qty: decimal", "qty: number", "qty"),
        (
            "mode: snapshot",
            "mode: snapshot, reason: known, gates: {rows_as_usul: ignore}",
            "did you mean rows_as_usual",
        ),
        ("tables:", "tables: [", "no valid YAML"),
        ("name: shop", "name: shop\n        time_zone: Berlin", "time zone"),
    ],
)
def test_source_yaml_errors_name_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    source = po_lines(tmp_path)
    path = source.folder / "source.yaml"
    path.write_text(path.read_text().replace(old, new.replace("\n        ", "\n")))
    with pytest.raises(SourceError, match=message) as error:
        load_source(source.folder)
    assert "source.yaml, line" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("l.qty as ordered_qty,", "", "no ordered_qty"),
        ("l.qty as ordered_qty", "l.qty as ordered_quantity, l.qty as ordered_qty", "no column 'ordered_quantity'"),
        ("l.qty as ordered_qty", "l.po as ordered_qty", "gives text"),
        ("l.qty as ordered_qty", "nonsense(l.qty) as ordered_qty", "Polars refuses"),
    ],
)
def test_a_mapping_that_does_not_fit(tmp_path: Path, old: str, new: str, message: str) -> None:
    source = po_lines(tmp_path, sql=PO_LINE_SQL.replace(old, new))
    source.land("lines.csv", lines(ROW))
    with pytest.raises(SourceError, match=message):
        source.stage_only()


def test_a_full_disk_is_not_the_deliverys_fault(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", lines(*(ROW.replace("P1", f"P{number * 7919}") for number in range(20_000))))
    (delivery,) = source.pull().deliveries
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the signal that comes with it, so that writing fails as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            source.stage(delivery)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert source.stage(delivery).rows_accepted == 20_000
