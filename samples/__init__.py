"""The sample company: a seeded simulator of a manufacturer with three sites, six systems and a known truth.

`simulate` makes a company, `Company.write` its extracts, `Company.truth` what the facts must come to. `tiny` is made
for property tests, `bench_day` and `history` for benchmarks.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from samples.company import DEFAULT_DIRT, Company, Delivery, build
from samples.plan import DEFAULT_START, Plan, tiny_plan

TARGETS = Path(__file__).with_name("targets.csv")
"""What the sample company aims at."""

__all__ = [
    "TARGETS",
    "Company",
    "Delivery",
    "Plan",
    "bench_day",
    "history",
    "simulate",
    "tiny",
    "write_sample",
]


def simulate(seed: int = 1, start: date = DEFAULT_START, days: int = 90, scale: float = 1.0) -> Company:
    """A company over some days; `scale` 1 gives about a thousand rows a day. Equal arguments, equal companies."""
    return build(Plan(seed=seed, start=start, days=days).scaled(scale))


def tiny(seed: int) -> Company:
    """A few dozen rows per dataset over three to five nights, with dense collisions of keys and days."""
    return build(tiny_plan(seed))


def bench_day(
    rows_confirmations: int = 1_000_000, rows_po: int = 250_000, *, seed: int = 1, start: date = DEFAULT_START
) -> Company:
    """One clean night with about this many confirmations, purchase order lines and receipts, each key once."""
    scale = max(1.0, rows_po / 5_000)
    plan = Plan(
        seed=seed,
        start=start,
        days=1,
        purchase_orders_per_day=rows_po / 3,  # an order has three lines on average, a routing three operations
        production_orders_per_day=rows_confirmations / 3 / 0.966,  # less what is cancelled
        raw_items=round(36 * scale**0.5),
        made_items=round(24 * scale**0.5),
        suppliers=round(40 * scale**0.5),
        lead_time_days=(0, 0),
        works_weekends=True,
        only_newest_versions=True,
        has_finance=False,
        p_duplicate=0,
        p_revision=0,
        p_twice=0,
    )
    return build(plan)


def history(
    months: int, rows_per_day: int = 50_000, *, seed: int = 1, start: date = DEFAULT_START
) -> Iterator[Company]:
    """Month after month of one company, `rows_per_day` rows of documents a day; each month is simulated by itself."""
    first = start.replace(day=1)
    for month in range(months):
        following = (first.replace(day=28) + (date(2000, 1, 5) - date(2000, 1, 1))).replace(day=1)
        plan = Plan(seed=seed, start=first, days=(following - first).days, p_revision=0, p_twice=0, works_weekends=True)
        scale = rows_per_day / 620
        grown = plan.scaled(scale)
        # Later months bring no rates of days before their own: nothing of the months before changes again.
        days_before = grown.rate_days_before if month == 0 else 0
        yield build(replace(grown, id_offset=month * 5_000_000, lead_time_days=(1, 12), rate_days_before=days_before))
        first = following


def write_sample(
    landing: Path,
    *,
    seed: int = 1,
    days: int = 90,
    scale: float = 1.0,
    start: date = DEFAULT_START,
    dirt: float = DEFAULT_DIRT,
    every_kind: bool = False,
    damage: float = 0.0,
    truth: Path | None = None,
) -> int:
    """Write the sample company's extracts below a landing folder; returns the number of files.

    `dirt` is the share of spoiled rows; with `every_kind` they are spoiled in every way that the files can carry, else
    in ordinary ones. `damage` is the share of deliveries that must be refused as a whole. `truth` is a folder for what
    must be quarantined and refused, and how rows must be counted.
    """
    company = simulate(seed, start, days, scale)
    if truth is not None:
        company.write_truth(truth, dirt=dirt, every_kind=every_kind, damage=damage)
    return company.write(landing, dirt=dirt, every_kind=every_kind, damage=damage)
