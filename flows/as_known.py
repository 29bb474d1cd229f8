"""A table as it was known at some moment: built anew, in a scratch database, from what had landed by then.

The lake keeps every version but not every sighting of it, and a version's place among the others follows from the
sightings. The landing store keeps all bytes with the moment they came. So what was known is what taking these bytes
again comes to: the one function from deliveries to tables, applied to fewer of them.
"""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from flows import pipeline, startup
from flows.io.current import Everything, current_rows
from flows.io.lake import Lake
from flows.io.pull import load_sources
from flows.io.pull.again import SEPARATOR
from flows.io.pull.deliveries import Delivery, deliveries_at
from flows.io.warehouse import Warehouse, quote
from flows.report import RunReport
from flows.scratch import scratch_database, settings_in
from flows.settings import Settings
from schemas.catalog import DATASETS, DIMENSIONS, FACTS
from schemas.errors import BuildError
from schemas.source import Source

Key = tuple[str, str, int, str]
"""Dataset, slot, revision and content hash of a delivery."""

_SHOWN = 5


def as_known_at(settings: Settings, moment: datetime, name: str) -> pl.DataFrame:
    """A fact, a dimension or a dataset's current rows as known at a moment, by today's mappings and logic.

    What a gate held back then and holds back still is left out, as in the mart. Costs about what loading everything
    that the table reads did.

    Raises:
        BuildError: Not everything that had landed can be taken and built again; the message says what and why.
    """
    with scratch_database(settings) as url:
        return known_at(settings, moment, name, url)


def known_at(settings: Settings, moment: datetime, name: str, scratch_url: str) -> pl.DataFrame:
    """The same in an empty database of the caller's own."""
    table = (FACTS | DIMENSIONS).get(name)
    needed = {name} if table is None else {*table.inputs} & DATASETS.keys()
    accepted, released = _accepted(settings, moment, needed)
    deliveries = _landed(settings, moment, accepted)
    with TemporaryDirectory(prefix="opsmart-known-") as folder:
        scratch = settings_in(settings, Path(folder), scratch_url)
        report = RunReport("as-known-at")
        with pipeline.open(scratch) as pipe, pipe.recorded("as-known-at", "as-known-at", {}, report):
            for source, found in deliveries.items():
                pipe.have(source, found)
                for delivery in found:
                    if _key(delivery) in released.get(source, ()):
                        pipe.let_pass(source, delivery)
                pipe.take(source)
            if name in (*pipe.dirty_dimensions(), *pipe.dirty_facts()):
                pipe.build(name)
        if report.problems:
            raise BuildError(
                "; ".join(f"{problem.subject}: {problem.message}" for problem in report.problems),
                where=f"{name} as known at {moment}",
                remedy="what was accepted then is not now: see whether the source's mapping or a gate changed",
            )
        with closing(Warehouse.at(scratch_url)) as warehouse, warehouse.session() as session:
            if table is None:
                rows = current_rows(session, Lake(scratch.lake), DATASETS[name], Everything()).collect()
                return rows.select("source", *DATASETS[name].contract.dtypes())
            return session.fetch(f"select * from mart.{quote(name)}").cast(pl.Schema(table.contract.dtypes()))


def _landed(
    settings: Settings, moment: datetime, accepted: Mapping[str, Mapping[Key, datetime]]
) -> dict[str, list[Delivery]]:
    """The accepted deliveries that had landed by a moment, by source."""
    sources = load_sources(settings.sql_root / "sources", settings.sources, broken={})
    return {
        name: _found(sources.get(name), name, wanted, settings.landing, moment) for name, wanted in accepted.items()
    }


def _found(
    source: Source | None, name: str, wanted: Mapping[Key, datetime], landing: Path, moment: datetime
) -> list[Delivery]:
    """The deliveries of a source that are wanted; those that were replaced later are seen at the moment they landed."""
    found: dict[Key, Delivery] = {}

    def look(at: datetime) -> None:
        for delivery in [] if source is None else deliveries_at(source, landing, at):
            key = _key(delivery)
            if key in wanted and all(file.path.exists() for file in delivery.files):
                found[key] = delivery

    look(moment)
    for at in sorted({at for key, at in wanted.items() if key not in found}):
        look(at)
    lost = [f"{dataset} {slot}" for dataset, slot, *_ in wanted.keys() - found.keys()]
    if lost:
        shown = ", ".join(sorted(lost)[:_SHOWN])
        raise BuildError(
            f"{len(lost):,} deliveries that were known are not in the landing store: {shown}",
            where=name,
            remedy="restore the landing folder, with .store in it, and the source's folder",
        )
    return list(found.values())


def _key(delivery: Delivery) -> Key:
    return (delivery.dataset, delivery.slot, delivery.revision, delivery.content_hash)


def _accepted(
    settings: Settings, moment: datetime, datasets: set[str]
) -> tuple[dict[str, dict[Key, datetime]], dict[str, set[Key]]]:
    """By source: deliveries that the ledger accepted and that had landed by a moment, and when; those released."""
    with closing(Warehouse.at(startup.warehouse_url(settings))) as warehouse, warehouse.session() as session:
        rows = session.fetch(
            "select source, dataset, slot, revision, content_hash, landed_at,"
            " exists(select from ops.release where release.extract_id = extract.extract_id) as is_released"
            " from ops.extract"
            " where state = 'accepted' and landed_at <= $1 and dataset = any($2) order by as_of, revision, landed_at",
            moment,
            sorted(datasets),
        )
    found: dict[str, dict[Key, datetime]] = {}
    released: dict[str, set[Key]] = {}
    for source, dataset, slot, revision, content_hash, landed_at, is_released in rows.iter_rows():
        key = (dataset, slot, revision, content_hash.partition(SEPARATOR)[0])
        found.setdefault(source, {})[key] = landed_at
        if is_released:
            released.setdefault(source, set()).add(key)
    return found, released
