"""Every roll-up of mart.v_metric equals what the facts' rows come to directly, whatever the rows and however they came.

Days to weeks, months and fiscal periods; leaves to sites, cost centres, kinds of accounts and the company; flows and
balances. Sums kept up to date row by row equal sums computed from scratch. And the view of who runs a process, by work
centre and day, adds up to the scorecard, by site and month.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flows.io import embedded_server, metric_cards
from flows.io.metric_files import Loaded, LoadedCard
from flows.io.metrics import GONE, Components
from flows.io.warehouse import Session, Warehouse
from schemas.catalog import DIMENSIONS, FACTS
from schemas.metric import Card
from tests.conftest import fresh_database

FIRST, DAYS = date(2025, 12, 24), 36
"""Over the end of a year, in the middle of a week and of a fiscal period."""
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SITES, COSTS = (11, 12), {21: 20, 22: 20, 23: 23}
ACCOUNTS = {31: "expense", 32: "revenue"}
STOCK = {"fact": "fct_inventory_daily", "date": "snapshot_date", "value": "on_hand_qty"}
DEBIT = {"fact": "fct_gl_entry", "date": "posted_on", "value": "debit", "where": "not is_closing", "time": "sum"}
SPENT = DEBIT | {"account_type": "expense"}
ENTRIES = DEBIT | {"value": "entry_count"}
DONE = {"fact": "fct_operation", "date": "business_date", "value": "good_qty", "time": "sum"}
SCRAPPED = DONE | {"value": "scrap_qty"}
BY_PLACE = ["company", "site", "work_center"]
BY_ALL = ["company", "site", "cost_center", "account_type"]


def _card(metric: str, combine: str, scopes: list[str], numerator: Any, denominator: Any = None, **said: Any) -> Card:
    plain = {"name": "n", "says": "s", "formula": "f", "unit": "u", "range": [None, None], "direction": "higher"}
    known = {"null_rule": "zero", "audience": ["process manager"], "owner": "o", "version": 1}
    named = {"metric": metric, "combine": combine, "scopes": scopes, "numerator": numerator, "denominator": denominator}
    return Card.model_validate(plain | known | named | said)


CARDS = (
    _card("average_entry", "ratio", BY_ALL, DEBIT, ENTRIES, scale=100),
    _card("spent", "value", BY_ALL, SPENT),
    _card("others", "difference", ["company", "site"], DEBIT, SPENT),
    _card("stock", "value", ["company", "site", "item"], STOCK | {"time": "last"}),
    _card("stock_held", "value", ["company", "site"], STOCK | {"time": "average"}),
    _card("turns", "ratio", ["company", "site"], SPENT, STOCK | {"time": "average"}, per="year", null_rule="unknown"),
    _card("scrap_share", "ratio", BY_PLACE, SCRAPPED, DONE, scale=100),
    _card("done", "value", BY_PLACE, DONE),
    _card("gained", "difference", BY_PLACE, DONE, SCRAPPED),
    _card("reach", "ratio", ["company", "site"], STOCK | {"time": "average"}, SPENT, per="day"),
)  # fmt: skip

Row = dict[str, Any]
days = st.integers(0, DAYS - 1).map(lambda n: FIRST + timedelta(days=n))
balances = st.lists(
    st.builds(
        lambda site, day, item, qty: {"site_key": site, "day": day, "item_key": item, "on_hand_qty": qty},
        st.sampled_from(SITES), days, st.integers(1, 2), st.integers(0, 50),
    ),
    max_size=25, unique_by=lambda row: (row["site_key"], row["day"], row["item_key"]),
)  # fmt: skip
entries = st.lists(
    st.builds(
        lambda site, cost, account, day, debit, closing: {
            "site_key": site, "cost_center_key": cost, "account_key": account, "day": day, "debit": debit,
            "is_closing": closing,
        },
        st.sampled_from(SITES), st.sampled_from(list(COSTS)), st.sampled_from(list(ACCOUNTS)), days,
        st.integers(-20, 90), st.sampled_from([False, False, True]),
    ),
    max_size=25,
)  # fmt: skip
operations = st.lists(
    st.builds(
        lambda site, place, day, good, scrap: {
            "site_key": site, "work_center_key": place, "day": day, "good_qty": good, "scrap_qty": scrap
        },
        st.sampled_from(SITES), st.integers(1, 2), days, st.integers(0, 9), st.integers(0, 3),
    ),
    min_size=15, max_size=40,
)  # fmt: skip


@pytest.fixture(scope="module")
def warehouse(server: embedded_server.Server) -> Iterator[Warehouse]:
    """A warehouse with dimensions and cards, without facts."""
    with fresh_database(server) as url, closing(Warehouse.at(url)) as warehouse:
        with warehouse.session() as session:
            tree = [(parent, child) for child, parent in COSTS.items()] + [(20, 20), (21, 21), (22, 22)]
            _insert(session, "dim_cost_center_closure", DIMENSIONS["dim_cost_center_closure"].contract, [
                {"ancestor_cost_center_key": a, "descendant_cost_center_key": d} for a, d in tree
            ])  # fmt: skip
            _insert(session, "dim_account", DIMENSIONS["dim_account"].contract, [
                {"account_key": key, "account_type": kind, "account_id": str(key)} for key, kind in ACCOUNTS.items()
            ])  # fmt: skip
            calendar = [date(2025, 1, 1) + timedelta(days=n) for n in range(730)]
            _insert(session, "dim_date", DIMENSIONS["dim_date"].contract, [
                {"date_key": n, "date": day, "fiscal_year": begin.year, "fiscal_period_id": str(start)}
                for n, day in enumerate(calendar)
                for begin, start, _ in [_fiscal(day)]
            ])  # fmt: skip
            session.commit()
        loaded = Loaded(tuple(LoadedCard(card, Path("card.yaml")) for card in CARDS))
        assert metric_cards.take(warehouse, loaded, NOW).errors == ()
        yield warehouse


def _insert(session: Session, table: str, contract: Any, rows: list[Row]) -> pl.DataFrame:
    """Rows with what they do not say filled with anything."""
    blank: dict[type, Any] = {pl.String: "", pl.Boolean: False, pl.Date: FIRST, pl.Datetime: NOW}
    types = contract.dtypes()
    anything = {name: blank.get(type(dtype), 0) for name, dtype in types.items()}
    frame = pl.DataFrame([{name: (anything | row)[name] for name in types} for row in rows], schema=types)
    session.copy(frame, table, schema="mart")
    return frame


def _fiscal(day: date) -> tuple[date, date, date]:
    """First day of the fiscal year (in April), first and last of the fiscal period: four weeks each."""
    begin = date(day.year if day.month > 3 else day.year - 1, 4, 1)
    start = begin + timedelta(days=(day - begin).days // 28 * 28)
    end = min(start + timedelta(days=27), date(begin.year + 1, 3, 31))
    return begin, start, end


def _week(day: date) -> tuple[date, date, date]:
    start = day - timedelta(days=day.weekday())
    return date.fromisocalendar(day.isocalendar().year, 1, 1), start, start + timedelta(days=6)


def _month(day: date) -> tuple[date, date, date]:
    last = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return date(day.year, 1, 1), day.replace(day=1), last


PERIODS: dict[str, Callable[[date], tuple[date, date, date]]] = {
    "day": lambda day: (date(day.year, 1, 1), day, day), "week": _week, "month": _month, "fiscal_period": _fiscal
}  # fmt: skip


def _members(scope: str, row: Row) -> list[int | str]:
    match scope:
        case "company":
            return [0]
        case "cost_center":
            return list({row["cost_center_key"], COSTS[row["cost_center_key"]]})
        case "account_type":
            return [ACCOUNTS[row["account_key"]]]
        case _:
            return [row[f"{scope}_key"]]


class _Component:
    """A component's rows and their values by day, flows as they are, balances carried forward."""

    def __init__(self, said: Any, rows: dict[str, list[Row]]) -> None:
        self.time = said.time
        own = [row | {"v": row.get(said.value, 1)} for row in rows[said.fact] if not row.get("is_closing")]
        known = [row["day"] for row in own]
        self.first, self.last = min(known, default=date.max), max(known, default=date.min)
        if said.account_type:
            own = [row for row in own if ACCOUNTS[row["account_key"]] == said.account_type]
        self.by_day: dict[date, list[Row]] = defaultdict(list)
        if self.time == "sum":
            for row in own:
                self.by_day[row["day"]].append(row)
            # The days known are those of the component that is kept, of all kinds of accounts.
            return
        for site in SITES:
            taken = sorted({row["day"] for row in own if row["site_key"] == site})
            for n in range((self.last - FIRST).days + 1 if own else 0):
                day = FIRST + timedelta(days=n)
                held = [other for other in taken if other <= day][-1:]
                self.by_day[day] += [row for row in own if row["site_key"] == site and [row["day"]] == held]

    def days(self, start: date, end: date) -> int:
        return (min(end, self.last) - max(start, self.first)).days + 1

    def of(self, scope: str, member: int | str, start: date, end: date) -> float | None:
        """What a period comes to; None where the member has no rows."""
        wanted = range((end - start).days + 1)
        if self.time == "last":
            wanted = range((min(end, self.last) - start).days, (min(end, self.last) - start).days + 1)
        values = [
            float(row["v"])
            for n in wanted
            for row in self.by_day.get(start + timedelta(days=n), ())
            if member in _members(scope, row)
        ]
        if not values:
            return None
        return sum(values) / (self.days(start, end) if self.time == "average" else 1)


