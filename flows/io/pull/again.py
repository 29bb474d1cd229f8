"""Deliveries that are read once more: as landings of their own, so that what they say now takes the place of then."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from flows.io.pull.deliveries import Delivery
from schemas.source import Source

SEPARATOR = ":"
"""Between the hash of a delivery's bytes and that of the mapping by which it was read once more."""


def landed_again(source: Source, deliveries: Iterable[Delivery], now: datetime) -> list[Delivery]:
    """The deliveries as landed `now`, a microsecond apart in the order in which they count.

    Each is known by its bytes and by the source's mapping: read once more by the same mapping it is the same delivery.
    """
    said = source.model_dump_json(exclude={"folder", "mappings", "description", "owner"})
    ordered = sorted(deliveries, key=lambda d: (d.as_of, d.revision, d.landed_at, d.content_hash))
    return [
        replace(
            delivery,
            content_hash=SEPARATOR.join((delivery.content_hash, _digest(said + source.mappings[delivery.dataset]))),
            landed_at=now + timedelta(microseconds=number),
        )
        for number, delivery in enumerate(ordered)
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
