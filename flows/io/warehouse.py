"""Sessions with the warehouse: one connection, one transaction, COPY in and Arrow out.

Every bulk path goes through ADBC, because only there do COPY, SQL and the advisory lock share a transaction.
"""

import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import adbc_driver_manager.dbapi
import adbc_driver_postgresql.dbapi as adbc
import polars as pl
import pyarrow as pa
from sqlalchemy.pool import QueuePool

from schemas.errors import WarehouseError

ACCEPT_LOCK = "opsmart.accept"
_KEPT_CONNECTIONS = 6
_ROWS_AT_ONCE = 50_000


def quote(identifier: str) -> str:
    """A quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


class Session:
    """A connection whose statements form one transaction until `commit`."""

    def __init__(self, connection: Any) -> None:
        """`connection` is one of ADBC's; SQLAlchemy's pool does not say so."""
        self._connection = connection

    def execute(self, sql: str, *parameters: Any) -> int:
        """Run one statement; the number of rows it touched, -1 where PostgreSQL does not say."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return int(cursor.rowcount)

    def fetch(self, sql: str, *parameters: Any) -> pl.DataFrame:
        """Run one query; its rows. NUMERIC and JSONB come as their text."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            table = cursor.fetch_arrow_table()
        return pl.DataFrame({name: _plain(table.column(name)) for name in table.column_names})

    def value(self, sql: str, *parameters: Any) -> Any:
        """The one value of a one-row query; None where there is no row."""
        frame = self.fetch(sql, *parameters)
        return frame.item(0, 0) if frame.height else None

    def copy(self, frame: pl.DataFrame, table: str, *, schema: str) -> None:
        """Append a frame to a table by binary COPY. Columns are matched by name."""
        if frame.height:
            with self._connection.cursor() as cursor:
                cursor.adbc_ingest(table, _streamed(frame), mode="append", db_schema_name=schema)

    def load_temporary(self, frame: pl.DataFrame, table: str) -> None:
        """Put a frame into a new temporary table, with statistics, so that joins with it are planned well."""
        self.execute(f"drop table if exists pg_temp.{quote(table)}")
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, frame.to_arrow(), mode="create", temporary=True)
        self.execute(f"analyze pg_temp.{quote(table)}")

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
        self._url = url
        self._pool = QueuePool(
            lambda: adbc.connect(url), pool_size=_KEPT_CONNECTIONS, max_overflow=-1, reset_on_return="rollback"
        )
        # Whoever forgets to close it must not leave connections open until the garbage collector finds them.
        weakref.finalize(self, self._pool.dispose)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session; rolled back unless it was committed.

        Raises:
            WarehouseError: The server cannot be reached, or refuses a statement.
        """
        try:
            pooled = self._pool.connect()
        except adbc_driver_manager.Error as error:
            raise WarehouseError(
                f"the warehouse cannot be reached: {_first_line(error)}",
                where=without_password(self._url),
                remedy="start it (`opsmart warehouse up`) or check OPSMART_WAREHOUSE_URL",
            ) from None
        try:
            yield Session(pooled.driver_connection)
        except adbc_driver_manager.Error as error:
            # Whether the statement or the connection was at fault is not told apart; a new one costs little.
            pooled.invalidate()
            self._pool.dispose()
            raise WarehouseError(
                f"the warehouse refused a statement: {_first_line(error)}",
                where=without_password(self._url),
                remedy="see the server's log; what was committed before stays, run again",
            ) from error
        finally:
            pooled.close()

    def close(self) -> None:
        """Give up the connections that are kept."""
        self._pool.dispose()

    @classmethod
    def at(cls, url: str) -> Self:
        """The warehouse at a libpq URL (a SQLAlchemy driver suffix is ignored)."""
        return cls(re.sub(r"^postgresql\+\w+://", "postgresql://", url))


def _streamed(frame: pl.DataFrame) -> pa.RecordBatchReader:
    """The frame as Arrow, converted a few rows at a time: texts would take as much memory once more."""
    schema = frame.clear().to_arrow().schema
    parts = (batch for part in frame.iter_slices(_ROWS_AT_ONCE) for batch in part.to_arrow().to_batches())
    return pa.RecordBatchReader.from_batches(schema, parts)


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