def _expected(card: Card, rows: dict[str, list[Row]]) -> dict[tuple[Any, ...], tuple[float | None, ...]]:
    """numerator, denominator, value, and value of the year to date by scope, member, period and first day."""
    parts = [_Component(said, rows) for said in card.components]
    found = {}
    for scope in card.scopes:
        for period, bounds in PERIODS.items():
            shown = {
                (member, *bounds(day))
                for part in parts
                for day, held in part.by_day.items()
                for row in held
                for member in _members(scope, row)
            }
            for member, year, start, end in shown:
                numbers = [part.of(scope, member, start, end) for part in parts]
                of_year = [part.of(scope, member, start if part.time == "last" else year, end) for part in parts]
                found[scope, member, period, start] = (
                    *_filled(card, numbers), _value(card, parts, numbers, start, end),
                    _value(card, parts, of_year, year, end),
                )  # fmt: skip
    return found


def _filled(card: Card, numbers: list[float | None]) -> tuple[float | None, float | None]:
    numerator, denominator = (*numbers, None)[:2]
    if card.null_rule == "zero":
        numerator = numerator or 0.0
        if card.combine == "difference":
            denominator = denominator or 0.0
    return numerator, denominator


def _value(card: Card, parts: list[_Component], numbers: list[float | None], start: date, end: date) -> float | None:
    numerator, denominator = _filled(card, numbers)
    factor = float(card.scale)
    if card.per:
        known = max(part.days(start, end) for part in parts)
        factor *= known if card.per == "day" else 365 / known
    match card.combine:
        case "ratio":
            return factor * numerator / denominator if denominator and numerator is not None else None
        case "difference":
            return factor * (numerator - denominator)
        case _:
            return factor * numerator


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(stock=balances, journal=entries, work=operations, seed=st.integers(0, 1000))
def test_roll_ups_are_what_the_rows_come_to(
    warehouse: Warehouse, stock: list[Row], journal: list[Row], work: list[Row], seed: int
) -> None:
    random = Random(seed)
    rows = {"fct_inventory_daily": stock, "fct_gl_entry": journal, "fct_operation": work}
    with warehouse.session() as session:
        session.execute("truncate mart.fct_metric_component")
        for fact, each in rows.items():
            session.execute(f"truncate mart.{fact}")
            components = Components.of(session, fact)
            _deliver(session, components, each, random)
            assert list(components.outdated(session)) == []
        shown = session.fetch(
            "select metric_id, scope, scope_key, scope_id, period, period_start, numerator::float8,"
            " denominator::float8, value::float8, ytd_value::float8, prior_value::float8 from mart.v_metric"
        )
        _check_process(session, work)
        for card in CARDS:
            found = {
                (row["scope"], row["scope_id"] if row["scope"] == "account_type" else row["scope_key"], row["period"],
                 row["period_start"]):
                    tuple(row[n] for n in ("numerator", "denominator", "value", "ytd_value", "prior_value"))
                for row in shown.filter(metric_id=card.metric).iter_rows(named=True)
            }  # fmt: skip
            expected = _expected(card, rows)
            assert found.keys() == expected.keys(), card.metric
            for (*member, period, start), numbers in expected.items():
                before = PERIODS[period](start - timedelta(days=1))[1]
                prior = expected.get((*member, period, before), (None, None, None))[2]
                seen = found[*member, period, start]
                assert _equal(seen, (*numbers, prior)), (card.metric, member, period, start, seen, numbers, prior)


