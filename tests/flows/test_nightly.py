"""A night from end to end, as a person runs it: real files, PostgreSQL, Prefect server and command line."""

import gzip
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import psycopg
import pytest

from flows import startup
from flows.io import embedded_server
from flows.runs import run_lock
from tests.flows.conftest import Home

SAMPLE = ("--days", "2", "--scale", "0.1")


@pytest.fixture(scope="module")
def practised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home after its first night on two days of the sample company. Tests here run in the order they stand."""
    home = Home(tmp_path_factory.mktemp("practised") / "home")
    try:
        home.opsmart("sample", "write", *SAMPLE)
        first = home.opsmart("nightly")
        (home.folder / "first.txt").write_text(first)
        yield home
    finally:
        startup.stop(home.settings)


def _mart(home: Home, query: str) -> list[tuple[object, ...]]:
    return home.fetch(query, "reader")


def _loader(home: Home) -> str:
    return embedded_server.ensure_running(home.settings).url()


def _flow_runs(home: Home) -> list[tuple[object, ...]]:
    """Name of the flow and of the state of every run, oldest first, out of Prefect's database."""
    return home.fetch(
        "select flow.name, run.state_name from flow_run as run join flow on flow.id = run.flow_id"
        " order by run.created", "prefect"
    )  # fmt: skip


def test_the_first_night_ends_with_a_table_a_person_can_read(practised: Home):
    said = (practised.folder / "first.txt").read_text()
    for needed in ("Extracts taken", "Published", "Gates:", "passed", "fct_purchase_order_line", "sample_erp",
                   "127.0.0.1", "opsmart_reader.password", "Prefect UI", "login", "Done in"):  # fmt: skip
        assert needed in said
    assert "Missing" not in said
    assert _flow_runs(practised) == [("nightly", "Completed")]


def test_rows_are_neither_lost_nor_made_up(practised: Home):
    assert practised.fetch(
        "select count(*) from ops.extract where state = 'accepted'"
        " and rows_in <> rows_accepted + rows_quarantined + rows_duplicate + rows_excluded",
    ) == [(0,)]
    assert _mart(practised, "select count(*) > 0 from mart.fct_purchase_order_line") == [(True,)]


def test_the_second_night_says_that_nothing_is_new_quickly(practised: Home):
    rows = practised.fetch("select fact, source, day, generation, published_at from ops.slice order by 1, 2, 3")
    alone = _processor_seconds(lambda: subprocess.run([sys.executable, "-c", "import prefect.flows"], check=True))
    said: list[str] = []
    night = min(_processor_seconds(lambda: said.append(practised.opsmart("nightly"))) for _ in range(2))
    assert all("Nothing is new" in text for text in said)
    assert rows == practised.fetch("select fact, source, day, generation, published_at from ops.slice order by 1, 2, 3")
    # Prefect's import takes one second on an idle machine, a night without news may take four
    assert night < 4 * alone, f"{night:.1f} s of processor time; importing Prefect alone takes {alone:.1f} s"
    assert _flow_runs(practised)[-2:] == [("nightly", "Completed")] * 2


