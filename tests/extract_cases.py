"""Extracts for the gates: what differs from a good one, and which gates must say so."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path

import polars as pl

from flows.io import gates, gates_files
from flows.io.gates_history import MEASURED
from schemas.catalog import DATASETS
from schemas.source import SourceDataset
from tests.moments import DAY, NEXT, NOW

ROWS = ("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate", "rows_excluded")
GOOD = gates.ExtractFacts("e1", DAY, 100, 90, 5, 3, 2)
NOTHING = dict.fromkeys(ROWS, 0)
PO_LINE, PO = "purchase_order_line", "production_order"
WANTED = ("requested_on", "promised_on", "committed_on")
"""Days that an order line names, none of which ought to be before that of the order."""

GOOD_COLUMNS = {
    PO_LINE: {"ordered_on": [DAY, DAY], **{name: [NEXT, NEXT] for name in WANTED}},
    PO: {"planned_start": [NOW, NOW], "due_at": [NOW, NOW]},
    "gl_entry": {"journal_id": ["J1", "J1"], "line_no": ["1", "2"], "debit": [5, 0], "credit": [0, 5]},
}
"""What two good rows have beside their keys."""


def before(*values, measure, part=""):
    """What earlier deliveries measured, the newest first."""
    return [(measure, part, float(value), place, True) for place, value in enumerate(values, 1)]


@dataclass(frozen=True)
class ExtractCase:
    """What differs from a good extract, and which gates must say so. `deliveries` is how many came before.

    It has as many rows as the longest of its columns; the others repeat.
    """

    name: str
    counts: dict = field(default_factory=dict)
    columns: dict = field(default_factory=dict)
    said: tuple[tuple[str, str], ...] = ()
    dataset: str = PO_LINE
    history: tuple[tuple[str, str, float, int, bool], ...] = ()
    deliveries: int = 4
    declared: dict = field(default_factory=dict)

    @property
    def judged(self) -> str:
        return self.dataset

    def holds(self, folder: Path = gates_files.GATES) -> bool:
        contract = DATASETS[self.dataset].contract
        given = {name: ["1", "2"] if kind == pl.String else [DAY, DAY] for name, kind in contract.dtypes().items()}
        given = {name: values for name, values in given.items() if name in contract.key()}
        given |= GOOD_COLUMNS.get(self.dataset, {}) | self.columns
        height = max(map(len, given.values()))
        cells = {name: list(islice(cycle(given.get(name, [None])), height)) for name in contract.columns()}
        staged = pl.DataFrame([pl.Series(name, cells[name], kind) for name, kind in contract.dtypes().items()])
        rows = pl.DataFrame(list(self.history), MEASURED | {"place": pl.Int64, "is_like": pl.Boolean}, orient="row")
        results = gates.judge_extract(
            self.dataset,
            "erp",
            staged,
            replace(GOOD, **self.counts),
            checked_at=NOW,
            history=gates.History(rows, self.deliveries),
            severity=SourceDataset(mode="snapshot", **self.declared).severity,
            folder=folder,
        ).results
        known = gates_files.plan("extracts", self.dataset, folder).gates
        said = {(one.gate, one.status) for one in results if one.status != "passed"}
        return said == {(gate, status) for gate, status in self.said if gate in known}


def quarantined(count, of, **tolerances):
    return {"rows_in": of, "rows_quarantined": count, "rows_accepted": of - count - 5, **tolerances}


EMPTY, LOST = (("not_empty", "failed"),), (("row_balance", "failed"),)
TOO_MANY, UNUSABLE = (("quarantined_rows_tolerable", "failed"),), (("something_usable", "failed"),)

COUNTS = [
    ExtractCase("good"),
    ExtractCase("empty", NOTHING, said=EMPTY),
    ExtractCase("empty as allowed", NOTHING | {"allow_empty": True}),
    *(ExtractCase(f"{name} one more", {name: getattr(GOOD, name) + 1}, said=LOST) for name in ROWS),
    ExtractCase("one row less", {"rows_in": 99}, said=LOST),
    ExtractCase("small, ten bad", quarantined(10, of=100)),
    ExtractCase("small, eleven bad", quarantined(11, of=100), said=TOO_MANY),
    ExtractCase("large, a twentieth bad", quarantined(50, of=1000)),
    ExtractCase("large, more than a twentieth bad", quarantined(51, of=1000), said=TOO_MANY),
    ExtractCase("large, one more than a twentieth bad", quarantined(501, of=10_000), said=TOO_MANY),
    ExtractCase("tolerated rows", quarantined(3, of=100, tolerance_rows=3)),
    ExtractCase("more than the tolerated rows", quarantined(4, of=100, tolerance_rows=3), said=TOO_MANY),
    ExtractCase("tolerated share", quarantined(20, of=100, tolerance_share=0.2)),
    ExtractCase("more than the tolerated share", quarantined(21, of=100, tolerance_share=0.2), said=TOO_MANY),
    ExtractCase("rows or share", quarantined(20, of=100, tolerance_share=0.2, tolerance_rows=3)),
    ExtractCase("rows or share, the other", quarantined(30, of=100, tolerance_share=0.2, tolerance_rows=30)),
    ExtractCase("nothing tolerated", quarantined(1, of=100, tolerance_share=0.0), said=TOO_MANY),
    ExtractCase("all bad", NOTHING | {"rows_in": 3, "rows_quarantined": 3}, said=UNUSABLE),
    ExtractCase("a bad row alone", NOTHING | {"rows_in": 1, "rows_quarantined": 1}, said=UNUSABLE),
    ExtractCase("a good row alone", NOTHING | {"rows_in": 1, "rows_accepted": 1}),
    ExtractCase("a correction that fits no longer", {"rows_unexpected": 1}, said=(("corrections_expected", "warned"),)),
    ExtractCase("all excluded", NOTHING | {"rows_in": 3, "rows_excluded": 3}),
    ExtractCase("no key", columns={"po_id": [None, "2"]}, said=(("key_given", "failed"),)),
    ExtractCase("no second key", columns={"line_no": ["1", None]}, said=(("key_given", "failed"),)),
    *(
        ExtractCase(
            f"{day} before",
            columns={day: [DAY, date(2026, 1, 31)]},
            said=((f"{day.removesuffix('_on')}_after_ordered", "warned"),),
        )
        for day in WANTED
    ),
    ExtractCase("due as it is planned to start", dataset=PO),
    ExtractCase(
        "due before it is planned to start",
        columns={"due_at": [NOW, NOW - timedelta(microseconds=1)]},
        said=(("due_after_planned_start", "warned"),),
        dataset=PO,
    ),
    *(ExtractCase(f"{day} on the day, or not", columns={day: [DAY, None]}) for day in WANTED),
]  # fmt: skip


def warned(gate):
    return ((gate, "warned"),)


STRICT = {"history_gates": "fail"}
HUNDRED, FOUR = before(100, 100, 100, 100, measure="rows_a_day"), before(4, 4, 4, 4, measure="rows_a_day")
VARYING = before(100, 40, 160, 100, measure="rows_a_day")
OTHER_DAYS = tuple((*row[:-1], False) for row in HUNDRED)
UNUSUAL, STALE = warned("rows_as_usual"), warned("rows_reach_as_of")


def rows(number):
    return {"rows_a_day": number}


YESTERDAY = before(*[1] * 8, measure="days_behind")

USUAL = [
    ExtractCase("as few as usual", rows(50), history=HUNDRED),
    ExtractCase("fewer than usual", rows(49.9), history=HUNDRED, said=UNUSUAL),
    ExtractCase("as many as usual", rows(150), history=HUNDRED),
    ExtractCase("more than usual", rows(150.1), history=HUNDRED, said=UNUSUAL),
    ExtractCase("usual for a small file", rows(14), history=FOUR),
    ExtractCase("more than usual for a small file", rows(14.5), history=FOUR, said=UNUSUAL),
    ExtractCase("as much as it has always varied", rows(280), history=VARYING),
    ExtractCase("more than it has always varied", rows(281), history=VARYING, said=UNUSUAL),
    ExtractCase("too few deliveries", rows(1000), history=HUNDRED[:3]),
    ExtractCase("days of another kind", rows(1000), history=OTHER_DAYS),
    ExtractCase("unusual where that blocks", rows(9), history=HUNDRED, said=(("rows_as_usual", "failed"),),
                declared=STRICT),
    ExtractCase("unusual where nobody asks", rows(9), history=HUNDRED,
                declared={"gates": {"rows_as_usual": "ignore"}, "reason": "it varies"}),
    ExtractCase("a day older than ever", {"days_behind": 2}, history=YESTERDAY),
    ExtractCase("two days older than ever", {"days_behind": 3}, history=YESTERDAY, said=STALE),
    ExtractCase("two days older, blocking", {"days_behind": 3}, history=YESTERDAY, declared=STRICT,
                said=(("rows_reach_as_of", "failed"),)),
    ExtractCase("two days older than on any kind of day", {"days_behind": 3}, said=STALE,
                history=tuple((*row[:-1], False) for row in YESTERDAY)),
    ExtractCase("older than in a week", {"days_behind": 3}, history=YESTERDAY[:7]),
    ExtractCase("in time", {"hours_late": 0.0}),
    ExtractCase("late", {"hours_late": 0.1}, said=warned("delivered_on_time"), declared=STRICT),
    ExtractCase("new bytes", {"same_as": ""}),
    ExtractCase("bytes of another slot", {"same_as": "2026-01-31"}, said=warned("not_delivered_before")),
]  # fmt: skip

DECLARED = [
    ExtractCase("as many rows as stated", {"control_rows_gap": 0}),
    *(
        ExtractCase(f"rows stated {gap:+}", {"control_rows_gap": gap}, said=(("control_rows_agree", "failed"),))
        for gap in (1, -1)
    ),
    ExtractCase("sums as stated", {"control_sums_gap": ""}),
    ExtractCase("another sum", {"control_sums_gap": "Debit: 5"}, said=(("control_sums_agree", "failed"),)),
    ExtractCase("columns as agreed", {"frozen_column_changes": ""}),
    ExtractCase("other columns", {"frozen_column_changes": "a is new"}, said=(("columns_frozen", "failed"),)),
    ExtractCase("columns as before", {"column_changes": ""}),
    ExtractCase("columns change", {"column_changes": "a is new"}, said=warned("columns_as_before")),
]

NULLS, SITE, UOM = "null_share", {"site_id": ["A", "A"]}, {"uom": ["EA", "BAG"]}
SITES, UNITS = before(*[5] * 8, measure="sites", part="A"), before(5, measure="uom_values", part="EA")
PRICE = {"item_id": ["I1", "I1"], "currency": ["EUR", "EUR"], "uom": ["EA", "EA"]}
LAST_PRICE = before(1, 9, 9, 9, measure="price", part="I1 in EUR per EA") + before(5, measure="uom_values", part="EA")
LAST_PRICE += before(5, measure="currency_values", part="EUR")
TWO_SITES, OTHER_SITES = {"site_id": ["A", "B"]}, before(*[5] * 8, measure="sites", part="C")
NOT_NEW = before(5, measure="uom_values", part="BAG")


def nulls(share):
    return before(*[share] * 4, measure=NULLS, part="site_id")


def price(*values):
    return PRICE | {"unit_price": [Decimal(value) for value in values]}


def numbered(column, count):
    return {column: [f"I{number}" for number in range(count)]}


OFF = warned("price_within_band")
NO_AMOUNTS = {"debit": [0, 0], "credit": [0, 0]}
CATEGORIES = [
    (dataset, named["column"])
    for loaded in gates_files.load_suites()
    if loaded.file.stem == "extract_values"
    for dataset, columns in loaded.suite.applies_to.items()
    for named in columns
]
PARTS = [
    ExtractCase("a fifth more is missing", history=nulls(0.8)),
    ExtractCase("more is missing", history=nulls(0.79), said=warned("null_shares_as_usual")),
    ExtractCase("more is missing, blocking", history=nulls(0.7), declared=STRICT,
                said=(("null_shares_as_usual", "failed"),)),
    ExtractCase("missing as once before", history=[*nulls(0.1), (NULLS, "site_id", 1.0, 9, True)]),
    ExtractCase("more is missing of twenty", {"rows_accepted": 20, "rows_excluded": 72}, history=nulls(0.7),
                said=warned("null_shares_as_usual")),
    ExtractCase("more is missing of a few", {"rows_accepted": 19, "rows_excluded": 73}, history=nulls(0.7)),
    ExtractCase("nothing is missing any more", columns=SITE, history=nulls(0.5)),
    ExtractCase("units known", columns=UOM, history=UNITS + NOT_NEW),
    ExtractCase("a new unit", columns=UOM, history=UNITS, said=warned("uom_values_known")),
    ExtractCase("a new unit, blocking", columns=UOM, history=UNITS, declared=STRICT,
                said=(("uom_values_known", "failed"),)),
    ExtractCase("units of the first deliveries", columns=UOM, history=UNITS, deliveries=3),
    ExtractCase("the same sites", columns=SITE, history=SITES),
    ExtractCase("a site is missing", history=SITES, deliveries=9, said=warned("sites_all_there")),
    ExtractCase("a site is missing, blocking", history=SITES, deliveries=9, declared=STRICT,
                said=(("sites_all_there", "failed"),)),
    ExtractCase("two sites of three", columns=TWO_SITES, history=(*SITES, *OTHER_SITES), deliveries=9,
                said=warned("sites_all_there")),
    ExtractCase("a site is missing of as many as there may be", columns=numbered("site_id", 1000), history=SITES,
                deliveries=9, said=warned("sites_all_there")),
    ExtractCase("more sites than there may be", columns=numbered("site_id", 1001), history=SITES, deliveries=9),
    ExtractCase("a site that was missing before", history=SITES[:7], deliveries=9),
    ExtractCase("twice the price", columns=price(2, 2), history=LAST_PRICE),
    ExtractCase("more than twice the price", columns=price(2, "2.1"), history=LAST_PRICE, said=OFF),
    ExtractCase("less than half the price", columns=price("0.5", "0.4"), history=LAST_PRICE, said=OFF),
    ExtractCase("a slipped decimal mark, blocking", columns=price(10, 10), history=LAST_PRICE, declared=STRICT,
                said=(("price_within_band", "failed"),)),
    ExtractCase("one of two prices", columns=price(1, "2.1") | {"item_id": ["I2", "I1"]}, history=LAST_PRICE, said=OFF),
    ExtractCase("a price of as many as there may be", columns=price("2.1") | numbered("item_id", 50_000),
                history=LAST_PRICE, said=OFF),
    ExtractCase("more prices than there may be", columns=price("2.1") | numbered("item_id", 50_001),
                history=LAST_PRICE),
    *(
        ExtractCase(
            f"a new {column} of {dataset}", dataset=dataset, said=warned(f"{column}_values_known"),
            columns={other: ["OLD", "OLD"] for _, other in CATEGORIES} | {column: ["OLD", "NEW"]} | NO_AMOUNTS,
            history=[row for _, other in CATEGORIES for row in before(5, measure=f"{other}_values", part="OLD")],
        )
        for dataset, column in CATEGORIES
    ),
    ExtractCase("goods for nothing beside", columns=price(0, "2.1"), history=LAST_PRICE, said=OFF),
]  # fmt: skip


def journal(said=(), counts=None, **columns):
    name = f"journal {columns} {counts or ''}"
    return ExtractCase(name, counts or ALL_READ, columns, said, "gl_entry", deliveries=0)


ALL_READ, OPEN = {"rows_quarantined": 0, "rows_excluded": 7}, warned("journals_balance")
JOURNALS = [
    journal(),
    journal(debit=[6, 0], said=OPEN),
    journal(debit=[5, 5], credit=[5, 0], said=OPEN),
    journal(currency=["EUR", "USD"], said=OPEN),
    journal(journal_id=["J1", "J2"], said=OPEN),
    journal(debit=[6, 0], counts=ALL_READ | {"mode": "delta"}),
    journal(debit=[6, 0], counts={"mode": "delta"}),
    journal(counts={"rows_quarantined": 5}),
    journal(
        debit=[6, 0],
        counts={"rows_quarantined": 1, "rows_excluded": 6},
        said=warned("journals_balance_but_for_quarantine"),
    ),
    journal(debit=[6, 0], counts={"rows_quarantined": 5}, said=warned("journals_balance_but_for_quarantine")),
]

EXTRACTS = [*COUNTS, *USUAL, *DECLARED, *PARTS, *JOURNALS]
