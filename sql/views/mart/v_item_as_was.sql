-- dim_item by date: exactly one version of every member for every day. Written by `make migration`.
-- item_key: Durable key of the item
-- item_id: Item in its master code space
-- name: Name; the id where no master data has come
-- item_type: Kind of item: raw, semi, finished, service
-- category: Category or item group
-- base_uom: Base unit of measure
-- standard_cost: Present standard cost per base unit, in currency
-- list_price: Present list price per base unit, in currency
-- currency: Currency of standard_cost and list_price (ISO 4217)
-- lead_time_days: Planned lead time in days
-- safety_stock_qty: Safety stock, in base units
-- reorder_point_qty: Reorder point, in base units
-- is_active: In use
-- code_space: Master code space of the member's id
-- is_inferred: A code was referenced that no master data has delivered yet
-- is_deleted: Master data no longer lists the member
-- published_at: When this state of the row was published
-- valid_from: First day on which the attributes hold; 1900-01-01 for the first known
-- valid_to: First day on which they no longer hold; 9999-12-31 for the present ones
select
    state.item_key,
    state.item_id,
    state.name,
    state.item_type,
    state.category,
    state.base_uom,
    state.standard_cost,
    state.list_price,
    state.currency,
    state.lead_time_days,
    state.safety_stock_qty,
    state.reorder_point_qty,
    state.is_active,
    state.code_space,
    state.is_inferred,
    state.is_deleted,
    state.published_at,
    case
        when lag(state.valid_from) over by_member is null then date '0001-01-01'
        else state.valid_from
    end as valid_from,
    coalesce(lead(state.valid_from) over by_member, date '9999-12-31') as valid_to
from mart.dim_item_history as state
window by_member as (partition by state.item_key order by state.valid_from)
union all
select
    member.item_key,
    member.item_id,
    member.name,
    member.item_type,
    member.category,
    member.base_uom,
    member.standard_cost,
    member.list_price,
    member.currency,
    member.lead_time_days,
    member.safety_stock_qty,
    member.reorder_point_qty,
    member.is_active,
    member.code_space,
    member.is_inferred,
    member.is_deleted,
    member.published_at,
    date '0001-01-01' as valid_from,
    date '9999-12-31' as valid_to
from mart.dim_item as member
where not exists (
    select 1 from mart.dim_item_history as state
    where state.item_key = member.item_key
)
