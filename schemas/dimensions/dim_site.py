"""mart.dim_site and its history. Grain: one site; in the history one site and validity."""

from schemas import columns as c
from schemas.contract import DimensionContract


class DimSite(DimensionContract):
    """Sites with their current attributes."""

    site_key = c.durable_key("Durable key of the site", "", key=True)
    site_id = c.text("Site in its master code space")
    name = c.text("Name; the id where no master data has come")
    country = c.text("ISO 3166-1 alpha-2 country code", null=True)
    time_zone = c.text("IANA time zone of the site's clock", null=True)
    currency = c.currency("Functional currency of the site (ISO 4217)", null=True)


class DimSiteHistory(DimSite):
    """Sites as they were; valid from valid_from until before valid_to."""

    valid_from = c.date("First day on which the attributes hold; 1900-01-01 for the first known", key=True)
    valid_to = c.date("First day on which they no longer hold; 9999-12-31 for the present ones")
    is_current = c.flag("The present attributes")
