"""Watching the landing zone: tells Prefect which files have landed, once each is complete.

The operating system says where something changed; what has changed is always looked up. So a change that it did not
tell, or that lies on a file system or an object store that tells nothing, is found by the next look at everything.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flows import events
from flows.io.pull import load_sources
from flows.io.pull.files import Arrived, arrived
from flows.io.pull.store import FOLDER, Store
from flows.settings import Settings
from schemas.errors import OpsmartError, SourceError
from schemas.source import Source

LOOK_AT_ALL_S = 30.0
"""How often everything is looked at, changed or not; remote files are only looked at then."""

_STEP_MS = 50
_ANSWER_MS = 200
"""How long changes are gathered, and how often the time is looked at where there are none."""

Tell = Callable[[str], None]
"""Says something to whoever runs the watch."""


@dataclass
class Watcher:
    """Looks at the landing zone and sends an event for each source that has new complete files.

    `send` takes events or raises an OpsmartError; what it did not take is sent with the next look.
    """

    settings: Settings
    send: Callable[[Sequence[events.Event]], None]
    tell: Tell
    _due: dict[str, float] = field(default_factory=dict)
    """When to look at a source again, by the monotonic clock."""
    _sent: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    """Files that an event told of and that were not pulled since, by source."""
    _said: dict[str, str] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set."""
        self.settings.landing.mkdir(parents=True, exist_ok=True)
        all_due = 0.0
        for changed in self._changes(stop):
            now = time.monotonic()
            if now >= all_due:
                self.look(None)
                all_due = time.monotonic() + LOOK_AT_ALL_S
            elif names := changed | {name for name, due in self._due.items() if due <= now}:
                self.look(names)

    def look(self, names: set[str] | None) -> None:
        """Look at some sources, or at all of them and their remote files too, and tell what is new."""
        news: list[tuple[events.Event, dict[str, tuple[int, ...]]]] = []
        for name, source in self._sources().items():
            if names is not None and name not in names:
                continue
            self._due.pop(name, None)
            found = self._arrived(source, with_remote=names is None)
            if found is None:
                continue
            if found.look_again_s is not None:
                self._due[name] = time.monotonic() + found.look_again_s
            known = self._sent.get(name, {})
            if names is None:  # what is not there any more was pulled
                known = self._sent[name] = {file: known[file] for file in known.keys() & found.complete.keys()}
            fresh = {file: stat for file, stat in found.complete.items() if known.get(file) != stat}
            if fresh:
                news.append((events.landed(name, fresh, datetime.now(UTC)), fresh))
        if not news:
            return
        try:
            self.send([event for event, _ in news])
        except OpsmartError as error:
            self._say_once("Prefect", error)
            self._due.update({event.resource: time.monotonic() + 1 for event, _ in news})
            return
        self._said.pop("Prefect", None)
        for event, files in news:
            self._sent[event.resource] = self._sent.get(event.resource, {}) | files

    def _sources(self) -> dict[str, Source]:
        broken: dict[str, SourceError] = {}
        sources = load_sources(self.settings.sql_root / "sources", self.settings.sources, broken=broken)
        for name, error in broken.items():
            self._say_once(name, error)
        return sources

    def _arrived(self, source: Source, *, with_remote: bool) -> Arrived | None:
        log = Store(self.settings.landing).read_log(source.name)
        try:
            return arrived(source, self.settings.landing, log, with_remote=with_remote)
        except OpsmartError as error:
            self._say_once(source.name, error)
            return None

    def _say_once(self, subject: str, error: OpsmartError) -> None:
        if self._said.get(subject) != str(error):
            self._said[subject] = str(error)
            self.tell(f"{subject}: {error}")

    def _changes(self, stop: threading.Event) -> Iterator[set[str]]:
        """Sources below whose landing folders something changed, again and again; empty where nothing did."""
        from watchfiles import watch

        landing = self.settings.landing
        try:
            for changes in watch(
                landing, watch_filter=None, debounce=_ANSWER_MS, step=_STEP_MS, rust_timeout=_ANSWER_MS,
                yield_on_timeout=True, stop_event=stop, raise_interrupt=False,
            ):  # fmt: skip
                yield _sources_of(landing, (path for _, path in changes))
        except OSError as error:
            # the system's limit of watches, say: looking at everything goes on
            self.tell(f"Changes are not told by the system ({error}); looking every {LOOK_AT_ALL_S:.0f} s.")
            while not stop.wait(_ANSWER_MS / 1000):
                yield set()


def _sources_of(landing: Path, paths: Iterable[str]) -> set[str]:
    names = {Path(path).relative_to(landing).parts[:1] for path in paths if Path(path).is_relative_to(landing)}
    return {name for (name,) in filter(None, names) if name != FOLDER}
