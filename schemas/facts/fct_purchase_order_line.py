"""mart.fct_purchase_order_line.

Grain: one purchase order line; accumulating (a receipt of any later day updates its line).
Natural key: source, po_id, line_no. Anchor: ordered_on.
Additive: quantities within one base unit, amounts within one currency (reporting amounts without restriction), counts.
Not additive: unit_price, rates, uom_factor, lead_time_days and days_late (average them over received lines).
Cancelled lines are in the quantities and amounts; `is_cancelled` leaves them out. Returns (`is_return`) have negative
quantities and are never due. Nothing depends on today: a line counts as due once it is decided, that is received in
full, closed, or received from after the date; until then its due and on-time counts are 0.
"""

from schemas import columns as c
from schemas.contract import FactContract


class FctPurchaseOrderLine(FactContract):
    """Purchase order lines with what has been received on them."""

    po_id = c.text("Purchase order", key=True)
    line_no = c.text("Line within the order", key=True)
    ordered_on = c.date("Day the order was placed; anchors the row")
    requested_on = c.date("Day we asked for", null=True)
    promised_on = c.date("First day the supplier promised", null=True)
    committed_on = c.date("Latest day the supplier promised", null=True)
    due_on = c.date("Day it is due: committed_on, else promised_on, else requested_on", null=True)
    first_received_on = c.date("Business date, at the site, of the first receipt", null=True)
    last_received_on = c.date("Business date, at the site, of the last receipt", null=True)

    supplier_id = c.text("Supplier as delivered")
    supplier_key = c.durable_key("Supplier", "dim_supplier")
    item_id = c.text("Item as delivered")
    item_key = c.durable_key("Item", "dim_item")
    site_id = c.text("Receiving site as delivered", null=True)
    site_key = c.durable_key("Receiving site", "dim_site")
    status = c.text("State of the line: open, closed, cancelled")
    is_cancelled = c.flag("The line was cancelled")
    is_return = c.flag("The line sends goods back")

    uom = c.text("Unit the order was written in")
    base_uom = c.text("Unit of the quantities: the item's base unit, or uom where the item is not known")
    uom_factor = c.price("Base units in one uom; NULL where they do not convert", null=True)
    ordered_qty = c.quantity("Quantity ordered, in base_uom; NULL where uom does not convert", null=True)
    received_qty = c.quantity("Quantity received, reversals taken off, in base_uom; 0 before the first", null=True)
    accepted_qty = c.quantity("Of it accepted, in base_uom; what a receipt does not say counts as accepted", null=True)
    rejected_qty = c.quantity("Of it rejected, in base_uom", null=True)

    currency = c.currency("Currency of unit_price and of the amounts without a suffix (ISO 4217)")
    unit_price = c.price("Price per uom, in currency")
    functional_currency = c.currency("Currency of the site (ISO 4217)", null=True)
    fx_rate_functional = c.price("Rate from currency to functional_currency on ordered_on", null=True)
    fx_rate_reporting = c.price("Rate from currency to the reporting currency on ordered_on", null=True)
    ordered_amount = c.amount("ordered quantity x unit_price, in currency")
    ordered_amount_functional = c.amount("ordered_amount in functional_currency", null=True)
    ordered_amount_reporting = c.amount("ordered_amount in the reporting currency", null=True)
    received_amount = c.amount("received quantity x unit_price, in currency", null=True)
    received_amount_functional = c.amount("received_amount in functional_currency", null=True)
    received_amount_reporting = c.amount("received_amount in the reporting currency", null=True)
    ppv_amount = c.amount(
        "Purchase price variance in currency: (standard cost of ordered_on - unit_price) x received; + favourable; "
        "NULL without a standard cost",
        null=True,
    )
    ppv_amount_reporting = c.amount("ppv_amount in the reporting currency", null=True)

    line_count = c.count("1")
    in_full_count = c.count("1: at least the ordered quantity was received; 0 for cancelled lines and returns")
    due_requested_count = c.count("1: decided against requested_on")
    due_promised_count = c.count("1: decided against promised_on")
    due_committed_count = c.count("1: decided against committed_on")
    on_time_requested_count = c.count("1: due, and all that came (up to the order) came by requested_on")
    on_time_promised_count = c.count("1: due, and all that came (up to the order) came by promised_on")
    on_time_committed_count = c.count("1: due, and all that came (up to the order) came by committed_on")
    otif_requested_count = c.count("1: due, and the full quantity came by requested_on")
    otif_promised_count = c.count("1: due, and the full quantity came by promised_on")
    otif_committed_count = c.count("1: due, and the full quantity came by committed_on")
    lead_time_days = c.count("Days from ordered_on to last_received_on; NULL until received", null=True, additive="no")
    days_late = c.count(
        "Days from promised_on to last_received_on, negative when early; NULL until received", null=True, additive="no"
    )
