"""What every flow does around its steps: open the pipeline, keep a record in the ledger, say how it ended."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from typing import Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import pipeline as work
from flows import rehearsal, startup
from flows.io.prefect_server import PrefectServer, PrefectServerError
from flows.io.span import Span
from flows.io.turn import Turn
from flows.progress import current
from flows.report import RunReport
from flows.settings import Settings


def run_lock(flow: str) -> str:
    """Name of the lock under which runs of a flow follow each other.

    Runs of different flows go on beside each other: a backfill of years does not hold up the night. Each delivery is
    taken by one of them, and a slice is published only while nothing newer has changed it.
    """
    return f"opsmart.run.{flow}"


@contextmanager
def recorded(flow: str, settings: Settings, **parameters: Any) -> Iterator[tuple["work.Pipeline", RunReport]]:
    """The pipeline and an empty report; at the end the run stands in the ledger and in Prefect's UI."""
    report = RunReport(flow)
    with (
        work.open(settings) as pipeline,
        _one_at_a_time(flow, settings) as turn,
        pipeline.recorded(str(flow_run.id), flow, parameters, report),
    ):
        pipeline.keep_turn = turn.keep
        yield pipeline, report
        pipeline.take_cards(report)
        _announce(pipeline, report, settings)
    current().finish(report)


def _announce(pipeline: "work.Pipeline", report: RunReport, settings: Settings) -> None:
    """Sends events of what this run published and of what is blocked or overdue."""
    try:
        pipeline.announce(report, PrefectServer(settings.home).send_events)
    except PrefectServerError as error:
        # what is blocked or overdue is told by the next run
        current().say(f"Events were not sent. {error}")


@contextmanager
def _one_at_a_time(flow: str, settings: Settings) -> Iterator[Turn]:
    """Waits until no other run of the flow goes on in this warehouse."""

    def waits() -> None:
        current().say("Another run of this kind is going on; this one follows it.")

    with Turn(startup.warehouse_url(settings), run_lock(flow), waits) as turn:
        session = turn.session
        died = session.fetch("select run_id from ops.run where state = 'running' and flow = $1", flow)["run_id"]
        if died.len():
            session.execute(
                "update ops.run set state = 'crashed', ended_at = now() where state = 'running' and flow = $1", flow
            )
        # the lock belongs to the session; an open transaction would only keep dead rows from being cleaned away
        session.commit()
        if died.len():
            _tell_prefect(died.to_list())
        yield turn


def _tell_prefect(died: Sequence[str]) -> None:
    """Marks runs as crashed that were killed: whoever holds a flow's lock knows that no other run of it is going on."""
    from uuid import UUID

    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        for run_id in died:
            # a database restored from elsewhere may name runs that this server never saw
            with suppress(ObjectNotFound, ValueError):
                client.set_flow_run_state(UUID(run_id), Crashed(message="The process was killed."), force=True)


def planned(
    flow: str,
    settings: Settings,
    span: Span,
    reason: str,
    *,
    everything: bool,
    repull: bool = False,
    pulls: bool = False,
) -> State[Any]:
    """What a run would pull and build, and how many rows would change. It is not recorded: nothing is changed."""
    report = rehearsal.plan(flow, settings, span, reason, everything=everything, pulls=pulls, repull=repull)
    current().finish(report)
    return final_state(report)


def final_state(report: RunReport) -> State[Any]:
    """Prefect's state of the run: *Partial* is of the kind *failed*, so that whoever watches failures hears of it."""
    if not report.is_empty:
        _leave_artifact(report)
    if report.is_partial:
        return Failed(name="Partial", message=report.sentence())
    return Completed(message=report.sentence())


def _leave_artifact(report: RunReport) -> None:
    from prefect.artifacts import create_markdown_artifact

    lines = [f"**{report.sentence()}**", ""]
    if report.taken:
        lines += _markdown(
            ("source", "dataset", "slot", "state", "rows in", "accepted", "quarantined"),
            [(e.source, e.dataset, e.slot, e.state, e.rows_in, e.rows_accepted, e.rows_quarantined)
             for e in report.taken],
        )  # fmt: skip
    if report.built:
        lines += _markdown(
            ("table", "slices", "rows written", "rows removed", "unchanged"),
            [(b.table, b.slices, b.rows_added, b.rows_removed, b.rows_unchanged) for b in report.built],
        )
    if report.gates.passed:
        counts = report.gates
        lines += [f"Gates: {counts.passed:,} passed, {counts.warned:,} warned, {counts.failed:,} failed.", ""]
        if counts.findings:
            lines += _markdown(("gate", "of", "status", "found"), counts.findings)
    if report.pulls:
        lines += _markdown(
            ("source", "dataset", "extracts", "first", "last", "MB"),
            [(p.source, p.dataset, p.deliveries, p.first, p.last, f"{p.size_mb:.1f}") for p in report.pulls],
        )
    if report.planned:
        lines += _markdown(
            (
                "table",
                "slices",
                "missing",
                "stale",
                "waiting",
                "rows added",
                "rows removed",
                "rows changed",
                "unchanged",
            ),
            [astuple(table) for table in report.planned],
        )
    create_markdown_artifact(key=report.flow, markdown="\n".join(lines), description=report.sentence()[:200])


def _markdown(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    head = [" | ".join(columns), " | ".join("---" for _ in columns)]
    return [
        f"| {line} |" for line in (*head, *(" | ".join(str(cell).replace("|", "/") for cell in row) for row in rows))
    ] + [""]
