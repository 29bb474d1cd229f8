"""The catalogue hangs together: every table has its contract, function, inputs and descriptions."""

import importlib
import inspect
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from schemas.catalog import DATASETS, DIMENSIONS, FACTS
from schemas.contract import Contract
from schemas.datasets.code_map import CONFORMED_ENTITIES as MAPPABLE
from schemas.registry import CONFORMED_ENTITIES, Closing, Dimension, Driving, Fact, Linked, LookBack, Reference, Whole
from tests.golden.frames import dataset_frame
from transforms.common.currency import RATE_LOOK_BACK

TABLES = {**DATASETS, **FACTS, **DIMENSIONS}
PUBLISHING = {"row_key", "row_hash", "extract_id", "published_at"}
SPECIAL_INPUTS = {"code_span", "coverage"}


def _function(table: Fact | Dimension) -> Callable[..., Any]:
    folder = table.domain if isinstance(table, Fact) else "dimensions"
    return getattr(importlib.import_module(f"transforms.{folder}.{table.name}"), table.name)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_a_key_and_describes_every_column(name: str) -> None:
    table = TABLES[name]
    assert table.name == name
    assert re.fullmatch("[a-z][a-z0-9_]*", name)
    assert table.contract.__doc__
    assert table.contract.key()
    for column, definition in table.contract.columns().items():
        assert definition.description, column
        assert re.fullmatch("[a-z][a-z0-9_]*", column)
        if isinstance(definition, dy.Bool):
            assert column.startswith(("is_", "has_"))


@pytest.mark.parametrize("name", DATASETS)
def test_datasets_are_dated_and_linked_by_their_own_columns(name: str) -> None:
    dataset = DATASETS[name]
    columns = dataset.contract.columns()
    if dataset.dated_by:
        assert columns[dataset.dated_by].dtype.is_temporal()
        assert not columns[dataset.dated_by].nullable
    for column in dataset.link.columns if dataset.link else ():
        assert isinstance(columns[column], dy.String)
    for column in dataset.contract.key():
        assert not columns[column].nullable


def test_linked_datasets_share_their_document() -> None:
    for fact in FACTS.values():
        datasets = [DATASETS[name] for name, way in fact.inputs.items() if isinstance(way, Linked)]
        datasets += [DATASETS[name] for name in fact.driving if datasets]
        assert len({dataset.link.entity for dataset in datasets}) <= 1
        assert len({len(dataset.link.columns) for dataset in datasets}) <= 1


@pytest.mark.parametrize("name", FACTS)
def test_facts_have_a_function_of_their_inputs(name: str) -> None:
    fact = FACTS[name]
    parameters = set(inspect.signature(_function(fact)).parameters)
    assert parameters - {"reporting_currency"} == set(fact.arguments) <= set(fact.inputs) <= set(DATASETS)
    assert fact.driving
    assert isinstance(fact.contract.columns()[fact.anchor], dy.Date)
    assert not fact.contract.columns()[fact.anchor].nullable
    assert {"Grain", "Natural key", "Anchor"} <= set(re.findall("Grain|Natural key|Anchor", _page(fact)))
    for way in fact.inputs.values():
        assert isinstance(way, Driving | Linked | Reference | LookBack | Whole | Closing)
        if isinstance(way, LookBack):
            assert way.days == RATE_LOOK_BACK.days


@pytest.mark.parametrize("name", FACTS)
def test_references_are_to_codes_that_the_rows_carry(name: str) -> None:
    """A touch must find the days that use a code: on the driving rows or on rows linked to them."""
    fact = FACTS[name]
    reached = [n for n, way in fact.inputs.items() if isinstance(way, Driving | Linked)]
    carried = {entity for n in reached for entity in DATASETS[n].coded_columns().values()}
    for input_, way in fact.inputs.items():
        if isinstance(way, Reference):
            assert way.entity is None or way.entity in carried, input_
        if isinstance(way, Reference | Whole):
            assert {way.valid_from, *way.columns} - {None} <= set(DATASETS[input_].contract.columns())


