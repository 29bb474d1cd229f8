"""Production orders and the confirmations of their operations.

An order runs through the operations of its item's routing one after another; what an operation scraps the next one
does not get. The order's quantities are what its operations came to, so both belong together.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from samples.master import CURRENCIES, MES_SITES, MES_UNIT, SITE_OFFSET_H, Master
from samples.names import SCRAP_REASONS
from samples.purchasing import work_days
from samples.tools import (
    NEVER,
    US_PER_DAY,
    US_PER_HOUR,
    US_PER_MIN,
    Array,
    chance,
    codes,
    decimal,
    instants,
    null_where,
    pick,
    stream,
    within,
)


@dataclass(frozen=True, slots=True)
class Orders:
    """Production orders and when their state changes (microseconds since the epoch)."""

    item: Array
    site: Array
    qty: Array
    planned_start: Array
    due: Array
    released: Array
    started: Array
    completed: Array
    cancelled: Array
    deleted: Array
    moved: Array
    moved_by: Array  # microseconds
    good: Array
    scrap: Array
    has_unknown_item: Array

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True, slots=True)
class Operations:
    """Confirmations in order of their orders. Minutes in hundredths, money in the currency's hundredths."""

    order: Array
    no: Array
    work_center: Array
    started: Array
    ended: Array
    planned_start: Array
    planned_end: Array
    setup: Array
    run: Array
    labour: Array
    good: Array
    scrap: Array
    rework: Array
    worker: Array
    planned_cost: Array
    actual_cost: Array

    def __len__(self) -> int:
        return len(self.order)


def production(master: Master) -> tuple[Orders, Operations]:
    """Draw the orders and let each run through its operations."""
    plan = master.plan
    rng = stream(plan.seed, "production", plan.id_offset)
    calendar = work_days(plan, master.first_day)
    count = max(1, round(plan.production_orders_per_day * len(calendar)))
    site = rng.choice(3, count, p=(0.45, 0.35, 0.2))
    begins = np.sort(rng.choice(calendar, count)) * US_PER_DAY + rng.integers(0, 22 * 60, count) * US_PER_MIN
    planned_start = begins - SITE_OFFSET_H[site] * US_PER_HOUR
    item, qty = rng.choice(master.made, count), 5 * rng.integers(2, 40, count)
    started = planned_start + rng.integers(-30, 240, count) * US_PER_MIN
    cancelled = chance(rng, plan.p_cancelled, count)
    deleted = chance(rng, plan.p_deleted, count) & ~cancelled
    runs = np.flatnonzero(~cancelled & ~deleted)
    operations = _operations(rng, master, item, site, qty, planned_start, started, runs)
    completed, good, scrap = _totals(operations, count)
    ran = completed > 0
    moved = chance(rng, plan.p_moved, count) & ~ran
    lead = rng.integers(1, 5, count) * US_PER_DAY
    last_end = np.zeros(count, dtype=np.int64)
    np.maximum.at(last_end, operations.order, operations.planned_end)
    orders = Orders(
        item=item,
        site=site,
        qty=qty,
        planned_start=planned_start,
        due=np.maximum(last_end, planned_start + 8 * US_PER_HOUR) + rng.integers(-4, 30, count) * US_PER_HOUR,
        released=planned_start - lead // 4,
        started=np.where(ran, started, NEVER),
        completed=np.where(ran, completed, NEVER),
        cancelled=np.where(cancelled, planned_start - US_PER_HOUR, NEVER),
        deleted=np.where(deleted, planned_start - US_PER_HOUR, NEVER),
        moved=np.where(moved, planned_start - 2 * US_PER_HOUR, NEVER),
        moved_by=rng.choice([-9, -1, 1, 2, 9], count) * US_PER_DAY,
        good=good,
        scrap=scrap,
        has_unknown_item=chance(rng, plan.p_unknown_code, count),
    )
    return orders, operations


