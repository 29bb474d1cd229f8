select
    -- The files have no receipt documents: what an order received came with its shipment.
    d.PurchaseOrderID as receipt_id,
    d.PurchaseOrderDetailID as line_no,
    d.PurchaseOrderID as po_id,
    d.PurchaseOrderDetailID as po_line_no,
    h.ShipDate as received_at,
    d.ReceivedQty as received_qty,
    d.StockedQty as accepted_qty,
    d.RejectedQty as rejected_qty,
    'EA' as uom
from purchase_order_detail as d
left join purchase_order_header as h on d.PurchaseOrderID = h.PurchaseOrderID
where d.ReceivedQty > 0
