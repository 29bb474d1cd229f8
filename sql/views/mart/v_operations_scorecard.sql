-- Operations scorecard: every metric of a site, and of the company, by month against plan. Grain: metric, site, month.
-- metric_key: Durable key of the metric
-- metric_id: Metric; mart.dim_metric says what it is
-- metric: Name of the metric
-- unit: Unit of the value
-- direction: Better is: higher, lower, or near the target
-- owner: Role that answers for the metric
-- scope: site, or company for all sites together; do not add the two
-- site_key: Site; 0 for the company
-- site_id: Site in its master code space; '' for the company
-- site: Name of the site
-- month_start: First day of the month
-- numerator: Numerator of the month
-- denominator: Denominator of the month
-- value: The metric in its unit; NULL where the denominator is 0 or has no rows
-- plan: Target of the site or the company that holds at the end of the month
-- variance_to_plan: value - plan
-- status: green, amber or red against plan; NULL without a value or a plan
-- prior_value: Value of the month before
-- change_to_prior: value - prior_value
-- ytd_value: The metric from the beginning of the year to the end of the month
-- is_complete: The newest deliveries of what its facts are made of speak for the end of the month or later
-- published_at: When the older of its facts was published last
select
    measured.metric_key,
    measured.metric_id,
    card.name as metric,
    card.unit,
    card.direction,
    card.owner,
    measured.scope,
    measured.scope_key as site_key,
    measured.scope_id as site_id,
    measured.scope_name as site,
    measured.period_start as month_start,
    measured.numerator,
    measured.denominator,
    measured.value,
    measured.target as plan,
    measured.value - measured.target as variance_to_plan,
    measured.status,
    measured.prior_value,
    measured.value - measured.prior_value as change_to_prior,
    measured.ytd_value,
    measured.is_complete,
    measured.published_at
from mart.v_metric as measured
inner join mart.dim_metric as card on measured.metric_key = card.metric_key
where measured.period = 'month' and measured.scope in ('site', 'company')
