select
    p."Calendar" as calendar_id,
    p."Period" as period_id,
    p."First Day" as starts_on,
    p."Last Day" as ends_on,
    p."Year" as fiscal_year,
    p."Quarter" as fiscal_quarter
from fiscal_periods as p
