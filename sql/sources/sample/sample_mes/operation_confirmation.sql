select
    c."CONF" as confirmation_id,
    c."ORDER" as order_id,
    c."OP" as operation_no,
    c."WC" as work_center_id,
    -- E early, L late, N night.
    c."SHIFT" as shift_id,
    c."BEGIN" as started_at,
    c."END" as ended_at,
    c."PLAN_BEGIN" as planned_start,
    c."PLAN_END" as planned_end,
    c."SETUP_MIN" as setup_min,
    c."RUN_MIN" as run_min,
    c."LABOUR_MIN" as labour_min,
    c."GOOD" as good_qty,
    c."SCRAP" as scrap_qty,
    c."REWORK" as rework_qty,
    c."UNIT" as uom,
    -- Personal: the contract has it pseudonymised before it is kept anywhere.
    c."WORKER" as worker_id,
    c."REASON" as reason_code,
    c."PLAN_COST" as planned_cost,
    c."COST" as actual_cost,
    c."CURR" as currency
from confirmations as c
