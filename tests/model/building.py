"""The steps of build and publish as the architecture has them. Each rule is a method that a fault may break.

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
    LakeRow,
    MartRow,
    Named,
    Published,
    Slice,
    World,
    is_bad,
)

Steps = Iterator[None]
Among = set[object] | None
"""Keys of the fact rows that a build is about; None: every row of its slices."""


class Builder:
    """The half of a process that builds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.logic = world.logic
        self.mapping = world.mapping

    # ── build ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def build(self, fact: str, days: list[int]) -> Steps:
        """Slices that are dirty as a whole, then those of which rows are."""
        pending = {day: generation for day, generation in self.world.pending(fact).items() if day in days}
        whole = {day: generation for day, generation in pending.items() if self.is_whole(fact, day)}
        by_row = {day: generation for day, generation in pending.items() if day not in whole}
        among = self.names(fact, by_row)
        yield from self.build_chunk(fact, whole, None)
        yield from self.build_chunk(fact, by_row, among)
        yield
        self.forget(fact)

    def build_chunk(self, fact: str, generations: dict[int, int], among: Among) -> Steps:
        """The generation was read; now the inputs are; judge; publish."""
        if not generations:
            return
        yield
        rows: list[MartRow] = []
        yield from (self.build_lines if fact == LINES else self.build_receipts)(list(generations), rows)
        yield from self.finish(fact, generations, [row for row in rows if among is None or row.key in among], among)

    def names(self, fact: str, days: Iterable[int]) -> set[object]:
        """Keys of the rows that are named in some slices; read after their generations were."""
        return {key for name, day, key in self.world.named if name == fact and day in days}

    def is_whole(self, fact: str, day: int) -> bool:
        """Whether more than some rows of a slice changed since it was published, by the same logic."""
        published = self.world.published(fact, day)
        return self.world.dirty[fact, day].whole > published.generation or self.is_of_other_logic(published)

    def is_of_other_logic(self, published: Published) -> bool:
        """Whether rows of this logic must not stand beside those of a slice; so it is where there is none."""
        return published.logic != self.logic

    def forget(self, fact: str) -> None:
        """Names of rows in slices that do not wait are forgotten, while nothing is accepted."""
        world = self.world
        world.named = {row for row in world.named if row[0] != fact or world.is_waiting(row[0], row[1])}

    def mark(self, slices: set[Slice], named: Iterable[Named] = ()) -> None:
        """A new generation, which is pending whatever was before. Generations never restart."""
        world = self.world
        world.generation += 1
        for fact, day, _ in named:
            held = world.dirty.get((fact, day), Dirty(0))
            world.dirty[fact, day] = Dirty(world.generation, whole=held.whole)
        for slice_ in slices:
            world.dirty[slice_] = Dirty(world.generation, whole=world.generation)
        world.named |= set(named)

    def finish(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> Steps:
        """The gate, slice by slice; and what it lets pass is published."""
        yield
        failed = self.failed(generations, rows)
        for day in failed:
            self.block((fact, day), generations[day])
        yield
        passed = {day: generation for day, generation in generations.items() if day not in failed}
        yield from self.publish(fact, passed, [row for row in rows if row.day in passed], among)

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

    def publish(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> Steps:
        """One transaction: what differs is deleted and written, the slices are recorded."""
        days = self.live(fact, generations)
        rows = [row for row in rows if row.day in days]
        have = [row for row in self.held(fact, days) if among is None or row.key in among]
        new = [row for row in rows if not any(self.is_same(row, old) for old in have)]
        gone = self.gone(have, rows)
        lost = self.delete(fact, days, gone | {row.key for row in new})
        self.world.mart += new
        self.note(fact, {day: generations[day] for day in days}, rows, among)
        self.count(fact, days, rows if among is None else new, lost, is_whole=among is None)
        yield

    def held(self, fact: str, days: list[int]) -> list[MartRow]:
        """What slices hold."""
        return [row for row in self.world.mart if row.fact == fact and row.day in days]

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

    def delete(self, fact: str, days: list[int], keys: set[object]) -> list[MartRow]:
        """By natural key, wherever the fact holds it: what was deleted."""
        lost = [row for row in self.world.mart if row.fact == fact and row.key in keys]
        self.world.mart = [row for row in self.world.mart if row not in lost]
        return lost

    def note(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> None:
        """The slices are published at the generation that was read."""
        world = self.world
        keys = {row.key for row in rows}
        world.whole = [
            r
            for r in world.whole
            if r.fact != fact
            or (r.key not in keys and not (r.day in generations and (among is None or r.key in among)))
        ]
        world.whole += rows
        for day, generation in generations.items():
            world.slices[fact, day] = Published(generation, self.logic)

    def count(self, fact: str, days: list[int], written: list[MartRow], lost: list[MartRow], *, is_whole: bool) -> None:
        """The records say how many rows the slices hold: counted where they are whole, else moved by what differs."""
        counts = self.world.counts
        for day in days:
            before = 0 if is_whole else counts.get((fact, day), 0) - sum(row.day == day for row in lost)
            counts[fact, day] = before + sum(row.day == day for row in written)
        self.rob(fact, [row for row in lost if row.day not in days])

    def rob(self, fact: str, lost: list[MartRow]) -> None:
        """Rows that other slices lost are taken off their records."""
        for row in lost:
            self.world.counts[fact, row.day] -= 1
