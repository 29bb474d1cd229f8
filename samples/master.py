"""Master data of the simulated company: sites, items, suppliers, accounts, rates, and the codes that mean the same.

Every frame of a *state* dataset carries `_from` and `_to`: the nights (days since the simulation's start) from which
and before which the source lists the row. Columns that no contract knows (`_…`) stay inside the simulator.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import permutations

import numpy as np
import polars as pl

from samples import names
from samples.plan import Plan
from samples.tools import (
    END_OF_TIME,
    FOREVER,
    PRICE,
    QUANTITY,
    US_PER_DAY,
    Array,
    chance,
    codes,
    days,
    decimal,
    epoch_day,
    pick,
    stream,
)

SITES = pl.DataFrame(
    {
        "site_id": ["1000", "2000", "3000"],
        "name": ["Bremen works", "Chicago works", "Osaka works"],
        "country": ["DE", "US", "JP"],
        "time_zone": ["Europe/Berlin", "America/Chicago", "Asia/Tokyo"],
        "currency": ["EUR", "USD", "JPY"],
    }
)
WMS_SITES = ("BRE", "CHI", "OSA")
MES_SITES = ("PLT-B", "PLT-C", "PLT-O")
WMS_UNITS = {"ST": "EA", "KG": "GRM", "M": "MTR", "L": "LTR"}
"""Units of the warehouse system (UN/ECE) for the ERP's. Its scales show grams."""
WMS_PER_BASE = {"ST": 1, "KG": 1000, "M": 1, "L": 1}
MES_UNIT = "PCS"
SITE_OFFSET_H = np.array([1, -6, 9])
"""Standard time of the sites' zones: good enough to place working hours."""
CURRENCIES = np.array(["EUR", "USD", "JPY"])
PER_EUR = np.array([1.0, 1.09, 161.0])
"""Round rates for turning the cost in EUR into prices; the daily rates wander around them."""
MONEY_PLACES = np.array([2, 2, 0])

ACCOUNTS = (  # ledger's number, name, type, parent, side, planning's code
    ("1", "Assets", "asset", None, "debit", None),
    ("2", "Liabilities", "liability", None, "credit", None),
    ("4", "Expenses", "expense", None, "debit", None),
    ("114000", "Raw material stock", "asset", "1", "debit", None),
    ("117000", "Work in process", "asset", "1", "debit", None),
    ("118000", "Cash", "asset", "1", "debit", None),
    ("216000", "Goods received, not invoiced", "liability", "2", "credit", None),
    ("217000", "Wages payable", "liability", "2", "credit", None),
    ("400000", "Direct labour", "expense", "4", "debit", "LAB-DIR"),
    ("410000", "Machine hours", "expense", "4", "debit", "MACH"),
    ("420000", "Scrap", "expense", "4", "debit", "SCRAP"),
    ("430000", "Salaries", "expense", "4", "debit", "SAL"),
    ("499000", "Production cost absorbed", "expense", "4", "credit", None),
)


@dataclass(frozen=True, slots=True)
class Master:
    """Everything the documents refer to. Arrays are indexed by item, supplier, work centre or day."""

    plan: Plan
    items: pl.DataFrame  # canonical columns and _mes, _wms: the other systems' codes
    cost_cents: Array  # of an item, in EUR
    raw: Array  # positions of purchased items
    made: Array
    suppliers: pl.DataFrame
    supplier_currency: Array  # position in CURRENCIES
    work_centers: pl.DataFrame
    work_center_site: Array
    work_center_rate: Array  # currency units per hour in the site's currency
    rates: Array  # [day, from rate_days_before the start on; currency]: units per EUR

    @property
    def first_day(self) -> int:
        """The simulation's first day, since the epoch."""
        return epoch_day(self.plan.start)

    @property
    def end(self) -> int:
        """The moment (microseconds since the epoch) up to which anything is delivered; a benchmark day brings all."""
        return END_OF_TIME if self.plan.only_newest_versions else (self.first_day + self.plan.days) * US_PER_DAY


def master_data(plan: Plan) -> Master:
    """Draw the master data. Depends on seed and sizes alone, so that every chunk of a long history shares it."""
    rng = stream(plan.seed, "master")
    items, cost = _items(plan)
    countries = [("DE", "US", "JP")[i] for i in rng.choice(3, plan.suppliers, p=(0.5, 0.3, 0.2))]
    currency = np.array([("DE", "US", "JP").index(country) for country in countries])
    work_centers, site, rate = _work_centers(plan)
    count = plan.raw_items + plan.made_items
    return Master(
        plan=plan,
        items=items,
        cost_cents=cost,
        raw=np.arange(plan.raw_items),
        made=np.arange(plan.raw_items, count),
        suppliers=_suppliers(rng, countries, currency),
        supplier_currency=currency,
        work_centers=work_centers,
        work_center_site=site,
        work_center_rate=rate,
        rates=_rates(plan),
    )


