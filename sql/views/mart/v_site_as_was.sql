-- dim_site by date: exactly one version of every member for every day. Written by `make migration`.
-- site_key: Durable key of the site
-- site_id: Site in its master code space
-- name: Name; the id where no master data has come
-- country: ISO 3166-1 alpha-2 country code
-- time_zone: IANA time zone of the site's clock
-- currency: Functional currency of the site (ISO 4217)
-- code_space: Master code space of the member's id
-- is_inferred: A code was referenced that no master data has delivered yet
-- is_deleted: Master data no longer lists the member
-- published_at: When this state of the row was published
-- valid_from: First day on which the attributes hold; 1900-01-01 for the first known
-- valid_to: First day on which they no longer hold; 9999-12-31 for the present ones
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
