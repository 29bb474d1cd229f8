"""Every case below tests/golden/<fact>/<case>/: input tables in, expected rows out."""

import importlib
import inspect
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from schemas.catalog import FACTS
from tests.golden.frames import dataset_frame, read_text, typed

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/case.yaml"))


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_golden(case: Path, engine: str) -> None:
    fact = FACTS[case.parent.name]
    about = yaml.safe_load((case / "case.yaml").read_text())
    assert about["guards"], "a case says what it guards"
    transform = getattr(importlib.import_module(f"transforms.{fact.domain}.{fact.name}"), fact.name)
    options = {"reporting_currency": about.get("reporting_currency", "USD")}
    options = {name: value for name, value in options.items() if name in inspect.signature(transform).parameters}
    inputs = {
        name: dataset_frame(name, case / f"{name}.csv", zone=about.get("source_zone", "UTC")) for name in fact.arguments
    }
    built = transform(**inputs, **options).collect(engine=engine)
    expected = typed(read_text(case / "expected.csv"), dict(fact.contract.dtypes()))
    key = [name for name in fact.contract.key() if name in expected.columns]
    assert not built.select(fact.contract.key()).is_duplicated().any()
    assert_frame_equal(built.select(expected.columns).sort(key), expected.sort(key))


def test_every_fact_has_a_case() -> None:
    assert {case.parent.name for case in CASES} == set(FACTS)


def test_every_table_of_a_case_is_an_input() -> None:
    for case in CASES:
        tables = {path.stem for path in case.glob("*.csv")} - {"expected"}
        assert tables <= set(FACTS[case.parent.name].arguments), case
        assert isinstance(read_text(case / "expected.csv"), pl.DataFrame)
