"""Builds all slices of a fact or dimension again from the lake: after its logic changed, or its table was restored."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows import runs, tasks
from flows.io.span import Span
from flows.settings import load_settings


@flow(
    name="rebuild",
    description=__doc__,
    task_runner=ThreadPoolTaskRunner(max_workers=tasks.WORKERS),  # type: ignore[arg-type]
    timeout_seconds=tasks.BACKFILL_LIMIT_S,
    persist_result=False,
)
def rebuild(fact: str | None = None, plan: bool = False) -> State[Any]:
    """Marks every slice of `fact` as dirty and builds it; without one, every slice that an older logic built.

    `plan` only says what would change.
    """
    span = Span.always(fact)
    reason = f"rebuild {fact or 'newer logic'}"
    if plan:
        return runs.planned("rebuild", load_settings(), span, reason, everything=fact is not None)
    with runs.recorded("rebuild", load_settings(), fact=fact) as (pipeline, report):
        pipeline.mark(span, reason, everything=fact is not None)
        wanted = {table.name for table in span.tables}
        dirty = [*pipeline.dirty_dimensions(), *pipeline.dirty_facts()]
        tables = [name for name in dirty if name in wanted]
        tasks.build_tables(pipeline, "Tables", tables, report)
        pipeline.recompute_metrics(tables)
    return runs.final_state(report)
