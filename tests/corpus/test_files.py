"""Every file is refused in words that say what to do, or each of its rows meets its fate."""

from pathlib import Path

import polars as pl
import pytest

from schemas.errors import ExtractError
from tests.corpus.files import FileCase, file_cases
from tests.corpus.staged import delivery, staged


@pytest.mark.parametrize("name", file_cases())
def test_every_file_meets_its_fate(name: str, tmp_path: Path) -> None:
    case = file_cases()[name]
    source = case.source()
    one = delivery(source, "purchase_order_line", {"lines": [case.content]}, tmp_path)
    if case.refused:
        with pytest.raises(ExtractError) as error:
            staged(source, one, tmp_path / "work")
        for part in ("lines-0", "do:", *case.refused):
            assert part in str(error.value)
        return
    found = staged(source, one, tmp_path / "work")
    assert {str(row): rule for row, rule in found.quarantined.select("row_no", "rule").iter_rows()} == case.quarantined
    assert found.rows_excluded == case.excluded
    _compare(case, pl.read_parquet(found.rows))


def _compare(case: FileCase, rows: pl.DataFrame) -> None:
    names = sorted({name for row in case.rows for name in row})
    have = rows.sort("_row_no").select(pl.col(names).cast(pl.String)).rows(named=True)
    assert len(have) == len(case.rows)
    assert [{name: row[name] for name in want} for row, want in zip(have, case.rows, strict=True)] == list(case.rows)
