"""Goods receipts. Key: (receipt_id, line_no). Dated by received_at."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.contract import DatasetContract
from schemas.units import is_unit


class GoodsReceipt(DatasetContract):
    """One line of a receipt against a purchase order line.

    A reversal is a row of its own with quantities of the opposite sign and `reversal_of` naming the receipt it takes
    back; so is a return, with negative quantities. Sums are right without looking at either.
    """

    receipt_id = c.code("Receipt document", "goods_receipt", key=True)
    line_no = c.text("Line within the receipt", key=True)
    po_id = c.code("Purchase order received against", "purchase_order")
    po_line_no = c.text("Line of that purchase order")
    received_at = c.instant("When the goods came in", happened=True)
    received_qty = c.quantity("Quantity received, in uom; negative takes back")
    accepted_qty = c.quantity("Of it accepted, in uom", null=True)
    rejected_qty = c.quantity("Of it rejected, in uom", null=True)
    uom = c.text("Unit of measure of the quantities")
    lot = c.text("Lot or batch", null=True)
    reversal_of = c.text("receipt_id that this row takes back", null=True)

    @dy.rule()
    def accepted_and_rejected_make_received(cls) -> pl.Expr:
        both = pl.col("accepted_qty") + pl.col("rejected_qty")
        return both.is_null() | (both == pl.col("received_qty"))

    @dy.rule()
    def quantities_have_one_sign(cls) -> pl.Expr:
        # Signs, not products: a product of two NUMERIC(18,4) may leave the type's range.
        parts = [pl.col(name).fill_null(0) for name in ("received_qty", "accepted_qty", "rejected_qty")]
        return pl.all_horizontal(part >= 0 for part in parts) | pl.all_horizontal(part <= 0 for part in parts)

    @dy.rule()
    def receipt_does_not_reverse_itself(cls) -> pl.Expr:
        return pl.col("reversal_of") != pl.col("receipt_id")

    @dy.rule()
    def uom_is_known(cls) -> pl.Expr:
        return is_unit("uom")
