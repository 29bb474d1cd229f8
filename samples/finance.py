"""The journal of what happened, and the budget of what was meant to.

Every journal balances. Receipts are posted per order and day, production cost per site and day, salaries once a month.
"""

from datetime import date, timedelta

import numpy as np
import polars as pl

from samples.master import ACCOUNTS, CURRENCIES, SITES, Master, budget_months, state
from samples.production import Operations, Orders
from samples.purchasing import Lines, Receipts, po_id
from samples.tools import FOREVER, PRICE, QUANTITY, US_PER_DAY, chance, decimal, stream

JOURNAL: dict[str, pl.DataType] = {
    "journal_id": pl.String(),
    "line_no": pl.String(),
    "posted_on": pl.Date(),
    "account_id": pl.String(),
    "cost_center_id": pl.String(),
    "site_id": pl.String(),
    "debit": QUANTITY,
    "credit": QUANTITY,
    "currency": pl.String(),
    "is_closing": pl.Boolean(),
    "reference": pl.String(),
}
SALARY_DAY = 25
DAYS_PER_MONTH = 30.4
BUDGETED = {row[0]: row[5] for row in ACCOUNTS if row[5]}


def journal(master: Master, lines: Lines, made: Receipts, orders: Orders, operations: Operations) -> pl.DataFrame:
    """Journal lines with the nights of their validity: some are withdrawn, some change their posting day."""
    posted = pl.concat(
        [_receipts(master, lines, made), _production(master, orders, operations), _salaries(master), _closing(master)]
    ).filter(pl.col("posted_on") < master.plan.start + timedelta(days=master.plan.days))
    return _with_changes(master, posted)


def _lines(journal_: pl.DataFrame, *entries: dict[str, pl.Expr]) -> pl.DataFrame:
    """One journal line per journal and entry; an entry says account_id, debit or credit, and cost_center_id if any."""
    frames = []
    for number, entry in enumerate(entries, start=1):
        columns = {name: pl.lit(None) for name in JOURNAL} | {
            "debit": pl.lit(0),
            "credit": pl.lit(0),
            "is_closing": pl.lit(value=False),
            "line_no": pl.lit(str(number)),
        }
        columns |= {name: pl.col(name) for name in journal_.columns if name in JOURNAL} | entry
        frames.append(journal_.select(**{name: columns[name].cast(dtype) for name, dtype in JOURNAL.items()}))
    return pl.concat(frames)


def _receipts(master: Master, lines: Lines, made: Receipts) -> pl.DataFrame:
    day = made.at // US_PER_DAY
    inside = (day >= master.first_day) & (day < master.first_day + master.plan.days)
    line = made.line[inside]
    # Quantity and price in units of 0.0001 each: the product in whole cents.
    cents = np.round(made.qty[inside] / 1e4 * lines.price[line] / 1e4 * 100).astype(np.int64)
    journals = (
        pl.DataFrame(
            {
                "order": po_id(master.plan, lines.order[line]),
                "posted_on": pl.Series(day[inside].astype(np.int32)).cast(pl.Date),
                "site": lines.site[line],
                "currency_no": lines.currency[line],
                "cents": cents,
            }
        )
        .group_by("order", "posted_on", "site", "currency_no")
        .agg(pl.col("cents").sum())
        .sort("posted_on", "order")
        .filter(pl.col("cents") != 0)
        .select(
            "posted_on",
            journal_id=pl.format("GR-{}-{}", "order", pl.col("posted_on").dt.strftime("%y%m%d")),
            site_id=pl.lit(SITES["site_id"]).gather(pl.col("site")),
            currency=pl.lit(pl.Series(CURRENCIES.tolist())).gather(pl.col("currency_no")),
            reference=pl.col("order"),
            amount=(pl.col("cents") / 100).cast(QUANTITY),
        )
    )
    return _lines(
        journals,
        {"account_id": pl.lit("114000"), "debit": pl.col("amount")},
        {"account_id": pl.lit("216000"), "credit": pl.col("amount")},
    )


