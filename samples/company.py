"""The simulated company: what happened, as deliveries that can be written one by one, and what it must come to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from samples import finance, master, measures, metrics, production, purchasing, stock, truth
from samples.damage import damaged
from samples.dirt import READABLE, Slot, breaks_lines, soil, spoil
from samples.faults import EVERY
from samples.master import Master
from samples.plan import Plan
from samples.systems import TABLES, mode
from samples.tools import Array
from samples.writing import as_text, break_lines, write_table

DEFAULT_DIRT = 0.002


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one dataset from one source: a file, or header and detail files of one slot."""

    company: "Company" = field(repr=False, compare=False)
    name: str  # source.dataset
    night: int
    revision: int
    lands: int  # the night it lands
    dirt: float
    period: str = ""  # 2025-01, or a day: 2025-01-05
    is_copy: bool = False
    every_kind: bool = False
    damage: str = ""

    @property
    def source(self) -> str:
        """The system that delivers."""
        return self.name.partition(".")[0]

    @property
    def dataset(self) -> str:
        """The canonical kind of extract."""
        return self.name.partition(".")[2]

    @property
    def as_of(self) -> date:
        """The day that the delivery speaks for."""
        return self.company.plan.start + timedelta(days=self.night)

    @property
    def slot(self) -> str:
        """The part of the file name that says what the delivery speaks for."""
        # A period that is the day itself needs no as-of date beside it.
        is_day = self.period in ("", f"{self.as_of}")
        stamp = f"{self.as_of}" if is_day else f"{self.period}_asof_{self.as_of}"
        return stamp + (f"_r{self.revision}" if self.revision else "") + ("_again" if self.is_copy else "")

    def rows(self) -> pl.DataFrame:
        """The file's rows in canonical terms, in order, with `_fault`, `_is_duplicate` and `_is_excluded`."""
        return soil(self.company.slot(self), self.company.clean_rows(self), self.revision)

    def files(self) -> list[str]:
        """Paths of the delivery's files below the landing folder."""
        return [f"{self.source}/{table.path.format(slot=self.slot)}" for table in TABLES[self.name].values()]

    def write(self, landing: Path) -> list[Path]:
        """Write the delivery's files below a landing folder."""
        rows, written = self.rows(), []
        for table, file in zip(TABLES[self.name].values(), self.files(), strict=True):
            raw = rows.select(**table.columns())
            if table.one_per:
                raw = raw.unique(table.one_per, keep="first", maintain_order=True)
            elif (rows["_fault"] != READABLE).any():
                raw = spoil(as_text(raw, table.dialect), self.name, rows["_fault"])
            write_table(raw, table.dialect, landing / file)
            if not table.one_per and breaks_lines(self.name, rows["_fault"]):
                break_lines(landing / file, table.dialect)
            written.append(landing / file)
        if self.damage:
            dialect = next(iter(TABLES[self.name].values())).dialect
            written[0].write_bytes(damaged(written[0].read_bytes(), dialect, self.damage))
        return written


