-- Every metric by scope and period, against target, prior period and year to date. Grain: metric, scope, member, period.
-- metric_key: Durable key of the metric
-- metric_id: Metric; mart.dim_metric says what it is
-- scope: Kind of scope: company, site, supplier, work_center, cost_center, account_type or item
-- scope_key: Durable key of the member; 0 for the company
-- scope_id: Member in its master code space; '' for the company
-- scope_name: Name of the member
-- period: day, week (ISO 8601), month or fiscal_period
-- period_start: First day of the period
-- period_end: Last day of the period
-- numerator: Numerator of the period under its time rule; for a difference what is taken from
-- denominator: Denominator of the period under its time rule; for a difference what is taken off
-- value: The metric in its unit; NULL where the denominator is 0 or has no rows
-- target: Target that holds on the last day of the period
-- status: green, amber or red; NULL without a value or a target
-- prior_value: Value of the period right before
-- ytd_numerator: Numerator from the beginning of the year to the end of the period
-- ytd_denominator: Denominator from the beginning of the year to the end of the period
-- ytd_value: The metric from the beginning of the year to the end of the period
-- is_complete: The newest delivery of each dataset that its facts have what happened from speaks for the end of the period
-- published_at: When the older of its facts was published last
with taken as (
    select distinct
        held.component_key,
        held.site_key,
        held.date
    from mart.fct_metric_component as held
    where
        held.known_to is null
        and held.component_key in (
            select side.component_key from mart.dim_metric_side as side
            where side.time_rule in ('last', 'average')
        )
),

-- a site's balance stands until its next one, the newest until the last day that any site has
balance as (
    select
        taken.component_key,
        taken.site_key,
        taken.date,
        coalesce(
            lead(taken.date) over (partition by taken.component_key, taken.site_key order by taken.date) - 1,
            max(taken.date) over (partition by taken.component_key)
        ) as last_day
    from taken
),

standing as (
    select
        balance.component_key,
        balance.site_key,
        balance.date,
        days.moment::date as day
    from balance
    cross join lateral generate_series(balance.date, balance.last_day, interval '1 day') as days (moment)
),

leaf as not materialized (
    select
        side.metric_id,
        side.is_numerator,
        side.time_rule,
        side.account_type,
        side.scope,
        held.component_key,
        held.date as day,
        held.site_key,
        held.supplier_key,
        held.work_center_key,
        held.cost_center_key,
        held.account_key,
        held.item_key,
        held.value
    from mart.dim_metric_side as side
    inner join mart.fct_metric_component as held on side.component_key = held.component_key
    where held.known_to is null and side.time_rule in ('sum', 'none')
    union all
    select
        side.metric_id,
        side.is_numerator,
        side.time_rule,
        side.account_type,
        side.scope,
        held.component_key,
        standing.day,
        held.site_key,
        held.supplier_key,
        held.work_center_key,
        held.cost_center_key,
        held.account_key,
        held.item_key,
        held.value
    from mart.dim_metric_side as side
    inner join standing on side.component_key = standing.component_key
    inner join mart.fct_metric_component as held
        on
            standing.component_key = held.component_key
            and standing.site_key = held.site_key
            and standing.date = held.date
    where held.known_to is null and side.time_rule in ('last', 'average')
),

daily as (
    select
        leaf.metric_id,
        leaf.is_numerator,
        leaf.time_rule,
        leaf.component_key,
        leaf.scope,
        case leaf.scope
            when 'company' then 0
            when 'site' then leaf.site_key
            when 'supplier' then leaf.supplier_key
            when 'work_center' then leaf.work_center_key
            when 'cost_center' then coalesce(tree.ancestor_cost_center_key, leaf.cost_center_key)
            when 'account_type' then hashtextextended(coalesce(account.account_type, ''), 0)
            when 'item' then leaf.item_key
        end as scope_key,
        leaf.day,
        sum(leaf.value) as value
    from leaf
    left join mart.dim_account as account on leaf.account_key = account.account_key
    left join mart.dim_cost_center_closure as tree
        on leaf.cost_center_key = tree.descendant_cost_center_key and leaf.scope = 'cost_center'
    where leaf.account_type is null or leaf.account_type = account.account_type
    group by
        leaf.metric_id, leaf.is_numerator, leaf.time_rule, leaf.component_key, leaf.scope, scope_key, leaf.day
),

newest as (
    select
        fact,
        max(published_at) as published_at
    from ops.slice
    group by fact
),

delivered as (
    select
        dataset,
        max(as_of) as as_of
    from ops.extract
    where state = 'accepted'
    group by dataset
),

known as (
    select
        component.component_key,
        days.first_day,
        days.last_day,
        newest.published_at,
        (
            select min(delivered.as_of)
            from delivered
            where delivered.dataset = any(string_to_array(component.datasets, ','))
        ) as delivered_to
    from mart.dim_metric_component as component
    cross join
        lateral (
            select
                min(held.date) as first_day,
                max(held.date) as last_day
            from mart.fct_metric_component as held
            where held.component_key = component.component_key and held.known_to is null
        ) as days
    left join newest on component.fact = newest.fact
    where component.is_current
),