def _processor_seconds(work: Callable[[], object]) -> float:
    """Processor time of the commands that `work` runs: the clock would measure what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_plan_changes_nothing(practised: Home):
    before = practised.fetch("select fact, source, day, generation from ops.dirty_slice order by 1, 2, 3")
    said = practised.opsmart("backfill", "--start", "2020-01-01", "--end", "2030-12-31", "--all", "--plan")
    assert re.search(r"fct_purchase_order_line( +\S+){7} +\d+", said)
    assert "nothing was changed" in said
    assert "Connect a BI tool" not in said
    assert practised.fetch("select fact, source, day, generation from ops.dirty_slice order by 1, 2, 3") == before


IMPATIENT = """
from flows import cli, console, progress
progress.MOMENT_S = console.PIPE_MOMENT_S = 0.0
cli.main()
"""


def test_a_backfill_of_what_is_right_writes_nothing_and_tells_how_far_it_is(practised: Home):
    rows = _mart(practised, "select row_key, published_at from mart.fct_goods_receipt order by 1")
    days = ("--start", "2020-01-01", "--end", "2030-12-31")
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "backfill", *days, "--dataset", "goods_receipt", "--all"],
        env=practised.environment(), cwd=practised.settings.project_root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert _mart(practised, "select row_key, published_at from mart.fct_goods_receipt order by 1") == rows
    assert re.search(r"Facts: \d+ of \d+ chunks, [\d,]+ rows, 0:00:\d\d left", done.stdout), done.stdout
    shown = practised.fetch(
        "select artifact.data::text, artifact.description from artifact join flow_run on flow_run.id = flow_run_id"
        " join flow on flow.id = flow_id where type = 'progress' and key = 'facts' and flow.name = 'backfill'",
        "prefect",
    )
    assert len(shown) == 1, shown
    assert shown[0][0] == "100.0"
    assert re.fullmatch(r"Facts: (\d+) of \1 chunks, [\d,]+ rows, 0:00:00 left", str(shown[0][1]))


def test_a_rebuild_brings_back_what_somebody_deleted(practised: Home):
    query = "select row_key, row_hash from mart.fct_goods_receipt order by 1"
    rows = _mart(practised, query)
    with psycopg.connect(_loader(practised)) as connection:
        connection.execute("delete from mart.fct_goods_receipt where row_key % 2 = 0")
    practised.opsmart("verify", code=1)
    practised.opsmart("rebuild", "--fact", "fct_goods_receipt")
    assert _mart(practised, query) == rows
    practised.opsmart("verify")


def test_a_table_as_it_is_known_now_is_the_table(practised: Home):
    file = practised.folder / "receipts.parquet"
    said = practised.opsmart("as-known-at", "fct_goods_receipt", "2100-01-01", "--to", str(file))
    rows = _mart(practised, "select row_key, row_hash from mart.fct_goods_receipt order by 1")
    assert pl.read_parquet(file).select("row_key", "row_hash").sort("row_key").rows() == rows
    assert f"{len(rows):,} rows" in said
    databases = "select count(*) from pg_database where datname like 'known%'"
    assert practised.fetch(databases) == [(0,)]


def test_status_and_quarantine_tell_what_is_there(practised: Home):
    status = practised.json("status")
    assert {entry["source"] for entry in status["extracts"]} >= {"sample_erp", "sample_mes"}
    assert all(entry["pending"] == 0 for entry in status["extracts"])
    assert {entry["table_name"] for entry in status["tables"]} >= {"fct_gl_entry", "dim_item"}
    assert status["stale"] == []
    promised = {entry["dataset"]: entry for entry in status["extracts"] if entry["freshness"]}
    # the sample company's days are long over
    assert {entry["freshness"] for entry in promised.values()} == {"overdue"}
    assert promised["operation_confirmation"]["days_behind"] > 300
    assert promised["operation_confirmation"]["next_deadline"] > str(datetime.now(UTC))
    assert practised.json("quarantine", "list").keys() == {"quarantined", "blocked"}
    # rows that have come again since are on no list, but are shown
    ((extract, rule),) = practised.fetch("select extract_id, rule from ops.quarantined_row order by 1, 2 limit 1")
    rows = practised.json("quarantine", "show", str(extract))
    assert any(row["rule"] == rule for row in rows)
    assert "sample_" in practised.opsmart("status")
    assert practised.json("quarantine", "list", "--source", "nobody") == {"quarantined": [], "blocked": []}
    assert "There is no extract 999999" in practised.opsmart("quarantine", "show", "999999", code=2)


def test_a_source_can_be_tried_and_listed(practised: Home):
    names = {entry["source"] for entry in practised.json("source", "list")}
    assert names >= {"sample_erp", "sample_mes", "adventureworks"}
    found = practised.json("source", "check", "sample_erp")
    assert not found["problems"]
    [lines] = [check for check in found["datasets"] if check["dataset"] == "purchase_order_line"]
    assert lines["rows_in"] == sum(
        lines[name] for name in ("rows_accepted", "rows_quarantined", "rows_duplicate", "rows_excluded")
    )
    assert lines["missing_columns"] == []
    assert "source" in practised.opsmart("source", "check", "no_such_source", code=2)


def test_a_run_that_was_killed_is_marked_and_made_good_by_the_next(practised: Home):
    url = _loader(practised)
    for file in sorted(practised.settings.landing.glob("sample_erp/**/material_*.csv"))[:1]:
        file.with_name("material_2998-01-01.csv").write_bytes(file.read_bytes())
    # held up by somebody else's lock while it accepts, then killed
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('opsmart.accept', 0))")
        killed = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "nightly"],
            env=practised.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _wait_until_somebody_waits(other)
        killed.kill()
        killed.wait()
    assert _flow_runs(practised)[-1] == ("nightly", "Running")
    practised.opsmart("nightly")
    assert _flow_runs(practised)[-2:] == [("nightly", "Crashed"), ("nightly", "Completed")]
    assert practised.fetch("select count(*) from ops.run where state = 'running'") == [(0,)]
    assert practised.fetch("select state from ops.extract where file like '%material_2998%'") == [("accepted",)]


def test_a_run_waits_for_the_one_that_is_going_on(practised: Home):
    url = _loader(practised)
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (run_lock("nightly"),))
            waiting = pool.submit(practised.opsmart, "nightly")
            _wait_until_somebody_waits(other)
            assert not waiting.done()
        assert "Another run of this kind is going on" in waiting.result(timeout=120)


def _wait_until_somebody_waits(connection: psycopg.Connection) -> None:
    deadline = time.monotonic() + 120
    while connection.execute("select from pg_locks where locktype = 'advisory' and not granted").fetchone() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_broken_source_folder_is_named_and_the_night_goes_on(practised: Home):
    folder = practised.folder.parent / "sources of mine"
    (folder / "my_erp").mkdir(parents=True)
    (folder / "my_erp" / "source.yaml").write_text("name: my_erp\ntabels: {}\n")
    said = practised.opsmart("nightly", code=3, OPSMART_SOURCES=str(folder))
    assert "Missing: my_erp" in said
    assert "tables: Field required" in said


def test_one_broken_source_makes_the_night_partial_and_is_named(practised: Home):
    landing = practised.settings.landing
    broken = _next_slot(landing / "sample_wms", ".jsonl.gz")
    broken.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    copied = _next_slot(landing / "sample_erp", ".csv")
    copied.write_bytes(max(landing.glob("sample_erp/**/material_*.csv")).read_bytes())
    said = practised.opsmart("nightly", code=3)
    assert re.search(r"Missing: sample_wms", said)
    assert "my_erp" not in said
    assert "Partial in" in said
    # the other source's delivery was taken all the same
    assert practised.fetch("select state from ops.extract where file like '%material_2999%'") == [("accepted",)]
    assert _flow_runs(practised)[-1] == ("nightly", "Partial")


def _next_slot(folder: Path, ending: str) -> Path:
    """A file name beside the others of a source, dated after all of them."""
    names = sorted(path for path in folder.rglob(f"*{ending}") if re.search(r"\d{4}-\d{2}-\d{2}", path.name))
    last = next(path for path in reversed(names) if ending != ".csv" or path.name.startswith("material_"))
    return last.with_name(re.sub(r"\d{4}-\d{2}-\d{2}(_r\d+)?", "2999-12-31", last.name))
