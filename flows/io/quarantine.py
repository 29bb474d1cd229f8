"""Rows held back, kept twice: in the ledger for people, in the lake so that all of them can be replayed.

The ledger holds the first rows of a delivery, and the count of each rule for good. The lake's Delta table `quarantine`
holds every row and rule; both have value and raw row of the first ones only, and no personal data.
"""

import threading
from datetime import datetime

import polars as pl
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from flows.io.lake import Lake
from flows.io.ledger import Extract
from flows.io.stage import Staged
from flows.io.staging.quarantine import SCHEMA
from flows.io.warehouse import NUL_PICTURE, Session, Warehouse
from schemas.errors import LakeError

TABLE = "quarantine"

_INSTANT = pl.Datetime("us", "UTC")
_ENTRY = {name: dtype for name, dtype in SCHEMA.items() if name not in ("key_hash", "order_at")}
LAKE_SCHEMA: dict[str, pl.DataType] = {
    "extract_id": pl.Int64(),
    "source": pl.String(),
    "dataset": pl.String(),
    "file": pl.String(),
    **_ENTRY,
    "quarantined_at": _INSTANT,
    "replayed_at": _INSTANT,
}
_HAD = """
select
    exists(select from ops.quarantine_count where extract_id = $1) as rows,
    exists(select from ops.correction where extract_id = $1) as corrections
"""
_HELD = "select true from ops.quarantine_count where extract_id = $1 and held_count > 0"
_ATTEMPTS = 20
_writing = threading.Lock()


def keep(warehouse: Warehouse, lake: Lake, extract: Extract, staged: Staged, now: datetime) -> None:
    """Keep what a delivery's staging held back and corrected, in place of what an earlier try left.

    Raises:
        LakeError: The lake cannot be written.
    """
    with warehouse.session() as session:
        had, had_corrections = session.fetch(_HAD, extract.extract_id).row(0)
    if had or staged.quarantined.height:
        _replace(lake, extract, _as_filed(staged.quarantined, extract, now))
    elif not staged.corrections and not had_corrections:
        return
    with warehouse.session() as session:
        for table in ("quarantined_row", "quarantine_count"):
            session.execute(f"delete from ops.{table} where extract_id = $1", extract.extract_id)
        _insert(session, extract, staged.quarantined, now)
        keep_corrections(session, extract, staged)
        session.commit()


def held(session: Session, lake: Lake, extract: Extract) -> pl.Series:
    """Numbers of the rows of a delivery that are still held back.

    Raises:
        LakeError: The lake cannot be read, or has lost what it knew of the delivery.
    """
    rows = _scan(lake, extract).select("row_no", "replayed_at").collect()
    if rows.is_empty() and session.value(_HELD, extract.extract_id):
        raise LakeError(
            f"the lake does not know which rows of extract {extract.extract_id} are held back",
            where=lake.uri(TABLE),
            remedy="restore its folder from a backup, or have these rows delivered again",
        )
    return rows.filter(pl.col("replayed_at").is_null())["row_no"].unique()


def note_replayed(session: Session, extract: Extract, still: pl.DataFrame, now: datetime) -> None:
    """In the ledger: of the rows held so far those in `still` are held on, for today's reasons; the others are not."""
    session.load_temporary(still.select("row_no").unique(), "still_held")
    is_still = "row_no in (select row_no from pg_temp.still_held)"
    own = "extract_id = $1 and replayed_at is null"
    session.execute(f"delete from ops.quarantined_row where {own} and {is_still}", extract.extract_id)
    session.execute(f"update ops.quarantined_row set replayed_at = $2 where {own}", extract.extract_id, now)
    session.execute("update ops.quarantine_count set held_count = 0 where extract_id = $1", extract.extract_id)
    _insert(session, extract, still, now)


def file_replayed(lake: Lake, extract: Extract, still: pl.DataFrame, now: datetime) -> None:
    """The same in the lake."""
    filed = _scan(lake, extract).collect()
    is_on = pl.col("replayed_at").is_null() & pl.col("row_no").is_in(still["row_no"].unique().implode())
    gone = filed.filter(~is_on).with_columns(pl.col("replayed_at").fill_null(pl.lit(now).cast(_INSTANT)))
    _replace(lake, extract, pl.concat([gone, _as_filed(still, extract, now)]))


