"""Great Expectations, kept quiet: imported late and once, run on small frames under one lock.

Measured with 1.24: the import takes 3 to 5 s; a gate 3.5 ms as BOOLEAN_ONLY and 7 ms as COMPLETE, whatever the frame's
size up to 20,000 rows. So every gate is asked for yes or no first, and only those that said no are asked for rows; and
of measures, most of which are the same in every extract and slice, each value is asked about once.
"""

import logging
import math
import threading
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import polars as pl

from flows.io.gates_files import PlannedGate
from flows.io.gates_measures import SUBJECT
from schemas.errors import GateError
from schemas.gate import COLUMN_ARGUMENTS, PARAMETER, Gate, is_parameter

SMALL = 10_000
"""Rows of a frame that may be kept until the next one comes."""

ANSWERS_KEPT = 50_000

_SAYS_THE_SAME_OF_A_VALUE = frozenset(
    {
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_be_between",
        "expect_column_pair_values_a_to_be_greater_than_b",
    }
)
"""Expectations that look at each value by itself; not all do whose names begin so (…_to_be_unique)."""

_Question = tuple[str, tuple[object, ...]]
"""An expectation with its arguments and the types of its columns; and the values there."""

_lock = threading.RLock()
_answers: dict[_Question, bool] = {}
"""Whether values are unexpected, as Great Expectations said before."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate said. `failing`: subject → how many of its rows were unexpected (empty when it passed)."""

    failing: Mapping[int, int]
    observed: str = ""


@dataclass(frozen=True, slots=True)
class _NewOfKind:
    """Values that nobody has asked about, in the order of their coming, and a gate that asks."""

    planned: PlannedGate
    values: dict[tuple[object, ...], None] = field(default_factory=dict)


def preload() -> threading.Thread:
    """Import Great Expectations in a background thread, for runs that will surely judge something."""
    thread = threading.Thread(target=import_great_expectations, name="import-great-expectations", daemon=True)
    thread.start()
    return thread


def import_great_expectations() -> Any:
    """The module, imported once, with its log held back. Threads that come meanwhile wait."""
    with _lock:
        return _imported()


@cache
def _imported() -> Any:
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside its own dependencies
        import great_expectations
    return great_expectations


