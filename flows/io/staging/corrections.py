"""Corrections of `corrections.yaml`, laid over the raw cells of a delivery before these are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import polars as pl

from flows.io.staging.raw import RawRows
from schemas.correction import Correction
from schemas.errors import SourceError


@dataclass(frozen=True, slots=True)
class Applied:
    """A correction that met rows of a delivery: how many it corrected, and how many do not say what it expects."""

    correction: Correction
    rows_corrected: int
    rows_unexpected: int

    @property
    def objection(self) -> str:
        """What is to be done about rows that do not say what is expected; '' where there is none."""
        if not self.rows_unexpected:
            return ""
        rows, advice = f"{self.rows_unexpected:,} rows", "if the source was mended, take it out of corrections.yaml"
        return f"{rows} do not say what the correction '{self.correction}' expects and stay as delivered: {advice}"


def correct(raw: RawRows, corrections: Sequence[Correction], where: str) -> tuple[RawRows, list[Applied]]:
    """The raw table with its corrections, and what these met. Costs one more look at the columns they name.

    Where several set the same cell the first counts.

    Args:
        raw: The table as delivered.
        corrections: Those of this table.
        where: The file, for messages.

    Raises:
        SourceError: A column is not there, or cannot hold what is set.
    """
    if not corrections:
        return raw, []
    counts, cells = [], dict[str, pl.Expr]()
    for number, correction in reversed([*enumerate(corrections)]):
        _check(correction, raw, where)
        is_meant, is_expected = _are(correction.where), _are(correction.expect)
        counts += [
            (is_meant & is_expected).sum().alias(f"{number} corrected"),
            (is_meant & ~is_expected).sum().alias(f"{number} unexpected"),
        ]
        for name, cell in correction.set.items():
            value = pl.lit(_value(cell, raw.dtypes[name]), dtype=raw.dtypes[name])
            cells[name] = pl.when(is_meant & is_expected).then(value).otherwise(cells.get(name, pl.col(name)))
    met = raw.frame.select(counts).collect(engine="streaming").row(0, named=True)
    applied = [
        Applied(correction, met[f"{number} corrected"], met[f"{number} unexpected"])
        for number, correction in enumerate(corrections)
    ]
    corrected = raw.frame.with_columns(**cells)
    return replace(raw, frame=corrected), [one for one in applied if one.rows_corrected or one.rows_unexpected]


def _are(cells: dict[str, str | None]) -> pl.Expr:
    return pl.all_horizontal(pl.col(name).cast(pl.String).fill_null("") == (cell or "") for name, cell in cells.items())


def _check(correction: Correction, raw: RawRows, where: str) -> None:
    for name in (*correction.where, *correction.set):
        if name not in raw.dtypes:
            raise SourceError(
                f"a correction names {name!r}, which is no column of the delivered table",
                where=f"{where}: {correction}",
                remedy=f"its columns are {', '.join(raw.dtypes)}",
            )
    for name, cell in correction.set.items():
        if cell is not None and _value(cell, raw.dtypes[name]) is None:
            raise SourceError(
                f"a correction sets {name} to {cell!r}, which is no {str(raw.dtypes[name]).lower()}",
                where=f"{where}: {correction}",
                remedy="the file types this column: write the cell as quarantine shows such cells",
            )


def _value(cell: str | None, dtype: pl.DataType) -> object:
    """The cell in a column that the file itself types (Parquet); None where it cannot be."""
    if cell is None or dtype == pl.String:
        return cell
    try:
        if dtype == pl.Date:
            return date.fromisoformat(cell)
        if isinstance(dtype, pl.Datetime):
            return datetime.fromisoformat(cell)
    except ValueError:
        return None
    if dtype == pl.Boolean:
        return {"true": True, "false": False}.get(cell.lower())
    return pl.Series([cell]).cast(dtype, strict=False).item()