@dataclass(frozen=True)
class Company:
    """A simulated company. `events` are rows delivered once, `states` rows listed from one night until another."""

    plan: Plan
    master: Master = field(repr=False)
    events: dict[str, pl.DataFrame] = field(repr=False)
    states: dict[str, pl.DataFrame] = field(repr=False)

    @cached_property
    def _offsets(self) -> dict[str, Array]:
        nights = np.arange(self.plan.days + 1)
        return {name: np.searchsorted(frame["_night"].to_numpy(), nights) for name, frame in self.events.items()}

    def slot(self, delivery: Delivery) -> Slot:
        """What identifies the dirt of a delivery."""
        return Slot(self.plan, delivery.name, delivery.night, delivery.period, delivery.dirt, delivery.every_kind)

    def clean_rows(self, delivery: Delivery) -> pl.DataFrame:
        """A delivery's rows as they would be without dirt, with `_is_excluded`."""
        if delivery.name in self.events:
            first, end = self._offsets[delivery.name][delivery.night : delivery.night + 2]
            rows = self.events[delivery.name].slice(first, end - first)
        else:
            listed = (pl.col("_from") <= delivery.night) & (pl.col("_to") > delivery.night)
            if delivery.period:
                listed &= pl.col("posted_on").dt.strftime("%Y-%m") == delivery.period
            rows = self.states[delivery.name].filter(listed)
        excluded = pl.col("_is_quotation") if "_is_quotation" in rows.columns else pl.lit(value=False)
        return rows.with_columns(_is_excluded=excluded)

    def deliveries(
        self,
        *,
        nights: int | None = None,
        dirt: float = DEFAULT_DIRT,
        every_kind: bool = False,
        damage: float = 0.0,
    ) -> list[Delivery]:
        """Every delivery of the first nights in the order of landing: by night, then source and dataset.

        `dirt` is the share of rows that are spoiled, in ordinary ways and no more of a file than a gate lets pass; or
        in `every_kind` of way, and as many as it says. Then keys are spoiled too, and `current` and `truth` say
        nothing. `damage` is the share of deliveries whose file is spoiled as a whole and must be refused.
        """
        last = self.plan.days if nights is None else nights
        found = [delivery for delivery in self._all(dirt, damage, every_kind=every_kind) if delivery.lands < last]
        return sorted(found, key=lambda d: (d.lands, d.name, d.night, d.period, d.revision, d.is_copy))

    def _all(self, dirt: float, damage: float, *, every_kind: bool) -> Iterator[Delivery]:
        for name in (*self.events, *self.states):
            for night, period in self._schedule(name):
                first = Delivery(self, name, night, 0, night, dirt, period, every_kind=every_kind)
                rows = len(self.clean_rows(first))
                if not rows:
                    continue
                first = replace(first, damage=self.slot(first).damage(damage))
                yield first
                _, _, corrects, twice = self.slot(first).draw(rows)
                if corrects:
                    yield replace(first, revision=1, lands=night + 1 + night % 2, damage="")
                if twice:
                    yield replace(first, lands=night + 1, is_copy=True)

    def _schedule(self, name: str) -> list[tuple[int, str]]:
        """Nights on which a dataset is delivered, with the period that the delivery is complete for."""
        days = self.plan.days
        if name == "sample_wms.stock_snapshot":
            return [(night, f"{self._day(night)}") for night in range(days)]
        if name in self.events:
            return [(night, "") for night in range(days)]
        if name == "sample_ledger.gl_entry":
            return self._journal_exports()
        changes = self.states[name].select(pl.col("_from").unique())["_from"].to_list()
        every = days if name == "sample_planning.budget_line" else self.plan.master_every_days
        return [(night, "") for night in range(days) if night % every == 0 or night in changes]

    def _journal_exports(self) -> list[tuple[int, str]]:
        """On the plan's days and at its end each month so far; on the first of those days the month before again."""
        exports = []
        for night in range(self.plan.days):
            day = self._day(night)
            is_end = (day + timedelta(days=1)).month != day.month
            if day.day in self.plan.journal_days or is_end or night == self.plan.days - 1:
                exports.append((night, f"{day:%Y-%m}"))
            if day.day == self.plan.journal_days[0]:
                exports.append((night, f"{day - timedelta(days=day.day):%Y-%m}"))
        return exports

    def _day(self, night: int) -> date:
        return self.plan.start + timedelta(days=night)

    def write(self, landing: Path, **how: Any) -> int:
        """Write deliveries, `how` is said as to `deliveries`; returns how many files were written."""
        return sum(len(delivery.write(landing)) for delivery in self.deliveries(**how))

    def write_truth(self, folder: Path, **how: Any) -> None:
        """Write the truth of deliveries, `how` is said as to `deliveries`.

        quarantine.csv names every spoiled row (file, row, rule), balance.csv each delivery's counts, refused.csv the
        damaged files.
        """
        folder.mkdir(parents=True, exist_ok=True)
        found = self.deliveries(**how)
        truth.refused(found).write_csv(folder / "refused.csv")
        self.expected_quarantine(found).write_csv(folder / "quarantine.csv")
        self.expected_balance(found).write_csv(folder / "balance.csv")

    def current(self, deliveries: Iterable[Delivery] | None = None) -> dict[str, pl.DataFrame]:
        """Current rows by `source.dataset`, in canonical terms, once these deliveries (or all) have been taken."""
        return truth.current_rows(self.deliveries() if deliveries is None else deliveries)

    def truth(self, deliveries: Iterable[Delivery] | None = None, *, currency: str = "USD") -> dict[str, pl.DataFrame]:
        """What each fact must come to once these deliveries (or all) have been taken, in any order."""
        return measures.facts(self.current(deliveries), reporting_currency=currency)

    def metrics(self, deliveries: Iterable[Delivery] | None = None, *, currency: str = "USD") -> pl.DataFrame:
        """What each metric must come to, by scope, day and month: see samples/metrics.py."""
        return metrics.metrics(self.truth(deliveries, currency=currency))

    def expected_quarantine(self, deliveries: Iterable[Delivery] | None = None) -> pl.DataFrame:
        """Rows that must be held back: source, dataset, as_of, period, revision, file, row (from 1), kind, rule, cell.

        A row that breaks several rules is there once for each.
        """
        return truth.quarantine(self.deliveries() if deliveries is None else deliveries, EVERY)

    def expected_refusals(self, deliveries: Iterable[Delivery]) -> pl.DataFrame:
        """Deliveries that must be refused as a whole: source, dataset, as_of, period, revision, file, kind."""
        return truth.refused(deliveries)

    def expected_balance(self, deliveries: Iterable[Delivery] | None = None) -> pl.DataFrame:
        """Per delivery rows_in, rows_accepted, rows_quarantined, rows_duplicate, rows_excluded."""
        return truth.balance(self.deliveries() if deliveries is None else deliveries)


def build(plan: Plan) -> Company:
    """Simulate the company that a plan describes."""
    world = master.master_data(plan)
    lines = purchasing.order_lines(world)
    receipts, lines = purchasing.receipts(world, lines)
    orders, operations = production.production(world)
    events = {
        "sample_erp.purchase_order_line": purchasing.line_versions(world, lines),
        "sample_wms.goods_receipt": purchasing.receipt_versions(world, lines, receipts),
        "sample_mes.production_order": production.order_versions(world, orders),
        "sample_mes.operation_confirmation": production.confirmations(world, orders, operations),
        "sample_ledger.fx_rate": master.fx_rates(world),
    }
    if plan.has_stock:
        events["sample_wms.stock_snapshot"] = stock.stock_days(world, lines, receipts, orders)
    states = master.state_frames(world)
    if plan.has_finance:
        posted = finance.journal(world, lines, receipts, orders, operations)
        states["sample_ledger.gl_entry"] = posted
        if not plan.id_offset:
            states["sample_planning.budget_line"] = finance.budget(world, posted)
    by_night = {name: frame.sort("_night", maintain_order=True) for name, frame in events.items()}
    return Company(plan, world, by_night, states)


__all__ = ["DEFAULT_DIRT", "Company", "Delivery", "build", "mode"]
