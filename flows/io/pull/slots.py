"""Slots: what a delivery speaks for, read from its files' names."""

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import PurePosixPath

from schemas.source import Bounds

_MONTHS_A_QUARTER = 3

MAX_REVISION = 2**31 - 1
"""What the ledger's integer holds; a larger number in a name is a time stamp or an accident."""


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """What a file's name says: an as-of date, a period or both; a revision (0 where it says none); a part."""

    as_of: date
    period: Bounds | None
    text: str
    revision: int = 0
    part: str = ""


def read_slot(name: str, pattern: str) -> Slot | None:
    """The slot in a file's name, or else in its path; None where the pattern finds none.

    Raises:
        ValueError: The pattern matches something that is no date or period, or a number that no revision has.
    """
    match = re.search(pattern, PurePosixPath(name).name) or re.search(pattern, name)
    if match is None:
        return None
    groups = match.groupdict()
    period = period_bounds(groups["period"]) if groups.get("period") else None
    as_of = as_date(groups["as_of"]) if groups.get("as_of") else None
    if as_of is None:
        if period is None:
            return None
        as_of = period[1]
    revision = int(groups.get("revision") or 0)
    if revision > MAX_REVISION:
        raise ValueError(f"{revision} is no revision")
    said = [groups[group] for group in ("period", "as_of") if groups.get(group)]
    return Slot(as_of, period, " as of ".join(said), revision, groups.get("part") or "")


def as_date(text: str) -> date:
    """2026-03-31, 20260331, 2026_03_31 or 31.03.2026; a month means its last day."""
    digits = re.sub(r"[-_/]", "", text)
    if re.fullmatch(r"\d{8}", digits):
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    if re.fullmatch(r"\d{6}", digits):
        return period_bounds(text)[1]
    if german := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text):
        day, month, year = map(int, german.groups())
        return date(year, month, day)
    raise ValueError(f"{text!r} is no date")


def period_bounds(text: str) -> Bounds:
    """First and last day of 2026, 2026-Q1, 2026-03, 202603, 2026-W09, 2026-03-09 or 2026-03-01_2026-03-15."""
    if both := re.fullmatch(r"(\d{4}-?\d{2}-?\d{2})(?:_|--|\.\.|_to_)(\d{4}-?\d{2}-?\d{2})", text):
        first, last = as_date(both[1]), as_date(both[2])
        if first > last:
            raise ValueError(f"{text!r} ends before it begins")
        return first, last
    if quarter := re.fullmatch(r"(\d{4})[-_]?[qQ]([1-4])", text):
        last_month = int(quarter[2]) * _MONTHS_A_QUARTER
        return _months(int(quarter[1]), last_month - _MONTHS_A_QUARTER + 1, last_month)
    if week := re.fullmatch(r"(\d{4})[-_]?[wW](\d{2})", text):
        monday = date.fromisocalendar(int(week[1]), int(week[2]), 1)
        return monday, monday + timedelta(days=6)
    if month := re.fullmatch(r"(\d{4})[-_]?(\d{2})", text):
        return _months(int(month[1]), int(month[2]), int(month[2]))
    if re.fullmatch(r"\d{4}", text):
        return _months(int(text), 1, 12)
    day = as_date(text)
    return day, day


def _months(year: int, first: int, last: int) -> Bounds:
    return date(year, first, 1), date(year, last, calendar.monthrange(year, last)[1])


def newest_up_to(revisions: Iterable[int], revision: int) -> int | None:
    """The newest of a table's revisions that a delivery of `revision` includes: what was not corrected stays."""
    return max((number for number in revisions if number <= revision), default=None)