def _check_process(session: Session, work: list[Row]) -> None:
    """The process view: rows are what the operations come to, and add up to the scorecard's."""
    shown = session.fetch(
        "select metric_id, site_key, work_center_key, date, numerator::float8, denominator::float8, value::float8,"
        " usual_value::float8 from mart.v_process_control"
    )
    for card in (card for card in CARDS if "work_center" in card.scopes):
        found = {tuple(row[:3]): row[3:] for row in shown.filter(metric_id=card.metric).drop("metric_id").iter_rows()}
        sums: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for row in work:
            for n, part in enumerate(card.components):
                sums[row["site_key"], row["work_center_key"], row["day"]][n] += row[part.value]
        assert found.keys() == sums.keys()
        for (site, place, day), numbers in sums.items():
            before = [sums[key] for key in sums if key[:2] == (site, place) and 0 < (day - key[2]).days <= 28]
            usual = None
            if before:
                usual = _value(card, [], [sum(column) for column in zip(*before, strict=True)], day, day)
                if card.combine != "ratio" and usual is not None:
                    usual /= len(before)
            wanted = [numbers[0], numbers[1] if card.denominator else None, _value(card, [], numbers, day, day), usual]
            assert _equal(found[site, place, day], wanted), (card.metric, site, place, day)
    month, order = pl.col("date").dt.truncate("1mo").alias("month_start"), ["metric_id", "month_start", "site_key"]
    for scope, site in (("site", pl.col("site_key")), ("company", pl.lit(0, pl.Int64).alias("site_key"))):
        scorecard = session.fetch(
            "select metric_id, month_start, site_key, numerator::float8,"
            " coalesce(denominator, 0)::float8 as denominator"
            f" from mart.v_operations_scorecard where scope = '{scope}' and metric_id = any($1)",
            shown["metric_id"].unique().to_list(),
        )
        rolled = shown.group_by("metric_id", month, site).agg(pl.col("numerator", "denominator").sum())
        assert rolled.sort(order).equals(scorecard.sort(order)), scope


