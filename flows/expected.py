"""When deliveries are expected: what a source's deadlines come to. Pure rules; the clock is an argument.

The delivery that speaks for a day is due at the first deadline after the day has ended, on the clock of the source.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.source import WEEKDAYS, Bounds, Source

_DAY, _MORE_THAN_A_WEEK = timedelta(days=1), timedelta(days=9)
_NOON = time(12)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a dataset with a deadline owes at some moment.

    `due` is the newest day whose delivery should have come, `next_deadline` when the next one is due. `newest` is the
    day that the newest accepted delivery speaks for (None: none has come), `gaps` are days before it that no accepted
    delivery speaks for, `behind` the days after it that are due.
    """

    due: date
    next_deadline: datetime
    newest: date | None
    gaps: tuple[date, ...]
    behind: tuple[date, ...]

    @property
    def is_overdue(self) -> bool:
        """Whether the newest day that is due has not come."""
        return self.newest is None or bool(self.behind)


def business_day(source: Source, dataset: str, moment: datetime) -> date:
    """The day of the source that a moment belongs to."""
    local = moment.astimezone(ZoneInfo(source.zone(dataset)))
    is_over = local.time() >= source.day_ends
    if source.day_ends < _NOON:
        return local.date() if is_over else local.date() - _DAY
    return local.date() + _DAY if is_over else local.date()


def deadline(source: Source, dataset: str, day: date) -> datetime:
    """The instant at which the delivery that speaks for a day is due."""
    at = source.datasets[dataset].deadline
    if at is None:
        raise ValueError(f"{source.name}.{dataset} has no deadline")
    ends_on = day + _DAY if source.day_ends < _NOON else day
    due_on = ends_on if at >= source.day_ends else ends_on + _DAY
    return datetime.combine(due_on, at, ZoneInfo(source.zone(dataset))).astimezone(UTC)


def expected_days(source: Source, dataset: str, first: date, last: date) -> Iterator[date]:
    """Days from `first` to `last` that a delivery is to speak for."""
    days = source.datasets[dataset].expected_on
    return (day for day in _days(first, last) if WEEKDAYS[day.weekday()] in days)


def next_deadline(sources: Iterable[Source], after: datetime) -> datetime | None:
    """The first deadline of any dataset after a moment; None where there are none."""
    days = [after.date() + number * _DAY for number in range(-3, 3)]
    found = (
        deadline(source, dataset, day)
        for source in sources
        for dataset, delivery in source.datasets.items()
        if delivery.deadline is not None
        for day in days
    )
    return min((moment for moment in found if moment > after), default=None)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an accepted delivery speaks for: a day, or a period."""

    as_of: date
    period: Bounds | None = None

    @property
    def bounds(self) -> Bounds:
        """First and last day."""
        return self.period or (self.as_of, self.as_of)


def expectation(source: Source, dataset: str, accepted: Sequence[Spoken], now: datetime) -> Expectation | None:
    """What a dataset owes at `now`, given its accepted deliveries; None where it has no deadline.

    A snapshot has no gaps: it says what the ones before it would have said.
    """
    delivery = source.datasets[dataset]
    if delivery.deadline is None:
        return None
    today = now.astimezone(ZoneInfo(source.zone(dataset))).date()
    around = list(expected_days(source, dataset, today - _MORE_THAN_A_WEEK, today + _MORE_THAN_A_WEEK))
    due = max(day for day in around if deadline(source, dataset, day) <= now)
    coming = deadline(source, dataset, min(day for day in around if day > due))
    if not accepted:
        return Expectation(due, coming, None, (), ())
    newest = max(accepted, key=lambda spoken: spoken.as_of)
    gaps: list[date] = []
    if delivery.mode != "snapshot":
        first = min(spoken.bounds[0] for spoken in accepted)
        covered = {day for first_day, last_day in {s.bounds for s in accepted} for day in _days(first_day, last_day)}
        wanted = expected_days(source, dataset, first, min(newest.as_of, due))
        gaps = [day for day in wanted if day not in covered]
    behind = expected_days(source, dataset, newest.as_of + _DAY, due) if due >= _next_as_of(newest) else ()
    return Expectation(due, coming, newest.as_of, tuple(gaps), tuple(behind))


def _next_as_of(newest: Spoken) -> date:
    """The day that the next delivery speaks as of: the next day; where periods come when they are over, their end."""
    if newest.period is None or newest.period[1] != newest.as_of:
        return newest.as_of + _DAY
    first, last = newest.period
    start = last + _DAY
    if first.day == 1 and start.day == 1:
        months = start.year * 12 + start.month - 1 + (start.year - first.year) * 12 + start.month - first.month
        return date(months // 12, months % 12 + 1, 1) - _DAY
    return start + (last - first)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + number * _DAY for number in range((last - first).days + 1))
