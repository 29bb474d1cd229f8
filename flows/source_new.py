"""A skeleton for a new source: source.yaml and a mapping SELECT per dataset, with comments on what to fill in."""

import re
from pathlib import Path

from schemas.catalog import DATASETS
from schemas.contract import DatasetContract
from schemas.errors import SourceError
from schemas.source import NAME

OPTIONAL = frozenset({"updated_at", "is_deleted"})
"""Columns that a mapping may leave out."""

_HEAD = """\
# One system that delivers. The words in capitals are to be replaced; `opsmart source check {name}` says what is wrong.
name: {name}
description: WHAT SYSTEM THIS IS
owner: WHO ANSWERS FOR IT
time_zone: UTC # of timestamps without an offset, as in Europe/Berlin
# currency: EUR
# code_spaces: {{item: OTHER_SOURCE}} # ids that are another system's codes; default: this source's own

raw_types: # how the files write their cells; everything is read as text first
  null_words: [""]
  date_formats: ["%Y-%m-%d"] # tried in order
  timestamp_formats: ["%Y-%m-%d %H:%M:%S%.f"]
  decimal_mark: "."
  thousands_separator: ""
  true_words: ["true", "1"]
  false_words: ["false", "0"]
  excess_decimals: reject # or round

tables: # the names that the SELECTs use; files lie below <landing>/{name}/
"""

_TABLE = """\
  {dataset}_file:
    path: "{dataset}_*.csv" # several files of one name pattern are read as one table
    format: csv # csv, jsonl, parquet, excel; gzip and zip are recognised
    delimiter: ","
    encoding: utf-8
    # header: false # then name the columns in order under `columns`
    # What a file speaks for is read from its name, never from its time: {dataset}_2026-03-31.csv, …_2026-03-31_r1.csv
    slot: '(?P<as_of>\\d{{4}}-\\d{{2}}-\\d{{2}})(_r(?P<revision>\\d+))?'
    types: {{}} # columns that are not text: COLUMN: integer, decimal, date, timestamp or boolean
  # A database instead of a file; ${{NAME}} is filled from OPSMART_SECRET_NAME:
  # {dataset}_query: {{url: "postgresql+psycopg://USER:${{NAME}}@HOST/DATABASE", query: "select … from …"}}
"""

_DATASETS = """
datasets: # each is mapped by the SELECT of its name in this folder
"""

_DATASET = """\
  {dataset}:
    mode: snapshot # complete each time; or delta (changed rows), append (events), period (complete for a period)
    # deadline: "06:00" # when a day's delivery is due, on the day after, in the source's time zone
    # expected_on: [mon, tue, wed, thu, fri] # the days that deliveries speak for, where it is not all of them
"""


def write_skeleton(folder: Path, name: str, datasets: tuple[str, ...]) -> list[Path]:
    """Writes the folder of source `name` for `datasets` below `folder`; returns the files written.

    Raises SourceError where the name cannot be used, a dataset does not exist or the source is there already.
    """
    if not re.match(NAME, name):
        raise SourceError(
            f"{name!r} cannot name a source.", remedy="begin with a letter; use small letters, digits and _: my_erp"
        )
    for dataset in datasets:
        if dataset not in DATASETS:
            raise SourceError(f"There is no dataset {dataset!r}.", remedy=f"choose among {', '.join(sorted(DATASETS))}")
    place = folder / name
    if place.exists():
        raise SourceError(f"Source {name} is there already.", where=str(place), remedy="choose another name")
    place.mkdir(parents=True)
    files = {"source.yaml": source_yaml(name, datasets)}
    files |= {f"{dataset}.sql": mapping_select(dataset, DATASETS[dataset].contract) for dataset in datasets}
    for file, text in files.items():
        (place / file).write_text(text, encoding="utf-8")
    return [place / file for file in files]


def source_yaml(name: str, datasets: tuple[str, ...]) -> str:
    """A source.yaml that is complete but for the words in capitals."""
    tables = "\n".join(_TABLE.format(dataset=dataset) for dataset in datasets)
    return _HEAD.format(name=name) + tables + _DATASETS + "".join(_DATASET.format(dataset=d) for d in datasets)


def mapping_select(dataset: str, contract: type[DatasetContract]) -> str:
    """A SELECT that gives every column of the dataset, each with what it means; unknown ones are NULL."""
    lines = [f"-- {line}".rstrip() for line in (contract.__doc__ or dataset).strip().splitlines()[:1]]
    lines += ["-- The table after FROM drives: its rows are counted. Remove columns that you do not have.", "select"]
    columns = sorted(contract.columns().items(), key=lambda entry: entry[0] in OPTIONAL)
    for number, (name, column) in enumerate(columns):
        comma = "," if number < len(columns) - 1 else ""
        needed = "may be missing" if column.nullable or name in OPTIONAL else "needed"
        values = (column.metadata or {}).get("values", ())
        choices = f"; one of {', '.join(values)}" if values else ""
        key = ", part of the key" if name in contract.key() else ""
        lines += [f"  -- {column.description} ({needed}{key}{choices})", f'  raw."{name.upper()}" as {name}{comma}']
    return "\n".join([*lines, f"from {dataset}_file as raw", ""])
