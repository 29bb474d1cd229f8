select
    k."Material" as item_id,
    -- '*' is the cost of every site that has none of its own.
    case when k."Werk" = '*' then '' else k."Werk" end as site_id,
    k."Gültig ab" as valid_from,
    k."Materialkosten" as material_cost,
    k."Lohnkosten" as labour_cost,
    k."Gemeinkosten" as overhead_cost,
    k."Währung" as currency
from kalkulation as k
