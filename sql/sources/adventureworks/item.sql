select
    p.ProductID as item_id,
    p.Name as name,
    case
        when p.FinishedGoodsFlag = '1' then 'finished'
        when p.MakeFlag = '1' then 'semi'
        else 'raw'
    end as item_type,
    p.ProductLine as category,
    'EA' as base_uom,
    p.StandardCost as standard_cost,
    p.ListPrice as list_price,
    'USD' as currency,
    p.DaysToManufacture as lead_time_days,
    p.SafetyStockLevel as safety_stock_qty,
    p.ReorderPoint as reorder_point_qty,
    p.SellEndDate is null and p.DiscontinuedDate is null as is_active
from product as p
