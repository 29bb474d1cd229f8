"""The floor of a night: DuckDB reads the same files with types, then bare binary COPY of the same fact rows.

`python -m tests.benchmarks.floor OUT.json`, in the home of a night that has run. No check, no history, no ledger, no
computing: the rows are taken from `mart` beforehand, in the order of their key, and copied into empty tables with the
same columns, keys and indexes. Only reading and copying are timed.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

_BEGAN = psutil.Process().create_time()

import adbc_driver_postgresql.dbapi as adbc  # noqa: E402
import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402

STARTUP_S = time.time() - _BEGAN
"""Until here a program that only reads and copies would have come; what follows is for finding out what to read."""

import polars as pl  # noqa: E402
import psycopg  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from flows.io import embedded_server  # noqa: E402
from flows.io.pull import load_sources  # noqa: E402
from flows.settings import Settings, load_settings  # noqa: E402
from schemas.catalog import FACTS  # noqa: E402
from schemas.contract import Contract  # noqa: E402
from schemas.source import RawTable, RawTypes  # noqa: E402
from tests.benchmarks.usage import cpu_seconds, server_cpu_seconds  # noqa: E402

SCHEMA = "bench_floor"
TYPES = {
    "integer": "BIGINT",
    "decimal": "DECIMAL(18,4)",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOLEAN",
    "text": "VARCHAR",
}


def main() -> None:
    """Measure and write the floor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    settings = load_settings()
    server = embedded_server.ensure_running(settings)
    folder = settings.home / "floor"
    folder.mkdir(exist_ok=True)
    exported = {name: folder / f"{name}.parquet" for name in FACTS}
    rows = {name: _export(server.url(), name, path) for name, path in exported.items()}
    _make_tables(server, list(FACTS))
    cpu, server_cpu, began = cpu_seconds(), server_cpu_seconds(server.pid), time.perf_counter()
    read = read_files(settings)
    read_s, read_cpu = time.perf_counter() - began, cpu_seconds() - cpu
    copied: dict[str, dict[str, float]] = {}
    copy_cpu = 0.0
    for name, path in exported.items():
        if rows[name]:
            table = pl.read_parquet(path).to_arrow()
            cpu, began = cpu_seconds(), time.perf_counter()
            _copy(server.url(), table, name)
            copied[name] = {"rows": rows[name], "seconds": time.perf_counter() - began}
            copy_cpu += cpu_seconds() - cpu
    server_cpu = server_cpu_seconds(server.pid) - server_cpu
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"drop schema {SCHEMA} cascade")
    for path in exported.values():
        path.unlink()
    copy_s = sum(one["seconds"] for one in copied.values())
    found = {
        "seconds": read_s + copy_s,
        "startup_s": STARTUP_S,
        "read_s": read_s,
        "copy_s": copy_s,
        "cpu_s": read_cpu + copy_cpu,
        "server_cpu_s": server_cpu,
        "read": read,
        "copied": copied,
        "rows_read": sum(one["rows"] for one in read.values()),
        "rows_copied": sum(rows.values()),
    }
    args.out.write_text(json.dumps(found))


def read_files(settings: Settings) -> dict[str, dict[str, Any]]:
    """Read every landed file that a source declares; rows, seconds and how, by source and raw table."""
    found: dict[str, dict[str, Any]] = {}
    with duckdb.connect(":memory:") as database:
        database.execute("set preserve_insertion_order = false")
        database.execute("set autoinstall_known_extensions = false")
        for name, source in load_sources(settings.sql_root / "sources", settings.sources).items():
            for table, raw in source.tables.items():
                files = sorted(map(str, (settings.landing / name).glob(str(raw.path)))) if raw.path else []
                if files:
                    began = time.perf_counter()
                    rows, how = _read(database, raw, source.raw_types_of(table), files)
                    found[f"{name}.{table}"] = {"rows": rows, "seconds": time.perf_counter() - began, "how": how}
    return found


def _read(database: duckdb.DuckDBPyConnection, raw: RawTable, words: RawTypes, files: list[str]) -> tuple[int, str]:
    """Read some files of one kind into a table in memory, which goes again."""
    if raw.format == "excel":  # DuckDB would have to fetch an extension
        sheet = {"sheet_name": raw.sheet} if isinstance(raw.sheet, str) else {}
        return sum(pl.read_excel(file, **sheet).height for file in files), "Polars"
    how = "typed"
    try:
        rows = _count(database, _query(raw, words, files, typed=True))
    except duckdb.Error as error:
        how = f"as text, for DuckDB says: {str(error).splitlines()[0][:120]}"
        rows = _count(database, _query(raw, words, files, typed=False))
    return rows, how


