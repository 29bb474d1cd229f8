select
    d.PurchaseOrderID as po_id,
    d.PurchaseOrderDetailID as line_no,
    h.VendorID as supplier_id,
    d.ProductID as item_id,
    cast(h.OrderDate as date) as ordered_on,
    cast(d.DueDate as date) as promised_on,
    d.OrderQty as ordered_qty,
    'EA' as uom,
    d.UnitPrice as unit_price,
    'USD' as currency,
    -- 1 pending, 2 approved, 3 rejected, 4 complete.
    case h.Status when '4' then 'closed' when '3' then 'cancelled' else 'open' end as status
from purchase_order_detail as d
left join purchase_order_header as h on d.PurchaseOrderID = h.PurchaseOrderID
