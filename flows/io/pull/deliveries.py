"""Landed files grouped to deliveries: one per dataset, slot and revision."""

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from flows.expected import business_day
from flows.io.pull.files import REMOTE
from flows.io.pull.slots import Slot, newest_up_to, read_slot
from flows.io.pull.store import Landing, Log, PathLog, Store
from flows.io.staging.mapping import analyse
from schemas.source import Bounds, Source


@dataclass(frozen=True, slots=True)
class LandedFile:
    """Bytes of one raw table in the store, and the name they came by (below the source's landing folder)."""

    table: str
    name: str
    path: Path
    sha256: str
    size: int
    landed_at: datetime
    has_nul: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """One extract to be: the files of every raw table that a dataset's SELECT names, of one slot and revision."""

    source: str
    dataset: str
    slot: str
    as_of: date
    period: Bounds | None
    revision: int
    content_hash: str
    landed_at: datetime
    files: tuple[LandedFile, ...]
    missing: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)

    @property
    def is_complete(self) -> bool:
        """Whether every table of the SELECT has its file."""
        return not self.missing

    @property
    def has_nul(self) -> bool:
        """Whether any cell may hold a NUL character."""
        return any(file.has_nul for file in self.files)


@dataclass(slots=True)
class _Landed:
    """What one raw table has in the store, path by path."""

    landings: dict[str, list[Landing]] = field(default_factory=dict)

    def at(self, moment: datetime) -> dict[str, Landing]:
        """What its paths yielded at a moment."""
        state = {
            name: next((item for item in reversed(items) if item.landed_at <= moment), None)
            for name, items in self.landings.items()
        }
        return {name: item for name, item in state.items() if item is not None and item.sha256}

    def newest(self) -> dict[str, Landing]:
        """The newest content of each path, also of paths that are gone: what landed may not be taken yet."""
        newest = {name: [item for item in items if item.sha256][-1:] for name, items in self.landings.items()}
        return {name: items[0] for name, items in newest.items() if items}


def group_deliveries(source: Source, log: Log, store: Store) -> tuple[list[Delivery], list[str]]:
    """Deliveries of a source, complete or not, oldest first; and its files whose names say no slot.

    Raises:
        SourceError: A mapping SELECT is wrong.
    """
    landed = {name: _landed(source, name, log) for name in source.tables}
    slots, odd = _read_slots(source, landed)
    found: list[Delivery] = []
    for dataset, sql in source.mappings.items():
        read = analyse(dataset, sql, source.tables, f"{source.folder / dataset}.sql").tables
        tables = dict.fromkeys((*read, *source.datasets[dataset].control_tables))
        own = {table: landed[table] for table in tables}
        named = {table: slots[table] for table in tables if source.tables[table].slot}
        found += _by_slot(source, dataset, own, named, store) if named else _by_moment(source, dataset, own, store)
    return sorted(found, key=lambda delivery: (delivery.as_of, delivery.revision, delivery.landed_at)), odd


def deliveries_at(source: Source, landing: Path, moment: datetime) -> list[Delivery]:
    """Deliveries of a source as its log would have shown them at a moment.

    Raises:
        SourceError: A mapping SELECT is wrong.
    """
    store = Store(landing)
    until = {
        name: PathLog(entry.stat, [item for item in entry.landings if item.landed_at <= moment])
        for name, entry in store.read_log(source.name).items()
    }
    return group_deliveries(source, until, store)[0]


def _landed(source: Source, name: str, log: Log) -> _Landed:
    table = source.tables[name]
    if table.is_query:
        key = f"query:{name}"
        return _Landed({key: log[key].landings} if key in log else {})
    path = str(table.path)
    if "://" in path:
        prefix = f"{REMOTE}{name}:"
        return _Landed({logged: entry.landings for logged, entry in log.items() if logged.startswith(prefix)})
    return _Landed(
        {
            logged: entry.landings
            for logged, entry in log.items()
            if not logged.startswith((REMOTE, "query:")) and _matches(logged, path)
        }
    )


def _matches(name: str, pattern: str) -> bool:
    parts = pattern.split("/")
    if "**" not in parts:
        names, wanted = name.split("/"), _parts(pattern)
        is_like = len(names) == len(wanted) and all(map(re.Pattern.match, wanted, names))
        return is_like or name == pattern
    # It stands for any number of folders.
    at = parts.index("**")
    folders = name.split("/")
    spare = len(folders) - (len(parts) - 1)
    return any(
        _matches(name, "/".join(parts[:at] + ["*"] * count + parts[at + 1 :])) for count in range(max(spare, 0) + 1)
    )


