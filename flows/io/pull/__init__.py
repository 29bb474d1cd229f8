"""Pull: what sources delivered, as bytes in the store, grouped to deliveries."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flows.io.pull.again import landed_again, landed_as
from flows.io.pull.database import pull_queries
from flows.io.pull.deliveries import Delivery, group_deliveries
from flows.io.pull.files import pull_files, unmatched_files
from flows.io.pull.sources import load_source, load_sources
from flows.io.pull.store import Glance, Store
from flows.settings import Settings
from schemas.errors import ExtractError
from schemas.source import Source

__all__ = ["Delivery", "Pulled", "landed_again", "landed_as", "load_source", "load_sources", "pull", "unmatched_files"]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a source has delivered so far.

    `deliveries` are complete or waiting for files, oldest first; `odd` are files whose names say no slot, `failed` what
    could not be pulled.
    """

    deliveries: list[Delivery]
    odd: list[str] = field(default_factory=list)
    failed: list[ExtractError] = field(default_factory=list)

    @property
    def waiting(self) -> list[str]:
        """Deliveries that lack files, in words."""
        return [
            f"{delivery.dataset} {delivery.slot}: waits for {', '.join(delivery.missing)}"
            for delivery in self.deliveries
            if not delivery.is_complete
        ]


def pull(
    source: Source,
    settings: Settings,
    *,
    now: datetime | None = None,
    with_queries: bool = True,
    reread: bool = False,
    only_look: bool = False,
    beside: Path | None = None,
) -> Pulled:
    """Land what is new and list the source's deliveries. An unchanged file costs a stat, a query is run each time.

    Args:
        source: The source.
        settings: Landing folder and secrets.
        now: Moment of landing; the same for all that lands in one pull, so that files found together belong together.
        with_queries: Whether to ask databases too.
        reread: Whether to read files again that look unchanged.
        only_look: Whether to land nothing: the deliveries are listed as if it had landed; their bytes may not be there.
        beside: A folder that gets the bytes which are only looked at, so that they can be read.

    Raises:
        SourceError: The source folder is wrong.
        StorageError: The store cannot be written.
    """
    store = Glance(settings.landing, beside) if only_look else Store(settings.landing)
    moment = now or datetime.now(UTC)
    secrets = {name: value.get_secret_value() for name, value in settings.secrets.items()}
    with store.opened_log(source.name) as log:
        pull_files(source, settings.landing, store, log, moment, reread=reread)
        failed = pull_queries(source, store, log, secrets, moment) if with_queries else []
        deliveries, odd = group_deliveries(source, log, store)
    return Pulled(deliveries, odd, failed)
