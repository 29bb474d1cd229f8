"""Tables of a database: the query runs there, its rows land as one Parquet file of text."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from flows.io.pull.store import Landing, Log, PathLog, Store
from schemas.errors import ExtractError, SourceError
from schemas.source import Source
from transforms.common.keys import hash_columns

BATCH_ROWS = 50_000
CONNECT_TIMEOUT_S = 15

Secrets = Mapping[str, str]
"""Values of `${NAME}` in URLs, by name."""


def pull_queries(source: Source, store: Store, log: Log, secrets: Secrets, now: datetime) -> list[ExtractError]:
    """Run the source's queries and land results that differ from the last; the queries that failed.

    Raises:
        SourceError: A URL names a secret that is not set, or is none that SQLAlchemy knows.
    """
    failed = []
    for name, table in source.tables.items():
        if table.url is None or table.query is None:
            continue
        entry = log.setdefault(f"query:{name}", PathLog())
        try:
            entry.note(
                _land_query(filled(table.url, secrets, source), table.query, f"{source.name}.{name}", store, now)
            )
        except ExtractError as error:
            failed.append(error)
    return failed


def filled(url: str, secrets: Secrets, source: Source) -> str:
    """The URL with its `${NAME}` filled in.

    Raises:
        SourceError: A secret is not set.
    """

    def secret(match: re.Match[str]) -> str:
        name = match[1]
        if name not in secrets:
            raise SourceError(
                f"the secret {name} is not set",
                where=str(source.folder / "source.yaml"),
                remedy=f"set OPSMART_SECRET_{name} in the environment",
            )
        return secrets[name]

    return re.sub(r"\$\{([A-Za-z0-9_]+)\}", secret, url)


def _land_query(url: str, query: str, where: str, store: Store, now: datetime) -> Landing:
    with store.draft() as draft:
        with _rows(url, query, where) as (names, batches):
            digest, has_nul = _write(draft, names, batches)
        size = draft.stat().st_size
        store.adopt(draft, digest)
    return Landing(digest, now, size, has_nul)


@contextmanager
def _rows(url: str, query: str, where: str) -> Iterator[tuple[list[str], Iterator[Sequence[Sequence[Any]]]]]:
    """Column names and batches of rows of a query.

    Raises:
        ExtractError: The database cannot be reached or refuses; the message holds no part of the URL.
    """
    import sqlalchemy as sa

    try:
        address = sa.make_url(url)
        options = (
            {"connect_timeout": CONNECT_TIMEOUT_S} if address.get_backend_name() in ("postgresql", "mysql") else {}
        )
        engine = sa.create_engine(address, connect_args=options, poolclass=sa.NullPool)
    except (sa.exc.ArgumentError, ImportError) as error:
        raise ExtractError(
            "the database URL cannot be used, or its driver is not installed",
            where=where,
            remedy="write dialect+driver://user:${PASSWORD}@host:port/database, and install the driver",
        ) from error
    try:
        with engine.connect().execution_options(stream_results=True, max_row_buffer=BATCH_ROWS) as connection:
            result = connection.execute(sa.text(query))
            yield list(result.keys()), result.partitions(BATCH_ROWS)
    except sa.exc.SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()
        hidden = _without(cause[0] if cause else type(error).__name__, address.password)
        is_down = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
        raise ExtractError(
            f"the database {'cannot be reached or stopped answering' if is_down else 'refuses the query'}: {hidden}",
            where=where,
            remedy="check host, port and credentials; the other sources go on" if is_down else "mend the query",
        ) from None
    finally:
        engine.dispose()


def _without(text: str, password: object) -> str:
    return text.replace(str(password), "***") if password else text


def _write(path: Path, names: Sequence[str], batches: Iterator[Sequence[Sequence[Any]]]) -> tuple[str, bool]:
    """Write the rows as text; a hash of them that does not depend on their order, and whether a cell holds NUL."""
    schema = pa.schema([(name, pa.large_string()) for name in names])
    dtypes: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
    hashes: list[pl.Series] = []
    has_nul = False
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            columns = zip(*batch, strict=True)
            frame = pl.DataFrame(
                {name: list(map(as_text, values)) for name, values in zip(names, columns, strict=True)}, dtypes
            )
            hashes.append(frame.select(hash_columns(dtypes).alias("hash"))["hash"])
            has_nul = has_nul or frame.select(pl.any_horizontal(pl.all().str.contains("\0", literal=True)).any()).item()
            writer.write_table(frame.to_arrow().cast(schema))
    rows = pl.concat(hashes).sort() if hashes else pl.Series(dtype=pl.Int64)
    digest = hashlib.sha256("\x1f".join(names).encode() + b"\n")
    digest.update(rows.to_numpy().tobytes())
    return digest.hexdigest(), has_nul


def as_text(value: Any) -> str | None:
    """A database value as text that `raw_types` with their defaults read back."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return naive.isoformat(sep=" ", timespec="microseconds") + ("+00:00" if value.tzinfo else "")
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)
