"""Brings a warehouse to the present shape: tables by Alembic, then views, roles and grants; forward only.

A fingerprint of all that stands in the database, so a start with nothing to migrate asks one question.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from flows.io.warehouse import without_password
from schemas.errors import WarehouseError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from sqlalchemy import Connection, MetaData

SQL_ROOT = Path(__file__).resolve().parents[2] / "sql"
SCHEMAS = ("mart", "ops")
OLDEST_SERVER = 14
OLDEST_WITH_UNENFORCED_KEYS = 18
LOCK = "opsmart.migrate"
LOCK_TIMEOUT = "60s"


@dataclass(frozen=True, slots=True)
class Migration:
    """What migrating came to: whether anything was applied, and what the server's administrator should know."""

    is_applied: bool
    warnings: tuple[str, ...] = ()


def migrate(url: str) -> Migration:
    """Migrate the warehouse behind a libpq URL, in one transaction and one process at a time.

    Raises WarehouseError if it cannot be reached, is too old, is not UTF-8, or refuses.
    """
    wanted = fingerprint()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            if _applied_fingerprint(connection) == wanted:
                return Migration(is_applied=False)
            return _migrate(url, connection, wanted)
    except psycopg.OperationalError as error:
        raise WarehouseError(
            f"The warehouse cannot be reached: {_first_line(error)}",
            where=without_password(url),
            remedy="see that the server runs and that OPSMART_WAREHOUSE_URL is right",
        ) from error


