-- The newest version and sighting of every key with their orders spelled out. Grain: dataset, key_hash.
-- dataset: Dataset
-- key_hash: Hash of source and natural key
-- source: Source that delivers
-- version_order: When the newest version was made: updated_at of a delta's row, else the as_of of its delivery
-- payload_hash: Hash of the newest version's payload
-- row_date: Day that files it in the lake
-- last_seen_order: Newest order of any delivery that contained the key
-- is_deleted: The newest version says that the row is gone
-- version_extract_id: Delivery that brought the newest version
-- last_seen_extract_id: Newest delivery that contained the key
select
    flow.dataset,
    known.key_hash,
    flow.source,
    coalesce(known.version_at, brought.as_of::timestamp at time zone 'UTC') as version_order,
    known.payload_hash,
    known.row_date,
    coalesce(
        known.seen_at,
        known.version_at,
        coalesce(seen.as_of, brought.as_of)::timestamp at time zone 'UTC'
    ) as last_seen_order,
    known.is_deleted,
    brought.extract_id as version_extract_id,
    coalesce(seen.extract_id, brought.extract_id) as last_seen_extract_id
from ops.current_key as known
inner join ops.stream as flow on known.stream_id = flow.stream_id
left join ops.sighting as brought_group on known.version_sighting = brought_group.sighting_id
left join ops.extract as brought on brought_group.extract_id = brought.extract_id
left join ops.sighting as seen_group on known.seen_sighting = seen_group.sighting_id
left join ops.extract as seen on seen_group.extract_id = seen.extract_id
