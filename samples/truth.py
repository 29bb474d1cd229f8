"""What deliveries must come to: the rules of acceptance and the facts' measures, written down a second time.

Nothing here is shared with the mart's own code. Current rows follow from the set of deliveries alone, so the truth of
any subset, landed in any order, is known.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

from samples.dirt import READABLE
from samples.faults import Fault
from samples.systems import mode

if TYPE_CHECKING:
    from samples.company import Delivery

KEYS = {
    "site": ("site_id",),
    "work_center": ("work_center_id",),
    "item": ("item_id",),
    "item_cost": ("item_id", "site_id", "valid_from"),
    "supplier": ("supplier_id",),
    "account": ("account_id",),
    "cost_center": ("cost_center_id",),
    "fiscal_period": ("calendar_id", "period_id"),
    "fx_rate": ("rate_date", "from_currency", "to_currency", "rate_type"),
    "code_map": ("entity", "code_space", "code"),
    "purchase_order_line": ("po_id", "line_no"),
    "goods_receipt": ("receipt_id", "line_no"),
    "stock_snapshot": ("snapshot_date", "site_id", "item_id", "location", "lot"),
    "production_order": ("order_id",),
    "operation_confirmation": ("confirmation_id",),
    "gl_entry": ("journal_id", "line_no"),
    "budget_line": ("version", "scenario", "account_id", "cost_center_id", "period_start"),
}
DATED_BY = {"gl_entry": "posted_on", "stock_snapshot": "snapshot_date"}
PERIODS = {"gl_entry": "%Y-%m", "stock_snapshot": "%Y-%m-%d"}


def _with_order(delivery: "Delivery") -> pl.DataFrame:
    return (
        delivery.rows()
        .filter(~pl.col("_is_duplicate") & ~pl.col("_is_excluded"))
        .with_columns(
            _as_of=pl.lit(delivery.night), _revision=pl.lit(delivery.revision), _period=pl.lit(delivery.period)
        )
    )


def current_rows(deliveries: Iterable["Delivery"]) -> dict[str, pl.DataFrame]:
    """Current rows of each `source.dataset` after a set of deliveries; datasets never delivered are left out."""
    by_name: dict[str, list[pl.DataFrame]] = {}
    for delivery in _slots(deliveries)[0]:
        by_name.setdefault(delivery.name, []).append(_with_order(delivery))
    resolve = {"delta": _of_deltas, "append": _of_appends, "snapshot": _of_complete, "period": _of_complete}
    return {
        name: resolve[mode(name)](pl.concat(frames), name.partition(".")[2]).select(pl.exclude("^_.*$"))
        for name, frames in by_name.items()
    }


def _is_readable() -> pl.Expr:
    return pl.col("_fault") == READABLE


def _of_deltas(rows: pl.DataFrame, dataset: str) -> pl.DataFrame:
    """The newest readable version of each key, unless it says that the row is gone."""
    order = ["updated_at"] if "updated_at" in rows.columns else []
    newest = (
        rows.filter(_is_readable())
        .sort(*order, "_as_of", "_revision")
        .unique(KEYS[dataset], keep="last", maintain_order=True)
    )
    return newest.filter(~pl.col("is_deleted")) if "is_deleted" in rows.columns else newest


def _of_appends(rows: pl.DataFrame, dataset: str) -> pl.DataFrame:
    """The readable rows of each slot's newest revision."""
    newest = rows.filter(pl.col("_revision") == pl.col("_revision").max().over("_as_of"))
    return newest.filter(_is_readable()).sort("_as_of").unique(KEYS[dataset], keep="last", maintain_order=True)


def _of_complete(rows: pl.DataFrame, dataset: str) -> pl.DataFrame:
    """The newest readable version of each key that every later complete delivery of its period still lists."""
    key = KEYS[dataset]
    rows = rows.with_columns(_order=pl.col("_as_of") * 1000 + pl.col("_revision"))
    seen = rows.group_by(key).agg(_last_seen=pl.col("_order").max())
    newest = rows.filter(_is_readable()).sort("_order").unique(key, keep="last", maintain_order=True)
    claims = rows.group_by("_period").agg(_claimed=pl.col("_order").max())
    if dataset in DATED_BY:
        day = pl.col(DATED_BY[dataset])
        newest = newest.with_columns(_period=day.dt.strftime(PERIODS[dataset]))
    return (
        newest.join(seen, on=key, how="left", nulls_equal=True)
        .join(claims, on="_period", how="left")
        .filter(pl.col("_claimed").is_null() | (pl.col("_last_seen") >= pl.col("_claimed")))
    )


