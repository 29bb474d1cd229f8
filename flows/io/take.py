"""Taking a delivery: stage, gate, accept; or block it and say why."""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl

from flows.io import gates, ledger, quarantine
from flows.io.accept import StagedRows, accept
from flows.io.journal import Journal, has_measured, keep_measured
from flows.io.known import facts_of, history_of
from flows.io.lake import Lake
from flows.io.ledger import Extract
from flows.io.pull.deliveries import Delivery
from flows.io.replay import CLAIMING, take_held, withheld
from flows.io.stage import Staged, stage
from flows.io.warehouse import Session, Warehouse
from schemas.catalog import DATASETS
from schemas.errors import ExtractError, SourceError
from schemas.gate import Gate, Severity
from schemas.source import Source, SourceDataset

SETTLED = ("accepted", "blocked", "superseded")
"""States of deliveries that need not be taken."""


def sweep(session: Session, work: Path) -> None:
    """Remove what a killed run left of deliveries that nobody will take again."""
    left = {int(path.name.removeprefix("extract-")): path for path in work.glob("extract-*")}
    if not left:
        return
    pending = session.fetch(
        "select extract_id from ops.extract where extract_id = any($1) and state <> all($2)", list(left), list(SETTLED)
    )["extract_id"]
    for extract_id in left.keys() - set(pending):
        shutil.rmtree(left[extract_id], ignore_errors=True)


