"""Deliveries that are read once more: as landings of their own, so that what they say now takes the place of then."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from flows.io.ledger import Extract
from flows.io.pull.deliveries import Delivery, deliveries_at
from schemas.source import Source

SEPARATOR = ":"
"""Between the hash of a delivery's bytes and that of the mapping by which it was read once more."""


def landed_again(source: Source, deliveries: Iterable[Delivery], now: datetime) -> list[Delivery]:
    """The deliveries as landed `now`, a microsecond apart in the order in which they count.

    Each is known by its bytes and by the source's mapping: read once more by the same mapping it is the same delivery.
    """
    said = source.model_dump_json(exclude={"folder", "mappings", "corrections", "description", "owner"})
    ordered = sorted(deliveries, key=lambda d: (d.as_of, d.revision, d.landed_at, d.content_hash))
    return [
        replace(
            delivery,
            content_hash=SEPARATOR.join((delivery.content_hash, _digest(said + _mapping(source, delivery.dataset)))),
            landed_at=now + timedelta(microseconds=number),
        )
        for number, delivery in enumerate(ordered)
    ]


def landed_as(source: Source, landing: Path, extract: Extract) -> Delivery | None:
    """A delivery that the ledger knows, as it landed and in its place among the others; None where it is not there."""
    content_hash = extract.content_hash.partition(SEPARATOR)[0]
    is_it = (extract.dataset, extract.slot, extract.revision, content_hash)
    for found in deliveries_at(source, landing, extract.landed_at):
        if (found.dataset, found.slot, found.revision, found.content_hash) == is_it:
            if not all(file.path.exists() for file in found.files):
                return None
            return replace(found, content_hash=extract.content_hash, landed_at=extract.landed_at, as_of=extract.as_of)
    return None


def _mapping(source: Source, dataset: str) -> str:
    corrections = [repr((one.table, one.where, one.set, one.expect)) for one in source.corrections_of(dataset)]
    return source.mappings[dataset] + "".join(corrections)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
