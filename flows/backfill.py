"""Takes what some days of history lack, and builds their slices again; the night may go on beside it."""

from datetime import date
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows import runs, tasks
from flows.io.span import Span
from flows.report import UsageError
from flows.settings import load_settings


@flow(
    name="backfill",
    description=__doc__,
    task_runner=ThreadPoolTaskRunner(max_workers=tasks.WORKERS),  # type: ignore[arg-type]
    timeout_seconds=tasks.BACKFILL_LIMIT_S,
    persist_result=False,
)
def backfill(
    start: date,
    end: date,
    source: str | None = None,
    dataset: str | None = None,
    fact: str | None = None,
    plan: bool = False,
    all: bool = False,  # noqa: A002 - the name of the option
    repull: bool = False,
) -> State[Any]:
    """Takes what has been delivered for the days from `start` to `end` (both included) and builds what they lack.

    Built are slices that are missing or stale or wait for a build; with `all` every slice of the days. `source`,
    `dataset` and `fact` narrow that down. `repull` reads the sources again. `plan` only says what would happen.
    """
    if end < start:
        raise UsageError(f"The last day {end} is before the first day {start}.", remedy="exchange them")
    span = Span(start, end, source, dataset, fact)
    reason = f"backfill {span}"
    if plan:
        return runs.planned("backfill", load_settings(), span, reason, everything=all, repull=repull, pulls=True)
    asked = {"span": str(span), "all": all, "repull": repull}
    with runs.recorded("backfill", load_settings(), **asked) as (pipeline, report):
        tasks.take_sources(pipeline, pipeline.pending_sources(span, repull=repull), report)
        pipeline.mark(span, reason, everything=all)
        tasks.build_tables(pipeline, "Dimensions", pipeline.dirty_dimensions(), report)
        wanted = {table.name for table in span.tables}
        tasks.build_tables(pipeline, "Facts", [name for name in pipeline.dirty_facts() if name in wanted], report)
    return runs.final_state(report)
