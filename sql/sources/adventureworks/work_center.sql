select
    l.LocationID as work_center_id,
    -- The company makes at one place, which no file describes.
    'main' as site_id,
    l.Name as name,
    l.Availability as capacity_h_per_day,
    l.CostRate as cost_rate_per_h,
    'USD' as currency
from location as l
