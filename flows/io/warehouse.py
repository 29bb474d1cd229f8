"""Sessions with the warehouse: one connection, one transaction, COPY in and frames out.

psycopg speaks to the server, pgpq encodes frames for binary COPY, and ADBC reads what has many rows: each does its part
several times as fast as the other two would.
"""

import re
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import adbc_driver_manager.dbapi
import adbc_driver_postgresql.dbapi as adbc
import pgpq
import polars as pl
import psycopg
import pyarrow as pa
from psycopg import RawCursor, postgres
from psycopg.types.string import TextLoader
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from schemas.errors import WarehouseError

ACCEPT_LOCK = "opsmart.accept"

NUL_PICTURE = "\u2400"
"""Stands in the ledger for a NUL character, which PostgreSQL's text and jsonb refuse."""

_KEPT_CONNECTIONS = 6
PATIENCE_S = 60.0
"""So long a server that was there before may be away: it restarts."""
_ROWS_AT_ONCE = 20_000

_TYPES: dict[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "int2": pl.Int16(),
    "int4": pl.Int32(),
    "int8": pl.Int64(),
    "float8": pl.Float64(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
}
"""PostgreSQL's types and what they are read as; all others are read as text."""

_READ_AS = {postgres.types[name].oid: dtype for name, dtype in _TYPES.items()}

_SETTINGS = """
set timezone to 'UTC';
set tcp_keepalives_idle to 60;
set tcp_keepalives_interval to 10;
set tcp_keepalives_count to 3
"""
"""A machine that died must not keep its locks for the two hours after which TCP would notice by default."""


def quote(identifier: str) -> str:
    """A quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


class Session:
    """A connection whose statements form one transaction until `commit`."""

    def __init__(self, connection: Any, readers: QueuePool) -> None:
        """`connection` is one of psycopg's, which SQLAlchemy's pool does not say; `readers` keeps ADBC's."""
        self._connection, self._readers = connection, readers

    def execute(self, sql: str, *parameters: Any) -> int:
        """Run one statement; the number of rows it touched, -1 where PostgreSQL does not say."""
        with RawCursor(self._connection) as cursor:
            return cursor.execute(sql, parameters or None).rowcount

    def fetch(self, sql: str, *parameters: Any) -> pl.DataFrame:
        """Run one query; its rows. Numbers and instants have their types; NUMERIC, JSONB and all else is text."""
        with RawCursor(self._connection) as cursor:
            cursor.execute(sql, parameters or None)
            schema = {column.name: _READ_AS.get(column.type_code, pl.String()) for column in cursor.description or ()}
            return pl.DataFrame(cursor.fetchall(), schema, orient="row")

    def fetch_many(self, sql: str, *parameters: Any) -> pl.DataFrame:
        """Run one query that may yield millions of rows.

        It runs on a connection of its own and sees what is committed: neither this session's changes nor its
        temporary tables. Not to be used once the session has locked a table that the query reads.
        """
        pooled = self._readers.connect()
        connection: Any = pooled.driver_connection
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                table = cursor.fetch_arrow_table()
        except adbc_driver_manager.Error:
            pooled.invalidate()
            raise
        finally:
            pooled.close()
        return pl.DataFrame({name: _plain(table.column(name)) for name in table.column_names})

    def value(self, sql: str, *parameters: Any) -> Any:
        """The one value of a one-row query; None where there is no row."""
        frame = self.fetch(sql, *parameters)
        return frame.item(0, 0) if frame.height else None

    def copy(self, frame: pl.DataFrame, table: str, *, schema: str) -> None:
        """Append a frame to a table by binary COPY. Columns are matched by name."""
        if frame.height:
            self._copy(frame, f"{quote(schema)}.{quote(table)}")

    def load_temporary(self, frame: pl.DataFrame, table: str) -> None:
        """Put a frame into a new temporary table, with statistics, so that joins with it are planned well."""
        columns = ", ".join(f"{quote(name)} {_column_type(dtype)}" for name, dtype in frame.schema.items())
        self.execute(f"drop table if exists pg_temp.{quote(table)}; create temporary table {quote(table)} ({columns})")
        self._copy(frame, f"pg_temp.{quote(table)}")
        self.execute(f"analyze pg_temp.{quote(table)}")

    def _copy(self, frame: pl.DataFrame, table: str) -> None:
        """Converted a few rows at a time: a frame's texts would take as much memory once more."""
        encoder = pgpq.ArrowToPostgresBinaryEncoder(frame.clear().to_arrow().schema)
        names = ", ".join(map(quote, frame.columns))
        with (
            RawCursor(self._connection) as cursor,
            cursor.copy(f"copy {table} ({names}) from stdin (format binary)") as copy,
        ):
            copy.write(encoder.write_header())
            for part in frame.iter_slices(_ROWS_AT_ONCE):
                for batch in part.to_arrow().to_batches():
                    copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())

    def lock(self, name: str) -> None:
        """Wait for an advisory lock that ends with the transaction. Take it before anything is read."""
        self.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", name)

    def commit(self) -> None:
        """Make it so."""
        self._connection.commit()


