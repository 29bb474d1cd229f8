"""Gate files: read, checked, and merged into the plan for one dataset or fact."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from pydantic import BaseModel, ValidationError

from flows.io.yaml_lines import line_of
from schemas.catalog import DATASETS, FACTS
from schemas.contract import Contract, DatasetContract
from schemas.errors import GateError
from schemas.gate import Days, ForEach, Gate, Groups, Judged, Parts, Suite

GATES = Path(__file__).parents[2] / "schemas" / "gates"

_TECHNICAL = frozenset(DatasetContract.columns())


@dataclass(frozen=True, slots=True)
class PlannedGate:
    """A gate with its placeholders filled in and the place it was read from."""

    gate: Gate
    where: str


@dataclass(slots=True)
class Plan:
    """Everything that the suites of one dataset or fact measure and expect. Measures: name → (SQL, where)."""

    measures: dict[str, tuple[str, str]] = field(default_factory=dict)
    driving: dict[str, tuple[str, str]] = field(default_factory=dict)
    derived: dict[str, tuple[str, str]] = field(default_factory=dict)
    parts: dict[str, tuple[Parts, str]] = field(default_factory=dict)
    groups: dict[str, tuple[Groups, str]] = field(default_factory=dict)
    history: dict[str, tuple[Days, str]] = field(default_factory=dict)
    gates: dict[str, PlannedGate] = field(default_factory=dict)

    def only(self, gates: Mapping[str, PlannedGate]) -> "Plan":
        """The plan for some of its gates: without the parts, groups and derived measures that none of them looks at."""
        needed = {name for planned in gates.values() for name in planned.gate.named}
        for name, (sql, _) in reversed(self.derived.items()):
            if name in needed:
                needed |= set(pl.sql_expr(sql).meta.root_names())
        derived = {name: one for name, one in self.derived.items() if name in needed}
        parts = {name: one for name, one in self.parts.items() if any(part.startswith(f"{name}_") for part in needed)}
        groups = {name: one for name, one in self.groups.items() if name in needed}
        return replace(self, derived=derived, parts=parts, groups=groups, gates=dict(gates))


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """A suite, its file, and the line of each of its gates."""

    suite: Suite
    file: Path
    lines: tuple[int, ...]


def contract_of(judged: Judged, name: str) -> type[Contract]:
    """The contract of a dataset (`extracts`) or fact (`facts`)."""
    known: Mapping[str, Any] = DATASETS if judged == "extracts" else FACTS
    if name not in known:
        raise GateError(
            f"{name!r} is no {'dataset' if judged == 'extracts' else 'fact'}", remedy="See schemas/catalog.py"
        )
    contract: type[Contract] = known[name].contract
    return contract


@cache
def plan(judged: Judged, name: str, folder: Path = GATES) -> Plan:
    """All gates for dataset or fact `name`. Raises GateError where files contradict each other."""
    merged, contract = Plan(), contract_of(judged, name)
    for loaded in load_suites(folder):
        suite = loaded.suite
        applies = {"*", name} & set(suite.applies_to) and set(suite.where_columns) <= contract.columns().keys()
        if suite.judges == judged and applies:
            given = suite.applies_to[name] if isinstance(suite.applies_to, dict) else ({},)
            for names in stands_for(suite.for_each, contract):
                for more in given:
                    _merge(merged, loaded, names | more)
    return merged


@cache
def load_suites(folder: Path = GATES) -> tuple[LoadedSuite, ...]:
    """Every gate file of a folder. Raises GateError naming file and line of what is wrong."""
    return tuple(_load(file) for file in sorted(folder.glob("*.yaml")))


def stands_for(for_each: ForEach | None, contract: type[Contract]) -> list[dict[str, str]]:
    """The names that a suite's placeholders take for a contract, one mapping per time that it stands."""
    columns = contract.columns()
    match for_each:
        case None:
            return [{}]
        case "whole_key":
            missing = [f"{name} is null" for name in contract.key()]
            return [{"key_missing": " or ".join(missing)}] if missing else []
        case "reference":
            pairs = [{"key": key, "id": f"{key.removesuffix('_key')}_id"} for key in contract.marked("dimension")]
            return [pair for pair in pairs if pair["id"] in columns]
        case "reporting_amount":
            return [
                {"amount": name.removesuffix("_reporting"), "reporting": name}
                for name in contract.marked("money")
                if name.endswith("_reporting") and name.removesuffix("_reporting") in columns
            ]
        case "nullable":
            names = [name for name, column in columns.items() if column.nullable and name not in _TECHNICAL]
            return [{"columns": ", ".join(names)}] if names else []


