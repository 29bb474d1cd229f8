"""What a BI tool's login sees after a night, what it cannot do, and where no password ever shows.

Rights on an empty warehouse are tests/contracts/test_migrations.py's; roles and files of the server
tests/integration/test_embedded_server.py's.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from flows.io import home
from flows.io.embedded_server import ROLES, Server
from flows.io.warehouse import Warehouse
from flows.settings import load_settings
from schemas.catalog import FACTS
from schemas.errors import WarehouseError
from tests.shop import EVERY_TABLE, Shop

SECRET = "Tr0ub4dor&3"
"""Of a database that does not exist."""


CHANGES = (
    "insert into {} default values", "update {} set row_hash = 0", "delete from {}", "truncate {}",
    "alter table {} add column x int", "drop table {}", "comment on table {} is ''",
)  # fmt: skip


@pytest.fixture
def reader(shop: Shop, reader_url: str) -> Iterator[psycopg.Connection]:
    """opsmart_reader after a night."""
    shop.source(purchase_order_line="snapshot", goods_receipt="append", item="snapshot")
    shop.land("purchase_order_line", "2026-03-31", {}, {"po_id": "P2", "ordered_qty": "?"})
    shop.land("goods_receipt", "2026-03-31", {})
    shop.land("item", "2026-03-31", {})
    shop.good_night()
    with psycopg.connect(reader_url, autocommit=True) as connection:
        yield connection


def test_the_reader_reads_the_mart_and_changes_nothing(reader: psycopg.Connection) -> None:
    tables = reader.execute(
        "select relname, relkind::text from pg_class"
        " where relnamespace = 'mart'::regnamespace and relkind in ('r', 'v')"
    ).fetchall()
    assert {name for name, kind in tables if kind == "r"} >= set(EVERY_TABLE)
    for name, _ in tables:
        reader.execute(sql.SQL("select * from mart.{}").format(sql.Identifier(name)))
    assert reader.execute("select po_id, received_qty from mart.fct_purchase_order_line").fetchall() == [("P1", 5)]
    assert reader.execute("select dataset, rows_accepted from mart.v_freshness order by 1").fetchall() == [
        ("goods_receipt", 1), ("item", 1), ("purchase_order_line", 1)
    ]  # fmt: skip

    # A session may switch read-only off: rights must hold without it.
    reader.execute("set default_transaction_read_only = off")
    allowed = [
        (statement, name) for statement in CHANGES for name in EVERY_TABLE
        if _is_allowed(reader, sql.SQL(statement).format(sql.Identifier("mart", name)))
    ]  # fmt: skip
    assert allowed == []
    assert reader.execute("select count(*) from mart.fct_purchase_order_line").fetchone() == (1,)


def _is_allowed(connection: psycopg.Connection, statement: sql.Composed) -> bool:
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def test_the_reader_sees_no_ledger_and_no_password(reader: psycopg.Connection, shop: Shop) -> None:
    ledger = "select relname from pg_class where relnamespace = 'ops'::regnamespace and relkind in ('r', 'p', 'v')"
    for (name,) in shop.fetch(ledger):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("select * from {}").format(sql.Identifier("ops", name)))
    for query in ("select * from pg_authid", "select * from pg_shadow", "select * from pg_user_mapping",
                  "select pg_read_file('PG_VERSION')", "select pg_ls_dir('.')", "set role opsmart_loader",
                  "set session authorization opsmart_loader"):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(query)
    # pg_roles is public, but says only that there are passwords.
    assert reader.execute("select distinct rolpassword from pg_roles").fetchall() == [("********",)]
    # What others run is not shown either.
    with shop.warehouse.session() as session:
        session.value("select 'a loader is at work'")
        others = reader.execute("select query from pg_stat_activity where usename = 'opsmart_loader'").fetchall()
    assert set(others) <= {("<insufficient privilege>",)}


def test_the_reader_makes_no_large_objects(server: Server) -> None:
    with psycopg.connect(server.url("reader"), autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        for statement in ("select lo_create(0)", "select lo_from_bytea(0, 'x')", "select lo_creat(0)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_every_column_of_the_mart_is_described(reader_url: str) -> None:
    """As `\\d+` shows it to the reader."""
    with psycopg.connect(reader_url) as reader:
        columns = reader.execute(
            "select relname, attname, col_description(pg_class.oid, attnum) from pg_class"
            " inner join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped"
            " where relnamespace = 'mart'::regnamespace and relkind = 'r' and relname <> 'alembic_version'"
        ).fetchall()
    assert [(table, column) for table, column, said in columns if not said] == []
    assert {table for table, _, _ in columns} >= set(FACTS)
    words = {column: said for table, column, said in columns if table == "fct_purchase_order_line"}
    assert words["ordered_on"] == "Day the order was placed; anchors the row"


def test_no_password_shows(shop: Shop, server: Server, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in what `ps` lists, not in logs, not in errors, not in the ledger, not in files but the password files."""
    shop.source(purchase_order_line="snapshot")
    shop.source("database", item={"mode": "snapshot", "table": {"url": "postgresql+psycopg://erp:${ERP}@127.0.0.1:9/erp",
                                                                 "query": "select 1 as item_id"}})  # fmt: skip
    shop.settings = shop.settings.model_copy(update={"secrets": _secrets(ERP=SECRET)})
    shop.land("purchase_order_line", "2026-03-31", {}, {"po_id": "P2", "ordered_qty": "?"})
    report = shop.night()
    (problem,) = report.problems
    assert problem.subject == "database"
    passwords = [SECRET, *(server.password_file(role).read_text().strip() for role in ROLES)]

    # A wrong statement and a wrong password, as errors a person sees.
    said = [str(problem), report.sentence(), str(report)]
    url = str(shop.settings.warehouse_url.get_secret_value())  # type: ignore[union-attr]
    wrong = url.replace(str(urlsplit(url).password), SECRET)
    elsewhere = url.replace("127.0.0.1", "127.0.0.2")
    for at, statement in ((url, "select nothing"), (wrong, "select 1"), (elsewhere, "select 1")):
        warehouse = Warehouse.at(at)
        try:
            with pytest.raises(WarehouseError) as error, warehouse.session() as session:
                session.fetch(statement)
            said.append(str(error.value))
        finally:
            warehouse.close()
    said += [repr(shop.settings), str(shop.settings), *capfd.readouterr()]
    said += [str(row) for row in shop.fetch("select to_jsonb(x)::text from ops.run as x")]
    said += [str(row) for row in shop.fetch("select to_jsonb(x)::text from ops.extract as x")]
    said += [_command_line(process) for process in Path("/proc").iterdir() if process.name.isdigit()]
    files = [path for folder in (home, server.folder) for path in folder.rglob("*") if path.is_file()]
    shown = [(password, text[:200]) for password in passwords for text in said if password in text]
    kept = [
        path for path in files
        if path.suffix != ".password" and "data/base" not in str(path) and "pg_wal" not in str(path)
        and any(password.encode() in path.read_bytes() for password in passwords)
    ]  # fmt: skip
    assert (shown, kept) == ([], [])


