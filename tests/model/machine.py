"""The steps of accept as the architecture has them. Each rule is a method that a fault may break.

A step is a generator: a process may be interrupted, overtaken or killed at every `yield`, and only there.
"""

from collections.abc import Iterable, Iterator

from tests.model.building import Builder, Steps
from tests.model.world import (
    LINE,
    LINES,
    RATE,
    RECEIPT,
    RECEIPTS,
    TOLERANCE_DAYS,
    Known,
    LakeRow,
    Landed,
    Named,
    Order,
    Payload,
    Slice,
    Staged,
    days_touched,
    is_outside,
    payload,
    rows_by_key,
)
from tests.properties.deliveries import FIRST_DAY, PERIODS, Given, Row

Keys = dict[int, Known]
Change = tuple[Payload | None, Payload | None, int]
"""A current row before and after, and its key."""


class Machine(Builder):
    """A process that works on a world."""

    # ── stage ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def stage(self, landed: Landed) -> list[Staged]:
        """The delivery's rows."""
        given = landed.given
        return [
            Staged(row.key, self.order(given, row), self.payload(row), self.is_quarantined(given, row))
            for row in given.rows
        ]

    def order(self, given: Given, row: Row) -> Order:
        """A full tuple, never a date alone; a delta row's own moment comes first."""
        return (given.row_at(row), *given.order)

    def payload(self, row: Row) -> Payload:
        """What identifies a version beside its key."""
        return payload(row, self.mapping)

    def is_quarantined(self, given: Given, row: Row) -> bool:
        """Broken rows, and rows outside the bounds of a period."""
        return row.is_quarantined or is_outside(given, row)

    # ── accept ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, landed: Landed) -> Steps:
        """Stage, append to the lake, move the ledger on."""
        world = self.world
        if landed.id in world.accepted or self.is_given_up(landed):
            return
        rows = self.stage(landed)
        existing, count = dict(world.keys.get(landed.dataset, {})), world.accept_count
        yield
        good = [row for row in rows if not row.is_quarantined]
        if landed.dataset != RECEIPT:
            good = [row for row in good if not self.is_known(existing.get(row.key), row)]
        yield from self.append(landed, rows, good)
        yield
        yield from self.accept(landed, rows, existing, count)

    def is_given_up(self, landed: Landed) -> bool:
        """Nothing that was not blocked is superseded."""
        return False

    def is_known(self, known: Known | None, row: Staged) -> bool:
        """Whether the lake has the payload for certain: it is its key's newest."""
        return known is not None and known.payload == row.payload

    def append(self, landed: Landed, rows: list[Staged], kept: list[Staged]) -> Steps:
        """Look for the transaction id and commit through one handle; another try's rows are replaced."""
        world, id_ = self.world, landed.id
        digest = hash(tuple(rows))
        if world.lake_ids.get(id_) != digest:
            world.lake = [row for row in world.lake if row.extract != id_ or id_ not in world.lake_ids]
            self.write(landed, kept)
            world.lake_ids[id_] = digest
        yield

    def write(self, landed: Landed, rows: Iterable[Staged]) -> None:
        """Rows into the lake."""
        self.world.lake += [LakeRow(landed.dataset, landed.id, row.key, row.order, row.payload) for row in rows]

    def accept(self, landed: Landed, rows: list[Staged], existing: Keys, count: int) -> Steps:
        """One transaction under one lock: versions, sightings, coverage, dirty slices, the record."""
        world = self.world
        if landed.id in world.accepted:
            return
        if count != world.accept_count:
            # Another delivery was accepted since the ledger was read.
            existing = dict(world.keys.get(landed.dataset, {}))
        changes = list(
            self.take_append(landed, rows) if landed.dataset == RECEIPT else self.merge(landed, rows, existing)
        )
        self.mark(*self.touched(landed.dataset, changes))
        self.record(landed)
        yield

    def record(self, landed: Landed) -> None:
        """The delivery is accepted."""
        self.world.accepted[landed.id] = (landed, self.mapping)
        self.world.accept_count += 1

    def merge(self, landed: Landed, rows: list[Staged], existing: Keys) -> Iterator[Change]:
        """Keyed deliveries: maxima of versions, sightings and coverage. Yields what changes of the current rows."""
        world, dataset = self.world, landed.dataset
        before = dict(existing)
        was = {key: known.payload for key, known in before.items() if self.is_present(dataset, known)}
        by_key = rows_by_key(rows)
        after = before | {key: self.join(before.get(key), found) for key, found in by_key.items()}
        world.keys[dataset] = world.keys[dataset] | {key: after[key] for key in by_key}
        if dataset == LINE and self.covers(landed.given):
            self.cover(landed.given)
        self.retire(dataset)
        now = {key: known.payload for key, known in after.items() if self.is_present(dataset, world.keys[dataset][key])}
        for key in after:
            if was.get(key) != now.get(key):
                yield was.get(key), now.get(key), key

    def retire(self, dataset: str) -> None:
        """Absence is derived, never stored."""

    def join(self, known: Known | None, rows: list[Staged]) -> Known:
        """The newest version and the newest sighting of a key."""
        versions = [(row.order, row.payload) for row in rows if not row.is_quarantined]
        seen = max([self.sighting(row) for row in rows] + ([known.seen] if known else []))
        if known is None or known.order is None or known.payload is None:
            order, newest = max(versions, default=(None, None))
            return Known(order, newest, seen)
        order, newest = known.order, known.payload
        if versions:
            order, newest = self.newer((order, newest), max(versions))
        return Known(order, newest, seen)

    def sighting(self, row: Staged) -> Order:
        """When a row was seen: its own order, quarantined or not."""
        return row.order

    def newer(self, old: tuple[Order, Payload], new: tuple[Order, Payload]) -> tuple[Order, Payload]:
        """The newer of two versions. Of an equal payload the newer order is taken."""
        return max(old, new)

    def covers(self, given: Given) -> bool:
        """Whether what a delivery lacks is gone: it is complete, and every key could be read."""
        return given.gives_coverage

    def cover(self, given: Given) -> None:
        """The newest claim of a scope."""
        held = self.world.coverage.get(given.period)
        claim = (given.at, *given.order)
        self.world.coverage[given.period] = max(held or claim, claim)

    def is_present(self, dataset: str, known: Known) -> bool:
        """It has a version, not a deleted one, and no scope that contains its day is newer than its sighting."""
        if known.payload is None or known.payload.is_deleted:
            return False
        if dataset != LINE:
            return True
        return not any(
            self.is_in(scope, known.payload.day) and claim > known.seen for scope, claim in self.world.coverage.items()
        )

    def is_in(self, scope: int | None, day: int) -> bool:
        """Whether a scope contains a day; None is the whole dataset."""
        if scope is None:
            return True
        first, last = PERIODS[scope]
        return (first - FIRST_DAY).days <= day <= (last - FIRST_DAY).days

    def take_append(self, landed: Landed, rows: list[Staged]) -> Iterator[Change]:
        """An append delivery: its rows, those of the revision that it replaces, and what other slots say of them."""
        standing = self.newest_revision(landed.slot)
        if standing is not None and self.revision_order(standing) > self.revision_order(landed):
            return
        new = [(row.payload, row.key) for row in rows if not row.is_quarantined]
        old = [(row.payload, row.key) for row in self.world.lake if standing is not None and row.extract == standing.id]
        yield from ((None, payload, key) for payload, key in new)
        yield from ((payload, None, key) for payload, key in old)
        yield from ((row.payload, None, row.key) for row in self.said_elsewhere({(p.day, key) for p, key in new + old}))

    def said_elsewhere(self, keys: set[tuple[int, int]]) -> list[LakeRow]:
        """Rows of other slots, of the same day and key: one that stops or begins to count may name another line."""
        return [row for row in self.counting_receipts() if (row.payload.day, row.key) in keys]

    def newest_revision(self, slot: object) -> Landed | None:
        """The accepted delivery of a slot that counts."""
        accepted = [landed for landed, _ in self.world.accepted.values() if landed.slot == slot]
        return max(accepted, key=self.revision_order, default=None)

    def revision_order(self, landed: Landed) -> Order:
        """What makes one delivery of a slot newer than another."""
        return landed.given.order

    # ── touches: the inverse of what builds read ────────────────────────────────────────────────────────────────────

    def touched(self, dataset: str, changes: list[Change]) -> tuple[set[Slice], set[Named]]:
        """Slices that look at the old or the new row; and the fact rows of such rows, named in slices of their own."""
        whole: set[Slice] = set()
        named: set[Named] = set()
        for old, new, key in changes:
            for side in (old, new):
                if side is not None and dataset == RATE:
                    whole |= {(LINES, day) for day in days_touched(side.day, self.reach())}
                elif side is not None:
                    named |= self.named_by(dataset, side, key)
        return whole, named

    def named_by(self, dataset: str, row: Payload, key: int) -> set[Named]:
        """Fact rows that stand for one row, or look at it."""
        if dataset == LINE:
            return {(LINES, row.day, key)}
        return {(RECEIPTS, row.day, (row.day, key))} | self.linked(row.link)

    def reach(self) -> int:
        """Days that look back to a rate's."""
        return TOLERANCE_DAYS

    def linked(self, line: int) -> set[Named]:
        """The line that a receipt belongs to: looked up in the ledger, whether published or not."""
        known = self.world.keys[LINE].get(line)
        return {(LINES, known.payload.day, line)} if known is not None and known.payload is not None else set()
