"""Verbs for what is held back: quarantine list, show, replay, export; release."""

from getpass import getuser
from pathlib import Path

import cyclopts

from flows.report import ExitCode, UsageError
from schemas.errors import StorageError

quarantine = cyclopts.App(name="quarantine", help="Rows that were held back: which, why, and taking them after all.")


@quarantine.command(name="list")
def list_quarantine(*, source: str | None = None, dataset: str | None = None, json: bool = False) -> ExitCode:
    """Count rows in quarantine per extract and rule, and name blocked extracts.

    Parameters
    ----------
    source
        Only this source.
    dataset
        Only this dataset.
    json
        Print JSON.
    """
    from flows import console
    from flows.cli_look import open_session, show_rows
    from flows.io import look

    with open_session() as session:
        found, blocked = look.quarantine(session, source, dataset), look.blocked(session, source, dataset)
    if json:
        console.print_json({"quarantined": found, "blocked": blocked})
        return ExitCode.OK
    if not found and not blocked:
        console.out.print("No row is in quarantine, and no extract is blocked.")
    extract = ("extract_id", "source", "dataset", "slot")
    reason = (*extract, "rule", "column_name", "example")
    show_rows("Quarantine (opsmart quarantine show EXTRACT)", found, reason, ("row_count",))
    blocking = (*extract, "file", "blocked_by")
    show_rows("Blocked (opsmart quarantine replay EXTRACT, opsmart release EXTRACT)", blocked, blocking, ())
    return ExitCode.OK


@quarantine.command(name="show")
def show_quarantine(extract: int, /, *, limit: int = 20, json: bool = False) -> ExitCode:
    """Show the quarantined rows of one extract as they were delivered; personal data is masked.

    Parameters
    ----------
    extract
        Its number, from `opsmart quarantine list`.
    limit
        At most this many.
    json
        Print JSON.
    """
    from flows import console
    from flows.cli_look import open_session, show_rows
    from flows.io import held, look

    if limit < 1:
        raise UsageError(f"--limit {limit} shows nothing.", remedy="give a number from 1 on")
    with open_session() as session:
        file = held.known(session, extract).file
        found = look.quarantined_rows(session, extract, limit)
    if json:
        console.print_json(found)
    elif not found:
        console.out.print(f"Extract {extract} has no row in quarantine.")
    else:
        console.out.print(f"Extract {extract}: {file}", markup=False)
        show_rows("", found, ("row_no", "state", "rule", "column_name", "value", "raw"), ())
    return ExitCode.OK


@quarantine.command
def replay(extract: int | None = None, /, *, source: str | None = None, dataset: str | None = None) -> ExitCode:
    """Take rows in quarantine, and blocked extracts, as their sources map and correct them now.

    Rows count in the order of their own delivery: what has come since stays newer. What is wrong still stays where it
    is. A blocked extract is judged by the gates again.

    Parameters
    ----------
    extract
        Only this one, from `opsmart quarantine list`.
    source
        Only this source.
    dataset
        Only this dataset.
    """
    from flows.cli_look import open_session
    from flows.cli_run import check_names, run_flow
    from flows.io import held

    check_names(source=source, dataset=dataset)
    if extract is not None:
        with open_session() as session:
            held.known(session, extract)
    return run_flow("replay", extract=extract, source=source, dataset=dataset)


@quarantine.command
def export(
    file: Path, /, *, extract: int | None = None, source: str | None = None, dataset: str | None = None
) -> ExitCode:
    """Write rows in quarantine to a file for those who mend them at the source; personal data is masked.

    Parameters
    ----------
    file
        File to write: .csv, or .xlsx with a sheet per source and dataset.
    extract
        Only this extract.
    source
        Only this source.
    dataset
        Only this dataset.
    """
    from flows import console, held_export
    from flows.cli_look import open_session
    from flows.io import held, look

    if file.suffix not in (".csv", ".xlsx"):
        raise UsageError(f"{file} is neither .csv nor .xlsx.", remedy="name a file that ends so")
    with open_session() as session:
        if extract is not None:
            held.known(session, extract)
        rows = look.held_rows(session, source, dataset, extract)
    try:
        written = held_export.write(rows, file)
    except OSError as error:
        raise StorageError(
            f"the file cannot be written: {error.strerror}",
            where=str(file),
            remedy="name one in a folder that is there, and that no other program has open",
        ) from error
    console.out.print(f"{written:,} rows in quarantine written to {file}", markup=False)
    return ExitCode.OK


def release(extract: int, /, *, reason: str, by: str | None = None) -> ExitCode:
    """Let an extract pass that a gate blocks, or end the keys that it lacks; on the record, with who, when and why.

    Parameters
    ----------
    extract
        Its number, from `opsmart quarantine list`.
    reason
        Why it is right as it is.
    by
        Who says so; the user of this machine where it is not given.
    """
    from datetime import UTC, datetime

    from flows.cli_look import open_session
    from flows.cli_run import run_flow
    from flows.io import held

    with open_session() as session:
        known = held.known(session, extract)
        held.release(session, known, by=by or getuser(), reason=reason, now=datetime.now(UTC))
        session.commit()
    return run_flow("replay", extract=extract, source=None, dataset=None)
