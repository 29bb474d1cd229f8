"""A simulated month as one file per dataset, so that years of history load in minutes: what is loaded is the same."""

from pathlib import Path

import polars as pl

from samples import Company, Delivery
from samples.systems import TABLES
from samples.writing import write_table

ONE_A_DAY = "sample_wms.stock_snapshot"
"""Its files are each complete for their day; balances are no documents, so they are left out."""


def write_month(company: Company, landing: Path) -> None:
    """Events in one file of the month's last day, of states the last delivery of each period."""
    last = company.plan.days - 1
    for name, rows in company.events.items():
        if name != ONE_A_DAY:
            slot = Delivery(company, name, last, 0, last, 0.0).slot
            write_rows(name, rows.filter(pl.col("_night") <= last), slot, landing)
    newest: dict[tuple[str, str], Delivery] = {}
    for delivery in company.deliveries(dirt=0.0):
        if delivery.name in company.states:
            newest[delivery.name, delivery.period] = delivery
    for delivery in newest.values():
        delivery.write(landing)


def write_rows(name: str, rows: pl.DataFrame, slot: str, landing: Path) -> None:
    """Write rows in canonical terms as the system would deliver them."""
    source = name.partition(".")[0]
    for table in TABLES[name].values():
        raw = rows.select(**table.columns())
        if table.one_per:
            raw = raw.unique(table.one_per, keep="first", maintain_order=True)
        write_table(raw, table.dialect, landing / source / table.path.format(slot=slot))
