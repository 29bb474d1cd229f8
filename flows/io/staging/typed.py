"""Raw tables with typed cells: what a mapping SELECT runs over."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from flows.io.staging.mapping import BAD, ROW_NO, Columns, MappingSelect
from flows.io.staging.raw import RawRows
from flows.io.staging.rows import CELL_END
from schemas.source import RawType, RawTypes, Source
from transforms.common import parse

RAGGED = "ragged_row"
_VALUE = "value:"


@dataclass(frozen=True, slots=True)
class TypedTable:
    """A raw table, how each needed column is read, and the frame of typed cells beside `_row_no` and `_bad…`."""

    raw: RawRows
    types: dict[str, RawType]
    conventions: RawTypes
    judged: Mapping[str, Columns]

    @property
    def frame(self) -> pl.LazyFrame:
        """Columns the SELECT needs, typed; `_bad…` is `''` or `column=value` of each cell that cannot be read."""
        # In two steps: judged in the step that reads it, every cell would be read twice.
        read = self.raw.frame.with_columns(self._typed(name).alias(f"{_VALUE}{name}") for name in self.types)
        return read.select(
            *(pl.col(f"{_VALUE}{name}").alias(name) for name in self.types),
            ROW_NO,
            *(self._cells(columns).alias(name) for name, columns in self.judged.items()),
        )

    def _cells(self, columns: Columns) -> pl.Expr:
        values = {
            name: pl.col(f"{_VALUE}{name}")
            for name, raw_type in self.types.items()
            if raw_type != "text" and (columns is None or name in columns)
        }
        cells = parse.unreadable_cells(values, self.raw.dtypes, self.conventions, end=CELL_END)
        if not self.raw.ragged:
            return cells
        is_ragged = pl.col(ROW_NO).is_in(list(self.raw.ragged))
        return pl.when(is_ragged).then(pl.lit(f"{RAGGED}={CELL_END}")).otherwise(cells)

    def _typed(self, name: str) -> pl.Expr:
        return parse.typed(name, self.raw.dtypes[name], self.types[name], self.conventions)

    def lost(self, columns: Columns) -> pl.LazyFrame:
        """`_row_no` and `_bad` of rows with an unreadable cell in any of the columns, and of ragged ones."""
        read = self.raw.frame.with_columns(self._typed(name).alias(f"{_VALUE}{name}") for name in self.types)
        is_bad = self._cells(columns) != ""
        return read.filter(is_bad).select(ROW_NO, self._cells(None).alias(BAD))


def typed_table(source: Source, table: str, raw: RawRows, mapping: MappingSelect) -> TypedTable:
    """How the columns that the SELECT names are read."""
    needed, declared = mapping.columns[table], source.tables[table].types
    names = [name for name in raw.dtypes if needed is None or name in needed]
    types = {name: declared.get(name) or parse.native_type(raw.dtypes[name]) for name in names}
    return TypedTable(raw, types, source.raw_types_of(table), mapping.judged.get(table, {}))