@pytest.mark.parametrize("name", {**FACTS, **DIMENSIONS})
def test_keys_point_to_dimensions_and_stand_beside_ids(name: str) -> None:
    contract = {**FACTS, **DIMENSIONS}[name].contract
    for column, dimension in contract.marked("dimension").items():
        assert dimension in DIMENSIONS
        if name in FACTS:
            assert column.removesuffix("_key") + "_id" in contract.columns()


@pytest.mark.parametrize("name", {**FACTS, **DIMENSIONS})
def test_functions_return_their_contract(name: str) -> None:
    table = {**FACTS, **DIMENSIONS}[name]
    function = _function(table)
    options = {"reporting_currency": "USD", "first": date(2024, 1, 1), "last": date(2024, 12, 31)}
    options = {key: value for key, value in options.items() if key in inspect.signature(function).parameters}
    inputs = table.arguments if isinstance(table, Fact) else table.inputs
    schema = function(**{name_: _empty(name_) for name_ in inputs}, **options).collect_schema()
    expected = {column: dtype for column, dtype in table.contract.dtypes().items() if column not in PUBLISHING}
    if isinstance(table, Fact):
        expected |= {"_extract_id": pl.Int64()}
    assert dict(schema) == expected


def test_dimensions_have_inputs_that_exist() -> None:
    for dimension in DIMENSIONS.values():
        assert set(dimension.inputs) <= set(DATASETS) | SPECIAL_INPUTS
        assert set(inspect.signature(_function(dimension)).parameters) - {"first", "last"} == set(dimension.inputs)
        if dimension.history:
            assert DATASETS[dimension.inputs[0]].keeps_history
            assert {"valid_from", "valid_to"} <= set(dimension.contract.columns())
    assert {dimension.entity for dimension in DIMENSIONS.values()} - {None} == CONFORMED_ENTITIES
    assert set(MAPPABLE) >= CONFORMED_ENTITIES


def test_measures_say_how_they_add_up() -> None:
    for fact in FACTS.values():
        for column, definition in fact.contract.columns().items():
            if isinstance(definition, dy.Decimal) or column.endswith("_count"):
                assert (definition.metadata or {}).get("additive") in ("yes", "semi", "no"), (fact.name, column)
            if column.endswith(("_amount", "_amount_functional", "_amount_reporting")):
                assert (definition.metadata or {}).get("money"), (fact.name, column)


def _page(fact: Fact) -> str:
    return inspect.getdoc(inspect.getmodule(fact.contract)) or ""


def _empty(name: str) -> pl.LazyFrame:
    if name == "code_span":
        return pl.LazyFrame(schema=dict.fromkeys(("entity", "code_space", "code"), pl.String))
    if name == "coverage":
        return pl.LazyFrame(schema={"source": pl.String, "_order_at": pl.Datetime("us", "UTC")})
    return dataset_frame(name, Path("no such file"))


def test_contracts_are_contracts() -> None:
    for table in TABLES.values():
        assert issubclass(table.contract, Contract)


@pytest.mark.parametrize("fact", [fact for fact in FACTS.values() if fact.is_by_row], ids=lambda fact: fact.name)
def test_the_key_of_a_fact_is_its_driving_rows(fact: Fact) -> None:
    """Publishing finds the fact row of a driving row by its key: source, the dataset's key in order, the anchor."""
    dataset = DATASETS[fact.driving[0]].contract
    types, source = fact.contract.dtypes(), dataset.dtypes()
    key = fact.contract.key()
    assert key[0] == "source"
    of_dataset, beside = key[1 : 1 + len(dataset.key())], key[1 + len(dataset.key()) :]
    assert [types[name] for name in of_dataset] == [source[name] for name in dataset.key()]
    assert beside[:1] in ((), (fact.anchor,))
