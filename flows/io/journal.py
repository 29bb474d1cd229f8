"""What a run leaves on the record: itself, and what the gates said."""

import threading
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from flows.io.gates import GateResult
from flows.io.steady import steady
from flows.io.warehouse import Warehouse


class Journal:
    """The record of one run."""

    def __init__(self, warehouse: Warehouse, run_id: str) -> None:
        self._warehouse, self.run_id = warehouse, run_id
        self._lock = threading.Lock()
        self._counts = {"passed": 0, "warned": 0, "failed": 0}

    @property
    def gate_counts(self) -> dict[str, int]:
        """How many gates passed, warned and failed so far."""
        with self._lock:
            return dict(self._counts)

    def note(self, results: Sequence[GateResult]) -> None:
        """Keep what gates said."""
        if not results:
            return
        with self._lock:
            for result in results:
                self._counts[result.status] += 1
        rows = pl.DataFrame(
            [(r.gate, str(r.subject), r.severity, r.status, r.observed, r.expected, r.checked_at) for r in results],
            schema=["gate", "subject", "severity", "status", "observed", "expected", "checked_at"],
            orient="row",
        )
        with self._warehouse.session() as session:
            session.load_temporary(rows, "said")
            # A task that is tried again judges again; the last word counts.
            session.execute(
                "insert into ops.gate_result (run_id, gate, subject, severity, status, observed, expected, checked_at)"
                " select distinct on (gate, subject) $1, gate, subject, severity, status, observed, expected,"
                " checked_at from pg_temp.said on conflict (run_id, gate, subject) do update set"
                " status = excluded.status, observed = excluded.observed, expected = excluded.expected,"
                " checked_at = excluded.checked_at",
                self.run_id,
            )
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
