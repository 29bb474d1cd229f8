"""Turned into its opposite, or left out, any gate of `schemas/gates/` is noticed by the cases of extracts and slices.

The gates come from the files: one that no case is stopped by, or that no case passes, fails here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from flows.io import gates, gates_files
from flows.io.gates_engine import Verdict, run
from flows.io.gates_files import PlannedGate
from flows.io.gates_measures import SUBJECT
from schemas.catalog import DATASETS, FACTS
from tests.extract_cases import EXTRACTS
from tests.unit.test_gates import SLICES

Case = Any
"""An extract or slices: `holds()` says whether the gates say of it what they must."""


def _gates() -> dict[str, tuple[set[str], list[Case]]]:
    """By place in a file: the names that the gate has there, and the cases that it judges, the telling ones first."""
    found: dict[str, tuple[set[str], list[Case]]] = {}
    cases: Sequence[tuple[str, str, Case]] = [
        *(("extracts", case.dataset, case) for case in EXTRACTS),
        *(("facts", case.fact, case) for case in SLICES),
    ]
    for judged, tables in (("extracts", DATASETS), ("facts", FACTS)):
        for table in tables:
            for name, planned in gates_files.plan(judged, table).gates.items():  # type: ignore[arg-type]
                names, judged_cases = found.setdefault(planned.where, (set(), []))
                names.add(name)
                judged_cases += [case for kind, of, case in cases if (kind, of) == (judged, table)]
    for names, judged_cases in found.values():
        judged_cases.sort(key=lambda case: not {gate for gate, *_ in case.said} & names)
    return found


GATES = _gates()


def opposite(verdict: Verdict, subjects: set[int]) -> Verdict:
    return Verdict(dict.fromkeys(subjects - set(verdict.failing), 1))


def left_out(verdict: Verdict, subjects: set[int]) -> Verdict:
    del verdict, subjects
    return Verdict({})


@pytest.mark.parametrize("turned", [opposite, left_out])
@pytest.mark.parametrize("where", sorted(GATES), ids=lambda where: where.rpartition("/")[2])
def test_no_gate_can_be_changed_unnoticed(where: str, turned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names, cases = GATES[where]

    def changed(frame: pl.DataFrame, asked: Sequence[PlannedGate], **how: Any) -> Mapping[str, Verdict]:
        verdicts = run(frame, asked, **how)
        subjects = set(frame[SUBJECT].to_list())
        return {name: turned(one, subjects) if name in names else one for name, one in verdicts.items()}

    monkeypatch.setattr(gates, "run", changed)
    assert not all(case.holds() for case in cases), f"add a case that {', '.join(sorted(names))} stops"
