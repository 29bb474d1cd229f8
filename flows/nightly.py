"""The nightly run: takes what is pending, rebuilds what that touches, publishes what differs."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows import runs, tasks
from flows.settings import load_settings


@flow(
    name="nightly",
    description=__doc__,
    task_runner=ThreadPoolTaskRunner(max_workers=tasks.WORKERS),  # type: ignore[arg-type]
    timeout_seconds=tasks.NIGHT_LIMIT_S,
    persist_result=False,
)
def nightly() -> State[Any]:
    """Takes what every source has pending and brings the mart up to date.

    One broken source never stops the others: the run then ends *Partial* and names what is missing. A night that was
    missed needs no repair: the next one takes what is still pending.
    """
    with runs.recorded("nightly", load_settings()) as (pipeline, report):
        tasks.take_sources(pipeline, pipeline.pending_sources(), report)
        tasks.build_tables(pipeline, "Dimensions", pipeline.dirty_dimensions(), report)
        tasks.build_tables(pipeline, "Facts", pipeline.dirty_facts(), report)
        pipeline.close(report)
    return runs.final_state(report)
