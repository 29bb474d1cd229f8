"""Gates: set-level checks that can hold back an extract or a slice of a fact, declared in `schemas/gates/*.yaml`.

What a suite measures is computed by Polars in one pass, exactly, as one row per extract or slice; only that small frame
is handed to Great Expectations. Gates on columns that are no measures are judged on the rows, of which only the named
columns are converted. Nothing is imported where nothing is to be judged.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import polars as pl

from flows.io.gates_engine import Verdict, import_great_expectations, is_unknown, preload, run, says_about_null
from flows.io.gates_files import (
    GATES,
    Plan,
    PlannedGate,
    contract_of,
    driving_columns,
    has_control_totals,
    kept_as_changes,
    load_suites,
    plan,
)
from flows.io.gates_history import History, measured_columns
from flows.io.gates_measures import SLICE, SUBJECT, measure_extract, measure_slices, with_missing_members
from schemas.errors import GateError
from schemas.gate import COLUMN_ARGUMENTS, PARAMETER, Gate, Severity, is_parameter

__all__ = [
    "ExtractFacts",
    "GateResult",
    "History",
    "Judgement",
    "Subject",
    "driving_columns",
    "has_control_totals",
    "import_great_expectations",
    "judge_extract",
    "judge_slices",
    "kept_as_changes",
    "load_suites",
    "preload",
]

Status = Literal["passed", "warned", "failed"]

_KNOWN = {
    "rows_in": pl.Int64,
    "rows_accepted": pl.Int64,
    "rows_quarantined": pl.Int64,
    "rows_duplicate": pl.Int64,
    "rows_excluded": pl.Int64,
    "rows_unexpected": pl.Int64,
    "tolerance_rows": pl.Int64,
    "tolerance_share": pl.Float64,
    "allow_empty": pl.Boolean,
    "mode": pl.String,
    "rows_a_day": pl.Float64,
    "days_behind": pl.Int64,
    "hours_late": pl.Float64,
    "same_as": pl.String,
    "control_rows_gap": pl.Int64,
    "control_sums_gap": pl.String,
    "frozen_column_changes": pl.String,
    "column_changes": pl.String,
}
"""What a suite may derive from beside measures of the rows."""


@dataclass(frozen=True, slots=True)
class ExtractFacts:
    """What is known of an extract beside its rows. None: it is not known, or nothing is declared.

    `extract` is what messages call it, `extract_id` what the ledger does. `rows_a_day` are rows_in, of a period that
    still goes on divided by its days so far. `days_behind` is how long before as_of the newest row is, `hours_late` how
    long after its deadline it landed, `same_as` the slot of an earlier delivery of the same bytes ('' for none).
    `control_rows_gap` is how many rows came beyond those that trailer or manifest state, `control_sums_gap` names the
    sums that are other ones. `frozen_column_changes` and `column_changes` say how the columns of tables whose policy is
    freeze, or evolve, differ from before. `columns` are those that came, as `table.column`.
    `rows_unexpected` are those that a correction no longer fits.
    """

    extract: str
    as_of: date
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    rows_duplicate: int
    rows_excluded: int
    rows_unexpected: int = 0
    tolerance_rows: int | None = None
    tolerance_share: float | None = None
    allow_empty: bool = False
    extract_id: int | None = None
    mode: str = "snapshot"
    rows_a_day: float | None = None
    days_behind: int | None = None
    hours_late: float | None = None
    same_as: str | None = None
    control_rows_gap: int | None = None
    control_sums_gap: str | None = None
    frozen_column_changes: str | None = None
    column_changes: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What was judged: an extract of a dataset, or the slices of a fact from `day` to `until` (one: both equal)."""

    name: str
    source: str
    day: date
    until: date
    extract: str = ""
    extract_id: int | None = None

    def __str__(self) -> str:
        """As the ledger writes it, e.g. `fct_goods_receipt sample_erp 2026-03-01`; unique within a run."""
        days = f"{self.day}" if self.day == self.until else f"{self.day}..{self.until}"
        return " ".join(part for part in (self.name, self.source, self.extract or days) if part)


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate said about one subject; `observed`, `expected`, `reason` and `remedy` are for reading."""

    gate: str
    subject: Subject
    severity: Severity
    status: Status
    observed: str
    expected: str
    reason: str
    checked_at: datetime
    value: float | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gates say about an extract; `kept` is what it measured, for later ones (see gates_history.MEASURED)."""

    results: list[GateResult]
    kept: pl.DataFrame


def as_declared(gate: Gate) -> Severity | None:
    """The severity that the gate's file says."""
    return gate.severity


