"""Staging: a delivery's raw files become one Parquet file of checked rows, and a frame of quarantined ones.

One streaming query does the work: raw text → typed cells → mapping SELECT → contract → row rules → Parquet. Every
row is counted: rows_in = rows_accepted + rows_quarantined + rows_duplicate + rows_excluded.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import polars as pl

from flows.io.pull.deliveries import Delivery
from flows.io.pull.sources import CORRECTIONS_FILE
from flows.io.staging import quarantine
from flows.io.staging.controls import ControlGaps, control_gaps
from flows.io.staging.corrections import Applied, correct
from flows.io.staging.duplicates import OPTIONS, Duplicates, settle
from flows.io.staging.mapping import BAD, ROW_NO, analyse
from flows.io.staging.raw import RawFile, RawRows, open_raw
from flows.io.staging.rows import OK, Plan, checked, finished, project, rules_of
from flows.io.staging.typed import TypedTable, typed_table, with_reasons
from schemas.correction import Correction
from schemas.errors import ExtractError, SourceError, StorageError
from schemas.registry import Dataset
from schemas.source import Source

BAD_AT_ONCE = 250_000
"""Bad rows that are looked at together."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged extract.

    `rows` is the Parquet file of good rows with the lake's columns (all but `_month`); `quarantined` has a row for each
    row and rule that it broke, in the columns of `quarantine.SCHEMA`; `sightings` _key_hash and _order_at of
    quarantined rows whose key could be read, `unreadable_keys` counts the others; `copies` are the duplicates' numbers.
    """

    rows: Path
    row_count: int
    quarantined: pl.DataFrame
    sightings: pl.DataFrame
    unreadable_keys: int
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    rows_duplicate: int
    rows_excluded: int
    first_day: date | None = None
    last_day: date | None = None
    copies: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.Int64))
    corrections: list[Applied] = field(default_factory=list)
    control: ControlGaps = field(default_factory=ControlGaps)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns of each raw table that came."""
    warnings: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The rows_… columns of ops.extract."""
        names = ("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate", "rows_excluded")
        return {name: int(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class _Sorted:
    """What the query left: the file of good rows; of the others their numbers, failures and readable keys."""

    path: Path
    bad: pl.Series
    failures: pl.DataFrame
    seen: pl.DataFrame


def stage(
    delivery: Delivery,
    source: Source,
    dataset: Dataset,
    work_dir: Path,
    *,
    extract_id: int,
    pseudonym: Callable[[pl.Series], pl.Series],
) -> Staged:
    """Stage a delivery.

    Args:
        delivery: A complete delivery.
        source: Its source.
        dataset: Its dataset.
        work_dir: Folder for the staged file and converted copies; the caller removes it.
        extract_id: Id of the extract, written into each row.
        pseudonym: Replaces personal ids.

    Raises:
        ExtractError: The delivery cannot be read as a whole.
        SourceError: The mapping does not fit the dataset.
        StorageError: The disk is full or refuses.
    """
    mapping = analyse(dataset.name, source.mappings[dataset.name], source.tables, f"{source.folder / dataset.name}.sql")
    plan = Plan(
        source=source,
        dataset=dataset,
        mapping=mapping,
        mode=source.datasets[dataset.name].mode,
        as_of=delivery.as_of,
        period=delivery.period,
        landed_at=delivery.landed_at,
        extract_id=extract_id,
        pseudonym=pseudonym,
    )
    with _blaming(delivery, work_dir):
        return _stage(delivery, plan, work_dir)


@contextmanager
def _blaming(delivery: Delivery, work_dir: Path) -> Iterator[None]:
    """Tell what is wrong with the delivery, which blocks it, from what is wrong with the disk, which must not."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if isinstance(error, OSError) or "os error" in str(error):
            raise StorageError(
                f"the work folder cannot be written, or the landing zone not be read: {_first_line(error)}",
                where=str(getattr(error, "filename", None) or work_dir),
                remedy="free space or mend the permissions, then run again; the delivery stays pending",
            ) from error
        raise ExtractError(
            f"the delivery cannot be read: {_first_line(error)}",
            where=", ".join(file.name for file in delivery.files),
            remedy="if its text has stray quotes, set quote: null in source.yaml; else have it delivered again",
        ) from error


