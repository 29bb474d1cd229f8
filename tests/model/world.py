"""What the model of accept, build and publish is made of: deliveries, lake, ledger, mart; and what must come out.

Days are numbers, the mart is a list (a real one would refuse a key twice; here it must show), and whatever happens
between two `yield`s of a step is one transaction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple

from tests.properties.deliveries import DAYS, FIRST_DAY, PERIODS, Given, Row, expected

LINE, RECEIPT, RATE = "line", "receipt", "rate"
"""Lines are anchored by their day and sum the receipts linked to them; a rate is good for its day and the next."""
LINES, RECEIPTS = "fct_line", "fct_receipt"
TOLERANCE_DAYS = 1
BAD = 7
"""A quantity that the gate of a slice does not let pass."""

Order = tuple[Any, ...]


class Payload(NamedTuple):
    """What a version of a key says."""

    day: int
    quantity: int
    link: int
    is_deleted: bool


class Landed(NamedTuple):
    """A delivery of a dataset."""

    dataset: str
    given: Given

    @property
    def id(self) -> float:
        """Landings are numbered."""
        return self.given.landing

    @property
    def slot(self) -> tuple[str, int, int | None]:
        """What it speaks for."""
        return (self.dataset, self.given.as_of, self.given.period)


class Staged(NamedTuple):
    """A row after its mapping: a quarantined one has been seen, and that is all."""

    key: int
    order: Order
    payload: Payload
    is_quarantined: bool


class LakeRow(NamedTuple):
    """A version in the lake."""

    dataset: str
    extract: float
    key: int
    order: Order
    payload: Payload


@dataclass(frozen=True)
class Known:
    """What the ledger holds of a key; `version` is None if it was only ever seen in quarantine."""

    order: Order | None
    payload: Payload | None
    seen: Order


class Published(NamedTuple):
    """A slice as the ledger has it."""

    generation: int
    logic: int


class Dirty(NamedTuple):
    """A slice that changed, whether a gate holds it back, and the newest generation that concerns all its rows."""

    generation: int
    is_blocked: bool = False
    whole: int = 0


Slice = tuple[str, int]
Named = tuple[str, int, Any]
"""Fact, day and key of a row that is to be built again."""


class MartRow(NamedTuple):
    """A row of a fact."""

    fact: str
    day: int
    key: Any
    values: tuple[Any, ...]


@dataclass
class World:
    """Everything that outlives a process."""

    lake: list[LakeRow] = field(default_factory=list)
    lake_ids: dict[Any, int] = field(default_factory=dict)
    keys: dict[str, dict[int, Known]] = field(default_factory=lambda: {LINE: {}, RATE: {}})
    accept_count: int = 0
    accepted: dict[float, tuple[Landed, int]] = field(default_factory=dict)
    """With the mapping under which it was accepted."""
    coverage: dict[int | None, Order] = field(default_factory=dict)
    generation: int = 0
    dirty: dict[Slice, Dirty] = field(default_factory=dict)
    named: set[Named] = field(default_factory=set)
    slices: dict[Slice, Published] = field(default_factory=dict)
    counts: dict[Slice, int] = field(default_factory=dict)
    """How many rows the record of a slice says that it holds."""
    mart: list[MartRow] = field(default_factory=list)
    whole: list[MartRow] = field(default_factory=list)
    """The mart as publishes of whole slices would have made it; what a reader must see at any time."""
    mapping: int = 0
    logic: int = 1

    def pending(self, fact: str) -> dict[int, int]:
        """day → generation of the slices of a fact that await a build."""
        return {
            day: dirty.generation
            for (name, day), dirty in sorted(self.dirty.items())
            if name == fact and not dirty.is_blocked and dirty.generation > self.published(name, day).generation
        }

    def is_waiting(self, fact: str, day: int) -> bool:
        """Whether a slice awaits a build, or is held back."""
        return self.dirty[fact, day].generation > self.published(fact, day).generation

    def published(self, fact: str, day: int) -> Published:
        """The slice's record; generation 0 if there is none."""
        return self.slices.get((fact, day), Published(0, 0))


def mapped(row: Row, mapping: int) -> Row:
    """The row as a mapping makes it; there are two."""
    return replace(row, quantity=row.quantity + 2 * mapping)


def is_outside(given: Given, row: Row) -> bool:
    """Whether the row's day lies beyond the period that the delivery speaks for."""
    return given.period is not None and not (PERIODS[given.period][0] <= row.date <= PERIODS[given.period][1])


def payload(row: Row, mapping: int) -> Payload:
    """What a row says."""
    return Payload(row.day, row.quantity + 2 * mapping, row.link, row.is_deleted)


# ── what must come out ──────────────────────────────────────────────────────────────────────────────────────────────


def _as_staged(given: Given, mapping: int) -> Given:
    rows = tuple(
        replace(mapped(row, mapping), is_quarantined=row.is_quarantined or is_outside(given, row)) for row in given.rows
    )
    return replace(given, rows=rows)


def true_mart(accepted: Iterable[tuple[Landed, int]], logic: int) -> set[MartRow]:
    """The mart of a set of deliveries, by brute force."""
    of: dict[str, list[Given]] = {LINE: [], RECEIPT: [], RATE: []}
    for landed, mapping in accepted:
        of[landed.dataset].append(_as_staged(landed.given, mapping))
    receipts = _true_receipts(of[RECEIPT])
    rates = {(day - FIRST_DAY).days: rate for day, rate in expected(of[RATE]).present.values()}
    mart = {MartRow(RECEIPTS, day, (day, key), (row.quantity, row.link, logic)) for (day, key), row in receipts.items()}
    for key, (date, quantity) in expected(of[LINE]).present.items():
        day = (date - FIRST_DAY) // timedelta(days=1)
        received = sum(row.quantity for row in receipts.values() if row.link == key)
        rate = next((rates[d] for d in range(day, day - TOLERANCE_DAYS - 1, -1) if d in rates), None)
        mart.add(MartRow(LINES, day, key, (quantity, received, rate, logic)))
    return mart


def _true_receipts(deliveries: list[Given]) -> dict[tuple[int, int], Row]:
    newest: dict[int, Given] = {}
    for given in deliveries:
        if given.as_of not in newest or newest[given.as_of].order < given.order:
            newest[given.as_of] = given
    rows: dict[tuple[int, int], Row] = {}
    for given in sorted(newest.values(), key=lambda given: given.order):
        rows |= {(row.day, row.key): row for row in given.rows if not row.is_quarantined}
    return rows


def blocked_slices(mart: Iterable[MartRow]) -> set[Slice]:
    """Slices that the gate must hold back."""
    return {(row.fact, row.day) for row in mart if is_bad(row)}


def is_bad(row: MartRow) -> bool:
    """Whether the gate of a slice objects to a row."""
    return bool(row.values[0] == BAD)


def days_touched(day: int, before: int) -> list[int]:
    """The day and so many days after it: they look back to it."""
    return [d for d in range(day, day + before + 1) if 0 <= d < DAYS]


def rows_by_key(rows: Iterable[Staged]) -> Mapping[int, list[Staged]]:
    """A delivery's rows, key by key."""
    found: dict[int, list[Staged]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    return found
