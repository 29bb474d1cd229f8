"""Delivered bytes to a plain UTF-8 file that Polars can scan, by streaming; one that is so stays where it is."""

import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from schemas.errors import ExtractError
from schemas.source import RawTable

UNIT_SEPARATORS = ("\x1f", "\x1e", "\x1d", "\x1c")
"""Control characters made to separate fields, one of which stands in for a delimiter of several characters."""

_CHUNK = 1 << 22
_DAMAGED = (EOFError, OSError, ValueError, NotImplementedError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


def plain_file(stored: Path, name: str, raw: RawTable, work_dir: Path) -> Path:
    """The file itself, or a decompressed UTF-8 copy with a one-character delimiter in `work_dir`.

    Raises:
        ExtractError: The archive is damaged, holds a path outside or several files, or the text is not in the encoding
            that source.yaml names.
    """
    with stored.open("rb") as file:
        start = file.read(4)
    is_packed = start.startswith((_GZIP, _ZIP)) and raw.format != "excel"
    is_text = raw.format in ("csv", "jsonl")
    recoded = is_text and (
        raw.encoding not in ("utf-8", "utf-8-sig") or (raw.format == "csv" and len(raw.delimiter) > 1)
    )
    if not is_packed and not recoded:
        return stored
    work_dir.mkdir(parents=True, exist_ok=True)
    target = work_dir / f"{stored.name[:16]}-{'text' if recoded else 'plain'}"
    with _opened(stored, name, start) as source, target.open("wb") as plain:
        for chunk in _recoded(source, name, raw) if recoded else _chunks(source, name):
            plain.write(chunk)
    return target


def plain_delimiter(raw: RawTable) -> str:
    """Delimiter of the plain file."""
    return raw.delimiter if len(raw.delimiter) == 1 else UNIT_SEPARATORS[0]


@contextmanager
def _opened(stored: Path, name: str, start: bytes) -> Iterator[IO[bytes]]:
    if start.startswith(_GZIP):
        with gzip.open(stored, "rb") as unpacked:
            yield io.BufferedReader(unpacked)
    elif start.startswith(_ZIP):
        with _archive(stored, name) as archive, _member(archive, name) as member:
            yield member
    else:
        with stored.open("rb") as file:
            yield file


def _archive(stored: Path, name: str) -> zipfile.ZipFile:
    with _undamaged(name):
        return zipfile.ZipFile(stored)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    only = _only_member(archive, name)
    with _undamaged(name):
        return archive.open(only)


@contextmanager
def _undamaged(name: str) -> Iterator[None]:
    """Offsets, versions and names in a damaged archive send zipfile to places that are not there."""
    try:
        yield
    except _DAMAGED as error:
        raise ExtractError("the zip archive is damaged", where=name, remedy="have it delivered again") from error


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
            raise ExtractError(
                "the zip archive names a path outside itself",
                where=f"{name}, member {member.filename!r}",
                remedy="do not unpack it; ask who delivered it",
            )
    if len(members) != 1:
        raise ExtractError(
            f"the zip archive holds {len(members)} files; exactly one is expected",
            where=f"{name}: {', '.join(member.filename for member in members[:5])}",
            remedy="deliver each file in an archive of its own, or unpacked",
        )
    if members[0].flag_bits & 1:
        raise ExtractError("the zip archive is encrypted", where=name, remedy="deliver it unencrypted")
    return members[0]


def _chunks(source: IO[bytes], name: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = source.read(_CHUNK)
        except _DAMAGED as error:
            raise ExtractError(
                "the compressed file is cut off or damaged", where=name, remedy="have it delivered again, whole"
            ) from error
        if not chunk:
            return
        yield chunk


def _recoded(source: IO[bytes], name: str, raw: RawTable) -> Iterator[bytes]:
    text = _decoded(source, name, raw.encoding)
    if raw.format == "csv" and len(raw.delimiter) > 1:
        text = _redelimited(text, name, raw.delimiter, raw.quote)
    for chunk in text:
        yield chunk.encode("utf-8")


def _decoded(source: IO[bytes], name: str, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0
    for chunk in _chunks(source, name):
        yield _decode(decoder, chunk, offset, name, encoding)
        offset += len(chunk)
    yield _decode(decoder, b"", offset, name, encoding, final=True)


def _decode(
    decoder: codecs.IncrementalDecoder, chunk: bytes, offset: int, name: str, encoding: str, *, final: bool = False
) -> str:
    try:
        return decoder.decode(chunk, final)
    except UnicodeError as error:
        at = offset + (error.start if isinstance(error, UnicodeDecodeError) else 0)
        if encoding == "utf-16" and not offset and not isinstance(error, UnicodeDecodeError):
            ending = "be" if chunk.startswith(b"\0") else "le"
            raise ExtractError(
                "the file has no byte order mark, which utf-16 begins with",
                where=name,
                remedy=f"set encoding: utf-16-{ending} in source.yaml if that is how it comes",
            ) from error
        raise ExtractError(
            f"the file is not {encoding}",
            where=f"{name}, byte {at}",
            remedy="name its encoding in source.yaml (utf-8, latin-1, cp1252 and utf-16 are known)",
        ) from error


def _redelimited(text: Iterator[str], name: str, delimiter: str, quote: str | None) -> Iterator[str]:
    """The delimiter outside quotes as one character; `carried` keeps a delimiter whole that a chunk's end cuts."""
    stand_in = UNIT_SEPARATORS[0]
    carried, is_quoted = "", False
    for chunk in text:
        if stand_in in chunk:
            raise ExtractError(
                "the file holds the control character U+001F, which stands in for its delimiter",
                where=name,
                remedy="have it delivered with a delimiter of one character",
            )
        whole, end, rest = (carried + chunk).rpartition("\n")
        parts = (whole + end).split(quote) if quote else [whole + end]
        for index, part in enumerate(parts):
            parts[index] = part if is_quoted else part.replace(delimiter, stand_in)
            is_quoted = is_quoted if index == len(parts) - 1 else not is_quoted
        yield (quote or "").join(parts)
        carried = rest
    parts = carried.split(quote) if quote else [carried]
    for index, part in enumerate(parts):
        parts[index] = part if is_quoted else part.replace(delimiter, stand_in)
        is_quoted = not is_quoted
    yield (quote or "").join(parts)
