"""Files of a source, local or through fsspec, copied into the store."""

import fnmatch
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO
from zlib import crc32

from flows.io.pull.complete import still_written_s
from flows.io.pull.store import Landing, Log, PathLog, Store
from schemas.errors import ExtractError, SourceError
from schemas.source import Source

THREADS = 4

REMOTE = "remote:"
"""Begins the names of files that lie elsewhere: `remote:<table>:<path>`."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A file to be looked at: its name in the log, a stat that changes with its content, and how to read it.

    `still_written_s` is 0 where it is complete, else after how many seconds it is worth looking again.
    """

    name: str
    stat: Callable[[], tuple[int, ...]]
    read: Callable[[], IO[bytes]]
    still_written_s: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Arrived:
    """What lies there and was not pulled: `complete` files with their stat, by name in the log.

    `look_again_s` says when one that is still being written may be complete; None where none is.
    """

    complete: Mapping[str, tuple[int, ...]]
    look_again_s: float | None


def arrived(source: Source, landing: Path, log: Log, *, with_remote: bool) -> Arrived:
    """Files of a source that are new or changed since they were pulled.

    Raises:
        SourceError: A path leads out of the landing folder.
        ExtractError: A file cannot be looked at.
    """
    complete, waits = {}, []
    for file in _find(source, landing / source.name, with_remote=with_remote):
        with _readable(file.name):
            try:
                stat = file.stat()
                if file.name in log and log[file.name].stat == stat:
                    continue
                rest_s = file.still_written_s()
            except FileNotFoundError:
                continue  # moved away since it was listed
        if rest_s:
            waits.append(rest_s)
        else:
            complete[file.name] = stat
    return Arrived(complete, min((rest_s for rest_s in waits if rest_s < math.inf), default=None))


def pull_files(source: Source, landing: Path, store: Store, log: Log, now: datetime, *, reread: bool = False) -> None:
    """Land the source's files that are new or changed, and note those that are gone.

    With `reread` files are read though they look unchanged: size, time and inode can deceive.

    Raises:
        SourceError: A path leads out of the landing folder.
        ExtractError: A file cannot be read.
        StorageError: The store cannot be written.
    """
    folder = landing / source.name
    found = {file.name: file for file in _find(source, folder)}
    looked_at = [
        file
        for file in found.values()
        # a remote place is asked for each file, several at a time
        if reread or file.name.startswith(REMOTE) or not _is_unchanged(file, log.get(file.name), store)
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        landed = pool.map(lambda file: _land(file, log.get(file.name), store, now, reread=reread), looked_at)
        for file, result in zip(looked_at, landed, strict=True):
            if result is None:
                continue
            entry = log.setdefault(file.name, PathLog())
            stat, content = result
            entry.note(content)
            entry.stat = stat
    for name, entry in log.items():
        if name not in found and not name.startswith("query:") and entry.newest is not None:
            entry.note(Landing("", now))
            entry.stat = ()


def unmatched_files(source: Source, landing: Path) -> list[str]:
    """Files below a source's landing folder that no table's path matches."""
    folder = landing / source.name
    found = {file.name for file in _find(source, folder, with_remote=False)}
    markers = [table.done_marker for table in source.tables.values()]
    return sorted(
        name
        for name in _below(folder)
        if name not in found and not any(_is_marker(PurePosixPath(name).name, marker) for marker in markers)
    )


def _find(source: Source, folder: Path, *, with_remote: bool = True) -> Iterator[_Found]:
    for name, table in source.tables.items():
        if table.path is None:
            continue
        if "://" in table.path:
            if with_remote:
                yield from _find_remote(name, table.path, table.done_marker)
            continue
        pattern = PurePosixPath(table.path)
        if pattern.is_absolute() or ".." in pattern.parts:
            raise SourceError(
                f"the path of table {name!r} leads out of the landing folder",
                where=f"{source.folder / 'source.yaml'}: {table.path}",
                remedy=f"name files below {folder}, or use a URL",
            )
        if folder.is_dir():
            yield from (
                _local(path, folder, table.done_marker)
                for path in sorted(folder.glob(table.path))
                if path.is_file() and not _hidden(path) and not _is_marker(path.name, table.done_marker)
            )


def _is_marker(name: str, done_marker: str | None) -> bool:
    return done_marker is not None and fnmatch.fnmatch(name, done_marker.replace("{name}", "*"))


def _local(path: Path, folder: Path, done_marker: str | None) -> _Found:
    marker = path.with_name(done_marker.replace("{name}", path.name)) if done_marker else None

    def stat() -> tuple[int, ...]:
        found = path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ino

    name = path.relative_to(folder).as_posix()
    return _Found(name, stat, lambda: path.open("rb"), lambda: still_written_s(path, marker))


def _find_remote(table: str, url: str, done_marker: str | None) -> Iterator[_Found]:
    import fsspec

    try:
        system, pattern = fsspec.core.url_to_fs(url)
        paths = sorted(system.glob(pattern))
    except (OSError, ImportError, ValueError) as error:
        raise ExtractError(
            f"the remote files cannot be listed: {type(error).__name__}",
            where=_without_secret(url),
            remedy="check the address, the credentials and that the fsspec driver is installed",
        ) from error
    for path in paths:
        folder, _, name = path.rpartition("/")
        if _is_marker(name, done_marker):
            continue
        marker = f"{folder}/{done_marker.replace('{name}', name)}" if done_marker else None

        def stat(path: str = path) -> tuple[int, ...]:
            info = system.info(path)
            marks = (info.get("ETag"), info.get("etag"), info.get("mtime"), info.get("LastModified"))
            return int(info.get("size") or 0), *(crc32(str(mark).encode()) for mark in marks if mark is not None)

        def still_written_s(marker: str | None = marker) -> float:
            # an object store shows a file when it is whole; elsewhere only a marker can tell
            return 0.0 if marker is None or system.exists(marker) else math.inf

        yield _Found(f"{REMOTE}{table}:{path}", stat, partial(system.open, path, "rb"), still_written_s)


def _without_secret(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _land(
    file: _Found, known: PathLog | None, store: Store, now: datetime, *, reread: bool
) -> tuple[tuple[int, ...], Landing] | None:
    """The file's stat and content, None where it is unchanged or still being written."""
    with _readable(file.name):
        before = file.stat()
        if (not reread and _is_unchanged(file, known, store)) or not _is_complete(file):
            return None
        with file.read() as content:
            landing = store.put(content, now)
        return (before, landing) if file.stat() == before else None


def _is_unchanged(file: _Found, known: PathLog | None, store: Store) -> bool:
    """Whether a file is as it was when it landed, and its bytes are still there."""
    if known is None or known.newest is None:
        return False
    with _readable(file.name):
        return known.stat == file.stat() and store.path(known.newest.sha256).exists()


def _is_complete(file: _Found) -> bool:
    """Whether a file is complete; one that has just been written is waited for."""
    rest_s = file.still_written_s()
    if 0 < rest_s < math.inf:
        time.sleep(rest_s)
        rest_s = file.still_written_s()
    return rest_s == 0


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExtractError(
            f"the file cannot be read: {error.strerror or type(error).__name__}",
            where=name,
            remedy="check its permissions and the connection; the other sources go on",
        ) from error


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _below(folder: Path) -> Iterable[str]:
    if not folder.is_dir():
        return
    for path in folder.rglob("*"):
        if path.is_file() and not _hidden(path):
            yield path.relative_to(folder).as_posix()
