"""The cards that come along: all good, complete, ten of them headlines, each in the catalogue of docs/metrics.md."""

import csv

import samples
from flows.io.metric_files import OWN, load
from tests.contracts.metric_catalogue import PAGE, catalogue


def test_every_card_is_good_and_complete(tmp_path) -> None:
    loaded = load(tmp_path)
    assert loaded.errors == ()
    cards = [one.card for one in loaded.cards]
    assert len(cards) >= 24
    assert sorted(card.headline for card in cards if card.headline) == list(range(1, 11))
    for card in cards:
        assert {card.numerator.time, *(component.time for component in card.components)} <= {"sum", "last", "average"}
        low, high = card.range
        assert low is None or high is None or low < high
        if card.unit == "%":
            assert card.scale == 100


def test_the_page_lists_every_card_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(catalogue()), "do: make catalogue"


def test_the_sample_companys_targets_are_good_and_cover_the_headlines(tmp_path) -> None:
    (tmp_path / OWN).mkdir()
    (tmp_path / OWN / "targets.csv").write_bytes(samples.TARGETS.read_bytes())
    loaded = load(tmp_path)
    assert loaded.errors == ()
    with samples.TARGETS.open() as lines:
        aimed = {line["metric"] for line in csv.DictReader(lines) if line["scope"] == "company"}
    assert aimed == {one.card.metric for one in loaded.cards if one.card.headline}
