"""mart.dim_supplier and its history. Grain: one supplier; in the history one supplier and validity."""

from schemas import columns as c
from schemas.contract import DimensionContract


class DimSupplier(DimensionContract):
    """Suppliers with their current attributes."""

    supplier_key = c.durable_key("Durable key of the supplier", "", key=True)
    supplier_id = c.text("Supplier in its master code space")
    name = c.text("Name; the id where no master data has come")
    country = c.text("ISO 3166-1 alpha-2 country code", null=True)
    currency = c.currency("Currency we usually pay in (ISO 4217)", null=True)
    payment_terms_days = c.whole("Days until an invoice is due", null=True)
    risk_tier = c.text("Risk class as the source grades it", null=True)
    status = c.text("State as the source names it", null=True)


class DimSupplierHistory(DimSupplier):
    """Suppliers as they were; valid from valid_from until before valid_to."""

    valid_from = c.date("First day on which the attributes hold; 1900-01-01 for the first known", key=True)
    valid_to = c.date("First day on which they no longer hold; 9999-12-31 for the present ones")
    is_current = c.flag("The present attributes")
