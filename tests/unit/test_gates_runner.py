"""How gates run: gate files that are wrong, rows instead of measures, threads, silence, and nothing without need."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent

import polars as pl
import pytest

from flows.io import gates, gates_engine, gates_files
from flows.io.gates_engine import expectation
from schemas.catalog import DATASETS, FACTS
from schemas.contract import FactContract
from schemas.errors import GateError
from schemas.registry import Fact

NOW, DAY, NEXT = datetime(2026, 3, 1, 6, tzinfo=UTC), date(2026, 2, 1), date(2026, 2, 2)
ROOT = Path(__file__).parents[2]
GOOD = gates.ExtractFacts("e1", DAY, 2, 2, 0, 0, 0)
STAGED = pl.DataFrame({"source": ["erp"] * 2, "_slice": [DAY, NEXT], "site_id": ["A", None], "name": ["x", "y"]})

GATE = """
    judges: {judges}
    applies_to: ["*"]
    {measures}
    gates:
      - name: first
        expectation: expect_column_values_to_not_be_null
        arguments: {{column: name}}
        severity: fail
        reason: Only here to be the first.
      - name: looked_at
        expectation: {expectation}
        arguments: {arguments}
        severity: fail
        reason: {reason}
"""


class Small(FactContract):
    """A fact without columns of its own."""


@pytest.fixture(autouse=True)
def small_fact(monkeypatch):
    monkeypatch.setitem(FACTS, "fct_small", Fact("fct_small", Small, "supplier", "day", {}))


@pytest.fixture
def folder(tmp_path):
    def write(judges="extracts", expectation="", arguments="{}", measures="", reason="Looked at by the test."):
        text = (
            dedent(GATE)
            .lstrip()
            .format(judges=judges, expectation=expectation, arguments=arguments, measures=measures, reason=reason)
        )
        (tmp_path / "gate.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def judged(folder, staged=STAGED):
    results = gates.judge_extract("site", "erp", staged, GOOD, checked_at=NOW, folder=folder).results
    return {one.gate: (one.status, one.observed) for one in results}


def judged_slices(folder, rows=STAGED):
    results = gates.judge_slices("fct_small", rows, checked_at=NOW, folder=folder)
    return {(one.gate, str(one.subject)): (one.status, one.observed) for one in results}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"expectation": "expect_column_to_shine"}, "knows no 'expect_column_to_shine'"),
        ({"expectation": "expect_column_values_to_be_in_set", "arguments": "{colum: name}"}, "colum"),
        ({"expectation": "expect_column_values_to_be_between", "arguments": "{column: name, max: 3}"}, "max"),
        ({"expectation": "expect_column_values_to_be_null", "arguments": "{column: nome}"}, "names 'nome'"),
        ({"expectation": "expect_column_sum_to_be_between", "arguments": "{column: name, max_value: 3}"}, "evaluated"),
        ({"expectation": "column_values_to_be_null"}, "gates.1.expectation"),
        ({"expectation": "expect_column_values_to_be_null", "reason": "None"}, "gates.1.reason"),
    ],
)
def test_a_wrong_gate_is_named_with_file_and_line(folder, wrong, said):
    with pytest.raises(GateError) as raised:
        judged(folder(**wrong))
    assert said in raised.value.what
    file, line = raised.value.where.rsplit(":", 1)
    assert Path(file).name == "gate.yaml"
    assert int(line) in range(10, 15)


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ("measures: {m: 'sum('}", "not an expression of Polars SQL"),
        ("measures: {m: count(nope)}", "'m' measures 'nope', which is not there"),
        ("measures: {m: sum(name)}", "cannot be computed: "),
        ("measures: {m: 1.0 / sum(0)}", "cannot be computed: division by zero"),
        ("measures: {m: count(*)}\nderived: {m: m + 1}", "measured twice"),
        ("driving: {rows: count(*)}", "`driving` is for facts"),
        ("mesures: {}", "mesures"),
        ("measures: [", "Not YAML"),
    ],
)
def test_wrong_measures_are_named(folder, measures, said):
    with pytest.raises(GateError, match=r"gate\.yaml") as raised:
        judged(folder(measures=measures, expectation="expect_column_values_to_be_null", arguments="{column: name}"))
    assert said in raised.value.what


@pytest.mark.parametrize(
    ("expectation", "arguments"),
    [
        ("expect_column_max_to_be_between", "{column: name, max_value: 3}"),
        ("expect_column_values_to_be_in_set", "{column: name, value_set: [x], mostly: 0.5}"),
    ],
)
def test_an_expectation_on_all_slices_at_once_is_refused(folder, expectation, arguments):
    with pytest.raises(GateError, match="cannot be judged slice by slice"):
        judged_slices(folder("facts", expectation, arguments))


def test_a_gate_that_exists_twice_is_refused(folder):
    where = folder(expectation="expect_column_values_to_be_null", arguments="{column: name}")
    (where / "other.yaml").write_text((where / "gate.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(GateError, match="'first' exists twice"):
        judged(where)


def test_control_totals_need_driving_rows(folder):
    with pytest.raises(GateError, match="no driving rows"):
        judged_slices(
            folder("facts", "expect_column_values_to_be_null", "{column: n}", measures="driving: {n: count(*)}")
        )


def test_every_gate_of_the_project_is_one_that_great_expectations_knows():
    for judged, tables in (("extracts", DATASETS), ("facts", FACTS)):
        for table in tables:
            for planned in gates_files.plan(judged, table).gates.values():
                assert expectation(planned, by_subject=judged == "facts")
    named = {name for one in gates.load_suites() for name in one.suite.applies_to}
    assert named <= {"*", *DATASETS, *FACTS}


def test_rows_of_an_extract(folder):
    where = folder(expectation="expect_column_values_to_not_be_null", arguments="{column: site_id}")
    assert judged(where) == {"first": ("passed", ""), "looked_at": ("failed", "1 of 2 rows")}


def test_the_whole_table_of_an_extract(folder):
    where = folder(
        expectation="expect_column_unique_value_count_to_be_between", arguments="{column: name, max_value: 1}"
    )
    assert judged(where)["looked_at"] == ("failed", "2")


def test_rows_of_slices(folder):
    where = folder("facts", "expect_column_values_to_not_be_null", "{column: site_id}")
    assert judged_slices(where) == {
        ("first", "fct_small erp 2026-02-01..2026-02-02"): ("passed", "2 slices"),
        ("looked_at", "fct_small erp 2026-02-01"): ("passed", "1 slice"),
        ("looked_at", "fct_small erp 2026-02-02"): ("failed", "1 rows"),
    }


def test_no_rows_say_nothing(folder):
    assert (
        judged(folder(expectation="expect_column_values_to_be_null", arguments="{column: name}"), STAGED.clear()) == {}
    )


@pytest.mark.parametrize("sql", ["sum(null)", "0 / sum(0)", "1.0::double / sum(0)", "max(null::date)"])
def test_a_measure_without_a_value_does_not_pass(folder, sql):
    where = folder(
        expectation="expect_column_values_to_be_in_set",
        arguments="{column: m, value_set: [0]}",
        measures=f"measures: {{m: '{sql}'}}",
    )
    assert judged(where)["looked_at"][0] == "failed"


def test_threads_get_their_own_results(folder):
    where = folder(
        "extracts", "expect_column_values_to_be_between", "{column: m, max_value: 10}", "measures: {m: max(n)}"
    )

    def status(n):
        return judged(where, STAGED.with_columns(n=pl.lit(n)))["looked_at"]

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(status, range(21)))
    assert said == [("passed" if n <= 10 else "failed", f"m = {n}") for n in range(21)]


def test_a_value_is_asked_about_once(folder, monkeypatch):
    asked = []
    validate = gates_engine._validate

    def counted(batch, planned, *how):
        asked.append(len(planned))
        return validate(batch, planned, *how)

    monkeypatch.setattr(gates_engine, "_validate", counted)
    monkeypatch.setattr(gates_engine, "_answers", {})
    where = folder(
        "extracts", "expect_column_values_to_be_between", "{column: m, max_value: 10}", "measures: {m: max(n)}"
    )
    staged = STAGED.with_columns(n=pl.lit(11))
    said = [judged(where, staged.with_columns(n=pl.lit(n, dtype)))["looked_at"][0] for n, dtype in (
        (11, pl.Int64), (11, pl.Int64), (11, pl.Float64), (9, pl.Int64), (11, pl.Int64),
    )]  # fmt: skip
    assert said == ["failed", "failed", "failed", "passed", "failed"]
    # `first` looks at rows each time; a value that fails is asked about twice: whether, and which.
    assert len(asked) == 5 + 2 + 2 + 1


def run(script, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "", **environment},
    )


SET_UP = f"""
    import logging, sys
    logging.basicConfig(level=logging.INFO)
    from datetime import UTC, date, datetime
    from pathlib import Path
    import polars as pl
    from flows.io import gates
    from schemas.catalog import DATASETS
    now, day, none = datetime.now(UTC), date(2026, 2, 1), Path({str(ROOT / "transforms")!r})
    facts = gates.ExtractFacts("e1", day, 3, 3, 0, 0, 0)
    rows = DATASETS["site"].contract.create_empty()
"""


def test_nothing_is_imported_where_nothing_is_judged():
    script = """
    assert gates.judge_extract("site", "erp", rows, facts, checked_at=now, folder=none).results == []
    assert not {"great_expectations", "pandas"} & sys.modules.keys()
    """
    done = run(SET_UP + script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_silence_and_no_files_while_threads_import(tmp_path):
    script = """
    from concurrent.futures import ThreadPoolExecutor
    preloading = gates.preload()
    with ThreadPoolExecutor(2) as pool:
        judged = [pool.submit(gates.judge_extract, "site", "erp", rows, facts, checked_at=now) for _ in range(4)]
    assert {one.status for each in judged for one in each.result().results} == {"passed"}
    preloading.join()
    """
    done = run(SET_UP + script, TMPDIR=str(tmp_path), HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
