"""Takes what was held back: quarantined rows, as sources map and correct them now, and blocked deliveries once more."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows import runs, tasks
from flows.settings import load_settings


@flow(
    name="replay",
    description=__doc__,
    task_runner=ThreadPoolTaskRunner(max_workers=tasks.WORKERS),  # type: ignore[arg-type]
    timeout_seconds=tasks.BACKFILL_LIMIT_S,
    persist_result=False,
)
def replay(extract: int | None = None, source: str | None = None, dataset: str | None = None) -> State[Any]:
    """Replays one extract, or all that have rows held back or are blocked, of a source and dataset if these are given.

    Rows count in the order of their own delivery. What is wrong still is held back still. Then what that touches is
    built and published.
    """
    with runs.recorded("replay", load_settings(), extract=extract, source=source, dataset=dataset) as (
        pipeline,
        report,
    ):
        tasks.replay_extracts(pipeline, pipeline.held(extract, source, dataset), report)
        tasks.build_tables(pipeline, "Dimensions", pipeline.dirty_dimensions(), report)
        tasks.build_tables(pipeline, "Facts", pipeline.dirty_facts(), report)
    return runs.final_state(report)
