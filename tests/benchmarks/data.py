"""Files that benchmarks read: written once per size and kept, made anew when what writes them has changed."""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path


def cached(folder: Path, name: str, sources: Iterable[Path], write: Callable[[Path], None]) -> Path:
    """A folder of files below `folder`; `sources` are the programs whose change makes it stale."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:10]
    target = folder / f"{name}-{digest}"
    if target.exists():
        return target
    for stale in folder.glob(f"{name}-??????????"):
        shutil.rmtree(stale)
    unfinished = folder / f"{name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write(unfinished)
    unfinished.rename(target)
    return target


def size_mb(folder: Path) -> float:
    """Size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
