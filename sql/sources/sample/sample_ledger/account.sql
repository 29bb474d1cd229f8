select
    a."Account" as account_id,
    a."Description" as name,
    case a."Type"
        when 'A' then 'asset'
        when 'L' then 'liability'
        when 'Q' then 'equity'
        when 'R' then 'revenue'
        when 'E' then 'expense'
    end as account_type,
    a."Parent" as parent_account_id,
    case a."Normal Side" when 'D' then 'debit' when 'C' then 'credit' end as normal_side
from accounts as a
