"""What a stream has ever held: its days, its codes, its documents. Unions that only widen.

They answer "which slices may a change concern?" without reading rows: too many slices are harmless, too few are not.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.io.ledger import Extract
from flows.io.warehouse import Session
from schemas.catalog import DATASETS
from schemas.registry import UNDATED


@dataclass(frozen=True, slots=True)
class Seen:
    """What nobody had seen before: entities of which a code is new, and whether the calendar got longer."""

    new_codes: frozenset[str]
    has_new_days: bool


def widen(session: Session, extract: Extract, rows: Path) -> Seen:
    """Take a staged extract's days, codes and documents."""
    dataset = DATASETS[extract.dataset]
    staged = pl.scan_parquet(rows)
    has_links = dataset.link is not None and extract.mode == "append"
    queries = [staged.group_by(day="_date").len("row_count"), _codes(staged, dataset.coded_columns())]
    if has_links:
        queries.append(staged.filter(pl.col("_link_hash").is_not_null()).group_by("_link_hash", "_date").agg())
    days, codes, *links = pl.collect_all(queries, engine="streaming")
    has_new_days = _take_days(session, extract.stream_id, days)
    for pairs in links:
        _take_links(session, extract.stream_id, pairs)
    if extract.dataset == "code_map":
        _take_aliases(session, staged)
    return Seen(_take_codes(session, extract.stream_id, codes), has_new_days)


def _codes(staged: pl.LazyFrame, coded: dict[str, str]) -> pl.LazyFrame:
    spans = [
        staged.filter(pl.col(column).is_not_null() & (pl.col(column) != ""))
        .group_by(pl.col(f"_space_{column}").alias("code_space"), pl.col(column).alias("code"))
        .agg(first_date=pl.col("_date").min(), last_date=pl.col("_date").max())
        .select(pl.lit(entity).alias("entity"), "code_space", "code", "first_date", "last_date")
        for column, entity in coded.items()
    ]
    empty = {"entity": pl.String, "code_space": pl.String, "code": pl.String}
    return (
        pl.concat([*spans, pl.LazyFrame(schema=empty | {"first_date": pl.Date, "last_date": pl.Date})])
        .group_by("entity", "code_space", "code")
        .agg(pl.col("first_date").min(), pl.col("last_date").max())
    )


def _take_days(session: Session, stream_id: int, days: pl.DataFrame) -> bool:
    dated = days.filter(pl.col("day") != UNDATED)["day"]
    if not days.height:
        return False
    span = session.fetch("select min(day), max(day) from ops.stream_day where day <> $1", UNDATED).row(0)
    is_longer = bool(dated.len()) and (span[0] is None or dated.min() < span[0] or dated.max() > span[1])
    session.load_temporary(days.cast({"row_count": pl.Int64}), "seen_day")
    session.execute(
        "insert into ops.stream_day (stream_id, day, row_count)"
        " select $1, day, row_count from pg_temp.seen_day on conflict (stream_id, day)"
        " do update set row_count = excluded.row_count where excluded.row_count > stream_day.row_count",
        stream_id,
    )
    return is_longer


def _take_links(session: Session, stream_id: int, pairs: pl.DataFrame) -> None:
    if not pairs.height:
        return
    if not session.value("select 1 from ops.link_day where stream_id = $1 limit 1", stream_id):
        rows = pairs.select(pl.lit(stream_id, dtype=pl.Int32).alias("stream_id"), link_hash="_link_hash", day="_date")
        session.copy(rows.sort("link_hash", "day"), "link_day", schema="ops")
        return
    session.load_temporary(pairs, "seen_link")
    session.execute(
        "insert into ops.link_day (stream_id, link_hash, day)"
        ' select $1, "_link_hash", "_date" from pg_temp.seen_link order by 2, 3 on conflict do nothing',
        stream_id,
    )


def _take_aliases(session: Session, staged: pl.LazyFrame) -> None:
    columns = ["entity", "code_space", "code", "master_code_space", "master_code"]
    session.load_temporary(staged.select(columns).drop_nulls().unique().collect(), "seen_alias")
    names = ", ".join(columns)
    session.execute(
        f"insert into ops.code_alias ({names}) select {names} from pg_temp.seen_alias on conflict do nothing"
    )


def _take_codes(session: Session, stream_id: int, codes: pl.DataFrame) -> frozenset[str]:
    if not codes.height:
        return frozenset()
    session.load_temporary(codes, "seen_code")
    new = session.fetch(
        "select distinct seen.entity from pg_temp.seen_code as seen where not exists ("
        " select from ops.code_span as held where held.entity = seen.entity"
        " and held.code_space = seen.code_space and held.code = seen.code)"
    )
    session.execute(
        "insert into ops.code_span (stream_id, entity, code_space, code, first_date, last_date)"
        " select $1, entity, code_space, code, first_date, last_date from pg_temp.seen_code"
        " on conflict (stream_id, entity, code_space, code) do update"
        " set first_date = least(code_span.first_date, excluded.first_date),"
        " last_date = greatest(code_span.last_date, excluded.last_date)"
        " where excluded.first_date < code_span.first_date or excluded.last_date > code_span.last_date",
        stream_id,
    )
    return frozenset(new["entity"])
