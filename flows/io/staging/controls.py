"""Control totals: what trailer or manifest state, beside what came; exact, over the rows as delivered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from flows.io.staging.raw import RawFile, RawRows, open_raw
from schemas.errors import ExtractError
from schemas.source import TRAILER, ControlTotals, RawTypes, Source
from transforms.common import parse


@dataclass(frozen=True, slots=True)
class ControlGaps:
    """`rows`: how many more rows came than were stated; `sums` names the sums that differ ('' for none).

    None where nothing of the kind is declared.
    """

    rows: int | None = None
    sums: str | None = None


def control_gaps(
    totals: ControlTotals | None,
    source: Source,
    driving: str,
    tables: Mapping[str, RawRows],
    files: Callable[[str], Sequence[RawFile]],
    work_dir: Path,
) -> ControlGaps:
    """Compare what came with what was stated.

    Args:
        totals: What source.yaml declares.
        source: The source.
        driving: The SELECT's driving table.
        tables: The raw tables that the SELECT names.
        files: The delivery's files of a table.
        work_dir: Folder for converted copies.

    Raises:
        ExtractError: A stated column is not there, or is no number.
    """
    if totals is None:
        return ControlGaps()
    table = totals.table or driving
    needed = sorted({*totals.sums})
    counted = tables.get(table) or open_raw(source.tables[table], files(table), needed, work_dir / table)
    stated = _stated(totals, source, table, counted, files, work_dir)
    rows_gap = None if totals.rows is None else counted.rows - _whole(stated[totals.rows], totals)
    if not totals.sums:
        return ControlGaps(rows_gap)
    found = _sums(counted, needed, source.raw_types_of(table))
    wrong = [
        f"{column}: {_plain(stated[name])} stated, {_plain(found[column])} found"
        for column, name in totals.sums.items()
        if found[column] != stated[name]
    ]
    return ControlGaps(rows_gap, "; ".join(wrong))


def _stated(
    totals: ControlTotals,
    source: Source,
    table: str,
    counted: RawRows,
    files: Callable[[str], Sequence[RawFile]],
    work_dir: Path,
) -> dict[str, Decimal]:
    """The stated totals by column or group, added up over files or rows."""
    names = list(dict.fromkeys([name for name in (totals.rows,) if name] + list(totals.sums.values())))
    if totals.stated_in == TRAILER:
        lines = pl.DataFrame(counted.trailers, schema=dict.fromkeys(names, pl.String), strict=False)
        return _numbers(lines, names, source.raw_types_of(table), f"the trailer of {table}")
    manifest = totals.stated_in
    raw = open_raw(source.tables[manifest], files(manifest), [*names, *totals.where], work_dir / manifest)
    rows = raw.frame.select(pl.col(name).cast(pl.String) for name in dict.fromkeys((*names, *totals.where))).collect()
    picked = rows.filter(pl.col(column) == text for column, text in totals.where.items()) if totals.where else rows
    return _numbers(picked, names, source.raw_types_of(manifest), f"{manifest}, {totals.where or 'all rows'}")


def _numbers(stated: pl.DataFrame, names: Sequence[str], conventions: RawTypes, where: str) -> dict[str, Decimal]:
    numbers = stated.select(parse.typed(name, stated.schema[name], "decimal", conventions) for name in names)
    for name in names:
        if not numbers.height or numbers[name].has_nulls():
            raise ExtractError(
                f"the control total {name!r} is not stated, or not as a number",
                where=where,
                remedy="have it delivered again with its totals, or mend control_totals in source.yaml",
            )
    return numbers.sum().row(0, named=True)


def _sums(counted: RawRows, columns: Sequence[str], conventions: RawTypes) -> dict[str, Decimal]:
    """Exact sums of columns; cells that cannot be read add nothing."""
    for column in columns:
        if column not in counted.dtypes:
            raise ExtractError(
                f"the file has no column {column!r}, of which a control total is stated",
                where=f"columns: {', '.join(counted.dtypes)[:300]}",
                remedy="have it delivered again, or mend control_totals in source.yaml",
            )
    values = (parse.typed(name, counted.dtypes[name], "decimal", conventions).sum() for name in columns)
    return counted.frame.select(values).collect(engine="streaming").row(0, named=True)


def _whole(number: Decimal, totals: ControlTotals) -> int:
    if number != int(number):
        raise ExtractError(
            f"the stated number of rows is {number}",
            where=totals.stated_in,
            remedy="mend control_totals in source.yaml",
        )
    return int(number)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():,f}"