def _count(database: duckdb.DuckDBPyConnection, query: str) -> int:
    database.execute(f"create or replace temp table landed as {query}")
    (rows,) = database.execute("select count(*) from landed").fetchall()[0]
    database.execute("drop table landed")
    return int(rows)


def _query(raw: RawTable, words: RawTypes, files: list[str], *, typed: bool) -> str:
    if raw.format == "parquet":
        return f"select * from read_parquet({files})"
    types = {name: TYPES[kind] for name, kind in raw.types.items()} if typed else {}
    if words.true_words[0].lower() not in ("true", "1"):  # words that DuckDB cannot be told
        types = {name: "VARCHAR" if kind == "BOOLEAN" else kind for name, kind in types.items()}
    options: dict[str, object] = {}
    if (
        types.keys() & {name for name, kind in raw.types.items() if kind == "date"}
        and words.date_formats[0] != "%Y-%m-%d"
    ):
        options["dateformat"] = words.date_formats[0]
    if any(kind == "timestamp" for kind in raw.types.values()) and typed and "%d." in words.timestamp_formats[0]:
        options["timestampformat"] = words.timestamp_formats[0]
    if raw.format == "jsonl":
        return f"select * from read_json({files}, format = 'newline_delimited'{_said(options)})"
    options |= {"delim": raw.delimiter, "header": raw.header, "quote": raw.quote or "", "nullstr": ""}
    options["encoding"] = {"utf-8-sig": "utf-8"}.get(raw.encoding, raw.encoding)
    if words.decimal_mark != ".":
        options["decimal_separator"] = words.decimal_mark
    if words.thousands_separator and typed:
        options["thousands"] = words.thousands_separator
    if raw.header:
        # The order of a header's columns is the file's; types by name.
        how = f"types = {types}" if types else "all_varchar = true"
        return f"select * from read_csv({files}, auto_detect = true, sample_size = 1000, {how}{_said(options)})"
    columns = {name: types.get(name, "VARCHAR") for name in raw.columns}
    return f"select * from read_csv({files}, auto_detect = false, columns = {columns}{_said(options)})"


def _said(options: dict[str, object]) -> str:
    return "".join(f", {name} = {_literal(value)}" for name, value in options.items())


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"


def _export(url: str, name: str, path: Path) -> int:
    """Write a fact's rows to Parquet, typed as its contract says; returns how many they are."""
    contract, count = FACTS[name].contract, 0
    schema = pl.DataFrame(schema=contract.dtypes()).to_arrow().schema
    with adbc.connect(url) as connection, connection.cursor() as cursor, pq.ParquetWriter(path, schema) as writer:
        cursor.execute(f"select * from mart.{name} order by row_key")
        for batch in _batches(cursor.fetch_record_batch(), contract):
            count += batch.num_rows
            writer.write_table(batch.cast(schema))
    return count


def _batches(reader: pa.RecordBatchReader, contract: type[Contract]) -> Iterator[pa.Table]:
    for batch in reader:
        # NUMERIC comes as a type of its own around its text.
        columns = [column.storage if isinstance(column, pa.ExtensionArray) else column for column in batch.columns]
        frame = pl.DataFrame(dict(zip(batch.schema.names, map(pl.Series, columns), strict=True)))
        yield frame.select(pl.col(column).cast(dtype) for column, dtype in contract.dtypes().items()).to_arrow()


def _make_tables(server: embedded_server.Server, names: list[str]) -> None:
    """Empty tables with the facts' columns, keys and indexes; and what the night left to write is written."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"drop schema if exists {SCHEMA} cascade")
        connection.execute(f"create schema {SCHEMA}")
        for name in names:
            connection.execute(f"create table {SCHEMA}.{name} (like mart.{name} including all)")
    with psycopg.connect(server.url("admin", "postgres"), autocommit=True) as connection:
        connection.execute("checkpoint")


def _copy(url: str, table: pa.Table, name: str) -> None:
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(name, table, mode="append", db_schema_name=SCHEMA)
        connection.commit()


if __name__ == "__main__":
    main()
