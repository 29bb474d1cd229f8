"""A file's last line that is no row but says what was sent: taken off before the rows are read."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from flows.io.staging.plain import plain_delimiter
from schemas.errors import ExtractError
from schemas.source import RawTable

Trailers = tuple[Mapping[str, str], ...]
"""What the trailers of files state, by the groups of their pattern."""

_LONGEST = 1 << 16


def take_trailer(path: Path, name: str, raw: RawTable, work_dir: Path) -> tuple[Path, Trailers]:
    """A copy of a plain file without its last line that holds anything; and what the trailer's groups say in that line.

    Raises:
        ExtractError: The last line is none: the file was cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _LONGEST))
        end = file.read()
    last = end.rstrip(b"\r\n \t\0").rpartition(b"\n")[2]
    line = last.decode("utf-8", errors="replace").replace(plain_delimiter(raw), raw.delimiter)
    found = re.search(str(raw.trailer), line)
    if found is None:
        raise ExtractError(
            "the file's last line is not its trailer; the file seems to be cut off",
            where=f"{name}, last line: {line[:120]!r}",
            remedy="have it delivered again, whole, or mend trailer in source.yaml",
        )
    work_dir.mkdir(parents=True, exist_ok=True)
    rows = work_dir / f"{path.name[:24]}-rows"
    shutil.copyfile(path, rows)
    with rows.open("r+b") as file:
        file.truncate(size - len(end) + end.rindex(last))
    return rows, ({group: text for group, text in found.groupdict().items() if text is not None},)
