"""Telling whoever watches how far a run is: a terminal, a log file, or Prefect's log, behind one small interface."""

from collections.abc import Iterator
from contextlib import contextmanager
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
