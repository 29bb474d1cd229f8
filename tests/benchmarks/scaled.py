"""AdventureWorks' files K times over: the first night's, a later night's whole ones, and a later night's deltas."""

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb

from flows.io.pull import load_source
from tests.benchmarks.home import ROOT

SOURCE = ROOT / "sql" / "sources" / "adventureworks"
CHANGED_AT, LATER = b"2026-01-02 00:00:00.000", b"2026-11-01 00:00:00.000"
"""When scale.py says that rows changed, and when they do here: some rows were last changed in August 2026."""

STAMPED = ("purchase_order_header", "purchase_order_detail", "work_order", "work_order_routing")
"""Raw tables whose rows say when they changed, and are scaled."""


def write_files(target: Path, source: Path, scale: Path, copies: int) -> None:
    """night1, night2_full and night2_closed, each as `adventureworks/oltp|dw/…`."""
    scaled = target / "scaled"
    subprocess.run([sys.executable, scale, source, str(copies), scaled], check=True)
    for name in STAMPED:
        for night in ("night2_delta", "night2_full"):
            file = scaled / night / str(load_source(SOURCE).tables[name].path)
            file.write_bytes(file.read_bytes().replace(CHANGED_AT, LATER))
    for night in ("night1", "night2_full"):
        (target / night).mkdir()
        (scaled / night).rename(target / night / "adventureworks")
    # scale.py leaves out files that only dimensions read.
    for raw in load_source(SOURCE).tables.values():
        for night in ("night1", "night2_full"):
            file = target / night / "adventureworks" / str(raw.path)
            if not file.exists():
                shutil.copyfile(source / str(raw.path), file)
    close_delta(
        scaled / "night2_delta", target / "night2_full" / "adventureworks", target / "night2_closed" / "adventureworks"
    )
    shutil.rmtree(scaled)


def close_delta(delta: Path, full: Path, out: Path) -> None:
    """The changed rows and those that the mapping joins to them or that are joined to them.

    A changed order's operations come too (the last one carries its pieces), with all operations of their order (which
    one is the last must show), a line's header, and a changed header's lines.
    """
    tables = load_source(SOURCE).tables
    with duckdb.connect(":memory:") as database:
        for name in STAMPED:
            raw = tables[name]
            for kind, folder in (("changed", delta), ("full", full)):
                columns = dict.fromkeys(raw.columns, "VARCHAR")
                database.execute(
                    f"create table {kind}_{name} as select * from read_csv('{folder / str(raw.path)}', delim = '\t',"
                    f" header = false, quote = '', escape = '', auto_detect = false, columns = {columns})"
                )
        database.execute(
            "create table wanted_order as select WorkOrderID from changed_work_order"
            " union select WorkOrderID from changed_work_order_routing"
        )
        lines = (
            "select * from full_purchase_order_detail"
            " where PurchaseOrderDetailID in (select PurchaseOrderDetailID from changed_purchase_order_detail)"
            " or PurchaseOrderID in (select PurchaseOrderID from changed_purchase_order_header)"
        )
        chosen = {
            "purchase_order_detail": lines,
            "purchase_order_header": "select * from full_purchase_order_header"
            f" where PurchaseOrderID in (select PurchaseOrderID from ({lines}))"
            " or PurchaseOrderID in (select PurchaseOrderID from changed_purchase_order_header)",
            "work_order": "select * from full_work_order where WorkOrderID in (from wanted_order)",
            "work_order_routing": "select * from full_work_order_routing where WorkOrderID in (from wanted_order)",
        }
        for name, select in chosen.items():
            path = out / str(tables[name].path)
            path.parent.mkdir(parents=True, exist_ok=True)
            database.execute(f"copy ({select}) to '{path}' (format csv, delimiter '\t', header false, nullstr '')")
    ledger = out / str(tables["fact_finance"].path)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(delta / str(tables["fact_finance"].path), ledger)