@dataclass(frozen=True, slots=True)
class TakenExtract:
    """What became of a delivery: `accepted`, or `blocked` with a message."""

    source: str
    dataset: str
    slot: str
    state: str
    rows_in: int = 0
    rows_accepted: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    rows_excluded: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes the deliveries of one source."""

    warehouse: Warehouse
    lake: Lake
    source: Source
    work: Path
    journal: Journal
    pseudonym: Callable[[pl.Series], pl.Series]
    staging: threading.Lock
    """One delivery is staged at a time: each may fill its share of memory. The next is staged while one is accepted."""

    def take(self, delivery: Delivery, extract: Extract) -> TakenExtract:
        """Stage, gate and accept a delivery.

        What is wrong with the delivery itself blocks it and is returned. With a wrong source folder, and with errors
        of the lake or the warehouse (which are raised), the delivery stays pending.
        """
        taken = TakenExtract(extract.source, extract.dataset, extract.slot, "blocked")
        counts: dict[str, int] = {}
        with self._folder(extract) as folder:
            try:
                with self.staging:
                    staged = self._stage(delivery, extract, folder)
                    failed, is_released = self._judge(delivery, extract, staged)
                counts = staged.counts
                taken = _counted(taken, counts)
                quarantine.keep(self.warehouse, self.lake, extract, staged, datetime.now(UTC))
                if failed and not is_released:
                    return self._block(extract, taken, failed, counts)
                rows = self._rows(staged, extract, is_released=is_released)
                gives_coverage = accept(self.warehouse, self.lake, extract, rows, datetime.now(UTC))
            except ExtractError as error:
                return self._block(extract, taken, str(error), counts)
            except SourceError as error:
                # Not the delivery is wrong but how it is read: it stays pending, and is taken once that is mended.
                return replace(taken, message=str(error))
        reasons = withheld(extract, staged.unreadable_keys, gives_coverage=bool(gives_coverage))
        return replace(taken, state="accepted", message="; ".join([*staged.warnings, *reasons]))

    def take_again(self, delivery: Delivery, extract: Extract) -> TakenExtract | None:
        """Take a blocked delivery once more, or what was held back of an accepted one; None if neither awaits that."""
        with self.warehouse.session() as guard:
            lock(guard, delivery)
            # Another run may have been at it meanwhile.
            (extract,) = ledger.extracts(guard, "extract_id = $1", extract.extract_id)
            if extract.state == "superseded":
                return None
            if extract.state == "accepted":
                return self.replay(delivery, extract)
            with self.warehouse.session() as session:
                ledger.reopen(session, extract)
                session.commit()
            return self.take(delivery, extract)

    def replay(self, delivery: Delivery, extract: Extract) -> TakenExtract:
        """Take what was held back of an accepted delivery, as its source maps and corrects it now."""
        with self._folder(extract) as folder:
            with self.staging:
                staged = self._stage(delivery, extract, folder)
            done = take_held(
                self.warehouse,
                self.lake,
                extract,
                staged,
                retire_limit_pct=self._retire_limit(extract, is_released=self._is_released(extract)),
                now=datetime.now(UTC),
            )
        counts = asdict(done)
        reasons = withheld(extract, staged.unreadable_keys, gives_coverage=counts.pop("gives_coverage"))
        name = (extract.source, extract.dataset, extract.slot)
        return TakenExtract(*name, "accepted", **counts, message="; ".join(reasons))

    @contextmanager
    def _folder(self, extract: Extract) -> Iterator[Path]:
        """Where a delivery is staged, empty; gone afterwards."""
        folder = self.work / f"extract-{extract.extract_id}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _is_released(self, extract: Extract) -> bool:
        with self.warehouse.session() as session:
            return ledger.is_released(session, extract)

    def _retire_limit(self, extract: Extract, *, is_released: bool) -> float:
        return 100.0 if is_released else self._dataset(extract).retire_limit_pct

    def _stage(self, delivery: Delivery, extract: Extract, folder: Path) -> Staged:
        dataset = DATASETS[extract.dataset]
        return stage(delivery, self.source, dataset, folder, extract_id=extract.extract_id, pseudonym=self.pseudonym)

    def _judge(self, delivery: Delivery, extract: Extract, staged: Staged) -> tuple[str, bool]:
        """What the gates hold against the delivery, '' if nothing; and whether somebody lets it pass all the same."""
        with self.warehouse.session() as session:
            is_released = ledger.is_released(session, extract)
            history = history_of(session, self.source, extract)
            facts = facts_of(session, self.source, delivery, extract, staged, history)
            is_decided = has_measured(session, extract.extract_id)
        judgement = gates.judge_extract(
            extract.dataset,
            extract.source,
            pl.scan_parquet(staged.rows),
            facts,
            checked_at=datetime.now(UTC),
            history=history,
            severity=partial(self._severity, extract, is_decided=is_decided),
        )
        failed = [result for result in judgement.results if result.status == "failed"]
        is_kept = (is_released or not failed) and not is_decided
        keep = partial(keep_measured, extract_id=extract.extract_id, measured=judgement.kept) if is_kept else None
        self.journal.note(judgement.results, keep)
        return _told(failed, delivery, extract) if failed else "", is_released

    def _severity(self, extract: Extract, gate: Gate, *, is_decided: bool) -> Severity | None:
        """What a gate is worth. What history says is decided once: the next try may find another history."""
        return None if is_decided and gate.history else self._dataset(extract).severity(gate)

    def _rows(self, staged: Staged, extract: Extract, *, is_released: bool) -> StagedRows:
        claims = extract.mode in CLAIMING and staged.unreadable_keys == 0
        return StagedRows(
            rows=staged.rows,
            row_count=staged.row_count,
            sightings=staged.sightings,
            counts=staged.counts,
            gives_coverage=claims,
            unreadable_keys=staged.unreadable_keys,
            retire_limit_pct=self._retire_limit(extract, is_released=is_released),
        )

    def _dataset(self, extract: Extract) -> SourceDataset:
        return self.source.datasets[extract.dataset]

    def _block(self, extract: Extract, taken: TakenExtract, why: str, counts: dict[str, int]) -> TakenExtract:
        ledger.block(self.warehouse, extract, why, counts)
        return replace(taken, state="blocked", message=why)


def lock(guard: Session, delivery: Delivery) -> None:
    """Two runs at once take a delivery once: the second waits, and finds it settled."""
    guard.lock(f"opsmart.take.{delivery.source}.{delivery.dataset}.{delivery.slot}.{delivery.content_hash}")


def _counted(taken: TakenExtract, counts: dict[str, int]) -> TakenExtract:
    return TakenExtract(taken.source, taken.dataset, taken.slot, taken.state, **counts)  # type: ignore[arg-type]


def _told(failed: Sequence[gates.GateResult], delivery: Delivery, extract: Extract) -> str:
    """What gates hold against a delivery, in words: the rule and what was found, the files, what to do."""
    remedies = dict.fromkeys(result.remedy for result in failed if result.remedy)
    wanted = "; ".join(remedies) or "have a corrected file delivered"
    return str(
        ExtractError(
            "; ".join(f"{result.gate}: {result.reason} Found: {result.observed}" for result in failed),
            where=", ".join(sorted({file.name for file in delivery.files})),
            remedy=f"{wanted}; if it is right as it is: opsmart release {extract.extract_id} --reason …",
        )
    )