def _content(delivery: "Delivery", twice: set[tuple[str, int]]) -> pl.DataFrame:
    """The delivery's rows; those of a file that came twice under two names, which are one delivery, twice."""
    rows = delivery.rows()
    return pl.concat([rows, rows]) if (delivery.name, delivery.night) in twice and not delivery.revision else rows


def _slots(deliveries: Iterable["Delivery"]) -> tuple[list["Delivery"], set[tuple[str, int]]]:
    """One delivery for each slot and revision, and the (name, night) of those whose file came twice."""
    found: dict[tuple[str, int, str, int], Delivery] = {}
    twice = set()
    for one in deliveries:
        key = (one.name, one.night, one.period, one.revision)
        if key in found:
            twice.add((one.name, one.night))
        found.setdefault(key, one)
    return list(found.values()), twice


def _slot_columns(delivery: "Delivery") -> dict[str, object]:
    return {
        "source": delivery.source,
        "dataset": delivery.dataset,
        "as_of": delivery.as_of,
        "period": delivery.period,
        "revision": delivery.revision,
    }


def quarantine(deliveries: Iterable["Delivery"], faults: dict[str, tuple[Fault, ...]]) -> pl.DataFrame:
    """Rows that must be held back, by delivery and row (from 1), once for each rule they break."""
    frames = []
    slots, twice = _slots(delivery for delivery in deliveries if not delivery.damage)
    for delivery in slots:
        bad = _content(delivery, twice).with_row_index("row", offset=1).filter(~_is_readable())
        if len(bad):
            kinds = pl.DataFrame(
                [
                    (number, fault.kind, rule, fault.cell)
                    for number, fault in enumerate(faults[delivery.name])
                    for rule in fault.rules
                ],
                schema={"_fault": pl.Int32, "kind": pl.String, "rule": pl.String, "cell": pl.String},
                orient="row",
            )
            frames.append(
                bad.join(kinds, on="_fault", maintain_order="left").select(
                    *(pl.lit(value).alias(name) for name, value in _slot_columns(delivery).items()),
                    pl.lit(delivery.files()[0]).alias("file"),
                    pl.col("row").cast(pl.Int64),
                    "kind",
                    "rule",
                    "cell",
                )
            )
    return pl.concat(frames) if frames else pl.DataFrame()


def refused(deliveries: Iterable["Delivery"]) -> pl.DataFrame:
    """Deliveries whose file is damaged, with the kind of damage."""
    schema = {"source": pl.String, "dataset": pl.String, "as_of": pl.Date, "period": pl.String, "revision": pl.Int32}
    rows = [
        _slot_columns(delivery) | {"file": delivery.files()[0], "kind": delivery.damage}
        for delivery in _slots(deliveries)[0]
        if delivery.damage
    ]
    return pl.DataFrame(rows, schema=schema | {"file": pl.String, "kind": pl.String})


def balance(deliveries: Iterable["Delivery"]) -> pl.DataFrame:
    """What each delivery's rows must be counted as."""
    rows = []
    slots, twice = _slots(delivery for delivery in deliveries if not delivery.damage)
    for delivery in slots:
        content = _content(delivery, twice)
        bad = int((content["_fault"] != READABLE).sum())
        duplicate, excluded = (int(content[mark].sum()) for mark in ("_is_duplicate", "_is_excluded"))
        if (delivery.name, delivery.night) in twice and not delivery.revision:
            # The second file repeats every row of the first that is counted as accepted.
            duplicate += (len(content) - bad - duplicate - excluded) // 2
        rows.append(
            _slot_columns(delivery)
            | {
                "rows_in": len(content),
                "rows_accepted": len(content) - bad - duplicate - excluded,
                "rows_quarantined": bad,
                "rows_duplicate": duplicate,
                "rows_excluded": excluded,
            }
        )
    return pl.DataFrame(rows)