def _equal(found: Sequence[float | None], numbers: Sequence[float | None]) -> bool:
    return all(
        one is other if one is None or other is None else one == pytest.approx(other, rel=1e-9)
        for one, other in zip(found, numbers, strict=True)
    )


def _deliver(session: Session, components: Components, rows: list[Row], random: Random) -> None:
    """Put a fact's rows in, some at a time and some of them first otherwise, with its sums kept up to date."""
    fact, contract = components.fact, FACTS[components.fact].contract
    dates = {component.date_column for component in components.each}
    dated = [row | dict.fromkeys(dates, row["day"]) | {"row_key": n} for n, row in enumerate(rows)]
    measure = next(name for name in ("on_hand_qty", "debit", "good_qty") if name in contract.columns())
    for row in dated:
        row["entry_count"] = 1
    wrong = [row | {measure: 7} | dict.fromkeys(dates, FIRST) for row in dated if random.random() < 0.3]
    random.shuffle(dated)
    batches = [wrong] if wrong else []
    while dated:
        batches.append([dated.pop() for _ in range(min(len(dated), random.randint(1, 10)))])
    for batch in batches:
        keys = [row["row_key"] for row in batch]
        session.execute(f"drop table if exists pg_temp.{GONE}")
        session.execute(f"create temporary table {GONE} (like mart.{fact})")
        session.execute(
            f"with gone as (delete from mart.{fact} where row_key = any($1) returning *)"
            f" insert into pg_temp.{GONE} select * from gone",
            keys,
        )
        _insert(session, fact, contract, batch)
        components.update(session, "where held.row_key = any($1)", keys, has_gone=True)
