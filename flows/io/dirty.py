"""Which slices a change of current rows dirties: the inverse of what the registry says that facts read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.io import ledger
from flows.io.lake import Lake
from flows.io.ledger import Extract
from flows.io.spans import Seen
from flows.io.warehouse import ACCEPT_LOCK, Session
from schemas.catalog import DATASETS, DIMENSIONS, FACTS, PERIODS
from schemas.registry import ALL_SOURCES, UNDATED, Closing, Driving, Fact, Linked, LookBack, Reference, Whole
from schemas.source import Source

MANY_LINKS = 50_000
"""From this many documents on, it is asked first whether every slice is dirty already."""

WHOLE_SHARE = 0.2
"""From this share of a day's rows on, its slices are built whole: reading some rows of a day has its price, too."""

_SLICES = pl.Schema({"source": pl.String(), "day": pl.Date()})
_ROWS = pl.Schema({"source": pl.String(), "row_date": pl.Date(), "key_hash": pl.Int64(), "link_hash": pl.Int64()})
_CODES = pl.Schema({"entity": pl.String(), "code_space": pl.String(), "code": pl.String(), "valid_from": pl.Date()})


@dataclass(frozen=True, slots=True)
class Change:
    """Old and new side of every current row that changes: key_hash, row_date, link_hash."""

    rows: pl.DataFrame

    @classmethod
    def none(cls) -> "Change":
        """No change."""
        return cls(pl.DataFrame(schema={"key_hash": pl.Int64, "row_date": pl.Date, "link_hash": pl.Int64}))

    @classmethod
    def of_staged(cls, rows: Path) -> "Change":
        """Every row of a staged extract is new."""
        columns = {"key_hash": "_key_hash", "row_date": "_date", "link_hash": "_link_hash"}
        return cls(pl.scan_parquet(rows).select(**{k: pl.col(v) for k, v in columns.items()}).collect())


def mark(session: Session, lake: Lake, extract: Extract, change: Change, seen: Seen) -> None:
    """Dirty every slice that a delivery's change of current rows can alter, with one new generation.

    Where only some of a day's driving rows are concerned, its slices are dirty by row: `ops.dirty_row` names those.
    """
    touched = _Touched(session, lake, extract, change)
    slices = []
    for fact in FACTS.values():
        if extract.dataset in fact.inputs and change.rows.height:
            whole, rows = touched.of(fact)
            if fact.has_books:
                whole = pl.concat([whole, touched.booking_days(fact, whole)])
            slices.append(slices_around(fact, extract.dataset, whole).with_columns(is_whole=True))
            if rows.height:
                days = rows.select("source", day="row_date")
                slices.append(slices_around(fact, extract.dataset, days).with_columns(is_whole=False))
                session.copy(rows.with_columns(fact=pl.lit(fact.name)), "dirty_row", schema="ops")
    if seen.has_new_days:
        slices.append(table_slices(["dim_date"]).lazy())
    for dimension in DIMENSIONS.values():
        # Any delivery: members that are gone stay in it, so that a late delivery of them says something new as well.
        is_changed = extract.dataset in dimension.inputs
        names_a_new_code = seen.new_codes if dimension.entity is None else {dimension.entity} & seen.new_codes
        is_named = "code_span" in dimension.inputs and names_a_new_code
        if is_changed or is_named:
            slices.append(table_slices([dimension.name]).lazy())
    reason = f"{extract.source}.{extract.dataset} {extract.slot}"
    if slices:
        mark_slices(session, pl.concat(slices, how="diagonal"), reason)


def mark_slices(session: Session, slices: pl.LazyFrame | pl.DataFrame, reason: str) -> None:
    """Dirty slices (fact, source, day); as a whole, unless an `is_whole` is false."""
    marked = slices.lazy()
    if "is_whole" not in marked.collect_schema():
        marked = marked.with_columns(is_whole=True)
    is_whole = pl.col("is_whole").fill_null(value=True).any()
    touched = marked.group_by("fact", "source", "day").agg(is_whole).collect()
    if not touched.height:
        return
    generation = session.value("select nextval('ops.generation')")
    session.load_temporary(touched, "touched_slice")
    session.execute(
        "insert into ops.dirty_slice (fact, source, day, generation, whole_generation, state, reason)"
        " select fact, source, day, $1, case when is_whole then $1 else 0 end, 'pending', $2 from pg_temp.touched_slice"
        " on conflict (fact, source, day) do update set generation = excluded.generation, whole_generation ="
        " greatest(dirty_slice.whole_generation, excluded.whole_generation), state = 'pending',"
        " reason = excluded.reason",
        generation,
        reason,
    )