def _stage(delivery: Delivery, plan: Plan, work_dir: Path) -> Staged:
    mapping = plan.mapping
    delivered = _open(delivery, plan, work_dir)
    corrected, corrections = _corrected(delivered, plan)
    tables = {name: typed_table(plan.source, name, raw, mapping) for name, raw in corrected.items()}
    driving = tables[mapping.driving]
    # JSON may write the NUL character as \u0000, which no byte shows.
    is_json = any(plan.source.tables[table].format == "jsonl" for table in mapping.tables)
    rules = rules_of(plan, has_nul=delivery.has_nul or is_json)
    found = _run(tables, plan, rules, work_dir / "rows")
    settled = settle(found.path, counts_rows=mapping.has_joins)
    _refuse_fan_out(found, settled, plan)
    lost = _lost(found, settled, plan, driving)
    warnings = [
        f"{table}: column {name!r} is new; the mapping does not use it"
        for table, opened in tables.items()
        for name in opened.raw.unexpected
    ]
    staged = _result(found, settled, lost, plan, driving, delivered[mapping.driving])
    warnings += [met.objection for met in corrections if met.objection]
    return replace(
        staged,
        corrections=corrections,
        warnings=warnings,
        control=_control(delivery, plan, delivered, work_dir),
        columns={name: tuple(raw.dtypes) for name, raw in delivered.items()},
    )


def _control(delivery: Delivery, plan: Plan, delivered: Mapping[str, RawRows], work_dir: Path) -> ControlGaps:
    def files_of(table: str) -> list[RawFile]:
        return _files(delivery, table)

    totals = plan.source.datasets[plan.dataset.name].control_totals
    return control_gaps(totals, plan.source, plan.mapping.driving, delivered, files_of, work_dir)


def _open(delivery: Delivery, plan: Plan, work_dir: Path) -> dict[str, RawRows]:
    opened = {}
    for table, needed in plan.mapping.columns.items():
        opened[table] = open_raw(plan.source.tables[table], _files(delivery, table), needed, work_dir / table)
    return opened


def _files(delivery: Delivery, table: str) -> list[RawFile]:
    return [RawFile(file.path, file.name) for file in delivery.files if file.table == table]


def _corrected(delivered: Mapping[str, RawRows], plan: Plan) -> tuple[dict[str, RawRows], list[Applied]]:
    """The raw tables with the source's corrections, and what these met."""
    where = str(plan.source.folder / CORRECTIONS_FILE)
    own: dict[str, list[Correction]] = {}
    for correction in plan.source.corrections_of(plan.dataset.name):
        own.setdefault(correction.table or plan.mapping.driving, []).append(correction)
    if unread := own.keys() - delivered.keys():
        raise SourceError(
            f"a correction names the table {min(unread)!r}, which the SELECT of {plan.dataset.name} does not read",
            where=where,
            remedy=f"name one of {', '.join(delivered)}",
        )
    found = {table: correct(raw, own.get(table, []), where) for table, raw in delivered.items()}
    return {table: raw for table, (raw, _) in found.items()}, [one for _, met in found.values() for one in met]


