"""Machines that break one rule of accepting each, and are named after it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tests.model.building import Steps
from tests.model.machine import Change, Keys, Machine
from tests.model.world import (
    LINE,
    LINES,
    Known,
    LakeRow,
    Landed,
    Named,
    Order,
    Payload,
    Slice,
    Staged,
)
from tests.properties.deliveries import Given, Row


class AppendAsksFirst(Machine):
    """An append asks for its transaction id first."""

    def append(self, landed: Landed, rows: list[Staged], kept: list[Staged]) -> Steps:
        self.write(landed, kept)
        yield


class OneHandle(Machine):
    """The id is asked for and committed through one handle."""

    def append(self, landed: Landed, rows: list[Staged], kept: list[Staged]) -> Steps:
        if landed.id not in self.world.lake_ids:
            yield
            self.write(landed, kept)
            self.world.lake_ids[landed.id] = 0
        yield


class IdHoldsHash(Machine):
    """The transaction id holds a hash of the staged rows."""

    def append(self, landed: Landed, rows: list[Staged], kept: list[Staged]) -> Steps:
        if landed.id not in self.world.lake_ids:
            self.write(landed, kept)
            self.world.lake_ids[landed.id] = 0
        yield


class DeadTriesDoNotCount(Machine):
    """Rows of a try that came to no end do not count."""

    def append(self, landed: Landed, rows: list[Staged], kept: list[Staged]) -> Steps:
        digest = hash(tuple(rows))
        if self.world.lake_ids.get((landed.id, digest)) is None:
            self.write(landed, kept)
            self.world.lake_ids[landed.id, digest] = 1
        yield


class LockBeforeSnapshot(Machine):
    """The lock is taken before the transaction's snapshot exists."""

    def accept(self, landed: Landed, rows: list[Staged], existing: Keys, count: int) -> Steps:
        yield from super().accept(landed, rows, existing, self.world.accept_count)


class DirtyInTheTransaction(Machine):
    """Ledger and dirty slices move on in one transaction."""

    def accept(self, landed: Landed, rows: list[Staged], existing: Keys, count: int) -> Steps:
        if landed.id in self.world.accepted:
            return
        fresh = dict(self.world.keys.get(landed.dataset, {}))
        is_append = landed.dataset not in self.world.keys
        changes = list(self.take_append(landed, rows) if is_append else self.merge(landed, rows, fresh))
        self.record(landed)
        yield
        self.mark(*self.touched(landed.dataset, changes))


class RecordInTheTransaction(Machine):
    """Versions and record are written in one transaction."""

    def accept(self, landed: Landed, rows: list[Staged], existing: Keys, count: int) -> Steps:
        if landed.id in self.world.accepted:
            return
        self.record(landed)
        yield
        fresh = dict(self.world.keys.get(landed.dataset, {}))
        is_append = landed.dataset not in self.world.keys
        changes = list(self.take_append(landed, rows) if is_append else self.merge(landed, rows, fresh))
        self.mark(*self.touched(landed.dataset, changes))


class OrdersHoldRevision(Machine):
    """Orders are full tuples: revision."""

    def order(self, given: Given, row: Row) -> Order:
        return (given.row_at(row), given.at, 0, given.landing)


class OrdersHoldLanding(Machine):
    """Orders are full tuples: first landing, never a date alone."""

    def newer(self, old: tuple[Order, Payload], new: tuple[Order, Payload]) -> tuple[Order, Payload]:
        return new if new[0][:2] >= old[0][:2] else old


class UpdatedAtOrders(Machine):
    """Delta versions are ordered by updated_at."""

    def order(self, given: Given, row: Row) -> Order:
        return (given.at, *given.order)


class SightingIsOwnOrder(Machine):
    """A delta row's sighting is its own order, so a late delta with an old row revives nothing."""

    def sighting(self, row: Staged) -> Order:
        return max(row.order, (row.order[1], *row.order[1:]))


class EqualPayloadTakesOrder(Machine):
    """An identical payload is not appended again, but its order is still taken."""

    def newer(self, old: tuple[Order, Payload], new: tuple[Order, Payload]) -> tuple[Order, Payload]:
        return old if old[1] == new[1] else max(old, new)


class QuarantinedIsSeen(Machine):
    """A key that was quarantined has been seen."""

    def join(self, known: Known | None, rows: list[Staged]) -> Known:
        good = [row for row in rows if not row.is_quarantined]
        joined = super().join(known, rows)
        seen = max([row.order for row in good] + ([known.seen] if known else [joined.seen[:0]]))
        return replace(joined, seen=seen)


class DeletedIsPayload(Machine):
    """Is_deleted is part of the payload hash."""

    def newer(self, old: tuple[Order, Payload], new: tuple[Order, Payload]) -> tuple[Order, Payload]:
        if old[1]._replace(is_deleted=new[1].is_deleted) == new[1]:
            return max(old[0], new[0]), old[1]
        return max(old, new)


class UnreadableCoversNothing(Machine):
    """An unreadable key gives no coverage."""

    def covers(self, given: Given) -> bool:
        return given.mode in ("snapshot", "period")


