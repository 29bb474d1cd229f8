"""The first suites: what each gate holds back and what it lets through, and that every rule in the files is needed."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from flows.io import gates, gates_files
from schemas.catalog import FACTS

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
DAY, NEXT = date(2026, 2, 1), date(2026, 2, 2)
ROWS = ("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate", "rows_excluded")
GOOD = gates.ExtractFacts("e1", DAY, 100, 90, 5, 3, 2)
NOTHING = dict.fromkeys(ROWS, 0)


WANTED = ("requested_on", "promised_on", "committed_on")
"""Days that an order line names, none of which ought to be before that of the order."""


def not_passed(results):
    return {(one.gate, one.subject.source, one.subject.day, one.status) for one in results if one.status != "passed"}


@dataclass(frozen=True)
class ExtractCase:
    """What differs from a good extract, and which gates must say so."""

    name: str
    counts: dict = field(default_factory=dict)
    columns: dict = field(default_factory=dict)
    said: tuple[tuple[str, str], ...] = ()

    def holds(self, folder: Path = gates_files.GATES) -> bool:
        staged = pl.DataFrame(
            {"po_id": ["1", "2"], "line_no": ["1", ""], "ordered_on": [DAY, DAY], **dict.fromkeys(WANTED, (NEXT, NEXT))}
        ).with_columns(pl.Series(name, values) for name, values in self.columns.items())
        facts = replace(GOOD, **self.counts)
        results = gates.judge_extract("purchase_order_line", "erp", staged, facts, checked_at=NOW, folder=folder)
        known = gates_files.plan("extracts", "purchase_order_line", folder).gates
        return not_passed(results) == {(gate, "erp", DAY, status) for gate, status in self.said if gate in known}


def quarantined(count, of, **tolerances):
    return {"rows_in": of, "rows_quarantined": count, "rows_accepted": of - count - 5, **tolerances}


EMPTY, LOST = (("not_empty", "failed"),), (("row_balance", "failed"),)
TOO_MANY, UNUSABLE = (("quarantined_rows_tolerable", "failed"),), (("something_usable", "failed"),)
EXTRACTS = [
    ExtractCase("good"),
    ExtractCase("empty", NOTHING, said=EMPTY),
    ExtractCase("empty as allowed", NOTHING | {"allow_empty": True}),
    *(ExtractCase(f"{name} one more", {name: getattr(GOOD, name) + 1}, said=LOST) for name in ROWS),
    ExtractCase("one row less", {"rows_in": 99}, said=LOST),
    ExtractCase("small, ten bad", quarantined(10, of=100)),
    ExtractCase("small, eleven bad", quarantined(11, of=100), said=TOO_MANY),
    ExtractCase("large, a twentieth bad", quarantined(50, of=1000)),
    ExtractCase("large, more than a twentieth bad", quarantined(51, of=1000), said=TOO_MANY),
    ExtractCase("tolerated rows", quarantined(3, of=100, tolerance_rows=3)),
    ExtractCase("more than the tolerated rows", quarantined(4, of=100, tolerance_rows=3), said=TOO_MANY),
    ExtractCase("tolerated share", quarantined(20, of=100, tolerance_share=0.2)),
    ExtractCase("more than the tolerated share", quarantined(21, of=100, tolerance_share=0.2), said=TOO_MANY),
    ExtractCase("rows or share", quarantined(20, of=100, tolerance_share=0.2, tolerance_rows=3)),
    ExtractCase("rows or share, the other", quarantined(30, of=100, tolerance_share=0.2, tolerance_rows=30)),
    ExtractCase("nothing tolerated", quarantined(1, of=100, tolerance_share=0.0), said=TOO_MANY),
    ExtractCase("all bad", NOTHING | {"rows_in": 3, "rows_quarantined": 3}, said=UNUSABLE),
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
    *(ExtractCase(f"{day} on the day, or not", columns={day: [DAY, None]}) for day in WANTED),
]  # fmt: skip


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
    "fct_inventory_daily": SITE_MONEY | ITEMS | QTY | {"item_id": ["a", "b", ""]},
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

    def holds(self, folder: Path = gates_files.GATES) -> bool:
        good, dimensions = good_rows(self.fact), set(FACTS[self.fact].contract.marked("dimension").values())
        results = gates.judge_slices(
            self.fact,
            altered(good, self.rows)[list(self.keep)],
            altered(good.select("source", "_slice", *gates.driving_columns(self.fact)), self.driving),
            checked_at=NOW,
            members=None if self.members is None else dict.fromkeys(dimensions, pl.Series(self.members)),
            folder=folder,
        )
        known = gates_files.plan("facts", self.fact, folder).gates
        return not_passed(results) == {(gate, "erp", day, status) for gate, day, status in self.said if gate in known}


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
    SliceCase("other unit, too much", factor("12") | qty("18.01", "2.5", "4"), said=(QTY_GAP,)),
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
}
"""Turns of a rule in the files."""


def cases_of(text, folder):
    """The cases that a gate file can decide, the telling ones first."""
    if "judges: extracts" in text:
        gates_there = gates_files.plan("extracts", "purchase_order_line", folder).gates
        return sorted(EXTRACTS, key=lambda case: not any(gate in gates_there for gate, _ in case.said))
    fact = max((fact for fact in GOOD_ROWS if fact in text), key=len, default="fct_purchase_order_line")
    gates_there = gates_files.plan("facts", fact, folder).gates
    cases = [case for case in SLICES if case.fact == fact]
    return sorted(cases, key=lambda case: not any(gate in gates_there for gate, *_ in case.said))


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
