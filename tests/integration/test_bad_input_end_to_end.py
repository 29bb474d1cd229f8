"""Bad input in a whole night: what a person reads, what the ledger keeps, that nothing is lost and the others go on.

How each kind of bad file is recognised is tests/integration/test_bad_input.py's.
"""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from flows.report import Problem, RunReport
from flows.settings import child_environment
from schemas.errors import WarehouseError
from tests.shop import Shop, text

LINES = "mart.fct_purchase_order_line"
BALANCE = "select rows_in, rows_accepted, rows_quarantined, rows_duplicate, rows_excluded"
DELIVERY = "shop · purchase_order_line · 2026-03-02"
TODAYS = "from ops.extract where slot = '2026-03-02' and source = 'shop'"
"""The delivery that is in trouble."""


def prepare(shop: Shop) -> None:
    """A source that will be in trouble, and one that goes on; both delivered something good once."""
    shop.source(purchase_order_line="snapshot")
    shop.source("other", goods_receipt="append")
    shop.land("purchase_order_line", "2026-03-01", {"po_id": "P0"})
    shop.good_night()


@pytest.fixture
def two(prepared: Shop) -> Shop:
    """The two sources, a copy for each test."""
    return prepared


def others_went_on(shop: Shop) -> None:
    """The other source's receipts of today are there."""
    assert shop.fetch("select source, receipt_id from mart.fct_goods_receipt") == [("other", "R1")]


def night_with_a_problem(shop: Shop, subject: str, *parts: str) -> RunReport:
    """A night that is partial for one reason, in words that hold all of `parts`; the other source went on."""
    shop.land("goods_receipt", "2026-03-02", {}, source="other")
    report = shop.night()
    assert report.exit_code == 3
    (problem,) = report.problems
    readable(problem, subject, *parts)
    others_went_on(shop)
    assert shop.fetch("select state from ops.run order by started_at desc limit 1") == [("partial",)]
    return report


def readable(problem: Problem, subject: str, *parts: str) -> None:
    """A message for a person: what, where, what to do."""
    assert problem.subject == subject
    for part in parts:
        assert part in problem.message
    for noise in ("Traceback", "Error(", 'File "/', "0x"):
        assert noise not in problem.message


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class BadRow:
    """What a row says instead, and the rule, column and value that the quarantine names."""

    said: dict[str, object]
    rule: str
    column: str | None
    value: str | None


BAD_ROWS = (
    BadRow({"uom": "WAGGON"}, "uom_is_known", "uom", "WAGGON"),
    BadRow({"currency": "XXQ"}, "currency_exists", "currency", "XXQ"),
    BadRow({"ordered_qty": "five"}, "ordered_qty|unreadable", "ordered_qty", "five"),
    BadRow({"ordered_on": "2026-02-30"}, "ordered_on|unreadable", "ordered_on", "2026-02-30"),
    BadRow({"supplier_id": ""}, "supplier_id|nullability", "supplier_id", None),
    BadRow({"status": "maybe"}, "status|regex", "status", "maybe"),
    BadRow({"item_id": "x" * 5_000_000}, "item_id|too_long", "item_id", "x" * 1000),
    BadRow({"ordered_on": "0001-01-01"}, "ordered_on|implausible_day", "ordered_on", "0001-01-01"),
)


def test_bad_rows_are_kept_with_their_reason_and_taken_when_mended(two: Shop) -> None:
    good = [{"po_id": "P0"}, {"po_id": "P1"}, {"po_id": "P1"}]
    bad = [{"po_id": f"B{number}", **row.said} for number, row in enumerate(BAD_ROWS)]
    twins = [{"po_id": "T", "ordered_qty": 1}, {"po_id": "T", "ordered_qty": 2}]
    two.land("purchase_order_line", "2026-03-02", *good, *bad, *twins)
    two.land("goods_receipt", "2026-03-02", {}, source="other")
    report = two.good_night()
    (taken,) = (extract for extract in report.taken if extract.source == "shop")
    assert (taken.rows_in, taken.rows_accepted, taken.rows_quarantined, taken.rows_duplicate) == (13, 2, 10, 1)
    others_went_on(two)
    assert two.fetch(f"{BALANCE} {TODAYS}") == [(13, 2, 10, 1, 0)]
    held = two.fetch("select row_no, rule, column_name, value, raw ->> 'po_id' from ops.quarantined_row order by 1")
    assert held == [
        *((4 + n, row.rule, row.column, row.value, f"B{n}") for n, row in enumerate(BAD_ROWS)),
        (12, "conflicting_versions", "", None, "T"),
        (13, "conflicting_versions", "", None, "T"),
    ]
    assert two.fetch(f"select po_id from {LINES} order by 1") == [("P0",), ("P1",)]
    # Mended, delivered again: everything is there.
    two.land("purchase_order_line", "2026-03-02_r1", *good, *({"po_id": row["po_id"]} for row in bad), twins[1])
    two.good_night()
    assert two.fetch(f"select count(*) from {LINES}") == [(2 + len(BAD_ROWS) + 1,)]


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────