class CoverageIsNewest(Machine):
    """Coverage holds the newest order of a scope."""

    def cover(self, given: Given) -> None:
        self.world.coverage[given.period] = (given.at, *given.order)


class AnyScopeRetires(Machine):
    """A key is gone when any covered scope is newer than its sighting."""

    def is_present(self, dataset: str, known: Known) -> bool:
        if known.payload is None or known.payload.is_deleted or dataset != LINE:
            return super().is_present(dataset, known)
        # The narrower scope only, where there are two.
        scopes = [scope for scope in self.world.coverage if self.is_in(scope, known.payload.day)]
        scope = max(scopes, key=lambda scope: scope is not None, default=None)
        return not scopes or self.world.coverage[scope] <= known.seen


class PeriodCoversItsBounds(Machine):
    """A period covers its bounds and no more."""

    def is_in(self, scope: int | None, day: int) -> bool:
        return True


class AbsenceIsDerived(Machine):
    """Absence is derived, never stored."""

    def retire(self, dataset: str) -> None:
        for key, known in self.world.keys[dataset].items():
            if known.payload is not None and not self.is_present(dataset, known):
                gone = known.payload._replace(is_deleted=True)
                self.world.keys[dataset][key] = replace(known, payload=gone)


class SnapshotIsOneExtract(Machine):
    """A snapshot slot is one extract; its files are staged together."""

    def take(self, landed: Landed) -> Steps:
        given = landed.given
        if given.mode == "snapshot" and len(given.rows) > 1:
            part = replace(given, rows=given.rows[:1], landing=given.landing - 0.5)
            yield from super().take(Landed(landed.dataset, part))
            self.world.accepted.pop(part.landing, None)
            landed = Landed(landed.dataset, replace(given, rows=given.rows[1:]))
        yield from super().take(landed)


class PeriodBoundsQuarantine(Machine):
    """Rows outside a period's declared bounds are quarantined."""

    def is_quarantined(self, given: Given, row: Row) -> bool:
        return row.is_quarantined


class NothingIsUnaccepted(Machine):
    """Nothing accepted is ever un-accepted: an older revision of a delta still counts."""

    def is_given_up(self, landed: Landed) -> bool:
        newer = [
            other
            for other, _ in self.world.accepted.values()
            if other.slot == landed.slot
            and other.given.mode == landed.given.mode
            and other.given.order > landed.given.order
        ]
        if newer and landed.given.mode == "delta":
            self.world.accepted[landed.id] = (landed, self.mapping)
            return True
        return False


class RevisionReplacesSlot(Machine):
    """A new revision of an append slot replaces the slot's rows, whenever it comes."""

    def newest_revision(self, slot: object) -> Landed | None:
        accepted = [landed for landed, _ in self.world.accepted.values() if landed.slot == slot]
        return accepted[-1] if accepted else None


class ReplacedRowsTouch(Machine):
    """Rows that an append revision replaces are touched."""

    def take_append(self, landed: Landed, rows: list[Staged]) -> Iterator[Change]:
        return (change for change in super().take_append(landed, rows) if change[1] is not None)


class OtherSlotsTouch(Machine):
    """A row of another slot that stops or begins to count is touched."""

    def said_elsewhere(self, keys: set[tuple[int, int]]) -> list[LakeRow]:
        return []


class RetiredKeysTouch(Machine):
    """Keys that a new coverage retires are touched."""

    def merge(self, landed: Landed, rows: list[Staged], existing: Keys) -> Iterator[Change]:
        delivered = {row.key for row in rows}
        return (change for change in super().merge(landed, rows, existing) if change[2] in delivered)


class OldRowTouches(Machine):
    """Touches takes the old row."""

    def touched(self, dataset: str, changes: list[Change]) -> tuple[set[Slice], set[Named]]:
        return super().touched(dataset, [(None if new else old, new, key) for old, new, key in changes])


class NewRowTouches(Machine):
    """Touches takes the new row."""

    def touched(self, dataset: str, changes: list[Change]) -> tuple[set[Slice], set[Named]]:
        return super().touched(dataset, [(old, None if old else new, key) for old, new, key in changes])


class LinkedRowTouches(Machine):
    """A receipt touches the slice of its line."""

    def linked(self, line: int) -> set[Named]:
        return set()


class TouchesReadTheLedger(Machine):
    """Touches are looked up in current rows, never in mart."""

    def linked(self, line: int) -> set[Named]:
        return {(row.fact, row.day, line) for row in self.world.mart if row.fact == LINES and row.key == line}


class LateRateTouchesAhead(Machine):
    """A late rate dirties the days that look back to it."""

    def reach(self) -> int:
        return 0


class EmptySlicesAreTouched(Machine):
    """Every slice is touched whether or not it has rows yet."""

    def mark(self, slices: set[Slice], named: Iterable[Named] = ()) -> None:
        have = {(row.fact, row.day) for row in self.world.mart}
        if self.world.slices:
            slices, named = slices & have, [row for row in named if row[:2] in have]
        super().mark(slices, named)
