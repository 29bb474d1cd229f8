"""A copy of the ledger as of one moment: what accepting and building need of it, in another database."""

from collections.abc import Collection

import psycopg
from psycopg import sql

from schemas import ledger as tables

_COPIED = (
    tables.stream, tables.extract, tables.extract_measure, tables.release, tables.sighting, tables.held_key,
    tables.coverage, tables.code_span, tables.code_alias, tables.stream_day, tables.link_day, tables.dirty_slice,
    tables.dirty_row, tables.slice_,
)  # fmt: skip
_NUMBERED = (("stream", "stream_id", 1), ("sighting", "sighting_id", 1), ("extract", "extract_id", 10**9))
"""Ids that are given out: how far those of the copy begin after the original's.

Extracts' are not given out in the original meanwhile, because the lake tells rows apart by them.
"""


def copy_ledger(original_url: str, copy_url: str, datasets: Collection[str]) -> None:
    """Copy the ledger into an empty, migrated database; of the keys those of some datasets. Holds nothing up."""
    with psycopg.connect(original_url) as original, psycopg.connect(copy_url) as copy:
        original.execute("set transaction isolation level repeatable read, read only")
        for table in _COPIED:
            _copy(original, copy, table.name, [column.name for column in table.columns])
        keys = "select stream_id from ops.stream where key_count > 0 and dataset = any(%s)"
        for (stream_id,) in original.execute(keys, [list(datasets)]).fetchall():
            partition = f"current_key_{stream_id}"
            copy.execute(
                sql.SQL("create table {} partition of ops.current_key for values in ({})").format(
                    sql.Identifier("ops", partition), stream_id
                )
            )
            _copy(original, copy, partition, [column.name for column in tables.current_key.columns])
        for name, column, apart in _NUMBERED:
            sequence = f"pg_get_serial_sequence('ops.{name}', '{column}')"
            copy.execute(f"select setval({sequence}, coalesce(max({column}), 0) + %s) from ops.{name}", [apart])
        copy.execute("select setval('ops.generation', coalesce(max(generation), 0) + 1) from ops.dirty_slice")
        copy.execute("analyze")


def _copy(original: psycopg.Connection, copy: psycopg.Connection, table: str, columns: list[str]) -> None:
    name, names = sql.Identifier("ops", table), sql.SQL(", ").join(map(sql.Identifier, columns))
    read = sql.SQL("copy {} ({}) to stdout (format binary)").format(name, names)
    write = sql.SQL("copy {} ({}) from stdin (format binary)").format(name, names)
    with original.cursor().copy(read) as reading, copy.cursor().copy(write) as writing:
        for block in reading:
            writing.write(block)
