"""A small company of a test's own: source folders whose columns are the contracts', a home, a warehouse, nights."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import polars as pl
import yaml
from polars.testing import assert_frame_equal

from flows.io import held
from flows.io.warehouse import Warehouse
from flows.report import RunReport
from flows.settings import Settings, load_settings
from schemas.catalog import DATASETS, DIMENSIONS, FACTS
from tests.night import run_night, run_replay, tables

EVERY_TABLE = (*FACTS, *DIMENSIONS)

DEFAULTS: dict[str, dict[str, object]] = {
    "purchase_order_line": {
        "po_id": "P1", "line_no": "1", "supplier_id": "S1", "item_id": "I1", "site_id": "", "ordered_on": "2026-03-10",
        "promised_on": "2026-03-20", "ordered_qty": 5, "uom": "EA", "unit_price": "2.50", "currency": "EUR",
        "status": "open",
    },
    "goods_receipt": {
        "receipt_id": "R1", "line_no": "1", "po_id": "P1", "po_line_no": "1", "received_at": "2026-03-15 10:00:00",
        "received_qty": 5, "uom": "EA",
    },
    "item": {"item_id": "I1", "name": "Bolt", "item_type": "raw", "base_uom": "EA", "is_active": "true"},
    "item_cost": {
        "item_id": "I1", "site_id": "", "valid_from": "2026-01-01", "material_cost": "2.00", "currency": "EUR"
    },
    "site": {"site_id": "B", "name": "Works", "country": "DE", "time_zone": "Europe/Berlin", "currency": "EUR"},
    "supplier": {"supplier_id": "S1", "name": "Smith", "status": "active"},
    "code_map": {
        "entity": "item", "code_space": "shop", "code": "I1", "master_code_space": "master", "master_code": "M1"
    },
    "fx_rate": {
        "rate_date": "2026-03-10", "from_currency": "EUR", "to_currency": "USD", "rate_type": "average", "rate": "1.10"
    },
    "gl_entry": {
        "journal_id": "J1", "line_no": "1", "posted_on": "2026-03-10", "account_id": "4000", "debit": "0",
        "credit": "100.00", "currency": "EUR",
    },
    "budget_line": {
        "version": "2026-v1", "scenario": "budget", "account_id": "4000", "cost_center_id": "",
        "period_start": "2026-03-01", "amount": "100.00", "currency": "EUR",
    },
    "fiscal_period": {
        "calendar_id": "main", "period_id": "2026-03", "starts_on": "2026-03-01", "ends_on": "2026-03-31",
        "fiscal_year": 2026, "fiscal_quarter": 1, "closed_at": "",
    },
}  # fmt: skip
"""One ordinary row of each dataset; a test says what differs."""

_RAW_TYPES = {
    pl.Date: "date", pl.Decimal: "decimal", pl.Int32: "integer", pl.Boolean: "boolean", pl.Datetime: "timestamp"
}  # fmt: skip
_SLOT = r"(?P<as_of>\d{4}-\d{2}-\d{2})(_r(?P<revision>\d+))?\.csv"
_PERIOD = r"(?P<period>\d{4}-\d{2})(_r(?P<revision>\d+))?\.csv"


def _columns(dataset: str) -> dict[str, str]:
    """Raw columns and their types: those of the ordinary row, and the two that every dataset has."""
    types = DATASETS[dataset].contract.dtypes()
    names = [*DEFAULTS[dataset], "updated_at", "is_deleted"]
    return {name: _RAW_TYPES.get(type(types[name]), "text") for name in names}


def text(dataset: str, *rows: dict[str, object]) -> str:
    """A file: the ordinary row with what each of `rows` says instead."""
    names = list(_columns(dataset))
    lines = [",".join(str((DEFAULTS[dataset] | row).get(name, "")) for name in names) for row in rows]
    return "\n".join((",".join(names), *lines)) + "\n"


@dataclass
class Shop:
    """Sources, a home and a warehouse."""

    settings: Settings
    warehouse: Warehouse = field(init=False)
    """Where its mart is."""

    def __post_init__(self) -> None:
        self.warehouse = Warehouse.at(self.settings.warehouse_url.get_secret_value())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.warehouse.close()

    def source(self, name: str = "shop", /, **datasets: str | dict[str, Any]) -> None:
        """Write a source folder: each dataset's mode, or its mode and what else source.yaml says of it (`table`)."""
        folder = self.settings.sources[0] / name
        folder.mkdir(parents=True, exist_ok=True)
        described = {d: {"mode": said} if isinstance(said, str) else dict(said) for d, said in datasets.items()}
        tables = {}
        for dataset, said in described.items():
            columns = _columns(dataset)
            types = {column: kind for column, kind in columns.items() if kind != "text"}
            slot = _PERIOD if said["mode"] == "period" else _SLOT
            table = said.pop("table", {})
            files = {} if "url" in table else {"path": f"{dataset}/*", "slot": slot}
            tables[f"raw_{dataset}"] = files | {"types": types} | table
            outputs = ", ".join(f"raw.{column} as {column}" for column in columns)
            (folder / f"{dataset}.sql").write_text(f"select {outputs} from raw_{dataset} as raw\n")
        content = {"name": name, "tables": tables, "datasets": described}
        (folder / "source.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def land(self, dataset: str, slot: str, *rows: dict[str, object], source: str = "shop") -> Path:
        """Deliver a file; `slot` is `2026-03-31`, or `2026-03-31_r1` for a revision."""
        return self.land_bytes(dataset, slot, text(dataset, *rows).encode(), source=source)

    def land_bytes(self, dataset: str, slot: str, content: bytes, source: str = "shop", ending: str = "csv") -> Path:
        """Deliver a file of any content."""
        path = self.settings.landing / source / dataset / f"{slot}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def night(self) -> RunReport:
        """Run a night; a source that fails does not stop the others."""
        return run_night(self.settings, goes_on=True)

    def correct(self, *corrections: dict[str, Any], source: str = "shop") -> None:
        """Write corrections.yaml; what every correction says is added."""
        always = {"reason": "known to purchasing", "owner": "purchasing"}
        content = [correction | always for correction in corrections]
        (self.settings.sources[0] / source / "corrections.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def replay(self, extract: int | None = None) -> RunReport:
        """Replay one extract, or all that is held back."""
        return run_replay(self.settings, extract)

    def release(self, extract: int, reason: str = "it is right as it is") -> RunReport:
        """Release an extract and replay it."""
        with self.warehouse.session() as session:
            known = held.known(session, extract)
            held.release(session, known, by="tester", reason=reason, now=datetime.now(UTC))
            session.commit()
        return self.replay(extract)

    def good_night(self) -> RunReport:
        """Run a night that misses nothing."""
        report = self.night()
        assert report.problems == []
        return report

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query as opsmart_loader."""
        with self.warehouse.session() as session:
            return session.fetch(query).rows()

    def stamps(self, table: str, by: str) -> dict[Any, Any]:
        """When each row was written last."""
        return dict(self.fetch(f"select {by}, published_at from mart.{table}"))

    def mart(self) -> dict[str, pl.DataFrame]:
        """Every table without what is volatile."""
        return tables(self.warehouse, EVERY_TABLE)

    def as_values(self) -> dict[str, Any]:
        """Its settings for another process, as JSON can say them."""
        return {
            "home": str(self.settings.home),
            "warehouse_url": self.settings.warehouse_url.get_secret_value(),
            "sources": [str(folder) for folder in self.settings.sources],
            "project_root": str(self.settings.project_root),
        }

    def at(self, home: Path, warehouse_url: str) -> "Shop":
        """The same sources and the same files, nothing taken yet, in another home and warehouse."""
        settings = load_settings(
            home=home,
            warehouse_url=warehouse_url,
            sources=self.settings.sources,
            project_root=self.settings.project_root,
        )
        shutil.copytree(self.settings.landing, settings.landing, ignore=shutil.ignore_patterns(".store"))
        return Shop(settings)


def line(po: str, **said: object) -> dict[str, object]:
    """A purchase order line."""
    return {"po_id": po, **said}


def receipt(number: str, po: str, **said: object) -> dict[str, object]:
    """A receipt for an order."""
    return {"receipt_id": number, "po_id": po, **said}


def changed(shop: Shop, table: str, by: str, before: dict[Any, Any]) -> set[Any]:
    """Rows that were written since `before`, or are gone."""
    after = shop.stamps(table, by)
    return {key for key in before | after if before.get(key) != after.get(key)}


def same_mart(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> None:
    """Every table is equal."""
    assert set(one) == set(other)
    for name, rows in one.items():
        _same(name, rows, other[name])


def _same(name: str, one: pl.DataFrame, other: pl.DataFrame) -> None:
    try:
        assert_frame_equal(one, other)
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}\n{one}\n{other}") from None
