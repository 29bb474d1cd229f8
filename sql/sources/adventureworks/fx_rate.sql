select
    cast(r.CurrencyRateDate as date) as rate_date,
    r.FromCurrencyCode as from_currency,
    r.ToCurrencyCode as to_currency,
    'average' as rate_type,
    r.AverageRate as rate
from currency_rate as r
