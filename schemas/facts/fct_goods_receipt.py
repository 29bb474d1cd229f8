"""mart.fct_goods_receipt.

Grain: one receipt line. Natural key: source, receipt_id, line_no, received_on. Anchor: received_on (business date at
the receiving site; the day is in the key because receipts may be delivered as append-only events).
Additive: quantities within one base unit, amounts within one currency (reporting amounts without restriction),
days_late_x_qty, counts. Not additive: unit_price, rates, uom_factor.
Reversals and returns are rows of their own with negative quantities, so sums are net.
"""

from schemas import columns as c
from schemas.contract import FactContract


class FctGoodsReceipt(FactContract):
    """Receipt lines, valued at the price of the purchase order line they belong to."""

    receipt_id = c.text("Receipt document", key=True)
    line_no = c.text("Line within the receipt", key=True)
    received_on = c.date("Business date of the receipt at the site; anchors the row", key=True)
    received_at = c.instant("When the goods came in")
    po_id = c.text("Purchase order received against")
    po_line_no = c.text("Line of that purchase order")
    reversal_of = c.text("Receipt that this row takes back", null=True)
    lot = c.text("Lot or batch", null=True)
    is_orphan = c.flag("No purchase order line is known for the receipt")

    supplier_id = c.text("Supplier of the purchase order line", null=True)
    supplier_key = c.durable_key("Supplier", "dim_supplier")
    item_id = c.text("Item of the purchase order line", null=True)
    item_key = c.durable_key("Item", "dim_item")
    site_id = c.text("Receiving site of the purchase order line", null=True)
    site_key = c.durable_key("Receiving site", "dim_site")

    uom = c.text("Unit the receipt was written in")
    base_uom = c.text("Unit of the quantities: the item's base unit, or uom where the item is not known")
    uom_factor = c.price("Base units in one uom; NULL where they do not convert", null=True)
    received_qty = c.quantity("Quantity received, in base_uom", null=True)
    accepted_qty = c.quantity("Of it accepted, in base_uom; what is not said counts as accepted", null=True)
    rejected_qty = c.quantity("Of it rejected, in base_uom", null=True)
    days_late_x_qty = c.quantity(
        "Days after promised_on x received_qty; 0 when early; NULL without a promise (item-days)", null=True
    )

    currency = c.currency("Currency of the purchase order line (ISO 4217)", null=True)
    unit_price = c.price("Price per unit of the purchase order line, in currency", null=True)
    functional_currency = c.currency("Currency of the site (ISO 4217)", null=True)
    fx_rate_functional = c.price("Rate from currency to functional_currency on received_on", null=True)
    fx_rate_reporting = c.price("Rate from currency to the reporting currency on received_on", null=True)
    received_amount = c.amount("received quantity x unit_price, in currency", null=True)
    received_amount_functional = c.amount("received_amount in functional_currency", null=True)
    received_amount_reporting = c.amount("received_amount in the reporting currency", null=True)
    ppv_amount = c.amount(
        "Purchase price variance in currency: (standard cost of received_on - unit_price) x received; + favourable; "
        "NULL without a standard cost",
        null=True,
    )
    ppv_amount_reporting = c.amount("ppv_amount in the reporting currency", null=True)
    receipt_line_count = c.count("1")
