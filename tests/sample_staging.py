"""The sample company's deliveries, staged as the example sources read them; no server."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from flows.io.pull import load_sources, pull, unmatched_files
from flows.io.stage import Staged, stage
from flows.settings import load_settings
from samples import Delivery
from schemas.catalog import DATASETS
from schemas.errors import ExtractError
from schemas.source import Source

Slot = tuple[str, str, str, int]
"""Source, dataset, slot and revision."""

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sample_sources() -> dict[str, Source]:
    """The example sources."""
    folder = Path(__file__).parents[1] / "sql" / "sources"
    return {name: one for name, one in load_sources(folder).items() if name.startswith("sample_")}


def slot_of(delivery: Delivery) -> Slot:
    """What opsmart knows a delivery by."""
    is_month = delivery.dataset == "gl_entry"
    slot = f"{delivery.period} as of {delivery.as_of}" if is_month else f"{delivery.as_of}"
    return delivery.source, delivery.dataset, slot, delivery.revision


def stage_all(
    deliveries: Iterable[Delivery], sources: Mapping[str, Source], home: Path, refused: set[Slot] | None = None
) -> dict[Slot, Staged]:
    """Write the deliveries and stage what lands; nothing is left over. Refused ones are put into `refused`."""
    settings = load_settings(home=home)
    for delivery in deliveries:
        delivery.write(settings.landing)
    found = {}
    for source in sources.values():
        pulled = pull(source, settings, now=_NOW)
        assert not unmatched_files(source, settings.landing)
        assert not pulled.odd
        assert not pulled.waiting
        for number, one in enumerate(pulled.deliveries):
            work = home / "work" / source.name / str(number)
            slot = (source.name, one.dataset, one.slot, one.revision)
            try:
                found[slot] = stage(
                    one, source, DATASETS[one.dataset], work, extract_id=number, pseudonym=lambda ids: ids
                )
            except ExtractError:
                if refused is None:
                    raise
                refused.add(slot)
    return found
