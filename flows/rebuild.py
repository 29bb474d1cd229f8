"""Builds all slices of a fact or dimension again from the lake: after its logic changed, or its table was restored."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows import runs, tasks
from flows.settings import load_settings


@flow(
    name="rebuild",
    description=__doc__,
    task_runner=ThreadPoolTaskRunner(max_workers=tasks.WORKERS),  # type: ignore[arg-type]
    timeout_seconds=tasks.NIGHT_LIMIT_S,
    persist_result=False,
)
def rebuild(fact: str | None = None) -> State[Any]:
    """Marks every slice of `fact` as dirty and builds it; without one, every slice that an older logic built."""
    with runs.recorded("rebuild", load_settings(), fact=fact) as (pipeline, report):
        planned = pipeline.dirty_stale() if fact is None else pipeline.dirty_table(fact)
        tasks.build_tables(pipeline, "Tables", [entry.table for entry in planned], report)
    return runs.final_state(report)
