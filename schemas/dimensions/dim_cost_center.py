"""mart.dim_cost_center, its history and its closure.

Grain: one cost centre; in the history one cost centre and validity; in the closure one pair of ancestor and descendant.
"""

from schemas import columns as c
from schemas.contract import DimensionContract, PublishedContract


class DimCostCenter(DimensionContract):
    """Cost centres with their current attributes."""

    cost_center_key = c.durable_key("Durable key of the cost centre", "", key=True)
    cost_center_id = c.text("Cost centre in its master code space")
    name = c.text("Name; the id where no master data has come")
    site_id = c.text("Site it belongs to, as delivered", null=True)
    site_key = c.durable_key("Site it belongs to", "dim_site")
    parent_cost_center_id = c.text("Cost centre it rolls up to, as delivered", null=True)
    parent_cost_center_key = c.durable_key("Cost centre it rolls up to; -2 for a root", "dim_cost_center")


class DimCostCenterHistory(DimCostCenter):
    """Cost centres as they were; valid from valid_from until before valid_to."""

    valid_from = c.date("First day on which the attributes hold; 1900-01-01 for the first known", key=True)
    valid_to = c.date("First day on which they no longer hold; 9999-12-31 for the present ones")
    is_current = c.flag("The present attributes")


class DimCostCenterClosure(PublishedContract):
    """Every cost centre with each cost centre it rolls up to, itself included (depth 0).

    Join facts on descendant_cost_center_key and group by ancestor_cost_center_key to sum a subtree.
    """

    ancestor_cost_center_key = c.durable_key("Cost centre rolled up to", "dim_cost_center", key=True)
    descendant_cost_center_key = c.durable_key("Cost centre that rolls up", "dim_cost_center", key=True)
    depth = c.whole("Steps from descendant to ancestor; 0 is the cost centre itself")
    is_leaf = c.flag("The descendant has no children")
