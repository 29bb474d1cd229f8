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
_NUMBERS = 1024
"""Room for the numbers of a SELECT's `_bad…` columns in a code: row number * this + number."""


@dataclass(frozen=True, slots=True)
class TypedTable:
    """A raw table, how each needed column is read, and the frame of typed cells beside `_row_no` and `_bad…`."""

    raw: RawRows
    types: dict[str, RawType]
    conventions: RawTypes
    judged: Mapping[str, Columns]

    @property
    def frame(self) -> pl.LazyFrame:
        """Columns the SELECT needs, typed; `_bad…` is NULL, or the code of a row with a cell that cannot be read.

        A code is a number, which joins and aggregates carry along quickly; `with_reasons` says what it stands for.
        """
        # In two steps: judged in the step that reads it, every cell would be read twice.
        return self._read().select(
            *(pl.col(f"{_VALUE}{name}").alias(name) for name in self.types),
            ROW_NO,
            *(self._code(name, columns) for name, columns in self.judged.items()),
        )

    def cells(self, columns: Columns, rows: pl.Series) -> pl.DataFrame:
        """`_row_no` and `_bad` of rows: `column=value` of each of their unreadable cells, or that they are ragged."""
        read = self._read().filter(pl.col(ROW_NO).is_in(rows.implode()))
        cells = parse.unreadable_cells(self._values(columns), self.raw.dtypes, self.conventions, end=CELL_END)
        if self.raw.ragged:
            cells = pl.when(self._is_ragged()).then(pl.lit(f"{RAGGED}={CELL_END}")).otherwise(cells)
        return read.select(ROW_NO, cells.alias(BAD)).collect(engine="streaming")

    def unreadable_rows(self, columns: Columns) -> pl.Series:
        """Numbers of the rows with an unreadable cell in any of the columns, and of ragged ones."""
        return self._read().filter(self._is_bad(columns)).select(ROW_NO).collect(engine="streaming")[ROW_NO]

    def _read(self) -> pl.LazyFrame:
        return self.raw.frame.with_columns(self._typed(name).alias(f"{_VALUE}{name}") for name in self.types)

    def _typed(self, name: str) -> pl.Expr:
        return parse.typed(name, self.raw.dtypes[name], self.types[name], self.conventions)

    def _values(self, columns: Columns) -> dict[str, pl.Expr]:
        return {
            name: pl.col(f"{_VALUE}{name}")
            for name, raw_type in self.types.items()
            if raw_type != "text" and (columns is None or name in columns)
        }

    def _is_ragged(self) -> pl.Expr:
        return pl.col(ROW_NO).is_in(list(self.raw.ragged))

    def _is_bad(self, columns: Columns) -> pl.Expr:
        checks = [
            parse.is_unreadable(name, self.raw.dtypes[name], self.conventions, value)
            for name, value in self._values(columns).items()
        ]
        if self.raw.ragged:
            checks.append(self._is_ragged())
        return pl.any_horizontal(checks) if checks else pl.lit(value=False)

    def _code(self, name: str, columns: Columns) -> pl.Expr:
        number = int(name.removeprefix(BAD))
        code = pl.col(ROW_NO) * _NUMBERS + number
        return pl.when(self._is_bad(columns)).then(code).alias(name)


def with_reasons(bad: pl.DataFrame, tables: Mapping[str, TypedTable]) -> pl.DataFrame:
    """The rows with the codes in `_bad:…` replaced by what they stand for, `''` for none."""
    judged = {name: (table, columns) for table in tables.values() for name, columns in table.judged.items()}
    for column in (name for name in bad.columns if name.startswith(f"{BAD}:")):
        codes = bad[column].drop_nulls().unique()
        texts = [pl.DataFrame(schema={column: pl.Int64(), _VALUE: pl.String()})]
        for number in (codes % _NUMBERS).unique():
            table, columns = judged[f"{BAD}{number}"]
            cells = table.cells(columns, codes.filter(codes % _NUMBERS == number) // _NUMBERS)
            texts.append(cells.select((pl.col(ROW_NO) * _NUMBERS + number).alias(column), pl.col(BAD).alias(_VALUE)))
        bad = (
            bad.join(pl.concat(texts), on=column, how="left", maintain_order="left")
            .with_columns(pl.col(_VALUE).fill_null("").alias(column))
            .drop(_VALUE)
        )
    return bad


def typed_table(source: Source, table: str, raw: RawRows, mapping: MappingSelect) -> TypedTable:
    """How the columns that the SELECT names are read."""
    needed, declared = mapping.columns[table], source.tables[table].types
    names = [name for name in raw.dtypes if needed is None or name in needed]
    types = {name: declared.get(name) or parse.native_type(raw.dtypes[name]) for name in names}
    return TypedTable(raw, types, source.raw_types_of(table), mapping.judged.get(table, {}))
