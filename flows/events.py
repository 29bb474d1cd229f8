"""Events that opsmart sends to Prefect: their names and payloads, as documented in docs/operations.md.

Each has an id made of what it says, so that the same news sent twice is one event to Prefect's triggers.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

LANDED = "opsmart.extract.landed"
BLOCKED = "opsmart.extract.blocked"
OVERDUE = "opsmart.extract.overdue"
PUBLISHED = "opsmart.fact.published"
BREACHED = "opsmart.metric.breached"

_NAMESPACE = uuid.UUID("6f1f7f0a-6d0e-4c0e-9a7e-0b6a2f6d1a51")
_NAMED_FILES = 100


@dataclass(frozen=True, slots=True)
class Event:
    """What happened (`name`), to what (`resource`, of a `kind`) and when; `key` tells it from others of its kind."""

    name: str
    kind: str
    resource: str
    key: str
    occurred_at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self, home: str) -> dict[str, Any]:
        """The event as Prefect's API takes it. `home` keeps the ids of two installations apart."""
        return {
            "id": str(uuid.uuid5(_NAMESPACE, json.dumps([home, self.name, self.resource, self.key]))),
            "event": self.name,
            "occurred": self.occurred_at.isoformat(),
            "resource": {
                "prefect.resource.id": f"opsmart.{self.kind}.{self.resource}",
                "prefect.resource.name": self.resource,
            },
            "payload": dict(self.payload),
        }


def landed(source: str, files: Mapping[str, Sequence[int]], now: datetime) -> Event:
    """Files of a source are complete; `files` are their stats by name."""
    key = json.dumps(sorted(files.items()))
    payload = {"source": source, "files": sorted(files)[:_NAMED_FILES], "file_count": len(files)}
    return Event(LANDED, "source", source, key, now, payload)


def blocked(extract: Mapping[str, Any], now: datetime) -> Event:
    """A delivery was blocked: nothing of it is used. `extract` has the columns of ops.extract that are named here."""
    named = ("source", "dataset", "extract_id", "slot", "revision", "file")
    payload = {name: extract[name] for name in named} | {"reason": extract["blocked_by"] or ""}
    return Event(
        BLOCKED, "dataset", f"{extract['source']}.{extract['dataset']}", str(extract["extract_id"]), now, payload
    )


def overdue(
    source: str, dataset: str, *, day: date, deadline: datetime, newest: date | None, owner: str, now: datetime
) -> Event:
    """No accepted delivery speaks for a day although its deadline has passed."""
    payload = {
        "source": source,
        "dataset": dataset,
        "day": day.isoformat(),
        "deadline": deadline.isoformat(),
        "newest_day": None if newest is None else newest.isoformat(),
        "owner": owner,
    }
    return Event(OVERDUE, "dataset", f"{source}.{dataset}", day.isoformat(), now, payload)


def published(fact: str, run_id: str, *, slices: int, rows_written: int, rows_removed: int, now: datetime) -> Event:
    """Rows of a fact have changed."""
    payload = {
        "fact": fact,
        "run_id": run_id,
        "slices": slices,
        "rows_written": rows_written,
        "rows_removed": rows_removed,
    }
    return Event(PUBLISHED, "fact", fact, run_id, now, payload)


def breached(
    metric: Mapping[str, Any],
    *,
    trend: Sequence[float],
    worst: Sequence[Mapping[str, Any]],
    known_at: datetime,
    now: datetime,
) -> Event:
    """A metric is red.

    `metric` has the columns of mart.v_metric that say which, `trend` its last values up to this one, `worst` the
    members that look worst where the company is red.
    """
    where = " and ".join(f"{name} = '{metric[name]}'" for name in ("metric_id", "period", "period_start"))
    look = {"worst": [dict(member) for member in worst], "query": f"select * from mart.v_metric where {where}"}
    return Event(
        BREACHED,
        "metric",
        ".".join(part for part in (metric["metric_id"], metric["scope"], metric["scope_id"]) if part),
        # Of the same data, too, it may turn red again: by its target.
        f"{metric['period']} {metric['period_start']} {known_at.isoformat()} {now.date()}",
        now,
        dict(metric) | {"trend": list(trend), "look": look},
    )


def breached_subject(event: Event) -> str:
    """What a breach is about, whatever the day: a metric that stays red is no news."""
    return f"{event.resource} {event.payload['period']}"