def _items(plan: Plan) -> tuple[pl.DataFrame, Array]:
    raw, made = plan.raw_items, plan.made_items
    count = raw + made
    series = np.r_[np.arange(raw) // len(names.RAW_KINDS), np.arange(made) // len(names.MADE_KINDS)]
    base = np.r_[
        names.spread(tuple(k[3] for k in names.RAW_KINDS), raw),
        names.spread(tuple(k[4] for k in names.MADE_KINDS), made),
    ]
    cost = base * (10 + series % 40) // 10
    number = np.arange(count)
    units = pl.Series([names.RAW_KINDS[i % len(names.RAW_KINDS)][1] for i in range(raw)] + ["ST"] * made)
    frame = pl.DataFrame(
        {
            "item_id": codes("", 100000 + 7 * number, 6),
            "name": names.item_names(names.RAW_KINDS, raw) + names.item_names(names.MADE_KINDS, made),
            "item_type": ["raw"] * raw + [names.MADE_KINDS[i % len(names.MADE_KINDS)][2] for i in range(made)],
            "category": [names.RAW_KINDS[i % len(names.RAW_KINDS)][2] for i in range(raw)]
            + [names.MADE_KINDS[i % len(names.MADE_KINDS)][3] for i in range(made)],
            "base_uom": units,
            "standard_cost": decimal(cost, 2, PRICE),
            "list_price": decimal(cost * 17 // 10, 2, PRICE),
            "currency": ["EUR"] * count,
            "lead_time_days": pl.Series(5 + number % 31, dtype=pl.Int32),
            "safety_stock_qty": decimal(20 + number % 60, 0, QUANTITY),
            "reorder_point_qty": decimal(60 + number % 90, 0, QUANTITY),
            "is_active": number % 29 != 28,
            "_mes": codes("M-", number + 1, 5),
            "_wms_uom": units.replace_strict(WMS_UNITS),
            "_wms_per_base": units.replace_strict(WMS_PER_BASE, return_dtype=pl.Int64),
            "_wms": pick(["A", "B", "C", "D"], number % 4) + "." + codes("", 31 * number + 17, 7),
        }
    )
    return frame, cost


def _suppliers(rng: np.random.Generator, countries: list[str], currency: Array) -> pl.DataFrame:
    count = len(countries)
    return pl.DataFrame(
        {
            "supplier_id": codes("7", np.arange(count), 5),
            "name": names.supplier_names(countries),
            "country": countries,
            "currency": pick(CURRENCIES.tolist(), currency),
            "payment_terms_days": pl.Series(rng.choice([14, 30, 45, 60], count), dtype=pl.Int32),
            "risk_tier": pick(["A", "B", "C"], rng.integers(0, 3, count)),
            "status": pick(["active", "preferred", "blocked"], rng.choice(3, count, p=(0.7, 0.25, 0.05))),
        }
    )


def _work_centers(plan: Plan) -> tuple[pl.DataFrame, Array, Array]:
    per_site = plan.work_centers_per_site
    site = np.repeat(np.arange(3), per_site)
    number = np.tile(np.arange(per_site), 3)
    kind = [names.WORK_CENTER_KINDS[i % len(names.WORK_CENTER_KINDS)] for i in number]
    rate = np.array([k[2] for k in kind]) * np.array([1, 1, 160])[site]
    frame = pl.DataFrame(
        {
            "work_center_id": pick(list(MES_SITES), site) + "-" + codes("W", number + 1, 3),
            "site_id": pick(list(MES_SITES), site),
            "name": [f"{k[0]} {i // len(names.WORK_CENTER_KINDS) + 1}" for k, i in zip(kind, number, strict=True)],
            "area": [k[1] for k in kind],
            "capacity_h_per_day": decimal(np.where(number % 2, 160, 225), 1, QUANTITY),
            "cost_rate_per_h": decimal(rate, 0, PRICE),
            "currency": pick(CURRENCIES.tolist(), site),
        }
    )
    return frame, site, rate


def _rates(plan: Plan) -> Array:
    rng = stream(plan.seed, "rates", plan.start)
    steps = rng.normal(0, 0.004, (plan.days + plan.rate_days_before, 3))
    steps[:, 0] = 0
    return PER_EUR * np.exp(np.clip(np.cumsum(steps, axis=0), -0.15, 0.15))


def state(frame: pl.DataFrame, since: int | Array = 0, until: int | Array = FOREVER) -> pl.DataFrame:
    """The rows with the nights from which and before which the source lists them."""
    nights = {"_from": since, "_to": until}
    return frame.with_columns(
        pl.Series(name, np.broadcast_to(np.asarray(value, dtype=np.int32), len(frame)))
        for name, value in nights.items()
    )


def state_frames(master: Master) -> dict[str, pl.DataFrame]:
    """Master data that systems deliver whole: `source.dataset` → rows with the nights of their validity."""
    plan = master.plan
    return {
        "sample_erp.site": state(SITES),
        "sample_erp.item": _renamed_items(master),
        "sample_erp.item_cost": state(_item_costs(master)),
        "sample_erp.supplier": _coming_and_going(master),
        "sample_mes.work_center": state(master.work_centers),
        "sample_ledger.account": state(_accounts()),
        "sample_ledger.cost_center": state(_cost_centers(master)),
        "sample_ledger.fiscal_period": state(_fiscal_periods(plan)),
        "sample_master.code_map": state(_code_map(master)),
    }


def _renamed_items(master: Master) -> pl.DataFrame:
    """One item in nine changes its list price half way: type-2 history has something to tell."""
    items = master.items.select(pl.exclude("^_.*$"))
    half = max(1, master.plan.days // 2)
    changes = np.arange(len(items)) % 9 == 4
    dearer = items.with_columns(list_price=(pl.col("list_price") + 5).cast(PRICE)).filter(pl.Series(changes))
    return pl.concat([state(items, 0, np.where(changes, half, FOREVER)), state(dearer, half)])


def _coming_and_going(master: Master) -> pl.DataFrame:
    """The last supplier is taken on half way; the last but one is dropped then."""
    count, half = len(master.suppliers), max(1, master.plan.days // 2)
    number = np.arange(count)
    since = np.where(number == count - 1, half, 0)
    until = np.where(number == count - 2, half, FOREVER)
    return state(master.suppliers, since, until)


def _item_costs(master: Master) -> pl.DataFrame:
    """Cost of every item of old; of made items at one site again from the simulation's tenth day."""
    plan, cost = master.plan, master.cost_cents
    of_old = date(2020, 1, 1)

    def rows(index: Array, site: str, since: date, pct: int) -> pl.DataFrame:
        cents = cost[index] * pct
        is_made = index >= plan.raw_items
        return pl.DataFrame(
            {
                "item_id": pick(master.items["item_id"], index),
                "site_id": pl.Series([site]).new_from_index(0, len(index)),
                "valid_from": pl.Series([since]).new_from_index(0, len(index)),
                "material_cost": decimal(np.where(is_made, cents * 6 // 10, cents), 4, PRICE),
                "labour_cost": decimal(np.where(is_made, cents * 3 // 10, 0), 4, PRICE),
                "overhead_cost": decimal(np.where(is_made, cents * 1 // 10, 0), 4, PRICE),
                "currency": ["EUR"] * len(index),
            }
        )

    everything = np.r_[master.raw, master.made]
    later = plan.start + timedelta(days=min(10, plan.days - 1))
    return pl.concat([rows(everything, "", of_old, 100), rows(master.made, "1000", later, 103)])


def _accounts() -> pl.DataFrame:
    columns = ("account_id", "name", "account_type", "parent_account_id", "normal_side")
    return pl.DataFrame([row[:5] for row in ACCOUNTS], schema=dict.fromkeys(columns, pl.String), orient="row")


def _cost_centers(master: Master) -> pl.DataFrame:
    sites = SITES["site_id"].to_list()
    rows: list[tuple[str, str, str | None, str | None]] = [("CC", "Company", None, None)]
    for site, place in zip(sites, ("Bremen", "Chicago", "Osaka"), strict=True):
        rows.append((f"CC-{site}", place, "CC", site))
        rows += [
            (f"CC-{site}-{code}", f"{place} {name}", f"CC-{site}", site)
            for code, name in (("10", "production"), ("20", "warehouse"), ("90", "administration"))
        ]
    columns = ("cost_center_id", "name", "parent_cost_center_id", "site_id")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def _fiscal_periods(plan: Plan) -> pl.DataFrame:
    last = plan.start + timedelta(days=plan.days)
    # The year before stays listed, so that a long history ends few periods at a time.
    starts = pl.date_range(date(plan.start.year - 1, 1, 1), date(last.year, 12, 1), "1mo", eager=True).alias(
        "starts_on"
    )
    return pl.DataFrame([starts]).select(
        calendar_id=pl.lit("TW"),
        period_id=pl.col("starts_on").dt.strftime("%Y-%m"),
        starts_on="starts_on",
        ends_on=pl.col("starts_on").dt.month_end(),
        fiscal_year=pl.col("starts_on").dt.year().cast(pl.Int32),
        fiscal_quarter=pl.col("starts_on").dt.quarter().cast(pl.Int32),
        closed_at=pl.lit(None, pl.Datetime("us", "UTC")),
    )


def _code_map(master: Master) -> pl.DataFrame:
    """MES and warehouse codes of items and sites, planning's accounts. A few items are not mapped yet."""

    def rows(entity: str, space: str, code: pl.Series, master_space: str, master_code: pl.Series) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "entity": [entity] * len(code),
                "code_space": [space] * len(code),
                "code": code,
                "master_code_space": [master_space] * len(code),
                "master_code": master_code,
            }
        )

    items = master.items
    mapped = pl.Series(np.arange(len(items)) % 37 != 35)
    planned = [row for row in ACCOUNTS if row[5]]
    return pl.concat(
        [
            rows("item", "sample_mes", items["_mes"].filter(mapped), "sample_erp", items["item_id"].filter(mapped)),
            rows("item", "sample_wms", items["_wms"], "sample_erp", items["item_id"]),
            rows("site", "sample_wms", pl.Series(WMS_SITES), "sample_erp", SITES["site_id"]),
            rows("site", "sample_mes", pl.Series(MES_SITES), "sample_erp", SITES["site_id"]),
            rows(
                "account",
                "sample_planning",
                pl.Series([row[5] for row in planned]),
                "sample_ledger",
                pl.Series([row[0] for row in planned]),
            ),
        ]
    )


def fx_rates(master: Master) -> pl.DataFrame:
    """Daily average rates of every pair, late ones arriving nights later, and plan rates of the year's later months."""
    plan, rates = master.plan, master.rates
    rng = stream(plan.seed, "late rates", plan.start)
    day = np.arange(-plan.rate_days_before, plan.days) + master.first_day
    frames = []
    for source, target in permutations(range(3), 2):
        night = np.maximum(day - master.first_day, 0)
        late = chance(rng, plan.p_late, len(day)) & (night > 0)
        at = day - master.first_day + plan.rate_days_before
        rate = np.round(rates[at, target] / rates[at, source] * 10**6)
        frames.append(_rate_rows(source, target, "average", day, rate, night + late * rng.integers(1, 4, len(day))))
        # Beyond the look-back of eight days, so that no day has both a plan rate and an average one.
        planned = np.array([epoch_day(month) for month in _months_after(plan, 8)], dtype=np.int64)
        rate = np.full(len(planned), np.round(PER_EUR[target] / PER_EUR[source] * 10**6))
        frames.append(_rate_rows(source, target, "plan", planned, rate, np.zeros(len(planned), dtype=np.int64)))
    return pl.concat(frames).filter(pl.col("_night") < plan.days)


def _rate_rows(source: int, target: int, kind: str, day: Array, rate: Array, night: Array) -> pl.DataFrame:
    nothing = np.zeros(len(day))
    return pl.DataFrame(
        {
            "rate_date": days(day),
            "from_currency": pick([str(CURRENCIES[source])], nothing),
            "to_currency": pick([str(CURRENCIES[target])], nothing),
            "rate_type": pick([kind], nothing),
            "rate": decimal(rate, 6, PRICE),
            "_night": pl.Series(night, dtype=pl.Int64),
        }
    )


def budget_months(plan: Plan) -> list[date]:
    """First days of the months that are planned: the fiscal year's, or those of the simulation."""
    year = plan.start.year
    last = plan.start + timedelta(days=plan.days - 1)
    first_month, last_month = (1, 12) if plan.plans_whole_year else (plan.start.month, last.month)
    return [date(year, month, 1) for month in range(first_month, last_month + 1)]


def _months_after(plan: Plan, days_after: int) -> list[date]:
    end = plan.start + timedelta(days=plan.days - 1 + days_after)
    return [month for month in budget_months(plan) if month > end]
