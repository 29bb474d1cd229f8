"""Random deliveries over few keys, few days and dense collisions, and what the ledger must say of them.

The reference is a second, much simpler computation: for each key the maximum over all deliveries, by brute force.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random

from hypothesis import strategies as st

FIRST_DAY = date(2026, 3, 30)
"""Days run over the end of a month and so over two of the lake's partitions."""
DAYS = 4
KEYS = 4
PERIODS = ((date(2026, 3, 30), date(2026, 3, 31)), (date(2026, 4, 1), date(2026, 4, 2)))


@dataclass(frozen=True)
class Row:
    """One version of a key.

    `updated` counts minutes, None means that the source did not say; `link` is another row's key.
    """

    key: int
    day: int
    quantity: int
    updated: int | None = None
    is_deleted: bool = False
    is_quarantined: bool = False
    link: int = 0

    @property
    def date(self) -> date:
        """The day that dates the row."""
        return FIRST_DAY + timedelta(days=self.day)


@dataclass(frozen=True)
class Given:
    """One delivery. `landing` makes it unique and is part of it, whenever it is accepted."""

    mode: str
    as_of: int
    revision: int
    landing: int
    rows: tuple[Row, ...]
    period: int | None = None
    is_readable: bool = True

    @property
    def at(self) -> datetime:
        """First part of its order."""
        return datetime(2026, 5, 1, tzinfo=UTC) + timedelta(days=self.as_of)

    @property
    def order(self) -> tuple[datetime, int, int]:
        """Its order among deliveries."""
        return (self.at, self.revision, self.landing)

    @property
    def gives_coverage(self) -> bool:
        """Whether what it lacks is gone."""
        return self.mode in ("snapshot", "period") and self.is_readable

    @property
    def bounds(self) -> tuple[date, date] | None:
        """Its period."""
        return None if self.period is None else PERIODS[self.period]

    def row_at(self, row: Row) -> datetime:
        """First part of a row's order."""
        if self.mode == "delta" and row.updated is not None:
            return datetime(2026, 5, 1, tzinfo=UTC) + timedelta(minutes=row.updated)
        return self.at


@dataclass
class Expected:
    """What must be current: key → (day, quantity)."""

    present: dict[int, tuple[date, int]] = field(default_factory=dict)


def expected(deliveries: list[Given]) -> Expected:
    """The present rows after these deliveries, in whatever order they came."""
    result = Expected()
    claims: dict[int | None, tuple[datetime, int, int]] = {}
    for given in deliveries:
        if given.gives_coverage:
            claims[given.period] = max(claims.get(given.period, given.order), given.order)
    for key in range(KEYS):
        versions, seen = [], []
        for given in deliveries:
            for row in given.rows:
                if row.key != key:
                    continue
                order = (given.row_at(row), *given.order)
                seen.append(order)
                if not row.is_quarantined:
                    versions.append((order, row))
        if not versions:
            continue
        newest = max(order for order, _ in versions)
        # Rows of one delivery are unique per key and version, so the order decides but for equal payloads.
        row = next(row for order, row in versions if order == newest)
        last_seen = max(seen)
        is_gone = row.is_deleted or any(
            (claim[0], *claim) > last_seen and (period is None or PERIODS[period][0] <= row.date <= PERIODS[period][1])
            for period, claim in claims.items()
        )
        if not is_gone:
            result.present[key] = (row.date, row.quantity)
    return result


def _rows(mode: str, period: int | None) -> st.SearchStrategy[tuple[Row, ...]]:
    days = st.integers(0, DAYS - 1) if period is None else st.integers(2 * period, 2 * period + 1)
    # A minute past noon or midnight, so that it never ties with an as_of.
    minutes = st.integers(0, 8).map(lambda half_days: half_days * 720 + 1)
    row = st.builds(
        Row,
        key=st.integers(0, KEYS - 1),
        day=days,
        quantity=st.integers(1, 2),
        updated=st.none() | minutes if mode == "delta" else st.none(),
        is_deleted=st.booleans() if mode == "delta" else st.just(value=False),
        is_quarantined=st.sampled_from([False, False, False, True]),
    )
    by = (lambda r: (r.key, r.updated)) if mode == "delta" else (lambda r: r.key)
    return st.lists(row, min_size=1, max_size=KEYS, unique_by=by).map(tuple)


@st.composite
def histories(draw: st.DrawFn, modes: tuple[str, ...] = ("snapshot", "delta", "period")) -> list[Given]:
    """A few deliveries in the order of their landing numbers."""
    deliveries = []
    for landing in range(draw(st.integers(1, 5))):
        mode = draw(st.sampled_from(modes))
        period = draw(st.integers(0, 1)) if mode == "period" else None
        deliveries.append(
            Given(
                mode=mode,
                as_of=draw(st.integers(0, 3)),
                revision=draw(st.integers(0, 1)),
                landing=landing,
                rows=draw(_rows(mode, period)),
                period=period,
                is_readable=draw(st.sampled_from([True, True, True, False])),
            )
        )
    return deliveries


def wide_deliveries(seed: int, count: int, mode: str | None = None, keys: int = 150) -> list[Given]:
    """Deliveries of many keys with few orders and payloads: each key is a case of its own."""
    random = Random(seed)
    deliveries = []
    for landing in range(count):
        chosen = mode or random.choice(["snapshot", "delta", "period"])
        period = random.randint(0, 1) if chosen == "period" else None
        rows = [
            Row(
                key=key,
                day=random.randrange(DAYS) if period is None else random.randint(2 * period, 2 * period + 1),
                quantity=random.randint(1, 2),
                updated=random.choice([None, 1, 721, 1441]) if chosen == "delta" else None,
                is_deleted=random.random() < 0.2,
                is_quarantined=random.random() < 0.2,
            )
            for key in random.sample(range(keys), 4 * keys // 5)
        ]
        versions = [replace(row, updated=2161, day=0) for row in rows if chosen == "delta" and row.key % 3 == 0]
        as_of, revision = random.randint(0, 2), random.randint(0, 1)
        deliveries.append(
            Given(chosen, as_of, revision, landing, tuple(rows + versions), period, random.random() < 0.8)
        )
    return deliveries