@cache
def _parts(pattern: str) -> list[re.Pattern[str]]:
    """An expression for each part of a path: a source has thousands of files to be matched each time."""
    return [re.compile(fnmatch.translate(part)) for part in pattern.split("/")]


Slots = Mapping[str, Slot]
"""By path."""


def _read_slots(source: Source, landed: Mapping[str, _Landed]) -> tuple[dict[str, Slots], list[str]]:
    slots: dict[str, Slots] = {}
    odd: list[str] = []
    for table, raw in source.tables.items():
        if raw.slot is None:
            continue
        found = {}
        for name in landed[table].landings:
            try:
                slot = read_slot(name, raw.slot)
            except ValueError:
                slot = None
            if slot is None:
                odd.append(name)
            else:
                found[name] = slot
        slots[table] = found
    return slots, odd


def _by_slot(
    source: Source, dataset: str, landed: Mapping[str, _Landed], slots: Mapping[str, Slots], store: Store
) -> Iterable[Delivery]:
    newest = {table: content.newest() for table, content in landed.items()}
    named: dict[tuple[date, Bounds | None, str], dict[str, dict[int, list[str]]]] = {}
    for table, of_table in slots.items():
        for name, slot in of_table.items():
            if name in newest[table]:
                place = named.setdefault((slot.as_of, slot.period, slot.text), {}).setdefault(table, {})
                place.setdefault(slot.revision, []).append(name)
    for (as_of, period, text), tables in named.items():
        for revision in sorted({number for revisions in tables.values() for number in revisions}):
            chosen: dict[str, dict[str, Landing]] = {}
            for table in landed:
                if table not in slots:
                    chosen[table] = newest[table]
                    continue
                number = newest_up_to(tables.get(table, {}), revision)
                names = tables[table][number] if number is not None else []
                chosen[table] = {name: newest[table][name] for name in sorted(names, key=_in_part_order(slots[table]))}
            yield _delivery(source, dataset, text, as_of, period, revision, chosen, store)


def _in_part_order(slots: Slots) -> "_PartOrder":
    return _PartOrder(slots)


@dataclass(frozen=True, slots=True)
class _PartOrder:
    slots: Slots

    def __call__(self, name: str) -> tuple[int, str, str]:
        part = self.slots[name].part
        return len(part) if part.isdigit() else 0, part, name


def _by_moment(source: Source, dataset: str, landed: Mapping[str, _Landed], store: Store) -> Iterable[Delivery]:
    """Where no name says a slot: each moment at which any of the files changed."""
    moments = sorted(
        {
            item.landed_at
            for table in landed.values()
            for items in table.landings.values()
            for item in items
            if item.sha256
        }
    )
    for number, moment in enumerate(moments):
        chosen = {table: content.at(moment) for table, content in landed.items()}
        is_latest = number == len(moments) - 1
        if all(chosen.values()) or is_latest:
            as_of = business_day(source, dataset, moment)
            yield _delivery(source, dataset, moment.isoformat(), as_of, None, 0, chosen, store)


def _delivery(
    source: Source,
    dataset: str,
    slot: str,
    as_of: date,
    period: Bounds | None,
    revision: int,
    chosen: Mapping[str, Mapping[str, Landing]],
    store: Store,
) -> Delivery:
    files = tuple(
        LandedFile(table, name, store.path(item.sha256), item.sha256, item.size, item.landed_at, item.has_nul)
        for table, landings in chosen.items()
        for name, item in landings.items()
    )
    content = "\n".join(sorted(f"{file.table} {file.sha256}" for file in files))
    return Delivery(
        source=source.name,
        dataset=dataset,
        slot=slot,
        as_of=as_of,
        period=period if source.datasets[dataset].mode == "period" else None,
        revision=revision,
        content_hash=hashlib.sha256(content.encode()).hexdigest(),
        landed_at=max((file.landed_at for file in files), default=datetime.min.replace(tzinfo=ZoneInfo("UTC"))),
        files=files,
        missing=tuple(table for table, landings in chosen.items() if not landings),
    )
