"""Schedules of the model: dense deliveries, two processes, crashes anywhere; and what must hold then."""

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.model.building import Steps
from tests.model.machine import Machine
from tests.model.world import (
    BAD,
    LINE,
    LINES,
    RATE,
    RECEIPT,
    RECEIPTS,
    Landed,
    Published,
    Slice,
    World,
    blocked_slices,
    true_mart,
)
from tests.properties.deliveries import DAYS, Given, Row

LINE_KEYS, RECEIPT_KEYS, RECEIPT_DAYS = 2, 2, 2
THEMES = ([4, 2, 1], [1, 0, 0], [1, 3, 0], [2, 0, 1])
"""Shares of lines, receipts and rates: uniform deliveries seldom meet."""
CRASHES, OVERTAKEN, UPGRADES, REMAPPED = 0.04, 0.1, 0.02, 0.3
"""Chances of a crash and of an upgrade at each step, of a delivery that two processes take at once, and of a mapping
that is mended after a crash."""

Make = Callable[[World], Machine]


class BrokenRuleError(AssertionError):
    """The model did not do what the architecture promises."""


def deliveries(random: Random) -> list[Landed]:
    """A few deliveries that collide in keys, days, slots and orders; most of them once, some twice."""
    datasets = random.choices([LINE, RECEIPT, RATE], random.choice(THEMES), k=random.randint(2, 6))
    return [Landed(dataset, _given(random, dataset, landing)) for landing, dataset in enumerate(datasets)]


def _given(random: Random, dataset: str, landing: int) -> Given:
    modes = {LINE: ["snapshot", "delta", "period"], RECEIPT: ["append"], RATE: ["delta"]}
    mode = random.choice(modes[dataset])
    period = random.randint(0, 1) if mode == "period" else None
    is_readable = random.random() < 0.85
    rows = tuple(_rows(random, dataset, mode, period))
    return Given(mode, random.randint(0, 2), random.randint(0, 1), landing, rows, period, is_readable)


def _rows(random: Random, dataset: str, mode: str, period: int | None) -> list[Row]:
    keys = {LINE: LINE_KEYS, RECEIPT: RECEIPT_KEYS, RATE: DAYS}[dataset]
    rows = []
    for key in random.sample(range(keys), random.randint(0 if mode in ("snapshot", "period") else 1, keys)):
        day = random.randrange(DAYS)
        if dataset == RATE:
            day = key
        elif dataset == RECEIPT:
            day = random.randrange(RECEIPT_DAYS)
        elif period is not None and random.random() < 0.8:
            day = random.randint(2 * period, 2 * period + 1)
        rows.append(
            Row(
                key,
                day,
                quantity=BAD if dataset == LINE and random.random() < 0.06 else random.randint(1, 2),
                updated=random.choice([None, 1, 721, 2161]) if mode == "delta" and dataset == LINE else None,
                is_deleted=dataset == LINE and mode == "delta" and random.random() < 0.25,
                is_quarantined=random.random() < 0.12,
                link=random.randrange(LINE_KEYS) if dataset == RECEIPT else 0,
            )
        )
    return rows


