"""`opsmart …`: the command line. Verbs live in flows/cli_*.py; what they need is imported when they run."""

import sys
from collections.abc import Sequence

import cyclopts

from flows import cli_docs, cli_look, cli_quarantine, cli_run, cli_source, cli_warehouse
from flows.report import ExitCode, UsageError
from schemas.errors import OpsmartError

_HELP = """\
Supplier, production and finance extracts become facts in PostgreSQL.

Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 partial (something is missing and is named).
"""


def _version() -> str:
    from importlib.metadata import version

    return version("opsmart")


app = cyclopts.App(
    name="opsmart", help=_HELP, version=_version, result_action="return_value", suppress_keyboard_interrupt=False
)
for verb in (cli_run.nightly, cli_run.backfill, cli_run.rebuild, cli_run.serve, cli_run.watch):
    app.command(verb)
for verb in (cli_look.status, cli_look.verify):
    app.command(verb)
app.command(cli_look.as_known_at)
app.command(cli_quarantine.quarantine)
app.command(cli_quarantine.release)
app.command(cli_source.source)
app.command(cli_warehouse.warehouse)
app.command(cli_warehouse.sample)
app.command(cli_docs.docs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs a verb and exits with its code."""
    sys.exit(int(run(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: Sequence[str]) -> ExitCode:
    """Runs a verb; errors that are somebody's to mend are shown without a traceback.

    Any other error is ours: it is written to a log file, and the terminal says which.
    """
    try:
        result = app(list(arguments), exit_on_error=False, print_error=True)
    except cyclopts.CycloptsError:
        return ExitCode.USAGE
    except OpsmartError as error:
        from flows.console import show_error

        show_error(error)
        return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.FAILED
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What is done stays done; run it again and it goes on from there.\n")
        return ExitCode.FAILED
    except BrokenPipeError:
        # `opsmart status | head`: nobody is left to read the rest
        sys.stderr.close()
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 - the last resort of the program, written down whole
        _show_defect(error, arguments)
        return ExitCode.FAILED
    return result if isinstance(result, ExitCode) else ExitCode.OK


def _show_defect(error: Exception, arguments: Sequence[str]) -> None:
    import traceback
    from datetime import UTC, datetime

    from flows.console import show_error
    from flows.settings import load_settings

    folder = load_settings().home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"defect-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
    text = "".join(traceback.format_exception(error))
    file.write_text(f"opsmart {' '.join(arguments)}\n\n{text}", encoding="utf-8")
    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    show_error(
        OpsmartError(
            f"This is a defect of opsmart, not of your data: {summary}",
            where=str(file),
            remedy="run it again; if it stays, report that file (it may quote data: read it first)",
        )
    )


if __name__ == "__main__":
    main()
