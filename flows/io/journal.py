"""What a run leaves on the record: itself, and what the gates said."""

import json
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import polars as pl

from flows.io.gates import GateResult
from flows.io.steady import steady
from flows.io.warehouse import Session, Warehouse

_RESULT = {
    "gate": "text",
    "subject": "text",
    "judged": "text",
    "source": "text",
    "day": "date",
    "until": "date",
    "extract_id": "bigint",
    "severity": "text",
    "status": "text",
    "value": "float8",
    "observed": "text",
    "expected": "text",
    "checked_at": "timestamptz",
}

# As JSON: a temporary table would take four statements more, for each of hundreds of deliveries.
_NOTE = f"""
insert into ops.gate_result (run_id, {", ".join(_RESULT)})
select distinct on (gate, subject) $1, {", ".join(_RESULT)}
from jsonb_to_recordset($2::text::jsonb) as said ({", ".join(f"{name} {kind}" for name, kind in _RESULT.items())})
on conflict (run_id, gate, subject) do update set
    severity = excluded.severity, status = excluded.status, value = excluded.value, observed = excluded.observed,
    expected = excluded.expected, checked_at = excluded.checked_at
"""


FINDINGS = 100
"""Gates that did not pass of which a run's report tells."""


class Journal:
    """The record of one run."""

    def __init__(self, warehouse: Warehouse, run_id: str) -> None:
        self._warehouse, self.run_id = warehouse, run_id
        self._lock = threading.Lock()
        self._counts = {"passed": 0, "warned": 0, "failed": 0}
        self.findings: list[tuple[str, str, str, str]] = []

    @property
    def gate_counts(self) -> dict[str, int]:
        """How many gates passed, warned and failed so far."""
        with self._lock:
            return dict(self._counts)

    def note(self, results: Sequence[GateResult], also: Callable[[Session], None] | None = None) -> None:
        """Keep what gates said; `also` is done in the same transaction."""
        if not results and also is None:
            return
        with self._lock:
            for result in results:
                self._counts[result.status] += 1
                if result.status != "passed" and len(self.findings) < FINDINGS:
                    self.findings.append((result.gate, str(result.subject), result.status, result.observed))
        with self._warehouse.session() as session:
            # A task that is tried again judges again; the last word counts.
            session.execute(_NOTE, self.run_id, json.dumps([_row(result) for result in results], default=str))
            if also is not None:
                also(session)
            session.commit()

    @steady
    def begin(self, flow: str, parameters: str, started_at: datetime) -> None:
        """The run has begun; `parameters` is JSON text."""
        with self._warehouse.session() as session:
            session.execute(
                "insert into ops.run (run_id, flow, started_at, state, parameters) values ($1, $2, $3, 'running',"
                " $4::text::jsonb) on conflict (run_id) do update set started_at = excluded.started_at",
                self.run_id,
                flow,
                started_at,
                parameters,
            )
            session.commit()

    @steady
    def end(self, state: str, ended_at: datetime) -> None:
        """The run has ended: ok, partial or failed."""
        with self._warehouse.session() as session:
            session.execute(
                "update ops.run set state = $2, ended_at = $3 where run_id = $1", self.run_id, state, ended_at
            )
            session.commit()


def has_measured(session: Session, extract_id: int) -> bool:
    """Whether a delivery was judged and let pass: what it measured is kept."""
    return bool(session.value("select 1 from ops.extract_measure where extract_id = $1 limit 1", extract_id))


def keep_measured(session: Session, extract_id: int, measured: pl.DataFrame) -> None:
    """Keep what a delivery measured (gates_history.MEASURED), which it does once."""
    session.copy(measured.with_columns(extract_id=pl.lit(extract_id, pl.Int64)), "extract_measure", schema="ops")


def _row(result: GateResult) -> dict[str, object]:
    subject = result.subject
    return {
        "gate": result.gate,
        "subject": str(subject),
        "judged": subject.name,
        "source": subject.source,
        "day": subject.day,
        "until": subject.until,
        "extract_id": subject.extract_id,
        "severity": result.severity,
        "status": result.status,
        "value": result.value,
        "observed": result.observed,
        "expected": result.expected,
        "checked_at": result.checked_at,
    }