class Warehouse:
    """Where the mart and the ledger live; opens sessions.

    Connections are kept, because opening one takes as long as a hundred statements.
    """

    def __init__(self, url: str) -> None:
        self._url, self._was_reached = url, False
        kept: dict[str, Any] = {"pool_size": _KEPT_CONNECTIONS, "max_overflow": -1, "reset_on_return": "rollback"}
        self._pool = QueuePool(lambda: _connect(url), **kept)
        self._readers = QueuePool(lambda: adbc.connect(url), **kept)
        # Whoever forgets to close it must not leave connections open until the garbage collector finds them.
        weakref.finalize(self, _dispose, self._pool, self._readers)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session; rolled back unless it was committed.

        Raises:
            WarehouseError: The server cannot be reached, or refuses a statement.
        """
        try:
            pooled = self._connected()
        except psycopg.Error as error:
            raise WarehouseError(
                f"the warehouse cannot be reached: {_first_line(error)}",
                where=without_password(self._url),
                remedy="start it (`opsmart warehouse up`) or check OPSMART_WAREHOUSE_URL",
            ) from None
        try:
            yield Session(pooled.driver_connection, self._readers)
        except (psycopg.Error, adbc_driver_manager.Error) as error:
            # Whether the statement or the connection was at fault is not told apart; a new one costs little.
            pooled.invalidate()
            self.close()
            raise WarehouseError(
                f"the warehouse refused a statement: {_first_line(error)}",
                where=without_password(self._url),
                remedy="see the server's log; what was committed before stays, run again",
            ) from error
        finally:
            pooled.close()

    def _connected(self) -> PoolProxiedConnection:
        """A connection that answers. Where there has been one before, a server that is away is waited for."""
        patience_ends = time.monotonic() + (PATIENCE_S if self._was_reached else 0.0)
        wait_s = 0.1
        while True:
            try:
                pooled = self._pool.connect()
            except psycopg.Error:
                if time.monotonic() + wait_s > patience_ends:
                    raise
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, 5.0)
                continue
            connection: Any = pooled.driver_connection
            try:
                connection.execute("")
            except psycopg.Error:
                # Kept from before the server went away, as are all the others.
                pooled.invalidate()
                self.close()
                continue
            self._was_reached = True
            return pooled

    def close(self) -> None:
        """Give up the connections that are kept."""
        _dispose(self._pool, self._readers)

    @classmethod
    def at(cls, url: str) -> Self:
        """The warehouse at a libpq URL (a SQLAlchemy driver suffix is ignored)."""
        return cls(re.sub(r"^postgresql\+\w+://", "postgresql://", url))


def _connect(url: str) -> Any:
    connection = psycopg.connect(url)
    connection.execute(_SETTINGS)
    connection.commit()
    # Statements are not prepared by themselves: temporary tables change under them, and poolers mix them up.
    connection.prepare_threshold = None
    for name in ("numeric", "json", "jsonb", "uuid"):
        connection.adapters.register_loader(name, TextLoader)
    return connection


def _dispose(*pools: QueuePool) -> None:
    for pool in pools:
        pool.dispose()


def _column_type(dtype: pl.DataType) -> str:
    if dtype.is_decimal():
        return "numeric"
    return next((name for name, known in _TYPES.items() if known == dtype), "text")


def _plain(column: pa.ChunkedArray) -> pl.Series:
    """A column without ADBC's mark of a type that Arrow does not know."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    series = pl.from_arrow(column)
    if not isinstance(series, pl.Series):
        raise TypeError("a column is a series")
    return series


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"://([^:/@]+):[^@]*@", r"://\1@", url)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
