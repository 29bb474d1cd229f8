"""corrections.yaml: which cells are read otherwise than delivered, and what is wrong with such a file."""

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from flows.source_check import check_source
from schemas.errors import SourceError
from tests.sources import HEADER, PO_LINE_SQL, ROW, TestSource, make_source, po_lines

ORDINARY: dict[str, Any] = {
    "dataset": "purchase_order_line",
    "where": {"po": "P1"},
    "expect": {"qty": "five"},
    "set": {"qty": "5"},
    "reason": "known to purchasing",
    "owner": "purchasing",
}


def correct(source: TestSource, *corrections: dict[str, Any]) -> None:
    content = [ORDINARY | correction for correction in corrections]
    (source.folder / "corrections.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def good(source: TestSource) -> list[tuple[object, ...]]:
    staged = source.stage_only()
    return pl.read_parquet(staged.rows).select("po_id", "ordered_on", "ordered_qty").sort("po_id").rows()


def test_cells_are_corrected_before_they_are_read(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    second = ROW.replace("P1", "P2")
    bad = [ROW.replace(",5,", ",five,"), second.replace("2026-02-03", "2026-02-31"), second.replace("P2", "P3")]
    source.land("lines.csv.gz", gzip.compress("\n".join((HEADER, *bad)).encode()))
    correct(
        source,
        {},
        {"where": {"po": "P2", "line": 1}, "expect": {"ordered": "2026-02-31"}, "set": {"ordered": "2026-02-28"}},
        # The first that sets a cell counts; empty means empty.
        {"set": {"qty": "6"}},
        {"where": {"po": "P3"}, "expect": {"supplier": "S1"}, "set": {"supplier": None}},
    )
    february = [("P1", date(2026, 2, 3), Decimal(5)), ("P2", date(2026, 2, 28), Decimal(5))]
    assert good(source) == february
    staged = source.stage_only()
    assert [(str(met.correction), met.rows_corrected, met.rows_unexpected) for met in staged.corrections] == [
        ("po=P1: qty five → 5", 1, 0),
        ("po=P2, line=1: ordered 2026-02-31 → 2026-02-28", 1, 0),
        ("po=P1: qty five → 6", 1, 0),
        ("po=P3: supplier S1 → (empty)", 1, 0),
    ]
    # What is shown of a row is what was delivered.
    assert '"supplier":"S1"' in staged.quarantined["raw"].item()


def test_cells_that_the_file_types(tmp_path: Path) -> None:
    rows = {"po": ["P1", "P2"], "line": [1, 2], "supplier": "S1", "item": "I1", "ordered": date(2026, 2, 3),
            "qty": [50, 7], "price": Decimal("2.50"), "currency": "EUR"}  # fmt: skip
    source = po_lines(tmp_path, "format: parquet")
    path = source.land("lines.parquet", b"")
    pl.DataFrame(rows).write_parquet(path)
    fix = {"where": {"line": "1"}, "expect": {"qty": "50", "ordered": "2026-02-03"}}
    correct(source, fix | {"set": {"qty": "5", "ordered": "2026-02-04"}})
    assert good(source) == [("P1", date(2026, 2, 4), Decimal(5)), ("P2", date(2026, 2, 3), Decimal(7))]
    correct(source, fix | {"set": {"qty": "five", "ordered": "2026-02-04"}})
    with pytest.raises(SourceError, match="sets qty to 'five', which is no int64"):
        source.stage_only()


def test_cells_of_a_joined_table(tmp_path: Path) -> None:
    sql = PO_LINE_SQL.replace("l.ordered as", "h.ordered as").replace(
        "from lines as l", "from lines as l join heads as h on l.po = h.po"
    )
    text = """
        name: shop
        tables:
          lines: {path: "lines*", types: {qty: decimal, price: decimal}}
          heads: {path: "heads*", types: {ordered: date}}
        datasets: {purchase_order_line: {mode: snapshot}}
    """
    source = make_source(tmp_path, text, purchase_order_line=sql)
    source.land("lines.csv", f"{HEADER}\n{ROW}\n")
    source.land("heads.csv", "po,ordered\nP1,2026-02-31\n")
    correct(source, {"table": "heads", "expect": {"ordered": "2026-02-31"}, "set": {"ordered": "2026-02-28"}})
    assert good(source) == [("P1", date(2026, 2, 28), Decimal(5))]


def test_source_check_fails_once_the_source_is_mended(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    source.land("lines.csv", f"{HEADER}\n{ROW}\n")
    correct(source, {})
    (check,) = check_source(source.source, source.settings, newest=1).datasets
    assert not check.is_good
    assert "take it out of corrections.yaml" in check.errors[0]


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a dataset that the source has not": ({"dataset": "item"}, ("line 1", "no dataset 'item'")),
    "a table that it has not": ({"table": "heads"}, ("line 10", "no table 'heads'")),
    "columns that differ": ({"expect": {"uom": "X"}}, ("line 1", "different columns")),
    "nothing to correct": ({"expect": {"qty": "5"}}, ("line 1", "nothing to correct")),
    "every row": ({"where": {}}, ("line 2", "where")),
    "an unknown key": ({"because": "x"}, ("line 10", "unknown key 'because'")),
    "a number that YAML has read": ({"set": {"qty": 2.5}}, ("line 7", "in quotes")),
    "no reason": ({"reason": "so"}, ("line 8", "reason")),
    "a column that is not there": ({"where": {"purchase_order": "P1"}}, ("no column of the delivered table", "po")),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    wrong, said = WRONG[case]
    source = po_lines(tmp_path)
    source.land("lines.csv", f"{HEADER}\n{ROW}\n")
    correct(source, wrong)
    with pytest.raises(SourceError) as error:
        source.stage_only()
    for part in ("corrections.yaml", *said):
        assert part in str(error.value)


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    source = po_lines(tmp_path)
    (source.folder / "corrections.yaml").write_text("- dataset: [\n")
    with pytest.raises(SourceError, match="is no valid YAML"):
        source.pull()
