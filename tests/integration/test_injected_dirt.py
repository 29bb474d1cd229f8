"""Every kind of bad row that the simulator can write is quarantined for the reason it was spoiled, and no other is."""

from dataclasses import replace
from pathlib import Path

import pytest

import samples
from samples.company import Company, build
from samples.damage import kinds_of
from samples.faults import EVERY
from samples.plan import tiny_plan
from samples.systems import TABLES
from schemas.catalog import DATASETS
from schemas.errors import ExtractError
from tests.corpus.cases import rows_file, rows_files
from tests.corpus.staged import delivery, staged
from tests.sample_staging import Slot, sample_sources, slot_of, stage_all

LONG = replace(tiny_plan(2), days=9, master_every_days=1, p_revision=0.1, production_orders_per_day=12, suppliers=8)
"""Small tables are delivered so often that every kind of defect gets its turn."""

DAMAGE = 0.08
"""Share of deliveries that must be refused as a whole."""


def test_every_kind_of_defect_in_the_corpus_can_be_injected() -> None:
    by_dataset = {name.partition(".")[2]: {rule for fault in EVERY[name] for rule in fault.rules} for name in EVERY}
    assert set(by_dataset) == set(DATASETS)
    kinds = set()
    for name in rows_files():
        file = rows_file(name)
        broken = {rule for case in file.cases for rule in case.breaks}
        named = {rule for rule in broken if "|" not in rule and rule != "conflicting_versions"}
        assert named <= by_dataset[file.dataset], file.dataset
        kinds |= {rule.partition("|")[2] or rule for rule in broken}
    assert kinds <= {rule.partition("|")[2] or rule for rules in by_dataset.values() for rule in rules}


def test_the_quarantine_is_what_was_injected(tmp_path: Path) -> None:
    seen = injected_and_found(build(LONG), 0.9, tmp_path)
    assert seen == {(name.partition(".")[2], fault.rules, fault.cell) for name in EVERY for fault in EVERY[name]}


@pytest.mark.parametrize("name", TABLES)
def test_every_kind_of_damage_is_refused(name: str, tmp_path: Path) -> None:
    source = sample_sources()[name.partition(".")[0]]
    first = next(one for one in samples.tiny(2).deliveries(dirt=0.0) if one.name == name)
    for kind in kinds_of(next(iter(TABLES[name].values())).dialect):
        files = replace(first, damage=kind).write(tmp_path / kind)
        contents = {table: [file.read_bytes()] for table, file in zip(TABLES[name], files, strict=True)}
        with pytest.raises(ExtractError, match="do: "):
            staged(source, delivery(source, first.dataset, contents, tmp_path), tmp_path / "work" / kind)


def injected_and_found(company: Company, rate: float, home: Path) -> set[tuple[str, tuple[str, ...], str]]:
    """Compare row by row and count by count; which kinds of faults there were, by dataset, rules and cells."""
    deliveries = company.deliveries(dirt=rate, every_kind=True, damage=DAMAGE)
    refused: set[Slot] = set()
    found = stage_all(deliveries, sample_sources(), home, refused)
    by_slot = {slot_of(one): one for one in deliveries if not one.damage}
    assert refused == {slot_of(one) for one in deliveries if one.damage}
    assert len(refused) == company.expected_refusals(deliveries).height
    assert set(found) == set(by_slot)
    expected = company.expected_quarantine(deliveries)
    seen = set()
    for slot, one in by_slot.items():
        names = ("source", "dataset", "as_of", "period", "revision")
        want = expected.filter(**{name: getattr(one, name) for name in names})
        have = found[slot].quarantined
        assert sorted(have.select("row_no", "rule").rows()) == sorted(want.select("row", "rule").rows()), slot
        rules: dict[tuple[int, str], list[str]] = {}
        for row, rule, cell in want.select("row", "rule", "cell").iter_rows():
            rules.setdefault((row, cell), []).append(rule)
        seen |= {(one.dataset, tuple(broken), cell) for (_, cell), broken in rules.items()}
    for row in company.expected_balance(deliveries).iter_rows(named=True):
        (slot,) = (
            slot
            for slot, one in by_slot.items()
            if (one.source, one.dataset, one.as_of, one.period, one.revision)
            == (row["source"], row["dataset"], row["as_of"], row["period"], row["revision"])
        )
        assert found[slot].counts == {name: row[name] for name in found[slot].counts}, slot
    return seen


@pytest.mark.soak
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("seed", range(100, 120))
def test_any_rate_of_any_company(seed: int, rate: float, tmp_path: Path) -> None:
    injected_and_found(samples.tiny(seed), rate, tmp_path)
