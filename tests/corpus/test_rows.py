"""Every bad row is quarantined by the rules that it breaks, and by no other; every good one is accepted."""

from pathlib import Path

import polars as pl
import pytest

from tests.corpus.cases import rows_file, rows_files
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
