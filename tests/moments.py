"""A night and two days, for tests of what is judged then."""

from datetime import UTC, date, datetime

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
DAY, NEXT = date(2026, 2, 1), date(2026, 2, 2)
