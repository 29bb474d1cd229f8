"""The landing zone's store: bytes as delivered, named by their SHA-256, and the log of what landed when.

`<landing>/.store/<first two digits>/<sha256>` holds bytes once, however often they came.
`<landing>/.store/<source>.json` says for each path what it yielded when, and lets an unchanged file cost a stat.
"""

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from schemas.errors import StorageError

FOLDER = ".store"
_CHUNK = 1 << 22
_DRAFT_LIFE_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Landing:
    """What a path yielded from a moment on; `sha256` is empty from when it was gone."""

    sha256: str
    landed_at: datetime
    size: int = 0
    has_nul: bool = False


@dataclass(slots=True)
class PathLog:
    """A path's landings, oldest first, and the stat it had at the newest."""

    stat: tuple[int, ...] = ()
    landings: list[Landing] = field(default_factory=list)

    @property
    def newest(self) -> Landing | None:
        """What the path yields now; None where it never did."""
        return self.landings[-1] if self.landings else None

    def note(self, landing: Landing) -> bool:
        """Take in what the path yields now; whether that is a change."""
        if self.newest is not None and self.newest.sha256 == landing.sha256:
            return False
        self.landings.append(landing)
        return True


Log = dict[str, PathLog]
"""By path below the source's landing folder, by `remote:<table>:<path>` or by `query:<table>`."""


class Store:
    """The store of one landing zone."""

    def __init__(self, landing: Path) -> None:
        self.folder = landing / FOLDER

    def path(self, sha256: str) -> Path:
        """Where bytes of that hash are kept."""
        return self.folder / sha256[:2] / sha256

    @contextmanager
    def opened_log(self, source: str) -> Iterator[Log]:
        """The source's log, locked; kept when the block ends well."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / f"{source}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._tidy()
                log = self.read_log(source)
                before = json.dumps(_as_json(log))
                yield log
                after = json.dumps(_as_json(log))
                if after != before:
                    self._keep(self.folder / f"{source}.json", after)
        except OSError as error:
            raise _unwritable(error, self.folder) from error

    def read_log(self, source: str) -> Log:
        """The source's log as it stands."""
        path = self.folder / f"{source}.json"
        if not path.exists():
            return {}
        return {
            name: PathLog(
                tuple(entry["stat"]),
                [
                    Landing(**(landing | {"landed_at": datetime.fromisoformat(landing["landed_at"])}))
                    for landing in entry["landings"]
                ],
            )
            for name, entry in json.loads(path.read_text(encoding="utf-8")).items()
        }

    def put(self, source: IO[bytes], landed_at: datetime) -> Landing:
        """Copy bytes into the store.

        Raises:
            StorageError: The store cannot be written.
        """
        try:
            with self.draft() as draft:
                with draft.open("wb") as target:
                    landing = _copied(source, target.write, landed_at)
                self.adopt(draft, landing.sha256)
        except OSError as error:
            raise _unwritable(error, self.folder) from error
        return landing

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A path in the store for bytes whose hash is not known yet; what is left there in the end is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"draft-{os.getpid()}-{secrets.token_hex(6)}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def adopt(self, draft: Path, sha256: str) -> None:
        """Keep a draft under its hash."""
        target = self.path(sha256)
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            draft.replace(target)

    def _tidy(self) -> None:
        """Remove drafts of processes that died: younger ones may be in work."""
        for draft in self.folder.glob("draft-*"):
            with suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > _DRAFT_LIFE_S:
                    draft.unlink()

    def _keep(self, path: Path, text: str) -> None:
        with self.draft() as draft:
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)


class Glance(Store):
    """A store that is looked at only: nothing is noted, nothing is locked, new bytes go elsewhere or nowhere."""

    def __init__(self, landing: Path, beside: Path | None = None) -> None:
        """`beside` is a folder for the bytes that would land; without one their paths name no file."""
        super().__init__(landing)
        self._beside = None if beside is None else Store(beside)

    def path(self, sha256: str) -> Path:
        """Where bytes of that hash are kept, or would be."""
        known = super().path(sha256)
        return known if self._beside is None or known.exists() else self._beside.path(sha256)

    @contextmanager
    def opened_log(self, source: str) -> Iterator[Log]:
        """The source's log as it stands; what is done to it is forgotten."""
        try:
            yield self.read_log(source)
        except OSError as error:
            raise _unwritable(error, self.folder) from error

    def put(self, source: IO[bytes], landed_at: datetime) -> Landing:
        """What copying the bytes would give."""
        return _copied(source, len, landed_at) if self._beside is None else self._beside.put(source, landed_at)


def _copied(source: IO[bytes], write: Callable[[bytes], int], landed_at: datetime) -> Landing:
    digest, size, has_nul = hashlib.sha256(), 0, False
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        has_nul = has_nul or b"\0" in chunk
        size += write(chunk)
    return Landing(digest.hexdigest(), landed_at, size, has_nul)


def _as_json(log: Log) -> dict[str, object]:
    return {
        name: {
            "stat": list(entry.stat),
            "landings": [
                # not asdict, which copies deeply: there are thousands
                {
                    "sha256": item.sha256,
                    "landed_at": item.landed_at.isoformat(),
                    "size": item.size,
                    "has_nul": item.has_nul,
                }
                for item in entry.landings
            ],
        }
        for name, entry in log.items()
    }


def _unwritable(error: OSError, folder: Path) -> StorageError:
    return StorageError(
        f"the landing zone cannot be read or written: {error.strerror or error}",
        where=str(error.filename or folder),
        remedy="free space or mend the permissions, then run again; nothing was taken",
    )
