"""Seconds and rows of each step of a night, measured around the program's own functions from outside.

Steps overlap (PostgreSQL accepts one delivery while the next is staged): their seconds add up to more than the night.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

StepOf = Callable[[tuple[Any, ...], dict[str, Any]], str | None]
RowsOf = Callable[[tuple[Any, ...], Any], int]


@dataclass(slots=True)
class Step:
    """What the calls of one step came to."""

    seconds: float = 0.0
    calls: int = 0
    rows: int = 0


@dataclass
class Steps:
    """The steps of one night, in the order in which they are listed."""

    steps: dict[str, Step] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _undo: list[Callable[[], None]] = field(default_factory=list, repr=False)

    def watch(self, owner: Any, name: str, step: str | StepOf, rows: RowsOf = lambda *_: 0) -> None:
        """Measure a function of a module or class; `rows` reads from its arguments and result how much it handled."""
        function = getattr(owner, name)
        if isinstance(step, str):
            self.steps.setdefault(step, Step())

        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            label = step if isinstance(step, str) else step(args, kwargs)
            began = time.perf_counter()
            result = function(*args, **kwargs)
            if label is not None:
                self._add(label, time.perf_counter() - began, rows(args, result))
            return result

        setattr(owner, name, measured)
        self._undo.append(lambda: setattr(owner, name, function))

    def _add(self, label: str, seconds: float, rows: int) -> None:
        with self._lock:
            step = self.steps.setdefault(label, Step())
            step.seconds += seconds
            step.calls += 1
            step.rows += rows

    def release(self) -> None:
        """Put the functions back."""
        while self._undo:
            self._undo.pop()()


@contextmanager
def watched() -> Iterator[Steps]:
    """Measure the steps of whatever night runs inside."""
    from flows import pipeline
    from flows.io import accept, build, gates, lake, metric_cards, metric_files, metrics, tables, take, warehouse

    steps = Steps()
    steps.watch(pipeline, "pull", "pull", lambda _, pulled: len(pulled.deliveries))
    steps.watch(take, "stage", "stage", lambda _, staged: staged.rows_in)
    steps.watch(gates, "judge_extract", "gate extracts", lambda args, _: args[3].rows_accepted)
    steps.watch(take, "accept", "accept", lambda args, _: args[3].row_count)
    steps.watch(lake.Lake, "append", "· lake", lambda _, count: count)
    steps.watch(warehouse.Session, "copy", _copy_step, lambda args, _: args[1].height)
    steps.watch(accept.dirty, "mark", "· dirty slices")
    steps.watch(tables.TableBuilder, "_build_dimension", "dimensions", lambda _, written: written.rows_added)
    steps.watch(build.FactBuilder, "__init__", "build")
    steps.watch(build.FactBuilder, "build", "build", lambda _, built: built[0].height)
    steps.watch(gates, "judge_slices", "gate slices", lambda args, _: args[1].height)
    steps.watch(tables, "publish", _publish_step, lambda _, written: written.rows_added)
    steps.watch(metrics.Components, "update", "metrics")
    steps.watch(metric_files, "load", "metrics")
    steps.watch(metric_cards, "take", "metrics")
    try:
        yield steps
    finally:
        steps.release()


def _copy_step(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    return f"· COPY to {kwargs['schema']}" if kwargs["schema"] != "mart" or args[2].startswith("fct_") else None


def _publish_step(args: tuple[Any, ...], _: dict[str, Any]) -> str | None:
    return "publish" if args[1].name.startswith("fct_") else None