def _run(tables: Mapping[str, TypedTable], plan: Plan, rules: Mapping[str, pl.Expr], folder: Path) -> _Sorted:
    """The one query: its rows to two files, the good ones and the others."""
    where = f"{plan.source.folder / plan.dataset.name}.sql"
    try:
        context = pl.SQLContext({name: table.frame for name, table in tables.items()})
        rows, reasons = project(context.execute(plan.mapping.sql), plan)
        rows = finished(checked(rows, reasons, rules), plan)
        schema = {name: dtype for name, dtype in rows.collect_schema().items() if name != OK}
    except (pl.exceptions.PolarsError, NotImplementedError) as error:
        raise SourceError(
            f"Polars refuses the mapping: {_first_line(error)}", where=where, remedy="mend the SELECT"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    good, bad = folder / "good.parquet", folder / "bad.parquet"
    parts = pl.PartitionBy(
        folder,
        key=OK,
        include_key=False,
        approximate_bytes_per_file=None,
        file_path_provider=lambda part: good.name if part.partition_keys[OK].item() else bad.name,
    )
    # One sink for both: two sinks behind filters would run the query twice.
    rows.sink_parquet(parts, **OPTIONS)
    if not good.exists():
        pl.DataFrame(schema=schema).write_parquet(good)
    if not bad.exists():
        nothing = pl.Series(ROW_NO, dtype=pl.Int64)
        seen = pl.DataFrame(schema={ROW_NO: pl.Int64(), **quarantine.SIGHTINGS})
        return _Sorted(good, nothing, pl.DataFrame(schema=quarantine.FAILURES), seen)
    return _sorted(good, pl.scan_parquet(bad), tables, plan, rules)


def _sorted(
    good: Path, bad: pl.LazyFrame, tables: Mapping[str, TypedTable], plan: Plan, rules: Mapping[str, pl.Expr]
) -> _Sorted:
    """Look at the bad rows some at a time: there may be as many as there are rows, and each is wide."""
    numbers = bad.select(ROW_NO).collect()[ROW_NO]
    last, failures, seen = quarantine.last_kept(numbers), [], []
    for first in range(0, numbers.len(), BAD_AT_ONCE):
        part = with_reasons(bad.slice(first, BAD_AT_ONCE).collect(), tables)
        found = quarantine.failures(part, rules, plan, tables[plan.mapping.driving])
        failures.append(found.with_columns(pl.when(pl.col("row_no") <= last).then("value")))
        seen.append(quarantine.sightings(part, rules, plan))
    return _Sorted(good, numbers, pl.concat(failures), pl.concat(seen))


def _lost(found: _Sorted, settled: Duplicates, plan: Plan, driving: TypedTable) -> pl.DataFrame:
    """Rows that the SELECT left out because a cell that decides about them could not be read."""
    nothing = pl.DataFrame(schema={ROW_NO: pl.Int64(), BAD: pl.String()})
    outputs = settled.distinct_rows + found.bad.n_unique()
    decides = frozenset(name for name in plan.mapping.deciding if driving.types.get(name, "text") != "text")
    if outputs == driving.raw.rows or not (decides or driving.raw.ragged):
        return nothing
    lost = driving.unreadable_rows(decides)
    if lost.is_empty():
        return nothing
    kept = pl.scan_parquet(found.path).filter(pl.col(ROW_NO).is_in(lost.implode())).select(ROW_NO).collect()[ROW_NO]
    lost = lost.filter(~lost.is_in(pl.concat([kept, found.bad]).implode()))
    return driving.cells(None, lost)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _refuse_fan_out(found: _Sorted, settled: Duplicates, plan: Plan) -> None:
    if not plan.mapping.has_joins or plan.source.datasets[plan.dataset.name].fan_out:
        return
    again = found.bad.n_unique() < found.bad.len()
    if again or settled.distinct_rows < settled.rows + len(settled.copies) + settled.conflicts.height:
        raise ExtractError(
            f"rows of {plan.mapping.driving} come out of the mapping more than once: a join finds several partners",
            where=f"{plan.source.folder / plan.dataset.name}.sql",
            remedy="join on the whole key, or set fan_out: true where one raw row means several rows",
        )


def _result(
    found: _Sorted,
    settled: Duplicates,
    lost: pl.DataFrame,
    plan: Plan,
    driving: TypedTable,
    delivered: RawRows,
) -> Staged:
    failures = pl.concat(
        [
            found.failures,
            quarantine.lost_failures(lost, driving),
            quarantine.conflict_failures(settled.conflicts),
        ]
    )
    duplicates = len(settled.copies)
    outputs = settled.rows + duplicates + settled.conflicts.height + found.bad.len()
    known = pl.concat([found.seen, settled.conflicts.select(found.seen.columns)])
    quarantined = found.bad.len() + settled.conflicts.height + lost.height
    # With fan_out a driving row counts as often as it comes out.
    distinct = settled.distinct_rows + found.bad.n_unique() if plan.mapping.has_joins else outputs
    rows_in = driving.raw.rows + outputs - distinct
    days = pl.scan_parquet(found.path).select(first=pl.col("_date").min(), last=pl.col("_date").max()).collect()
    return Staged(
        rows=found.path,
        row_count=settled.rows,
        quarantined=quarantine.entries(failures, plan, delivered, known),
        sightings=known.select(*quarantine.SIGHTINGS),
        unreadable_keys=found.bad.len() - found.seen.height + lost.height,
        rows_in=rows_in,
        rows_accepted=settled.rows,
        rows_quarantined=quarantined,
        rows_duplicate=duplicates,
        rows_excluded=rows_in - settled.rows - quarantined - duplicates,
        first_day=days["first"].item(),
        last_day=days["last"].item(),
        copies=settled.copies,
    )
