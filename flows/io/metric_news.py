"""Metrics that have turned red: told once, and again only after they have not been red meanwhile."""

import json
from collections.abc import Iterator
from datetime import datetime

from flows import events
from flows.io.warehouse import Session


def turned_red(session: Session, now: datetime) -> list[events.Event]:
    """Events of metrics that are red in their newest complete period and of which none was sent since they were not.

    A member that has no value there is as red as it was in its own newest period: it is neither told nor forgotten. A
    period is looked at if a target names it; where a target is for any period, the month, or the longest that the
    card shows. Nothing need be published: a target may have changed, or a period have come to its end.
    """
    if not session.value("select exists (select from mart.dim_metric_target)"):
        return []
    told = set(session.fetch("select subject from ops.announcement where event = $1", events.BREACHED)["subject"])
    red = {events.breached_subject(event): (event, is_newest) for event, is_newest in _red(session, now)}
    session.execute(
        "delete from ops.announcement where event = $1 and subject = any($2)", events.BREACHED, list(told - red.keys())
    )
    return [event for subject, (event, is_newest) in red.items() if is_newest and subject not in told]


def _red(session: Session, now: datetime) -> Iterator[tuple[events.Event, bool]]:
    """Members that are red in their own newest period, and whether that is the metric's newest."""
    aimed = session.fetch(_AIMED)
    looked_at = [aimed[name].unique().to_list() for name in ("metric_id", "period")]
    for row in session.fetch(_RED, *looked_at).iter_rows(named=True):
        values = {name: None if row[name] is None else float(row[name]) for name in ("value", "target", "prior_value")}
        named = ("metric_id", "name", "unit", "owner", "scope", "scope_id", "scope_name", "period")
        event = events.breached(
            {name: row[name] for name in named} | values | {"period_start": row["period_start"].isoformat()},
            trend=json.loads(row["trend"] or "[]"),
            worst=json.loads(row["worst"] or "[]"),
            known_at=row["published_at"],
            now=now,
        )
        yield event, row["is_newest"]


_AIMED = """
select distinct
    card.metric_id,
    coalesce(nullif(aim.period, ''), longest.period) as period
from mart.dim_metric_target as aim
inner join mart.dim_metric as card using (metric_key)
cross join lateral (
    select shown.period
    from unnest(array['month', 'fiscal_period', 'week', 'day']) with ordinality as shown (period, place)
    where shown.period = any(string_to_array(card.periods, ','))
    order by shown.place
    limit 1
) as longest
"""

# What is looked at is given as values: a join alone would have the view computed for all metrics and periods.
_RED = f"""
with aimed as ({_AIMED}),

shown as materialized (
    select metric.*
    from mart.v_metric as metric
    inner join aimed using (metric_id, period)
    where
        metric.metric_id = any($1)
        and metric.period = any($2)
        and metric.is_complete
        and metric.value is not null
),

newest as (
    select
        *,
        period_start = max(period_start) over (partition by metric_id, period) as is_newest,
        row_number() over (partition by metric_id, scope, scope_key, period order by period_start desc) as age
    from shown
)

select
    red.*,
    card.name,
    card.unit,
    card.owner,
    case when red.is_newest then (
        select json_agg(round(past.value, 4) order by past.period_start)
        from (
            select
                value,
                period_start
            from shown
            where (metric_id, scope, scope_key, period) = (red.metric_id, red.scope, red.scope_key, red.period)
            order by period_start desc
            limit 6
        ) as past
    ) end as trend,
    case when red.is_newest then (
        select json_agg(json_build_object('scope', scope, 'id', scope_id, 'name', scope_name, 'value', round(value, 4)))
        from (
            select *
            from shown
            where
                (metric_id, period, period_start) = (red.metric_id, red.period, red.period_start)
                and red.scope = 'company'
                and scope = split_part(card.scopes, ',', -1)
            order by
                case card.direction
                    when 'higher' then value
                    when 'lower' then -value
                    else -abs(value - red.target)
                end
            limit 3
        ) as bad
    ) end as worst
from newest as red
inner join mart.dim_metric as card using (metric_id)
where red.age = 1 and red.status = 'red'
"""
