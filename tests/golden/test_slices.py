"""A slice holds the same rows whichever slices are built with it, from no more than the catalogue says it reads."""

import importlib
import inspect
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from schemas.catalog import FACTS
from schemas.registry import Driving, Fact, Linked, LookBack
from tests.golden.frames import dataset_frame
from tests.golden.test_golden import CASES


def _build(fact: Fact, inputs: dict[str, pl.LazyFrame]) -> pl.DataFrame:
    transform = getattr(importlib.import_module(f"transforms.{fact.domain}.{fact.name}"), fact.name)
    options = {"reporting_currency": "USD"} if "reporting_currency" in inspect.signature(transform).parameters else {}
    return transform(**inputs, **options).collect()


def _slice_of(fact: Fact) -> pl.Expr:
    return pl.col(fact.anchor).dt.truncate("1mo") if fact.grain == "month" else pl.col(fact.anchor)


def _read(fact: Fact, inputs: dict[str, pl.LazyFrame], day: date) -> dict[str, pl.LazyFrame]:
    """The inputs of one slice: what the registry's ways say, and nothing more."""
    last = (
        (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1) if fact.grain == "month" else day
    )
    read, links = {}, []
    for name in fact.arguments:
        way = fact.inputs[name]
        if isinstance(way, Driving):
            first, end = day - timedelta(days=way.before), last + timedelta(days=way.after)
            read[name] = inputs[name].filter(pl.col("_date").is_between(first, end)).collect().lazy()
            links.append(read[name].select("_link_hash"))
        elif isinstance(way, LookBack):
            read[name] = inputs[name].filter(pl.col("_date").is_between(day - timedelta(days=way.days), last))
        else:
            read[name] = inputs[name]
    for name, way in fact.inputs.items():
        if isinstance(way, Linked):
            read[name] = inputs[name].join(pl.concat(links).drop_nulls().unique(), on="_link_hash", how="semi")
    return read


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_slices_alone_equal_the_whole(case: Path) -> None:
    fact = FACTS[case.parent.name]
    zone = yaml.safe_load((case / "case.yaml").read_text()).get("source_zone", "UTC")
    inputs = {name: dataset_frame(name, case / f"{name}.csv", zone=zone) for name in fact.arguments}
    whole = _build(fact, inputs)
    anchors = whole.select(_slice_of(fact).unique().sort()).to_series().to_list()
    alone = [_build(fact, _read(fact, inputs, day)).filter(_slice_of(fact) == day) for day in anchors]
    key = list(fact.contract.key())
    assert_frame_equal(pl.concat(alone).sort(key), whole.sort(key))


@pytest.mark.parametrize(
    "case", [c for c in CASES if FACTS[c.parent.name].is_by_row], ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_rows_alone_equal_the_whole(case: Path) -> None:
    """A row depends on its driving row, on linked rows of its document and on references: not on rows beside it."""
    fact = FACTS[case.parent.name]
    zone = yaml.safe_load((case / "case.yaml").read_text()).get("source_zone", "UTC")
    inputs = {name: dataset_frame(name, case / f"{name}.csv", zone=zone) for name in fact.arguments}
    (driving,) = fact.driving
    alone = []
    for number in range(inputs[driving].collect().height):
        row = inputs[driving].slice(number, 1)
        of_document = {
            name: inputs[name].join(row, on="_link_hash", how="semi")
            for name, way in fact.inputs.items()
            if isinstance(way, Linked)
        }
        alone.append(_build(fact, inputs | of_document | {driving: row}))
    key = list(fact.contract.key())
    assert_frame_equal(pl.concat(alone).sort(key), _build(fact, inputs).sort(key))
