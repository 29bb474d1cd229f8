select
    a.AccountKey as account_id,
    a.AccountDescription as name,
    case
        when a.AccountType = 'Assets' or a.AccountKey = '1' then 'asset'
        -- The owners' equity accounts are those whose code begins with 3.
        when a.AccountType = 'Liabilities' and a.AccountCodeAlternateKey like '3%' then 'equity'
        when a.AccountType = 'Liabilities' then 'liability'
        when a.AccountType = 'Revenue' then 'revenue'
        when a.AccountType = 'Expenditures' then 'expense'
        -- Headcount, units, floor space: counted, not booked.
        else 'statistical'
    end as account_type,
    a.ParentAccountKey as parent_account_id,
    -- The operator says how an account goes into its parent: '-' turns its sign.
    case
        when a.AccountType in ('Liabilities', 'Revenue') and a.Operator <> '-' then 'credit'
        when a.AccountType = 'Expenditures' and a.Operator = '-' then 'credit'
        else 'debit'
    end as normal_side
from dim_account as a
