-- What every gate said last about each thing it judged. Grain: gate, subject.
select distinct on (gate, subject)
    gate,
    subject,
    severity,
    status,
    observed,
    expected,
    checked_at,
    run_id
from ops.gate_result
order by gate asc, subject asc, checked_at desc
