select
    s.stock_date as snapshot_date,
    s.warehouse as site_id,
    s.sku as item_id,
    s.bin_area as location,
    -- This system does not keep stock by lot.
    '' as lot,
    s.on_hand as on_hand_qty,
    s.reserved as reserved_qty,
    s.unit as uom,
    s.value_per_unit as unit_cost,
    s.value_currency as currency
from stock as s
