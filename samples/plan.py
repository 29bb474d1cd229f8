"""How large and how turbulent a simulated company is."""

from dataclasses import dataclass, replace
from datetime import date
from math import sqrt

DEFAULT_START = date(2025, 1, 1)
"""In the past on any machine's clock: rows whose updated_at lies in the future would be quarantined."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Size, calendar and rates of a simulation. Equal plans make equal companies, to the byte.

    Counts are per calendar day of work unless their name says otherwise; `p_…` are probabilities per row (per
    delivery for `p_revision` and `p_twice`).
    """

    seed: int = 1
    start: date = DEFAULT_START
    days: int = 90
    purchase_orders_per_day: float = 25
    max_lines_per_order: int = 5
    production_orders_per_day: float = 30
    raw_items: int = 36
    made_items: int = 24
    suppliers: int = 40
    work_centers_per_site: int = 6
    lead_time_days: tuple[int, int] = (5, 35)
    max_operations: int = 5
    works_weekends: bool = False
    has_stock: bool = True
    has_finance: bool = True
    only_newest_versions: bool = False  # one night brings everything, each key once: benchmarks of one day
    journal_days: tuple[int, ...] = (5, 12, 20)  # days of a month after which the ledger exports, besides its end
    master_every_days: int = 7
    rate_days_before: int = 30  # rates known on the first night
    plans_whole_year: bool = True
    id_offset: int = 0
    p_moved: float = 0.005
    p_deleted: float = 0.004
    p_cancelled: float = 0.03
    p_rebooked: float = 0.005
    p_reversed: float = 0.003
    p_unknown_code: float = 0.001
    p_late: float = 0.01
    p_withdrawn: float = 0.002
    p_quotation: float = 0.01
    p_duplicate: float = 0.001
    p_revision: float = 0.06
    p_twice: float = 0.02

    def scaled(self, scale: float) -> "Plan":
        """The same company with `scale` times the documents; master data grows with the square root."""
        root = sqrt(scale)
        return replace(
            self,
            purchase_orders_per_day=self.purchase_orders_per_day * scale,
            production_orders_per_day=self.production_orders_per_day * scale,
            raw_items=max(6, round(self.raw_items * root)),
            made_items=max(4, round(self.made_items * root)),
            suppliers=max(6, round(self.suppliers * root)),
            work_centers_per_site=max(2, round(self.work_centers_per_site * root)),
        )


def tiny_plan(seed: int) -> Plan:
    """A few dozen rows per dataset over five nights across a month's end, where nearly everything collides."""
    return Plan(
        seed=seed,
        start=date(2025, 1, 29),
        days=3 + seed % 3,
        purchase_orders_per_day=3,
        max_lines_per_order=3,
        production_orders_per_day=3,
        raw_items=4,
        made_items=3,
        suppliers=3,
        work_centers_per_site=1,
        lead_time_days=(0, 2),
        max_operations=2,
        works_weekends=True,
        journal_days=tuple(range(1, 32)),
        master_every_days=2,
        rate_days_before=3,
        plans_whole_year=False,
        p_moved=0.2,
        p_deleted=0.15,
        p_cancelled=0.1,
        p_rebooked=0.2,
        p_reversed=0.1,
        p_unknown_code=0.05,
        p_late=0.25,
        p_withdrawn=0.08,
        p_quotation=0.05,
        p_duplicate=0.05,
        p_revision=0.4,
        p_twice=0.15,
    )
