-- How fresh each source's data is: its last accepted delivery per dataset. Grain: source, dataset.
-- source: Source that delivers
-- dataset: Dataset delivered
-- slot: What the last accepted delivery speaks for
-- as_of: Day it speaks as of
-- last_date: Latest day of its rows
-- landed_at: When it landed
-- accepted_at: When it was accepted
-- rows_accepted: Its rows that went on
-- rows_quarantined: Its rows held back by a row rule
-- blocked_count: Deliveries of the dataset that a gate holds back
with deliveries as (
    select
        source,
        dataset,
        slot,
        revision,
        as_of,
        last_date,
        landed_at,
        accepted_at,
        rows_accepted,
        rows_quarantined,
        row_number() over (partition by source, dataset order by as_of desc, revision desc, accepted_at desc) as rank
    from ops.extract
    where state = 'accepted'
),

held_back as (
    select
        source,
        dataset,
        count(*) as blocked_count
    from ops.extract
    where state = 'blocked'
    group by source, dataset
)

select
    deliveries.source,
    deliveries.dataset,
    deliveries.slot,
    deliveries.as_of,
    deliveries.last_date,
    deliveries.landed_at,
    deliveries.accepted_at,
    deliveries.rows_accepted,
    deliveries.rows_quarantined,
    coalesce(held_back.blocked_count, 0) as blocked_count
from deliveries
left join held_back on deliveries.source = held_back.source and deliveries.dataset = held_back.dataset
where deliveries.rank = 1