def judge_extract(
    dataset: str,
    source: str,
    staged: pl.DataFrame | pl.LazyFrame,
    facts: ExtractFacts,
    *,
    checked_at: datetime,
    history: History | None = None,
    severity: Callable[[Gate], Severity | None] = as_declared,
    folder: Path = GATES,
) -> Judgement:
    """Judge one extract.

    `staged` are its good rows in the columns of the dataset's contract, `history` is what earlier deliveries measured,
    `severity` what a gate's word is worth for this source (None: it is not asked).

    Returns one result per gate that has something to judge; any `failed` one blocks the extract. Raises GateError for
    a wrong gate file.
    """
    todo = plan("extracts", dataset, folder)
    severities = {name: severity(planned.gate) for name, planned in todo.gates.items()}
    todo = todo.only({name: planned for name, planned in todo.gates.items() if severities[name]})
    columns = measured_columns(facts.columns)
    if not todo.gates:
        return Judgement([], columns)
    rows = staged.lazy()
    known = pl.DataFrame([{name: getattr(facts, name) for name in _KNOWN}], schema=_KNOWN)
    measured = measure_extract(rows, known, todo, history or History.none())
    frame = measured.frame
    todo = todo.only({name: planned for name, planned in todo.gates.items() if _has_something(planned.gate, frame)})
    subject = Subject(dataset, source, facts.as_of, facts.as_of, facts.extract, facts.extract_id)
    verdicts = _judge(frame, rows.with_columns(pl.lit(0).alias(SUBJECT)), todo, by_subject=False)
    results = []
    for name, verdict in verdicts.items():
        planned = todo.gates[name]
        gate = planned.gate.model_copy(update={"severity": severities[name]})
        observed = _values(frame, 0, gate) if _is_measured(planned, frame) else verdict.observed
        results.append(_result(gate, subject, observed, checked_at, failing=bool(verdict.failing), frame=frame))
    return Judgement(results, pl.concat([measured.kept, columns]))


def _has_something(gate: Gate, frame: pl.DataFrame) -> bool:
    if missing := set(gate.needs) - set(frame.columns):
        raise GateError(f"Gate {gate.name!r} needs {min(missing)!r}, which is not measured")
    return all(frame[name][0] is not None for name in gate.needs)


def judge_slices(
    fact: str,
    rows: pl.DataFrame | pl.LazyFrame,
    driving: pl.DataFrame | pl.LazyFrame | None = None,
    *,
    checked_at: datetime,
    members: Mapping[str, pl.Series] | None = None,
    published: pl.DataFrame | None = None,
    folder: Path = GATES,
) -> list[GateResult]:
    """Judge the slices of a built chunk, each by itself.

    `rows` are the complete rows of the slices, in the columns of the fact's contract and `_slice` (Date; with `source`
    it names the slice). `driving` are the current rows that drive the same slices, with `source`, `_slice` and their
    contract's columns; needed where a suite of the fact has control totals. `members` are the durable keys that master
    data has delivered, by dimension; without them only the unknown member -1 counts as unknown. `published` (source,
    _slice, published_rows) is how many rows the last version of each slice had.

    Returns one result per gate and slice that does not pass, and per gate and source one for all slices that pass.
    Any `failed` one blocks its slice. Raises GateError for a wrong gate file.
    """
    todo = plan("facts", fact, folder)
    if not todo.gates:
        return []
    lazy = with_missing_members(rows.lazy(), contract_of("facts", fact), members or {})
    frame = measure_slices(
        lazy, None if driving is None else driving.lazy(), todo, None if published is None else published.lazy()
    )
    if frame.is_empty():
        return []
    numbered = lazy.join(frame.select(*SLICE, SUBJECT).lazy(), on=SLICE, how="left", nulls_equal=True)
    verdicts = _judge(frame, numbered, todo, by_subject=True)
    slices = [Subject(fact, source, day, day) for source, day in frame.select(SLICE).iter_rows()]
    return [
        result
        for name, verdict in verdicts.items()
        for result in _slice_results(todo.gates[name], verdict, slices, frame, checked_at)
    ]


