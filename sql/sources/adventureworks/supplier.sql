select
    v.BusinessEntityID as supplier_id,
    v.Name as name,
    'USD' as currency,
    -- 1 is the best credit rating, 5 the worst.
    v.CreditRating as risk_tier,
    case
        when v.ActiveFlag <> '1' then 'inactive'
        when v.PreferredVendorStatus = '1' then 'preferred'
        else 'active'
    end as status
from vendor as v
