"""Roles and databases of the embedded server; separate so that a running server costs no driver import."""

from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from flows.io.embedded_server import DATABASE, PREFECT_DATABASE, ROLES, Role, Server

_ROLES = Path(__file__).resolve().parents[2] / "sql" / "roles.sql"
_OWNERS: dict[str, Role] = {DATABASE: "loader", PREFECT_DATABASE: "prefect"}
_EXTENSIONS = {PREFECT_DATABASE: ("pg_trgm",)}
"""Prefect's own migrations index by trigrams."""

_LARGE_OBJECT_WRITERS = """
select oid::regprocedure::text from pg_proc
where pronamespace = 'pg_catalog'::regnamespace and proname = any(array[
    'lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lo_truncate', 'lo_truncate64', 'lo_unlink', 'lowrite'
])
"""


def prepare(server: Server, passwords: Mapping[Role, str]) -> None:
    """Create what is missing and set every password to its file's; may be repeated."""
    with psycopg.connect(server.url("admin", "postgres"), autocommit=True) as connection:
        for role, name in ROLES.items():
            _ensure_role(connection, name, passwords[role])
        connection.execute(_ROLES.read_bytes())
        for database, owner in _OWNERS.items():
            _ensure_database(connection, database, ROLES[owner])
        connection.execute("revoke connect on database postgres from public")
        connection.execute(_grant_connect(DATABASE, ROLES["reader"]))
    for database, extensions in _EXTENSIONS.items():
        with psycopg.connect(server.url("admin", database), autocommit=True) as connection:
            for extension in extensions:
                connection.execute(sql.SQL("create extension if not exists {}").format(sql.Identifier(extension)))
    with psycopg.connect(server.url("admin", DATABASE), autocommit=True) as connection:
        # PostgreSQL lets everybody make large objects, readers too.
        for (function,) in connection.execute(_LARGE_OBJECT_WRITERS).fetchall():
            connection.execute(sql.SQL("revoke execute on function {} from public").format(sql.SQL(function)))


def _ensure_role(connection: psycopg.Connection, name: str, password: str) -> None:
    role = sql.Identifier(name)
    if not connection.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone():
        connection.execute(sql.SQL("create role {} login").format(role))
    # hashed here, so that no log of the server ever shows it
    hashed = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("alter role {} password {}").format(role, sql.Literal(hashed)))


def _ensure_database(connection: psycopg.Connection, name: str, owner: str) -> None:
    if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
        connection.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(owner)))
    connection.execute(sql.SQL("revoke connect, temporary on database {} from public").format(sql.Identifier(name)))


def _grant_connect(database: str, role: str) -> sql.Composed:
    return sql.SQL("grant connect on database {} to {}").format(sql.Identifier(database), sql.Identifier(role))
