"""Turned into its opposite, left out, or moved by a hair, any row rule of any contract is noticed by the corpus.

The rules come from the contracts: a new one that no case of `rows/` breaks fails here.
"""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.io import stage
from flows.io.staging.mapping import analyse
from flows.io.staging.rows import Plan, project, rules_of
from flows.io.staging.typed import typed_table
from schemas.catalog import DATASETS
from tests.corpus.cases import RowsFile, rows_file, rows_files
from tests.corpus.staged import delivery, masked, source_of

NEIGHBOURS = {
    "GtEq": "Gt", "Gt": "GtEq", "LtEq": "Lt", "Lt": "LtEq", "Eq": "NotEq", "NotEq": "Eq", "And": "Or", "Or": "And",
    "IsNull": "IsNotNull", "IsNotNull": "IsNull", "LogicalAnd": "LogicalOr", "LogicalOr": "LogicalAnd",
}  # fmt: skip
"""What a slip of the pen makes of an operator, as Polars writes expressions in JSON."""


def test_every_dataset_has_cases() -> None:
    assert {rows_file(name).dataset for name in rows_files()} == set(DATASETS)


@pytest.mark.parametrize("name", rows_files())
def test_no_rule_can_be_changed_unnoticed(name: str, tmp_path: Path) -> None:
    file = rows_file(name)
    rows, rules = _typed(file, tmp_path)
    mutants = {f"{rule}: {how}": changed for rule, expr in rules.items() for how, changed in _mutants(expr)}
    originals = {f"{rule}: {how}": rule for rule, expr in rules.items() for how, _ in _mutants(expr)}
    verdicts = rows.select(**{name: rule.fill_null(value=True) for name, rule in (rules | mutants).items()})
    unnoticed = [mutant for mutant, rule in originals.items() if verdicts[mutant].equals(verdicts[rule])]
    assert unnoticed == [], f"add cases to tests/corpus/rows/{name}.yaml"


def _typed(file: RowsFile, folder: Path) -> tuple[pl.DataFrame, Mapping[str, pl.Expr]]:
    """The file's rows as the rules see them, without those that have unreadable cells, and the rules."""
    source, dataset = source_of(file), DATASETS[file.dataset]
    one = delivery(source, dataset.name, {"lines": [file.text().encode()]}, folder)
    mapping = analyse(dataset.name, source.mappings[dataset.name], source.tables, "corpus.sql")
    plan = Plan(source, dataset, mapping, file.mode, one.as_of, one.period, one.landed_at, 7, masked)
    delivered = stage._open(one, plan, folder)
    tables = {name: typed_table(source, name, raw, mapping) for name, raw in delivered.items()}
    rows, reasons = project(
        pl.SQLContext({name: table.frame for name, table in tables.items()}).execute(plan.mapping.sql), plan
    )
    readable = rows.filter(pl.all_horizontal(pl.col(reason).is_null() for reason in reasons)).collect()
    return readable, {name: rule for name, rule in rules_of(plan, has_nul=True).items() if _can_break(name, plan)}


def _can_break(rule: str, plan: Plan) -> bool:
    """By then staging has written a missing part of a key as '' and a personal id as a pseudonym."""
    column, _, kind = rule.partition("|")
    is_text_of_key = column in plan.contract.key() and plan.contract.dtypes()[column] == pl.String
    hides_nul = column in plan.contract.marked("personal")
    return not (kind == "nullability" and is_text_of_key) and not (kind == "nul_character" and hides_nul)


def _mutants(rule: pl.Expr) -> Iterator[tuple[str, pl.Expr]]:
    yield "left out", pl.lit(value=True) | rule
    yield "opposite", ~rule
    tree = json.loads(rule.meta.serialize(format="json"))
    for path, operator in _operators(tree):
        changed = json.loads(json.dumps(tree))
        _at(changed, path[:-1])[path[-1]] = NEIGHBOURS[operator]
        where = ".".join(str(part) for part in path)
        yield (
            f"{operator} → {NEIGHBOURS[operator]} at {where}",
            pl.Expr.deserialize(io.StringIO(json.dumps(changed)), format="json"),
        )


def _operators(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(tree, str) and tree in NEIGHBOURS and path[-1] in ("op", "Boolean"):
        yield path, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _operators(value, (*path, key))
    elif isinstance(tree, list):
        for at, value in enumerate(tree):
            # Long lists of numbers are packed literals.
            if not isinstance(value, int):
                yield from _operators(value, (*path, at))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree
