"""Ways to spoil a row, by `source.dataset`: what is written into its cells, and the rules that quarantine must name.

`ORDINARY` is the dirt of any delivery, of which about half the kinds leave the row's key and day as they were.
`EVERY` is that and one of each other kind that the systems' files can carry. A rule is named here a second time, as a
reader of the contracts would name it: nothing is shared with the code that judges.
"""

from collections.abc import Iterator
from dataclasses import dataclass

BREAKS_LINE = "\u0002"
"""A cell that stands for one that breaks its line: it is written as a delimiter, or as a quote in JSON."""

LONG = "x" * 401
NUL = "a\0b"
FUTURE = "2090-01-01"


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to spoil a row: `cells` are written under their headings; `rules` is what quarantine must name.

    A cell that is None is left empty.
    """

    kind: str
    cells: tuple[tuple[str, str | None], ...]
    rules: tuple[str, ...]

    @property
    def cell(self) -> str:
        """What is written, for reading."""
        return ", ".join(f"{heading}={text or ''}" for heading, text in self.cells)


def _fault(kind: str, cells: dict[str, str | None], *rules: str) -> Fault:
    return Fault(kind, tuple(cells.items()), rules)


def _number(heading: str, cell: str) -> Fault:
    return _fault("bad number", {heading: cell}, f"{heading}|unreadable")


def _date(heading: str, cell: str) -> Fault:
    return _fault("bad date", {heading: cell}, f"{heading}|unreadable")


def _unit(heading: str, rule: str = "uom_is_known") -> Fault:
    return _fault("unknown unit", {heading: "??"}, rule)


def _currency(heading: str, rule: str = "currency_exists") -> Fault:
    return _fault("unknown currency", {heading: "QQQ"}, rule)


def _small_currency(heading: str, column: str = "currency", rule: str = "currency_exists") -> Fault:
    return _fault("currency in small letters", {heading: "eur"}, f"{column}|regex", rule)


def _missing(**columns: str) -> Iterator[Fault]:
    """What must be there is not; `columns` are the headings by contract column."""
    for column, heading in columns.items():
        yield _fault("missing", {heading: None}, f"{column}|nullability")


def _no_key(heading: str, column: str) -> Fault:
    return _fault("missing key", {heading: None}, f"{column}|min_length")


def _codes(**columns: str) -> Iterator[Fault]:
    for column, heading in columns.items():
        yield _fault("too long", {heading: LONG}, f"{column}|too_long")


def _nul(**columns: str) -> Iterator[Fault]:
    for column, heading in columns.items():
        yield _fault("NUL character", {heading: NUL}, f"{column}|nul_character")


def _broken(heading: str) -> Fault:
    return _fault("broken line", {heading: BREAKS_LINE}, "ragged_row")


CONFLICT = _fault("conflicting versions", {}, "conflicting_versions")
"""Two versions of one row that contradict each other."""

ORDINARY: dict[str, tuple[Fault, ...]] = {
    "sample_erp.item": (_number("Listenpreis", "siehe Liste"),),
    "sample_erp.supplier": (_fault("unknown country", {"Land": "XQ"}, "country_exists"),),
    "sample_erp.purchase_order_line": (
        _number("Menge", "12 Stk."),
        _date("Zusage", "31.02.2025"),
        _unit("ME"),
        _currency("Währung"),
        CONFLICT,
    ),
    "sample_wms.goods_receipt": (
        _number("qtyReceived", "n/a"),
        _date("receivedAt", "2025-02-30T10:00:00"),
        _unit("unit"),
    ),
    "sample_wms.stock_snapshot": (_unit("unit"), _currency("value_currency")),
    "sample_mes.production_order": (
        _number("QTY", "ten"),
        _date("DUE", "2025-13-01T00:00:00+00:00"),
        _unit("UNIT"),
        _fault("unknown state", {"STATE": "55"}, "status|nullability"),
    ),
    "sample_mes.operation_confirmation": (
        _number("RUN_MIN", "1:30"),
        _date("BEGIN", "2025-02-29T07:00:00+00:00"),
        _unit("UNIT"),
        _currency("CURR"),
        _fault("ends before it starts", {"BEGIN": "2025-01-01T00:00:01+00:00", "END": "2025-01-01T00:00:00+00:00"},
               "ended_at_not_before_started_at"),
    ),
    "sample_ledger.fx_rate": (_number("rate", "N/A"),),
    "sample_ledger.gl_entry": (_date("Posting Date", "02/30/2025"), _currency("Currency")),
    "sample_planning.budget_line": (_currency("Currency"),),
}  # fmt: skip

_MORE: dict[str, tuple[Fault, ...]] = {
    "sample_erp.site": (
        *_missing(name="Name", country="Land", time_zone="Zeitzone", currency="Währung"),
        _no_key("Werk", "site_id"),
        *_codes(site_id="Werk"),
        *_nul(name="Name"),
        _broken("Name"),
        _fault("unknown country", {"Land": "XQ"}, "country_exists"),
        _fault("unknown zone", {"Zeitzone": "Europe/Bremen"}, "time_zone_exists"),
        _currency("Währung"),
        _small_currency("Währung"),
    ),
    "sample_erp.item": (
        *_missing(name="Bezeichnung", item_type="Art", base_uom="Basis-ME", is_active="Aktiv"),
        _no_key("Material", "item_id"),
        *_codes(item_id="Material"),
        *_nul(category="Warengruppe"),
        _broken("Warengruppe"),
        _fault("unknown kind", {"Art": "ROHR"}, "item_type|nullability"),
        _fault("neither yes nor no", {"Aktiv": "?"}, "Aktiv|unreadable"),
        _fault("money in no currency", {"Listenpreis": "1,00", "Währung": None}, "cost_and_price_have_currency"),
        _fault("below nought", {"Standardpreis": "-1,00"}, "cost_and_price_not_negative"),
        _fault("in less than no time", {"Wiederbeschaffung Tage": "-1"}, "lead_time_not_negative"),
        _fault("safety below nought", {"Sicherheitsbestand": "-1,0000"}, "planning_quantities_not_negative"),
        _fault("too many decimals", {"Meldebestand": "1,00001"}, "reorder_point_qty|does_not_fit"),
        _unit("Basis-ME", "base_uom_is_known"),
        _currency("Währung"),
        _small_currency("Währung"),
    ),
    "sample_erp.item_cost": (
        *_missing(material_cost="Materialkosten", valid_from="Gültig ab", currency="Währung"),
        _no_key("Material", "item_id"),
        *_codes(item_id="Material", site_id="Werk"),
        *_nul(site_id="Werk"),
        _broken("Währung"),
        _number("Lohnkosten", "viel"),
        _date("Gültig ab", "1.1.25."),
        _fault("below nought", {"Gemeinkosten": "-0,01"}, "costs_not_negative"),
        _fault("beyond all bounds", {"Materialkosten": "1000000000000,00"}, "costs_fit"),
        _currency("Währung"),
        _small_currency("Währung"),
    ),
    "sample_erp.supplier": (
        *_missing(name="Name"),
        _no_key("Lieferant", "supplier_id"),
        *_codes(supplier_id="Lieferant"),
        *_nul(risk_tier="Risikoklasse"),
        _broken("Name"),
        _fault("unknown state", {"Status": "?"}, "status|nullability"),
        _fault("in less than no time", {"Zahlungsziel": "-1"}, "payment_terms_not_negative"),
        _number("Zahlungsziel", "30 Tage"),
        _currency("Währung"),
        _small_currency("Währung"),
    ),
    "sample_erp.purchase_order_line": (
        *_missing(ordered_on="Bestelldatum", ordered_qty="Menge", uom="ME", unit_price="Preis", currency="Währung"),
        *_codes(line_no="Position", item_id="Material", site_id="Werk"),
        *_nul(item_id="Material"),
        _broken("Werk"),
        _fault("missing", {"Material": None}, "item_id|nullability"),
        _fault("unknown state", {"Status": "X"}, "status|nullability"),
        _fault("wrong sign", {"Menge": "-5,0000"}, "ordered_qty_sign_agrees_with_is_return"),
        _fault("below nought", {"Preis": "-0,01"}, "unit_price_not_negative"),
        _fault("beyond all bounds", {"Menge": "10000000,0000", "Preis": "99999999999,00"}, "ordered_amount_fits"),
        _fault("too large a number", {"Menge": "100000000000000,0"}, "ordered_qty|does_not_fit"),
        _fault("impossible century", {"Bestelldatum": "01.03.0205"}, "ordered_on|implausible_day"),
        _fault("not yet", {"Bestelldatum": "01.01.2090"}, "ordered_on|in_the_future"),
        _fault("changed in the future", {"Geändert am": "01.01.2090 00:00:00"}, "updated_at|in_the_future"),
        _fault("an hour that never was", {"Geändert am": "30.03.2025 02:30:00"}, "updated_at|does_not_fit"),
        _small_currency("Währung"),
    ),
    "sample_wms.goods_receipt": (
        *_missing(po_id="orderNo", po_line_no="orderLine", received_at="receivedAt", uom="unit"),
        *_missing(received_qty="qtyReceived"),
        _no_key("receiptNo", "receipt_id"),
        *_codes(receipt_id="receiptNo", line_no="receiptLine", po_id="orderNo", po_line_no="orderLine"),
        _broken("batch"),
        _fault("parts and whole", {"qtyReceived": "5", "qtyOk": "5", "qtyRejected": "1"},
               "accepted_and_rejected_make_received"),
        _fault("signs differ", {"qtyReceived": "5", "qtyOk": "6", "qtyRejected": "-1"}, "quantities_have_one_sign"),
        _fault("takes itself back", {"receiptNo": "SELF", "reverses": "SELF"}, "receipt_does_not_reverse_itself"),
        _fault("not yet", {"receivedAt": f"{FUTURE}T00:00:00"}, "received_at|in_the_future"),
        _fault("impossible century", {"receivedAt": "1825-03-01T10:00:00"}, "received_at|implausible_day"),
        _fault("an hour that never was", {"receivedAt": "2025-03-09T02:30:00"}, "received_at|does_not_fit"),
        _fault("changed in the future", {"changedAt": f"{FUTURE}T00:00:00"}, "updated_at|in_the_future"),
    ),
    "sample_wms.stock_snapshot": (
        *_missing(snapshot_date="stock_date", on_hand_qty="on_hand", uom="unit"),
        _no_key("sku", "item_id"),
        *_codes(site_id="warehouse", item_id="sku", location="bin_area"),
        *_nul(item_id="sku"),
        _fault("money in no currency", {"value_per_unit": "1.0000", "value_currency": None}, "unit_cost_has_currency"),
        _fault("below nought", {"value_per_unit": "-1.0000", "value_currency": "EUR"}, "unit_cost_not_negative"),
        _fault("beyond all bounds", {"value_per_unit": "1000000000000", "value_currency": "EUR"}, "unit_cost_fits"),
        _fault("another day", {"stock_date": "2024-02-29"}, "outside_period"),
        _fault("not yet", {"stock_date": FUTURE}, "outside_period", "snapshot_date|in_the_future"),
        _fault("impossible century", {"stock_date": "1825-03-01"}, "outside_period", "snapshot_date|implausible_day"),
        _small_currency("value_currency"),
    ),
    "sample_mes.work_center": (
        *_missing(site_id="PLANT", name="NAME"),
        _no_key("WC", "work_center_id"),
        *_codes(work_center_id="WC", site_id="PLANT"),
        *_nul(area="AREA"),
        _broken("AREA"),
        _number("CAP_H", "2 shifts"),
        _fault("below nought", {"CAP_H": "-8"}, "capacity_not_negative"),
        _fault("a cost below nought", {"RATE_H": "-1"}, "cost_rate_not_negative"),
        _fault("money in no currency", {"RATE_H": "1", "CURR": None}, "cost_rate_has_currency"),
        _currency("CURR"),
        _small_currency("CURR"),
    ),
    "sample_mes.production_order": (
        *_missing(item_id="MATERIAL", planned_qty="QTY", uom="UNIT", planned_start="PLAN_START", due_at="DUE"),
        _no_key("ORDER", "order_id"),
        *_codes(order_id="ORDER", item_id="MATERIAL", site_id="PLANT"),
        *_nul(scrap_reason="SCRAP_REASON"),
        _broken("SCRAP_REASON"),
        _fault("below nought", {"SCRAP": "-1"}, "quantities_not_negative"),
        _fault("ends before it starts",
               {"STARTED": "2025-01-01T00:00:01+00:00", "ENDED": "2025-01-01T00:00:00+00:00"},
               "actual_end_not_before_actual_start"),
        _fault("ends and never started", {"STARTED": None, "ENDED": "2025-01-01T00:00:00+00:00"},
               "actual_end_has_actual_start"),
        _fault("not yet", {"STARTED": f"{FUTURE}T00:00:00+00:00", "ENDED": None}, "actual_start|in_the_future"),
        _fault("ended and not yet", {"STARTED": "2025-01-01T00:00:00+00:00", "ENDED": f"{FUTURE}T00:00:00+00:00"},
               "actual_end|in_the_future"),
        _fault("impossible century", {"PLAN_START": "1825-01-01T00:00:00+00:00"}, "planned_start|implausible_day"),
        _fault("changed in the future", {"CHANGED": f"{FUTURE}T00:00:00+00:00"}, "updated_at|in_the_future"),
    ),
    "sample_mes.operation_confirmation": (
        *_missing(order_id="ORDER", operation_no="OP", work_center_id="WC", started_at="BEGIN", ended_at="END",
                  good_qty="GOOD", scrap_qty="SCRAP", rework_qty="REWORK", uom="UNIT"),
        _no_key("CONF", "confirmation_id"),
        *_codes(confirmation_id="CONF", order_id="ORDER", work_center_id="WC"),
        *_nul(reason_code="REASON"),
        _broken("REASON"),
        _fault("below nought", {"GOOD": "-1"}, "quantities_not_negative"),
        _fault("in less than no time", {"RUN_MIN": "-1"}, "minutes_not_negative"),
        _fault("money in no currency", {"COST": "1", "CURR": None}, "costs_have_currency"),
        _fault("planned to end before it starts",
               {"PLAN_BEGIN": "2025-01-01T00:00:01+00:00", "PLAN_END": "2025-01-01T00:00:00+00:00"},
               "planned_end_not_before_planned_start"),
        _fault("not yet", {"END": f"{FUTURE}T00:00:00+00:00"}, "ended_at|in_the_future"),
        _fault("begun and not yet", {"BEGIN": f"{FUTURE}T00:00:00+00:00", "END": f"{FUTURE}T00:00:00+00:00"},
               "started_at|in_the_future", "ended_at|in_the_future"),
        _fault("impossible century", {"BEGIN": "1825-01-01T00:00:00+00:00", "END": "1825-01-01T00:00:00+00:00"},
               "ended_at|implausible_day"),
        _small_currency("CURR"),
    ),
    "sample_ledger.account": (
        *_missing(name="Description"),
        _no_key("Account", "account_id"),
        *_codes(account_id="Account", parent_account_id="Parent"),
        *_nul(name="Description"),
        _broken("Description"),
        _fault("its own parent", {"Account": "SELF", "Parent": "SELF"}, "account_is_not_its_own_parent"),
        _fault("unknown kind", {"Type": "X"}, "account_type|nullability"),
        _fault("unknown side", {"Normal Side": "X"}, "normal_side|nullability"),
    ),
    "sample_ledger.cost_center": (
        *_missing(name="Description"),
        _no_key("Cost Center", "cost_center_id"),
        *_codes(cost_center_id="Cost Center", parent_cost_center_id="Parent", site_id="Site"),
        *_nul(name="Description"),
        _broken("Description"),
        _fault("its own parent", {"Cost Center": "SELF", "Parent": "SELF"}, "cost_center_is_not_its_own_parent"),
    ),
    "sample_ledger.fiscal_period": (
        *_missing(starts_on="First Day", ends_on="Last Day", fiscal_year="Year", fiscal_quarter="Quarter"),
        _no_key("Period", "period_id"),
        *_codes(calendar_id="Calendar", period_id="Period"),
        *_nul(calendar_id="Calendar"),
        _broken("Calendar"),
        _number("Year", "twenty"),
        _date("First Day", "02/30/2025"),
        _fault("ends before it starts", {"First Day": "01/02/2025", "Last Day": "01/01/2025"},
               "ends_on_not_before_starts_on"),
        _fault("fifth quarter", {"Quarter": "5"}, "fiscal_quarter_is_1_to_4"),
    ),
    "sample_ledger.fx_rate": (
        *_missing(rate_date="date", rate="rate"),
        _broken("rate"),
        _fault("unknown currency", {"from": "QQQ"}, "currencies_exist"),
        _small_currency("from", "from_currency", "currencies_exist"),
        _small_currency("to", "to_currency", "currencies_exist"),
        _fault("to itself", {"from": "EUR", "to": "EUR", "rate": "1.5"}, "currencies_differ_or_rate_is_one"),
        _fault("below nought", {"rate": "-1"}, "rate_positive_and_fits"),
        _fault("impossible century", {"date": "1825-01-01"}, "rate_date|implausible_day"),
    ),
    "sample_ledger.gl_entry": (
        *_missing(posted_on="Posting Date", account_id="Account", debit="Debit", credit="Credit", currency="Currency"),
        _no_key("Journal", "journal_id"),
        *_codes(journal_id="Journal", line_no="Line", account_id="Account", cost_center_id="Cost Center",
                site_id="Site"),
        *_nul(reference="Reference"),
        _broken("Reference"),
        _number("Debit", "1.000,00"),
        _fault("both sides", {"Debit": "1.00", "Credit": "1.00"}, "debit_or_credit_but_not_both"),
        _fault("too large a number", {"Credit": "100,000,000,000,000.00", "Debit": "0.00"}, "credit|does_not_fit"),
        _fault("another month", {"Posting Date": "02/29/2024"}, "outside_period"),
        _fault("impossible century", {"Posting Date": "01/31/1825"}, "outside_period", "posted_on|implausible_day"),
        _fault("neither yes nor no", {"Closing": "MAYBE"}, "Closing|unreadable"),
        _small_currency("Currency"),
    ),
    "sample_planning.budget_line": (
        *_missing(period_start="Month", amount="Amount", currency="Currency"),
        _no_key("Version", "version"),
        _no_key("Account", "account_id"),
        *_codes(version="Version", account_id="Account", cost_center_id="Cost centre"),
        _number("Amount", "a lot"),
        _date("Month", "March"),
        _fault("unknown kind", {"Kind": "Guess"}, "scenario|regex"),
        _fault("in the middle of a month", {"Month": "2025-03-15"}, "period_start_is_first_of_month"),
        _fault("impossible century", {"Month": "1825-03-01"}, "period_start|implausible_day"),
        _fault("too many decimals", {"Amount": "0.00001"}, "amount|does_not_fit"),
        _fault("driven by nothing", {"Rate per driver": "1.5", "Driver": None}, "variable_rate_has_driver"),
        _small_currency("Currency"),
    ),
    "sample_master.code_map": (
        *_missing(master_code_space="means_system", master_code="means_code"),
        _no_key("code", "code"),
        _no_key("system", "code_space"),
        *_codes(code_space="system", code="code"),
        *_nul(master_code="means_code"),
        _broken("code"),
        _fault("unknown kind", {"kind": "weather"}, "entity|regex"),
        _fault("means itself", {"system": "erp", "means_system": "erp", "code": "1", "means_code": "1"},
               "code_is_not_mapped_to_itself"),
    ),
}  # fmt: skip

EVERY: dict[str, tuple[Fault, ...]] = {
    name: (*ORDINARY.get(name, ()), *_MORE.get(name, ())) for name in {**ORDINARY, **_MORE}
}
"""The ordinary ones come first, so that a fault's place is the same in both."""
