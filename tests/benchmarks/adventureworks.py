"""AdventureWorks K times over: the first night, 1 % changed in whole files and in delta files, nothing new.

The files are those of `../shared/tools/scale.py`. Two homes, because a source is either delivered whole or as deltas:
`whole` has the project's own source, `delta` the same source with mode delta and updated_at for what changes.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import psycopg
import yaml

from flows.io import embedded_server
from schemas.catalog import FACTS
from tests.benchmarks import data, scaled
from tests.benchmarks.home import ROOT, Home, opened
from tests.benchmarks.report import Check, Report, Say, brief, cpu
from tests.benchmarks.scaled import SOURCE, STAMPED

COPIES = 50
CHANGED_AT = {
    "purchase_order_line": "greatest(d.ModifiedDate, h.ModifiedDate)",
    "goods_receipt": "greatest(d.ModifiedDate, h.ModifiedDate)",
    "production_order": "w.ModifiedDate",
    "operation_confirmation": "greatest(r.ModifiedDate, w.ModifiedDate)",
}
"""When a row changed: the newest of the rows that its SELECT joins."""

DELTA = (*CHANGED_AT, "gl_entry", "budget_line")
"""Datasets of the scaled files. The ledger's rows say no moment of change: the delivery's day orders them."""

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
        scaled.write_files(target, real / "adventureworks", scale, copies)

    programs = (scale, scale.with_name("layout.py"), Path(scaled.__file__))
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
    report.check(Check("first night / floor in CPU seconds", cpu(nights["first night"]) / cpu(floor)))
    report.check(Check("nothing new by `opsmart nightly` / floor", nothing_cli / floor_s, round(NOTHING, 3)))
    report.check(Check("peak memory, MB", max(night["peak_mb"] for night in nights.values()), 2048))
    different = [name for name in FACTS if marts["whole"][name] != marts["delta"][name]]
    report.check(Check("facts that differ between deltas and whole files", len(different), 0))
    report.notes += [f"{name} differs: {marts['whole'][name]} and {marts['delta'][name]}" for name in different]
    return report


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
