"""What came since the last run: taken when an event says that something landed, and every hour in case one was lost."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows import runs, tasks
from flows.settings import load_settings


@flow(
    name="on-arrival",
    description=__doc__,
    task_runner=ThreadPoolTaskRunner(max_workers=tasks.WORKERS),  # type: ignore[arg-type]
    timeout_seconds=tasks.NIGHT_LIMIT_S,
    persist_result=False,
)
def on_arrival() -> State[Any]:
    """Takes the files that are pending and brings the mart up to date.

    What an event says is not trusted and not needed: what is pending is listed anew. Databases are asked by the night
    alone, however often something arrives.
    """
    with runs.recorded("on-arrival", load_settings()) as (pipeline, report):
        tasks.take_sources(pipeline, pipeline.pending_sources(with_queries=False), report)
        tasks.build_tables(pipeline, "Dimensions", pipeline.dirty_dimensions(), report)
        tasks.build_tables(pipeline, "Facts", pipeline.dirty_facts(), report)
    return runs.final_state(report)
