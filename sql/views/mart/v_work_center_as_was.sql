-- dim_work_center by date: exactly one version of every member for every day. Written by `make migration`.
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