span as (
    select
        min(first_day) as first_day,
        max(last_day) as last_day
    from known
),

calendar as (
    select days.moment::date as day
    from span
    cross join lateral generate_series(span.first_day, span.last_day, interval '1 day') as days (moment)
),

period as (
    select
        'day' as period,
        day,
        day as period_start,
        day as period_end,
        date_trunc('year', day)::date as year_start
    from calendar
    union all
    select
        'week' as period,
        day,
        date_trunc('week', day)::date as period_start,
        date_trunc('week', day)::date + 6 as period_end,
        date_trunc('week', make_date(extract(isoyear from day)::int, 1, 4))::date as year_start
    from calendar
    union all
    select
        'month' as period,
        day,
        date_trunc('month', day)::date as period_start,
        (date_trunc('month', day) + interval '1 month - 1 day')::date as period_end,
        date_trunc('year', day)::date as year_start
    from calendar
    union all
    select
        'fiscal_period' as period,
        date as day,
        min(date) over (partition by fiscal_year, fiscal_period_id) as period_start,
        max(date) over (partition by fiscal_year, fiscal_period_id) as period_end,
        min(date) over (partition by fiscal_year) as year_start
    from mart.dim_date
    where fiscal_period_id is not null
),

-- what days come to under the time rules
summed as (
    select
        daily.metric_id,
        daily.scope,
        daily.scope_key,
        period.period,
        period.period_start,
        period.period_end,
        period.year_start,
        daily.is_numerator,
        daily.component_key,
        sum(daily.value) filter (
            where daily.time_rule <> 'last' or daily.day = least(period.period_end, known.last_day)
        ) as value
    from daily
    inner join period on daily.day = period.day
    inner join known on daily.component_key = known.component_key
    where daily.time_rule <> 'none' or period.period = 'day'
    group by
        daily.metric_id, daily.scope, daily.scope_key, period.period, period.period_start, period.period_end,
        period.year_start, daily.is_numerator, daily.component_key
),

paired as (
    select
        metric_id,
        scope,
        scope_key,
        period,
        period_start,
        period_end,
        year_start,
        sum(value) filter (where is_numerator) as numerator,
        sum(value) filter (where not is_numerator) as denominator
    from summed
    group by metric_id, scope, scope_key, period, period_start, period_end, year_start
),

-- days that the components know of the period, and of the year to the end of the period
spanned as (
    select
        paired.*,
        least(paired.period_end, numerator.last_day) - greatest(paired.period_start, numerator.first_day) + 1 as numerator_days,
        least(paired.period_end, denominator.last_day) - greatest(paired.period_start, denominator.first_day)
        + 1 as denominator_days,
        least(paired.period_end, numerator.last_day) - greatest(paired.year_start, numerator.first_day)
        + 1 as numerator_days_of_year,
        least(paired.period_end, denominator.last_day) - greatest(paired.year_start, denominator.first_day)
        + 1 as denominator_days_of_year,
        least(numerator.published_at, denominator.published_at) as published_at,
        -- what was never delivered is not skipped, as least() would
        case
            when card.denominator_key is null or denominator.delivered_to >= numerator.delivered_to then numerator.delivered_to
            when numerator.delivered_to is not null then denominator.delivered_to
        end as delivered_to
    from paired
    inner join mart.dim_metric as card on paired.metric_id = card.metric_id
    left join known as numerator on card.numerator_key = numerator.component_key
    left join known as denominator on card.denominator_key = denominator.component_key
),

ruled as (
    select
        card.metric_key,
        spanned.metric_id,
        card.combine,
        card.null_rule,
        card.direction,
        card.scale * case card.per
            when 'day' then greatest(spanned.numerator_days, spanned.denominator_days)
            when 'year' then 365.0 / greatest(spanned.numerator_days, spanned.denominator_days)
            else 1
        end as factor,
        card.scale * case card.per
            when 'day' then greatest(spanned.numerator_days_of_year, spanned.denominator_days_of_year)
            when 'year' then 365.0 / greatest(spanned.numerator_days_of_year, spanned.denominator_days_of_year)
            else 1
        end as factor_of_year,
        spanned.scope,
        spanned.scope_key,
        spanned.period,
        spanned.period_start,
        spanned.period_end,
        spanned.published_at,
        coalesce(spanned.period_end <= spanned.delivered_to, false) as is_complete,
        spanned.numerator / case card.numerator_time when 'average' then spanned.numerator_days else 1 end as numerator,
        spanned.denominator / case card.denominator_time when 'average' then spanned.denominator_days else 1 end
            as denominator,
        case card.numerator_time
            when 'sum' then sum(spanned.numerator) over of_year
            when 'average' then sum(spanned.numerator) over of_year / spanned.numerator_days_of_year
            when 'last' then spanned.numerator
        end as ytd_numerator,
        case card.denominator_time
            when 'sum' then sum(spanned.denominator) over of_year
            when 'average' then sum(spanned.denominator) over of_year / spanned.denominator_days_of_year
            when 'last' then spanned.denominator
        end as ytd_denominator
    from spanned
    inner join mart.dim_metric as card on spanned.metric_id = card.metric_id
    where spanned.period = any(string_to_array(card.periods, ','))
    window of_year as (
        partition by spanned.metric_id, spanned.scope, spanned.scope_key, spanned.period, spanned.year_start
        order by spanned.period_start
    )
),

