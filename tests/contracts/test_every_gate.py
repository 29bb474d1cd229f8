"""docs/gates.md lists every gate: what judges which table, and what it is worth. One that is dropped is noticed."""

from pathlib import Path

from flows.io import gates_files
from schemas.catalog import DATASETS, FACTS

PAGE = Path(__file__).parents[2] / "docs" / "gates.md"
ALL = {"every dataset": [*DATASETS], "every fact": [*FACTS]}

Gates = set[tuple[str, str, str]]
"""(table, gate, worth)."""


def _listed() -> Gates:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {
        (table.strip("`"), gate.strip("`"), worth)
        for gate, worth, tables in cells
        for table in ALL.get(tables, tables.split(", "))
    }


def _planned() -> Gates:
    plans = {name: gates_files.plan("extracts", name) for name in DATASETS}
    plans |= {name: gates_files.plan("facts", name) for name in FACTS}
    return {
        (table, name, planned.gate.severity + (", history" if planned.gate.history else ""))
        for table, plan in plans.items()
        for name, planned in plan.gates.items()
    }


def test_every_gate_is_listed_and_no_other() -> None:
    assert _planned() == _listed()


def test_of_prices_alone_only_changes_are_kept() -> None:
    kept = {name: gates_files.kept_as_changes(name) for name in DATASETS}
    assert {name: parts for name, parts in kept.items() if parts} == {"purchase_order_line": ("price",)}
