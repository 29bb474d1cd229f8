-- AdventureWorks' metrics over the raw files, for DuckDB: by day and month, of the company, its suppliers, places of
-- work, cost centres and kinds of account. Written from what the cards say; {folder} is where the files are.
with recursive organisation as (
    select column0 as id, column1 as parent
    from read_csv('{folder}/dw/DimOrganization.csv', delim = '|', header = false, all_varchar = true, quote = '')
),

-- every organisation with each above it
above as (
    select id, id as upper from organisation
    union all
    select above.id, organisation.parent as upper
    from above join organisation on above.upper = organisation.id
    where organisation.parent <> ''
),

line as (
    select
        h.column04 as supplier,
        d.column00 as po,
        d.column01 as line,
        h.column02::int as state, -- 1 pending, 2 approved, 3 rejected, 4 complete
        h.column06::timestamp::date as ordered_on,
        h.column07::timestamp::date as shipped_on,
        d.column02::timestamp::date as due_on,
        d.column03::decimal(18, 4) as ordered,
        d.column05::decimal(18, 4) as price,
        d.column07::decimal(18, 4) as received,
        d.column08::decimal(18, 4) as rejected
    from read_csv('{folder}/oltp/PurchaseOrderDetail.csv', delim = '\t', header = false, all_varchar = true, quote = '') as d
    join read_csv('{folder}/oltp/PurchaseOrderHeader.csv', delim = '\t', header = false, all_varchar = true, quote = '') as h
        on d.column00 = h.column00
),

judged as (
    select
        *,
        received > 0 and received >= ordered as is_full,
        received > 0 and shipped_on <= due_on as is_in_time,
        -- decided: full, closed, or something came too late
        (received > 0 and received >= ordered) or state = 4 or (received > 0 and shipped_on > due_on) as is_decided
    from line
    where state <> 3
),

work_order as (
    select
        column0 as id,
        column2::decimal(18, 4) as planned,
        column3::decimal(18, 4) as good,
        column4::decimal(18, 4) as scrapped,
        column5::timestamp as started,
        column6::timestamp as ended,
        column7::timestamp as due
    from read_csv('{folder}/oltp/WorkOrder.csv', delim = '\t', header = false, all_varchar = true, quote = '')
),

routing as (
    select
        column00 as id,
        column04::timestamp as planned_start,
        column05::timestamp as planned_end,
        column06::timestamp as started,
        column07::timestamp as ended,
        column03 as place,
        column08::decimal(18, 4) as hours,
        column09::decimal(18, 4) as planned_cost,
        column10::decimal(18, 4) as cost,
        column02::int = max(column02::int) over (partition by column00) as is_last
    from read_csv('{folder}/oltp/WorkOrderRouting.csv', delim = '\t', header = false, all_varchar = true, quote = '')
),

step as (
    select
        routing.*,
        case when is_last then work_order.good else 0 end as good,
        case when is_last then work_order.scrapped else 0 end as scrapped
    from routing
    join work_order using (id)
),

worked as (select id, sum(hours) as hours from routing group by id),

finished as (
    select *, ended::date as day, date_diff('second', started, ended) / 3600 as elapsed_h
    from work_order left join worked using (id)
    where ended is not null
),

booked as (
    select
        f.column4 as scenario,
        f.column2 as organisation,
        f.column3 as department,
        case
            when a.column5 = 'Assets' or a.column0 = '1' then 'asset'
            when a.column5 = 'Liabilities' and a.column2 like '3%' then 'equity'
            when a.column5 = 'Liabilities' then 'liability'
            when a.column5 = 'Revenue' then 'revenue'
            when a.column5 = 'Expenditures' then 'expense'
            else 'statistical'
        end as kind,
        (f.column7::timestamp - interval 3 day)::date as day,
        -- debits count up
        case when a.column5 in ('Liabilities', 'Revenue') then -1 else 1 end * round(f.column6::decimal(28, 10), 4) as debit
    from read_csv('{folder}/dw/FactFinance.csv', delim = '|', header = false, all_varchar = true, quote = '') as f
    join read_csv('{folder}/dw/DimAccount.csv', delim = '|', header = false, all_varchar = true, quote = '') as a
        on f.column5 = a.column0
),

kinds as (
    select
        date_trunc('month', day)::date as day,
        organisation,
        department,
        kind,
        coalesce(sum(debit) filter (where scenario = '1'), 0) as actual,
        coalesce(sum(debit) filter (where scenario = '2'), 0) as budget
    from booked
    -- months that are planned
    where date_trunc('month', day) in (select date_trunc('month', day) from booked where scenario = '2')
    group by 1, 2, 3, 4
),

