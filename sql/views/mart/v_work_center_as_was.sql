-- dim_work_center by date: exactly one version of every member for every day. Written by `make migration`.
-- work_center_key: Durable key of the work centre
-- work_center_id: Work centre in its master code space
-- name: Name; the id where no master data has come
-- site_id: Site it stands at, as delivered
-- site_key: Site it stands at
-- area: Area or department within the site
-- capacity_h_per_day: Hours of capacity per day, all parallel units together
-- cost_rate_per_h: Cost per hour, in currency
-- currency: Currency of cost_rate_per_h (ISO 4217)
-- code_space: Master code space of the member's id
-- is_inferred: A code was referenced that no master data has delivered yet
-- is_deleted: Master data no longer lists the member
-- published_at: When this state of the row was published
-- valid_from: First day on which the attributes hold; 1900-01-01 for the first known
-- valid_to: First day on which they no longer hold; 9999-12-31 for the present ones
select
    state.work_center_key,
    state.work_center_id,
    state.name,
    state.site_id,
    state.site_key,
    state.area,
    state.capacity_h_per_day,
    state.cost_rate_per_h,
    state.currency,
    state.code_space,
    state.is_inferred,
    state.is_deleted,
    state.published_at,
    case
        when lag(state.valid_from) over by_member is null then date '0001-01-01'
        else state.valid_from
    end as valid_from,
    coalesce(lead(state.valid_from) over by_member, date '9999-12-31') as valid_to
from mart.dim_work_center_history as state
window by_member as (partition by state.work_center_key order by state.valid_from)
union all
select
    member.work_center_key,
    member.work_center_id,
    member.name,
    member.site_id,
    member.site_key,
    member.area,
    member.capacity_h_per_day,
    member.cost_rate_per_h,
    member.currency,
    member.code_space,
    member.is_inferred,
    member.is_deleted,
    member.published_at,
    date '0001-01-01' as valid_from,
    date '9999-12-31' as valid_to
from mart.dim_work_center as member
where not exists (
    select 1 from mart.dim_work_center_history as state
    where state.work_center_key = member.work_center_key
)
