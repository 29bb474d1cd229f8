"""Rows in quarantine as a file for people: the reason beside the cells as they were delivered, a row each."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

REASON = ("extract_id", "source", "dataset", "slot", "file", "row_no", "rule", "column_name", "value")
_FORMULA = r"^([=@\t\r]|[+-][^0-9.,]*[A-Za-z(@])"
"""What a spreadsheet would run rather than show; a negative number is none."""

_SHEET_NAME = 31


def write(rows: pl.DataFrame, file: Path) -> int:
    """Write rows of `look.held_rows` to .csv or .xlsx; how many rows were held, each named once per rule it broke."""
    parts = list(_by_dataset(rows))
    with file.open("wb") as target:
        if file.suffix == ".xlsx":
            _write_excel(parts, target)
        else:
            table = pl.concat([part for _, part in parts], how="diagonal") if parts else rows.select(REASON)
            text = pl.col(pl.String)
            shown = pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text)
            table.with_columns(shown.name.keep()).write_csv(target)
    return rows.select("extract_id", "row_no").n_unique()


def _by_dataset(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """`source dataset`, and its rows with the delivered cells as columns of their own."""
    for (source, dataset), part in rows.group_by("source", "dataset", maintain_order=True):
        cells = part["raw"].str.json_decode(infer_schema_length=None)
        frame = pl.DataFrame({"cells": cells}).unnest("cells")
        # A delivered column may have the name of one of ours.
        frame = frame.select(
            pl.col(name).alias(f"{name} (delivered)" if name in REASON else name) for name in frame.columns
        )
        yield f"{source} {dataset}", pl.concat([part.select(REASON), frame], how="horizontal")


def _write_excel(parts: list[tuple[str, pl.DataFrame]], target: BinaryIO) -> None:
    import xlsxwriter

    # As text: a spreadsheet must neither run a cell nor make a date of a code.
    with xlsxwriter.Workbook(target, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        for number, (name, part) in enumerate(parts, start=1):
            sheet = name if len(name) <= _SHEET_NAME else f"{name[: _SHEET_NAME - 4]} {number}"
            part.write_excel(book, sheet, autofit=True)
        if not parts:
            book.add_worksheet("nothing")
