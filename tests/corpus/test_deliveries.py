"""What a night says of every delivery: which gates do not pass, and whether it is taken. One home, two nights."""

from collections.abc import Iterator

import pytest

from flows.io.embedded_server import Server
from flows.io.pull import complete
from flows.settings import load_settings
from tests.conftest import fresh_database
from tests.corpus.deliveries import DAY, MASTER, Delivered, delivered, describe, land, master_rows, text
from tests.shop import Shop

GATES = """
select
    case when subject ~ ' (case|master)' then split_part(subject, ' ', 2) else 'company' end,
    case when subject like 'fct%' then split_part(subject, ' ', 1) || ' ' else '' end || gate,
    status
from ops.gate_result
where status <> 'passed' and checked_at >= (select max(started_at) from ops.run)
"""
STATES = "select source, dataset, state, blocked_by from ops.extract where as_of = $1"


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A home in which every case has been delivered."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "bare" / "sql" / "sources").mkdir(parents=True)
    with fresh_database(server) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(complete, "QUIET_S", 0.0)
        settings = load_settings(
            home=folder / "home", warehouse_url=url, sources=(folder / "sources",), project_root=folder / "bare"
        )
        with Shop(settings) as shop:
            masters = dict(master_rows())
            describe(MASTER, list(masters), settings.sources[0])
            for dataset, rows in masters.items():
                land(settings, MASTER, dataset, text(dataset, rows), DAY)
            for case in delivered():
                case.land_earlier(settings)
            shop.good_night()
            with shop.warehouse.session() as session:  # what speaks for earlier weeks landed then
                session.execute("update ops.extract set landed_at = as_of where as_of < $1", DAY)
                session.commit()
            for case in delivered():
                case.land(settings)
            shop.night()
            yield shop


@pytest.fixture(scope="module")
def said(shop: Shop) -> dict[str, dict[str, str]]:
    """The gates that did not pass, by source."""
    found: dict[str, dict[str, str]] = {case.source: {} for case in delivered()}
    for source, gate, status in shop.fetch(GATES):
        found.setdefault(source, {})[gate] = status
    return found


@pytest.mark.parametrize("case", delivered(), ids=lambda case: case.name)
def test_every_delivery_meets_its_fate(case: Delivered, shop: Shop, said: dict[str, dict[str, str]]) -> None:
    with shop.warehouse.session() as session:
        rows = session.fetch(STATES, DAY).rows()
    states = {(source, dataset): (state, why) for source, dataset, state, why in rows}
    state, why = states[case.source, case.dataset]
    assert said[case.source] == case.gates, why
    assert state == case.state, why
    assert case.says_of_it in (why or "")


def test_nothing_else_is_said(said: dict[str, dict[str, str]]) -> None:
    assert {source for source, gates in said.items() if gates} <= {"company", *(case.source for case in delivered())}
    # The fact of budget and actuals has no source of its own: a currency without a rate, an account that is new.
    assert said["company"] == {
        "fct_budget_actual every_line_has_a_rate": "warned",
        "fct_budget_actual account_id_known": "warned",
    }
