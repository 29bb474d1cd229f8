select
    c."Cost Center" as cost_center_id,
    c."Description" as name,
    c."Parent" as parent_cost_center_id,
    c."Site" as site_id
from cost_centers as c
