"""mart.dim_item and its history. Grain: one item; in the history one item and validity."""

from schemas import columns as c
from schemas.contract import DimensionContract


class DimItem(DimensionContract):
    """Items with their current attributes."""

    item_key = c.durable_key("Durable key of the item", "", key=True)
    item_id = c.text("Item in its master code space")
    name = c.text("Name; the id where no master data has come")
    item_type = c.text("Kind of item: raw, semi, finished, service", null=True)
    category = c.text("Category or item group", null=True)
    base_uom = c.text("Base unit of measure", null=True)
    standard_cost = c.price("Present standard cost per base unit, in currency", null=True)
    list_price = c.price("Present list price per base unit, in currency", null=True)
    currency = c.currency("Currency of standard_cost and list_price (ISO 4217)", null=True)
    lead_time_days = c.whole("Planned lead time in days", null=True)
    safety_stock_qty = c.quantity("Safety stock, in base units", null=True, additive="no")
    reorder_point_qty = c.quantity("Reorder point, in base units", null=True, additive="no")
    is_active = c.flag("In use", null=True)


class DimItemHistory(DimItem):
    """Items as they were; valid from valid_from until before valid_to."""

    valid_from = c.date("First day on which the attributes hold; 1900-01-01 for the first known", key=True)
    valid_to = c.date("First day on which they no longer hold; 9999-12-31 for the present ones")
    is_current = c.flag("The present attributes")
