"""Every bad row is quarantined by the rules that it breaks, and by no other; every good one is accepted."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.corpus.cases import row_text, rows_file, rows_files
from tests.corpus.staged import delivery, source_of, staged


@pytest.mark.parametrize("name", rows_files())
def test_every_row_meets_its_fate(name: str, tmp_path: Path) -> None:
    file = rows_file(name)
    source = source_of(file)
    one = delivery(source, file.dataset, {"lines": [file.text().encode()]}, tmp_path)
    found = staged(source, one, tmp_path / "work")
    broken: dict[int, set[str]] = {}
    for row_no, rule in found.quarantined.select("row_no", "rule").iter_rows():
        broken.setdefault(row_no, set()).add(rule)
    want = [(case.name, set(rules)) for case, _, rules in file.lines()]
    assert [(case.name, broken.get(number, set())) for number, (case, _, _) in enumerate(file.lines(), 1)] == want
    bad, duplicates = sum(bool(rules) for _, rules in want), sum(case.duplicates for case in file.cases)
    assert found.counts == {
        "rows_in": len(want),
        "rows_accepted": len(want) - bad - duplicates,
        "rows_quarantined": bad,
        "rows_duplicate": duplicates,
        "rows_excluded": 0,
    }
    assert pl.read_parquet(found.rows).height == found.rows_accepted


def test_no_cell_of_a_ragged_row_shows_a_person(tmp_path: Path) -> None:
    """A worker's number may stand in any of its columns."""
    file = rows_file("operation_confirmation")
    source = source_of(file)
    header, ordinary = row_text(file.columns, [file.ordinary]).splitlines()
    rows = [ordinary, f"Jones|{ordinary}", ordinary.rsplit("|", 3)[0], ordinary.replace("|EA|", "|WAGGON|")]
    one = delivery(source, file.dataset, {"lines": ["\n".join([header, *rows]).encode()]}, tmp_path)
    held = staged(source, one, tmp_path / "work").quarantined
    assert held.select("row_no", "rule", "value").rows() == [
        (2, "ragged_row", "***"), (3, "ragged_row", "***"), (4, "uom_is_known", "WAGGON"),
    ]  # fmt: skip
    assert held.filter(pl.col("raw").str.contains("Smith|Jones")).is_empty()
    assert [json.loads(raw)["worker_id"] for raw in held["raw"]][2] == "***"
    assert set(json.loads(held["raw"][0]).values()) == {"***"}
