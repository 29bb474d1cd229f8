select
    w."Werk" as site_id,
    w."Name" as name,
    w."Land" as country,
    w."Zeitzone" as time_zone,
    w."Währung" as currency
from werke as w
