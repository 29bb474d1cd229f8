"""Telling whoever watches how far a run is: a terminal, a log file, or Prefect's log, behind one small interface."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from flows.report import RunReport


class Reporter(Protocol):
    """Follows a run. Called from several threads."""

    def step(self, title: str, total: int) -> None:
        """A step of `total` items begins."""

    def begin(self, item: str) -> None:
        """Work on an item begins."""

    def done(self, item: str, outcome: str) -> None:
        """Work on an item ended, and how."""

    def failed(self, item: str, reason: str) -> None:
        """An item is missing after this run."""

    def say(self, text: str) -> None:
        """Something worth knowing while it goes on."""

    def advance(self, share: float, text: str) -> None:
        """A step that takes long is so far: its share from 0 to 1, and in words."""

    def finish(self, report: RunReport) -> None:
        """The run is over."""


class LogReporter:
    """Writes to the log of the Prefect run that is going on; what deployed runs use."""

    def step(self, title: str, total: int) -> None:
        """A step begins."""
        self._log("info", f"{title}: {total}")

    def begin(self, item: str) -> None:
        """Nothing: the end says enough."""

    def done(self, item: str, outcome: str) -> None:
        """An item is done."""
        self._log("info", f"{item}: {outcome}")

    def failed(self, item: str, reason: str) -> None:
        """An item is missing."""
        self._log("error", f"{item}: {reason}")

    def say(self, text: str) -> None:
        """A remark."""
        self._log("info", text)

    def advance(self, share: float, text: str) -> None:
        """How far it is."""
        self._log("info", text)

    def finish(self, report: RunReport) -> None:
        """The whole run in one line."""
        self._log("error" if report.is_partial else "info", report.sentence())

    @staticmethod
    def _log(level: str, text: str) -> None:
        from prefect.logging import get_run_logger

        getattr(get_run_logger(), level)(text)


_current: list[Reporter] = []


def current() -> Reporter:
    """Who follows this process's run; Prefect's log where nobody else asked."""
    return _current[-1] if _current else LogReporter()


@contextmanager
def followed_by(reporter: Reporter) -> Iterator[None]:
    """Has `reporter` follow the runs of this process."""
    _current.append(reporter)
    try:
        yield
    finally:
        _current.remove(reporter)


MOMENT_S = 5.0
"""At least so long apart are two messages of a meter, and what takes no longer has none."""


class Meter:
    """How far a step is that takes long: parts and rows done, and the time left, told now and then. Thread-safe."""

    def __init__(
        self, title: str, parts: int, weight: int, tell: Callable[[float, str], None],
        clock: Callable[[], float] = time.monotonic, noun: str = "chunks",
    ) -> None:  # fmt: skip
        """`weight` is what the time follows: rows, bytes; `tell` gets the share done, and how far that is in words.

        `noun` is what the parts are.
        """
        self._title, self._noun, self._parts, self._weight = title, noun, parts, weight
        self._tell, self._clock = tell, clock
        self._done = self._rows = self._moved = 0
        self._began = self._told = clock()
        self._lock = Lock()

    def advance(self, weight: int, rows: int) -> None:
        """One part of some weight is done, and with it so many rows."""
        with self._lock:
            self._done, self._moved, self._rows = self._done + 1, self._moved + weight, self._rows + rows
            now = self._clock()
            if now - self._told >= MOMENT_S:
                self._told = now
                self._tell(self.share, self.text)

    @property
    def share(self) -> float:
        """What is done, from 0 to 1. Work that came up meanwhile never makes it more than 1."""
        return min(1.0, self._moved / self._weight) if self._weight else 1.0

    @property
    def text(self) -> str:
        """How far it is, in words."""
        parts = f"{self._title}: {self._done:,} of {max(self._parts, self._done):,} {self._noun}, {self._rows:,} rows"
        if not self.share:
            return parts
        left_s = round((self._clock() - self._began) * (1 - self.share) / self.share)
        return f"{parts}, {left_s // 3600}:{left_s // 60 % 60:02d}:{left_s % 60:02d} left"
