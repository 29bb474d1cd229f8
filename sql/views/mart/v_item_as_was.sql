-- dim_item by date: exactly one version of every member for every day. Written by `make migration`.
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
