"""The corpus' deliveries: each case as a source folder of its own, and the files that it lands."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from flows.settings import Settings
from schemas.catalog import DATASETS
from tests.corpus.cases import FOLDER, NULL, Row, read, row_text, rows_file

DAY = date(2026, 3, 24)
MASTER = "master"
"""Source of the master data that the other cases' rows refer to."""

MODES = {
    "purchase_order_line": "delta", "goods_receipt": "delta", "production_order": "delta", "fx_rate": "delta",
    "operation_confirmation": "append", "stock_snapshot": "period", "gl_entry": "period",
}  # fmt: skip
"""The others are snapshots."""

BAD = {"uom": "WAGGON"}


@dataclass(frozen=True)
class Delivered:
    """A case: what is delivered, and what the night must say of it. Gates of facts are named with the fact."""

    name: str
    number: int
    dataset: str
    rows: list[Row] | None
    content: str = ""
    earlier: dict[date, list[Row]] = field(default_factory=dict)
    also: dict[str, list[Row]] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)
    says: dict[str, Any] = field(default_factory=dict)
    state: str = "accepted"
    gates: dict[str, str] = field(default_factory=dict)
    says_of_it: str = ""
    ends_with: str = ""
    more_columns: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Name of its source."""
        return f"case_{self.number}"

    def land_earlier(self, settings: Settings) -> None:
        """Write the source's folder and what it delivered in earlier weeks."""
        describe(self.source, [self.dataset, *self.also], settings.sources[0], self.table, self.says)
        for day, rows in self.earlier.items():
            land(settings, self.source, self.dataset, text(self.dataset, rows) + self.ends_with, day)

    def land(self, settings: Settings) -> None:
        """Deliver what the case is about."""
        content = self.content if self.rows is None else text(self.dataset, self.rows, self.more_columns)
        content += self.ends_with
        land(settings, self.source, self.dataset, content, DAY)
        for dataset, rows in self.also.items():
            land(settings, self.source, dataset, text(dataset, rows), DAY)


def describe(
    name: str,
    datasets: list[str],
    folder: Path,
    table: dict[str, Any] | None = None,
    says: dict[str, Any] | None = None,
) -> None:
    """Write a source folder that delivers the contracts' columns; `table` and `says` are more of its first dataset."""
    source = folder / name
    source.mkdir(parents=True)
    tables: dict[str, Any] = {}
    described: dict[str, Any] = {}
    for dataset in datasets:
        columns, mode = rows_file(dataset).columns, MODES.get(dataset, "snapshot")
        tables[f"raw_{dataset}"] = {
            "path": f"{dataset}/*",
            "delimiter": "|",
            "slot": (r"(?P<period>\d{4}-\d{2})_asof_" if mode == "period" else "") + r"(?P<as_of>\d{4}-\d{2}-\d{2})",
            "types": {column: kind for column, kind in columns.items() if kind != "text"},
            "raw_types": {"null_words": [NULL]},
        } | ((table or {}) if dataset == datasets[0] else {})
        described[dataset] = {"mode": mode} | ((says or {}) if dataset == datasets[0] else {})
        if mode == "period":
            described[dataset]["period"] = {"column": DATASETS[dataset].dated_by}
        outputs = ", ".join(f"raw.{column} as {column}" for column in columns)
        (source / f"{dataset}.sql").write_text(f"select {outputs} from raw_{dataset} as raw\n")
    spaces = dict.fromkeys(("item", "site", "supplier", "account", "cost_center", "work_center"), MASTER)
    content = {"name": name, "code_spaces": spaces, "tables": tables, "datasets": described}
    (source / "source.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def land(settings: Settings, source: str, dataset: str, content: str, day: date) -> None:
    """Deliver a file that speaks for a day."""
    slot = f"{day:%Y-%m}_asof_{day}" if MODES.get(dataset) == "period" else f"{day}"
    path = settings.landing / source / dataset / f"{slot}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def text(dataset: str, rows: list[Row], more_columns: dict[str, str] | None = None) -> str:
    """A file: the ordinary row with what each of `rows` says instead, and columns that no contract knows."""
    file, more = rows_file(dataset), more_columns or {}
    return row_text([*file.columns, *more], [file.ordinary | more | row for row in rows])


@cache
def delivered() -> tuple[Delivered, ...]:
    """Every case of deliveries.yaml."""
    said = read(FOLDER / "deliveries.yaml")
    return tuple(_case(name, number, dict(case)) for number, (name, case) in enumerate(said.items()))


def _case(name: str, number: int, said: dict[str, Any]) -> Delivered:
    dataset = said.pop("dataset")
    each = said.pop("each", {})
    rows = [row | each for row in _rows(dataset, said.pop("delivers"))] if "delivers" in said else None
    if rows is not None:
        rows += [_numbered(dataset, number) | BAD for number in range(100, 100 + int(said.pop("bad", 0)))]
    earlier = said.pop("earlier", None) or {}
    weeks = [DAY - timedelta(weeks=week) for week in range(int(earlier.get("weeks", 0)), 0, -1)]
    return Delivered(
        name, number, dataset, rows,
        earlier={day: _of_day(_rows(dataset, earlier["delivers"], f"{day}"), day) for day in weeks},
        says_of_it=said.pop("says of it", ""), ends_with=said.pop("ends with", ""),
        more_columns=said.pop("more columns", {}), says=yaml.safe_load(yaml.safe_dump(said.pop("says", {}))),
        **said,
    )  # fmt: skip


def _rows(dataset: str, said: str | list[Row], of: str = "") -> list[Row]:
    return list(said) if isinstance(said, list) else [_numbered(dataset, number, of) for number in range(int(said))]


def _numbered(dataset: str, number: int, of: str = "") -> Row:
    file = rows_file(dataset)
    return {file.numbered: f"{file.ordinary[file.numbered]}-{of}{number}"}


def _of_day(rows: list[Row], day: date) -> list[Row]:
    """The rows with the day where they say DAY."""
    return [{name: cell and cell.replace("DAY", f"{day}") for name, cell in row.items()} for row in rows]


def master_rows() -> Iterator[tuple[str, list[Row]]]:
    """Master data that the ordinary rows refer to, and their rates."""
    yield "item", [{"item_id": "I1"}, {"item_id": "I"}, *({"item_id": f"I-{number}"} for number in range(30))]
    yield "site", [{"site_id": "B"}, {"site_id": "C"}]
    yield "supplier", [{"supplier_id": "S1"}]
    yield "account", [{"account_id": "4000"}, {"account_id": "4", "parent_account_id": None}]
    yield "cost_center", [{"cost_center_id": "100"}, {"cost_center_id": "1", "parent_cost_center_id": None}]
    yield "work_center", [{"work_center_id": "W1"}]
    days = [f"2026-03-{day:02d}" for day in range(1, 32)]
    yield "fx_rate", [{"rate_date": day, "rate_type": "average"} for day in days]