def _judge(frame: pl.DataFrame, rows: pl.LazyFrame, todo: Plan, *, by_subject: bool) -> dict[str, Verdict]:
    """Verdicts by gate: on measures where a gate names measures, on the rows otherwise."""
    on_measures = [gate for gate in todo.gates.values() if _is_measured(gate, frame)]
    on_rows = [gate for gate in todo.gates.values() if not _is_measured(gate, frame)]
    columns = _columns(on_measures)
    given = {} if by_subject else {name: frame[name][0] for one in todo.gates.values() for name in one.gate.parameters}
    measures = frame.select(SUBJECT, *columns)
    verdicts = run(measures, on_measures, by_subject=by_subject, are_measures=True, parameters=given)
    for gate in on_measures:
        verdicts[gate.gate.name] = _unknown_fails(verdicts[gate.gate.name], gate.gate, frame)
    if on_rows:
        for gate in on_rows:
            _check_columns(gate, rows.collect_schema().names())
        named = rows.select(SUBJECT, *_columns(on_rows)).collect()
        if not named.is_empty():  # no rows pass expectations on values: that says nothing, so nothing is said
            verdicts |= run(named, on_rows, by_subject=by_subject, parameters=given)
    return verdicts


def _is_measured(gate: PlannedGate, frame: pl.DataFrame) -> bool:
    return bool(gate.gate.columns) and set(gate.gate.columns) <= set(frame.columns)


def _columns(gates: Sequence[PlannedGate]) -> list[str]:
    return list(dict.fromkeys(column for gate in gates for column in gate.gate.columns))


def _check_columns(gate: PlannedGate, known: Sequence[str]) -> None:
    if missing := [column for column in gate.gate.columns if column not in known]:
        raise GateError(
            f"Gate {gate.gate.name!r} names {missing[0]!r}, which is neither measured nor a column of the rows",
            where=gate.where,
        )


def _unknown_fails(verdict: Verdict, gate: Gate, frame: pl.DataFrame) -> Verdict:
    """A measure without a value passes expectations on values; a gate that sees nothing must not open."""
    if says_about_null(gate):
        return verdict
    unknown = {at for column in gate.columns for at, value in enumerate(frame[column]) if is_unknown(value)}
    return Verdict(dict.fromkeys(unknown, 1) | dict(verdict.failing), verdict.observed)


def _slice_results(
    planned: PlannedGate, verdict: Verdict, slices: Sequence[Subject], frame: pl.DataFrame, checked_at: datetime
) -> list[GateResult]:
    gate, measured = planned.gate, _is_measured(planned, frame)
    results = [
        _result(
            gate,
            slices[at],
            _values(frame, at, gate) if measured else f"{verdict.failing[at]} rows",
            checked_at,
            failing=True,
            frame=frame,
            at=at,
        )
        for at in sorted(verdict.failing)
    ]
    passed: dict[str, list[date]] = {}
    for at, one in enumerate(slices):
        if at not in verdict.failing:
            passed.setdefault(one.source, []).append(one.day)
    for source, days in passed.items():
        subject = Subject(slices[0].name, source, min(days), max(days))
        observed = f"{len(days)} slice{'s' if len(days) > 1 else ''}"
        results.append(_result(gate, subject, observed, checked_at, failing=False))
    return results


def _result(
    gate: Gate,
    subject: Subject,
    observed: str,
    checked_at: datetime,
    *,
    failing: bool,
    frame: pl.DataFrame | None = None,
    at: int = 0,
) -> GateResult:
    """`frame` and `at` say where the measures are that the gate looked at."""
    given = ", ".join(
        f"{name}={_shown(frame[value[PARAMETER]][at]) if frame is not None and is_parameter(value) else value}"
        for name, value in gate.arguments.items()
        if name not in COLUMN_ARGUMENTS
    )
    return GateResult(
        gate=gate.name,
        subject=subject,
        severity=gate.severity,
        status=("failed" if gate.severity == "fail" else "warned") if failing else "passed",
        observed=observed,
        expected=gate.expectation.removeprefix("expect_").replace("_", " ") + (f" ({given})" if given else ""),
        reason=gate.reason,
        checked_at=checked_at,
        value=None if frame is None else _number(frame, at, gate),
        remedy=gate.remedy,
    )


def _values(frame: pl.DataFrame, at: int, gate: Gate) -> str:
    """The exact measures that a gate looked at, and what it shows beside them."""
    names = dict.fromkeys(name for name in (*gate.columns, *gate.shows) if name in frame.columns)
    return ", ".join(f"{name} = {_shown(frame[name][at])}" for name in names)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _number(frame: pl.DataFrame, at: int, gate: Gate) -> float | None:
    """The first of the measures that the gate looked at that is a number."""
    values = (frame[name][at] for name in gate.columns if name in frame.columns and frame[name].dtype.is_numeric())
    return next((float(value) for value in values if value is not None and math.isfinite(value)), None)
