"""Stock at the end of every day: what was there before, what came in, what went out."""

import numpy as np
import polars as pl

from samples.master import WMS_SITES, Master
from samples.production import Orders
from samples.purchasing import QTY_PLACES, Lines, Receipts
from samples.tools import PRICE, US_PER_DAY, Array, chance, days, decimal, null_where, pick, stream


def stock_days(master: Master, lines: Lines, made: Receipts, orders: Orders) -> pl.DataFrame:
    """Balances of every site and item on every day, with `_night` (the day's own). In the warehouse system's units."""
    plan = master.plan
    count = len(master.items)
    moves = np.zeros((3 * count, plan.days), dtype=np.int64)
    _add(master, moves, lines.site[made.line] * count + lines.item[made.line], made.at, made.qty - made.rejected)
    _add(master, moves, orders.site * count + orders.item, orders.completed, orders.good * 10_000)
    rng = stream(plan.seed, "stock", plan.id_offset)
    step = np.tile([10 ** (4 - QTY_PLACES[unit]) for unit in master.items["base_uom"].to_list()], 3)[:, None]
    daily = np.maximum(moves.mean(axis=1, keepdims=True), 0)
    out = (daily * rng.uniform(0.4, 1.6, moves.shape)).astype(np.int64) // step * step
    course = np.cumsum(moves - out, axis=1)
    # Most positions open with more than they will ever need; a few run below zero, as book stock does.
    low = np.minimum(course.min(axis=1, keepdims=True), 0)
    opening = (-low * rng.uniform(0.95, 1.6, low.shape)).astype(np.int64) // step * step + 20 * step
    balance = opening + course
    return _frame(master, balance, out)


def _add(master: Master, moves: Array, position: Array, at: Array, qty: Array) -> None:
    day = at // US_PER_DAY - master.first_day
    inside = (day >= 0) & (day < master.plan.days)
    np.add.at(moves, (position[inside], day[inside]), qty[inside])


def _frame(master: Master, balance: Array, out: Array) -> pl.DataFrame:
    plan, count = master.plan, len(master.items)
    night = np.repeat(np.arange(plan.days), len(balance))
    position = np.tile(np.arange(len(balance)), plan.days)
    site, item = position // count, position % count
    is_made = item >= plan.raw_items
    rng = stream(plan.seed, "reserved", plan.id_offset)
    reserved = np.where(chance(rng, 0.3, len(night)), out.T.ravel(), 0)
    per_base = master.items["_wms_per_base"].to_numpy()[item]
    return pl.DataFrame(
        {
            "snapshot_date": days(night + master.first_day),
            "site_id": pick(list(WMS_SITES), site),
            "item_id": pick(master.items["_wms"], item),
            "location": pick(["MAIN", "FG"], is_made.astype(int)),
            "lot": pick([""], np.zeros(len(night))),
            "on_hand_qty": decimal(balance.T.ravel() * per_base, 4),
            "reserved_qty": decimal(reserved * per_base, 4),
            "uom": pick(master.items["_wms_uom"], item),
            "unit_cost": null_where(decimal(master.cost_cents[item], 2, PRICE), ~is_made),
            "currency": null_where(pick(["EUR"], np.zeros(len(night))), ~is_made),
            "_night": night,
        }
    )
