-- Rows held back, counted per delivery and rule; the rows themselves are not for readers. Grain: extract_id, rule.
select
    delivery.source,
    delivery.dataset,
    delivery.slot,
    delivery.extract_id,
    held.rule,
    held.column_name,
    count(*) as row_count,
    count(*) filter (where held.replayed_at is not null) as replayed_count,
    max(held.quarantined_at) as quarantined_at
from ops.quarantined_row as held
inner join ops.extract as delivery on held.extract_id = delivery.extract_id
group by delivery.source, delivery.dataset, delivery.slot, delivery.extract_id, held.rule, held.column_name
