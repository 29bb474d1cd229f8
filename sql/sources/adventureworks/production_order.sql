select
    w.WorkOrderID as order_id,
    w.ProductID as item_id,
    w.OrderQty as planned_qty,
    'EA' as uom,
    w.StartDate as planned_start,
    w.DueDate as due_at,
    w.StartDate as actual_start,
    w.EndDate as actual_end,
    w.StockedQty as good_qty,
    w.ScrappedQty as scrap_qty,
    case when w.EndDate is null then 'started' else 'completed' end as status,
    w.ScrapReasonID as scrap_reason
from work_order as w