part as (
    select 'supplier_on_time_promised' as metric, supplier, due_on as day, is_in_time::int as n, 1 as d from judged where is_decided
    union all by name
    select 'supplier_otif_promised' as metric, supplier, due_on as day, (is_in_time and is_full)::int as n, 1 as d from judged where is_decided
    union all by name
    select 'supplier_in_full' as metric, supplier, due_on as day, is_full::int as n, 1 as d from judged where is_decided
    union all by name
    select 'supplier_fill_rate' as metric, supplier, due_on as day, least(received, ordered) * price as n, ordered * price as d
    from judged where is_decided
    union all by name
    select 'supplier_lead_time' as metric, supplier, shipped_on as day, shipped_on - ordered_on as n, 1 as d from judged where received > 0
    union all by name
    select 'supplier_reject_ppm' as metric, supplier, shipped_on as day, rejected as n, received as d from line where received > 0
    union all by name
    select 'supplier_spend' as metric, supplier, shipped_on as day, received * price as n from line where received > 0
    union all by name
    select 'purchase_order_value' as metric, supplier, ordered_on as day, ordered * price as n from judged
    union all by name
    select 'open_order_value' as metric, supplier, ordered_on as day, greatest(ordered - received, 0) * price as n from judged where state < 3
    union all by name
    select 'late_order_value' as metric, supplier, due_on as day, greatest(ordered - received, 0) * price as n from judged where state < 3
    union all by name
    select 'order_late_ratio' as metric, day, (ended > due)::int as n, 1 as d from finished
    union all by name
    select 'order_lateness_days' as metric, day, greatest(day - due::date, 0) as n, 1 as d from finished
    union all by name
    select
        'schedule_attainment' as metric,
        due::date as day,
        case when ended::date <= due::date then least(good, planned) else 0 end as n,
        planned as d
    from work_order
    union all by name
    select 'production_output' as metric, day, good as n from finished
    union all by name
    select 'throughput_rate' as metric, day, good + scrapped as n, elapsed_h as d from finished
    union all by name
    select 'order_scrap_ratio' as metric, day, scrapped as n, good + scrapped as d from finished
    union all by name
    select 'order_elapsed_time' as metric, day, elapsed_h as n, 1 as d from finished
    union all by name
    select 'production_process_ratio' as metric, day, hours as n, elapsed_h as d from finished where hours is not null
    union all by name
    select 'scrap_ratio' as metric, place, 'main' as site, ended::date as day, scrapped as n, good + scrapped as d from step
    union all by name
    select 'rework_ratio' as metric, place, 'main' as site, ended::date as day, 0 as n, good + scrapped as d from step
    union all by name
    select 'first_pass_yield' as metric, place, 'main' as site, ended::date as day, good as n, good + scrapped as d from step
    union all by name
    select 'cycle_time' as metric, place, 'main' as site, ended::date as day, hours * 60 as n, good + scrapped as d from step
    union all by name
    select
        'run_to_standard_time' as metric,
        place, 'main' as site,
        ended::date as day,
        date_diff('minute', started, ended) as n,
        date_diff('minute', planned_start, planned_end) as d
    from step where planned_end > planned_start
    union all by name
    select 'operation_late_ratio' as metric, place, 'main' as site, ended::date as day, (ended > planned_end)::int as n, 1 as d from step
    union all by name
    select 'resource_hours' as metric, place, 'main' as site, ended::date as day, hours as n from step
    union all by name
    select 'operation_cost_to_plan' as metric, place, 'main' as site, ended::date as day, cost as n, planned_cost as d from step
    union all by name
    select 'operation_cost_variance' as metric, place, 'main' as site, ended::date as day, planned_cost as n, cost as d from step
    union all by name
    select 'cost_per_good_unit' as metric, place, 'main' as site, ended::date as day, cost as n from step
    union all by name
    select 'cost_per_good_unit' as metric, day, good as d from finished
    union all by name
    select 'actual_cost' as metric, organisation, department, day, debit as n from booked where scenario = '1' and kind = 'expense'
    union all by name
    select 'opex_ratio' as metric, organisation, department, day, debit as n from booked where scenario = '1' and kind = 'expense'
    union all by name
    select 'opex_ratio' as metric, organisation, department, day, -debit as d from booked where scenario = '1' and kind = 'revenue'
    union all by name
    select 'budget_cost' as metric, organisation, department, day, budget as n from kinds where kind = 'expense'
    union all by name
    select 'budget_variance' as metric, organisation, department, day, budget as n, actual as d from kinds where kind = 'expense'
    union all by name
    select 'budget_burn' as metric, organisation, department, day, actual as n, budget as d from kinds where kind = 'expense'
    union all by name
    select 'account_actual' as metric, organisation, department, day, kind, debit as n from booked where scenario = '1'
    union all by name
    select 'account_budget' as metric, organisation, department, day, kind, budget as n from kinds
    union all by name
    select 'account_variance' as metric, organisation, department, day, kind, budget as n, actual as d from kinds
    union all by name
    select 'account_burn' as metric, organisation, department, day, kind, actual as n, budget as d from kinds
),

member as (
    select 'company' as scope, '' as scope_id, part.* from part where kind is null
    union all
    select 'account_type' as scope, kind as scope_id, part.* from part where kind is not null
    union all
    select 'supplier' as scope, supplier as scope_id, part.* from part where supplier is not null
    union all
    select 'work_center' as scope, place as scope_id, part.* from part where place is not null
    union all
    -- most files know no site
    select 'site' as scope, coalesce(site, '(unknown)') as scope_id, part.* from part where kind is null
    union all
    select 'cost_center' as scope, above.upper || '-' || department as scope_id, part.*
    from part join above on part.organisation = above.id
    where kind is null
),

summed as (
    select metric, scope, scope_id, 'day' as period, day as period_start, sum(n) as n, sum(d) as d
    from member
    group by all
    union all
    select metric, scope, scope_id, 'month' as period, date_trunc('month', day)::date as period_start, sum(n) as n, sum(d) as d
    from member
    group by all
)

select
    metric,
    scope,
    scope_id,
    period,
    period_start,
    n::double as numerator,
    d::double as denominator,
    case
        when metric like '%_variance' then n - d
        when count(d) over (partition by metric) = 0 then n
        when metric = 'supplier_reject_ppm' then 1e6 * n / nullif(d, 0)
        when
            metric in (
                'supplier_lead_time', 'order_lateness_days', 'throughput_rate', 'order_elapsed_time', 'cycle_time',
                'cost_per_good_unit'
            )
            then n / nullif(d, 0)
        else 100 * n / nullif(d, 0)
    end::double as value
from summed
