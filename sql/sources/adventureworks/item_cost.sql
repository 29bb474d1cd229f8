select
    h.ProductID as item_id,
    -- Costs are the company's, not a site's.
    '' as site_id,
    cast(h.StartDate as date) as valid_from,
    h.StandardCost as material_cost,
    'USD' as currency
from product_cost_history as h
