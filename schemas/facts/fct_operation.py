"""mart.fct_operation.

Grain: one operation confirmation. Natural key: source, confirmation_id, business_date. Anchor: business_date (date of
ended_at at the work centre's site; the day is in the key because confirmations may be delivered as append-only events).
Additive: quantities within one base unit (summed over the operations of an order they count a piece once per operation:
for output take the last operation or fct_production_order), minutes, costs within one currency, counts.
Not additive: rates, uom_factor.
"""

from schemas import columns as c
from schemas.contract import FactContract


class FctOperation(FactContract):
    """Operation confirmations."""

    confirmation_id = c.text("Confirmation", key=True)
    business_date = c.date("Date of ended_at at the site; anchors the row", key=True)
    order_id = c.text("Production order")
    operation_no = c.text("Operation within the order's routing")
    shift_id = c.text("Shift as the source names it", null=True)
    reason_code = c.text("Reason of scrap, rework or delay", null=True)
    started_at = c.instant("When the work started")
    ended_at = c.instant("When the work ended")
    planned_start = c.instant("When the work was planned to start", null=True)
    planned_end = c.instant("When the work was planned to end", null=True)

    work_center_id = c.text("Work centre as delivered")
    work_center_key = c.durable_key("Work centre", "dim_work_center")
    item_id = c.text("Item of the production order", null=True)
    item_key = c.durable_key("Item of the production order", "dim_item")
    site_id = c.text("Site of the work centre, else of the production order", null=True)
    site_key = c.durable_key("Site of the work centre, else of the production order", "dim_site")

    uom = c.text("Unit the confirmation was written in")
    base_uom = c.text("Unit of the quantities: the item's base unit, or uom where the item is not known")
    uom_factor = c.price("Base units in one uom; NULL where they do not convert", null=True)
    good_qty = c.quantity("Good quantity, in base_uom", null=True)
    scrap_qty = c.quantity("Scrapped quantity, in base_uom", null=True)
    rework_qty = c.quantity("Quantity to be reworked, in base_uom", null=True)
    first_pass_qty = c.quantity(
        "Good quantity that needed no rework, in base_uom (good, scrap and rework together make what was produced)",
        null=True,
    )

    setup_min = c.quantity("Setup time in minutes", null=True)
    run_min = c.quantity("Run time of the work centre in minutes", null=True)
    labour_min = c.quantity("Labour time in minutes", null=True)
    elapsed_min = c.quantity("Minutes from started_at to ended_at")
    planned_min = c.quantity("Minutes from planned_start to planned_end", null=True)
    currency = c.currency("Currency of the costs without a suffix (ISO 4217)", null=True)
    fx_rate_reporting = c.price("Rate from currency to the reporting currency on business_date", null=True)
    planned_cost = c.amount("Planned cost, in currency", null=True)
    actual_cost = c.amount("Actual cost, in currency", null=True)
    planned_cost_reporting = c.amount("planned_cost in the reporting currency", null=True)
    actual_cost_reporting = c.amount("actual_cost in the reporting currency", null=True)
    operation_count = c.count("1")
    due_count = c.count("1: it has a planned end")
    late_count = c.count("1: ended after its planned end")
