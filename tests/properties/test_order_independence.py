"""The mart is a function of the set of accepted extracts: any order, any repetition, any grouping into runs."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.catalog import DIMENSIONS, FACTS
from tests.properties.extracts import Mart, arranged, some_extracts
from tests.shop import same_mart

SETS, ARRANGEMENTS = 25, 8
"""Each arrangement is an example: 200 in all."""
WITH_DIMENSIONS = 0.15
"""Dimensions take twice as long as the rest, and most extracts only name members in them."""


def try_arrangements(mart: Mart, seed: int) -> None:
    random = Random(seed)
    extracts = some_extracts(random)
    tables = (DIMENSIONS, FACTS) if random.random() < WITH_DIMENSIONS else (FACTS,)
    undisturbed = mart.run([extracts], tables)
    for _ in range(ARRANGEMENTS):
        runs = arranged(random, extracts)
        try:
            same_mart(mart.run(runs, tables), undisturbed)
        except AssertionError as error:
            said = "; ".join(", ".join(f"{e.dataset} {e.slot} r{e.revision}" for e in run) for run in runs)
            raise AssertionError(f"arrived as {said}: {error}") from None


@pytest.mark.timeout(900)
@settings(max_examples=SETS, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_any_arrangement_of_extracts_makes_the_same_mart(mart: Mart, seed: int) -> None:
    try_arrangements(mart, seed)


@pytest.mark.soak
@pytest.mark.parametrize("hundred", range(10))
def test_thousands_of_arrangements_make_the_same_mart(mart: Mart, hundred: int) -> None:
    for seed in range(hundred * 100, hundred * 100 + 100):
        try_arrangements(mart, seed)
