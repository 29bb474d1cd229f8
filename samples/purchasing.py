"""Purchase orders and what comes in on them: lines with their versions, receipts with theirs.

A line's state is a function of time: promised when the supplier confirms, committed again when it re-promises, closed
when all is in, cancelled, deleted, moved to another order day. Each change is a version with its own updated_at.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from samples.master import CURRENCIES, MONEY_PLACES, PER_EUR, SITE_OFFSET_H, SITES, Master
from samples.plan import Plan
from samples.tools import (
    NEVER,
    PRICE,
    US_PER_DAY,
    US_PER_HOUR,
    US_PER_MIN,
    US_PER_SECOND,
    Array,
    chance,
    codes,
    days,
    decimal,
    instants,
    null_where,
    pick,
    stream,
    within,
)

QTY_PLACES = {"ST": 0, "KG": 3, "M": 2, "L": 1}


@dataclass(frozen=True, slots=True)
class Lines:
    """Purchase order lines: what they are and when their state changes (microseconds since the epoch)."""

    order: Array
    line_no: Array
    item: Array
    site: Array
    supplier: Array
    currency: Array
    qty: Array  # in units of 0.0001
    price: Array  # in units of 0.0001
    ordered: Array
    confirmed: Array
    promised_day: Array
    repromised: Array
    committed_day: Array
    cancelled: Array
    deleted: Array
    restored: Array
    moved: Array
    moved_by: Array
    due_in: Array  # the day the goods really come
    closed: Array
    is_quotation: Array
    has_unknown_supplier: Array

    def __len__(self) -> int:
        return len(self.order)


def work_days(plan: Plan, first_day: int) -> Array:
    """Days since the epoch on which documents are made."""
    every = np.arange(plan.days) + first_day
    if plan.works_weekends:
        return every
    working = every[(every + 3) % 7 < 5]  # 1970-01-01 was a Thursday
    return working if len(working) else every


def _work_day(plan: Plan, day: Array) -> Array:
    """The day, or the Monday after it where nobody works at weekends."""
    weekday = (day + 3) % 7
    return day if plan.works_weekends else day + np.where(weekday >= 5, 7 - weekday, 0)


def order_lines(master: Master) -> Lines:
    """Draw the lines of all orders and everything that will happen to them."""
    plan = master.plan
    rng = stream(plan.seed, "purchasing", plan.id_offset)
    calendar = work_days(plan, master.first_day)
    orders = max(1, round(plan.purchase_orders_per_day * len(calendar)))
    order_day = np.sort(rng.choice(calendar, orders))
    order_site = rng.choice(3, orders, p=(0.45, 0.35, 0.2))
    order_supplier = rng.integers(0, plan.suppliers, orders)
    order_quotation = chance(rng, plan.p_quotation, orders)
    order = np.repeat(np.arange(orders), rng.integers(1, plan.max_lines_per_order + 1, orders))
    count = len(order)
    site, day = order_site[order], order_day[order]
    item = rng.choice(master.raw, count)
    currency = master.supplier_currency[order_supplier[order]]
    ordered = day * US_PER_DAY + rng.integers(7 * 60, 16 * 60, count) * US_PER_MIN
    low, high = plan.lead_time_days
    promised_day = _work_day(plan, day + rng.integers(low, high + 1, count))
    repromised = chance(rng, 0.1, count)
    committed_day = _work_day(plan, promised_day + repromised * rng.integers(1, 15, count))
    late = rng.choice([-5, -3, -2, -1, -1, 0, 0, 0, 0, 0, 0, 1, 2, 4, 9], count)
    due_in = np.maximum(committed_day + np.where(high > 2, late, late.clip(0, 1)), day)
    hours = rng.integers(2, 60, (6, count)) * US_PER_HOUR // (1 if high > 2 else 3)
    cancelled = chance(rng, plan.p_cancelled, count)
    deleted = chance(rng, plan.p_deleted, count) & ~cancelled
    restored = deleted & chance(rng, 0.4, count)
    moved = chance(rng, plan.p_moved, count)
    delete_at = np.where(deleted, ordered + hours[2] + 7 * US_PER_SECOND, NEVER)
    return Lines(
        order=order,
        line_no=10 * (within(order) + 1),
        item=item,
        site=site,
        supplier=order_supplier[order],
        currency=currency,
        qty=_quantities(rng, master, item),
        price=_prices(rng, master, item, currency),
        ordered=ordered,
        confirmed=np.where(high > 0, ordered + hours[0] + 11 * US_PER_SECOND, ordered),
        promised_day=promised_day,
        repromised=np.where(repromised, ordered + hours[0] + hours[1] + 13 * US_PER_SECOND, NEVER),
        committed_day=committed_day,
        cancelled=np.where(cancelled, ordered + hours[2] + 17 * US_PER_SECOND, NEVER),
        deleted=delete_at,
        restored=np.where(restored, delete_at + hours[3] + 19 * US_PER_SECOND, NEVER),
        moved=np.where(moved, ordered + hours[4] + 23 * US_PER_SECOND, NEVER),
        moved_by=rng.choice([-20, -9, -2, -1, 1, 2, 9, 20], count),
        due_in=np.where(cancelled | (deleted & ~restored) | order_quotation[order], NEVER // US_PER_DAY, due_in),
        closed=np.full(count, NEVER),
        is_quotation=order_quotation[order],
        has_unknown_supplier=chance(rng, plan.p_unknown_code, orders)[order],
    )


def _quantities(rng: np.random.Generator, master: Master, item: Array) -> Array:
    units = master.items["base_uom"].to_list()
    step = np.array([10 ** (4 - QTY_PLACES[unit]) for unit in units])
    size = np.array([5 if unit == "ST" else 25 * 10 ** QTY_PLACES[unit] // 10 for unit in units])
    drawn: Array = size[item] * step[item] * rng.integers(1, 40, len(item))
    return drawn


def _prices(rng: np.random.Generator, master: Master, item: Array, currency: Array) -> Array:
    """Within a tenth of the standard cost, in the supplier's currency, with as many decimals as it has (or four)."""
    exact = master.cost_cents[item] / 100 * PER_EUR[currency] * rng.uniform(0.9, 1.1, len(item))
    places = np.where(chance(rng, 0.1, len(item)), 4, MONEY_PLACES[currency])
    rounded: Array = np.maximum(np.round(exact * 10.0**places), 1).astype(np.int64) * 10 ** (4 - places)
    return rounded


