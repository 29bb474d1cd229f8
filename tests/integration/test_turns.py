"""A server that restarts takes locks and transactions with it: turns are taken again or given up, steps done again."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from flows.io import closing, steady
from flows.io.turn import Turn
from flows.io.warehouse import Session, Warehouse
from flows.pipeline import Pipeline
from flows.report import RunReport
from flows.settings import Settings
from schemas.errors import TurnLostError, WarehouseError
from tests.shop import Shop

CUT = "select pg_terminate_backend(pg_backend_pid())"
HELD = "select count(*) from pg_locks where locktype = 'advisory' and granted"


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 40)))


@pytest.fixture
def turn(warehouse_url: str) -> Iterator[Turn]:
    with Turn(warehouse_url, "nights", lambda: None) as turn:
        yield turn


def _cut(warehouse: Warehouse, turn: Turn) -> None:
    """As a server that restarts does to whoever is connected."""
    pid = turn.session.value("select pg_backend_pid()")
    turn.session.commit()
    with warehouse.session() as session:
        assert session.value("select pg_terminate_backend($1::int, 5000)", pid)


def test_a_turn_that_was_lost_is_taken_again(warehouse: Warehouse, turn: Turn) -> None:
    turn.keep()
    _cut(warehouse, turn)
    turn.keep()
    with warehouse.session() as session:
        assert session.value(HELD) == 1
    turn.keep()


def test_a_turn_that_another_run_has_taken_is_given_up(warehouse_url: str, warehouse: Warehouse, turn: Turn) -> None:
    _cut(warehouse, turn)
    with Turn(warehouse_url, "nights", lambda: None), pytest.raises(TurnLostError):
        turn.keep()
    # It is free again, but what the run that gave up had to do is done.
    with warehouse.session() as session:
        assert session.value(HELD) == 0
    with pytest.raises(TurnLostError):
        turn.keep()


def test_a_turn_is_waited_for_although_the_server_goes_away(
    warehouse_url: str, warehouse: Warehouse, turn: Turn
) -> None:
    waiting, taken = threading.Event(), threading.Event()

    def wait() -> None:
        with Turn(warehouse_url, "nights", waiting.set):
            taken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    blocked = "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%advisory%'"
    with warehouse.session() as session:
        while not (pid := session.value(blocked)):
            session.commit()
        assert session.value("select pg_terminate_backend($1, 5000)", pid)
    assert not taken.wait(0.2)
    turn.__exit__(None, None, None)
    assert taken.wait(10)
    thread.join()


def test_a_step_cut_short_is_done_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.source(site="snapshot")
    shop.land("site", "2026-03-31", {})
    shop.good_night()
    shop.fetch("select 1")
    with shop.warehouse.session() as session:
        session.execute("delete from ops.business_date")
        session.commit()
    close, cuts = closing.close_business_dates, []

    def cut_once(session: Session, *given: object) -> None:
        close(session, *given)  # type: ignore[arg-type]
        if not cuts:
            cuts.append(1)
            session.execute(CUT)

    monkeypatch.setattr(closing, "close_business_dates", cut_once)
    report = RunReport("night")
    Pipeline(shop.settings, shop.warehouse).close(report)
    assert cuts
    assert report.problems == []
    assert dict(shop.fetch("select site, count(*) from ops.business_date group by site")) == {"": 1, "B": 1}


def test_a_run_stands_in_the_ledger_although_the_server_goes_away(
    settings: Settings, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, cuts = Session.execute, []

    def cut_once(session: Session, sql: str, *given: object) -> int:
        if "ops.run" in sql and sql not in cuts:
            cuts.append(sql)
            execute(session, CUT)
        return execute(session, sql, *given)

    monkeypatch.setattr(Session, "execute", cut_once)
    report = RunReport("night")
    with Pipeline(settings, warehouse).recorded("one", "night", {}, report):
        pass
    assert len(cuts) == 2
    with warehouse.session() as session:
        assert session.fetch("select state, ended_at <= $1 as is_over from ops.run", datetime.now(UTC)).rows() == [
            ("ok", True)
        ]


def test_what_does_not_pass_is_not_done_again(warehouse: Warehouse) -> None:
    tries = []

    @steady.steady
    def step() -> None:
        tries.append(1)
        with warehouse.session() as session:
            session.value("select 1")
            if len(tries) < 3:
                session.execute(CUT)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        step()
    assert len(tries) == 3

    @steady.steady
    def away() -> None:
        tries.append(1)
        with warehouse.session() as session:
            session.execute(CUT)

    with pytest.raises(WarehouseError):
        away()
    assert len(tries) == 3 + 1 + steady.RETRIES
