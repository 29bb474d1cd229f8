"""Suppliers. Key: supplier_id. Master data."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_country, is_currency
from schemas.contract import DatasetContract


class Supplier(DatasetContract):
    """A company we buy from."""

    supplier_id = c.code("Supplier", "supplier", key=True)
    name = c.text("Name")
    country = c.text("ISO 3166-1 alpha-2 country code", null=True)
    currency = c.currency("Currency we usually pay in (ISO 4217)", null=True)
    payment_terms_days = c.whole("Days until an invoice is due", null=True)
    risk_tier = c.text("Risk class as the source grades it", null=True)
    status = c.text("State as the source names it, for example active, preferred, blocked", min_length=1)

    @dy.rule()
    def country_exists(cls) -> pl.Expr:
        return is_country("country")

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")

    @dy.rule()
    def payment_terms_not_negative(cls) -> pl.Expr:
        return pl.col("payment_terms_days") >= 0