def _secrets(**values: str) -> dict[str, object]:
    from pydantic import SecretStr

    return {name: SecretStr(value) for name, value in values.items()}


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        # It ended meanwhile.
        return ""


def test_what_holds_data_is_the_owners_alone(server: Server) -> None:
    home = server.folder.parent
    modes = {name: (home / name).stat().st_mode & 0o777 for name in ("landing", "lake", "logs", "work")}
    assert set(modes.values()) == {0o700}, modes


def test_a_home_is_passed_but_not_listed_by_others(tmp_path: Path) -> None:
    """The server may run as another user."""
    settings = load_settings(home=tmp_path / "new" / "home", lake=tmp_path / "lake")
    for _ in range(2):
        home.make(settings)
        assert settings.home.stat().st_mode & 0o777 == 0o711
        assert {folder.name for folder in settings.home.iterdir()} == {"landing", "logs", "work"}
        assert not settings.lake.exists()
    settings.landing.chmod(0o770)  # somebody who delivers
    home.make(settings)
    assert settings.landing.stat().st_mode & 0o777 == 0o770


def test_files_with_secrets_are_the_owners_alone(server: Server) -> None:
    private = list(server.folder.rglob("*.password"))
    assert private
    assert {oct(path.stat().st_mode & 0o077) for path in private} == {"0o0"}