def po_id(plan: Plan, order: Array) -> pl.Series:
    """Order numbers like 4500000012."""
    return codes("45", order + plan.id_offset, 8)


def line_versions(master: Master, lines: Lines) -> pl.DataFrame:
    """Every version of every line: the canonical columns, `_night` of its delivery, `_is_quotation`, `_line`."""
    plan = master.plan
    changes = (
        lines.ordered,
        lines.confirmed,
        lines.repromised,
        lines.cancelled,
        lines.deleted,
        lines.restored,
        lines.moved,
        lines.closed,
    )
    line = np.tile(np.arange(len(lines)), len(changes))
    at = np.concatenate(changes)
    end = master.end
    keep = at < end
    if plan.only_newest_versions:
        newest = np.max(np.where(np.stack(changes) < end, np.stack(changes), 0), axis=0)
        keep &= at == newest[line]
    by_time = np.argsort(at[keep], kind="stable")
    line, at = line[keep][by_time], at[keep][by_time]
    rng = stream(plan.seed, "line versions", plan.id_offset)
    delay = np.where(chance(rng, plan.p_late, len(line)), rng.integers(1, 4, len(line)), 0)
    night = at // US_PER_DAY - master.first_day + delay
    frame = _line_states(master, lines, line, at).with_columns(
        pl.Series("_night", night), pl.Series("_line", line), pl.Series("_is_quotation", lines.is_quotation[line])
    )
    if plan.only_newest_versions:
        frame = frame.with_columns(_night=pl.lit(plan.days - 1, pl.Int64))
    # A confirmation in the minute of the order is the same version: the later change of a moment stands.
    return frame.unique(["po_id", "line_no", "updated_at"], keep="last", maintain_order=True).filter(
        pl.col("_night") < plan.days
    )