def _production(master: Master, orders: Orders, operations: Operations) -> pl.DataFrame:
    day = operations.ended // US_PER_DAY
    inside = (day >= master.first_day) & (day < master.first_day + master.plan.days)
    site = orders.site[operations.order]
    columns = {"day": day, "site": site, "cost": operations.actual_cost, "scrap": operations.scrap}
    frame = pl.DataFrame({name: values[inside] for name, values in columns.items()})
    part = pl.col("cost").sum()
    journals = (
        frame.group_by("day", "site")
        .agg(machine=part * 60 // 100, labour=part - part * 60 // 100, scrap=pl.col("scrap").sum() * 1700)
        .sort("day", "site")
        .select(
            posted_on=pl.col("day").cast(pl.Int32).cast(pl.Date),
            site_id=pl.lit(SITES["site_id"]).gather(pl.col("site")),
            currency=pl.lit(SITES["currency"]).gather(pl.col("site")),
            machine=(pl.col("machine") / 100).cast(QUANTITY),
            labour=(pl.col("labour") / 100).cast(QUANTITY),
            scrap=(pl.col("scrap") / 100).cast(QUANTITY),
        )
        .with_columns(journal_id=pl.format("PC-{}-{}", "site_id", pl.col("posted_on").dt.strftime("%y%m%d")))
    )
    center = pl.format("CC-{}-10", "site_id")
    total = pl.col("machine") + pl.col("labour") + pl.col("scrap")
    return _lines(
        journals,
        {"account_id": pl.lit("410000"), "cost_center_id": center, "debit": pl.col("machine")},
        {"account_id": pl.lit("400000"), "cost_center_id": center, "debit": pl.col("labour")},
        {"account_id": pl.lit("420000"), "cost_center_id": center, "debit": pl.col("scrap")},
        {"account_id": pl.lit("117000"), "credit": total},
    )


def _months(master: Master) -> list[date]:
    first = master.plan.start.replace(day=1)
    last = master.plan.start + timedelta(days=master.plan.days - 1)
    return pl.date_range(first, last, "1mo", eager=True).to_list()


def _salaries(master: Master) -> pl.DataFrame:
    rng = stream(master.plan.seed, "salaries", master.plan.start)
    rows = []
    for month in _months(master):
        for site, currency in SITES.select("site_id", "currency").iter_rows():
            for center, base in (("10", 96_000), ("20", 31_000), ("90", 54_000)):
                amount = base * (160 if currency == "JPY" else 1) * int(rng.integers(95, 106)) // 100
                journal_id, paid_on = f"SA-{site}-{center}-{month:%y%m}", month.replace(day=SALARY_DAY)
                rows.append((journal_id, paid_on, site, center, currency, amount))
    names = ["journal_id", "posted_on", "site_id", "center", "currency", "amount"]
    journals = pl.DataFrame(rows, schema=names, orient="row").filter(pl.col("posted_on") >= master.plan.start)
    return _lines(
        journals,
        {
            "account_id": pl.lit("430000"),
            "cost_center_id": pl.format("CC-{}-{}", "site_id", "center"),
            "debit": pl.col("amount"),
        },
        {"account_id": pl.lit("217000"), "credit": pl.col("amount")},
    )


def _closing(master: Master) -> pl.DataFrame:
    """A closing entry at each month's end: in the ledger, but not part of actuals."""
    ends = pl.Series("posted_on", _months(master), dtype=pl.Date).dt.month_end()
    journals = pl.DataFrame([ends]).select(
        "posted_on",
        journal_id=pl.format("CL-{}", pl.col("posted_on").dt.strftime("%y%m")),
        site_id=pl.lit("1000"),
        currency=pl.lit("EUR"),
        is_closing=pl.lit(value=True),
        amount=pl.lit(25_000),
    )
    center = {"cost_center_id": pl.lit("CC-1000-10")}
    return _lines(
        journals,
        {"account_id": pl.lit("117000"), "debit": pl.col("amount")},
        {"account_id": pl.lit("410000"), "credit": pl.col("amount")} | center,
    )


def _with_changes(master: Master, posted: pl.DataFrame) -> pl.DataFrame:
    plan = master.plan
    rng = stream(plan.seed, "journal", plan.id_offset)
    journals = posted.select("journal_id").unique(maintain_order=True)
    count = len(journals)
    changes = journals.with_columns(
        pl.Series("moved", chance(rng, plan.p_moved, count)),
        pl.Series("withdrawn", chance(rng, plan.p_withdrawn, count)),
        pl.Series("after", rng.integers(1, 1 + max(2, plan.days // 6), count)),
        pl.Series("shift", rng.choice([-3, -1, 1, 3, 12], count)),
    )
    last_day = plan.start + timedelta(days=plan.days - 1)
    rows = (
        posted.join(changes, on="journal_id", how="left", maintain_order="left")
        .with_columns(night=(pl.col("posted_on") - plan.start).dt.total_days())
        .with_columns(
            change=pl.col("night") + pl.col("after"),
            moved_to=(pl.col("posted_on") + pl.duration(days="shift")).clip(plan.start, last_day),
        )
    )
    forever = pl.lit(FOREVER, pl.Int64)
    changed = pl.col("moved") | pl.col("withdrawn")
    stays = rows.with_columns(_from="night", _to=pl.when(changed).then("change").otherwise(forever))
    moves = rows.filter(pl.col("moved") & ~pl.col("withdrawn")).with_columns(
        posted_on="moved_to", _from="change", _to=forever
    )
    return pl.concat([stays, moves]).select(*JOURNAL, pl.col("_from", "_to").cast(pl.Int32))


def budget(master: Master, posted: pl.DataFrame) -> pl.DataFrame:
    """Budget lines of the fiscal year in planning's account codes, with the nights since which the workbook has them.

    The plan is what the journal comes to in a month, rounded, give or take a few per cent: version v1 stands from the
    first night, v2 (the year's revision) and a forecast from half way.
    """
    plan = master.plan
    rng = stream(plan.seed, "budget")
    months = max(1.0, plan.days / DAYS_PER_MONTH)
    base = (
        posted.filter(pl.col("account_id").is_in(list(BUDGETED)) & ~pl.col("is_closing"))
        .group_by("account_id", "cost_center_id", "currency")
        .agg(monthly=((pl.col("debit") - pl.col("credit")).sum().cast(pl.Float64) / months / 100).round() * 100)
        .sort("account_id", "cost_center_id", "currency")
        .join(pl.DataFrame({"month": budget_months(plan)}), how="cross")
    )
    half = max(1, plan.days // 2)
    year = plan.start.year
    versions = (
        (f"{year}-v1", "budget", 0, 98),
        (f"{year}-v2", "budget", half, 103),
        (f"{year}-f1", "forecast", half, 100),
    )
    frames = []
    for version, scenario, since, pct in versions:
        noise = pl.Series(rng.integers(pct - 4, pct + 5, len(base)))
        amount = (base["monthly"] * noise / 100).round().cast(pl.Int64)
        follows = base["account_id"].is_in(["400000", "410000"])
        frame = base.select(
            version=pl.lit(version),
            scenario=pl.lit(scenario),
            account_id=pl.col("account_id").replace_strict(BUDGETED),
            cost_center_id="cost_center_id",
            period_start="month",
            amount=decimal(amount.to_numpy(), 0),
            currency="currency",
            fixed_amount=decimal((amount * 4 // 10).to_numpy(), 0),
            variable_rate=pl.when(follows).then(decimal((amount // 50).to_numpy(), 2, PRICE)),
            driver=pl.when(follows).then(pl.lit("produced_qty")),
        )
        frames.append(state(frame, since))
    return pl.concat(frames)
