"""Contracts and database agree, and only migrations bring them together."""

import re

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from flows.io import revisions
from flows.io.embedded_server import Server
from flows.io.migrate import SQL_ROOT, migrate, views
from schemas.errors import WarehouseError
from schemas.tables import METADATA, TABLES, as_was_views


def test_migrations_bring_a_database_to_the_contracts(warehouse_url: str) -> None:
    """Tables, columns, types, nullability, keys, indexes, descriptions; otherwise: make migration m="why"."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(warehouse_url), poolclass=NullPool)
    with engine.connect() as connection:
        # the ledger adds partitions at run time; they are not a difference
        connection.exec_driver_sql("create table ops.current_key_7 partition of ops.current_key for values in (7)")
        assert revisions.differences(connection) == []


def test_as_was_views_follow_their_contracts() -> None:
    """Otherwise: make migration m="why"."""
    for name, select in as_was_views().items():
        assert (SQL_ROOT / "views" / "mart" / f"{name}.sql").read_text() == select, name


def test_migrating_again_applies_nothing(warehouse_url: str) -> None:
    assert migrate(warehouse_url).is_applied is False


def test_revisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(file.name[:4]) for file in (SQL_ROOT / "migrations" / "versions").glob("*.py"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_table_column_and_view_is_described(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        nameless = connection.execute(
            """
            with ours as (
                select oid, relkind, oid::regclass::text as name from pg_class
                where relnamespace in ('mart'::regnamespace, 'ops'::regnamespace)
                    and relkind in ('r', 'p', 'v') and relname <> 'alembic_version'
            )
            select name from ours where obj_description(oid) is null
            union all
            select name || '.' || attname from ours
            inner join pg_attribute on attrelid = oid and attnum > 0
            where col_description(oid, attnum) is null
            """
        ).fetchall()
    assert nameless == []


def test_every_view_is_created(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        there = connection.execute("select schemaname || '.' || viewname from pg_views").fetchall()
    assert set(views()) <= {name for (name,) in there}


def test_facts_reference_dimensions_without_being_checked(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        keys = connection.execute(
            "select conname, conenforced from pg_constraint where contype = 'f' and connamespace = 'mart'::regnamespace"
        ).fetchall()
    assert len(keys) == sum(len(table.foreign_key_constraints) for table in TABLES.values())
    assert not any(enforced for _, enforced in keys)


def test_reader_reads_every_table_of_mart_and_nothing_else(warehouse_url: str, reader_url: str) -> None:
    with psycopg.connect(reader_url, autocommit=True) as reader:
        for table in METADATA.tables.values():
            select = sql.SQL("select * from {} limit 1").format(sql.Identifier(str(table.schema), table.name))
            if table.schema == "mart":
                reader.execute(select)
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(select)
        for view in (name for name in views() if name.startswith("mart.")):
            reader.execute(sql.SQL("select * from {} limit 1").format(sql.Identifier(*view.split("."))))


FORBIDDEN = (
    "insert into mart.dim_site (site_key) values (1)",
    "delete from mart.fct_gl_entry",
    "truncate mart.fct_gl_entry",
    "create table mart.mine (a int)",
    "create table public.mine (a int)",
    "create temporary table mine (a int)",
    "create schema mine",
    "drop view mart.v_freshness",
    "select rolpassword from pg_authid",
    "select pg_read_file('postgresql.conf')",
    "copy (select 1) to program 'true'",
    "set role opsmart_loader",
)


def test_reader_can_change_and_spy_out_nothing(reader_url: str) -> None:
    allowed = []
    with psycopg.connect(reader_url, autocommit=True) as reader:
        reader.execute("set default_transaction_read_only = off")  # a session may do that: rights must hold without it
        for statement in FORBIDDEN:
            try:
                reader.execute(statement.encode())
            except psycopg.errors.InsufficientPrivilege:
                continue
            allowed.append(statement)
    assert allowed == []


def test_reader_reads_tables_that_come_later(warehouse_url: str, reader_url: str) -> None:
    with psycopg.connect(warehouse_url, autocommit=True) as loader:
        loader.execute("create table mart.fct_later (a int)")
    with psycopg.connect(reader_url) as reader:
        assert reader.execute("select * from mart.fct_later").fetchall() == []


def test_as_was_has_one_version_per_member_and_day(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute(
            """
            insert into mart.dim_site
                (site_key, site_id, name, code_space, is_inferred, is_deleted, row_hash, published_at)
            values (1, 'A', 'now', 's', false, false, 0, now()), (-1, '', 'unknown', '', false, false, 0, now());
            insert into mart.dim_site_history
                (site_key, site_id, name, code_space, is_inferred, is_deleted, row_hash, published_at,
                 valid_from, valid_to, is_current)
            values
                (1, 'A', 'first', 's', false, false, 0, now(), '2026-01-10', '2026-02-01', false),
                (1, 'A', 'now', 's', false, false, 0, now(), '2026-03-01', '9999-12-31', true)
            """
        )
        found = connection.execute(
            """
            select day::date::text, v.site_key, v.name
            from unnest(array['2020-01-01', '2026-01-10', '2026-02-15', '2026-03-01']::date[]) as day
            join mart.v_site_as_was as v on v.valid_from <= day and day < v.valid_to
            where v.site_key = 1 or day < '2021-01-01'
            order by 1, 2
            """
        ).fetchall()
    assert found == [
        ("2020-01-01", -1, "unknown"),
        ("2020-01-01", 1, "first"),
        ("2026-01-10", 1, "first"),
        ("2026-02-15", 1, "first"),
        ("2026-03-01", 1, "now"),
    ]


def test_without_the_right_to_create_roles_it_says_what_to_do(server: Server) -> None:
    """A server of one's own, whose user owns a database and no more."""
    with psycopg.connect(server.url("admin", "postgres"), autocommit=True) as admin:
        admin.execute("drop database if exists modest")
        admin.execute("create role modest login password 'modest'")
        admin.execute("alter role opsmart_reader reset statement_timeout")
        admin.execute("create database modest owner modest")
        try:
            url = re.sub(r"//.*@", "//modest:modest@", server.url("admin", "modest"))
            result = migrate(url)
            assert result.is_applied
            assert any("sql/roles.sql" in warning for warning in result.warnings)
            assert migrate(url).is_applied is False
        finally:
            admin.execute("drop database modest with (force)")
            admin.execute("drop role modest")
            admin.execute("alter role opsmart_reader set statement_timeout = '15min'")


def test_refusal_changes_nothing_and_hides_the_password(server: Server) -> None:
    with psycopg.connect(server.url("admin", "postgres"), autocommit=True) as admin:
        admin.execute("create role guest login password 'hunter2'")
        admin.execute("create database not_ours")
        try:
            with pytest.raises(WarehouseError) as caught:
                migrate(re.sub(r"//.*@", "//guest:hunter2@", server.url("admin", "not_ours")))
        finally:
            admin.execute("drop database not_ours with (force)")
            admin.execute("drop role guest")
    assert "permission denied" in caught.value.what
    assert "hunter2" not in str(caught.value)


def test_a_warehouse_of_a_newer_version_is_left_alone(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        connection.execute("update ops.alembic_version set version_num = '9999'")
        connection.execute("update ops.migration_state set fingerprint = 'of a newer version'")
    with pytest.raises(WarehouseError, match="another version of opsmart"):
        migrate(warehouse_url)


def test_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(WarehouseError) as caught:
        migrate("postgresql://me:hunter2@127.0.0.1:1/mart")
    assert "cannot be reached" in caught.value.what
    assert "hunter2" not in str(caught.value)
