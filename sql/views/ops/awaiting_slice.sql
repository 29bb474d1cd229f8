-- Slices that are not published as they were dirtied last. Grain: fact, source, day.
-- fact: Fact or dimension
-- source: Source that anchors the slice
-- day: Its day, or the first one of its month
-- state: pending, or blocked: held back by a gate until it is dirtied again
-- generation: Generation to publish
-- is_whole: All its rows are to be built, not only those of ops.dirty_row
-- published_logic: Version of the logic that it is published by; NULL: not published
-- reason: What dirtied it last
select
    dirty.fact,
    dirty.source,
    dirty.day,
    dirty.state,
    dirty.generation,
    dirty.whole_generation > published.generation is not false as is_whole,
    published.logic_version as published_logic,
    dirty.reason
from ops.dirty_slice as dirty
left join ops.slice as published
    on dirty.fact = published.fact and dirty.source = published.source and dirty.day = published.day
where dirty.generation > coalesce(published.generation, 0)