def _operations(
    rng: np.random.Generator,
    master: Master,
    item: Array,
    site: Array,
    qty: Array,
    planned_start: Array,
    started: Array,
    runs: Array,
) -> Operations:
    plan = master.plan
    steps = 1 + (item[runs] * 7) % plan.max_operations
    order = np.repeat(runs, steps)
    step = within(order)
    count = len(order)
    center = site[order] * plan.work_centers_per_site + (item[order] + step) % plan.work_centers_per_site
    rate = 60 + (item[order] * 13 + step * 29) % 200  # hundredths of a minute per piece
    scrap = np.where(chance(rng, 0.08, count), rng.integers(1, 4, count), 0)
    before = _before(order, scrap)
    entered = qty[order] - before
    scrap = np.minimum(scrap, np.maximum(entered, 0))
    entered = np.maximum(entered, 0)
    good = entered - scrap
    rework = np.where(chance(rng, 0.05, count), np.minimum(rng.integers(1, 4, count), good), 0)
    planned_min = 1500 + qty[order] * rate
    setup = rng.integers(500, 2500, count)
    run = entered * rate * rng.integers(85, 130, count) // 100
    labour = (setup + run) * rng.integers(60, 110, count) // 100
    length = (setup + run) * (US_PER_MIN // 100)
    wait = rng.integers(0, 90, count) * US_PER_MIN
    ended = started[order] + _before(order, length + wait) + length
    planned_length = planned_min * (US_PER_MIN // 100)
    planned_end = planned_start[order] + _before(order, planned_length) + planned_length
    per_hour = master.work_center_rate[center]
    return Operations(
        order=order,
        no=10 * (step + 1),
        work_center=center,
        started=_seconds(ended - length),
        ended=_seconds(ended),
        planned_start=_seconds(planned_end - planned_length),
        planned_end=_seconds(planned_end),
        setup=setup,
        run=run,
        labour=labour,
        good=good - rework,
        scrap=scrap,
        rework=rework,
        worker=rng.integers(1, 40, count) + 100 * (site[order] + 1),
        planned_cost=planned_min * per_hour // 60,
        actual_cost=(setup + run) * per_hour // 60,
    )


def _seconds(microseconds: Array) -> Array:
    return microseconds // 1_000_000 * 1_000_000


def _before(groups: Array, values: Array) -> Array:
    """Sum of the values of the rows before, inside each run of equal groups."""
    if not len(groups):
        return values
    total: Array = np.cumsum(values) - values
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    before: Array = total - np.repeat(total[starts], np.diff(np.r_[starts, len(groups)]))
    return before


def _totals(operations: Operations, count: int) -> tuple[Array, Array, Array]:
    """Of each order: end of its last operation (0 for none), good quantity of the last one, scrap of all."""
    ended, good, scrap = (np.zeros(count, dtype=np.int64) for _ in range(3))
    np.maximum.at(ended, operations.order, operations.ended)
    good[operations.order] = operations.good + operations.rework  # the last assignment is the last operation's
    np.add.at(scrap, operations.order, operations.scrap)
    return ended, good, scrap


def order_id(master: Master, order: Array) -> pl.Series:
    """Order numbers like PR00000012."""
    return codes("PR", order + master.plan.id_offset, 8)


def order_versions(master: Master, orders: Orders) -> pl.DataFrame:
    """Every version of every production order, with `_night` of its delivery."""
    plan = master.plan
    first = np.maximum(orders.planned_start - 3 * US_PER_DAY, master.first_day * US_PER_DAY)
    first = np.minimum(first, orders.planned_start - 3 * US_PER_HOUR)
    changes = (
        first,
        orders.released,
        orders.started,
        orders.completed,
        orders.cancelled,
        orders.deleted,
        orders.moved,
    )
    row = np.tile(np.arange(len(orders)), len(changes))
    at = np.concatenate(changes)
    end = master.end
    keep = (at < end) & (at >= first[row])
    if plan.only_newest_versions:
        newest = np.max(np.where(np.stack(changes) < end, np.stack(changes), 0), axis=0)
        keep &= at == newest[row]
    by_time = np.argsort(at[keep], kind="stable")
    row, at = row[keep][by_time], at[keep][by_time]
    rng = stream(plan.seed, "order versions", plan.id_offset)
    delay = np.where(chance(rng, plan.p_late, len(row)), rng.integers(1, 4, len(row)), 0)
    night = np.maximum(at // US_PER_DAY - master.first_day, 0) + delay
    if plan.only_newest_versions:
        night = np.full(len(row), plan.days - 1)
    frame = _order_states(master, orders, row, at).with_columns(pl.Series("_night", night))
    return frame.unique(["order_id", "updated_at"], keep="last", maintain_order=True).filter(
        pl.col("_night") < plan.days
    )


def _order_states(master: Master, orders: Orders, row: Array, at: Array) -> pl.DataFrame:
    is_started, is_completed = at >= orders.started[row], at >= orders.completed[row]
    is_cancelled, is_released = at >= orders.cancelled[row], at >= orders.released[row]
    shift = np.where(at >= orders.moved[row], orders.moved_by[row], 0)
    status = np.select([is_cancelled, is_completed, is_started, is_released], [4, 3, 2, 1], 0)
    scrapped = is_completed & (orders.scrap[row] > 0)
    unknown = pl.Series(orders.has_unknown_item[row])
    item = pick(master.items["_mes"], orders.item[row])
    return pl.DataFrame(
        {
            "order_id": order_id(master, row),
            "item_id": pl.select(pl.when(unknown).then(pl.lit("M-99999")).otherwise(item)).to_series(),
            "site_id": pick(list(MES_SITES), orders.site[row]),
            "planned_qty": decimal(orders.qty[row], 0),
            "uom": pick([MES_UNIT], np.zeros(len(row))),
            "planned_start": instants(orders.planned_start[row] + shift),
            "due_at": instants(orders.due[row] + shift),
            "actual_start": null_where(instants(np.where(is_started, orders.started[row], 0)), ~is_started),
            "actual_end": null_where(instants(np.where(is_completed, orders.completed[row], 0)), ~is_completed),
            "good_qty": null_where(decimal(orders.good[row], 0), ~is_completed),
            "scrap_qty": null_where(decimal(orders.scrap[row], 0), ~is_completed),
            "status": pick(["planned", "released", "started", "completed", "cancelled"], status),
            "scrap_reason": null_where(pick(list(SCRAP_REASONS), (row * 7 + orders.scrap[row]) % 5), ~scrapped),
            "updated_at": instants(at),
            "is_deleted": pl.Series(at >= orders.deleted[row]),
        }
    )


def confirmations(master: Master, orders: Orders, operations: Operations) -> pl.DataFrame:
    """Confirmations that ended before the simulation did, with `_night` of their delivery."""
    plan = master.plan
    rng = stream(plan.seed, "confirmations", plan.id_offset)
    late = np.where(chance(rng, plan.p_late, len(operations)), rng.integers(1, 3, len(operations)), 0)
    night = np.maximum(operations.ended // US_PER_DAY - master.first_day, 0) + late
    if plan.only_newest_versions:
        night = np.full(len(operations), plan.days - 1)
    row = np.flatnonzero(night < plan.days)
    row = row[np.argsort(operations.ended[row], kind="stable")]
    site = orders.site[operations.order[row]]
    scrapped = (operations.scrap[row] > 0) | (operations.rework[row] > 0)
    shifts = ("N", "E", "L")
    local_hour = (operations.ended[row] // US_PER_HOUR + SITE_OFFSET_H[site]) % 24
    return pl.DataFrame(
        {
            "confirmation_id": codes("C", row + 10 * plan.id_offset, 10),
            "order_id": order_id(master, operations.order[row]),
            "operation_no": codes("", operations.no[row], 4),
            "work_center_id": pick(master.work_centers["work_center_id"], operations.work_center[row]),
            "shift_id": pick(list(shifts), np.select([local_hour < edge for edge in (6, 14, 22)], [0, 1, 2], 0)),
            "started_at": instants(operations.started[row]),
            "ended_at": instants(operations.ended[row]),
            "planned_start": instants(operations.planned_start[row]),
            "planned_end": instants(operations.planned_end[row]),
            "setup_min": decimal(operations.setup[row], 2),
            "run_min": decimal(operations.run[row], 2),
            "labour_min": decimal(operations.labour[row], 2),
            "good_qty": decimal(operations.good[row], 0),
            "scrap_qty": decimal(operations.scrap[row], 0),
            "rework_qty": decimal(operations.rework[row], 0),
            "uom": pick([MES_UNIT], np.zeros(len(row))),
            "worker_id": codes("EMP", operations.worker[row], 5),
            "reason_code": null_where(pick(list(SCRAP_REASONS), row % 5), ~scrapped),
            "planned_cost": decimal(operations.planned_cost[row], 2),
            "actual_cost": decimal(operations.actual_cost[row], 2),
            "currency": pick(CURRENCIES.tolist(), site),
            "_night": night[row],
        }
    )
