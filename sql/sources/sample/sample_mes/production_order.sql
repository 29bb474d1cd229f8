select
    o."ORDER" as order_id,
    o."MATERIAL" as item_id,
    o."PLANT" as site_id,
    o."QTY" as planned_qty,
    o."UNIT" as uom,
    o."PLAN_START" as planned_start,
    o."DUE" as due_at,
    o."STARTED" as actual_start,
    o."ENDED" as actual_end,
    o."YIELD" as good_qty,
    o."SCRAP" as scrap_qty,
    case o."STATE"
        when '10' then 'planned'
        when '20' then 'released'
        when '30' then 'started'
        when '40' then 'completed'
        when '90' then 'cancelled'
    end as status,
    o."SCRAP_REASON" as scrap_reason,
    o."CHANGED" as updated_at,
    o."DELETED" as is_deleted
from orders as o
