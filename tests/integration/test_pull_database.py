"""Pulling from a database: the query runs there, equal results are no new landing, and no message tells a secret."""

import sqlite3
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest

from flows.io.embedded_server import Server
from flows.settings import load_settings
from schemas.errors import SourceError
from tests.sources import NOW, TestSource, make_source

MAPPING = """
    select
      l.po as po_id, l.line as line_no, l.supplier as supplier_id, 'I1' as item_id, l.ordered as ordered_on,
      l.qty as ordered_qty, 'EA' as uom, l.price as unit_price, 'EUR' as currency, 'open' as status,
      l.changed as updated_at
    from lines as l
"""
HOUR = timedelta(hours=1)


def database_source(tmp_path: Path, url: str) -> TestSource:
    return make_source(
        tmp_path,
        f"""
        name: shop
        time_zone: Europe/Berlin
        raw_types: {{decimal_mark: ","}}
        tables:
          lines:
            url: "{url}"
            query: select * from po_line where po <> 'P0'
            types: {{ordered: date, qty: decimal, price: decimal, changed: timestamp}}
        datasets:
          purchase_order_line: {{mode: snapshot}}
        """,
        purchase_order_line=MAPPING,
    )


def make_sqlite(path: Path, *rows: tuple[object, ...]) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("drop table if exists po_line")
        connection.execute("create table po_line (po, line, supplier, ordered, qty, price, changed)")
        connection.executemany("insert into po_line values (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.close()


ROW = ("P1", 1, "S1", "2026-02-03", 5, 2.5, None)


def test_sqlite(tmp_path: Path) -> None:
    make_sqlite(tmp_path / "shop.db", ROW, ("P0", 1, "S1", "2026-02-03", 5, 2.5, None))
    source = database_source(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    staged = source.stage_only()
    row = pl.read_parquet(staged.rows).row(0, named=True)
    assert staged.rows_in == 1
    assert (row["po_id"], row["line_no"], row["unit_price"]) == ("P1", "1", Decimal("2.5"))


def test_an_equal_result_is_no_new_landing(tmp_path: Path) -> None:
    other = ("P2", *ROW[1:])
    make_sqlite(tmp_path / "shop.db", ROW, other)
    source = database_source(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    first = source.pull().deliveries
    make_sqlite(tmp_path / "shop.db", other, ROW)
    assert source.pull(NOW + HOUR).deliveries == first
    make_sqlite(tmp_path / "shop.db", ROW)
    assert len(source.pull(NOW + 2 * HOUR).deliveries) == 2


def test_postgresql_types(tmp_path: Path, server: Server) -> None:
    url = server.url("admin", "postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop table if exists po_line")
        connection.execute(
            "create table po_line as select 'P1' as po, 1 as line, 'S1' as supplier, date '2026-02-03' as ordered,"
            " 5.2500::numeric(18, 4) as qty, 0.1::numeric as price, timestamptz '2026-02-03 12:00:00+01' as changed"
        )
    source = database_source(tmp_path, url.replace("postgresql://", "postgresql+psycopg://"))
    path = source.folder / "source.yaml"
    path.write_text(
        path.read_text().replace(
            "changed: timestamp}",
            'changed: timestamp}\n    raw_types: {timestamp_formats: ["%Y-%m-%d %H:%M:%S%.f%#z"]}',
        )
    )
    row = pl.read_parquet(source.stage_only().rows).row(0, named=True)
    assert (row["ordered_qty"], row["unit_price"]) == (Decimal("5.25"), Decimal("0.1"))
    assert (row["ordered_on"], row["updated_at"].hour) == (date(2026, 2, 3), 11)


def test_unreachable_database(tmp_path: Path) -> None:
    source = database_source(tmp_path, "postgresql+psycopg://joe:${SHOP}@127.0.0.1:1/shop")
    hidden = load_settings(home=tmp_path / "home", secrets={"SHOP": "hunter2"})
    source = TestSource(source.folder, hidden)
    (error,) = source.pull().failed
    assert "cannot be reached" in str(error)
    assert "shop.lines" in str(error)
    assert "hunter2" not in str(error)


def test_refused_query(tmp_path: Path) -> None:
    source = database_source(tmp_path, f"sqlite:///{tmp_path / 'empty.db'}")
    (error,) = source.pull().failed
    assert "no such table" in str(error)


def test_missing_secret(tmp_path: Path) -> None:
    source = database_source(tmp_path, "postgresql+psycopg://joe:${SHOP}@127.0.0.1:1/shop")
    with pytest.raises(SourceError, match="OPSMART_SECRET_SHOP"):
        source.pull()


def test_missing_driver(tmp_path: Path) -> None:
    (error,) = database_source(tmp_path, "oracle://joe@127.0.0.1/shop").pull().failed
    assert "driver" in str(error)
