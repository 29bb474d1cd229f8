"""The simulated systems: which tables each one exports, under which headings and in which dialect.

A table's `columns` maps its own headings to expressions over the canonical columns; this is the only place where the
simulator knows the systems' spellings, and `sql/sources/sample/` undoes it without knowing this file.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

ITEM_TYPES = {"raw": "ROH", "semi": "HALB", "finished": "FERT", "service": "DIEN"}
LINE_STATES = {"open": "O", "closed": "E", "cancelled": "S"}
ORDER_STATES = {"planned": "10", "released": "20", "started": "30", "completed": "40", "cancelled": "90"}
SUPPLIER_STATES = {"active": "A", "preferred": "B", "blocked": "G"}
MONEY = pl.Decimal(18, 4)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a system writes text."""

    kind: str = "csv"  # csv, jsonl, parquet or excel
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal_comma: bool = False
    thousands: bool = False
    date_format: str = "%Y-%m-%d"
    timestamp_format: str = "%Y-%m-%d %H:%M:%S"
    time_zone: str = "UTC"
    null: str = ""


ERP = Dialect(
    delimiter=";",
    encoding="utf-8-sig",
    decimal_comma=True,
    date_format="%d.%m.%Y",
    timestamp_format="%d.%m.%Y %H:%M:%S",
    time_zone="Europe/Berlin",
)
ERP_LATIN = Dialect(delimiter=";", encoding="latin-1", decimal_comma=True, date_format="%d.%m.%Y")
WMS = Dialect(kind="jsonl", timestamp_format="%Y-%m-%dT%H:%M:%S", time_zone="America/Chicago")
WMS_STOCK = Dialect(kind="parquet")
MES = Dialect(delimiter="|", timestamp_format="%Y-%m-%dT%H:%M:%S+00:00")
LEDGER = Dialect(delimiter="\t", encoding="utf-16", thousands=True, date_format="%m/%d/%Y")
LEDGER_RATES = Dialect()
PLANNING = Dialect(kind="excel")
CODES = Dialect()


@dataclass(frozen=True, slots=True)
class Table:
    """A raw table that a system exports."""

    path: str  # below the source's folder; {slot} is as_of or period and as_of, with the revision
    dialect: Dialect
    columns: Callable[[], dict[str, pl.Expr]]
    one_per: str | None = None  # a header: one row per value of this heading


def spelled(column: str, words: dict[str, str]) -> pl.Expr:
    """The column in a system's own words."""
    return pl.col(column).replace_strict(words, default=pl.col(column), return_dtype=pl.String)


def _col(name: str) -> pl.Expr:
    return pl.col(name)


def _money(name: str) -> pl.Expr:
    return pl.col(name).cast(MONEY)


