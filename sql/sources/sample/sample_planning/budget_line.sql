select
    b."Version" as version,
    case b."Kind"
        when 'Budget' then 'budget'
        when 'Forecast' then 'forecast'
        when 'Target' then 'target'
    end as scenario,
    b."Account" as account_id,
    b."Cost centre" as cost_center_id,
    b."Month" as period_start,
    b."Amount" as amount,
    b."Currency" as currency,
    b."Of it fixed" as fixed_amount,
    b."Rate per driver" as variable_rate,
    b."Driver" as driver
from budget as b
