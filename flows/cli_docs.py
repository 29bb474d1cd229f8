"""Verbs that write pages to look at: docs quality."""

from pathlib import Path
from typing import Annotated

import cyclopts

from flows.report import ExitCode, UsageError

docs = cyclopts.App(name="docs", help="Write pages to look at.")

DAYS = 7


@docs.command
def quality(
    folder: Path | None = None,
    *,
    days: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1))] = DAYS,
) -> ExitCode:
    """Write what the gates said as a static site (Great Expectations' Data Docs).

    Parameters
    ----------
    folder
        Where to; what is there is replaced. By default docs/quality in the home.
    days
        How far back.
    """
    from contextlib import closing

    from flows import console, startup
    from flows.io.gates_docs import write_data_docs
    from flows.io.warehouse import Warehouse
    from flows.settings import settings_of_home

    settings = settings_of_home()
    target = folder or settings.home / "docs" / "quality"
    if target.is_dir() and any(target.iterdir()) and not (target / "static").is_dir():
        raise UsageError("The folder holds something else", where=str(target), remedy="name a new or an empty one")
    with closing(Warehouse.at(startup.warehouse_url(settings))) as warehouse, warehouse.session() as session:
        startup.migrate(settings)
        pages = write_data_docs(session, target, days)
    console.print_line(f"{pages} pages: {(target / 'index.html').resolve().as_uri()}")
    return ExitCode.OK