@cache
def _context() -> Any:
    """An ephemeral context without progress bars; the in-memory defaults keep it from making a folder for Data Docs."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return _imported().get_context(mode="ephemeral", project_config=config)


def run(
    frame: pl.DataFrame,
    gates: Sequence[PlannedGate],
    *,
    by_subject: bool,
    are_measures: bool = False,
    parameters: Mapping[str, object] = MappingProxyType({}),
) -> dict[str, Verdict]:
    """Judge `frame`, by gate name; `parameters` are the values of arguments that are given now.

    `frame` holds `_subject` and the columns that the gates name; of measures it has one row per subject. With
    `by_subject` every gate must say which subjects fail, so only expectations on values are allowed; otherwise the
    frame is one subject, 0, and any will do.
    Raises GateError when an expectation is unknown, has other arguments, or cannot be evaluated.
    """
    if not gates:
        return {}
    with _lock:  # a batch is found by data source and asset alone: threads would get each other's
        import_great_expectations()
        how = _How(by_subject, parameters)
        once = [gate for gate in gates if are_measures and _is_of_one_value(gate.gate)]
        verdicts = _asked_once(frame, once, how)
        if rest := [gate for gate in gates if gate.gate.name not in verdicts]:
            verdicts |= _asked(frame, rest, how, which=by_subject)
        if frame.height > SMALL:
            _batch(frame.clear())  # Great Expectations keeps the last batch; let it go of the rows
    return verdicts


@dataclass(frozen=True, slots=True)
class _How:
    """How gates are asked: whether each must be able to tell subjects apart, and the values that are given now."""

    by_subject: bool
    parameters: Mapping[str, object]


def _asked(frame: pl.DataFrame, gates: Sequence[PlannedGate], how: _How, *, which: bool) -> dict[str, Verdict]:
    """Verdicts on a frame; with `which` they say which of its subjects fail."""
    asked = {gate.gate.name: gate for gate in gates}
    batch = _batch(frame)
    said = _validate(batch, gates, "BOOLEAN_ONLY", how)
    noes = [asked[name] for name, result in said.items() if not result["success"]]
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": [SUBJECT]} if which else "BASIC"
    details = _validate(batch, noes, wanted, how) if noes else {}
    return {name: _verdict(details[name], which=which) if name in details else Verdict({}) for name in asked}


def _asked_once(frame: pl.DataFrame, gates: Sequence[PlannedGate], how: _How) -> dict[str, Verdict]:
    """Verdicts on measures. What the same expectation was asked of the same values before is not asked again."""
    if len(_answers) > ANSWERS_KEPT:
        _answers.clear()
    columns = {name: frame[name].to_list() for gate in gates for name in gate.gate.columns}
    questions = {gate.gate.name: _questions(frame.schema, columns, gate.gate, how.parameters) for gate in gates}
    new: dict[str, _NewOfKind] = {}
    for gate in gates:
        for kind, values in questions[gate.gate.name]:
            if (kind, values) not in _answers:
                new.setdefault(kind, _NewOfKind(gate)).values[values] = None
    if new:
        _answers.update(_answered(new, frame.schema, how))
    return {
        name: Verdict({subject: 1 for subject, one in zip(frame[SUBJECT], asked, strict=True) if _answers[one]})
        for name, asked in questions.items()
    }


def _questions(
    types: Mapping[str, pl.DataType],
    columns: Mapping[str, Sequence[object]],
    gate: Gate,
    parameters: Mapping[str, object],
) -> list[_Question]:
    """What a gate asks of each row."""
    given = {
        name: parameters.get(value[PARAMETER]) if is_parameter(value) else value
        for name, value in gate.arguments.items()
        if name not in COLUMN_ARGUMENTS
    }
    kind = f"{gate.expectation} {given} {[types[name] for name in gate.columns]}"
    return [(kind, values) for values in zip(*(columns[name] for name in gate.columns), strict=True)]


def _answered(new: Mapping[str, _NewOfKind], types: Mapping[str, pl.DataType], how: _How) -> dict[_Question, bool]:
    """What Great Expectations says to new questions. All are asked in one batch, those of a kind below each other."""
    height = max(len(one.values) for one in new.values())
    beside, gates = [pl.DataFrame({SUBJECT: range(height)})], []
    for number, one in enumerate(new.values()):
        names = {name: f"{number} {name}" for name in one.planned.gate.columns}
        # Filled up with repetitions, for NULL would change types.
        rows = [*one.values, *[next(iter(one.values))] * (height - len(one.values))]
        beside.append(pl.DataFrame(rows, {other: types[name] for name, other in names.items()}, orient="row"))
        gates.append(replace(one.planned, gate=one.planned.gate.on(names)))
    said = _asked(pl.concat(beside, how="horizontal"), gates, how, which=True)
    return {
        (kind, values): row in said[one.planned.gate.name].failing
        for kind, one in new.items()
        for row, values in enumerate(one.values)
    }


def _is_of_one_value(gate: Gate) -> bool:
    return gate.expectation in _SAYS_THE_SAME_OF_A_VALUE and "mostly" not in gate.arguments


def expectation(planned: PlannedGate, *, by_subject: bool) -> Any:
    """The gate as an expectation object. Raises GateError naming file and line when the gate file got it wrong."""
    gate = planned.gate
    with _lock:
        import_great_expectations()
        from great_expectations.exceptions.exceptions import ExpectationNotFoundError
        from great_expectations.expectations.expectation import (
            ColumnMapExpectation,
            ColumnPairMapExpectation,
            MulticolumnMapExpectation,
        )
        from great_expectations.expectations.registry import get_expectation_impl

    try:
        implementation = get_expectation_impl(gate.expectation)
        made = implementation(**gate.arguments, meta={"gate": gate.name})
    except ExpectationNotFoundError as error:
        raise GateError(
            f"Great Expectations knows no {gate.expectation!r}",
            where=planned.where,
            remedy="Take a name from its gallery; a measure with expect_column_values_to_be_in_set says most things",
        ) from error
    except ValueError as error:  # pydantic's, which says which argument
        raise GateError(f"{gate.expectation}: {_in_one_line(error)}", where=planned.where) from error
    on_values = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
    if by_subject and (not isinstance(made, on_values) or gate.arguments.get("mostly", 1) != 1 or gate.parameters):
        raise GateError(
            f"{gate.expectation} cannot be judged slice by slice",
            where=planned.where,
            remedy="Measure it (count, share, sum) and expect something of the measure's value, without `mostly` and"
            f" {PARAMETER}",
        )
    return made


def for_pandas(frame: pl.DataFrame) -> Any:
    """A pandas copy: decimals as floats, and no infinity or NaN (they crash or pass expectations): NULL instead."""
    floats = frame.with_columns(
        pl.col(name).cast(pl.Float64) for name in frame.columns if frame[name].dtype.is_decimal()
    )
    return floats.with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name in floats.columns if floats[name].dtype.is_float()
    ).to_pandas()


def _batch(frame: pl.DataFrame) -> Any:
    return _definition().get_batch({"dataframe": for_pandas(frame)})


@cache
def _definition() -> Any:
    source = _context().data_sources.add_pandas("opsmart")
    return source.add_dataframe_asset("judged").add_batch_definition_whole_dataframe("all")


def _validate(batch: Any, gates: Sequence[PlannedGate], result_format: object, how: _How) -> dict[str, Any]:
    """Results by gate name (they come in any order)."""
    suite = _imported().ExpectationSuite(
        name="judged", expectations=[expectation(gate, by_subject=how.by_subject) for gate in gates]
    )
    where = {gate.gate.name: gate.where for gate in gates}
    said = batch.validate(suite, result_format=result_format, expectation_parameters=dict(how.parameters))
    results = {}
    for result in said.results:
        name = result.expectation_config.meta["gate"]
        if message := _raised(result.exception_info):
            raise GateError(f"Gate {name!r} could not be evaluated: {message}", where=where[name])
        results[name] = result
    return results


def _raised(info: Mapping[str, Any]) -> str:
    """What an expectation that crashed said; Great Expectations reports it as one more failure."""
    if "raised_exception" in info:
        return str(info["exception_message"]) if info["raised_exception"] else ""
    return "; ".join(sorted({_raised(one) for one in info.values()} - {""}))


def _verdict(result: Any, *, which: bool) -> Verdict:
    details = result["result"]
    if which:
        return Verdict(Counter(int(row[SUBJECT]) for row in details["unexpected_index_list"]))
    if "observed_value" in details:
        return Verdict({0: 1}, str(details["observed_value"]))
    unexpected = details.get("unexpected_count", 1)
    return Verdict({0: unexpected}, f"{unexpected} of {details.get('element_count', '?')} rows")


def is_unknown(value: object) -> bool:
    """Whether a measure has no value: NULL, or what becomes NULL on the way to Great Expectations."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def says_about_null(gate: Gate) -> bool:
    """Whether the expectation itself is about NULL; every other one lets NULL pass."""
    return gate.expectation.endswith("_null")


def _in_one_line(error: ValueError) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines()[1:]) or str(error)
