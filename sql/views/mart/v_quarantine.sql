-- Rows held back, counted per delivery and rule; the rows themselves are not for readers. Grain: extract_id, rule.
-- source: Source that delivered
-- dataset: Dataset delivered
-- slot: What the delivery speaks for
-- extract_id: Id of the delivery
-- rule: Row rule that was broken, or what could not be read
-- column_name: Column that the rule is about, or that could not be read
-- row_count: Rows of the delivery that break the rule
-- replayed_count: Of them taken later, after a correction
-- quarantined_at: When the last of them was held back
with kept as (
    select
        extract_id,
        rule,
        min(column_name) as column_name,
        max(quarantined_at) as quarantined_at
    from ops.quarantined_row
    group by extract_id, rule
)

select
    delivery.source,
    delivery.dataset,
    delivery.slot,
    delivery.extract_id,
    counted.rule,
    kept.column_name,
    counted.row_count,
    counted.row_count - counted.held_count as replayed_count,
    kept.quarantined_at
from ops.quarantine_count as counted
inner join ops.extract as delivery on counted.extract_id = delivery.extract_id
left join kept on counted.extract_id = kept.extract_id and counted.rule = kept.rule
