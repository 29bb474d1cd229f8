"""The runs of `on-arrival`, done by a process that goes on: its imports are done and its connections open.

Prefect's server makes a run for each event and one for each hour. A worker would start a process for each, which takes
seconds. Here they are claimed as a worker claims them, so that each is done once however many processes look.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from flows import pipeline
from flows.expected import next_deadline
from flows.io import gates
from flows.io.pull import load_sources
from flows.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import FlowRunResponse

DEPLOYMENT = "on-arrival/on-arrival"

GATHER = timedelta(seconds=1)
"""How long after the first run is due others are waited for: what comes together is taken together."""

LOOK_S = 0.5
"""How often Prefect is asked for runs that are due; within the time that others are waited for, it costs no time."""

PATIENCE_S = 1.0
"""How long a Prefect server that does not answer is left alone."""

SEND_LIMIT_S = 5.0
"""How long what is left to be sent may take in the end."""

DEADLINES_EVERY = timedelta(minutes=1)
"""How often source folders are looked at for deadlines that are new."""

TOGETHER = "Coalesced"
"""Prefect's state of a run whose work another one did."""

_log = logging.getLogger(__name__)


class Arrivals:
    """Claims the runs that are due and does them, one after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asked_until = datetime.now(UTC)

    def run(self, stop: threading.Event) -> None:
        """Do runs until `stop` is set."""
        from httpx import HTTPError
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY
        from prefect.settings.context import temporary_settings

        gates.import_great_expectations()
        with (
            # ending the heartbeat's thread would take each run a second
            temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
            pipeline.kept_open(self._settings),
        ):
            while not stop.is_set():
                try:
                    with get_client(sync_client=True) as client:
                        self._run(client, stop)
                except HTTPError as error:
                    _log.warning("Prefect does not answer (%s); asked again soon.", type(error).__name__)
                    stop.wait(PATIENCE_S)
            _send_rest()

    def _run(self, client: "SyncPrefectClient", stop: threading.Event) -> None:
        deployment = client.read_deployment_by_name(DEPLOYMENT).id
        # what was landed and not taken when this process, or the one before it, ended
        client.create_flow_run_from_deployment(deployment)
        while not stop.is_set():
            self._ask_at_deadlines(client, deployment)
            runs = _due(client, deployment)
            if not runs:
                stop.wait(LOOK_S)
                continue
            began = min(run.expected_start_time or datetime.now(UTC) for run in runs)
            stop.wait(max(0.0, (began + GATHER - datetime.now(UTC)).total_seconds()))
            _do_together(client, _due(client, deployment))

    def _ask_at_deadlines(self, client: "SyncPrefectClient", deployment: UUID) -> None:
        """Asks for a run when a deadline has passed: what is overdue is told then, not at the next full hour."""
        now = datetime.now(UTC)
        if now < self._asked_until + DEADLINES_EVERY:
            return
        sources = load_sources(self._settings.sql_root / "sources", self._settings.sources, broken={})
        passed = next_deadline(sources.values(), self._asked_until)
        if passed is not None and passed <= now:
            client.create_flow_run_from_deployment(deployment, idempotency_key=f"deadline {passed.isoformat()}")
        self._asked_until = now


def _send_rest() -> None:
    """Sends what Prefect still holds of logs and events: it would try for a minute once the server is gone."""
    from prefect.events.worker import EventsWorker

    for handler in logging.getLogger("prefect.flow_runs").handlers:
        handler.flush()
    EventsWorker.drain_all(timeout=SEND_LIMIT_S)


def _due(client: "SyncPrefectClient", deployment: UUID) -> "Sequence[FlowRunResponse]":
    """Runs that wait to be claimed, oldest first."""
    runs = client.get_scheduled_flow_runs_for_deployments([deployment], scheduled_before=datetime.now(UTC))
    return sorted(runs, key=lambda run: run.expected_start_time or datetime.now(UTC))


def _do_together(client: "SyncPrefectClient", runs: "Sequence[FlowRunResponse]") -> None:
    """Does the first run that nobody else has claimed; the others have nothing left to do, for it takes all there is.

    They are ended after it: if this process dies, they are still there for the next.
    """
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.exceptions import Abort
    from prefect.flow_engine import run_flow
    from prefect.states import Completed, Pending

    from flows.on_arrival import on_arrival

    waiting = list(runs)
    while waiting:
        first = waiting.pop(0)
        if client.set_flow_run_state(first.id, Pending()).status == SetStateStatus.ACCEPT:
            break
    else:
        return
    try:
        run_flow(on_arrival, flow_run=client.read_flow_run(first.id), return_type="state")
    except Abort:
        _log.warning("Prefect would not have run %s done; the others are.", first.name)
        return
    for run in waiting:
        client.set_flow_run_state(run.id, Completed(name=TOGETHER, message=f"{first.name} took what there was."))
