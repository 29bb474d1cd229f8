"""Purchase order lines. Key: (po_id, line_no). Dated by ordered_on."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract
from schemas.units import is_unit


class PurchaseOrderLine(DatasetContract):
    """One line of a purchase order, with the three dates that a supplier may be measured against."""

    po_id = c.code("Purchase order number", "purchase_order", key=True)
    line_no = c.text("Line within the order", key=True)
    supplier_id = c.code("Supplier", "supplier")
    item_id = c.code("Item ordered", "item")
    site_id = c.code("Receiving site", "site", null=True)
    ordered_on = c.date("Day the order was placed", happened=True)
    requested_on = c.date("Day we asked for", null=True)
    promised_on = c.date("First day the supplier promised", null=True)
    committed_on = c.date("Latest day the supplier promised", null=True)
    ordered_qty = c.quantity("Quantity ordered, in uom")
    uom = c.text("Unit of measure of ordered_qty and unit_price")
    unit_price = c.price("Price per uom, in currency")
    currency = c.currency()
    status = c.choice("State of the line", ("open", "closed", "cancelled"))
    is_return = c.flag("The line sends goods back", null=True)

    @dy.rule()
    def ordered_qty_sign_agrees_with_is_return(cls) -> pl.Expr:
        is_return = pl.col("is_return").fill_null(value=False)
        return pl.when(is_return).then(pl.col("ordered_qty") <= 0).otherwise(pl.col("ordered_qty") >= 0)

    @dy.rule()
    def unit_price_not_negative(cls) -> pl.Expr:
        return pl.col("unit_price") >= 0

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")

    @dy.rule()
    def uom_is_known(cls) -> pl.Expr:
        return is_unit("uom")

    @dy.rule()
    def ordered_amount_fits(cls) -> pl.Expr:
        # In floats: the exact product of values that large would leave the widest decimal there is.
        amount = pl.col("ordered_qty").cast(pl.Float64) * pl.col("unit_price").cast(pl.Float64)
        return (amount.abs() < 1e14) & (pl.col("unit_price") < 10**12)
