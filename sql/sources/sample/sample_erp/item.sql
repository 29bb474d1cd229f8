select
    m."Material" as item_id,
    m."Bezeichnung" as name,
    -- A kind that is not listed becomes NULL, and its row is held back until somebody says what it is.
    case m."Art"
        when 'ROH' then 'raw'
        when 'HALB' then 'semi'
        when 'FERT' then 'finished'
        when 'DIEN' then 'service'
    end as item_type,
    m."Warengruppe" as category,
    m."Basis-ME" as base_uom,
    m."Standardpreis" as standard_cost,
    m."Listenpreis" as list_price,
    m."Währung" as currency,
    m."Wiederbeschaffung Tage" as lead_time_days,
    m."Sicherheitsbestand" as safety_stock_qty,
    m."Meldebestand" as reorder_point_qty,
    m."Aktiv" as is_active
from material as m
