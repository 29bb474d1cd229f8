"""A fact's code does not change without its logic version: slices that the old code built would pass for new ones."""

import ast
from pathlib import Path

import pytest

from schemas.catalog import DIMENSIONS, FACTS
from tests.contracts import logic

REMEDY = (
    "raise logic_version in schemas/catalog.py, then `make logic`; if no published row can come out differently,"
    " `make logic` alone"
)


@pytest.mark.parametrize("table", FACTS | DIMENSIONS)
def test_logic_changes_with_its_version(table: str) -> None:
    present, recorded = logic.present()[table], logic.recorded().get(table)
    assert recorded is not None, f"{table} is new: `make logic`"
    assert present[0] >= recorded[0], f"the logic_version of {table} fell from {recorded[0]} to {present[0]}"
    assert present == recorded, f"the logic of {table} changed: {REMEDY}"


def test_nothing_is_recorded_that_is_gone() -> None:
    assert set(logic.recorded()) == set(FACTS | DIMENSIONS)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two modules."""
    monkeypatch.setattr(logic, "ROOT", tmp_path)
    logic._module.cache_clear()
    folder = tmp_path / "transforms"
    folder.mkdir()
    (folder / "fct.py").write_text(
        '"""Doc."""\nfrom transforms.common import helper\n\ndef fct(rows):\n    """Doc."""\n    return helper(rows)\n'
    )
    (folder / "common.py").write_text("LIMIT = 7\n\ndef helper(rows):\n    return rows + LIMIT\n\ndef other(x): ...\n")
    yield folder
    logic._module.cache_clear()


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("fct.py", "helper(rows)\n", "helper(rows + 1)\n", True),
        ("common.py", "rows + LIMIT", "rows - LIMIT", True),
        ("common.py", "LIMIT = 7", "LIMIT = 8", True),
        ("common.py", "other(x)", "other(x, y)", False),
        ("common.py", "def helper(rows):\n", "def helper(rows):\n    # why\n", False),
        ("fct.py", '    """Doc."""', '    """Another text."""', False),
    ],
)
def test_what_counts_as_logic(code: Path, file: str, old: str, new: str, counts: bool) -> None:
    before = logic.fingerprint("transforms.fct", "fct")
    text = (code / file).read_text()
    assert old in text
    (code / file).write_text(text.replace(old, new))
    ast.parse((code / file).read_text())
    logic._module.cache_clear()
    assert (logic.fingerprint("transforms.fct", "fct") != before) == counts
