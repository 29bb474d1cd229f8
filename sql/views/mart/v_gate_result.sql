-- What every gate said last about each thing it judged, ready to be charted by day. Grain: gate, subject.
-- gate: Gate
-- judged: Dataset of the delivery, or fact of the slices
-- source: Source that delivered, or anchors the slices
-- day: Day the delivery speaks as of, or day of the (first) slice
-- until: Day of the last slice, where several that passed are told of as one
-- subject: Delivery or slices judged, as shown in messages
-- severity: fail holds back what it judges, warn only tells
-- status: passed, warned or failed
-- value: What was measured, where that is a number
-- observed: What was found
-- expected: What was expected
-- checked_at: When it was judged
-- run_id: Run that judged it
select distinct on (gate, subject)
    gate,
    judged,
    source,
    day,
    until,
    subject,
    severity,
    status,
    value,
    observed,
    expected,
    checked_at,
    run_id
from ops.gate_result
order by gate asc, subject asc, checked_at desc