GOOD = text("purchase_order_line", {"po_id": "P0"}, {"po_id": "P1"})

BAD_FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "missing column": (
        GOOD.replace(",unit_price", "").replace(",2.50", "").encode(), ("2026-03-02.csv", "unit_price", "do:")
    ),
    "truncated gzip": (gzip.compress(GOOD.encode() * 500)[:-30], ("2026-03-02.csv", "cut off", "do:")),
    "UTF-16 that says UTF-8": (GOOD.encode("utf-16-le"), ("2026-03-02.csv", "column", "do:")),
    "empty file": (b"", ("2026-03-02.csv", "empty", "do:")),
    "wrong delimiter": (GOOD.replace(",", ";").encode(), ("2026-03-02.csv", "';'", "do:")),
    "text in every number": (GOOD.replace(",5,", ",many,").encode(), ("something_usable",)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_blocked_and_its_correction_taken(two: Shop, kind: str) -> None:
    content, parts = BAD_FILES[kind]
    two.land_bytes("purchase_order_line", "2026-03-02", content)
    night_with_a_problem(two, DELIVERY, *parts)
    assert two.fetch(f"select state, blocked_by is not null {TODAYS}") == [("blocked", True)]
    assert two.fetch(f"select po_id from {LINES} order by 1") == [("P0",)]
    assert two.night().is_empty
    # The same file again, mended in place.
    two.land_bytes("purchase_order_line", "2026-03-02", GOOD.encode())
    two.good_night()
    assert two.fetch(f"select po_id from {LINES} order by 1") == [("P0",), ("P1",)]
    assert two.fetch(f"select state {TODAYS} order by landed_at") == [("superseded",), ("accepted",)]


# ── sources ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _database(shop: Shop, url: str) -> None:
    query = "select 'I1' as item_id, 'Bolt' as name, 'raw' as item_type, 'EA' as base_uom, true as is_active,"
    query += " null::timestamp as updated_at, null::boolean as is_deleted"
    shop.source("database", item={"mode": "snapshot", "table": {"url": url, "query": query}})


def test_an_unreachable_database(two: Shop) -> None:
    _database(two, "postgresql+psycopg://erp:secret@127.0.0.1:9/erp")
    night_with_a_problem(two, "database", "cannot be reached", "database.raw_item", "do:")
    assert two.fetch("select count(*) from ops.extract where source = 'database'") == [(0,)]
    url = two.settings.warehouse_url.get_secret_value()  # type: ignore[union-attr]
    _database(two, url.replace("postgresql://", "postgresql+psycopg://"))
    two.good_night()
    assert two.fetch("select item_id from mart.dim_item where code_space = 'database'") == [("I1",)]


def test_a_secret_that_is_not_set(two: Shop) -> None:
    _database(two, "postgresql+psycopg://erp:${ERP_PASSWORD}@127.0.0.1:9/erp")
    night_with_a_problem(two, "database", "ERP_PASSWORD is not set", "OPSMART_SECRET_ERP_PASSWORD")


def test_a_source_folder_that_is_wrong(two: Shop) -> None:
    file = two.settings.sources[0] / "shop" / "source.yaml"
    right = file.read_text()
    file.write_text(right.replace("mode: snapshot", "mode: snapshots"))
    two.land("purchase_order_line", "2026-03-02", {"po_id": "P0"}, {"po_id": "P1"})
    night_with_a_problem(two, "shop", "source.yaml, line", "mode")
    file.write_text(right)
    two.good_night()
    assert two.fetch(f"select po_id from {LINES} order by 1") == [("P0",), ("P1",)]


def test_a_mapping_that_does_not_fit(two: Shop) -> None:
    file = two.settings.sources[0] / "shop" / "purchase_order_line.sql"
    right = file.read_text()
    file.write_text(right.replace("raw.ordered_qty as ordered_qty", "raw.po_id as ordered_qty"))
    two.land("purchase_order_line", "2026-03-02", {"po_id": "P0"}, {"po_id": "P1"})
    night_with_a_problem(two, DELIVERY, "ordered_qty", "purchase_order_line.sql", "do:")
    file.write_text(right)
    # Not the delivery was wrong but how it was read: mended, it is taken.
    two.good_night()
    assert two.fetch(f"select po_id from {LINES} order by 1") == [("P0",), ("P1",)]


# ── what is around ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_warehouse_that_is_down(two: Shop) -> None:
    two.land("purchase_order_line", "2026-03-02", {"po_id": "P0"}, {"po_id": "P1"})
    nowhere = SecretStr("postgresql://opsmart:geheim@127.0.0.1:9/opsmart")
    down = two.settings.model_copy(update={"warehouse_url": nowhere})
    with pytest.raises(WarehouseError) as error, Shop(down) as shop:
        shop.night()
    said = str(error.value)
    assert "127.0.0.1" in said
    assert "do:" in said
    assert "geheim" not in said
    two.good_night()
    assert two.fetch(f"select po_id from {LINES} order by 1") == [("P0",), ("P1",)]


@pytest.fixture
def closed_lake(two: Shop) -> Callable[[], None]:
    """A lake that takes no purchase order lines of April; call it to open it again.

    Root may write into a folder that is read-only, so there is a file where the month's folder ought to be.
    """
    month = two.settings.lake / "purchase_order_line" / "_month=2026-04"
    month.write_text("no folder")
    return month.unlink


def test_a_lake_that_cannot_be_written(two: Shop, closed_lake: Callable[[], None]) -> None:
    april = {"ordered_on": "2026-04-01"}
    rows = [{"po_id": "P0"}, {"po_id": "P2", "uom": "WAGGON"}, {"po_id": "P1", **april}]
    two.land("purchase_order_line", "2026-03-02", *rows)
    night_with_a_problem(two, "shop", "the lake cannot be written", "purchase_order_line", "do:")
    assert two.fetch(f"select state {TODAYS}") == [("landed",)]
    assert two.fetch("select row_no, value from ops.quarantined_row") == [(2, "WAGGON")]
    closed_lake()
    # Nothing was wrong with the delivery: it is still pending. Read in another way, it has no bad row any more.
    file = two.settings.sources[0] / "shop" / "purchase_order_line.sql"
    file.write_text(file.read_text().replace("raw.uom as uom", "replace(raw.uom, 'WAGGON', 'EA') as uom"))
    two.good_night()
    assert two.fetch(f"select po_id from {LINES} order by 1") == [("P0",), ("P1",), ("P2",)]
    assert two.fetch("select count(*) from ops.quarantined_row") == [(0,)]


def test_what_else_a_source_delivered_is_reported_when_one_delivery_fails(
    two: Shop, closed_lake: Callable[[], None]
) -> None:
    for day in ("2026-02-27", "2026-02-28", "2026-03-04"):
        two.land("purchase_order_line", day, {"po_id": day})
    two.land("purchase_order_line", "2026-03-03", {"po_id": "P1", "ordered_on": "2026-04-01"})
    report = two.night()
    assert [problem.subject for problem in report.problems] == ["shop"]
    taken = {(extract.slot, extract.state) for extract in report.taken}
    assert taken == {(day, "accepted") for day in ("2026-02-27", "2026-02-28", "2026-03-04")}
    closed_lake()
    assert [extract.slot for extract in two.good_night().taken] == ["2026-03-03"]


FULL = """
import json, resource, sys
from flows.settings import load_settings
from tests.shop import Shop

values, limit = json.loads(sys.argv[1]), int(sys.argv[2])
with Shop(load_settings(**values | {"sources": tuple(values["sources"])})) as shop:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    report = shop.night()
    print(json.dumps([[problem.subject, problem.message] for problem in report.problems]))
"""


def _night_on_a_full_disk(shop: Shop, limit: int) -> list[Problem]:
    """A night in a process that may write no file larger than `limit` bytes; Python ignores the signal (SIGXFSZ)."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, json.dumps(shop.as_values()), str(limit)],
        cwd=Path(__file__).parents[2], env=child_environment({}), capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [Problem(*problem) for problem in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.parametrize(("limit", "ending"), [(400_000, "csv"), (200_000, "csv.gz")])
def test_a_full_disk(two: Shop, limit: int, ending: str) -> None:
    """It is full when the bytes land, or, where those are packed, when they are staged."""
    rows = [{"po_id": f"P{number:06d}", "item_id": f"I{number * 7919 % 99991}"} for number in range(8_000)]
    content = text("purchase_order_line", {"po_id": "P0"}, *rows).encode()
    content = gzip.compress(content) if ending == "csv.gz" else content
    two.land_bytes("purchase_order_line", "2026-03-02", content, ending=ending)
    two.land("goods_receipt", "2026-03-02", {}, source="other")
    (problem,) = _night_on_a_full_disk(two, limit)
    readable(problem, "shop", "do:")
    others_went_on(two)
    assert two.fetch(f"select po_id from {LINES}") == [("P0",)]
    assert two.fetch(f"select count(*) {TODAYS} and state <> 'landed'") == [(0,)]
    two.good_night()
    assert two.fetch(f"select count(*) from {LINES}") == [(8_001,)]
