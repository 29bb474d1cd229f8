"""Landed files grouped to deliveries: one per dataset, slot and revision."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from schemas.source import Bounds


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
    def is_complete(self) -> bool:
        """Whether every table of the SELECT has its file."""
        return not self.missing

    @property
    def has_nul(self) -> bool:
        """Whether any cell may hold a NUL character."""
        return any(file.has_nul for file in self.files)
