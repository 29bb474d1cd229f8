"""Verbs around sources: source new|check|list."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cyclopts

from flows.report import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.settings import Settings
    from flows.source_check import DatasetCheck, SourceCheck
    from schemas.source import Source

source = cyclopts.App(name="source", help="Make, check and list sources.")


@source.command(name="list")
def list_sources(*, json: bool = False) -> ExitCode:
    """List the sources with their datasets and how they deliver.

    Parameters
    ----------
    json
        Print JSON.
    """
    from flows import console
    from flows.settings import load_settings

    settings = load_settings()
    found: list[dict[str, Any]] = [
        {
            "source": each.name,
            "dataset": dataset,
            "mode": how.mode,
            "deadline": how.deadline,
            "folder": str(each.folder),
        }
        for each in _sources(settings).values()
        for dataset, how in each.datasets.items()
    ]
    if json:
        console.print_json(found)
    else:
        columns = ("source", "dataset", "mode", "deadline", "folder")
        console.out.print(console.table("Sources", columns, [[entry[column] for column in columns] for entry in found]))
    return ExitCode.OK


@source.command
def new(name: str, /, *datasets: str, folder: Path | None = None) -> ExitCode:
    """Write a commented skeleton of a source: source.yaml and a SELECT for each dataset.

    Parameters
    ----------
    name
        Its name, as in my_erp.
    datasets
        What it delivers; purchase_order_line where nothing is said.
    folder
        Where: the first folder of OPSMART_SOURCES, else sql/sources.
    """
    from flows import console
    from flows.settings import load_settings
    from flows.source_new import write_skeleton

    settings = load_settings()
    if name in _sources(settings):
        raise UsageError(f"There is a source {name} already.", remedy="choose another name")
    parent = folder or (settings.sources[0] if settings.sources else settings.sql_root / "sources")
    files = write_skeleton(parent, name, datasets or ("purchase_order_line",))
    for file in files:
        console.out.print(f"written: {file}", markup=False)
    console.out.print(
        f"Fill in what is in capitals, put files into {settings.landing / name}, then: opsmart source check {name}",
        markup=False,
    )
    return ExitCode.OK


@source.command
def check(name: str, /, *, newest: int = 3, json: bool = False) -> ExitCode:
    """Try a source up to the gate and load nothing: files, rows, missing columns, quarantined rows with examples.

    Exit code 1 if a dataset would not load.

    Parameters
    ----------
    name
        The source.
    newest
        Only this many deliveries of each dataset, the newest.
    json
        Print JSON.
    """
    from dataclasses import asdict

    from flows import console
    from flows.settings import load_settings

    if newest < 1:
        raise UsageError(f"--newest {newest} tries nothing.", remedy="give a number from 1 on")
    settings = load_settings()
    with console.waiting(f"Trying {name} …"):
        from flows.source_check import check_source

        found = check_source(_source(settings, name), settings, newest=newest)
    if json:
        console.print_json(asdict(found))
    else:
        _show(found)
    return ExitCode.OK if found.is_good else ExitCode.FAILED


def _sources(settings: "Settings") -> "Mapping[str, Source]":
    from flows.io.pull import load_sources

    return load_sources(settings.sql_root / "sources", settings.sources)


def _source(settings: "Settings", name: str) -> "Source":
    known = _sources(settings)
    if name not in known:
        raise UsageError(f"There is no source {name!r}.", remedy=f"known: {', '.join(sorted(known))}")
    return known[name]


def _show(found: "SourceCheck") -> None:
    from flows import console

    columns = ("dataset", "deliveries", "tried", "rows in", "accepted", "quarantined", "duplicate", "excluded")
    rows = [
        (check.dataset, check.deliveries_found, check.deliveries_tried, check.rows_in, check.rows_accepted,
         check.rows_quarantined, check.rows_duplicate, check.rows_excluded)
        for check in found.datasets
    ]  # fmt: skip
    console.out.print(console.table("", columns, rows, numbers_from=1))
    # First why a dataset has nothing: a database that cannot be reached looks as if it had delivered nothing.
    for problem in found.problems:
        console.out.print(f"problem: {problem}", markup=False)
    for check in found.datasets:
        for line in _remarks(check, has_problem=bool(found.problems)):
            console.out.print(line, markup=False)
    if not any(check.deliveries_found for check in found.datasets) and found.searched:
        console.out.print(f"looked for: {', '.join(found.searched)}", markup=False)
    for file in found.unmatched:
        console.out.print(f"no table's path matches {file}", markup=False)


def _remarks(check: "DatasetCheck", *, has_problem: bool) -> list[str]:
    """What there is to say of a dataset beside its numbers."""
    lines = []
    if not check.deliveries_found:
        lines.append(f"  {check.dataset}: nothing to try{'' if has_problem else ', no file found'}")
    lines += [f"  error: {error}" for error in check.errors]
    if check.missing_columns:
        lines.append(f"  the SELECT misses needed columns: {', '.join(check.missing_columns)}")
    if check.absent_columns:
        lines.append(f"  the SELECT leaves out (they stay empty): {', '.join(check.absent_columns)}")
    lines += [f"  note: {warning}" for warning in check.warnings]
    for rule, count in check.rules.items():
        lines.append(f"  quarantined by {rule}: {count:,}{_choices(check.dataset, rule)}")
        for row in check.examples[rule]:
            cell = f"{row['column_name'] or ''} = {row['value']!r}" if row["value"] is not None else ""
            lines.append(f"    {row['slot']} row {row['row_no']}: {cell}  {row['raw'] or ''}".rstrip())
    return ["", check.dataset, *lines] if lines else []


def _choices(dataset: str, rule: str) -> str:
    """What the column of a rule may say, where that is a closed list."""
    from schemas.catalog import DATASETS

    column = DATASETS[dataset].contract.columns().get(rule.removesuffix("|regex"))
    values = (column.metadata or {}).get("values", ()) if column is not None else ()
    return f" (may be: {', '.join(values)})" if values else ""
