"""Verbs that run something: nightly, backfill, rebuild, serve, watch."""

import time
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.report import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from prefect.client.schemas.objects import State
    from rich.table import Table

    from flows.startup import Installation

Day = Annotated[date, Parameter(help="as in 2026-03-31")]


def nightly(*, sample: bool = False) -> ExitCode:
    """Take what every source has pending, rebuild what that touches, publish what differs.

    Parameters
    ----------
    sample
        First write the extracts of the sample company, where the landing folder is empty.
    """
    started = time.monotonic()
    installation = _bring_up(may_begin=True)
    if sample:
        from flows import cli_warehouse

        if cli_warehouse.is_landing_empty(installation.settings):
            cli_warehouse.write_sample(installation.settings)
    return _run(installation, "nightly", started)


def backfill(
    *,
    start: Day,
    end: Day,
    source: str | None = None,
    dataset: str | None = None,
    fact: str | None = None,
    plan: bool = False,
    all: bool = False,  # noqa: A002 - the name of the option
    repull: bool = False,
) -> ExitCode:
    """Take what some days of history lack and build their slices: what is missing, stale or waiting.

    It may run beside the night. Stopped or killed, the same command goes on where it was.

    Parameters
    ----------
    start
        First day.
    end
        Last day.
    source
        Only this source's deliveries, and slices anchored on it.
    dataset
        Only this dataset's deliveries, and facts that read it.
    fact
        Only this fact, and deliveries that it reads.
    plan
        Show what would be pulled and built and how many rows would change, and change nothing.
    all
        Build every slice of the days, also what is as it should be.
    repull
        Read the sources' files again, also those that look unchanged, and take deliveries once more that are mapped
        differently now.
    """
    _check_range(start, end)
    check_names(source=source, dataset=dataset, table=fact)
    started = time.monotonic()
    asked = {"start": start, "end": end, "source": source, "dataset": dataset, "fact": fact}
    return _run(_bring_up(), "backfill", started, **asked, plan=plan, all=all, repull=repull)


def rebuild(*, fact: str | None = None, stale: bool = False, plan: bool = False) -> ExitCode:
    """Build all slices of a fact or dimension again, from the lake; the sources are not touched.

    Parameters
    ----------
    fact
        Its table, fct_… or dim_…
    stale
        Instead, all slices that an older logic built (see opsmart status).
    plan
        Show how many slices would be built and how many rows would change, and change nothing.
    """
    if (fact is None) != stale:
        raise UsageError("What to rebuild is not said.", remedy="give --fact fct_… or --stale")
    check_names(table=fact)
    started = time.monotonic()
    return _run(_bring_up(), "rebuild", started, fact=fact, plan=plan)


def serve() -> ExitCode:
    """Keep everything running until Ctrl-C: servers, the deployments of prefect.yaml, and the watch of what lands."""
    from flows import serving

    return serving.serve(_bring_up(may_begin=True))


def watch() -> ExitCode:
    """Tell Prefect about files that land, until Ctrl-C; serve does that too, so this is for where it does not run."""
    from flows import serving

    return serving.watch(_bring_up(may_begin=True))


def run_flow(name: str, **parameters: Any) -> ExitCode:
    """Run a flow, with everything that it needs running."""
    started = time.monotonic()
    return _run(_bring_up(), name, started, **parameters)


def _bring_up(*, may_begin: bool = False) -> "Installation":
    """Has what a run needs running; where there is no home yet, only if it may begin one."""
    from flows import startup
    from flows.console import waiting
    from flows.settings import load_settings, settings_of_home

    settings = load_settings() if may_begin else settings_of_home()
    with waiting("Starting PostgreSQL and Prefect …"):
        installation = startup.begin(settings)
        startup.migrate(settings)
        return installation


def _run(installation: "Installation", name: str, started: float, **parameters: Any) -> ExitCode:
    """Runs a flow in this process, followed on the terminal; recorded by this home's Prefect server."""
    from flows import console, progress

    with console.waiting("Waiting for the Prefect server …"):
        flow = _load(installation, name)
    with console.reporter() as reporter, progress.followed_by(reporter), _without_heartbeat():
        state = flow(**parameters, return_state=True)
    if reporter.report is None:
        raise _error_of(state)
    scorecard = _scorecard(installation) if name == "nightly" else None
    # Whoever plans or mends knows where the mart is.
    access = None if name == "replay" or parameters.get("plan") else installation.access()
    console.show_summary(reporter.report, time.monotonic() - started, access, scorecard)
    return reporter.report.exit_code


def _scorecard(installation: "Installation") -> "Table | None":
    """How the company does; nothing before the first metric has a value."""
    from contextlib import closing

    from flows import startup
    from flows.io import headlines
    from flows.io.warehouse import Warehouse
    from flows.scorecard import scorecard

    with closing(Warehouse.at(startup.warehouse_url(installation.settings))) as warehouse:
        shown = headlines.read(warehouse)
    return scorecard(shown) if shown else None


def _load(installation: "Installation", name: str) -> "Callable[..., State[Any]]":
    """The flow `name`, imported while the Prefect server is still starting: both take seconds."""
    from importlib import import_module

    from flows.io.prefect_server import PrefectServerError
    from flows.settings import put_into_environment

    environment = installation.prefect.client_environment()
    # from here on Prefect may be imported
    put_into_environment(environment)
    flow: Callable[..., State[Any]] = getattr(import_module(f"flows.{name}"), name)
    installation.prefect.ensure_running()
    if installation.prefect.client_environment() != environment:
        raise PrefectServerError("The Prefect server moved to another port.", remedy="run the command again")
    return flow


def _without_heartbeat() -> "AbstractContextManager[object]":
    """Whoever runs a flow from a terminal or cron sees how it ends; ending the heartbeat's thread takes a second."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY
    from prefect.settings.context import temporary_settings

    return temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def _error_of(state: "State[Any]") -> Exception:
    """Why a flow ended before it could report."""
    error = state.result(raise_on_failure=False)
    return error if isinstance(error, Exception) else RuntimeError(state.message or "The flow ended without a report")


def _check_range(start: date, end: date) -> None:
    if end < start:
        raise UsageError(f"The last day {end} is before the first day {start}.", remedy="give --start the earlier day")


def check_names(*, source: str | None = None, dataset: str | None = None, table: str | None = None) -> None:
    """Refuses what nobody knows: it would concern nothing, and look as if all were well."""
    from flows.io.pull import load_sources
    from flows.settings import load_settings
    from schemas.catalog import DATASETS, DIMENSIONS, FACTS

    if table is not None:
        _check_name("table", table, FACTS | DIMENSIONS)
    if dataset is not None:
        _check_name("dataset", dataset, DATASETS)
    if source is not None:
        settings = load_settings()
        _check_name("source", source, load_sources(settings.sql_root / "sources", settings.sources, broken={}))


def _check_name(kind: str, name: str, known: "Collection[str]") -> None:
    if name not in known:
        raise UsageError(f"There is no {kind} {name!r}.", remedy=f"known: {', '.join(sorted(known))}")
