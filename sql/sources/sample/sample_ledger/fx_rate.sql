select
    r."date" as rate_date,
    r."from" as from_currency,
    r."to" as to_currency,
    -- M middle of the day, P plan.
    case r."type" when 'M' then 'average' when 'P' then 'plan' end as rate_type,
    r."rate" as rate
from rates as r