class Run:
    """One schedule."""

    def __init__(self, make: Make, seed: int) -> None:
        self.make, self.random, self.world = make, Random(seed), World()
        every = deliveries(self.random)
        again = self.random.choices(every, k=self.random.randint(0, 2))
        self.waiting = [*every, *again]
        self.random.shuffle(self.waiting)
        self.every = every
        self.published: dict[Slice, Published] = {}
        self.working: list[tuple[Landed | None, Steps]] = []

    def go(self) -> World:
        """Run to the end, and look whether all is as it must be.

        Raises:
            BrokenRuleError: It is not.
        """
        while self.waiting or self.working:
            self._tick()
        self._drain()
        self._judge()
        return self.world

    def _tick(self) -> None:
        random = self.random
        if random.random() < UPGRADES:
            # Processes of the older version go on beside it.
            self.world.logic = 2
        if self.working and random.random() < CRASHES:
            self._crash()
        elif self.working and (len(self.working) == 2 or random.random() < 0.6):
            self._step(random.randrange(len(self.working)))
        elif self.waiting and random.random() < 0.6:
            self._begin(random.choice(self.waiting))
        else:
            fact = random.choice([LINES, RECEIPTS])
            days = list(range(DAYS)) if random.random() < 0.5 else [random.randrange(DAYS)]
            self.working.append((None, self.make(self.world).build(fact, days)))

    def _begin(self, landed: Landed) -> None:
        if any(other is landed for other, _ in self.working) and self.random.random() > OVERTAKEN:
            return  # A lock keeps the second one waiting; it is lost with its connection only.
        self.working.append((landed, self.make(self.world).take(landed)))

    def _step(self, number: int) -> None:
        landed, steps = self.working[number]
        try:
            next(steps)
        except StopIteration:
            self.working.pop(number)
            if landed in self.waiting:
                self.waiting.remove(landed)
        self._look()

    def _crash(self) -> None:
        if self.random.random() < 0.5:
            # One of two processes dies. What it left is taken up by somebody else.
            self.working.pop(self.random.randrange(len(self.working)))
            return
        self.working.clear()
        if self.random.random() < REMAPPED:
            self.world.mapping = 1

    def _drain(self) -> None:
        """Nobody disturbs any more: what is pending is taken, what is dirty or stale is built."""
        for landed in self.every:
            self._finish(self.make(self.world).take(landed))
        machine = self.make(self.world)
        self._build_all()
        stale = {slice_ for slice_, published in self.world.slices.items() if published.logic < self.world.logic}
        machine.mark(stale)
        self._build_all()

    def _build_all(self) -> None:
        for _ in range(3):
            for fact in (LINES, RECEIPTS):
                self._finish(self.make(self.world).build(fact, list(range(DAYS))))

    def _finish(self, steps: Steps) -> None:
        for _ in steps:
            self._look()
        self._look()

    def _look(self) -> None:
        """What a reader sees at any moment: whole publishes, no key twice; and nothing older over newer."""
        world = self.world
        if Counter(world.mart) != Counter(world.whole):
            raise BrokenRuleError(f"half a slice: {world.mart} is not {world.whole}")
        if len({(row.fact, row.key) for row in world.mart}) != len(world.mart):
            raise BrokenRuleError(f"a key is there twice: {world.mart}")
        held = Counter((row.fact, row.day) for row in world.mart)
        if any(held[slice_] != world.counts.get(slice_, 0) for slice_ in world.slices):
            raise BrokenRuleError(f"slices hold {held}, their records say {world.counts}")
        for slice_, old in self.published.items():
            new = world.slices[slice_]
            if new.generation < old.generation or new.logic < old.logic:
                raise BrokenRuleError(f"older over newer: {new} over {old}")
        self.published = dict(world.slices)

    def _judge(self) -> None:
        world = self.world
        if missing := [landed for landed in self.every if landed.id not in world.accepted]:
            raise BrokenRuleError(f"never accepted: {missing}")
        want = true_mart(world.accepted.values(), world.logic)
        blocked = blocked_slices(want)
        have_blocked = {
            slice_
            for slice_, dirty in world.dirty.items()
            if dirty.is_blocked and dirty.generation > world.published(*slice_).generation
        }
        if blocked != have_blocked:
            raise BrokenRuleError(f"blocked are {have_blocked}, not {blocked}")
        if any(world.pending(fact) for fact in (LINES, RECEIPTS)):
            raise BrokenRuleError("a slice is dirty for ever")
        found = {row for row in world.mart if (row.fact, row.day) not in blocked}
        if found != {row for row in want if (row.fact, row.day) not in blocked}:
            raise BrokenRuleError(f"the mart is {found}, not {want}")


def survives(make: Make, seed: int) -> bool:
    """Whether a machine comes through a schedule."""
    try:
        Run(make, seed).go()
    except BrokenRuleError:
        return False
    return True
