-- Process control: every metric of a work centre, by day. Grain: metric, site, work centre, day.
-- metric_key: Durable key of the metric
-- metric_id: Metric; mart.dim_metric says what it is
-- metric: Name of the metric
-- unit: Unit of the value
-- direction: Better is: higher, lower, or near the target
-- site_key: Site at which the work was done
-- site_id: Site in its master code space
-- work_center_key: Work centre
-- work_center_id: Work centre in its master code space
-- work_center: Name of the work centre
-- area: Area or department within the site
-- date: Business date
-- numerator: Numerator of the day; rows of a site and month add up to mart.v_operations_scorecard
-- denominator: Denominator of the day; adds up likewise
-- value: The metric in its unit; NULL where the denominator is 0 or has no rows
-- usual_value: The metric over those of the 28 days before that have rows: a ratio of their sums, else their mean
-- target: Target of the work centre that holds on the day
-- status: green, amber or red against the target; NULL without a value or a target
with worked as (
    select
        card.metric_key,
        held.site_key,
        held.work_center_key,
        held.date,
        coalesce(
            sum(held.value) filter (where held.component_key = card.numerator_key),
            case card.null_rule when 'zero' then 0 end
        ) as numerator,
        coalesce(
            sum(held.value) filter (where held.component_key = card.denominator_key),
            case when card.null_rule = 'zero' and card.combine = 'difference' then 0 end
        ) as denominator
    from mart.dim_metric as card
    inner join mart.fct_metric_component as held
        on held.component_key in (card.numerator_key, card.denominator_key)
    where held.known_to is null and 'work_center' = any(string_to_array(card.scopes, ','))
    group by card.metric_key, card.null_rule, card.combine, held.site_key, held.work_center_key, held.date
),

usual as (
    select
        *,
        sum(numerator) over before as usual_numerator,
        sum(denominator) over before as usual_denominator,
        count(*) over before as usual_days
    from worked
    window before as (
        partition by metric_key, site_key, work_center_key
        order by date
        range between interval '28 days' preceding and interval '1 day' preceding
    )
),

valued as (
    select
        usual.*,
        card.metric_id,
        card.name as metric,
        card.unit,
        card.direction,
        card.scale * case card.combine
            when 'ratio' then usual.numerator / nullif(usual.denominator, 0)
            when 'difference' then usual.numerator - usual.denominator
            else usual.numerator
        end as value,
        card.scale * case card.combine
            when 'ratio' then usual.usual_numerator / nullif(usual.usual_denominator, 0)
            when 'difference' then (usual.usual_numerator - usual.usual_denominator) / usual.usual_days
            else usual.usual_numerator / usual.usual_days
        end as usual_value
    from usual
    inner join mart.dim_metric as card on usual.metric_key = card.metric_key
)

select
    valued.metric_key,
    valued.metric_id,
    valued.metric,
    valued.unit,
    valued.direction,
    valued.site_key,
    site.site_id,
    valued.work_center_key,
    place.work_center_id,
    place.name as work_center,
    place.area,
    valued.date,
    valued.numerator,
    valued.denominator,
    valued.value,
    valued.usual_value,
    goal.target,
    case
        when valued.value is null or goal.target is null then null
        when valued.value < goal.red_below or valued.value > goal.red_above then 'red'
        when valued.direction = 'higher' and valued.value < goal.target then 'amber'
        when valued.direction = 'lower' and valued.value > goal.target then 'amber'
        else 'green'
    end as status
from valued
left join mart.dim_site as site on valued.site_key = site.site_key
left join mart.dim_work_center as place on valued.work_center_key = place.work_center_key
left join lateral (
    select
        aim.target,
        aim.red_below,
        aim.red_above
    from mart.dim_metric_target as aim
    where
        aim.metric_key = valued.metric_key
        and aim.scope = 'work_center'
        and aim.scope_id in ('', place.work_center_id)
        and aim.period in ('', 'day')
        and aim.valid_from <= valued.date
        and valued.date < aim.valid_to
    order by aim.scope_id desc, aim.period desc, aim.valid_from desc
    limit 1
) as goal on true
