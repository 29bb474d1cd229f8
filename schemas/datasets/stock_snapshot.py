"""Stock snapshots. Key: (snapshot_date, site_id, item_id, location, lot). Dated by snapshot_date."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract
from schemas.units import is_unit


class StockSnapshot(DatasetContract):
    """Stock at the end of a day. A balance may be negative: that is a finding for a metric, not a broken row."""

    snapshot_date = c.date("Day at whose end the balance was taken", key=True, happened=True)
    site_id = c.code("Site", "site", key=True, any_=True)
    item_id = c.code("Item", "item", key=True)
    location = c.text("Storage location; '' for the whole site", key=True)
    lot = c.text("Lot or batch; '' for none", key=True)
    on_hand_qty = c.quantity("On hand, in uom", additive="semi")
    reserved_qty = c.quantity("Reserved, in uom", null=True, additive="semi")
    in_transit_qty = c.quantity("On the way to the site, in uom", null=True, additive="semi")
    uom = c.text("Unit of measure of the quantities")
    unit_cost = c.price("Cost per uom, in currency; where NULL the item's standard cost values the stock", null=True)
    currency = c.currency("Currency of unit_cost (ISO 4217)", null=True)

    @dy.rule()
    def unit_cost_has_currency(cls) -> pl.Expr:
        return pl.col("unit_cost").is_null() | pl.col("currency").is_not_null()

    @dy.rule()
    def unit_cost_not_negative(cls) -> pl.Expr:
        return pl.col("unit_cost") >= 0

    @dy.rule()
    def unit_cost_fits(cls) -> pl.Expr:
        # Larger ones would leave the widest decimal there is where units and rates multiply them.
        return pl.col("unit_cost") < 10**12

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")

    @dy.rule()
    def uom_is_known(cls) -> pl.Expr:
        return is_unit("uom")
