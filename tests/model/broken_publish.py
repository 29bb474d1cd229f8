"""Machines that break one rule of building and publishing each, and are named after it."""

from collections.abc import Iterable

from tests.model.building import Among, Steps
from tests.model.machine import Change, Machine
from tests.model.world import RATE, Dirty, LakeRow, MartRow, Named, Published, Slice


class GenerationIsReadFirst(Machine):
    """A build reads a slice's generation first."""

    def finish(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> Steps:
        now = {day: self.world.dirty[fact, day].generation for day in generations}
        yield from super().finish(fact, now, rows, among)


class GenerationIsCompared(Machine):
    """A slice is written only while its generation is the one the build read."""

    def is_still(self, fact: str, day: int, generation: int) -> bool:
        return True


class OlderNeverReplacesNewer(Machine):
    """A slice built from older data never replaces one built from newer."""

    def is_still(self, fact: str, day: int, generation: int) -> bool:
        # Recorded at the newest generation, as if it had been read.
        return True

    def note(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> None:
        super().note(fact, {day: self.world.dirty[fact, day].generation for day in generations}, rows, among)


class OlderLogicWaits(Machine):
    """Older logic publishes nothing over newer."""

    def live(self, fact: str, generations: dict[int, int]) -> list[int]:
        return [day for day, generation in generations.items() if self.is_still(fact, day, generation)]


class ComparedUnderTheLock(Machine):
    """Generation and inputs are compared under the fact's lock."""

    def publish(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> Steps:
        days = self.live(fact, generations)
        yield
        still = {day: self.world.dirty[fact, day].generation for day in days}
        yield from super().publish(fact, still, [row for row in rows if row.day in still], among)


class DeletedWhereverHeld(Machine):
    """Rows are deleted by natural key wherever the fact holds them."""

    def delete(self, fact: str, days: list[int], keys: set[object]) -> list[MartRow]:
        lost = [row for row in self.held(fact, days) if row.key in keys]
        self.world.mart = [row for row in self.world.mart if row not in lost]
        return lost


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

    def publish(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> Steps:
        days = self.live(fact, generations)
        have = {row.key for row in self.held(fact, days)}
        self.delete(fact, days, have)
        yield
        yield from super().publish(fact, generations, rows, among)


class RecordedWithTheRows(Machine):
    """The slice is recorded with what was written, not before."""

    def publish(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> Steps:
        for day in self.live(fact, generations):
            self.world.slices[fact, day] = Published(generations[day], self.logic)
        yield
        yield from super().publish(fact, generations, rows, among)


class GenerationsNeverRestart(Machine):
    """Generations never restart."""

    def mark(self, slices: set[Slice], named: Iterable[Named] = ()) -> None:
        for slice_ in slices | {(fact, day) for fact, day, _ in named}:
            held = self.world.dirty.get(slice_)
            generation = held.generation + 1 if held else 1
            self.world.dirty[slice_] = Dirty(generation, whole=generation)

    def note(self, fact: str, generations: dict[int, int], rows: list[MartRow], among: Among) -> None:
        super().note(fact, generations, rows, among)
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

    def mark(self, slices: set[Slice], named: Iterable[Named] = ()) -> None:
        every = slices | {(fact, day) for fact, day, _ in named}
        blocked = {slice_ for slice_ in every if self.world.dirty.get(slice_, Dirty(0)).is_blocked}
        super().mark(slices, named)
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


class WholeStaysWhole(Machine):
    """A slice that is dirty as a whole stays so when rows of it change."""

    def mark(self, slices: set[Slice], named: Iterable[Named] = ()) -> None:
        super().mark(slices, named)
        for fact, day, _ in named:
            if (fact, day) not in slices:
                self.world.dirty[fact, day] = self.world.dirty[fact, day]._replace(whole=0)


class OtherLogicBuildsWhole(Machine):
    """No rows of one logic stand beside another's: a slice of another logic is built whole."""

    def is_of_other_logic(self, published: Published) -> bool:
        return not published.logic


class NamesStayWhileASliceWaits(Machine):
    """A row stays named until its slice does not wait any more."""

    def forget(self, fact: str) -> None:
        self.world.named = {row for row in self.world.named if row[0] != fact}


class NamesAreReadAfterGenerations(Machine):
    """The names of dirty rows are read after the generations were."""

    def build(self, fact: str, days: list[int]) -> Steps:
        self.early = set(self.world.named)
        yield
        yield from super().build(fact, days)

    def names(self, fact: str, days: Iterable[int]) -> set[object]:
        return {key for name, day, key in self.early if name == fact and day in days}


class BothSidesAreNamed(Machine):
    """Both sides of a change are named: a row that moves leaves the slice it was in."""

    def touched(self, dataset: str, changes: list[Change]) -> tuple[set[Slice], set[Named]]:
        _, self.named = super().touched(dataset, [(None, new, key) for _, new, key in changes])
        return super().touched(dataset, changes)

    def mark(self, slices: set[Slice], named: Iterable[Named] = ()) -> None:
        super().mark(slices, named)
        if named:
            self.world.named -= set(named) - self.named


class RobbedSlicesAreCounted(Machine):
    """A slice that loses rows to another has them taken off its record."""

    def rob(self, fact: str, lost: list[MartRow]) -> None:
        return
