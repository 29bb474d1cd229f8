"""Builds the slices of a range of days again; a night's cursor, where it has one, is not moved."""

from datetime import date
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows import runs, tasks
from flows.progress import current
from flows.report import UsageError
from flows.settings import load_settings


@flow(
    name="backfill",
    description=__doc__,
    task_runner=ThreadPoolTaskRunner(max_workers=tasks.WORKERS),  # type: ignore[arg-type]
    timeout_seconds=tasks.NIGHT_LIMIT_S,
    persist_result=False,
)
def backfill(
    start: date, end: date, source: str | None = None, dataset: str | None = None, plan: bool = False
) -> State[Any]:
    """Marks the slices from `start` to `end` (both included) as dirty and builds them.

    `source` keeps to slices anchored on that source, `dataset` to facts that read that dataset. `plan` only says what
    would be built. Rows that come out as they were are not written again.
    """
    if end < start:
        raise UsageError(f"The last day {end} is before the first day {start}.", remedy="exchange them")
    asked = {"start": str(start), "end": str(end), "source": source, "dataset": dataset, "plan": plan}
    with runs.recorded("backfill", load_settings(), **asked) as (pipeline, report):
        planned = pipeline.dirty_range(start, end, source=source, dataset=dataset, plan=plan)
        report.notes.extend(runs.plan_lines(planned))
        if plan:
            current().step("Planned tables", len(planned))
        else:
            tasks.build_tables(pipeline, "Facts", [entry.table for entry in planned], report)
    return runs.final_state(report)
