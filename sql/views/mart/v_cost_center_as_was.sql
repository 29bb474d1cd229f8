-- dim_cost_center by date: exactly one version of every member for every day. Written by `make migration`.
-- cost_center_key: Durable key of the cost centre
-- cost_center_id: Cost centre in its master code space
-- name: Name; the id where no master data has come
-- site_id: Site it belongs to, as delivered
-- site_key: Site it belongs to
-- parent_cost_center_id: Cost centre it rolls up to, as delivered
-- parent_cost_center_key: Cost centre it rolls up to; -2 for a root
-- code_space: Master code space of the member's id
-- is_inferred: A code was referenced that no master data has delivered yet
-- is_deleted: Master data no longer lists the member
-- published_at: When this state of the row was published
-- valid_from: First day on which the attributes hold; 1900-01-01 for the first known
-- valid_to: First day on which they no longer hold; 9999-12-31 for the present ones
select
    state.cost_center_key,
    state.cost_center_id,
    state.name,
    state.site_id,
    state.site_key,
    state.parent_cost_center_id,
    state.parent_cost_center_key,
    state.code_space,
    state.is_inferred,
    state.is_deleted,
    state.published_at,
    case
        when lag(state.valid_from) over by_member is null then date '0001-01-01'
        else state.valid_from
    end as valid_from,
    coalesce(lead(state.valid_from) over by_member, date '9999-12-31') as valid_to
from mart.dim_cost_center_history as state
window by_member as (partition by state.cost_center_key order by state.valid_from)
union all
select
    member.cost_center_key,
    member.cost_center_id,
    member.name,
    member.site_id,
    member.site_key,
    member.parent_cost_center_id,
    member.parent_cost_center_key,
    member.code_space,
    member.is_inferred,
    member.is_deleted,
    member.published_at,
    date '0001-01-01' as valid_from,
    date '9999-12-31' as valid_to
from mart.dim_cost_center as member
where not exists (
    select 1 from mart.dim_cost_center_history as state
    where state.cost_center_key = member.cost_center_key
)