-- what has no rows counts as nothing where the card says so
filled as (
    select
        metric_key,
        metric_id,
        direction,
        combine,
        factor,
        factor_of_year,
        scope,
        scope_key,
        period,
        period_start,
        period_end,
        published_at,
        is_complete,
        case when null_rule = 'zero' then coalesce(numerator, 0) else numerator end as numerator,
        case when null_rule = 'zero' and combine = 'difference' then coalesce(denominator, 0) else denominator end
            as denominator,
        case when null_rule = 'zero' then coalesce(ytd_numerator, 0) else ytd_numerator end as ytd_numerator,
        case
            when null_rule = 'zero' and combine = 'difference' then coalesce(ytd_denominator, 0)
            else ytd_denominator
        end as ytd_denominator
    from ruled
),

valued as (
    select
        metric_key,
        metric_id,
        direction,
        scope,
        scope_key,
        period,
        period_start,
        period_end,
        published_at,
        is_complete,
        numerator,
        denominator,
        ytd_numerator,
        ytd_denominator,
        factor * case combine
            when 'ratio' then numerator / nullif(denominator, 0)
            when 'difference' then numerator - denominator
            else numerator
        end as value,
        factor_of_year * case combine
            when 'ratio' then ytd_numerator / nullif(ytd_denominator, 0)
            when 'difference' then ytd_numerator - ytd_denominator
            else ytd_numerator
        end as ytd_value
    from filled
),

compared as (
    select
        *,
        case when lag(period_end) over by_period = period_start - 1 then lag(value) over by_period end as prior_value
    from valued
    window by_period as (partition by metric_id, scope, scope_key, period order by period_start)
),

account_type as (
    select
        account_type as scope_id,
        hashtextextended(account_type, 0) as scope_key
    from mart.dim_account
    where account_type is not null
    group by account_type
),

-- each by its primary key, so that a bad estimate of the rows costs little
named as (
    select
        compared.*,
        coalesce(
            site.site_id, supplier.supplier_id, work_center.work_center_id, cost_center.cost_center_id, item.item_id,
            account_type.scope_id, ''
        ) as scope_id,
        coalesce(
            site.name, supplier.name, work_center.name, cost_center.name, item.name, account_type.scope_id,
            case compared.scope when 'company' then 'company' else 'unknown' end
        ) as scope_name
    from compared
    left join mart.dim_site as site on compared.scope = 'site' and compared.scope_key = site.site_key
    left join mart.dim_supplier as supplier
        on compared.scope = 'supplier' and compared.scope_key = supplier.supplier_key
    left join mart.dim_work_center as work_center
        on compared.scope = 'work_center' and compared.scope_key = work_center.work_center_key
    left join mart.dim_cost_center as cost_center
        on compared.scope = 'cost_center' and compared.scope_key = cost_center.cost_center_key
    left join mart.dim_item as item on compared.scope = 'item' and compared.scope_key = item.item_key
    left join account_type on compared.scope = 'account_type' and compared.scope_key = account_type.scope_key
)

select
    named.metric_key,
    named.metric_id,
    named.scope,
    named.scope_key,
    named.scope_id,
    named.scope_name,
    named.period,
    named.period_start,
    named.period_end,
    named.numerator,
    named.denominator,
    named.value,
    goal.target,
    case
        when named.value is null or goal.target is null then null
        when named.value < goal.red_below or named.value > goal.red_above then 'red'
        when named.direction = 'higher' and named.value < goal.target then 'amber'
        when named.direction = 'lower' and named.value > goal.target then 'amber'
        else 'green'
    end as status,
    named.prior_value,
    named.ytd_numerator,
    named.ytd_denominator,
    named.ytd_value,
    named.is_complete,
    named.published_at
from named
left join lateral (
    select
        aim.target,
        aim.red_below,
        aim.red_above
    from mart.dim_metric_target as aim
    where
        aim.metric_key = named.metric_key
        and aim.scope = named.scope
        and aim.scope_id in ('', named.scope_id)
        and aim.period in ('', named.period)
        and aim.valid_from <= named.period_end
        and named.period_end < aim.valid_to
    order by aim.scope_id desc, aim.period desc, aim.valid_from desc
    limit 1
) as goal on true
