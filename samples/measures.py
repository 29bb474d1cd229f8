"""What each fact must come to, from current rows in canonical terms: written from the contracts, not from transforms.

Frames have the natural key and the main measures under the fact's own column names. Ids stand as delivered, except in
fct_budget_actual, whose accounts and cost centres are the ledger's.
"""

from decimal import Decimal

import polars as pl

from samples.lookups import AMOUNT, RATE, WAREHOUSE_ZONE, Lookups, Rows, local_day, product


def facts(current: Rows, *, reporting_currency: str) -> Rows:
    """Every fact that the current rows have inputs for, by name."""
    world = World(current, reporting_currency)
    made = {
        "fct_purchase_order_line": (world.purchase_order_lines, "purchase_order_line"),
        "fct_goods_receipt": (world.goods_receipts, "goods_receipt"),
        "fct_inventory_daily": (world.balances, "stock_snapshot"),
        "fct_production_order": (world.production_orders, "production_order"),
        "fct_operation": (world.operations, "operation_confirmation"),
        "fct_gl_entry": (world.journal, "gl_entry"),
        "fct_budget": (world.budget, "budget_line"),
        "fct_budget_actual": (world.budget_actual, "gl_entry"),
    }
    return {name: make() for name, (make, dataset) in made.items() if world.has(dataset)}


