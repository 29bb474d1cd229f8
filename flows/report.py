"""What a run did, gathered while it goes: one record for the terminal's table, Prefect's artifact and the exit code."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from threading import Lock
from typing import TYPE_CHECKING

from schemas.errors import OpsmartError

if TYPE_CHECKING:
    from flows.io.take import TakenExtract


class ExitCode(IntEnum):
    """How every command ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3


class UsageError(OpsmartError):
    """The command was given something that cannot be meant; exit code 2."""


@dataclass(frozen=True, slots=True)
class BuiltTable:
    """One fact or dimension whose dirty slices were rebuilt and published; rows count what was written."""

    table: str
    slices: int
    rows_added: int = 0
    rows_removed: int = 0
    rows_unchanged: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Workload:
    """What a long step is to do: parts, and their weight in rows or bytes."""

    parts: int
    weight: int


@dataclass(frozen=True, slots=True)
class PlannedPull:
    """Deliveries of a dataset that a backfill would take: how many, the days they speak for, their size."""

    source: str
    dataset: str
    deliveries: int
    first: date
    last: date
    size_mb: float


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """Slices of a table that would be built, by what is wrong with them, and the rows that would change."""

    table: str
    slices: int
    missing: int
    stale: int
    waiting: int
    rows_added: int
    rows_removed: int
    rows_changed: int
    rows_unchanged: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is missing after the run: `subject` names the source, extract or table, `message` says why."""

    subject: str
    message: str


@dataclass(slots=True)
class Gates:
    """Gates passed, warned and failed."""

    passed: int = 0
    warned: int = 0
    failed: int = 0
    findings: list[tuple[str, str, str, str]] = field(default_factory=list)
    """gate, subject, status and what was found, of the first that did not pass."""


@dataclass
class RunReport:
    """The record of one run. Tasks of several threads add to it."""

    flow: str
    taken: "list[TakenExtract]" = field(default_factory=list)
    built: list[BuiltTable] = field(default_factory=list)
    pulls: list[PlannedPull] = field(default_factory=list)
    planned: list[PlannedTable] = field(default_factory=list)
    metrics: int = 0
    targets: int = 0
    """Metrics and targets that are new, changed or gone."""
    gates: Gates = field(default_factory=Gates)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    step_seconds: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add_taken(self, extracts: "Sequence[TakenExtract]") -> None:
        """Notes deliveries; one that is blocked or cannot be read is a problem."""
        with self._lock:
            self.taken.extend(extracts)
            for extract in extracts:
                if extract.state == "blocked":
                    subject = f"{extract.source} · {extract.dataset} · {extract.slot}"
                    self.problems.append(Problem(subject, extract.message or "blocked"))
                elif extract.message:
                    self.notes.append(f"{extract.source} · {extract.dataset} · {extract.slot}: {extract.message}")

    def add_built(self, built: BuiltTable) -> None:
        """Notes a published table."""
        with self._lock:
            self.built.append(built)

    def add_gates(self, passed: int, warned: int, failed: int) -> None:
        """Adds up what gates said."""
        with self._lock:
            self.gates.passed += passed
            self.gates.warned += warned
            self.gates.failed += failed

    def add_problem(self, subject: str, message: str) -> None:
        """Notes what is missing, and why."""
        with self._lock:
            self.problems.append(Problem(subject, message))

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Notes how many seconds a step takes, by the clock."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.step_seconds[step] = self.step_seconds.get(step, 0.0) + time.monotonic() - began

    @property
    def is_partial(self) -> bool:
        """Whether something is missing."""
        return bool(self.problems)

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to do."""
        is_more = self.metrics or self.targets or self.problems or self.notes
        return not (self.taken or self.built or self.pulls or self.planned or is_more)

    @property
    def cards(self) -> str:
        """Metrics and targets that were updated, in words; nothing where none were."""
        parts = [(self.metrics, "metric"), (self.targets, "target")]
        said = " and ".join(counted(number, noun) for number, noun in parts if number)
        return f"{said} updated" if said else ""

    @property
    def rows_written(self) -> int:
        """Rows added to and removed from the mart."""
        return sum(table.rows_added + table.rows_removed for table in self.built)

    @property
    def exit_code(self) -> ExitCode:
        """3 where something is missing, else 0."""
        return ExitCode.PARTIAL if self.is_partial else ExitCode.OK

    def sentence(self) -> str:
        """The run in one line, for Prefect's state and the log."""
        if self.is_empty:
            return "Nothing is new." if self.flow in ("nightly", "on-arrival") else "Nothing is to be done."
        if self.pulls or self.planned:
            extracts, slices = sum(pull.deliveries for pull in self.pulls), sum(table.slices for table in self.planned)
            return (
                f"Would take {counted(extracts, 'extract')} and build {counted(slices, 'slice')}; nothing was changed."
            )
        counts = f"{counted(len(self.taken), 'extract')} taken, {counted(len(self.built), 'table')} published"
        done = f"{counts}, {counted(self.rows_written, 'row')} written"
        if self.cards:
            done += f", {self.cards}"
        if not self.problems:
            return f"{done}."
        return f"{done}. Missing: " + "; ".join(f"{p.subject}: {first_line(p.message)}" for p in self.problems)


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 slice, 2 slices."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def first_line(text: str) -> str:
    """The first line of a message, which says what happened."""
    return text.strip().splitlines()[0] if text.strip() else ""
