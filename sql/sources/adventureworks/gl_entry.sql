select
    f.FinanceKey as journal_id,
    '1' as line_no,
    -- The odd month ends belong to the month of the day three days earlier.
    cast(f.Date - interval '3d' as date) as posted_on,
    f.AccountKey as account_id,
    f.OrganizationKey || '-' || f.DepartmentGroupKey as cost_center_id,
    -- A positive amount is booked on the side of the account's type; the operator only signs the roll-up (account.sql).
    case when (a.AccountType in ('Liabilities', 'Revenue')) = (f.Amount < 0) then abs(f.Amount) else 0 end as debit,
    case when (a.AccountType in ('Liabilities', 'Revenue')) <> (f.Amount < 0) then abs(f.Amount) else 0 end as credit,
    'USD' as currency
from fact_finance as f
left join dim_account as a on f.AccountKey = a.AccountKey
where f.ScenarioKey = '1'
