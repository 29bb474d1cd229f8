"""Sessions with a real PostgreSQL: what goes in by COPY comes out the same, however it is read."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Timer

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flows.io import embedded_server
from flows.io.warehouse import Session, Warehouse
from flows.settings import load_settings
from schemas.errors import WarehouseError
from tests.conftest import Server, fresh_database

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_CELLS: dict[str, tuple[str, pl.DataType, st.SearchStrategy[object]]] = {
    "flag": ("boolean", pl.Boolean(), st.booleans()),
    "count": ("integer", pl.Int32(), st.integers(-(2**31), 2**31 - 1)),
    "key": ("bigint", pl.Int64(), st.integers(-(2**63), 2**63 - 1)),
    "share": ("double precision", pl.Float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "day": ("date", pl.Date(), st.dates()),
    "clock": ("timestamp", pl.Datetime("us"), st.datetimes()),
    "moment": ("timestamptz", pl.Datetime("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "word": ("text", pl.String(), _TEXT),
    "amount": ("numeric(18,4)", pl.Decimal(18, 4), st.decimals(-(10**13), 10**13, places=4)),
    "rate": ("numeric(28,10)", pl.Decimal(28, 10), st.decimals(-(10**15), 10**15, places=10)),
}
_SCHEMA = {name: dtype for name, (_, dtype, _) in _CELLS.items()}
_ROWS = st.lists(st.tuples(*(st.none() | cells for _, _, cells in _CELLS.values())), max_size=8)


@pytest.fixture(scope="module")
def session(server: Server) -> Iterator[Session]:
    with fresh_database(server) as url, closing(Warehouse.at(url)) as warehouse, warehouse.session() as opened:
        columns = ", ".join(f"{name} {kind}" for name, (kind, _, _) in _CELLS.items())
        opened.execute(f"create schema lab create table cell (position bigint, {columns})")
        opened.commit()
        yield opened


@settings(max_examples=60, deadline=None)
@given(_ROWS)
def test_what_is_copied_is_read_back(session: Session, rows: list[tuple[object, ...]]) -> None:
    frame = pl.DataFrame(rows, _SCHEMA, orient="row").with_row_index("position").cast({"position": pl.Int64})
    session.execute("truncate lab.cell")
    session.copy(frame, "cell", schema="lab")
    session.load_temporary(frame, "copied")
    session.commit()
    few = session.fetch("select * from lab.cell order by position")
    assert_frame_equal(few, session.fetch("select * from pg_temp.copied order by position"))
    many = session.fetch_many("select * from lab.cell order by position")
    for read in (few, many):
        # NUMERIC is read as its text
        assert_frame_equal(read.with_columns(pl.col(name).cast(_SCHEMA[name]) for name in ("amount", "rate")), frame)


def test_parameters_are_values_of_their_types(session: Session) -> None:
    moment = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    query = (
        "select $1::date as day, $2::timestamptz as moment, $3::numeric as amount, $4 = any($5) as is_in, $6::text as x"
    )
    values = (date(2026, 3, 1), moment, Decimal("1.50"), 7, [7, 8], None)
    for fetch in (session.fetch, session.fetch_many):
        assert fetch(query, *values[:2], "1.50", *values[3:]).row(0) == (date(2026, 3, 1), moment, "1.50", True, None)


def test_a_query_without_rows_has_its_columns(session: Session) -> None:
    assert session.fetch("select 1::bigint as a, 'x' as b where false").schema == {"a": pl.Int64, "b": pl.String}


def test_what_is_not_committed_is_gone(warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        session.execute("create table public.gone (a int)")
    with pytest.raises(WarehouseError, match="gone"), warehouse.session() as session:
        session.fetch("select * from public.gone")
    with warehouse.session() as session:
        assert session.value("select 1") == 1


def test_the_locks_of_a_machine_that_died_are_free_in_a_minute_and_a_half(session: Session) -> None:
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
    idle, interval, count = (int(session.value(f"select current_setting('{name}')")) for name in names)
    assert idle + interval * count <= 90


def test_a_server_that_restarts_is_waited_for(tmp_path: Path) -> None:
    settings_ = load_settings(home=tmp_path / "home")
    url = embedded_server.ensure_running(settings_).url("admin", "postgres")
    restart = Timer(1.0, embedded_server.ensure_running, [settings_])
    try:
        with closing(Warehouse.at(url)) as warehouse:
            with pytest.raises(WarehouseError, match="refused"), warehouse.session() as thrown_out:
                thrown_out.value("select pg_terminate_backend(pg_backend_pid())")
            with warehouse.session() as one, warehouse.session() as other:
                assert one.value("select 1") == other.value("select 1") == 1
            embedded_server.stop(settings_)
            restart.start()
            with warehouse.session() as waiting, warehouse.session() as another:
                assert waiting.value("select 1") == another.value("select 1") == 1
    finally:
        restart.join()
        embedded_server.stop(settings_)
    with closing(Warehouse.at(url)) as new, pytest.raises(WarehouseError, match="reached"), new.session():
        pytest.fail("nobody waits for a server that was never there")
