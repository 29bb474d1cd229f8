select
    l."Lieferant" as supplier_id,
    l."Name" as name,
    l."Land" as country,
    l."Währung" as currency,
    l."Zahlungsziel" as payment_terms_days,
    l."Risikoklasse" as risk_tier,
    case l."Status"
        when 'A' then 'active'
        when 'B' then 'preferred'
        when 'G' then 'blocked'
    end as status
from lieferant as l
