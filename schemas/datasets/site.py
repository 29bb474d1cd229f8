"""Sites. Key: site_id. Master data."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_country, is_currency, is_time_zone
from schemas.contract import DatasetContract


class Site(DatasetContract):
    """A plant, warehouse or office: the place whose clock and currency count."""

    site_id = c.code("Site", "site", key=True)
    name = c.text("Name")
    country = c.text("ISO 3166-1 alpha-2 country code")
    time_zone = c.text("IANA time zone of the site's clock")
    currency = c.currency("Functional currency of the site (ISO 4217)")

    @dy.rule()
    def country_exists(cls) -> pl.Expr:
        return is_country("country")

    @dy.rule()
    def time_zone_exists(cls) -> pl.Expr:
        return is_time_zone("time_zone")

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")
