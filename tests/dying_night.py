"""Nights and backfills in processes of their own, which may be killed: at a chosen point, or at any time.

The processes come from a server that has imported everything: a night in a new interpreter would be mostly imports.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any, NamedTuple

from flows import pipeline
from flows.io import accept, build, lake, metric_cards, metrics, publish, stage, tables, take
from flows.io.pull import store
from flows.io.span import Span
from flows.pipeline import Pipeline
from flows.settings import load_settings
from schemas.catalog import FACTS
from tests.night import run_night, run_replay, run_span
from tests.shop import Shop

LIMIT_S = 240


class Point(NamedTuple):
    """What is replaced, whether it does its work before the end comes, and whether it must be about a fact."""

    owner: object
    name: str
    works_first: bool = True
    is_of_fact: bool = False


POINTS: dict[str, Point] = {
    "1 pull: bytes landed, not noted": Point(store.Store, "adopt"),
    "1 pull: noted, not registered": Point(Pipeline, "_register", works_first=False),
    "2 stage: registered, not staged": Point(take, "stage", works_first=False),
    "2 stage: rows written, not counted": Point(stage, "_run"),
    "3 gate: judged, not accepted": Point(take, "accept", works_first=False),
    "4 accept: lake files written, not committed": Point(lake.Lake, "_write_files"),
    "4 accept: lake appended, ledger not begun": Point(lake.Lake, "append"),
    "4 accept: ledger written, not committed": Point(accept.ledger, "record_accepted"),
    "4 accept: committed, nothing built": Point(take, "accept"),
    "5 build: built, not judged": Point(build.FactBuilder, "build"),
    "6 publish: rows deleted, none copied": Point(publish, "_delete", is_of_fact=True),
    "6 publish: metrics of a date column written, not of the others": Point(metrics, "_write"),
    "6 publish: rows copied, not committed": Point(publish, "_record", is_of_fact=True),
    "6 publish: a fact committed, the others not": Point(tables, "publish", is_of_fact=True),
    "7 close: all published, the run not ended": Point(Pipeline, "close"),
    "8 cards: tried, not taken": Point(metric_cards, "_take_cards", works_first=False),
}
"""By the step that is being taken."""


def _deadly(point: Point) -> Callable[..., Any]:
    function = getattr(point.owner, point.name)

    def die(*arguments: Any, **named: Any) -> Any:
        targets = [argument.name for argument in arguments if isinstance(argument, publish.Target)]
        if point.is_of_fact and not FACTS.keys() & targets:
            return function(*arguments, **named)
        if point.works_first:
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed and alive")

    return die


def _night(values: dict[str, Any], point: str | None) -> None:
    if point is not None:
        setattr(POINTS[point].owner, POINTS[point].name, _deadly(POINTS[point]))
    run_night(load_settings(**values | {"sources": tuple(values["sources"])}))


def _replay(values: dict[str, Any], point: str) -> None:
    setattr(POINTS[point].owner, POINTS[point].name, _deadly(POINTS[point]))
    run_replay(load_settings(**values | {"sources": tuple(values["sources"])}))


def _rebuilds(values: dict[str, Any], times: int) -> None:
    with pipeline.open(load_settings(**values | {"sources": tuple(values["sources"])})) as pipe:
        for number, fact in enumerate([*FACTS] * times):
            pipe.mark(Span.always(fact), f"rebuild {number}", everything=True)
            pipe.build(fact)


def _backfill(values: dict[str, Any], span: Span, chunks: int) -> None:
    """Of one row a chunk; the end comes when so many have been published."""
    build.CHUNK_ROWS = 1
    record, left = publish._record, chunks

    def record_or_die(*arguments: Any) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        record(*arguments)

    publish._record = record_or_die
    run_span(load_settings(**values | {"sources": tuple(values["sources"])}), span, everything=True)


def night_beside(shop: Shop, point: str | None = None) -> ForkServerProcess:
    """Begin a night in a process of its own, which ends by SIGKILL at a point, if one is given."""
    return _beside(_night, shop.as_values(), point)


def replay_beside(shop: Shop, point: str) -> ForkServerProcess:
    """Begin a replay of all that is held in a process of its own, which ends by SIGKILL at a point."""
    return _beside(_replay, shop.as_values(), point)


def rebuilds_beside(shop: Shop, times: int) -> ForkServerProcess:
    """Build every slice there is again, so many times, in a process of its own."""
    return _beside(_rebuilds, shop.as_values(), times)


def backfill_beside(shop: Shop, span: Span, chunks: int) -> ForkServerProcess:
    """Begin a backfill of all that a span has, in a process of its own, which ends by SIGKILL after so many chunks."""
    return _beside(_backfill, shop.as_values(), span, chunks)


def _beside(work: Callable[..., None], *arguments: object) -> ForkServerProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "great_expectations"])
    process = context.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def ended(process: ForkServerProcess) -> int | None:
    """Wait for the end of a night: 0, or minus the signal that ended it; None if it goes on for ever."""
    process.join(LIMIT_S)
    return process.exitcode
