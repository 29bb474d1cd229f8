"""mart.fct_inventory_daily.

Grain: item x site x location x lot x day; periodic snapshot. Natural key: source, snapshot_date, site_id, item_id,
location, lot. Anchor: snapshot_date.
Semi-additive: all quantities and amounts are balances, summed over items, sites and lots but never over days (take the
last day or the average). Additive: the counts (row-days). Not additive: unit_cost, rates, uom_factor.
"""

from schemas import columns as c
from schemas.contract import FactContract


class FctInventoryDaily(FactContract):
    """Stock balances at the end of each day, valued."""

    snapshot_date = c.date("Day at whose end the balance was taken; anchors the row", key=True)
    site_id = c.text("Site as delivered", key=True)
    site_key = c.durable_key("Site", "dim_site")
    item_id = c.text("Item as delivered", key=True)
    item_key = c.durable_key("Item", "dim_item")
    location = c.text("Storage location; '' for the whole site", key=True)
    lot = c.text("Lot or batch; '' for none", key=True)

    uom = c.text("Unit the snapshot was written in")
    base_uom = c.text("Unit of the quantities: the item's base unit, or uom where the item is not known")
    uom_factor = c.price("Base units in one uom; NULL where they do not convert", null=True)
    on_hand_qty = c.quantity("On hand, in base_uom", null=True, additive="semi")
    reserved_qty = c.quantity("Reserved, in base_uom", null=True, additive="semi")
    in_transit_qty = c.quantity("On the way to the site, in base_uom", null=True, additive="semi")

    currency = c.currency("Currency of unit_cost and on_hand_amount (ISO 4217)", null=True)
    unit_cost = c.price(
        "Cost per base unit, in currency: the snapshot's, else the standard cost of the day; NULL without either",
        null=True,
    )
    functional_currency = c.currency("Currency of the site (ISO 4217)", null=True)
    fx_rate_functional = c.price("Rate from currency to functional_currency on snapshot_date", null=True)
    fx_rate_reporting = c.price("Rate from currency to the reporting currency on snapshot_date", null=True)
    on_hand_amount = c.amount("on_hand_qty x unit_cost, in currency", null=True, additive="semi")
    on_hand_amount_functional = c.amount("on_hand_amount in functional_currency", null=True, additive="semi")
    on_hand_amount_reporting = c.amount("on_hand_amount in the reporting currency", null=True, additive="semi")
    balance_count = c.count("1")
    stockout_count = c.count("1: nothing on hand")
    negative_count = c.count("1: the balance is negative")
