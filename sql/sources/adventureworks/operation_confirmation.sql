with order_end as (
    select
        WorkOrderID,
        max(OperationSequence) as last_operation
    from work_order_routing
    group by WorkOrderID
)

select
    r.WorkOrderID || '-' || r.OperationSequence as confirmation_id,
    r.WorkOrderID as order_id,
    r.OperationSequence as operation_no,
    r.LocationID as work_center_id,
    r.ActualStartDate as started_at,
    r.ActualEndDate as ended_at,
    r.ScheduledStartDate as planned_start,
    r.ScheduledEndDate as planned_end,
    r.ActualResourceHrs * 60 as run_min,
    -- The routing counts no pieces: the order's come out of its last operation.
    case when r.OperationSequence = o.last_operation then w.StockedQty else 0 end as good_qty,
    case when r.OperationSequence = o.last_operation then w.ScrappedQty else 0 end as scrap_qty,
    0 as rework_qty,
    'EA' as uom,
    r.PlannedCost as planned_cost,
    r.ActualCost as actual_cost,
    'USD' as currency
from work_order_routing as r
left join work_order as w on r.WorkOrderID = w.WorkOrderID
left join order_end as o on r.WorkOrderID = o.WorkOrderID
