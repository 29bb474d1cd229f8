"""Staging of the corpus' extracts, without a landing zone or a server."""

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from flows.io.pull.deliveries import Delivery, LandedFile
from flows.io.stage import Staged, stage
from schemas.catalog import DATASETS
from schemas.source import Bounds, Source
from tests.corpus.cases import NULL, RowsFile

AS_OF = date(2026, 3, 31)
LANDED = datetime(2026, 4, 1, 3, tzinfo=UTC)
MARCH = (date(2026, 3, 1), date(2026, 3, 31))


def masked(ids: pl.Series) -> pl.Series:
    """Pseudonyms that a test can read."""
    return "p" + ids.str.len_chars().cast(pl.String)


def source_of(file: RowsFile) -> Source:
    """A source that delivers the columns of the contract under their own names."""
    outputs = ", ".join(f"raw.{column} as {column}" for column in file.columns)
    return source(
        file.dataset,
        {
            "delimiter": "|",
            "types": {column: kind for column, kind in file.columns.items() if kind != "text"},
            "raw_types": {"null_words": [NULL]},
        },
        f"select {outputs} from lines as raw",
        mode=file.mode,
        **file.dataset_keys,
    )


def source(
    dataset: str,
    table: dict[str, Any],
    sql: str,
    *,
    mode: str = "snapshot",
    others: dict[str, dict[str, Any]] | None = None,
    **keys: Any,
) -> Source:
    """A source of one dataset out of one raw table, `lines`; `others` are delivered beside it."""
    period = {"period": {"column": DATASETS[dataset].dated_by}} if mode == "period" else {}
    return Source.model_validate(
        {
            "name": "corpus",
            "tables": {"lines": {"path": "lines"} | table} | (others or {}),
            "datasets": {dataset: {"mode": mode} | period | keys},
            "folder": Path("corpus"),
            "mappings": {dataset: sql},
        }
    )


def delivery(source: Source, dataset: str, contents: dict[str, list[bytes]], folder: Path) -> Delivery:
    """A delivery of these files, by table."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for table, bodies in contents.items():
        for number, content in enumerate(bodies):
            digest = hashlib.sha256(content).hexdigest()
            path = folder / digest
            path.write_bytes(content)
            files.append(
                LandedFile(table, f"{table}-{number}", path, digest, len(content), LANDED, has_nul=b"\0" in content)
            )
    mode = source.datasets[dataset].mode
    bounds: Bounds | None = MARCH if mode == "period" else None
    return Delivery("corpus", dataset, "2026-03-31", AS_OF, bounds, 0, "0" * 64, LANDED, tuple(files))


def staged(source: Source, one: Delivery, work: Path, pseudonym: Callable[[pl.Series], pl.Series] = masked) -> Staged:
    """The delivery, staged; every row of it is counted."""
    found = stage(one, source, DATASETS[one.dataset], work, extract_id=7, pseudonym=pseudonym)
    counts = found.counts
    assert counts.pop("rows_in") == sum(counts.values()), found.counts
    return found