def keep_corrections(session: Session, extract: Extract, staged: Staged) -> None:
    """Keep which corrections met rows of the delivery."""
    session.execute("delete from ops.correction where extract_id = $1", extract.extract_id)
    for met in staged.corrections:
        session.execute(
            "insert into ops.correction (extract_id, correction, rows_corrected, rows_unexpected, reason, owner)"
            " values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            extract.extract_id,
            str(met.correction),
            met.rows_corrected,
            met.rows_unexpected,
            met.correction.reason,
            met.correction.owner,
        )


def _insert(session: Session, extract: Extract, rows: pl.DataFrame, now: datetime) -> None:
    if rows.is_empty():
        return
    counts = rows.group_by("rule").len("row_count").with_columns(pl.col("row_count").cast(pl.Int64))
    session.load_temporary(counts, "rule_count")
    session.execute(
        "insert into ops.quarantine_count (extract_id, rule, row_count, held_count)"
        " select $1, rule, row_count, row_count from pg_temp.rule_count"
        " on conflict (extract_id, rule) do update set held_count = excluded.held_count,"
        " row_count = greatest(quarantine_count.row_count, excluded.held_count)",
        extract.extract_id,
    )
    kept = rows.filter(pl.col("raw").is_not_null())
    session.load_temporary(_without_nul(kept), "held_back")
    session.execute(
        "insert into ops.quarantined_row"
        " (extract_id, row_no, rule, column_name, value, raw, key_hash, order_at, quarantined_at)"
        " select $1, row_no, rule, column_name, value, raw::jsonb, key_hash, order_at, $2 from pg_temp.held_back"
        # a row that was replayed and is held again (the corrections were taken back) is held
        " on conflict (extract_id, row_no, rule) do update set replayed_at = null",
        extract.extract_id,
        now,
    )


def _without_nul(rows: pl.DataFrame) -> pl.DataFrame:
    # A backslash before u0000 may itself be escaped; pairs of them are set aside first. JSON holds no bare U+0001.
    raw = pl.col("raw")
    for old, new in (("\\\\", "\x01"), ("\\u0000", NUL_PICTURE), ("\x01", "\\\\")):
        raw = raw.str.replace_all(old, new, literal=True)
    texts = pl.col("column_name", "value").str.replace_all("\0", NUL_PICTURE, literal=True)
    return rows.with_columns(texts, raw)


def _as_filed(rows: pl.DataFrame, extract: Extract, now: datetime) -> pl.DataFrame:
    return rows.select(
        pl.lit(extract.extract_id, dtype=pl.Int64).alias("extract_id"),
        pl.lit(extract.source).alias("source"),
        pl.lit(extract.dataset).alias("dataset"),
        pl.lit(extract.file).alias("file"),
        *_ENTRY,
        pl.lit(now).cast(_INSTANT).alias("quarantined_at"),
        pl.lit(None, dtype=_INSTANT).alias("replayed_at"),
    )


def _scan(lake: Lake, extract: Extract) -> pl.LazyFrame:
    try:
        table = DeltaTable(lake.uri(TABLE))
    except TableNotFoundError:
        return pl.LazyFrame(schema=LAKE_SCHEMA)
    except (OSError, DeltaError) as error:
        raise _unusable(lake, error) from error
    return pl.scan_delta(table).filter(pl.col("extract_id") == extract.extract_id)


def _replace(lake: Lake, extract: Extract, rows: pl.DataFrame) -> None:
    """Exchange what the lake keeps of a delivery."""
    for attempt in range(_ATTEMPTS):
        try:
            with _writing:
                write_deltalake(
                    lake.uri(TABLE),
                    rows.select(*LAKE_SCHEMA).to_arrow(),
                    mode="overwrite",
                    predicate=f"extract_id = {extract.extract_id}",
                    partition_by=["extract_id"],
                )
        except CommitFailedError as error:
            # Another process has filed something in between.
            if attempt == _ATTEMPTS - 1:
                raise _unusable(lake, error) from error
            continue
        except (OSError, DeltaError) as error:
            raise _unusable(lake, error) from error
        return


def _unusable(lake: Lake, error: Exception) -> LakeError:
    return LakeError(
        f"the lake's quarantine cannot be read or written: {str(error).splitlines()[0]}",
        where=lake.uri(TABLE),
        remedy="free space or mend the permissions, then run again; nothing was accepted",
    )
