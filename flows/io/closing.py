"""The end of a night: which business dates are over, and what had not come by then."""

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from flows.expected import expected_days
from flows.io.warehouse import Session
from schemas.source import Source

COMPANY = ""
"""Site under which the company as a whole closes, in UTC."""


def blocked_slices(session: Session) -> Iterator[tuple[str, int]]:
    """Tables with slices that a gate holds back, and how many."""
    yield from session.fetch(
        "select fact, count(*) from ops.awaiting_slice where state = 'blocked' group by fact order by fact"
    ).iter_rows()


def close_business_dates(session: Session, sources: Mapping[str, Source], now: datetime) -> None:
    """Close yesterday at every site, in the site's own zone. A date is closed once."""
    sites = session.fetch("select distinct site_id, time_zone from mart.dim_site where time_zone is not null")
    zones = {COMPANY: "UTC"} | dict(sites.iter_rows())
    for site, zone in sorted(zones.items()):
        yesterday = now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
        session.execute(
            'insert into ops.business_date (site, "date", closed_at, missing) values ($1, $2, $3, $4::text::jsonb)'
            ' on conflict (site, "date") do nothing',
            site,
            yesterday,
            now,
            json.dumps(_missing(session, sources, yesterday)),
        )


def _missing(session: Session, sources: Mapping[str, Source], day: date) -> list[str]:
    """Datasets with a deadline whose newest accepted delivery does not speak for the day, of sources in use."""
    newest = {
        (source, dataset): as_of
        for source, dataset, as_of in session.fetch(
            "select source, dataset, max(as_of) filter (where state = 'accepted') from ops.extract"
            " group by source, dataset"
        ).iter_rows()
    }
    return [
        f"{name}.{dataset}"
        for name in sorted({name for name, _ in newest} & sources.keys())
        for dataset, delivery in sources[name].datasets.items()
        if delivery.deadline is not None
        and any(expected_days(sources[name], dataset, day, day))
        and (newest.get((name, dataset)) or date.min) < day
    ]
