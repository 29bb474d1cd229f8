select
    w."WC" as work_center_id,
    w."PLANT" as site_id,
    w."NAME" as name,
    w."AREA" as area,
    w."CAP_H" as capacity_h_per_day,
    w."RATE_H" as cost_rate_per_h,
    w."CURR" as currency
from work_centers as w
