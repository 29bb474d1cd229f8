"""Closed periods stay as they were reported, whatever comes later and in whatever order; the truth is brute force."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flows.settings import load_settings
from schemas.catalog import FACTS
from tests.properties.extracts import Mart, StagedExtract, arranged, staged_extracts
from tests.shop import Shop, same_mart

SETS, ARRANGEMENTS = 6, 2
NOWHERE = "postgresql://nobody@127.0.0.1/nothing"
JOURNALS = ("J1", "J2", "J3")
POSTED = (date(2026, 1, 10), date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 14), date(2026, 3, 1), date(2026, 3, 9))
AS_OF = (date(2026, 1, 31), date(2026, 2, 3), date(2026, 2, 4), date(2026, 2, 20), date(2026, 3, 4), date(2026, 3, 20))
MONTHS = {1: (date(2026, 1, 1), date(2026, 1, 31)), 2: (date(2026, 2, 1), date(2026, 2, 28))}
CLOSED = {1: date(2026, 2, 3), 2: date(2026, 3, 4)}
BOOKS = {name: FACTS[name] for name in ("fct_gl_entry", "fct_budget_actual")}

Line = tuple[str, date, int]
"""Journal, posting day, amount. None makes a row that goes to quarantine, 0 in a delta one that is deleted."""


@dataclass(frozen=True)
class Delivered:
    """What a file says: of a day or a month, as of a day."""

    as_of: date
    revision: int
    month: int
    lines: tuple[tuple[str, date, int | None], ...]


@dataclass(frozen=True)
class Case:
    """How a source delivers its journal, what it delivered, and which months it has closed."""

    mode: str
    files: tuple[Delivered, ...]
    closed: tuple[int, ...]


def a_case(random: Random) -> Case:
    mode = random.choice(("append", "delta", "snapshot", "period"))
    files = {}
    for _ in range(random.randint(2, 5)):
        as_of, revision, month = random.choice(AS_OF), random.choice((0, 0, 1)), random.choice((1, 2))
        days = [day for day in POSTED if mode != "period" or day.month == month]
        journals = random.sample(JOURNALS, random.randint(1, 3))
        lines = tuple((journal, random.choice(days), _amount(random, mode)) for journal in journals)
        files[as_of, revision, month if mode == "period" else 0] = lines
    return Case(
        mode,
        tuple(Delivered(*key, lines) for key, lines in sorted(files.items())),
        tuple(sorted(random.sample((1, 2), random.choice((1, 2, 2))))),
    )


def _amount(random: Random, mode: str) -> int | None:
    odd = {"delta": 0, "snapshot": None, "period": None}.get(mode, 5)
    return random.choice((10, 10, 20, odd))


# ── the truth: every state recomputed from all that was delivered by a day ──────────────────────────────────────────


def state_at(case: Case, day: date) -> set[Line]:
    """What counts by the deliveries as of up to a day."""
    files = sorted((f for f in case.files if f.as_of <= day), key=lambda f: (f.as_of, f.revision))
    if case.mode == "append":
        newest = {file.as_of: file for file in files}
        lines = {(journal, posted): amount for file in newest.values() for journal, posted, amount in file.lines}
        return {(journal, posted, amount) for (journal, posted), amount in lines.items() if amount is not None}
    version: dict[str, tuple[date, int]] = {}
    seen, complete = dict[str, int](), dict[int, int]()
    for number, file in enumerate(files):
        months = {"snapshot": tuple(MONTHS), "period": (file.month,)}.get(case.mode, ())
        complete |= dict.fromkeys(months, number)
        for journal, posted, amount in file.lines:
            # A line that cannot be read is there all the same, as it was known, also after it was gone.
            seen[journal] = number
            if amount is not None:
                version[journal] = (posted, amount)
    return {
        (journal, posted, amount)
        for journal, (posted, amount) in version.items()
        if seen[journal] >= complete.get(posted.month, 0) and (amount or case.mode != "delta")
    }


def booked(case: Case) -> Counter[tuple[str, date, date, int, bool]]:
    """Journal, day of booking, posting day, signed amount, whether it takes back."""
    first = min(file.as_of for file in case.files)
    closings = {month: max(CLOSED[month], first) for month in case.closed}
    ledger: Counter[tuple[str, date, date, int]] = Counter()
    before: set[Line] = set()
    for as_of in sorted({file.as_of for file in case.files}):
        closed = {month for month, closed_on in closings.items() if as_of > closed_on}
        now = state_at(case, as_of)
        for lines, sign in ((before - now, -1), (now - before, 1)):
            for journal, posted, amount in lines:
                day = posted
                while day.month in closed:
                    day += timedelta(days=1)
                ledger[journal, day, posted, amount] += sign
        before = now
    return Counter({(*entry, count < 0): abs(count) for entry, count in ledger.items() if count})


# ── the real thing ──────────────────────────────────────────────────────────────────────────────────────────────────


def staged(case: Case, home: Path) -> tuple[StagedExtract, ...]:
    (home / "bare" / "sql" / "sources").mkdir(parents=True)
    shop = Shop(
        load_settings(home=home, sources=(home / "sources",), project_root=home / "bare", warehouse_url=NOWHERE)
    )
    journal: dict[str, object] = {"mode": case.mode, "closed_periods": "adjust", "retire_limit_pct": 100}
    if case.mode == "period":
        journal["period"] = {"column": "posted_on"}
        journal["table"] = {"slot": r"(?P<period>\d{4}-\d{2})_of_(?P<as_of>[\d-]{10})_r(?P<revision>\d)"}
    shop.source(gl_entry=journal, fiscal_period="snapshot")
    for file in case.files:
        slot = f"{file.as_of}_r{file.revision}"
        slot = f"2026-{file.month:02}_of_{slot}" if case.mode == "period" else slot
        shop.land("gl_entry", slot, *(_row(case.mode, *line) for line in file.lines))
    for as_of in (min(AS_OF), *CLOSED.values()):
        closed = {month for month in case.closed if CLOSED[month] <= as_of}
        shop.land("fiscal_period", str(as_of), *(_period(month, is_closed=month in closed) for month in MONTHS))
    return staged_extracts(shop.settings)


def _row(mode: str, journal: str, posted: date, amount: int | None) -> dict[str, object]:
    bad = {"currency": "EU"} if amount is None else {}
    deleted = {"is_deleted": "true"} if mode == "delta" and amount == 0 else {}
    return {"journal_id": journal, "posted_on": posted, "debit": amount or 0, "credit": 0} | bad | deleted


def _period(month: int, *, is_closed: bool) -> dict[str, object]:
    first, last = MONTHS[month]
    closed_at = f"{CLOSED[month]} 18:00:00" if is_closed else ""
    return {"period_id": f"2026-{month:02}", "starts_on": first, "ends_on": last, "closed_at": closed_at}


def in_the_mart(rows: pl.DataFrame) -> Counter[tuple[str, date, date, int, bool]]:
    columns = rows.select("journal_id", "posted_on", "original_posted_on", "debit", "is_reversal")
    return Counter(
        (journal, posted, original, abs(int(float(debit))), taken_back)
        for journal, posted, original, debit, taken_back in columns.iter_rows()
    )


def try_case(mart: Mart, case: Case, random: Random) -> None:
    with TemporaryDirectory(prefix="opsmart-books-") as folder:
        extracts = staged(case, Path(folder))
        undisturbed = mart.run([extracts], [BOOKS])
        _is_true(undisturbed, case)
        for runs in [[[one] for one in reversed(extracts)], *(arranged(random, extracts) for _ in range(ARRANGEMENTS))]:
            try:
                same_mart(mart.run(runs, [BOOKS]), undisturbed)
            except AssertionError as error:
                raise AssertionError(f"{case} arrived as {_said(runs)}: {error}") from None


def _is_true(tables: dict[str, pl.DataFrame], case: Case) -> None:
    rows = tables["fct_gl_entry"]
    assert in_the_mart(rows) == booked(case), case
    assert (rows["is_adjustment"] == (rows["posted_on"] != rows["original_posted_on"])).all()
    total = sum(amount for *_, amount in state_at(case, date.max))
    assert sum(map(float, rows["debit"])) == total, case
    actual = tables["fct_budget_actual"]
    assert sum(actual["missing_rate_count"]) or sum(map(float, actual["actual_amount"])) == total, case


def _said(runs: Sequence[Sequence[StagedExtract]]) -> str:
    return "; ".join(", ".join(f"{e.dataset} {e.slot} r{e.revision}" for e in run) for run in runs)


@settings(max_examples=SETS, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
@example(seed=535323)  # a line that is gone, and then comes so that it cannot be read
def test_closed_periods_stay_as_reported_in_any_order(mart: Mart, seed: int) -> None:
    random = Random(seed)
    try_case(mart, a_case(random), random)


JAN, FEB = POSTED[0], POSTED[3]
HELD = Case(
    "snapshot",
    (
        Delivered(AS_OF[0], 0, 1, (("J1", JAN, 10), ("J3", JAN, 30))),
        Delivered(AS_OF[2], 0, 1, (("J1", FEB, None), ("J2", FEB, 20), ("J3", JAN, 31))),
        Delivered(AS_OF[5], 0, 1, (("J1", JAN, 10), ("J2", JAN, 20))),
    ),
    (1, 2),
)
"""J1 is held back once and comes again; J2 moves from one closed month to another; J3 is corrected, then withdrawn."""


def test_what_is_held_back_is_not_taken_back(mart: Mart) -> None:
    assert booked(HELD) == Counter(
        [
            ("J1", JAN, JAN, 10, False),
            ("J3", JAN, JAN, 30, False),
            ("J3", date(2026, 2, 1), JAN, 30, True),
            ("J3", date(2026, 2, 1), JAN, 31, False),
            ("J2", FEB, FEB, 20, False),
            ("J3", date(2026, 3, 1), JAN, 31, True),
            ("J2", date(2026, 3, 1), FEB, 20, True),
            ("J2", date(2026, 3, 1), JAN, 20, False),
        ]
    )
    try_case(mart, HELD, Random(1))


@pytest.mark.soak
def test_many_closed_periods_stay_as_reported(mart: Mart) -> None:
    for seed in range(300):
        random = Random(seed)
        try_case(mart, a_case(random), random)
