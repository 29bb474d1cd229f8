"""The command line: quick help, exit codes, errors a person can act on."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import run
from flows.report import ExitCode
from tests.flows.conftest import Home

VERBS = [
    ("nightly",), ("backfill",), ("rebuild",), ("serve",), ("watch",), ("status",), ("verify",), ("as-known-at",),
    ("sample",), ("sample", "write"),
    ("release",), ("quarantine",), ("quarantine", "list"), ("quarantine", "show"), ("quarantine", "replay"),
    ("quarantine", "export"),
    ("source",), ("source", "new"), ("source", "check"), ("source", "list"),
    ("warehouse",), ("warehouse", "up"), ("warehouse", "url"), ("warehouse", "migrate"), ("warehouse", "stop"),
]  # fmt: skip
HEAVY = {"prefect", "polars", "great_expectations", "sqlalchemy", "deltalake", "psycopg", "pydantic"}


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself(verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert run([*verb, "--help"]) == ExitCode.OK
    assert f"Usage: opsmart {' '.join(verb)}" in capsys.readouterr().out


def test_help_loads_nothing_heavy():
    code = "import sys, flows.cli; flows.cli.run(['--help']); print(sorted({m.split('.')[0] for m in sys.modules}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = said.splitlines()[-1]
    assert not [name for name in HEAVY if f"'{name}'" in loaded]


def test_help_takes_less_than_half_a_second():
    def processor_seconds() -> float:
        """Not by the clock: other programs may be busy."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "flows.cli", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(processor_seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-verb"],
        ["nightly", "--no-such-option"],
        ["backfill"],
        ["backfill", "--start", "yesterday", "--end", "2026-01-01"],
        ["backfill", "--start", "2026-01-02", "--end", "2026-01-01"],
        ["backfill", "--start", "2026-01-01", "--end", "2026-01-02", "--source", "nobody"],
        ["backfill", "--start", "2026-01-01", "--end", "2026-01-02", "--dataset", "orders"],
        ["backfill", "--start", "2026-01-01", "--end", "2026-01-02", "--fact", "fct_nothing"],
        ["as-known-at", "fct_nothing", "2026-03-31", "--to", "x.parquet"],
        ["as-known-at", "fct_budget", "2026-03-31", "--to", "x.xlsx"],
        ["as-known-at", "fct_budget", "yesterday", "--to", "x.csv"],
        ["rebuild"],
        ["rebuild", "--fact", "fct_nothing"],
        ["rebuild", "--stale", "--fact", "fct_budget"],
        ["warehouse", "url", "--role", "king"],
        ["quarantine", "show", "one"],
        ["quarantine", "show", "1", "--limit", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(arguments) == ExitCode.USAGE
    assert capsys.readouterr().err


def test_a_mistyped_setting_is_named(tmp_path: Path):
    said = Home(tmp_path / "home").opsmart("status", code=1, OPSMART_HOEM="x")
    assert "OPSMART_HOEM is not a setting" in said
    assert "did you mean OPSMART_HOME" in said


@pytest.mark.parametrize(
    "command",
    [
        "status", "verify", "verify --repair", "as-known-at fct_budget 2026-03-31 --to x.csv",
        "quarantine list", "quarantine show 1", "quarantine replay", "quarantine replay 1", "quarantine export x.csv",
        "release 1 --reason why", "backfill --start 2026-01-01 --end 2026-01-02", "rebuild --stale", "docs quality",
        "warehouse url",
    ],
)  # fmt: skip
def test_what_looks_or_mends_begins_no_home(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert run(command.split()) == ExitCode.FAILED
    said = capsys.readouterr().err.replace("\n", "")
    assert str(tmp_path / ".opsmart") in said
    assert "OPSMART_HOME" in said
    assert not list(tmp_path.iterdir())


def test_an_unreachable_warehouse_is_named(tmp_path: Path):
    home = Home(tmp_path / "home")
    home.folder.mkdir()
    said = home.opsmart("status", code=1, OPSMART_WAREHOUSE_URL="postgresql://me:geheim@127.0.0.1:1/mart")
    assert "do:" in said
    assert "geheim" not in said


def test_a_defect_goes_to_a_file_not_to_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from flows import startup

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setenv("OPSMART_HOME", str(tmp_path))
    monkeypatch.setattr(startup, "stop", broken)
    assert run(["warehouse", "stop"]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "Traceback" not in said
    [file] = (tmp_path / "logs").glob("defect-*.log")
    assert "ZeroDivisionError: a defect" in file.read_text()


def test_the_readers_url_is_what_psql_takes(served_home: Home):
    import psycopg

    url = served_home.opsmart("warehouse", "url").strip()
    with psycopg.connect(url) as connection:
        assert connection.execute("select current_user").fetchone() == ("opsmart_reader",)
    loader = served_home.opsmart("warehouse", "url", "--role", "loader").strip()
    with psycopg.connect(loader) as connection:
        assert connection.execute("select current_user").fetchone() == ("opsmart_loader",)


def test_the_sample_is_not_written_over_deliveries(served_home: Home):
    landing = served_home.folder.parent / "landing of somebody"
    (landing / "erp").mkdir(parents=True)
    (landing / "erp" / "items.csv").write_text("id\n1\n")
    served_home.opsmart("sample", "write", code=2, OPSMART_LANDING=str(landing))
    served_home.opsmart("sample", "write", "--if-empty", OPSMART_LANDING=str(landing))
    assert [file.name for file in landing.rglob("*.csv")] == ["items.csv"]