def _line_states(master: Master, lines: Lines, line: Array, at: Array) -> pl.DataFrame:
    is_confirmed = at >= lines.confirmed[line]
    is_repromised = at >= lines.repromised[line]
    is_cancelled = at >= lines.cancelled[line]
    committed = np.where(is_repromised, lines.committed_day[line], lines.promised_day[line])
    ordered_day = lines.ordered[line] // US_PER_DAY + np.where(at >= lines.moved[line], lines.moved_by[line], 0)
    supplier = pick(master.suppliers["supplier_id"], lines.supplier[line])
    unknown = pl.Series(lines.has_unknown_supplier[line])
    low, high = master.plan.lead_time_days
    return pl.DataFrame(
        {
            "po_id": po_id(master.plan, lines.order[line]),
            "line_no": pl.Series(lines.line_no[line]).cast(pl.String),
            "supplier_id": pl.select(pl.when(unknown).then(pl.lit("799")).otherwise(supplier)).to_series(),
            "item_id": pick(master.items["item_id"], lines.item[line]),
            "site_id": pick(SITES["site_id"], lines.site[line]),
            "ordered_on": days(ordered_day),
            "requested_on": days(lines.ordered[line] // US_PER_DAY + (low + high) // 2),
            "promised_on": null_where(days(lines.promised_day[line]), ~is_confirmed),
            "committed_on": null_where(days(committed), ~is_confirmed),
            "ordered_qty": decimal(lines.qty[line], 4),
            "uom": pick(master.items["base_uom"], lines.item[line]),
            "unit_price": decimal(lines.price[line], 4, PRICE),
            "currency": pick(CURRENCIES.tolist(), lines.currency[line]),
            "status": pick(
                ["open", "closed", "cancelled"], np.where(is_cancelled, 2, np.where(at >= lines.closed[line], 1, 0))
            ),
            "updated_at": instants(at),
            "is_deleted": pl.Series((at >= lines.deleted[line]) & (at < lines.restored[line])),
        }
    )


@dataclass(frozen=True, slots=True)
class Receipts:
    """Receipt lines: which order line they came on, when, how much, and what becomes of them."""

    number: Array
    line: Array
    at: Array
    qty: Array  # in units of 0.0001; negative takes back
    rejected: Array
    inspected: Array
    rebooked: Array
    rebooked_to: Array
    reversal_of: Array  # position of the receipt, -1 for none
    has_unknown_order: Array

    def __len__(self) -> int:
        return len(self.number)


def receipts(master: Master, lines: Lines) -> tuple[Receipts, Lines]:
    """Receipts of the lines in one to three parts, and the lines with the moment at which they were closed."""
    plan = master.plan
    rng = stream(plan.seed, "receipts", plan.id_offset)
    due = np.flatnonzero(lines.due_in < NEVER // US_PER_DAY)
    parts = rng.choice([1, 2, 3], len(due), p=(0.75, 0.2, 0.05))
    if plan.only_newest_versions:
        parts[:] = 1
    line = np.repeat(due, parts)
    part = within(line)
    gap = 1 if plan.lead_time_days[1] <= 2 else 4
    day = lines.due_in[line] + part * rng.integers(0, gap + 1, len(line))
    day = _work_day(plan, day)
    minute = rng.integers(6 * 60, 18 * 60, len(line)) - SITE_OFFSET_H[lines.site[line]] * 60
    at = day * US_PER_DAY + minute * US_PER_MIN
    # Never before the order was placed: the morning's deliveries of an order of the same day come an hour after it.
    at = np.maximum(at, lines.ordered[line] + (1 + part) * US_PER_HOUR)
    step = np.array([10 ** (4 - QTY_PLACES[unit]) for unit in master.items["base_uom"].to_list()])[lines.item[line]]
    total = lines.qty[line] * rng.choice([100, 100, 100, 100, 95, 102], len(due))[np.searchsorted(due, line)] // 100
    share = total // np.repeat(parts, parts) // step * step
    rest = total // step * step - share * (np.repeat(parts, parts) - 1)
    qty = np.where(part == np.repeat(parts, parts) - 1, rest, share)
    rejected = np.where(chance(rng, 0.05, len(line)), qty * rng.integers(1, 30, len(line)) // 100 // step * step, 0)
    last = np.zeros(len(lines), dtype=np.int64)
    np.maximum.at(last, line, at)
    closed = np.where((last > 0) & chance(rng, 0.93, len(lines)), last + 5 * US_PER_HOUR + 29 * US_PER_SECOND, NEVER)
    made = _with_reversals(rng, plan, line, at, qty, rejected, _like_lines(rng, master, lines))
    return made, Lines(**{name: getattr(lines, name) for name in Lines.__slots__} | {"closed": closed})


def _like_lines(rng: np.random.Generator, master: Master, lines: Lines) -> Array:
    """For each line another one nearby whose item is counted in the same unit: what a receipt may be re-booked to."""
    unit = master.items["base_uom"].rank("dense").to_numpy()[lines.item]
    order = np.argsort(unit, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    start = np.searchsorted(unit[order], unit)
    size = np.searchsorted(unit[order], unit, side="right") - start
    return order[start + (place - start + rng.integers(1, 60, len(order))) % size]


def _with_reversals(
    rng: np.random.Generator, plan: Plan, line: Array, at: Array, qty: Array, rejected: Array, like: Array
) -> Receipts:
    reversed_ = np.flatnonzero(chance(rng, plan.p_reversed, len(line)))
    count = len(line) + len(reversed_)
    all_lines = np.r_[line, line[reversed_]]
    all_at = np.r_[at, at[reversed_] + rng.integers(1, 40, len(reversed_)) * US_PER_HOUR]
    rebooked = chance(rng, plan.p_rebooked, count)
    waits = chance(rng, 0.3, count)
    unknown = chance(rng, plan.p_unknown_code, count)
    return Receipts(
        number=np.arange(count),
        line=all_lines,
        at=all_at,
        qty=np.r_[qty, -qty[reversed_]],
        rejected=np.r_[rejected, -rejected[reversed_]],
        inspected=np.where(waits, all_at + rng.integers(3, 50, count) * US_PER_HOUR + 31 * US_PER_SECOND, all_at),
        rebooked=np.where(rebooked, all_at + rng.integers(2, 70, count) * US_PER_HOUR + 37 * US_PER_SECOND, NEVER),
        rebooked_to=like[all_lines],
        reversal_of=np.r_[np.full(len(line), -1), reversed_],
        has_unknown_order=unknown,
    )


def receipt_versions(master: Master, lines: Lines, made: Receipts) -> pl.DataFrame:
    """Every version of every receipt line, with `_night` and `_line` (the order line it is booked to)."""
    plan = master.plan
    changes = (made.at, made.inspected, made.rebooked)
    row = np.tile(np.arange(len(made)), len(changes))
    at = np.concatenate(changes)
    end = master.end
    keep = (at < end) & (made.at[row] < end)
    if plan.only_newest_versions:
        newest = np.max(np.where(np.stack(changes) < end, np.stack(changes), 0), axis=0)
        keep &= at == newest[row]
    by_time = np.argsort(at[keep], kind="stable")
    row, at = row[keep][by_time], at[keep][by_time]
    rng = stream(plan.seed, "receipt versions", plan.id_offset)
    delay = np.where(chance(rng, plan.p_late, len(row)), rng.integers(1, 4, len(row)), 0)
    night = np.maximum(at // US_PER_DAY - master.first_day, 0) + delay
    frame = _receipt_states(master, lines, made, row, at).with_columns(pl.Series("_night", night))
    if plan.only_newest_versions:
        frame = frame.with_columns(_night=pl.lit(plan.days - 1, pl.Int64))
    return frame.unique(["receipt_id", "updated_at"], keep="last", maintain_order=True).filter(
        pl.col("_night") < plan.days
    )


def _receipt_states(master: Master, lines: Lines, made: Receipts, row: Array, at: Array) -> pl.DataFrame:
    plan = master.plan
    line = np.where(at >= made.rebooked[row], made.rebooked_to[row], made.line[row])
    # A receipt booked to another order is counted in its own item's unit still.
    item = lines.item[made.line[row]]
    waits = at < made.inspected[row]
    order = po_id(plan, lines.order[line])
    unknown = pl.Series(made.has_unknown_order[row])
    per_base = master.items["_wms_per_base"].to_numpy()[item]
    return pl.DataFrame(
        {
            "receipt_id": codes("GR", made.number[row] + plan.id_offset, 9),
            "line_no": pick(["1"], np.zeros(len(row))),
            "po_id": pl.select(pl.when(unknown).then(pl.lit("4799999999")).otherwise(order)).to_series(),
            "po_line_no": pl.Series(lines.line_no[line]).cast(pl.String),
            "received_at": instants(made.at[row]),
            "received_qty": decimal(made.qty[row] * per_base, 4),
            "accepted_qty": null_where(decimal((made.qty[row] - made.rejected[row]) * per_base, 4), waits),
            "rejected_qty": null_where(decimal(made.rejected[row] * per_base, 4), waits),
            "uom": pick(master.items["_wms_uom"], item),
            "lot": null_where(codes("L", made.number[row] * 13 + 5, 8), made.number[row] % 3 != 0),
            "reversal_of": null_where(
                codes("GR", made.reversal_of[row] + plan.id_offset, 9), made.reversal_of[row] < 0
            ),
            "updated_at": instants(at),
            "is_deleted": pl.Series(np.zeros(len(row), dtype=bool)),
            "_line": line,
        }
    )