def _load(file: Path) -> LoadedSuite:
    text = file.read_text(encoding="utf-8")
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        suite = Suite.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise GateError(f"Not YAML: {error}", where=str(file)) from error
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        where = f"{file}:{line_of(tree, first['loc'])}"
        raise GateError(
            f"{path}: {first['msg']}", where=where, remedy="schemas/gate.py says what is allowed"
        ) from error
    return LoadedSuite(suite, file, tuple(line_of(tree, ("gates", at)) for at in range(len(suite.gates))))


def _merge(merged: Plan, loaded: LoadedSuite, names: Mapping[str, str]) -> None:
    suite, file = loaded.suite, str(loaded.file)
    targets: list[tuple[dict[str, Any], Mapping[str, Any]]] = [
        (merged.measures, suite.measures),
        (merged.driving, suite.driving),
        (merged.derived, suite.derived),
        (merged.parts, suite.parts),
        (merged.groups, suite.groups),
        (merged.history, suite.history),
    ]
    for target, measures in targets:
        for template, measure in measures.items():
            _add(target, _filled(template, names), (_filled(measure, names), file))
    if twice := (merged.measures.keys() & merged.driving.keys()) | (
        merged.derived.keys() & (merged.measures.keys() | merged.driving.keys())
    ):
        raise GateError(f"{min(twice)!r} is measured twice", where=file, remedy="Give one of them another name")
    for gate, line in zip(suite.gates, loaded.lines, strict=True):
        filled = _filled(gate, names)
        if filled.name in merged.gates:
            other = merged.gates[filled.name].where
            raise GateError(
                f"Gate {filled.name!r} exists twice", where=f"{file}:{line}", remedy=f"Rename it; see {other}"
            )
        merged.gates[filled.name] = PlannedGate(filled, f"{file}:{line}")


def _add(target: dict[str, tuple[Any, str]], name: str, measure: tuple[Any, str]) -> None:
    if target.setdefault(name, measure)[0] != measure[0]:
        raise GateError(
            f"{name!r} is measured in two ways", where=f"{target[name][1]}, {measure[1]}", remedy="Rename one of them"
        )


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    """`value` with every placeholder in its texts replaced."""
    if isinstance(value, str):
        for placeholder, name in names.items():
            value = value.replace(f"{{{placeholder}}}", name)
        return value
    if isinstance(value, dict):
        return {key: _filled(one, names) for key, one in value.items()}
    if isinstance(value, BaseModel):
        return value.model_copy(update={key: _filled(one, names) for key, one in value})
    return type(value)(_filled(one, names) for one in value) if isinstance(value, list | tuple) else value


def driving_columns(fact: str, folder: Path = GATES) -> tuple[str, ...]:
    """Columns of the driving dataset that the fact's control totals read; empty where it has none."""
    totals = plan("facts", fact, folder).driving.values()
    return tuple(dict.fromkeys(name for sql, _ in totals for name in pl.sql_expr(sql).meta.root_names()))


def has_control_totals(fact: str, folder: Path = GATES) -> bool:
    """Whether judging slices of the fact needs the current rows that drive them."""
    return bool(plan("facts", fact, folder).driving)


def kept_as_changes(dataset: str, folder: Path = GATES) -> tuple[str, ...]:
    """Parts of a dataset's extracts of which only changes are kept."""
    return tuple(name for name, (parts, _) in plan("extracts", dataset, folder).parts.items() if parts.only_changes)
