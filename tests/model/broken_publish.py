"""Machines that break one rule of building and publishing each, and are named after it."""

from tests.model.machine import Machine, Steps
from tests.model.world import (
    RATE,
    Dirty,
    LakeRow,
    MartRow,
    Published,
    Slice,
)


class GenerationIsReadFirst(Machine):
    """A build reads a slice's generation first."""

    def finish(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> Steps:
        now = {day: self.world.dirty[fact, day].generation for day in generations}
        yield from super().finish(fact, now, rows)


class GenerationIsCompared(Machine):
    """A slice is written only while its generation is the one the build read."""

    def is_still(self, fact: str, day: int, generation: int) -> bool:
        return True


class OlderNeverReplacesNewer(Machine):
    """A slice built from older data never replaces one built from newer."""

    def is_still(self, fact: str, day: int, generation: int) -> bool:
        # Recorded at the newest generation, as if it had been read.
        return True

    def note(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> None:
        super().note(fact, {day: self.world.dirty[fact, day].generation for day in generations}, rows)


class OlderLogicWaits(Machine):
    """Older logic publishes nothing over newer."""

    def live(self, fact: str, generations: dict[int, int]) -> list[int]:
        return [day for day, generation in generations.items() if self.is_still(fact, day, generation)]


class ComparedUnderTheLock(Machine):
    """Generation and inputs are compared under the fact's lock."""

    def publish(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> Steps:
        days = self.live(fact, generations)
        yield
        still = {day: self.world.dirty[fact, day].generation for day in days}
        yield from super().publish(fact, still, [row for row in rows if row.day in still])


class DeletedWhereverHeld(Machine):
    """Rows are deleted by natural key wherever the fact holds them."""

    def delete(self, fact: str, days: list[int], keys: set[object]) -> None:
        self.world.mart = [
            row for row in self.world.mart if row.fact != fact or row.key not in keys or row.day not in days
        ]


class GoneRowsAreDeleted(Machine):
    """What a slice no longer has is deleted."""

    def gone(self, have: list[MartRow], rows: list[MartRow]) -> set[object]:
        return set()


class HashIsCompared(Machine):
    """Rows are compared by natural key and row hash."""

    def is_same(self, row: MartRow, published: MartRow) -> bool:
        return row.key == published.key


class PublishIsOneTransaction(Machine):
    """A publish is one transaction."""

    def publish(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> Steps:
        days = self.live(fact, generations)
        have = {row.key for row in self.world.mart if row.fact == fact and row.day in days}
        self.delete(fact, days, have)
        yield
        yield from super().publish(fact, generations, rows)


class RecordedWithTheRows(Machine):
    """The slice is recorded with what was written, not before."""

    def publish(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> Steps:
        for day in self.live(fact, generations):
            self.world.slices[fact, day] = Published(generations[day], self.logic)
        yield
        yield from super().publish(fact, generations, rows)


class GenerationsNeverRestart(Machine):
    """Generations never restart."""

    def mark(self, slices: set[Slice]) -> None:
        for slice_ in slices:
            held = self.world.dirty.get(slice_)
            self.world.dirty[slice_] = Dirty(held.generation + 1 if held else 1)

    def note(self, fact: str, generations: dict[int, int], rows: list[MartRow]) -> None:
        super().note(fact, generations, rows)
        for day in generations:
            # A published slice is forgotten, and counted from one when it is dirtied again.
            self.world.dirty.pop((fact, day))

    def is_still(self, fact: str, day: int, generation: int) -> bool:
        return (fact, day) in self.world.dirty and super().is_still(fact, day, generation)

    def block(self, slice_: Slice, generation: int) -> None:
        if slice_ in self.world.dirty:
            super().block(slice_, generation)


class GateJudgesSlices(Machine):
    """A fact gate judges slice by slice, never by chunk."""

    def failed(self, generations: dict[int, int], rows: list[MartRow]) -> set[int]:
        return set(generations) if super().failed(generations, rows) else set()


class BlockedAtGenerationRead(Machine):
    """Blocked is set only at the generation that was read."""

    def block(self, slice_: Slice, generation: int) -> None:
        self.world.dirty[slice_] = self.world.dirty[slice_]._replace(is_blocked=True)


class NewGenerationUnblocks(Machine):
    """A new generation makes a blocked slice pending again."""

    def mark(self, slices: set[Slice]) -> None:
        blocked = {slice_ for slice_ in slices if self.world.dirty.get(slice_, Dirty(0)).is_blocked}
        super().mark(slices)
        for slice_ in blocked:
            self.world.dirty[slice_] = self.world.dirty[slice_]._replace(is_blocked=True)


class SlicesStandAlone(Machine):
    """What a slice contains does not depend on which slices are built with it."""

    def rate(self, rates: dict[int, int], day: int) -> int | None:
        return max(((d, rate) for d, rate in rates.items() if d <= day), default=(0, None))[1]


class LedgerSaysWhatIsCurrent(Machine):
    """Current rows are the lake's rows whose version the ledger calls current."""

    def current(self, dataset: str, days: list[int]) -> list[LakeRow]:
        if dataset == RATE:
            return super().current(dataset, days)
        rows = [row for row in self.world.lake if row.dataset == dataset and row.payload.day in days]
        newest = {row.key: row for row in sorted(rows, key=lambda row: row.order)}
        known = self.world.keys[dataset]
        return [row for key, row in newest.items() if key in known and self.is_present(dataset, known[key])]


class TwiceInTheLakeIsOnce(Machine):
    """A row that is in the lake twice is one row."""

    def current(self, dataset: str, days: list[int]) -> list[LakeRow]:
        return [
            row
            for found in super().current(dataset, days)
            for row in self.world.lake
            if (row.dataset, row.key, row.payload) == (dataset, found.key, found.payload)
        ]
