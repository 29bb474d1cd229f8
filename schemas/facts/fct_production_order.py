"""mart.fct_production_order.

Grain: one production order; accumulating. Natural key: source, order_id. Anchor: planned_start_on (date of the planned
start at the site).
Additive: quantities within one base unit, counts, hours. Not additive: days_late, uom_factor.
Nothing depends on today: an order is late once it has ended after it was due.
"""

from schemas import columns as c
from schemas.contract import FactContract


class FctProductionOrder(FactContract):
    """Production orders with the time that their operations took."""

    order_id = c.text("Production order", key=True)
    planned_start_on = c.date("Date of the planned start at the site; anchors the row")
    due_on = c.date("Date at the site when the order is due")
    ended_on = c.date("Date at the site when production ended", null=True)
    planned_start = c.instant("When production was planned to start")
    due_at = c.instant("When the order is due")
    actual_start = c.instant("When production started", null=True)
    actual_end = c.instant("When production ended", null=True)

    item_id = c.text("Item made, as delivered")
    item_key = c.durable_key("Item made", "dim_item")
    site_id = c.text("Site as delivered", null=True)
    site_key = c.durable_key("Site", "dim_site")
    status = c.text("State of the order")
    scrap_reason = c.text("Reason of the scrap", null=True)
    is_cancelled = c.flag("The order was cancelled")

    uom = c.text("Unit the order was written in")
    base_uom = c.text("Unit of the quantities: the item's base unit, or uom where the item is not known")
    uom_factor = c.price("Base units in one uom; NULL where they do not convert", null=True)
    planned_qty = c.quantity("Quantity to make, in base_uom", null=True)
    good_qty = c.quantity("Good quantity made, in base_uom", null=True)
    scrap_qty = c.quantity("Scrapped quantity, in base_uom", null=True)

    order_count = c.count("1")
    completed_count = c.count("1: production has ended and the order was not cancelled")
    late_count = c.count("1: completed after due_at")
    elapsed_h = c.quantity("Hours from actual_start to actual_end; NULL until ended", null=True)
    processing_h = c.quantity(
        "Hours of its operations: setup and run time where given, else from start to end; NULL without operations",
        null=True,
    )
    queue_h = c.quantity("elapsed_h - processing_h, not below 0; NULL where either is", null=True)
    days_late = c.count("Days from due_on to ended_on, negative when early; NULL until ended", null=True, additive="no")
