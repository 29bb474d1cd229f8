"""The first suites: what each gate holds back and what it lets through, and that every rule in the files is needed."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from flows.io import gates, gates_files
from schemas.catalog import FACTS
from tests.extract_cases import EXTRACTS
from tests.moments import DAY, NEXT, NOW


def not_passed(results):
    return {(one.gate, one.subject.source, one.subject.day, one.status) for one in results if one.status != "passed"}


ONE = Decimal(1)
MONEY = {"currency": ["EUR"] * 3, "fx_rate_reporting": [ONE] * 3}
SITE_MONEY = MONEY | {"functional_currency": ["USD"] * 3, "fx_rate_functional": [ONE] * 3}
ITEMS = {"uom": ["PCE"] * 3, "uom_factor": [ONE] * 3, "item_id": ["a", "b", None], "item_key": [11, 12, -1]}


def numbers(*values):
    return [None if value is None else Decimal(value) for value in values]


QUANTITIES = {
    "fct_purchase_order_line": "ordered_qty",
    "fct_goods_receipt": "received_qty",
    "fct_production_order": "planned_qty",
    "fct_operation": "good_qty",
    "fct_inventory_daily": "on_hand_qty",
}
QTY = dict.fromkeys(QUANTITIES.values(), numbers("1.5", "2.5", "4"))
AMOUNT = dict.fromkeys(("debit", "debit_reporting", "credit", "credit_reporting"), numbers("1.5", "2.5", "4"))
PLANNED = ("amount", "amount_reporting", "fixed_amount", "fixed_amount_reporting")
GOOD_ROWS = {
    **dict.fromkeys(QUANTITIES, SITE_MONEY | ITEMS | QTY),
    **dict.fromkeys(("fct_inventory_daily", "fct_operation"), SITE_MONEY | ITEMS | QTY | {"item_id": ["a", "b", ""]}),
    "fct_gl_entry": SITE_MONEY | AMOUNT,
    "fct_budget": MONEY | dict.fromkeys(PLANNED, numbers("1.5", "2.5", "4")),
    "fct_budget_actual": {"missing_rate_count": [0, 0, 0]},
}
"""Values of three rows, two of DAY and one of NEXT, where they are not keys."""


KEY_PARTS = {pl.String: ["1", "2", "3"], pl.Date: [DAY, DAY, NEXT], pl.Boolean: [False] * 3}


def good_rows(fact):
    contract = FACTS[fact].contract
    values = {
        name: KEY_PARTS.get(type(kind), [11, 12, 11])
        for name, kind in contract.dtypes().items()
        if name in (*contract.key(), "row_key")
    }
    given = {"source": ["erp"] * 3, "row_key": [1, 2, 3]} | GOOD_ROWS[fact]
    values |= {name: column for name, column in given.items() if name in contract.columns()}
    columns = [pl.Series(name, values.get(name, [None] * 3), kind) for name, kind in contract.dtypes().items()]
    return pl.DataFrame(columns).with_columns(_slice=pl.Series([DAY, DAY, NEXT]))


def altered(frame, columns):
    return frame.with_columns(
        pl.Series(name, values, dtype=frame[name].dtype) for name, values in columns.items() if name in frame.columns
    )


@dataclass(frozen=True)
class SliceCase:
    """What differs from good slices (row by row), and which gates must say so of which day."""

    name: str
    rows: dict = field(default_factory=dict)
    driving: dict = field(default_factory=dict)
    keep: tuple[int, ...] = (0, 1, 2)
    said: tuple[tuple[str, date, str], ...] = ()
    members: tuple[int, ...] | None = (11, 12)
    fact: str = "fct_purchase_order_line"
    copies: int = 1
    published: int | None = None

    @property
    def judged(self) -> str:
        return self.fact

    def holds(self, folder: Path = gates_files.GATES) -> bool:
        good = pl.concat([good_rows(self.fact)] * self.copies).with_columns(row_key=pl.int_range(pl.len()))
        dimensions = set(FACTS[self.fact].contract.marked("dimension").values())
        results = gates.judge_slices(
            self.fact,
            altered(good, self.rows)[list(self.keep)] if self.copies == 1 else good,
            altered(good.select("source", "_slice", *gates.driving_columns(self.fact)), self.driving),
            checked_at=NOW,
            members=None if self.members is None else dict.fromkeys(dimensions, pl.Series(self.members)),
            published=None if self.published is None else version(self.published),
            folder=folder,
        )
        known = gates_files.plan("facts", self.fact, folder).gates
        return not_passed(results) == {(gate, "erp", day, status) for gate, day, status in self.said if gate in known}


def version(row_count):
    """What is published of a day."""
    return pl.DataFrame({"source": ["erp"], "_slice": [DAY], "published_rows": [row_count]})


BIG = "10000000000000"
COUNT_GAP, QTY_GAP = ("row_count_reconciles", DAY, "failed"), ("ordered_qty_reconciles", DAY, "failed")
LATER_GAPS = (("row_count_reconciles", NEXT, "failed"), ("ordered_qty_reconciles", NEXT, "failed"))
ITEM, UNIT = ("item_id_known", DAY, "warned"), ("unit_converts", DAY, "warned")
RATE, FUNCTIONAL = ("reporting_rate_found", DAY, "warned"), ("functional_rate_found", DAY, "warned")
AMOUNT_LOST = ("ordered_amount_converted", DAY, "failed")


def qty(*values):
    return dict.fromkeys(QUANTITIES.values(), numbers(*values))


def factor(value):
    return {"uom_factor": numbers(value, "1", "1")}


def amounts(amount, reporting):
    return {"ordered_amount": numbers(amount, 1, 1), "ordered_amount_reporting": numbers(reporting, 1, 1)}


TOTALS = {
    **{fact: [name] for fact, name in QUANTITIES.items() if fact != "fct_purchase_order_line"},
    "fct_gl_entry": ["debit", "credit"],
    "fct_budget": ["amount", "fixed_amount"],
}


def failed(gate):
    return (gate, DAY, "failed")


def beyond(part):
    return (failed(f"{part}_within_bounds"),)


BEFORE = DAY - timedelta(days=1)


def received(quantity):
    return {"received_qty": numbers(quantity, None, None)}


RETURNED, NO_PLAN = {"ordered_qty": numbers("-1.5", "2.5", "4")}, dict.fromkeys(PLANNED, [None] * 3)
LESS = ("rows_as_before", DAY, "warned")
BEYOND_ELAPSED = (("machine_time_within_elapsed", DAY, "warned"),)
BASES = ("requested", "promised", "committed")
BOUNDS = [
    *(("fct_purchase_order_line", f"{part}_{basis}_count", f"due_{basis}_count")
      for part in ("on_time", "otif") for basis in BASES),
    ("fct_purchase_order_line", "in_full_count", "line_count"),
    ("fct_operation", "late_count", "due_count"),
    ("fct_production_order", "late_count", "completed_count"),
    ("fct_production_order", "completed_count", "order_count"),
]  # fmt: skip
"""Fact, part and whole."""


SLICES = [
    *(SliceCase("good", fact=fact) for fact in GOOD_ROWS),
    SliceCase("repeated in a slice", {"row_key": [2, 2, 3]}, said=(("grain_unique", DAY, "failed"),)),
    SliceCase("repeated in another slice", {"row_key": [1, 2, 1]}),
    SliceCase("no key", {"po_id": ["1", None, "3"]}, said=(("key_given", DAY, "failed"),)),
    SliceCase("unknown item", {"item_key": [-1, 12, -1]}, said=(ITEM,)),
    SliceCase("item that no master data has", {"item_key": [13, 12, -1]}, said=(ITEM,)),
    SliceCase("members not known", {"item_key": [13, 12, -1]}, members=None),
    SliceCase("unknown item, members not known", {"item_key": [-1, 12, -1]}, said=(ITEM,), members=None),
    SliceCase("no item", {"item_id": ["", None, None], "item_key": [-1, -1, -1]}),
    SliceCase("no rate", {"fx_rate_reporting": [None, ONE, ONE]} | amounts(1, None), said=(RATE,)),
    SliceCase("no rate, no currency", {"fx_rate_reporting": [None, ONE, ONE], "currency": [None, "EUR", "EUR"]}),
    SliceCase("amount lost", amounts(1, None), said=(AMOUNT_LOST,)),
    SliceCase("no amount", amounts(None, None)),
    SliceCase("no rate to the site's currency", {"fx_rate_functional": [None, ONE, ONE]}, said=(FUNCTIONAL,)),
    SliceCase("no site", {"fx_rate_functional": [None, ONE, ONE], "functional_currency": [None, "USD", "USD"]}),
    SliceCase("neither rate nor currency", dict.fromkeys(SITE_MONEY, [None] * 3)),
    SliceCase("no unit", factor(None) | qty(None, "2.5", "4"), said=(UNIT,)),
    SliceCase("other unit, as much as rounding gives", factor("12") | qty("18.0012", "2.5", "4")),
    SliceCase("other unit, too much", factor("12") | qty("18.0013", "2.5", "4"), said=(QTY_GAP,)),
    *(
        SliceCase(f"{name} of {fact}", values, fact=fact)
        for fact in QUANTITIES
        for name, values in (
            ("other unit", factor("12") | qty("18", "2.5", "4")),
            ("other unit, rounded", factor("0.0001") | qty("0.0002", "2.5", "4")),
            ("other units, rounded", {"uom_factor": numbers("0.0001", "0.0001", 1)} | qty("0.0002", "0.0003", "4")),
        )
    ),
    SliceCase("a row lost", keep=(0, 2), said=(COUNT_GAP, QTY_GAP)),
    SliceCase("a row too many", keep=(0, 1, 1, 2), said=(COUNT_GAP, QTY_GAP, ("grain_unique", DAY, "failed"))),
    SliceCase("a slice lost", keep=(2,), said=(COUNT_GAP, QTY_GAP)),
    SliceCase("a slice of nothing", driving={"_slice": [NEXT] * 3}, said=(COUNT_GAP, QTY_GAP, *LATER_GAPS)),
    SliceCase("less by the last decimal", qty("1.4999", "2.5", "4"), said=(QTY_GAP,)),
    SliceCase("more by the last decimal", qty("1.5001", "2.5", "4"), said=(QTY_GAP,)),
    SliceCase("more than a float can tell", qty(BIG, "0.0001", "4"), qty(BIG, "0", "4"), said=(QTY_GAP,)),
    *(
        SliceCase(
            f"{name} {value}", {name: numbers(value, "2.5", "4")}, fact=fact, said=(failed(f"{name}_reconciles"),)
        )
        for fact, names in TOTALS.items()
        for name in names
        for value in ("1.4999", "1.5001")
    ),
    *(
        SliceCase(
            f"a row of {fact} lost",
            keep=(0, 2),
            fact=fact,
            said=tuple(failed(f"{n}_reconciles") for n in ("row_count", *names)),
        )
        for fact, names in TOTALS.items()
    ),
    SliceCase(
        "a line without rate",
        {"missing_rate_count": [1, 0, 0]},
        fact="fct_budget_actual",
        said=(("every_line_has_a_rate", DAY, "warned"),),
    ),
    *(
        SliceCase(f"{part} {count} of {whole} {of}", {part: [count, 0, 0], whole: [of, 1, 1]}, fact=fact, said=said)
        for fact, part, whole in BOUNDS
        for count, of, said in ((1, 1, ()), (0, 1, ()), (1, 0, beyond(part)), (-1, 0, beyond(part)))
    ),
    SliceCase("no amounts", NO_PLAN, NO_PLAN, fact="fct_budget"),
    SliceCase("no quantities", {"received_qty": [None] * 3}, {"received_qty": [None] * 3}, fact="fct_goods_receipt"),
    SliceCase("a slice of half a piece lost", driving=qty("1.5", "2.5", "0.5"), keep=(0, 1), said=LATER_GAPS),
    SliceCase("a slice without a quantity lost", driving=qty("1.5", "2.5", 0), keep=(0, 1), said=LATER_GAPS[:1]),
    SliceCase(
        "no currency", {"currency": [None] * 3, "fx_rate_functional": [None] * 3, "fx_rate_reporting": [None] * 3}
    ),
    SliceCase("a return, a tenth over", RETURNED | received("-1.65"), RETURNED),
    SliceCase(
        "a return, more than a tenth over",
        RETURNED | received("-1.6501"),
        RETURNED,
        said=(("received_within_order", DAY, "warned"),),
    ),
    SliceCase("a tenth over", received("1.65"), said=()),
    SliceCase("more than a tenth over", received("1.6501"), said=(("received_within_order", DAY, "warned"),)),
    SliceCase("received a business day before", {"ordered_on": [DAY] * 3, "first_received_on": [BEFORE, None, DAY]}),
    SliceCase(
        "received before it was ordered",
        {"ordered_on": [NEXT] * 3, "first_received_on": [BEFORE, None, DAY]},
        said=(("received_after_ordered", DAY, "warned"),),
    ),
    SliceCase("all orders known", {"is_orphan": [False] * 3}, fact="fct_goods_receipt"),
    SliceCase(
        "an order not known",
        {"is_orphan": [False, True, False]},
        fact="fct_goods_receipt",
        said=(("order_known", DAY, "warned"),),
    ),
    SliceCase(
        "a production order not known",
        {"item_id": [None, "b", ""]},
        fact="fct_operation",
        said=(("production_order_known", DAY, "warned"),),
    ),
    *(
        SliceCase(
            f"{setup} and {run} minutes of {elapsed}",
            {
                "elapsed_min": numbers(elapsed, 0, 0),
                "setup_min": numbers(setup, 0, None),
                "run_min": numbers(run, 0, None),
            },
            fact="fct_operation",
            said=said,
        )
        for setup, run, elapsed, said in (
            ("5", "6", "10", ()),
            ("5", "6.0001", "10", BEYOND_ELAPSED),
            ("5", "6", "1", BEYOND_ELAPSED),
            ("5", "6", "0", ()),
            (None, "11", "10", ()),
            (None, "11.0001", "10", BEYOND_ELAPSED),
            ("11", None, "10", ()),
            ("11.0001", None, "10", BEYOND_ELAPSED),
        )
    ),
    SliceCase("half of the last version", copies=5, published=20),
    SliceCase("less than half of the last version", copies=5, published=21, said=(LESS,)),
    SliceCase("less of a few", published=19),
    SliceCase("less of twenty", published=20, said=(LESS,)),
]

CASES = [*EXTRACTS, *SLICES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_first_suites(case):
    assert case.holds()


OPPOSITES = {
    "severity: fail": "severity: warn",
    "severity: warn": "severity: fail",
    "value_set: [0]": "value_set: [1]",
    "or_equal: true": "or_equal: false",
    "column_A: rows_in, column_B: rows_wanted": "column_A: rows_wanted, column_B: rows_in",
    "column_A: quarantine_limit, column_B: rows_quarantined": "column_A: rows_quarantined, column_B: quarantine_limit",
    "then 0 else 1": "then 1 else 0",
    "then 1 else 0": "then 0 else 1",
    "tolerance_rows is null and tolerance_share is null": "tolerance_rows is not null or tolerance_share is not null",
    "greatest": "least",
    " - ": " + ",
    "0.05 ": "0.06 ",
    "(10,": "(11,",
    "missing_rate_count > 0": "missing_rate_count <= 0",
    "rows_quarantined > 0": "rows_quarantined <= 0",
    "rows_accepted = 0": "rows_accepted <> 0",
    " < ": " >= ",
    " <= ": " < ",
    "distinct ": "",
    "<> ''": "= ''",
    "= -1": "<> -1",
    "or {key}_has_no_member": "or not {key}_has_no_member",
    "{key_missing}": "not ({key_missing})",
    "is not null": "is null",
    "{reporting} is null": "{reporting} is not null",
    "sum(": "max(",
    'value_set: [""]': 'value_set: ["-"]',
    "history: true": "history: false",
    "max_value: 0}": "max_value: 1}",
    "max_value: 0.2}": "max_value: 0.5}",
    "max_value: 0.5}": "max_value: 0.55}",
    "max_value: 2}": "max_value: 2.5}",
    "min_value: {$PARAMETER: rows_low}": "min_value: {$PARAMETER: rows_high}",
    "max_value: {$PARAMETER: rows_high}": "max_value: {$PARAMETER: rows_a_day_usual}",
    "max_value: {$PARAMETER: stalest}": "max_value: {$PARAMETER: days_behind_most}",
    " >= ": " > ",
    " 0.5 *": " 0.4 *",
    " 6 *": " 5 *",
    "1.1 *": "1.2 *",
    "most + 1": "most",
    "{column} is null": "{column} is not null",
    "unit_price > 0": "unit_price >= 0",
    "<> sum": "= sum",
    "<> 'delta'": "= 'delta'",
    "rows_quarantined = 0": "rows_quarantined >= 0",
    "{part} > {whole}": "{part} >= {whole}",
    "elapsed_min > 0": "elapsed_min >= 0",
    "> elapsed_min": ">= elapsed_min",
    "where is_orphan": "where not is_orphan",
    "where item_id is null": "where item_id is not null",
    "[journal_id, currency]": "[journal_id]",
    "like_days": "all_days",
    "0.00005": "0.001",
    "at_most: 1000}": "at_most: 999}",
    "at_most: 50000": "at_most: 49999",
    " + interval '1d'": "",
}
"""Turns of a rule in the files."""


def cases_of(text, folder):
    """The cases that a gate file can decide, the telling ones first."""
    judged, cases = ("extracts", EXTRACTS) if "judges: extracts" in text else ("facts", SLICES)
    there = {name: gates_files.plan(judged, name, folder).gates for name in {case.judged for case in cases}}
    cases = [case for case in cases if there[case.judged]]
    return sorted(cases, key=lambda case: not any(gate in there[case.judged] for gate, *_ in case.said))


def turned_rules():
    """One gate file with one rule turned into its opposite: (file name, text)."""
    for file in sorted(gates_files.GATES.glob("*.yaml")):
        lines = file.read_text(encoding="utf-8").splitlines()
        for at, line in enumerate(lines):
            if not line.lstrip().startswith(("#", "- ", "reason:")):
                for rule, opposite in OPPOSITES.items():
                    if rule in line:
                        turned = [*lines[:at], line.replace(rule, opposite), *lines[at + 1 :]]
                        yield pytest.param(file.name, "\n".join(turned), id=f"{file.stem}:{at + 1} {rule}")


@pytest.mark.parametrize(("name", "text"), [*turned_rules()])
def test_each_rule_turned_into_its_opposite_is_noticed(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    assert not all(case.holds(tmp_path) for case in cases_of(text, tmp_path))
