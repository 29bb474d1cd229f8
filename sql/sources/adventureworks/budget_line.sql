select
    -- The files hold one plan: December 2010 to November 2011.
    '2011' as version,
    'budget' as scenario,
    f.AccountKey as account_id,
    f.OrganizationKey || '-' || f.DepartmentGroupKey as cost_center_id,
    date(strftime(f.Date - interval '3d', '%Y-%m-01')) as period_start,
    case when a.Operator = '-' then -f.Amount else f.Amount end as amount,
    'USD' as currency
from fact_finance as f
left join dim_account as a on f.AccountKey = a.AccountKey
where f.ScenarioKey = '2'
