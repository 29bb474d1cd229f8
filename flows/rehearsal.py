"""What a run would change, found out without changing anything.

Slices that await a build are built and compared. Where deliveries are to be taken first, they are taken in a rehearsal:
into a copy of the ledger in a scratch database and a scratch lake laid over the real one. So the plan follows the rules
that the run follows, holds no locks, and costs what staging, the copy and the builds do.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from flows import pipeline as work
from flows import startup
from flows.io.lake import Lake, Overlay
from flows.io.ledger_copy import copy_ledger
from flows.io.pull.deliveries import Delivery
from flows.io.span import Span
from flows.io.warehouse import Warehouse
from flows.pipeline import Pipeline
from flows.report import PlannedPull, PlannedTable, RunReport
from flows.scratch import scratch_database, settings_in
from flows.settings import Settings
from schemas.catalog import DIMENSIONS

Scratch = Callable[[Settings], AbstractContextManager[str]]


def plan(
    flow: str,
    settings: Settings,
    span: Span,
    reason: str,
    *,
    everything: bool,
    pulls: bool = True,
    repull: bool = False,
    scratch: Scratch = scratch_database,
) -> RunReport:
    """What a run would pull, which slices it would build, and the rows that would change.

    Args:
        flow: The run's flow.
        settings: The installation.
        span: What the run is about.
        reason: Under which it would mark slices.
        everything: Whether it would build also what is as it should be.
        pulls: Whether it would take deliveries.
        repull: Whether it would read the sources again.
        scratch: Gives an empty database of the rehearsal's own.
    """
    report = RunReport(flow)
    url = startup.warehouse_url(settings)
    with (
        work.open(settings) as pipeline,
        closing(Warehouse.at(url)) as mart,
        TemporaryDirectory(prefix="opsmart-plan-") as folder,
    ):
        pipeline.watch(report)
        found = pipeline.look(span, repull=repull, beside=Path(folder) / "landing") if pulls else {}
        for source, deliveries in found.items():
            report.pulls += _pulls(source, deliveries)
        if not found:
            report.planned += _tables(pipeline, mart, span, reason, everything=everything)
            return report
        with scratch(settings) as copy_url:
            stage = settings_in(settings, Path(folder), copy_url)
            startup.migrate(stage)
            read = {name for table in (*span.tables, *DIMENSIONS.values()) for name in table.inputs}
            copy_ledger(url, copy_url, read)
            with closing(Warehouse.at(copy_url)) as copy:
                rehearsed = Pipeline(stage, copy, Overlay(Lake(settings.lake), stage.lake))
                _take(rehearsed, found, report)
                report.planned += _tables(rehearsed, mart, span, reason, everything=everything)
    return report


def _take(rehearsed: Pipeline, found: Mapping[str, list[Delivery]], report: RunReport) -> None:
    """Take the deliveries; those that would be blocked, or stay pending, are problems."""
    taken = RunReport("rehearsal")
    rehearsed.watch(taken)
    for source, deliveries in found.items():
        rehearsed.have(source, deliveries)
        rehearsed.take(source)
    report.problems += taken.problems


def _pulls(source: str, deliveries: Sequence[Delivery]) -> list[PlannedPull]:
    planned = []
    for dataset in sorted({delivery.dataset for delivery in deliveries}):
        own = [delivery for delivery in deliveries if delivery.dataset == dataset]
        days = [day for delivery in own for day in delivery.period or (delivery.as_of,)]
        size_mb = sum(delivery.size for delivery in own) / 2**20
        planned.append(PlannedPull(source, dataset, len(own), min(days), max(days), size_mb))
    return planned


def _tables(pipeline: Pipeline, mart: Warehouse, span: Span, reason: str, *, everything: bool) -> list[PlannedTable]:
    """What marking and building would change in the mart."""
    planned = []
    slices = pipeline.planned_slices(span, reason, everything=everything)
    for (table,), part in slices.group_by("fact", maintain_order=True):
        changes = pipeline.forecast(str(table), part, mart)
        states = [part.filter(pl.col("state") == state).height for state in ("missing", "stale", "waiting")]
        planned.append(PlannedTable(str(table), part.height, *states, *astuple(changes)))
    return planned