TABLES: dict[str, dict[str, Table]] = {
    "sample_erp.site": {
        "werke": Table(
            "stammdaten/werke_{slot}.csv",
            ERP,
            lambda: {
                "Werk": _col("site_id"),
                "Name": _col("name"),
                "Land": _col("country"),
                "Zeitzone": _col("time_zone"),
                "Währung": _col("currency"),
            },
        )
    },
    "sample_erp.item": {
        "material": Table(
            "stammdaten/material_{slot}.csv",
            ERP,
            lambda: {
                "Material": _col("item_id"),
                "Bezeichnung": _col("name"),
                "Art": spelled("item_type", ITEM_TYPES),
                "Warengruppe": _col("category"),
                "Basis-ME": _col("base_uom"),
                "Standardpreis": _money("standard_cost"),
                "Listenpreis": _money("list_price"),
                "Währung": _col("currency"),
                "Wiederbeschaffung Tage": _col("lead_time_days"),
                "Sicherheitsbestand": _col("safety_stock_qty"),
                "Meldebestand": _col("reorder_point_qty"),
                "Aktiv": pl.when("is_active").then(pl.lit("X")).otherwise(pl.lit("-")),
            },
        )
    },
    "sample_erp.item_cost": {
        "kalkulation": Table(
            "stammdaten/kalkulation_{slot}.csv",
            ERP,
            lambda: {
                "Material": _col("item_id"),
                "Werk": pl.col("site_id").replace("", "*"),
                "Gültig ab": _col("valid_from"),
                "Materialkosten": _money("material_cost"),
                "Lohnkosten": _money("labour_cost"),
                "Gemeinkosten": _money("overhead_cost"),
                "Währung": _col("currency"),
            },
        )
    },
    "sample_erp.supplier": {
        "lieferant": Table(
            "stammdaten/lieferant_{slot}.csv",
            ERP_LATIN,
            lambda: {
                "Lieferant": _col("supplier_id"),
                "Name": _col("name"),
                "Land": _col("country"),
                "Währung": _col("currency"),
                "Zahlungsziel": _col("payment_terms_days"),
                "Risikoklasse": _col("risk_tier"),
                "Status": spelled("status", SUPPLIER_STATES),
            },
        )
    },
    "sample_erp.purchase_order_line": {
        "bestellposition": Table(
            "einkauf/bestellposition_{slot}.csv",
            ERP,
            lambda: {
                "Bestellung": _col("po_id"),
                "Position": _col("line_no"),
                "Material": _col("item_id"),
                "Werk": _col("site_id"),
                "Bestelldatum": _col("ordered_on"),
                "Wunschtermin": _col("requested_on"),
                "Zusage": _col("promised_on"),
                "Letzte Zusage": _col("committed_on"),
                "Menge": _col("ordered_qty"),
                "ME": _col("uom"),
                "Preis": _money("unit_price"),
                "Währung": _col("currency"),
                "Status": spelled("status", LINE_STATES),
                "Löschkennzeichen": pl.when("is_deleted").then(pl.lit("X")).otherwise(pl.lit("-")),
                "Geändert am": _col("updated_at"),
            },
        ),
        "bestellkopf": Table(
            "einkauf/bestellkopf_{slot}.csv",
            ERP,
            lambda: {
                "Bestellung": _col("po_id"),
                "Belegart": pl.when("_is_quotation").then(pl.lit("AN")).otherwise(pl.lit("NB")),
                "Lieferant": _col("supplier_id"),
            },
            one_per="Bestellung",
        ),
    },
    "sample_wms.goods_receipt": {
        "receipts": Table(
            "receipts/receipts-{slot}.jsonl.gz",
            WMS,
            lambda: {
                "receiptNo": _col("receipt_id"),
                "receiptLine": _col("line_no"),
                "orderNo": _col("po_id"),
                "orderLine": _col("po_line_no"),
                "receivedAt": _col("received_at"),
                "qtyReceived": _col("received_qty"),
                "qtyOk": _col("accepted_qty"),
                "qtyRejected": _col("rejected_qty"),
                "unit": _col("uom"),
                "batch": _col("lot"),
                "reverses": _col("reversal_of"),
                "changedAt": _col("updated_at"),
            },
        )
    },
    "sample_wms.stock_snapshot": {
        "stock": Table(
            "stock/stock_{slot}.parquet",
            WMS_STOCK,
            lambda: {
                "stock_date": _col("snapshot_date"),
                "warehouse": _col("site_id"),
                "sku": _col("item_id"),
                "bin_area": _col("location"),
                "on_hand": _col("on_hand_qty"),
                "reserved": _col("reserved_qty"),
                "unit": _col("uom"),
                "value_per_unit": _money("unit_cost"),
                "value_currency": _col("currency"),
            },
        )
    },
    "sample_mes.work_center": {
        "work_centers": Table(
            "work_centers_{slot}.txt",
            MES,
            lambda: {
                "WC": _col("work_center_id"),
                "PLANT": _col("site_id"),
                "NAME": _col("name"),
                "AREA": _col("area"),
                "CAP_H": _col("capacity_h_per_day"),
                "RATE_H": _money("cost_rate_per_h"),
                "CURR": _col("currency"),
            },
        )
    },
    "sample_mes.production_order": {
        "orders": Table(
            "orders_{slot}.txt",
            MES,
            lambda: {
                "ORDER": _col("order_id"),
                "MATERIAL": _col("item_id"),
                "PLANT": _col("site_id"),
                "QTY": _col("planned_qty"),
                "UNIT": _col("uom"),
                "PLAN_START": _col("planned_start"),
                "DUE": _col("due_at"),
                "STARTED": _col("actual_start"),
                "ENDED": _col("actual_end"),
                "YIELD": _col("good_qty"),
                "SCRAP": _col("scrap_qty"),
                "STATE": spelled("status", ORDER_STATES),
                "SCRAP_REASON": _col("scrap_reason"),
                "DELETED": pl.when("is_deleted").then(pl.lit("Y")).otherwise(pl.lit("N")),
                "CHANGED": _col("updated_at"),
            },
        )
    },
    "sample_mes.operation_confirmation": {
        "confirmations": Table(
            "confirmations_{slot}.txt",
            MES,
            lambda: {
                "CONF": _col("confirmation_id"),
                "ORDER": _col("order_id"),
                "OP": _col("operation_no"),
                "WC": _col("work_center_id"),
                "SHIFT": _col("shift_id"),
                "BEGIN": _col("started_at"),
                "END": _col("ended_at"),
                "PLAN_BEGIN": _col("planned_start"),
                "PLAN_END": _col("planned_end"),
                "SETUP_MIN": _col("setup_min"),
                "RUN_MIN": _col("run_min"),
                "LABOUR_MIN": _col("labour_min"),
                "GOOD": _col("good_qty"),
                "SCRAP": _col("scrap_qty"),
                "REWORK": _col("rework_qty"),
                "UNIT": _col("uom"),
                "WORKER": _col("worker_id"),
                "REASON": _col("reason_code"),
                "PLAN_COST": _col("planned_cost"),
                "COST": _col("actual_cost"),
                "CURR": _col("currency"),
            },
        )
    },
    "sample_ledger.account": {
        "accounts": Table(
            "accounts_{slot}.txt",
            LEDGER,
            lambda: {
                "Account": _col("account_id"),
                "Description": _col("name"),
                "Type": pl.col("account_type").str.slice(0, 1).str.to_uppercase(),
                "Parent": _col("parent_account_id"),
                "Normal Side": pl.when(pl.col("normal_side") == "debit").then(pl.lit("D")).otherwise(pl.lit("C")),
            },
        )
    },
    "sample_ledger.cost_center": {
        "cost_centers": Table(
            "cost_centers_{slot}.txt",
            LEDGER,
            lambda: {
                "Cost Center": _col("cost_center_id"),
                "Description": _col("name"),
                "Parent": _col("parent_cost_center_id"),
                "Site": _col("site_id"),
            },
        )
    },
    "sample_ledger.fiscal_period": {
        "fiscal_periods": Table(
            "fiscal_periods_{slot}.txt",
            LEDGER,
            lambda: {
                "Calendar": _col("calendar_id"),
                "Period": _col("period_id"),
                "First Day": _col("starts_on"),
                "Last Day": _col("ends_on"),
                "Year": _col("fiscal_year"),
                "Quarter": _col("fiscal_quarter"),
            },
        )
    },
    "sample_ledger.fx_rate": {
        "rates": Table(
            "rates_{slot}.csv",
            LEDGER_RATES,
            lambda: {
                "date": _col("rate_date"),
                "from": _col("from_currency"),
                "to": _col("to_currency"),
                "type": pl.when(pl.col("rate_type") == "average").then(pl.lit("M")).otherwise(pl.lit("P")),
                "rate": pl.col("rate").cast(pl.Decimal(18, 6)),
            },
        )
    },
    "sample_ledger.gl_entry": {
        "journal": Table(
            "journal_{slot}.txt",
            LEDGER,
            lambda: {
                "Journal": _col("journal_id"),
                "Line": _col("line_no"),
                "Posting Date": _col("posted_on"),
                "Account": _col("account_id"),
                "Cost Center": _col("cost_center_id"),
                "Site": _col("site_id"),
                "Debit": _col("debit"),
                "Credit": _col("credit"),
                "Currency": _col("currency"),
                "Closing": pl.when("is_closing").then(pl.lit("YES")).otherwise(pl.lit("NO")),
                "Reference": _col("reference"),
            },
        )
    },
    "sample_planning.budget_line": {
        "budget": Table(
            "budget_{slot}.xlsx",
            PLANNING,
            lambda: {
                "Version": _col("version"),
                "Kind": pl.col("scenario").str.to_titlecase(),
                "Account": _col("account_id"),
                "Cost centre": _col("cost_center_id"),
                "Month": pl.col("period_start").dt.strftime("%Y-%m-%d"),
                "Amount": pl.col("amount").cast(pl.Int64),
                "Currency": _col("currency"),
                "Of it fixed": pl.col("fixed_amount").cast(pl.Int64),
                "Rate per driver": pl.col("variable_rate").cast(MONEY).cast(pl.String),
                "Driver": _col("driver"),
            },
        )
    },
    "sample_master.code_map": {
        "codes": Table(
            "codes_{slot}.csv",
            CODES,
            lambda: {
                "kind": _col("entity"),
                "system": _col("code_space"),
                "code": _col("code"),
                "means_system": _col("master_code_space"),
                "means_code": _col("master_code"),
            },
        )
    },
}
"""`source.dataset` → its raw tables, the driving table first."""

MODES = {
    "sample_erp.purchase_order_line": "delta",
    "sample_wms.goods_receipt": "delta",
    "sample_wms.stock_snapshot": "period",
    "sample_mes.production_order": "delta",
    "sample_mes.operation_confirmation": "append",
    "sample_ledger.fx_rate": "delta",
    "sample_ledger.gl_entry": "period",
}
"""Delivery modes; everything else is a snapshot."""


def mode(name: str) -> str:
    """Delivery mode of `source.dataset`."""
    return MODES.get(name, "snapshot")
