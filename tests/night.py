"""A night without Prefect: the same plain functions in the same order. tests/flows runs the flow itself."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from flows import pipeline
from flows.io.span import Span
from flows.io.warehouse import Warehouse
from flows.report import RunReport
from flows.settings import Settings
from schemas.errors import OpsmartError

VOLATILE = ("published_at", "extract_id")
"""Columns that tell when and by what a row came; everything else must not depend on either."""


def run_night(settings: Settings, *, goes_on: bool = False) -> RunReport:
    """Take what is pending and bring every table up to date.

    With `goes_on` a source or table that fails is noted and the others go on, as in the flow; else its error is raised.
    """
    report = RunReport("night")
    with pipeline.open(settings) as pipe, pipe.recorded("night", "night", {}, report):
        for source in pipe.pending_sources():
            with _noting(source, report, goes_on=goes_on):
                pipe.take(source)
        for tables in (pipe.dirty_dimensions, pipe.dirty_facts):
            for table in tables():
                with _noting(table, report, goes_on=goes_on):
                    report.add_built(pipe.build(table))
        pipe.close(report)
        pipe.take_cards(report)
    return report


def run_span(settings: Settings, span: Span, *, everything: bool = False, repull: bool = False) -> RunReport:
    """A backfill, as flows/backfill.py does it."""
    report = RunReport("backfill")
    with pipeline.open(settings) as pipe, pipe.recorded(str(uuid.uuid4()), "backfill", {}, report):
        for source in pipe.pending_sources(span, repull=repull):
            pipe.take(source)
        pipe.mark(span, f"backfill {span}", everything=everything)
        wanted = {table.name for table in span.tables}
        for table in [*pipe.dirty_dimensions(), *(name for name in pipe.dirty_facts() if name in wanted)]:
            report.add_built(pipe.build(table))
    return report


def run_replay(settings: Settings, extract: int | None = None) -> RunReport:
    """A replay, as flows/replay.py does it."""
    report = RunReport("replay")
    with pipeline.open(settings) as pipe, pipe.recorded(str(uuid.uuid4()), "replay", {}, report):
        for number in pipe.held(extract, None, None):
            pipe.replay(number)
        for table in [*pipe.dirty_dimensions(), *pipe.dirty_facts()]:
            report.add_built(pipe.build(table))
    return report


@contextmanager
def _noting(subject: str, report: RunReport, *, goes_on: bool) -> Iterator[None]:
    try:
        yield
    except OpsmartError as error:
        if not goes_on:
            raise
        report.add_problem(subject, str(error))


def table(warehouse: Warehouse, name: str) -> pl.DataFrame:
    """A table of the mart without what is volatile, in a stable order."""
    with warehouse.session() as session:
        rows = session.fetch(f"select * from mart.{name}")
    rows = rows.drop(column for column in VOLATILE if column in rows.columns)
    return rows.sort(rows.columns)


def tables(warehouse: Warehouse, names: Iterable[str]) -> dict[str, pl.DataFrame]:
    """Several tables of the mart."""
    return {name: table(warehouse, name) for name in names}


def land(landing: Path, files: dict[str, str]) -> None:
    """Write files below a landing folder."""
    for name, text in files.items():
        path = landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
