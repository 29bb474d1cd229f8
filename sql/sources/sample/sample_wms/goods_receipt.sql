select
    r."receiptNo" as receipt_id,
    r."receiptLine" as line_no,
    r."orderNo" as po_id,
    r."orderLine" as po_line_no,
    r."receivedAt" as received_at,
    r."qtyReceived" as received_qty,
    -- NULL until the goods have been inspected.
    r."qtyOk" as accepted_qty,
    r."qtyRejected" as rejected_qty,
    -- UN/ECE codes. The warehouse weighs in grams (GRM); facts convert to the item's base unit.
    r."unit" as uom,
    r."batch" as lot,
    r."reverses" as reversal_of,
    r."changedAt" as updated_at
from receipts as r
