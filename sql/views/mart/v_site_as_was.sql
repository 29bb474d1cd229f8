-- dim_site by date: exactly one version of every member for every day. Written by `make migration`.
select
    state.site_key,
    state.site_id,
    state.name,
    state.country,
    state.time_zone,
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
from mart.dim_site_history as state
window by_member as (partition by state.site_key order by state.valid_from)
union all
select
    member.site_key,
    member.site_id,
    member.name,
    member.country,
    member.time_zone,
    member.currency,
    member.code_space,
    member.is_inferred,
    member.is_deleted,
    member.published_at,
    date '0001-01-01' as valid_from,
    date '9999-12-31' as valid_to
from mart.dim_site as member
where not exists (
    select 1 from mart.dim_site_history as state
    where state.site_key = member.site_key
)