def forget_rows(session: Session, fact: Fact) -> None:
    """Forget the dirty rows of a fact none of whose slices awaits a build.

    No delivery may be accepted meanwhile: it would name rows of slices that are clean still.
    """
    window = fact.window(fact.driving[0])
    session.execute(
        "with awaiting as materialized (select source, day from ops.awaiting_slice where fact = $1)"
        " delete from ops.dirty_row as done where fact = $1 and not exists (select from awaiting"
        " where awaiting.source = done.source and awaiting.day between done.row_date - $2::int"
        " and done.row_date + $3::int)",
        fact.name,
        window.after,
        window.before,
    )


def table_slices(names: list[str]) -> pl.DataFrame:
    """The one slice of each of some tables that are one slice."""
    schema = {"fact": pl.String(), **_SLICES}
    rows = {"fact": names, "source": [ALL_SOURCES] * len(names), "day": [UNDATED] * len(names)}
    return pl.DataFrame(rows, schema=schema)


def slices_around(fact: Fact, dataset: str, days: pl.DataFrame) -> pl.LazyFrame:
    """fact, source, day of the slices whose window of a dataset holds one of the days (source, day)."""
    window = fact.window(dataset)
    offsets = [pl.col("day").dt.offset_by(f"{n}d") for n in range(-window.after, window.before + 1)]
    spread = pl.concat([days.lazy().with_columns(day=offset) for offset in offsets])
    source = pl.lit(ALL_SOURCES) if fact.is_cross_source else pl.col("source")
    day = pl.col("day").dt.truncate("1mo") if fact.grain == "month" else pl.col("day")
    return spread.select(fact=pl.lit(fact.name), source=source, day=day).unique()


def keep_books(session: Session, lake: Lake, sources: Mapping[str, Source]) -> None:
    """Have the ledger know of which streams closed periods are adjusted; where that is new, all is built again."""
    said = {
        stream: sources[stream.source].books_zone(stream.dataset)
        for stream in ledger.streams(session)
        if stream.source in sources and stream.dataset in sources[stream.source].datasets
    }
    changed = {stream: zone for stream, zone in said.items() if zone != stream.books_zone}
    if not changed:
        return
    session.lock(ACCEPT_LOCK)
    after = _closings(lake).select("source", day=pl.col("last").dt.offset_by("1d")).collect()
    for stream, zone in changed.items():
        session.execute("update ops.stream set books_zone = $1 where stream_id = $2", zone, stream.stream_id)
        days = session.fetch("select day from ops.stream_day where stream_id = $1", stream.stream_id)
        own = days.select(source=pl.lit(stream.source), day="day").cast(_SLICES)
        days = pl.concat([own, after.filter(pl.col("source") == stream.source)])
        for fact in FACTS.values():
            if fact.has_books and stream.dataset in fact.driving:
                mark_slices(session, slices_around(fact, stream.dataset, days), "closed_periods of the source changed")


def _closings(lake: Lake) -> pl.LazyFrame:
    """source, _key_hash, first and last day of every state in which a fiscal period was ever closed."""
    rows = lake.scan(DATASETS[PERIODS]).filter(pl.col("closed_at").is_not_null())
    return rows.select("source", "_key_hash", first="starts_on", last="ends_on").unique()


