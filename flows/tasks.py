"""Prefect tasks: each wraps one plain function of the pipeline; retries, time limits and tags live only here."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from typing import Any
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import PrefectHTTPStatusError
from prefect.futures import PrefectFuture, as_completed
from prefect.tasks import Task, exponential_backoff

from flows import pipeline as work
from flows.io import steady
from flows.progress import Meter, current
from flows.report import RunReport, counted, first_line
from schemas.errors import OpsmartError

WORKERS = 2
"""Tasks at a time: Polars and PostgreSQL use more cores by themselves, and each chunk may fill its memory limit."""

NIGHT_LIMIT_S = 12 * 3600.0
"""Limit of a whole run; a task in a worker thread cannot be interrupted, so there is none of each task."""

BACKFILL_LIMIT_S = 7 * 24 * 3600.0
"""Of a backfill, which the night need not wait for."""


def is_passing(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failure may pass by itself."""
    return steady.is_passing(state.result(raise_on_failure=False))


ONCE_MORE: dict[str, Any] = {
    "retries": steady.RETRIES,
    "retry_delay_seconds": exponential_backoff(steady.FIRST_DELAY_S),
    "retry_condition_fn": is_passing,
    # A load that Prefect believes done already would leave the mart as it is (a rerun after a restore, say).
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


@task(name="take", task_run_name="take {source}", tags=["extract"], **ONCE_MORE)
def take(pipeline: "work.Pipeline", source: str, meter: Meter) -> "list[work.TakenExtract]":
    """Pulls, stages, gates and accepts what one source has pending."""
    current().begin(source)
    return pipeline.take(source, meter.advance)


@task(name="build", task_run_name="build {table}", tags=["build"], **ONCE_MORE)
def build(pipeline: "work.Pipeline", table: str, meter: Meter) -> "work.BuiltTable":
    """Builds, gates and publishes the dirty slices of one fact or dimension."""
    current().begin(table)
    return pipeline.build(table, meter.advance)


@task(name="replay", task_run_name="replay extract {extract}", tags=["extract"], **ONCE_MORE)
def replay(pipeline: "work.Pipeline", extract: int) -> "work.TakenExtract | None":
    """Takes a blocked delivery once more, or the rows of an accepted one that were held back."""
    current().begin(f"extract {extract}")
    return pipeline.replay(extract)


def replay_extracts(pipeline: "work.Pipeline", extracts: Iterable[int], report: RunReport) -> None:
    """Replays deliveries, one by one; one that fails is noted and the others go on."""
    numbers = list(extracts)
    current().step("Replays", len(numbers))
    with report.timed("Replays"):
        futures = {replay.submit(pipeline, number): f"extract {number}" for number in numbers}
        for name, outcome in _ended(futures):
            if isinstance(outcome, BaseException):
                _note_failure(name, outcome, report)
            elif outcome is not None:
                still = f", {outcome.rows_quarantined:,} still held" if outcome.rows_quarantined else ""
                taken = f"{counted(outcome.rows_accepted, 'row')} accepted{still}"
                current().done(name, taken if outcome.state == "accepted" else outcome.state)


def take_sources(pipeline: "work.Pipeline", sources: Iterable[str], report: RunReport) -> None:
    """Takes what is pending, source by source; a source that fails is noted and the others go on."""
    names = list(sources)
    current().step("Extracts", len(names))
    meter = _meter("Extracts", pipeline.pending_workload(), noun="extracts")
    with report.timed("Extracts"):
        for source, outcome in _ended({take.submit(pipeline, name, meter): name for name in names}):
            if isinstance(outcome, BaseException):
                _note_failure(source, outcome, report)
                continue
            accepted = sum(extract.rows_accepted for extract in outcome)
            current().done(source, f"{counted(len(outcome), 'extract')}, {counted(accepted, 'row')} accepted")


def build_tables(pipeline: "work.Pipeline", title: str, tables: Iterable[str], report: RunReport) -> None:
    """Builds tables that do not read each other; one that fails is noted and the others go on."""
    names = list(tables)
    current().step(title, len(names))
    meter = _meter(title, pipeline.build_workload(names))
    with report.timed(title):
        for table, outcome in _ended({build.submit(pipeline, name, meter): name for name in names}):
            if isinstance(outcome, BaseException):
                _note_failure(table, outcome, report)
                continue
            report.add_built(outcome)
            current().done(table, f"{counted(outcome.slices, 'slice')}, {counted(outcome.rows_added, 'row')} written")


def _meter(title: str, work_ahead: "work.Workload", noun: str = "chunks") -> Meter:
    """Follows a step for whoever watches, and in a progress artifact of Prefect's if it takes long."""
    artifact: list[UUID] = []
    context = copy_context()

    def tell(share: float, text: str) -> None:
        current().advance(share, text)
        percent = round(100 * share, 1)
        # Not worth failing for: the next word comes in a moment.
        with suppress(PrefectHTTPStatusError):
            if artifact:
                update_progress_artifact(artifact_id=artifact[0], progress=percent, description=text)
            elif isinstance(
                made := create_progress_artifact(progress=percent, key=title.lower(), description=text), UUID
            ):
                artifact.append(made)

    # Told by threads of the step's own, which do not know the flow run.
    return Meter(title, work_ahead.parts, work_ahead.weight, lambda *so_far: context.run(tell, *so_far), noun=noun)


def _ended(futures: Mapping[PrefectFuture[Any], str]) -> Iterator[tuple[str, Any]]:
    """Name and result (or error) of each, as it ends."""
    for future in as_completed(list(futures)):
        yield futures[future], future.result(raise_on_failure=False)


def _note_failure(subject: str, error: BaseException, report: RunReport) -> None:
    message = str(error) if isinstance(error, OpsmartError) else f"{type(error).__name__}: {first_line(str(error))}"
    report.add_problem(subject, message)
    current().failed(subject, first_line(message))
