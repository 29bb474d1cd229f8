"""What a person sees: progress while a run goes on, the table at its end, and errors. Imports only rich."""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.report import RunReport, first_line
from schemas.errors import OpsmartError

if TYPE_CHECKING:
    from flows.io.take import TakenExtract

PIPE_WIDTH = 180
"""Columns of output that is not a terminal: nothing is cut there."""

PIPE_MOMENT_S = 30.0
"""At least so long apart are two lines about one step's progress where nobody watches."""


class _Steady(Console):
    """A console whose reader may go away: `opsmart nightly | head` must not end the night."""

    def on_broken_pipe(self) -> None:
        """Says the rest to nobody."""
        self.quiet = True
        # what is still buffered is flushed when the process ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def _console(*, stderr: bool) -> Console:
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return _Steady(stderr=stderr, highlight=False, soft_wrap=True, width=None if is_terminal else PIPE_WIDTH)


out, err = _console(stderr=False), _console(stderr=True)


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach what a run filled: shown at its end."""

    warehouse: Mapping[str, str]
    prefect: Mapping[str, str]


class PlainReporter:
    """One line per finished item: for logs, pipes and cron mails. `report` is the record of the run once it is over."""

    report: RunReport | None = None
    _told = 0.0

    def step(self, title: str, total: int) -> None:
        """A step begins."""
        self._told = time.monotonic()
        if total:
            out.print(f"{title}: {total}", markup=False)

    def begin(self, item: str) -> None:
        """Nothing: the end says enough."""

    def done(self, item: str, outcome: str) -> None:
        """An item is done."""
        out.print(f"  {item}: {outcome}", markup=False)

    def failed(self, item: str, reason: str) -> None:
        """An item is missing."""
        out.print(f"  {item}: MISSING: {reason}", markup=False)

    def say(self, text: str) -> None:
        """A remark."""
        out.print(text, markup=False)

    def advance(self, share: float, text: str) -> None:
        """How far it is, now and then."""
        if time.monotonic() - self._told >= PIPE_MOMENT_S:
            self._told = time.monotonic()
            out.print(f"  {text}", markup=False)

    def finish(self, report: RunReport) -> None:
        """Keeps the record: the summary follows."""
        self.report = report


class LiveReporter:
    """Progress bars on a terminal; each finished item leaves a line above them. `report` as in PlainReporter."""

    report: RunReport | None = None

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[now]}"),
            console=out,
            transient=True,
        )
        self._bar = self._progress.add_task("Starting", total=None, now="")

    def __enter__(self) -> "LiveReporter":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, title: str, total: int) -> None:
        """A step begins: its bar takes the place of the last one's."""
        self._progress.remove_task(self._bar)
        self._bar = self._progress.add_task(title, total=total, now="")

    def begin(self, item: str) -> None:
        """Shows what is being worked on."""
        self._progress.update(self._bar, now=item)

    def done(self, item: str, outcome: str) -> None:
        """An item is done."""
        self._line("[green]✓[/]", item, outcome)

    def failed(self, item: str, reason: str) -> None:
        """An item is missing."""
        self._line("[red]✗[/]", item, reason)

    def say(self, text: str) -> None:
        """A remark above the bars."""
        self._progress.console.print(text, markup=False)

    def advance(self, share: float, text: str) -> None:
        """How far it is, beside the bar."""
        self._progress.update(self._bar, now=text)

    def finish(self, report: RunReport) -> None:
        """Takes the bars away and keeps the record."""
        self.report = report
        self._progress.stop()

    def _line(self, mark: str, item: str, text: str) -> None:
        self._progress.console.print(f"{mark} {escape(item):<34} [dim]{escape(text)}[/]")
        self._progress.advance(self._bar)


@contextmanager
def reporter() -> Iterator[PlainReporter | LiveReporter]:
    """The reporter that suits standard output."""
    if not out.is_terminal:
        yield PlainReporter()
        return
    with LiveReporter() as live:
        yield live


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Shows that something takes a moment; nothing where nobody watches."""
    if not out.is_terminal:
        yield
        return
    with out.status(text):
        yield


def show_summary(report: RunReport, seconds: float, access: Access | None, scorecard: Table | None = None) -> None:
    """The end of a run: what came, what was published, what is missing, how it goes, where to look at it if given."""
    _show_tables(report, seconds)
    for note in report.notes:
        out.print(f"[yellow]Note:[/] {escape(note)}")
    for problem in report.problems:
        out.print(f"[red]Missing:[/] {escape(problem.subject)}: {escape(first_line(problem.message))}")
        for line in problem.message.strip().splitlines()[1:]:
            out.print(f"  {line}", markup=False)
    if scorecard:
        out.print()
        out.print(scorecard)
    if access:
        out.print()
        show_access(access)
    if not report.is_empty:
        state = "[red]Partial[/]" if report.is_partial else "[green]Done[/]"
        steps = {"start": seconds - sum(report.step_seconds.values())} | report.step_seconds
        shown = ", ".join(f"{step.lower()} {spent:.1f}" for step, spent in steps.items())
        out.print()
        out.print(f"{state} in {seconds:.1f} s [dim]({shown})[/]")


def _show_tables(report: RunReport, seconds: float) -> None:
    if report.is_empty:
        out.print(f"[green]{report.sentence()}[/] [dim]({seconds:.1f} s)[/]")
    if report.taken:
        out.print(_taken_table(report.taken), "")
    if report.built:
        out.print(_built_table(report), "")
    if report.pulls:
        out.print(_pulls_table(report), "")
    if report.planned:
        out.print(_planned_table(report), "")
    if report.pulls or report.planned:
        out.print(report.sentence())
    if report.taken or report.built:
        gates = report.gates
        out.print(f"Gates: {gates.passed} passed, {gates.warned} warned, {gates.failed} failed")
    if report.cards:
        out.print(f"Cards: {report.cards}")


def show_access(access: Access) -> None:
    """How to connect a BI tool, and where Prefect's UI is."""
    out.print(_access_table(access))


