"""The model comes through every schedule, and each machine that breaks a rule is caught by one of them."""

import pytest

from tests.model.faults import FAULTS
from tests.model.machine import Machine
from tests.model.schedules import Run, survives
from tests.model.world import LINE, Landed, World
from tests.properties.deliveries import wide_deliveries
from tests.properties.pure_ledger import PureLedger

SCHEDULES = 4000
"""Some faults need three deliveries, two processes and a crash to meet in one way: they show in one of thousands."""


def test_the_rules_come_through_every_schedule() -> None:
    for seed in range(SCHEDULES):
        Run(Machine, seed).go()


@pytest.mark.parametrize("rule", FAULTS)
def test_a_machine_that_breaks_a_rule_is_caught(rule: str) -> None:
    assert not all(survives(FAULTS[rule], seed) for seed in range(SCHEDULES))


@pytest.mark.soak
def test_the_rules_come_through_a_million_schedules() -> None:
    for seed in range(SCHEDULES, 1_000_000):
        Run(Machine, seed).go()


@pytest.mark.parametrize("seed", range(8))
def test_the_model_joins_as_the_project_does(seed: int) -> None:
    """Versions, sightings and presence of many keys: the model's rules against those that accepting calls."""
    deliveries = wide_deliveries(seed, 6)
    machine, pure = Machine(World()), PureLedger()
    ranks = {given.order: number for number, given in enumerate(sorted(deliveries, key=lambda d: d.order), start=1)}
    for given in deliveries:
        landed = Landed(LINE, given)
        list(machine.merge(landed, machine.stage(landed), machine.world.keys[LINE]))
        pure.accept(given, deliveries)
    keys = machine.world.keys[LINE]
    for row in pure.state().iter_rows(named=True):
        known = keys[row["key_hash"]]
        version = None if known.order is None else (known.order[0], ranks[known.order[1:]])
        assert version == (None if row["v_rank"] is None else (row["v_at"], row["v_rank"]))
        assert (known.seen[0], ranks[known.seen[1:]]) == (row["s_at"], row["s_rank"])
        if known.payload is not None:
            day, quantity, _, is_deleted = known.payload
            assert row["payload_hash"] == day * 100 + is_deleted * 10 + quantity
    assert set(pure.present()) == {key for key, known in keys.items() if machine.is_present(LINE, known)}
    assert len(keys) == pure.state().height