class World(Lookups):
    """Current rows as facts."""

    # -- supplier ------------------------------------------------------------------------------------------------

    def _lines(self) -> pl.DataFrame:
        return self.with_base(self.rows["purchase_order_line"], "item_id").with_columns(
            (pl.col("ordered_qty") * pl.col("_factor")).cast(AMOUNT).alias("_ordered_base")
        )

    def _receipts(self) -> pl.DataFrame:
        """Receipt lines with their order line's attributes, quantities in base units and the day at the site."""
        names = ("supplier_id", "item_id", "site_id", "currency", "unit_price", "promised_on")
        text = pl.String()
        lines = self.rows["purchase_order_line"] if self.has("purchase_order_line") else None
        types = {"unit_price": RATE, "promised_on": pl.Date()}
        schema = dict.fromkeys(("po_id", "line_no", "uom", *names), text) | types
        orders = (lines if lines is not None else pl.DataFrame(schema=schema)).select(
            "po_id", *names, po_line_no="line_no", _order_uom="uom", is_orphan=pl.lit(value=False)
        )
        rows = self.get("goods_receipt", {}).join(orders, on=["po_id", "po_line_no"], how="left")
        # An item nobody has described is counted in its order's unit.
        rows = self.with_base(rows, "item_id", "_order_uom").with_columns(
            pl.col("is_orphan").fill_null(value=True),
            received_on=local_day("received_at", self.zones(), "site_id", WAREHOUSE_ZONE),
            rejected_qty=pl.col("rejected_qty").fill_null(0),
        )
        quantities = {
            "received_qty": pl.col("received_qty"),
            "accepted_qty": pl.col("received_qty") - pl.col("rejected_qty"),
            "rejected_qty": pl.col("rejected_qty"),
        }
        return rows.with_columns(
            (expr * pl.col("_factor")).cast(AMOUNT).alias(name) for name, expr in quantities.items()
        )

    def purchase_order_lines(self) -> pl.DataFrame:
        """fct_purchase_order_line."""
        lines = self._lines()
        lines = lines.join(self._received(lines), on=["po_id", "line_no"], how="left")
        lines = lines.with_columns(
            pl.col("received_qty", "accepted_qty", "rejected_qty").fill_null(0),
            ordered_qty="_ordered_base",
            ordered_amount=product("ordered_qty", "unit_price"),
        ).with_columns(received_amount=product("received_qty", "unit_price"))
        lines = self.in_reporting(lines, "ordered_on", "ordered_amount", "received_amount")
        lines = self._functional(lines, "ordered_on", "ordered_amount")
        is_open_to_judgement = pl.col("status") != "cancelled"
        received, ordered = pl.col("received_qty"), pl.col("ordered_qty")
        in_full = is_open_to_judgement & (received > 0) & (received >= ordered)
        counts = {"in_full_count": in_full}
        for kind in ("requested", "promised", "committed"):
            day, by_then = pl.col(f"{kind}_on"), pl.col(f"_by_{kind}").fill_null(0)
            came_after = (pl.col("last_received_on") > day).fill_null(value=False)
            is_decided = in_full | (pl.col("status") == "closed") | came_after
            due = is_open_to_judgement & day.is_not_null() & is_decided
            came = due & (received > 0)
            counts[f"due_{kind}_count"] = due
            counts[f"on_time_{kind}_count"] = came & (by_then >= pl.min_horizontal(received, ordered))
            counts[f"otif_{kind}_count"] = came & (by_then >= ordered)
        last = pl.col("last_received_on")
        return lines.select(
            *("po_id", "line_no", "ordered_on", "requested_on", "promised_on", "committed_on"),
            *("first_received_on", "last_received_on"),
            *("supplier_id", "item_id", "site_id", "status", "base_uom", "currency", "unit_price"),
            *("ordered_qty", "received_qty", "accepted_qty", "rejected_qty", "ordered_amount", "received_amount"),
            *("ordered_amount_reporting", "received_amount_reporting", "ordered_amount_functional"),
            *(value.cast(pl.Int32).alias(name) for name, value in counts.items()),
            due_on=pl.coalesce("committed_on", "promised_on", "requested_on"),
            is_cancelled=pl.col("status") == "cancelled",
            line_count=pl.lit(1, pl.Int32),
            lead_time_days=(last - pl.col("ordered_on")).dt.total_days().cast(pl.Int32),
            days_late=(last - pl.col("promised_on")).dt.total_days().cast(pl.Int32),
        )

    def _received(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Per order line what came; a reversal undoes its receipt on that receipt's day if both are on the line."""
        key = ["po_id", "line_no"]
        schema = {"po_id": pl.String(), "line_no": pl.String()}
        quantities = ("received_qty", "accepted_qty", "rejected_qty")
        if not self.has("goods_receipt"):
            days = {"first_received_on": pl.Date(), "last_received_on": pl.Date()}
            counts = dict.fromkeys((*quantities, "_by_requested", "_by_promised", "_by_committed"), AMOUNT)
            return pl.DataFrame(schema={**schema, **days, **counts})
        rows = self._receipts().rename({"line_no": "_receipt_line", "po_line_no": "line_no"})
        original = pl.coalesce("reversal_of", "receipt_id")
        came_on = pl.col("received_on")
        day = pl.coalesce(came_on.filter(pl.col("reversal_of").is_null()).max(), came_on.max())
        netted = rows.group_by(*key, original.alias("_original")).agg(
            day.alias("_day"), *(pl.col(name).sum().cast(AMOUNT) for name in quantities)
        )
        kinds = {kind: f"_by_{kind}" for kind in ("requested", "promised", "committed")}
        dates = lines.select(*key, "requested_on", "promised_on", "committed_on")
        return (
            netted.join(dates, on=key)
            .group_by(key)
            .agg(
                *(pl.col(name).sum().cast(AMOUNT) for name in quantities),
                *(
                    pl.col("received_qty").filter(pl.col("_day") <= pl.col(f"{kind}_on")).sum().cast(AMOUNT).alias(name)
                    for kind, name in kinds.items()
                ),
                first_received_on=pl.col("_day").filter(pl.col("received_qty") > 0).min(),
                last_received_on=pl.col("_day").filter(pl.col("received_qty") > 0).max(),
            )
        )

    def _functional(self, frame: pl.DataFrame, on: str, *amounts: str) -> pl.DataFrame:
        placed = self.with_functional(frame, "site_id")
        rated = self.with_rate(placed, "fx_rate_functional", "currency", pl.col("functional_currency"), on)
        return rated.with_columns(product(a, "fx_rate_functional").alias(f"{a}_functional") for a in amounts)

    def goods_receipts(self) -> pl.DataFrame:
        """fct_goods_receipt."""
        rows = self._receipts()
        days_late = (pl.col("received_on") - pl.col("promised_on")).dt.total_days().clip(lower_bound=0)
        rows = rows.with_columns(
            received_amount=product("received_qty", "unit_price"),
            days_late_x_qty=(pl.col("received_qty") * days_late).cast(AMOUNT),
        )
        return self.in_reporting(rows, "received_on", "received_amount").select(
            *("receipt_id", "line_no", "received_on", "received_at", "po_id", "po_line_no", "is_orphan", "reversal_of"),
            *("supplier_id", "item_id", "site_id", "base_uom", "received_qty", "accepted_qty", "rejected_qty"),
            *("days_late_x_qty", "currency", "unit_price", "received_amount", "received_amount_reporting"),
            receipt_line_count=pl.lit(1, pl.Int32),
        )

    def balances(self) -> pl.DataFrame:
        """fct_inventory_daily."""
        rows = self.conformed(self.rows["stock_snapshot"], "item_id", "item", "sample_wms", "sample_erp")
        rows = self.conformed(rows, "site_id", "site", "sample_wms", "sample_erp")
        rows = self.with_base(rows, "_item")
        rows = self.with_standard_cost(rows, "snapshot_date")
        has_cost = pl.col("unit_cost").is_not_null()
        rows = rows.with_columns(
            on_hand_qty=(pl.col("on_hand_qty") * pl.col("_factor")).cast(AMOUNT),
            reserved_qty=(pl.col("reserved_qty") * pl.col("_factor")).cast(AMOUNT),
            # Only pieces are delivered with a cost, and a piece is a base unit.
            unit_cost=pl.when(has_cost).then("unit_cost").otherwise("standard_cost"),
            currency=pl.when(has_cost).then("currency").otherwise("cost_currency"),
        ).with_columns(on_hand_amount=product("on_hand_qty", "unit_cost"))
        return self.in_reporting(rows, "snapshot_date", "on_hand_amount").select(
            *("snapshot_date", "site_id", "item_id", "location", "lot", "base_uom", "on_hand_qty", "reserved_qty"),
            *("currency", "unit_cost", "on_hand_amount", "on_hand_amount_reporting"),
            stockout_count=(pl.col("on_hand_qty") <= 0).cast(pl.Int32),
            negative_count=(pl.col("on_hand_qty") < 0).cast(pl.Int32),
        )

    # -- production ----------------------------------------------------------------------------------------------

    def production_orders(self) -> pl.DataFrame:
        """fct_production_order."""
        rows = self.conformed(self.rows["production_order"], "item_id", "item", "sample_mes", "sample_erp")
        rows = self.conformed(rows, "site_id", "site", "sample_mes", "sample_erp")
        rows = self.with_base(rows, "_item")
        minutes = pl.col("setup_min") + pl.col("run_min")
        schema = {"order_id": pl.String(), "setup_min": AMOUNT, "run_min": AMOUNT}
        worked = (
            self.get("operation_confirmation", schema)
            .group_by("order_id")
            .agg(processing_h=(minutes.cast(pl.Decimal(38, 4)) / pl.lit(60, pl.Decimal(38, 4))).sum().cast(AMOUNT))
        )
        elapsed_us = (pl.col("actual_end") - pl.col("actual_start")).dt.total_microseconds().cast(pl.Decimal(38, 4))
        is_cancelled = pl.col("status") == "cancelled"
        is_late = (pl.col("actual_end") > pl.col("due_at")) & ~is_cancelled
        zones, quantities = self.zones(), ("planned_qty", "good_qty", "scrap_qty")
        ended_on = local_day("actual_end", zones, "_site", "UTC")
        return rows.join(worked, on="order_id", how="left").select(
            "order_id",
            *("item_id", "site_id", "status", "scrap_reason", "base_uom", "processing_h"),
            *((pl.col(name) * pl.col("_factor")).cast(AMOUNT).alias(name) for name in quantities),
            planned_start_on=local_day("planned_start", zones, "_site", "UTC"),
            due_on=local_day("due_at", zones, "_site", "UTC"),
            ended_on=ended_on,
            order_count=pl.lit(1, pl.Int32),
            completed_count=(pl.col("actual_end").is_not_null() & ~is_cancelled).cast(pl.Int32),
            late_count=is_late.fill_null(value=False).cast(pl.Int32),
            elapsed_h=(elapsed_us / pl.lit(3_600_000_000, pl.Decimal(38, 4))).cast(AMOUNT),
            days_late=(ended_on - local_day("due_at", zones, "_site", "UTC")).dt.total_days().cast(pl.Int32),
        )

    def operations(self) -> pl.DataFrame:
        """fct_operation."""
        text = pl.String()
        centers = self.get("work_center", {"work_center_id": text, "site_id": text})
        orders = self.get("production_order", {"order_id": text, "item_id": text, "site_id": text})
        rows = (
            self.rows["operation_confirmation"]
            .join(centers.select("work_center_id", _place="site_id"), on="work_center_id", how="left")
            .join(orders.select("order_id", "item_id", _order_site="site_id"), on="order_id", how="left")
            .with_columns(site_id=pl.coalesce("_place", "_order_site"))
        )
        rows = self.conformed(rows, "item_id", "item", "sample_mes", "sample_erp")
        rows = self.with_base(self.conformed(rows, "site_id", "site", "sample_mes", "sample_erp"), "_item")
        rows = rows.with_columns(business_date=local_day("ended_at", self.zones(), "_site", "UTC"))
        quantities = ("good_qty", "scrap_qty", "rework_qty")
        return self.in_reporting(rows, "business_date", "planned_cost", "actual_cost").select(
            *("confirmation_id", "business_date", "order_id", "operation_no", "work_center_id", "item_id", "site_id"),
            *("reason_code", "base_uom", "setup_min", "run_min", "labour_min", "currency"),
            *("planned_cost", "actual_cost", "planned_cost_reporting", "actual_cost_reporting"),
            *((pl.col(name) * pl.col("_factor")).cast(AMOUNT).alias(name) for name in quantities),
            elapsed_min=_minutes("started_at", "ended_at"),
            planned_min=_minutes("planned_start", "planned_end"),
            operation_count=pl.lit(1, pl.Int32),
            late_count=(pl.col("ended_at") > pl.col("planned_end")).cast(pl.Int32),
        )

    # -- finance -------------------------------------------------------------------------------------------------

    def _accounts(self) -> pl.DataFrame:
        names = ("account_id", "normal_side")
        return self.get("account", dict.fromkeys(names, pl.String())).select(names)

    def _signed(self) -> pl.DataFrame:
        sides = self._accounts()
        rows = self.rows["gl_entry"].join(sides, on="account_id", how="left")
        balance = pl.col("debit") - pl.col("credit")
        by_credit = (pl.col("normal_side") == "credit").fill_null(value=False)
        rows = rows.with_columns(net_amount=pl.when(by_credit).then(-balance).otherwise(balance).cast(AMOUNT))
        return self.in_reporting(rows, "posted_on", "debit", "credit", "net_amount")

    def journal(self) -> pl.DataFrame:
        """fct_gl_entry."""
        rows = self._functional(self._signed(), "posted_on", "net_amount")
        return rows.select(
            *("journal_id", "line_no", "posted_on", "account_id", "cost_center_id", "site_id", "is_closing"),
            *(
                "currency",
                "debit",
                "credit",
                "net_amount",
                "debit_reporting",
                "credit_reporting",
                "net_amount_reporting",
            ),
            "net_amount_functional",
            entry_count=pl.lit(1, pl.Int32),
        )

    def budget(self) -> pl.DataFrame:
        """fct_budget."""
        rows = self.in_reporting(self.rows["budget_line"], "period_start", "amount", "fixed_amount")
        return rows.select(
            *("scenario", "account_id", "cost_center_id", "period_start", "currency", "amount", "fixed_amount"),
            *("amount_reporting", "fixed_amount_reporting", "variable_rate", "driver"),
            budget_version="version",
        )

    def budget_actual(self) -> pl.DataFrame:
        """fct_budget_actual."""
        place, plan = ["account_id", "cost_center_id"], ["period_start", "scenario", "budget_version"]
        rows = self._signed().filter(~pl.col("is_closing"))
        actual = rows.group_by(
            pl.col("posted_on").dt.truncate("1mo").alias("period_start"),
            "account_id",
            pl.col("cost_center_id").fill_null(""),
        ).agg(actual_amount=pl.col("net_amount_reporting").sum().cast(AMOUNT))
        planned = pl.DataFrame(schema=dict.fromkeys([*plan, *place], pl.String()) | {"budget_amount": AMOUNT})
        planned = planned.with_columns(pl.col("period_start").cast(pl.Date))
        if self.has("budget_line"):
            lines = self.in_reporting(self.rows["budget_line"], "period_start", "amount")
            lines = self.conformed(lines, "account_id", "account", "sample_planning", "sample_ledger")
            planned = lines.group_by(
                "period_start",
                "scenario",
                pl.col("version").alias("budget_version"),
                pl.coalesce("_account", "account_id").alias("account_id"),
                "cost_center_id",
            ).agg(budget_amount=pl.col("amount_reporting").sum().cast(AMOUNT))
        plans = planned.select(plan).unique()
        unplanned = actual.select("period_start").unique().join(plans, on="period_start", how="anti")
        unplanned = unplanned.with_columns(scenario=pl.lit("none"), budget_version=pl.lit(""))
        repeated = pl.concat([plans, unplanned]).join(actual, on="period_start")
        zero = pl.lit(Decimal(0)).cast(AMOUNT)
        both = planned.join(repeated, on=[*plan, *place], how="full", coalesce=True).with_columns(
            pl.col("budget_amount", "actual_amount").fill_null(zero)
        )
        both = both.join(self._accounts(), on="account_id", how="left")
        is_budget = pl.col("scenario") == "budget"
        newest = pl.col("budget_version").filter(is_budget).max().over("period_start")
        return both.with_columns(
            total_variance=(pl.col("budget_amount") - pl.col("actual_amount")).cast(AMOUNT),
            is_current_budget=(is_budget & (pl.col("budget_version") == newest)).fill_null(value=False),
        )


def _minutes(start: str, end: str) -> pl.Expr:
    seconds = (pl.col(end) - pl.col(start)).dt.total_seconds()
    return (seconds.cast(pl.Decimal(38, 4)) / pl.lit(Decimal(60), pl.Decimal(38, 4))).cast(AMOUNT)
