"""The steps of accept, build and publish as the architecture has them. Each rule is a method that a fault may break.

A step is a generator: a process may be interrupted, overtaken or killed at every `yield`, and only there.
"""

from collections.abc import Iterable, Iterator

from tests.model.world import (
    LINE,
    LINES,
    RATE,
    RECEIPT,
    RECEIPTS,
    TOLERANCE_DAYS,
    Dirty,
    Known,
    LakeRow,
    Landed,
    MartRow,
    Order,
    Payload,
    Published,
    Slice,
    Staged,
    World,
    days_touched,
    is_bad,
    is_outside,
    payload,
    rows_by_key,
)
from tests.properties.deliveries import FIRST_DAY, PERIODS, Given, Row

Steps = Iterator[None]
Keys = dict[int, Known]
Change = tuple[Payload | None, Payload | None, int]
"""A current row before and after, and its key."""


class Machine:
    """A process that works on a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.logic = world.logic
        self.mapping = world.mapping

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
        self.mark(self.touched(landed.dataset, changes))
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

    def touched(self, dataset: str, changes: list[Change]) -> set[Slice]:
        """Slices that contain the old or the new row, or look at it."""
        slices: set[Slice] = set()
        for old, new, key in changes:
            for side in (old, new):
                if side is not None:
                    slices |= self.touched_by(dataset, side, key)
        return slices

    def touched_by(self, dataset: str, row: Payload, key: int) -> set[Slice]:
        """Slices that contain one row."""
        if dataset == LINE:
            return {(LINES, row.day)}
        if dataset == RATE:
            return {(LINES, day) for day in days_touched(row.day, self.reach())}
        return {(RECEIPTS, row.day)} | self.linked(row.link)

    def reach(self) -> int:
        """Days that look back to a rate's."""
        return TOLERANCE_DAYS

    def linked(self, line: int) -> set[Slice]:
        """Slices of the line that a receipt belongs to: looked up in the ledger, whether published or not."""
        known = self.world.keys[LINE].get(line)
        return {(LINES, known.payload.day)} if known is not None and known.payload is not None else set()

    def mark(self, slices: set[Slice]) -> None:
        """A new generation, which is pending whatever was before. Generations never restart."""
        self.world.generation += 1
        for slice_ in slices:
            self.world.dirty[slice_] = Dirty(self.world.generation)

    # ── build ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def build(self, fact: str, days: list[int]) -> Steps:
        """Read the generation, then the inputs; judge; publish. The days are one chunk."""
        generations = {day: generation for day, generation in self.world.pending(fact).items() if day in days}
        if not generations:
            return
        yield
        rows: list[MartRow] = []
        yield from (self.build_lines if fact == LINES else self.build_receipts)(list(generations), rows)
        yield from self.finish(fact, generations, rows)

    def finish(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> Steps:
        """The gate, slice by slice; and what it lets pass is published."""
        yield
        failed = self.failed(generations, rows)
        for day in failed:
            self.block((fact, day), generations[day])
        yield
        passed = {day: generation for day, generation in generations.items() if day not in failed}
        yield from self.publish(fact, passed, [row for row in rows if row.day in passed])

    def build_lines(self, days: list[int], rows: list[MartRow]) -> Steps:
        """Lines of the days, with what was received and the rate."""
        lines = self.current(LINE, days)
        yield
        receipts = self.current_receipts()
        yield
        rates = {row.payload.day: row.payload.quantity for row in self.current(RATE, self.rate_days(days))}
        for line in lines:
            received = sum(row.payload.quantity for row in receipts if row.payload.link == line.key)
            day = line.payload.day
            values = (line.payload.quantity, received, self.rate(rates, day), self.logic)
            rows.append(MartRow(LINES, day, line.key, values))

    def rate_days(self, days: list[int]) -> list[int]:
        """One window is read for the whole chunk."""
        return list(range(min(days) - TOLERANCE_DAYS, max(days) + 1))

    def rate(self, rates: dict[int, int], day: int) -> int | None:
        """The newest rate that is not too old for the day, whatever else was read."""
        return max(((d, rate) for d, rate in rates.items() if 0 <= day - d <= TOLERANCE_DAYS), default=(0, None))[1]

    def build_receipts(self, days: list[int], rows: list[MartRow]) -> Steps:
        """Receipts of the days."""
        yield
        for row in self.current_receipts():
            day, quantity, link, _ = row.payload
            if day in days:
                rows.append(MartRow(RECEIPTS, day, (day, row.key), (quantity, link, self.logic)))

    def current(self, dataset: str, days: list[int]) -> list[LakeRow]:
        """The lake's rows that the ledger calls current; a row that is there twice is one."""
        found: list[LakeRow] = []
        for key, known in self.world.keys[dataset].items():
            if known.payload is not None and known.payload.day in days and self.is_present(dataset, known):
                rows = [r for r in self.world.lake if (r.dataset, r.key, r.payload) == (dataset, key, known.payload)]
                found += rows[:1]
        return found

    def current_receipts(self) -> list[LakeRow]:
        """Rows of each slot's newest revision; of a key's rows of one day, those of the newest delivery."""
        rows = self.counting_receipts()
        newest: dict[tuple[int, int], LakeRow] = {}
        for row in sorted(rows, key=lambda row: row.order):
            newest[row.payload.day, row.key] = row
        return [row for row in rows if newest[row.payload.day, row.key].extract == row.extract]

    def counting_receipts(self) -> list[LakeRow]:
        """Rows of each slot's newest revision."""
        slots = {landed.slot for landed, _ in self.world.accepted.values() if landed.dataset == RECEIPT}
        counting = {landed.id for landed in map(self.newest_revision, slots) if landed is not None}
        return [row for row in self.world.lake if row.extract in counting]

    # ── gate and publish ────────────────────────────────────────────────────────────────────────────────────────────

    def failed(self, generations: dict[int, int], rows: list[MartRow]) -> set[int]:
        """Days whose slice a gate holds back."""
        return {row.day for row in rows if is_bad(row) and row.day in generations}

    def block(self, slice_: Slice, generation: int) -> None:
        """Only what was judged is blocked: not a slice that has changed since."""
        if self.world.dirty[slice_].generation == generation:
            self.world.dirty[slice_] = Dirty(generation, is_blocked=True)

    def publish(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> Steps:
        """One transaction: what differs is deleted and written, the slices are recorded."""
        days = self.live(fact, generations)
        rows = [row for row in rows if row.day in days]
        have = [row for row in self.world.mart if row.fact == fact and row.day in days]
        new = [row for row in rows if not any(self.is_same(row, old) for old in have)]
        gone = self.gone(have, rows)
        self.delete(fact, days, gone | {row.key for row in new})
        self.world.mart += new
        self.note(fact, {day: generations[day] for day in days}, rows)
        yield

    def live(self, fact: str, generations: dict[int, int]) -> list[int]:
        """Slices that are still as they were read, and not published by newer logic."""
        return [
            day
            for day, generation in generations.items()
            if self.is_still(fact, day, generation) and self.world.published(fact, day).logic <= self.logic
        ]

    def is_still(self, fact: str, day: int, generation: int) -> bool:
        """Whether the slice is as it was when its generation was read."""
        return self.world.dirty[fact, day].generation == generation

    def is_same(self, row: MartRow, published: MartRow) -> bool:
        """By natural key and row hash."""
        return row == published

    def gone(self, have: list[MartRow], rows: list[MartRow]) -> set[object]:
        """Keys that a slice no longer has."""
        return {row.key for row in have} - {row.key for row in rows}

    def delete(self, fact: str, days: list[int], keys: set[object]) -> None:
        """By natural key, wherever the fact holds it."""
        self.world.mart = [row for row in self.world.mart if row.fact != fact or row.key not in keys]

    def note(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> None:
        """The slices are published at the generation that was read."""
        world = self.world
        keys = {row.key for row in rows}
        world.whole = [r for r in world.whole if r.fact != fact or (r.day not in generations and r.key not in keys)]
        world.whole += rows
        for day, generation in generations.items():
            world.slices[fact, day] = Published(generation, self.logic)
