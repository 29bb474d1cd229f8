"""What is known of a delivery beside its rows: what its gates are told, and what they compare it with."""

import polars as pl

from flows.expected import deadline
from flows.io import gates
from flows.io.gates_history import column_changes, kinds_of_days
from flows.io.ledger import Extract
from flows.io.pull.deliveries import Delivery
from flows.io.stage import Staged
from flows.io.warehouse import NUL_PICTURE, Session
from schemas.catalog import DATASETS
from schemas.source import WEEKDAYS, SchemaPolicy, Source

_PARTS_OF = 60
"""Newest earlier deliveries of which parts are compared; of whole deliveries the days of more than a year are."""

_DELIVERIES = 400

_BEFORE = """
with judged as (
    select distinct on (slot) extract_id, slot, as_of
    from ops.extract
    where
        stream_id = $1 and as_of < $2 and state not in ('blocked', 'superseded')
        and exists (select from ops.extract_measure where extract_measure.extract_id = extract.extract_id)
    order by slot asc, revision desc, landed_at desc
),
ranked as (
    select extract_id, as_of, row_number() over (order by as_of desc, slot desc) as place from judged
)
select measure, part, value, place, as_of
from ranked
inner join ops.extract_measure using (extract_id)
where
    measure = any($5)
    or case when measure = 'columns' then place = 1 else place <= $3 and (part = '' or place <= $4) end
"""

_SAME_BYTES = """
select slot
from ops.extract
where stream_id = $1 and as_of < $2 and content_hash = $3 and slot <> $4
order by as_of desc
limit 1
"""


def history_of(session: Session, source: Source, extract: Extract) -> gates.History:
    """What earlier deliveries of a stream measured: those of an earlier as_of that no gate holds back."""
    changes = list(gates.kept_as_changes(extract.dataset))
    rows = session.fetch(_BEFORE, extract.stream_id, extract.as_of, _DELIVERIES, _PARTS_OF, changes)
    days = rows["as_of"].unique().sort()
    kinds = kinds_of_days([*days, extract.as_of], source.holidays)
    like = days.filter(pl.Series([kind == kinds[-1] for kind in kinds[:-1]], dtype=pl.Boolean))
    rows = rows.with_columns(is_like=pl.col("as_of").is_in(like.implode()))
    return gates.History(rows, rows.filter(pl.col("place") <= _PARTS_OF)["place"].n_unique())


def facts_of(
    session: Session, source: Source, delivery: Delivery, extract: Extract, staged: Staged, history: gates.History
) -> gates.ExtractFacts:
    """What the gates are told of a delivery beside its rows."""
    declared = source.datasets[extract.dataset]
    dated = DATASETS[extract.dataset].dated_by is not None and staged.last_day is not None
    return gates.ExtractFacts(
        extract=f"{extract.slot} r{extract.revision} {extract.content_hash[:12]}",
        extract_id=extract.extract_id,
        as_of=extract.as_of,
        rows_in=staged.rows_in,
        rows_accepted=staged.rows_accepted,
        rows_quarantined=staged.rows_quarantined,
        rows_duplicate=staged.rows_duplicate,
        rows_excluded=staged.rows_excluded,
        rows_unexpected=sum(met.rows_unexpected for met in staged.corrections),
        tolerance_rows=declared.tolerances.rows,
        tolerance_share=declared.tolerances.share,
        allow_empty=any(source.tables[file.table].may_be_empty for file in delivery.files),
        mode=extract.mode,
        rows_a_day=staged.rows_in / _days_so_far(extract),
        days_behind=(extract.as_of - staged.last_day).days if dated and staged.last_day else None,
        hours_late=_hours_late(session, source, extract),
        same_as=_same_as(session, extract, staged),
        control_rows_gap=staged.control.rows,
        control_sums_gap=staged.control.sums,
        frozen_column_changes=_column_changes(source, staged, history, "freeze"),
        column_changes=_column_changes(source, staged, history, "evolve"),
        columns=tuple(f"{table}.{name}" for table, names in _columns(staged).items() for name in names),
    )


def _days_so_far(extract: Extract) -> int:
    """Days that the rows are of: of a period those up to as_of, otherwise one."""
    if extract.period_start is None or extract.period_end is None:
        return 1
    return max(1, (min(extract.as_of, extract.period_end) - extract.period_start).days + 1)


def _hours_late(session: Session, source: Source, extract: Extract) -> float | None:
    """How long after its deadline it landed; negative before. None where none was due, or nothing had come by then."""
    declared = source.datasets[extract.dataset]
    if declared.deadline is None or WEEKDAYS[extract.as_of.weekday()] not in declared.expected_on:
        return None
    due = deadline(source, extract.dataset, extract.as_of)
    first = session.value("select min(landed_at) from ops.extract where stream_id = $1", extract.stream_id)
    # What had piled up before opsmart first looked is old, not late.
    return None if first > due else (extract.landed_at - due).total_seconds() / 3600


def _same_as(session: Session, extract: Extract, staged: Staged) -> str | None:
    """Slot of an earlier delivery of the same bytes; None for snapshots, which may well repeat, and without rows."""
    if extract.mode == "snapshot" or not staged.rows_in:
        return None
    query = (extract.stream_id, extract.as_of, extract.content_hash, extract.slot)
    return str(session.value(_SAME_BYTES, *query) or "")


def _columns(staged: Staged) -> dict[str, set[str]]:
    """Columns of each table that came, as the ledger can write them."""
    return {table: {name.replace("\0", NUL_PICTURE) for name in came} for table, came in staged.columns.items()}


def _column_changes(source: Source, staged: Staged, history: gates.History, policy: SchemaPolicy) -> str | None:
    """How the columns of tables under a policy differ from those declared, or else from the delivery before."""
    texts = []
    before = history.columns()
    for table, came in _columns(staged).items():
        declared = source.tables[table]
        known = set(declared.columns) or {
            name.removeprefix(f"{table}.") for name in before if name.startswith(f"{table}.")
        }
        if (declared.schema_policy or source.schema_policy) == policy and known:
            texts.append(column_changes(table, came, known))
    return ", ".join(text for text in texts if text) if texts else None
