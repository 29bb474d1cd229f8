"""AdventureWorks K times over: the first night, 1 % changed in whole files and in delta files, nothing new.

The files are those of `../shared/tools/scale.py`. Two homes, because a source is either delivered whole or as deltas:
`whole` has the project's own source, `delta` the same source with mode delta and updated_at for what changes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import yaml

from flows.io import embedded_server
from flows.io.pull import load_source
from schemas.catalog import FACTS
from tests.benchmarks import data
from tests.benchmarks.home import ROOT, Home, opened
from tests.benchmarks.report import Check, Report, Say, brief

COPIES = 50
SOURCE = ROOT / "sql" / "sources" / "adventureworks"
CHANGED_AT = {
    "purchase_order_line": "greatest(d.ModifiedDate, h.ModifiedDate)",
    "goods_receipt": "greatest(d.ModifiedDate, h.ModifiedDate)",
    "production_order": "w.ModifiedDate",
    "operation_confirmation": "greatest(r.ModifiedDate, w.ModifiedDate)",
}
"""When a row changed: the newest of the rows that its SELECT joins."""

DELTA = (*CHANGED_AT, "gl_entry", "budget_line")
"""Datasets of the scaled files. The ledger's rows say no moment of change: the delivery's day orders them."""

STAMPED = ("purchase_order_header", "purchase_order_detail", "work_order", "work_order_routing")

# What the design measured beside a floor of 15 s: 8 s, 12 s and 4 s.
FIRST, DELTA_NIGHT, WHOLE_NIGHT, NOTHING = 2.0, 8 / 15, 12 / 15, 4 / 15


def run(folder: Path, copies: int, at_once: int, say: Say) -> Report | str:
    """Run it; where the files are not there, why it is skipped."""
    real = Path(os.environ.get("OPSMART_TEST_DATA", ROOT.parent / "shared" / "data")).resolve()
    scale = real.parent / "tools" / "scale.py"
    for needed in (real / "adventureworks" / "oltp", scale):
        if not needed.exists():
            return f"{needed} is not there; set OPSMART_TEST_DATA"

    def write(target: Path) -> None:
        say(f"writing {copies} copies")
        write_files(target, real / "adventureworks", scale, copies)

    programs = (scale, scale.with_name("layout.py"), Path(__file__))
    files = data.cached(folder / "data", f"adventureworks-{copies}", programs, write)
    nights: dict[str, dict[str, Any]] = {}
    with opened(folder / "work" / "aw-whole", _project(folder / "work" / "project-whole", is_delta=False)) as home:
        home.warm_up()
        home.land(files / "night1")
        nights["first night"] = _night(home, "first night", at_once, say)
        say("the floor")
        floor = home.run("tests.benchmarks.floor")
        home.land(files / "night2_full")
        nights["1 % changed, whole files"] = _night(home, "1 % changed, whole files", at_once, say)
        nights["nothing new"] = _night(home, "nothing new", at_once, say)
        whole_mart = _mart(home)
        nothing_cli = _opsmart_nightly(home)
    with opened(folder / "work" / "aw-delta", _project(folder / "work" / "project-delta", is_delta=True)) as home:
        home.land(files / "night1")
        nights["first night, as deltas"] = _night(home, "first night, as deltas", at_once, say)
        home.land(files / "night2_closed")
        nights["1 % changed, delta files"] = _night(home, "1 % changed, delta files", at_once, say)
        delta_mart = _mart(home)
    shutil.rmtree(folder / "work" / "project-whole")
    shutil.rmtree(folder / "work" / "project-delta")
    return _report(copies, nights, floor, nothing_cli, {"whole": whole_mart, "delta": delta_mart})


def _night(home: Home, name: str, at_once: int, say: Say) -> dict[str, Any]:
    say(name)
    night = home.night(at_once=at_once)
    say(f"{name}: {brief(night)}")
    return night


def _report(
    copies: int, nights: dict[str, Any], floor: dict[str, Any], nothing_cli: float, marts: dict[str, dict[str, str]]
) -> Report:
    floor_s = floor["startup_s"] + floor["seconds"]
    measured = {"nights": nights, "floor": floor, "floor_s": floor_s, "opsmart_nothing_s": nothing_cli, "marts": marts}
    report = Report("adventureworks", copies, measured)
    for name, night in nights.items():
        report.night(name, night)
    report.steps(nights["first night"], "Steps of the first night (they overlap)")
    report.steps(nights["1 % changed, delta files"], "Steps of the night with delta files")
    report.steps(nights["1 % changed, whole files"], "Steps of the night with whole files")
    report.floor(floor)
    ratios = {
        "first night": FIRST,
        "first night, as deltas": FIRST,
        "1 % changed, delta files": DELTA_NIGHT,
        "1 % changed, whole files": WHOLE_NIGHT,
        "nothing new": NOTHING,
    }
    for name, target in ratios.items():
        report.check(Check(f"{name}, whole / floor", nights[name]["whole_s"] / floor_s, round(target, 3)))
    report.check(Check("nothing new by `opsmart nightly` / floor", nothing_cli / floor_s, round(NOTHING, 3)))
    report.check(Check("peak memory, MB", max(night["peak_mb"] for night in nights.values()), 2048))
    different = [name for name in FACTS if marts["whole"][name] != marts["delta"][name]]
    report.check(Check("facts that differ between deltas and whole files", len(different), 0))
    report.notes += [f"{name} differs: {marts['whole'][name]} and {marts['delta'][name]}" for name in different]
    return report


def write_files(target: Path, source: Path, scale: Path, copies: int) -> None:
    """night1, night2_full and night2_closed, each as `adventureworks/oltp|dw/…`."""
    scaled = target / "scaled"
    subprocess.run([sys.executable, scale, source, str(copies), scaled], check=True)
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


def _project(folder: Path, *, is_delta: bool) -> Path:
    """A project root with AdventureWorks as its only source, delivered whole or as deltas."""
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "sql" / "sources" / "adventureworks"
    shutil.copytree(SOURCE, source)
    # The copies' plans are one plan K times over: the first one counts.
    budget = source / "budget_line.sql"
    budget.write_text(budget.read_text().rstrip() + "\n    and length(f.FinanceKey) <= 5\n")
    if is_delta:
        content = yaml.safe_load((source / "source.yaml").read_text())
        for name in STAMPED:
            content["tables"][name]["types"]["ModifiedDate"] = "timestamp"
        for name in DELTA:
            content["datasets"][name]["mode"] = "delta"
        (source / "source.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        for name, changed_at in CHANGED_AT.items():
            mapping = source / f"{name}.sql"
            text = mapping.read_text()
            # The SELECT's own FROM stands at the line's start, those of a WITH are indented.
            mapping.write_text(text.replace("\nfrom ", f",\n    {changed_at} as updated_at\nfrom ", 1))
    return folder


def _mart(home: Home) -> dict[str, str]:
    """Rows and checksum of each fact."""
    found = {}
    with psycopg.connect(embedded_server.ensure_running(home.settings).url()) as connection:
        for name in FACTS:
            row = connection.execute(f"select count(*), coalesce(sum(row_hash), 0) from mart.{name}").fetchone()
            found[name] = " ".join(map(str, row or ()))
    return found


def _opsmart_nightly(home: Home) -> float:
    """Seconds of `opsmart nightly` with nothing new, Prefect and its server included; the server is up already."""
    command = (sys.executable, "-c", "import sys; from flows.cli import main; sys.exit(main())")
    try:
        home.timed(*command, "nightly")
        return home.timed(*command, "nightly")
    finally:
        home.timed(*command, "warehouse", "stop")
