-- The newest version and sighting of every key with their orders spelled out. Grain: dataset, key_hash.
select
    streams.dataset,
    held.key_hash,
    streams.source,
    coalesce(held.version_at, brought.as_of::timestamp at time zone 'UTC') as version_order,
    held.payload_hash,
    held.row_date,
    coalesce(
        held.seen_at,
        held.version_at,
        coalesce(seen.as_of, brought.as_of)::timestamp at time zone 'UTC'
    ) as last_seen_order,
    held.is_deleted,
    brought.extract_id as version_extract_id,
    coalesce(seen.extract_id, brought.extract_id) as last_seen_extract_id
from ops.current_key as held
inner join ops.stream as streams on held.stream_id = streams.stream_id
left join ops.sighting as brought_group on held.version_sighting = brought_group.sighting_id
left join ops.extract as brought on brought_group.extract_id = brought.extract_id
left join ops.sighting as seen_group on held.seen_sighting = seen_group.sighting_id
left join ops.extract as seen on seen_group.extract_id = seen.extract_id