def fingerprint() -> str:
    """Hash of every file that migrating applies."""
    digest = hashlib.sha256()
    files = [*(SQL_ROOT / "migrations" / "versions").glob("*.py"), *(SQL_ROOT / "views").rglob("*.sql")]
    for file in sorted([*files, SQL_ROOT / "roles.sql", SQL_ROOT / "grants.sql"]):
        digest.update(f"{file.relative_to(SQL_ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def views() -> dict[str, str]:
    """SELECT of every view by its name, `<schema>.<view>`, in the order of the names."""
    return {
        f"{file.parent.name}.{file.stem}": file.read_text().strip()
        for file in sorted((SQL_ROOT / "views").rglob("*.sql"))
    }


def alembic_config(connection: "Connection", metadata: "MetaData | None" = None) -> "Config":
    """Alembic's configuration for one open connection; `metadata` is needed for comparing only."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SQL_ROOT / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes |= {"connection": connection, "metadata": metadata}
    return config


def configure(context: "EnvironmentContext") -> None:
    """Called by sql/migrations/env.py: the connection, the schemas, and what is compared."""
    leave_unenforced()
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes["metadata"],
        version_table_schema="ops",
        include_schemas=True,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=False,
        **comparison(connection),
    )


def comparison(connection: "Connection") -> dict[str, Any]:
    """What comparing contracts and database looks at: our schemas, without the partitions that the ledger adds."""
    children = connection.exec_driver_sql("select inhrelid::regclass::text from pg_inherits").scalars()
    partitions = {name.rpartition(".")[2].strip('"') for name in children}

    def include_name(name: str | None, kind: str, _parents: object) -> bool:
        if kind == "schema":
            return name in SCHEMAS
        return not (kind == "table" and name in partitions)

    include: Callable[..., bool] = include_name
    return {"include_name": include}


def leave_unenforced() -> None:
    """Foreign keys of `mart` are declared for BI tools, not checked: NOT ENFORCED, and left out where that is unknown.

    Their truth is the builder's business (inferred members), and checking them would cost every publish a lookup a row.
    """
    from sqlalchemy.ext.compiler import compiles
    from sqlalchemy.schema import AddConstraint, ForeignKeyConstraint

    def is_of_mart(constraint: Any) -> bool:
        return isinstance(constraint, ForeignKeyConstraint) and constraint.table.schema == "mart"

    def knows_unenforced(compiler: Any) -> bool:
        version = compiler.dialect.server_version_info
        return version is None or version[0] >= OLDEST_WITH_UNENFORCED_KEYS

    def foreign_key(constraint: Any, compiler: Any, **options: Any) -> str | None:
        if is_of_mart(constraint) and not knows_unenforced(compiler):
            return None
        text: str = compiler.visit_foreign_key_constraint(constraint, **options)
        return f"{text} NOT ENFORCED" if is_of_mart(constraint) else text

    def add_constraint(statement: Any, compiler: Any, **options: Any) -> str:
        if is_of_mart(statement.element) and not knows_unenforced(compiler):
            return "SELECT 1"
        text: str = compiler.visit_add_constraint(statement, **options)
        return text

    compiles(ForeignKeyConstraint, "postgresql")(foreign_key)
    compiles(AddConstraint, "postgresql")(add_constraint)


def _applied_fingerprint(connection: psycopg.Connection) -> str | None:
    known = connection.execute("select to_regclass('ops.migration_state')").fetchone()
    if known is None or known[0] is None:
        return None
    row = connection.execute("select fingerprint from ops.migration_state").fetchone()
    return None if row is None else str(row[0])


def _migrate(url: str, connection: psycopg.Connection, wanted: str) -> Migration:
    from alembic.util import CommandError
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    _check_server(connection)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    try:
        # held by the first connection, so that whoever waits sees what the other one has committed
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (LOCK,))
        if _applied_fingerprint(connection) == wanted:
            return Migration(is_applied=False)
        with engine.begin() as transaction:
            warnings = _apply(transaction, wanted)
    except CommandError as error:
        raise WarehouseError(
            f"The warehouse was migrated by another version of opsmart: {_first_line(error)}",
            where=without_password(url),
            remedy="use that version or a newer one; migrations only go forward",
        ) from error
    except (DBAPIError, psycopg.Error) as error:
        raise WarehouseError(
            f"The warehouse refused a migration: {_first_line(getattr(error, 'orig', None) or error)}",
            where=without_password(url),
            remedy="nothing was changed; the user must own schemas mart and ops, or may create them in the database",
        ) from error
    return Migration(is_applied=True, warnings=warnings)


def _apply(connection: "Connection", wanted: str) -> tuple[str, ...]:
    from alembic import command

    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("migrations run through psycopg")
    warnings: list[str] = []
    driver.add_notice_handler(lambda notice: _collect(notice, warnings))
    # a migration that waits for a long query makes every later reader wait behind it
    driver.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
    for schema in SCHEMAS:
        if not driver.execute("select 1 from pg_namespace where nspname = %s", (schema,)).fetchone():
            driver.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    command.upgrade(alembic_config(connection), "head")
    _apply_views(driver)
    for name in ("roles.sql", "grants.sql"):
        driver.execute((SQL_ROOT / name).read_bytes())
    driver.execute("delete from ops.migration_state")
    driver.execute("insert into ops.migration_state values (%s, %s)", (wanted, datetime.now(UTC)))
    return tuple(warnings)


def _apply_views(connection: psycopg.Connection) -> None:
    """Create or replace every view; what a replacement refuses (a column gone or renamed) is dropped and made anew.

    A view may read those whose names sort before its own, and is dropped with them.
    """
    names = list(views())
    for place, (name, select) in enumerate(views().items()):
        schema, _, view = name.partition(".")
        identifier = sql.Identifier(schema, view)
        create = sql.SQL("create or replace view {} as\n").format(identifier).as_bytes() + select.encode()
        try:
            with connection.transaction():
                connection.execute(create)
        except psycopg.errors.InvalidTableDefinition:
            for later in reversed(names[place:]):
                connection.execute(sql.SQL("drop view if exists {}").format(sql.Identifier(*later.split("."))))
            connection.execute(create)
        description, *columns = _remarks(select)
        connection.execute(sql.SQL("comment on view {} is {}").format(identifier, sql.Literal(description)))
        for line in columns:
            column, _, text = line.partition(": ")
            of_column = sql.Identifier(schema, view, column)
            connection.execute(sql.SQL("comment on column {} is {}").format(of_column, sql.Literal(text)))


def _remarks(select: str) -> list[str]:
    """The comments a view begins with: what it is, then `column: what it holds`, one line each."""
    remarks = takewhile(lambda line: line.startswith("--"), select.split("\n"))
    return [line.removeprefix("--").strip() for line in remarks]


def _check_server(connection: psycopg.Connection) -> None:
    version = connection.info.server_version // 10_000
    encoding = connection.info.parameter_status("server_encoding")
    if version < OLDEST_SERVER:
        raise WarehouseError(
            f"PostgreSQL {version} is too old; {OLDEST_SERVER} or newer is needed.",
            where=f"{connection.info.host}:{connection.info.port}",
            remedy="use a newer server, or unset OPSMART_WAREHOUSE_URL for the embedded one",
        )
    if encoding != "UTF8":
        raise WarehouseError(
            f"The database's encoding is {encoding}, not UTF8.",
            where=f"database {connection.info.dbname}",
            remedy="create one with: create database opsmart encoding 'UTF8' template template0",
        )


def _collect(notice: psycopg.errors.Diagnostic, into: list[str]) -> None:
    if notice.severity_nonlocalized == "WARNING":
        into.append(
            f"{notice.message_primary} ({notice.message_hint})" if notice.message_hint else str(notice.message_primary)
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
