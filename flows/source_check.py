"""Trying a source without loading anything: what it has delivered is staged into a folder that is then removed."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from flows.io.pull import pull, unmatched_files
from flows.io.pull.deliveries import Delivery
from flows.io.stage import Staged, stage
from flows.io.staging.mapping import analyse
from flows.io.staging.pseudonym import pseudonymiser
from flows.settings import Settings
from flows.source_new import OPTIONAL
from schemas.catalog import DATASETS, FACTS
from schemas.errors import OpsmartError
from schemas.source import Source

EXAMPLES = 3
"""Rows shown of each rule."""


@dataclass
class DatasetCheck:
    """What trying one dataset of a source found; rows are those of the deliveries tried."""

    dataset: str
    deliveries_found: int = 0
    deliveries_tried: int = 0
    files: list[str] = field(default_factory=list)
    rows_in: int = 0
    rows_accepted: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    rows_excluded: int = 0
    missing_columns: list[str] = field(default_factory=list)
    absent_columns: list[str] = field(default_factory=list)
    rules: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether the dataset would load: files are there, they can be read, and needed columns are mapped."""
        return bool(self.deliveries_tried) and not self.errors and not self.missing_columns


@dataclass(frozen=True)
class SourceCheck:
    """What trying a source found.

    `unmatched` are files below its landing folder that no table's path matches, `searched` where files were looked for.
    """

    datasets: list[DatasetCheck]
    problems: list[str]
    unmatched: list[str]
    searched: list[str]

    @property
    def is_good(self) -> bool:
        """Whether all of it would load."""
        return not self.problems and all(dataset.is_good for dataset in self.datasets)


def check_source(source: Source, settings: Settings, *, newest: int) -> SourceCheck:
    """Tries the `newest` deliveries of each dataset of a source.

    `missing_columns` of a result are needed ones that the SELECT does not give, `absent_columns` those that may be
    missing. An error of one dataset is noted and the others are tried.
    """
    pulled = pull(source, settings)
    deliveries = pulled.deliveries
    checks = []
    for dataset in source.datasets:
        check = DatasetCheck(dataset)
        check.errors += _unfit_for_append(dataset, source)
        try:
            _compare_columns(check, source)
            own = [delivery for delivery in deliveries if delivery.dataset == dataset]
            check.deliveries_found = len(own)
            _try(check, source, settings, sorted(own, key=lambda d: (d.as_of, d.slot, d.revision))[-newest:])
        except OpsmartError as error:
            check.errors.append(str(error))
        checks.append(check)
    odd = [f"{file}: its name says no slot" for file in pulled.odd]
    paths = [table.path for table in source.tables.values() if table.path]
    searched = [path if "://" in path else str(settings.landing / source.name / path) for path in paths]
    problems = [str(error) for error in pulled.failed] + odd
    return SourceCheck(checks, problems, unmatched_files(source, settings.landing), searched)


def _unfit_for_append(dataset: str, source: Source) -> list[str]:
    """Facts that cannot have an append stream's rows: there a key is unique inside its day only."""
    if source.datasets[dataset].mode != "append":
        return []
    facts = [fact for fact in FACTS.values() if dataset in fact.driving and fact.anchor not in fact.contract.key()]
    return [
        f"mode append: {fact.name} has one row a key, whatever its {fact.anchor}, and append keeps a key on each of its"
        " days; use delta, snapshot or period"
        for fact in facts
    ]


def _compare_columns(check: DatasetCheck, source: Source) -> None:
    contract = DATASETS[check.dataset].contract
    mapping = analyse(
        check.dataset, source.mappings[check.dataset], source.tables, f"{source.folder / check.dataset}.sql"
    )
    for name, column in contract.columns().items():
        if name not in mapping.outputs:
            (check.absent_columns if column.nullable or name in OPTIONAL else check.missing_columns).append(name)


def _try(check: DatasetCheck, source: Source, settings: Settings, deliveries: Sequence[Delivery]) -> None:
    for delivery in deliveries:
        check.files += [file.name for file in delivery.files]
        if not delivery.is_complete:
            check.errors.append(f"{delivery.slot}: no file yet of {', '.join(delivery.missing)}")
            continue
        # What Polars had begun to write may still come while the folder is removed.
        with tempfile.TemporaryDirectory(prefix="opsmart-check-", ignore_cleanup_errors=True) as folder:
            try:
                staged = stage(
                    delivery, source, DATASETS[check.dataset], Path(folder),
                    extract_id=0, pseudonym=pseudonymiser(settings.home),
                )  # fmt: skip
            except OpsmartError as error:
                check.errors.append(f"{delivery.slot}: {error}")
                continue
        check.deliveries_tried += 1
        if staged.rows_quarantined and not staged.rows_accepted:
            check.errors.append(f"{delivery.slot}: no row can be used, so the night would block it")
        _add(check, staged, delivery.slot)


def _add(check: DatasetCheck, staged: Staged, slot: str) -> None:
    for name, count in staged.counts.items():
        setattr(check, name, getattr(check, name) + count)
    # A correction that no longer fits is in the way of the next mistake.
    objections = [met.objection for met in staged.corrections if met.objection]
    check.errors += objections
    check.warnings += [warning for warning in staged.warnings if warning not in (*check.warnings, *objections)]
    for (rule,), rows in staged.quarantined.group_by("rule", maintain_order=True):
        check.rules[str(rule)] = check.rules.get(str(rule), 0) + rows.height
        shown = check.examples.setdefault(str(rule), [])
        wanted = rows.head(EXAMPLES - len(shown))
        cells = wanted.select(
            pl.lit(slot).alias("slot"), pl.col("row_no", "column_name", "value", "raw").cast(pl.String)
        )
        shown += cells.to_dicts()
