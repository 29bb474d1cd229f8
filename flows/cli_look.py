"""Verbs that look: status, verify, as-known-at. They change nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.report import ExitCode, UsageError

if TYPE_CHECKING:
    from flows.io.warehouse import Session
    from schemas.source import Source

_SHOWN_GAPS = 3


def status(*, json: bool = False) -> ExitCode:
    """Show per source and dataset what came last, what is due and what lacks, and per table what waits to be built.

    Parameters
    ----------
    json
        Print JSON.
    """
    from flows import console
    from flows.io import look
    from schemas.catalog import DIMENSIONS, FACTS

    now = datetime.now(UTC)
    with open_session() as session:
        extracts, tables = look.last_extracts(session), look.slices(session)
        sources, problems = _sources()
        look.add_waiting(extracts, _landed(session, sources, problems))
        look.add_expected(extracts, look.expectations(session, sources, now), now)
        versions = {name: table.logic_version for name, table in (FACTS | DIMENSIONS).items()}
        stale = look.stale_slices(session, versions)
    if json:
        console.print_json({"extracts": extracts, "tables": tables, "stale": stale, "problems": problems})
        return ExitCode.OK
    if not extracts:
        console.out.print("Nothing was delivered yet: put files into the landing folder, then `opsmart nightly`.")
    show_rows("Extracts", extracts, ("source", "dataset", "slot", "state", "last_accepted_at"),
          ("rows_in", "rows_accepted", "rows_quarantined", "pending", "blocked"))  # fmt: skip
    promised = [row | {"gaps": _spans(row["gaps"])} for row in extracts if row["freshness"]]
    show_rows(
        "Deadlines", promised, ("source", "dataset", "freshness", "next_deadline", "gaps"), ("days_behind", "age_h")
    )
    show_rows("Tables", tables, ("table_name", "published_at"), ("row_count", "published", "dirty", "blocked"))
    for subject, problem in problems.items():
        console.out.print(f"{subject}: {problem}", markup=False)
    if stale:
        show_rows(
            "Built by an older logic (opsmart rebuild --stale)", stale, ("table_name",), ("logic_version", "slices")
        )
    return ExitCode.OK


def verify(*, repair: bool = False, json: bool = False) -> ExitCode:
    """Check that lake, ledger and mart agree; for after a restore, or for peace of mind. Exit code 1 if they do not.

    Parameters
    ----------
    repair
        Give the lake what it lacks, from the landing store, and mark slices that differ: the next night, or
        opsmart backfill, builds them again.
    json
        Print JSON.
    """
    from flows import console
    from flows import pipeline as work
    from flows.settings import settings_of_home

    with console.waiting("Comparing lake, ledger and mart …"), work.open(settings_of_home()) as pipeline:
        found = pipeline.verify()
        beyond = pipeline.repair(found) if repair else []
    differences = [str(difference) for difference in found]
    if json:
        console.print_json({"agrees": not found, "differences": differences, "beyond_repair": beyond})
        return ExitCode.FAILED if beyond or (found and not repair) else ExitCode.OK
    for difference in differences:
        console.out.print(f"✗ {difference}", markup=False)
    for text in beyond:
        console.out.print(f"Cannot be mended here: {text}", markup=False)
    if not found:
        console.out.print("Lake, ledger and mart agree.")
    elif repair:
        console.out.print("What could be mended is; its slices are built by the next opsmart nightly.")
    else:
        console.out.print("To mend that: opsmart verify --repair")
    return ExitCode.FAILED if beyond or (found and not repair) else ExitCode.OK


def as_known_at(table: str, moment: datetime, /, *, to: Path) -> ExitCode:
    """Write a fact, a dimension or a dataset as it was known at some moment, from what had landed by then.

    It is taken and built once more beside the mart, which takes as long as loading what the table reads did.

    Parameters
    ----------
    table
        fct_…, dim_… or a dataset.
    moment
        As in 2026-03-31T06:00+02:00; UTC where it has no offset.
    to
        File to write: .parquet or .csv
    """
    from flows import console
    from flows.as_known import as_known_at as rows_as_known_at
    from flows.settings import settings_of_home
    from schemas.catalog import DATASETS, DIMENSIONS, FACTS

    known = [*FACTS, *DIMENSIONS, *DATASETS]
    if table not in known:
        raise UsageError(f"There is no table or dataset {table!r}.", remedy=f"known: {', '.join(known)}")
    if to.suffix not in (".parquet", ".csv"):
        raise UsageError(f"{to} is neither .parquet nor .csv.", remedy="name a file that ends so")
    settings = settings_of_home()
    with console.waiting(f"Building {table} as known at {moment} …"):
        rows = rows_as_known_at(settings, moment if moment.tzinfo else moment.replace(tzinfo=UTC), table)
    if to.suffix == ".csv":
        rows.write_csv(to)
    else:
        rows.write_parquet(to)
    console.out.print(f"{rows.height:,} rows written to {to}", markup=False)
    return ExitCode.OK


def _sources() -> "tuple[Mapping[str, Source], dict[str, str]]":
    """The sources, and what is wrong with those that cannot be read."""
    from flows.io.pull import load_sources
    from flows.settings import load_settings
    from schemas.errors import SourceError

    settings = load_settings()
    broken: dict[str, SourceError] = {}
    sources = load_sources(settings.sql_root / "sources", settings.sources, broken=broken)
    return sources, {name: str(error) for name, error in broken.items()}


def _landed(
    session: "Session", sources: "Mapping[str, Source]", problems: dict[str, str]
) -> dict[tuple[str, str], int]:
    """Files that wait to be taken, counted as deliveries per source and dataset; `problems` gets what hinders that.

    Databases are not asked: that is the night's work.
    """
    from flows.io import look
    from flows.io.pull import pull
    from flows.settings import load_settings
    from schemas.errors import OpsmartError

    settings = load_settings()
    waiting: dict[tuple[str, str], int] = {}
    for name, source in sources.items():
        try:
            deliveries = pull(source, settings, with_queries=False, only_look=True).deliveries
        except OpsmartError as error:
            problems[name] = str(error)
            continue
        settled = look.settled(session, name)
        for each in deliveries:
            if (each.dataset, each.slot, each.revision, each.content_hash) not in settled:
                waiting[name, each.dataset] = waiting.get((name, each.dataset), 0) + 1
    return waiting


@contextmanager
def open_session() -> Iterator["Session"]:
    """A session of the home's warehouse."""
    from flows import startup
    from flows.io.warehouse import Warehouse
    from flows.settings import settings_of_home

    settings = settings_of_home()
    startup.migrate(settings)
    with closing(Warehouse.at(startup.warehouse_url(settings))) as warehouse, warehouse.session() as session:
        yield session


def show_rows(title: str, rows: Sequence[dict[str, Any]], texts: Sequence[str], numbers: Sequence[str]) -> None:
    """A table of the given columns; nothing where there are no rows."""
    from flows import console

    if not rows:
        return
    columns = (*texts, *numbers)
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    names = [column.removesuffix("_name").replace("_", " ") for column in columns]
    console.out.print(console.table(title, names, cells, numbers_from=len(texts)))
    console.out.print()


def _spans(days: "Sequence[date]") -> str:
    """Days in words: the newest three stretches of days that follow each other."""
    spans: list[list[date]] = []
    for day in days:
        if spans and day - spans[-1][-1] == timedelta(days=1):
            spans[-1][-1] = day
        else:
            spans.append([day, day])
    words = [str(first) if first == last else f"{first} to {last}" for first, last in spans[-_SHOWN_GAPS:]]
    more = len(spans) - len(words)
    return ", ".join(([f"{more} more"] if more else []) + words)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)