def _taken_table(taken: "Sequence[TakenExtract]") -> Table:
    """Rows per source and dataset, all slots of a night added up."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 7)
    for extract in taken:
        blocked = int(extract.state == "blocked")
        counts = (1, blocked, extract.rows_in, extract.rows_accepted, extract.rows_quarantined,
                  extract.rows_duplicate, extract.rows_excluded)  # fmt: skip
        key = extract.source, extract.dataset
        sums[key] = [old + new for old, new in zip(sums[key], counts, strict=True)]
    titles = ("extracts", "blocked", "rows in", "accepted", "quarantined", "duplicate", "excluded")
    # a column without a number only makes the others narrow, and so would one for the source
    shown = [place for place in range(len(titles)) if any(counts[place] for counts in sums.values())]
    rows: list[tuple[str, ...]] = []
    for source, datasets in groupby(sorted(sums.items()), key=lambda entry: entry[0][0]):
        rows.append((source, *("" for _ in shown)))
        rows += [(f"  {key[1]}", *(_number(counts[place]) for place in shown)) for key, counts in datasets]
    return table("Extracts taken", ("dataset", *(titles[place] for place in shown)), rows, numbers_from=1)


def _built_table(report: RunReport) -> Table:
    rows = [
        (built.table, _number(built.slices), _number(built.rows_added), _number(built.rows_removed),
         _number(built.rows_unchanged))
        for built in report.built
    ]  # fmt: skip
    return table("Published", ("table", "slices", "rows written", "rows removed", "unchanged"), rows, numbers_from=1)


def _pulls_table(report: RunReport) -> Table:
    rows = [
        (pull.source, pull.dataset, pull.first, pull.last, f"{pull.deliveries:,}", f"{pull.size_mb:,.1f}")
        for pull in report.pulls
    ]
    return table("Would be pulled", ("source", "dataset", "first", "last", "extracts", "MB"), rows, numbers_from=4)


def _planned_table(report: RunReport) -> Table:
    titles = ("slices", "missing", "stale", "waiting", "rows added", "rows removed", "rows changed", "unchanged")
    rows = [(name, *map(_number, numbers)) for name, *numbers in map(astuple, report.planned)]
    return table("Would be built", ("table", *titles), rows, numbers_from=1)


def _access_table(access: Access) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    for title, entries in (("Connect a BI tool", access.warehouse), ("Prefect UI", access.prefect)):
        for number, (name, value) in enumerate(entries.items()):
            grid.add_row(title if number == 0 else "", f"{name:<10} {escape(value)}")
    return grid


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    numbers_from: int = 99,
    numbers_to: int = 99,
) -> Table:
    """A table for the terminal; columns from `numbers_from` to `numbers_to` are numbers. Only a rich Text is styled."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, column in enumerate(columns):
        is_number = numbers_from <= position <= numbers_to
        made.add_column(column, justify="right" if is_number else "left", header_style="dim")
    for row in rows:
        made.add_row(*(value if isinstance(value, Text) else _cell(value) for value in row))
    return made


def _cell(value: object) -> str:
    return "" if value is None else escape(str(value))


def show_error(error: OpsmartError) -> None:
    """What happened, where, and what to do."""
    err.print(f"[bold red]Error:[/] {escape(error.what)}")
    if error.where:
        err.print(f"  where: {error.where}", markup=False)
    if error.remedy:
        err.print(f"  do: {error.remedy}", markup=False)


def print_json(value: object) -> None:
    """Machine-readable output: JSON on standard output, dates as ISO 8601."""
    import json

    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def print_line(text: str) -> None:
    """Output for other programs: as it is, not wrapped, not coloured."""
    sys.stdout.write(text + "\n")


def _number(value: int) -> str:
    return f"{value:,}" if value else "·"