class _Touched:
    """The slices of each fact that one change touches."""

    def __init__(self, session: Session, lake: Lake, extract: Extract, change: Change) -> None:
        self._session, self._lake, self._extract, self._change = session, lake, extract, change
        self._streams = ledger.streams(session)
        self._has_links = False

    def of(self, fact: Fact) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Days all of whose driving rows are concerned (source, day), and the rows concerned of other days.

        A row is named by source, row_date and key_hash; or by its document's link_hash, if the ledger has no keys.
        """
        driving = [s.stream_id for s in self._streams if s.dataset in fact.driving]
        none = pl.DataFrame(schema=_SLICES), pl.DataFrame(schema=_ROWS)
        if not driving:
            return none
        way, changed = fact.inputs[self._extract.dataset], self._change.rows
        match way:
            case Driving():
                source = pl.lit(self._extract.source)
                rows = changed.select("row_date", "key_hash", source=source, link_hash=pl.lit(None, pl.Int64))
                return self._split(fact, rows, driving)
            case Linked():
                return self._linked(fact, driving)
            case Reference():
                return self._referring_days(fact, way, driving), none[1]
            case LookBack():
                first = changed.select(pl.col("row_date").unique().alias("rate_date"))
                days = self._stream_days(driving)
                reach = pl.col("day").is_between(pl.col("rate_date"), pl.col("rate_date").dt.offset_by(f"{way.days}d"))
                return days.join_where(first, reach).select(_SLICES.keys()).unique(), none[1]
            case Closing():
                return self._closed_days(fact), none[1]
            case Whole():
                return (self._stream_days(driving) if self._is_used(way) else none[0]), none[1]

    def _split(self, fact: Fact, rows: pl.DataFrame, driving: list[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The days of which many rows are concerned, and the rows of the other days."""
        days = rows.select("source", day="row_date").unique()
        if not fact.is_by_row or self._extract.stream_id in self._adjusting(fact):
            return days, rows.clear()
        rows = rows.select(_ROWS.keys()).unique()
        sizes = self._session.fetch(
            "select stream.source, stream_day.day, greatest(stream_day.row_count, published.row_count) as row_count"
            " from ops.stream_day inner join ops.stream using (stream_id) left join ops.slice as published"
            " on published.fact = $2 and published.source = stream.source and published.day = stream_day.day"
            " where stream_id = any($1)",
            driving,
            fact.name,
        )
        counts = rows.group_by("source", day="row_date").len().join(sizes, on=["source", "day"], how="left")
        is_many = pl.col("len") >= WHOLE_SHARE * pl.col("row_count").fill_null(0)
        whole = counts.filter(is_many).select(_SLICES.keys())
        return whole, rows.join(whole, left_on=["source", "row_date"], right_on=["source", "day"], how="anti")

    def _stream_days(self, stream_ids: list[int]) -> pl.DataFrame:
        return self._session.fetch(
            "select stream.source, stream_day.day from ops.stream_day inner join ops.stream using (stream_id)"
            " where stream_id = any($1)",
            stream_ids,
        ).cast(_SLICES)

    def _linked(self, fact: Fact, driving: list[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Days and rows of the driving rows whose documents are concerned."""
        links = self._change.rows.select(pl.col("link_hash").drop_nulls().unique())
        if not links.height:
            return pl.DataFrame(schema=_SLICES), pl.DataFrame(schema=_ROWS)
        if links.height > MANY_LINKS and self._are_all_dirty(fact, driving):
            return self._stream_days(driving), pl.DataFrame(schema=_ROWS)
        if not self._has_links:
            self._session.load_temporary(links, "touched_link")
            self._has_links = True
        rows = self._session.fetch(
            "select stream.source, key.row_date, key.key_hash, null::bigint as link_hash from ops.current_key as key"
            " inner join pg_temp.touched_link using (link_hash) inner join ops.stream using (stream_id)"
            " where key.stream_id = any($1) and key.row_date is not null"
            " union all select stream.source, link_day.day, null, link_hash from ops.link_day"
            " inner join pg_temp.touched_link using (link_hash) inner join ops.stream using (stream_id)"
            " where link_day.stream_id = any($1)",
            driving,
        )
        return self._split(fact, rows.select(pl.col(name).cast(dtype) for name, dtype in _ROWS.items()), driving)

    def _are_all_dirty(self, fact: Fact, driving: list[int]) -> bool:
        """Whether every day of the driving streams awaits a whole build anyway."""
        return not self._session.value(
            "select 1 from ops.stream_day inner join ops.stream using (stream_id)"
            " left join ops.awaiting_slice as awaiting on awaiting.fact = $2 and awaiting.source = stream.source"
            " and awaiting.day = stream_day.day where stream_id = any($1) and is_whole is not true limit 1",
            driving,
            fact.name,
        )

    def _referring_days(self, fact: Fact, way: Reference, driving: list[int]) -> pl.DataFrame:
        """Days on which the driving rows use a changed code, or one that is conformed to it or from it."""
        self._session.load_temporary(self._changed_codes(way), "changed_code")
        linked = [s.stream_id for s in self._streams if isinstance(fact.inputs.get(s.dataset), Linked)]
        uses = self._session.fetch(_USES, driving + linked)
        if uses.filter(pl.col("stream_id").is_in(linked)).height:
            # Which of the driving rows belong to those documents is not worth knowing: master data changes rarely.
            return self._stream_days(driving)
        days = self._session.fetch(
            "select stream_id, source, day from ops.stream_day inner join ops.stream using (stream_id)"
            " where stream_id = any($1)",
            driving,
        )
        inside = pl.col("day").is_between(pl.max_horizontal("first_date", "valid_from"), pl.col("last_date"))
        return days.join(uses, on="stream_id").filter(inside).select(_SLICES.keys()).unique().cast(_SLICES)

    def _is_used(self, way: Whole) -> bool:
        """Whether any dataset through which the fact reaches the codes refers to a changed one."""
        if not way.used_by:
            return True
        self._session.load_temporary(self._changed_codes(way), "changed_code")
        users = [s.stream_id for s in self._streams if s.dataset in way.used_by]
        return bool(users) and bool(self._session.fetch(_USES, users).height)

    def _closed_days(self, fact: Fact) -> pl.DataFrame:
        """source and day of the rows that a change of periods may move: from the first of the changed periods on."""
        changed = self._change.rows.lazy().select(_key_hash="key_hash")
        first = _closings(self._lake).join(changed, on="_key_hash", how="semi").group_by("source").agg(pl.min("first"))
        starts = first.collect()
        days = pl.concat([self._stream_days(self._adjusting(fact)), starts.select("source", day="first")])
        return days.join(starts, on="source").filter(pl.col("day") >= pl.col("first")).select(_SLICES.keys())

    def booking_days(self, fact: Fact, days: pl.DataFrame) -> pl.DataFrame:
        """source and day of where rows of some days may be booked because a period was closed."""
        sources = {stream.source for stream in self._streams if stream.stream_id in self._adjusting(fact)}
        days = days.filter(pl.col("source").is_in(sources))
        if not days.height:
            return days
        closings = _closings(self._lake).collect()
        inside = days.join(closings, on="source").filter(pl.col("day").is_between("first", "last"))
        first = inside.group_by("source").agg(pl.col("day").min())
        later = closings.join(first, on="source").filter(pl.col("last") >= pl.col("day"))
        return later.select("source", day=pl.col("last").dt.offset_by("1d")).unique()

    def _adjusting(self, fact: Fact) -> list[int]:
        """Driving streams of which closed periods are adjusted."""
        return [s.stream_id for s in self._streams if s.dataset in fact.driving and s.books_zone is not None]

    def _changed_codes(self, way: Reference | Whole) -> pl.DataFrame:
        """entity, code_space, code, valid_from of the master rows that changed, old and new."""
        dataset = DATASETS[self._extract.dataset]
        changed = self._change.rows.lazy().select(_key_hash="key_hash")
        rows = self._lake.scan(dataset).join(changed, on="_key_hash", how="semi")
        if way.columns:
            rows = rows.join(self._alike(rows, way.columns), on="_key_hash", how="anti")
        valid_from = pl.col(way.valid_from) if way.valid_from else pl.lit(None, dtype=pl.Date)
        if way.entity is None:
            own = rows.select("entity", "code_space", "code", valid_from=valid_from)
            master = rows.select("entity", code_space="master_code_space", code="master_code", valid_from=valid_from)
            return pl.concat([own, master]).unique().collect().cast(_CODES)
        coded, key = dataset.coded_columns(), dataset.contract.key()
        column = next(name for name, entity in coded.items() if entity == way.entity and name in key)
        codes = rows.select(
            pl.lit(way.entity).alias("entity"),
            pl.col(f"_space_{column}").alias("code_space"),
            pl.col(column).alias("code"),
            valid_from=valid_from,
        )
        return codes.unique().collect().cast(_CODES)

    def _alike(self, rows: pl.LazyFrame, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Keys that were there before and are after, and all of whose versions are alike in the columns."""
        stays = self._change.rows.lazy().group_by(_key_hash="key_hash").len().filter(pl.col("len") > 1)
        versions = rows.join(stays, on="_key_hash", how="semi").group_by("_key_hash")
        return versions.agg(pl.struct(columns).n_unique().alias("kinds")).filter(pl.col("kinds") == 1)


_USES = """
with master as (
    select entity, code_space, code, valid_from from pg_temp.changed_code
    union
    select changed.entity, alias.master_code_space, alias.master_code, changed.valid_from
    from pg_temp.changed_code as changed
    inner join ops.code_alias as alias using (entity, code_space, code)
),
concerned as (
    select entity, code_space, code, valid_from from master
    union
    select master.entity, alias.code_space, alias.code, master.valid_from
    from master
    inner join ops.code_alias as alias
        on
            master.entity = alias.entity
            and master.code_space = alias.master_code_space
            and master.code = alias.master_code
)
select span.stream_id, span.first_date, span.last_date, concerned.valid_from
from ops.code_span as span
inner join concerned using (entity, code_space, code)
where span.stream_id = any($1)
"""
