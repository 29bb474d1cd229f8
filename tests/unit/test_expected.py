"""Deadlines: what is due when, on the source's clock, and what has not come."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.expected import Expectation, Spoken, business_day, deadline, expectation, next_deadline
from schemas.source import Source

MONDAY = date(2026, 3, 2)


def _source(zone: str = "Europe/Berlin", **dataset: Any) -> Source:
    described = {"mode": "delta", "deadline": "06:00"} | dataset
    if described["mode"] == "period":
        described["period"] = {"column": "posted_on"}
    return Source(
        name="erp", time_zone=zone, tables={"raw": {"path": "*.csv"}}, datasets={"gl_entry": described},
        folder=Path(), mappings={},
    )  # fmt: skip


def _owed(source: Source, now: datetime, *days: int) -> Expectation:
    accepted = [Spoken(date(2026, 3, day)) for day in days]
    found = expectation(source, "gl_entry", accepted, now)
    assert found is not None
    return found


def test_without_a_deadline_nothing_is_expected():
    assert expectation(_source(deadline=None), "gl_entry", [], datetime(2026, 3, 2, tzinfo=UTC)) is None


def test_a_day_is_due_at_the_deadline_of_the_next_on_the_sources_clock():
    source = _source()
    # Berlin is an hour ahead in winter
    before, after = datetime(2026, 3, 3, 4, 59, tzinfo=UTC), datetime(2026, 3, 3, 5, 0, tzinfo=UTC)
    assert (_owed(source, before, 1).due, _owed(source, after, 1).due) == (date(2026, 3, 1), MONDAY)
    assert not _owed(source, before, 1).is_overdue
    assert _owed(source, after, 1).behind == (MONDAY,)
    assert _owed(source, before, 1).next_deadline == after
    assert not _owed(source, after, 2).is_overdue


@pytest.mark.parametrize(
    ("day", "at", "due"),
    [
        # 02:30 does not exist on the day of 23 hours: due when the clock has jumped, not a day later
        (date(2026, 3, 28), "02:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        # of the hour that comes twice it is the first
        (date(2026, 10, 24), "02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (date(2026, 10, 25), "02:30", datetime(2026, 10, 26, 1, 30, tzinfo=UTC)),
    ],
)
def test_deadlines_around_clock_changes(day: date, at: str, due: datetime):
    source = _source(deadline=at)
    assert deadline(source, "gl_entry", day) == due
    found = expectation(source, "gl_entry", [], due)
    assert found is not None
    assert found.due == day
    # once due, it stays due: also while the clock shows an earlier hour again
    later = expectation(source, "gl_entry", [], due.replace(hour=due.hour + 1))
    assert later is not None
    assert later.due == day


def _ending_at(day_ends: str, zone: str = "Europe/Berlin", **dataset: Any) -> Source:
    source = _source(zone, **dataset)
    return Source.model_validate(source.model_dump() | {"day_ends": day_ends})


@pytest.mark.parametrize(
    ("day_ends", "at", "due"),
    [
        # Monday is over on Tuesday at six
        ("06:00", "07:00", datetime(2026, 3, 3, 6, tzinfo=UTC)),
        ("06:00", "06:00", datetime(2026, 3, 3, 5, tzinfo=UTC)),
        # a deadline at an hour at which the day still goes on is that of the day after
        ("06:00", "05:00", datetime(2026, 3, 4, 4, tzinfo=UTC)),
        # a day that ends in the evening can be due before midnight
        ("22:00", "23:00", datetime(2026, 3, 2, 22, tzinfo=UTC)),
        ("22:00", "06:00", datetime(2026, 3, 3, 5, tzinfo=UTC)),
    ],
)
def test_deadlines_of_a_source_whose_day_ends_at_another_hour(day_ends: str, at: str, due: datetime):
    source = _ending_at(day_ends, deadline=at)
    assert deadline(source, "gl_entry", MONDAY) == due
    before, then = (expectation(source, "gl_entry", [], due - timedelta(seconds=n)) for n in (1, 0))
    assert before is not None
    assert then is not None
    assert (before.due, then.due) == (date(2026, 3, 1), MONDAY)
    assert before.next_deadline == due


@pytest.mark.parametrize(
    ("day_ends", "moment", "day"),
    [
        ("00:00", datetime(2026, 3, 1, 22, 59, tzinfo=UTC), date(2026, 3, 1)),
        ("00:00", datetime(2026, 3, 1, 23, 0, tzinfo=UTC), date(2026, 3, 2)),
        ("06:00", datetime(2026, 3, 3, 4, 59, tzinfo=UTC), date(2026, 3, 2)),
        ("06:00", datetime(2026, 3, 3, 5, 0, tzinfo=UTC), date(2026, 3, 3)),
        ("22:00", datetime(2026, 3, 2, 20, 59, tzinfo=UTC), date(2026, 3, 2)),
        ("22:00", datetime(2026, 3, 2, 21, 0, tzinfo=UTC), date(2026, 3, 3)),
        # the days of 23 and of 25 hours end by the clock too
        ("06:00", datetime(2026, 3, 29, 3, 59, tzinfo=UTC), date(2026, 3, 28)),
        ("06:00", datetime(2026, 3, 29, 4, 0, tzinfo=UTC), date(2026, 3, 29)),
        ("06:00", datetime(2026, 10, 25, 4, 59, tzinfo=UTC), date(2026, 10, 24)),
        ("06:00", datetime(2026, 10, 25, 5, 0, tzinfo=UTC), date(2026, 10, 25)),
    ],
)
def test_the_day_that_a_moment_belongs_to(day_ends: str, moment: datetime, day: date):
    assert business_day(_ending_at(day_ends), "gl_entry", moment) == day


def test_the_next_deadline_of_several_sources():
    sources = [_source("Asia/Tokyo"), _source("America/Chicago"), _source(deadline=None)]
    tokyo, chicago = datetime(2026, 3, 2, 21, tzinfo=UTC), datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert next_deadline(sources, datetime(2026, 3, 2, 11, tzinfo=UTC)) == chicago
    assert next_deadline(sources, chicago) == tokyo
    assert next_deadline(sources[2:], chicago) is None


def test_gaps_are_days_that_were_left_out_and_behind_is_what_is_due():
    now = datetime(2026, 3, 9, 12, tzinfo=UTC)
    owed = _owed(_source(), now, 2, 4, 5)
    assert owed.gaps == (date(2026, 3, 3),)
    assert owed.behind == (date(2026, 3, 6), date(2026, 3, 7), date(2026, 3, 8))
    assert owed.newest == date(2026, 3, 5)


def test_days_on_which_nothing_is_expected_are_no_gaps():
    source = _source(expected_on=["mon", "tue", "wed", "thu", "fri"])
    monday = datetime(2026, 3, 9, 12, tzinfo=UTC)
    owed = _owed(source, monday, 2, 3, 4, 5, 6)
    assert (owed.due, owed.gaps, owed.behind, owed.is_overdue) == (date(2026, 3, 6), (), (), False)
    # Monday's delivery is due on Tuesday
    assert owed.next_deadline == datetime(2026, 3, 10, 5, tzinfo=UTC)


def test_a_snapshot_makes_up_for_those_before_it():
    assert _owed(_source(mode="snapshot"), datetime(2026, 3, 9, 12, tzinfo=UTC), 2, 8).gaps == ()


def test_nothing_ever_came():
    owed = _owed(_source(), datetime(2026, 3, 9, 12, tzinfo=UTC))
    assert (owed.newest, owed.is_overdue) == (None, True)


def _month(month: int, as_of: date | None = None) -> Spoken:
    first, last = date(2026, month, 1), date(2026, month, {1: 31, 2: 28, 3: 31, 4: 30}[month])
    return Spoken(as_of or last, (first, last))


@pytest.mark.parametrize(
    ("accepted", "now", "gaps", "is_overdue"),
    [
        # months that come when they are over are due at their end
        ([_month(1), _month(2)], datetime(2026, 3, 31, 12, tzinfo=UTC), 0, False),
        ([_month(1), _month(2)], datetime(2026, 4, 1, 12, tzinfo=UTC), 0, True),
        ([_month(1), _month(3)], datetime(2026, 4, 1, 12, tzinfo=UTC), 28, False),
        # a month that is exported every night says as of when
        ([_month(3, date(2026, 3, 10))], datetime(2026, 3, 11, 12, tzinfo=UTC), 0, False),
        ([_month(3, date(2026, 3, 10))], datetime(2026, 3, 12, 12, tzinfo=UTC), 0, True),
    ],
)
def test_periods(accepted: list[Spoken], now: datetime, gaps: int, is_overdue: bool):
    owed = expectation(_source(mode="period"), "gl_entry", accepted, now)
    assert owed is not None
    assert (len(owed.gaps), owed.is_overdue) == (gaps, is_overdue)
