"""What arrives at a running `opsmart serve`: how long from a file's completion until its rows can be read in `mart`."""

import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import psycopg

import samples
from flows.io import embedded_server
from tests.benchmarks.home import BenchmarkError, Home, opened
from tests.benchmarks.report import Check, Report, Say

ROWS = 10_000
ALONE, AT_ONCE, COMPANY_DAYS = 20, 100, 30
ALONE_TARGET_S, AT_ONCE_TARGET_S = 5.0, 60.0
LIMIT_S = 900.0

Seconds = list[float]


def run(folder: Path, size: float, say: Say) -> Report:
    """Serve a home with a month of the sample company; drop files one by one, then many at once."""
    rows, alone, at_once = round(ROWS * size), max(3, round(ALONE * size)), max(3, round(AT_ONCE * size))
    days = max(3, round(COMPANY_DAYS * size))
    with opened(folder / "work" / "arrival") as home:
        samples.write_sample(home.settings.landing, days=days)
        say(f"serving {days} days of the sample company")
        with _served(home, folder / "work" / "arrival-serve.log"), closing(_Mart(home, rows)) as mart:
            mart.wait_for_first_run()
            say(f"{alone} files of {rows:,} rows, one after the other")
            one_by_one = [mart.drop(1)[0] for _ in range(alone)]
            say(f"{at_once} files of {rows:,} rows at once")
            together = mart.drop(at_once)
    report = Report("arrival", size, {"rows": rows, "alone_s": one_by_one, "at_once_s": together})
    report.check(Check("one file readable, median s", statistics.median(one_by_one), ALONE_TARGET_S))
    report.check(Check("one file readable, slowest s", max(one_by_one)))
    report.check(Check(f"the last of {at_once} at once readable, s", max(together), AT_ONCE_TARGET_S))
    report.notes += [f"one by one: {_distribution(one_by_one)}", f"at once: {_distribution(together)}"]
    return report


def _distribution(seconds: Seconds) -> str:
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    shown = {"least": min(seconds), "10 %": tenths[0], "median": statistics.median(seconds), "90 %": tenths[-1]}
    shown["greatest"] = max(seconds)
    return f"{len(seconds)} files, seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in shown.items())


@contextmanager
def _served(home: Home, log: Path) -> Iterator[None]:
    """`opsmart serve` in the home, stopped at the end as a person would."""
    with log.open("w") as file:
        serving = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "serve"],
            env=home.environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + LIMIT_S
        while "Ctrl-C stops" not in log.read_text():
            if serving.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"serve does not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield
    finally:
        serving.send_signal(signal.SIGINT)
        serving.wait(LIMIT_S)


@dataclass
class _Mart:
    """Drops files of confirmations, each of a day of its own, and looks when their rows can be read."""

    home: Home
    rows: int
    _next_day: date = date(2026, 1, 1)
    _connection: "psycopg.Connection[tuple[object, ...]]" = field(init=False)
    _lines: list[list[str]] = field(init=False)
    _header: str = field(init=False)

    def __post_init__(self) -> None:
        server = embedded_server.ensure_running(self.home.settings)
        self._connection = psycopg.connect(server.url("loader"), autocommit=True)
        self._connection.execute("set time zone 'UTC'")
        newest = max((self.home.settings.landing / "sample_mes").glob("confirmations_*.txt"))
        self._header, *lines = newest.read_text().splitlines()
        self._lines = [line.split("|") for line in lines]

    def close(self) -> None:
        self._connection.close()

    def wait_for_first_run(self) -> None:
        """Until what lay there at the start is taken and published."""
        self._wait_until(lambda: self._value("select count(*) from ops.run where state <> 'running'") > 0)

    def drop(self, count: int) -> Seconds:
        """Write files at once; the seconds that each takes from its completion until it can be read."""
        time.sleep(random.random())  # not in step with what is asked every so often
        days = [self._next_day + timedelta(days=number) for number in range(count)]
        self._next_day = days[-1] + timedelta(days=2)
        texts = {day: self._text(day) for day in days}
        complete: dict[date, float] = {}
        for day, text in texts.items():
            (self.home.settings.landing / "sample_mes" / f"confirmations_{day}.txt").write_text(text)
            complete[day] = time.monotonic()
        readable: dict[date, float] = {}

        def all_readable() -> bool:
            found = self._connection.execute(
                "select ended_at::date, count(*) from mart.fct_operation where ended_at >= %s group by 1", (days[0],)
            ).fetchall()
            now = time.monotonic()
            for day, rows in found:
                if rows == self.rows and day in complete:
                    readable.setdefault(day, now)
            return len(readable) == count

        # looking costs what is measured: seldom where many rows are looked through
        self._wait_until(all_readable, every_s=0.02 if count == 1 else 0.5)
        running = "select count(*) from ops.run where state = 'running'"
        self._wait_until(lambda: self._value(running) == 0)
        return [readable[day] - complete[day] for day in days]

    def _text(self, day: date) -> str:
        """A file like the newest of the company's, of another day and with other numbers, as long as it should be."""
        lines = [self._header]
        for number in range(self.rows):
            cells = list(self._lines[number % len(self._lines)])
            cells[0] = f"B{day:%y%m%d}{number:06d}"
            cells[5], cells[6] = f"{day}T10:00:00+00:00", f"{day}T11:{number % 60:02d}:00+00:00"
            lines.append("|".join(cells))
        return "\n".join(lines) + "\n"

    def _value(self, query: str) -> int:
        row = self._connection.execute(query).fetchone()
        return int(str(row[0])) if row else 0

    def _wait_until(self, condition: Callable[[], bool], every_s: float = 0.02) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                raise BenchmarkError("the rows do not come: see the log of serve")
            time.sleep(every_s)
