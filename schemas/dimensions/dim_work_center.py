"""mart.dim_work_center and its history. Grain: one work centre; in the history one work centre and validity."""

from schemas import columns as c
from schemas.contract import DimensionContract


class DimWorkCenter(DimensionContract):
    """Work centres with their current attributes."""

    work_center_key = c.durable_key("Durable key of the work centre", "", key=True)
    work_center_id = c.text("Work centre in its master code space")
    name = c.text("Name; the id where no master data has come")
    site_id = c.text("Site it stands at, as delivered", null=True)
    site_key = c.durable_key("Site it stands at", "dim_site")
    area = c.text("Area or department within the site", null=True)
    capacity_h_per_day = c.quantity("Hours of capacity per day, all parallel units together", null=True, additive="no")
    cost_rate_per_h = c.price("Cost per hour, in currency", null=True)
    currency = c.currency("Currency of cost_rate_per_h (ISO 4217)", null=True)


class DimWorkCenterHistory(DimWorkCenter):
    """Work centres as they were; valid from valid_from until before valid_to."""

    valid_from = c.date("First day on which the attributes hold; 1900-01-01 for the first known", key=True)
    valid_to = c.date("First day on which they no longer hold; 9999-12-31 for the present ones")
    is_current = c.flag("The present attributes")
