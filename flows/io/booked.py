"""Rows as they stand in books whose closed periods are not touched any more: read from ledger and lake.

Only streams whose source says `closed_periods: adjust`, and of those only closed days and the ones after closed
periods, cost more than reading their current rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from flows.io import ledger
from flows.io.current import Days, Which, at_one_moment, rows_of_stream
from flows.io.dirty import Change
from flows.io.lake import Lake, lake_schema
from flows.io.ledger import Extract, Stream
from flows.io.warehouse import Session
from schemas.registry import Dataset
from transforms.common import books
from transforms.common.accept import Scope
from transforms.common.books import IS_REVERSAL, ORIGINAL_DATE, Closed


def booked_rows(
    session: Session, lake: Lake, dataset: Dataset, which: Which, source: str | None, periods: pl.LazyFrame
) -> pl.LazyFrame:
    """The rows that are booked (on some days), with `_original_date` and `_is_reversal` beside a dataset's columns.

    `periods` are the current rows of fiscal_period; `source` restricts the rows to one source's.
    """
    frames = [
        at_one_moment(session, stream, lambda stream: _of_stream(session, lake, dataset, which, stream, periods))
        for stream in ledger.streams(session, dataset.name)
        if source in (None, stream.source) and stream.accept_count
    ]
    return pl.concat(frames) if frames else _on_own_days(pl.LazyFrame(schema=lake_schema(dataset)))


def with_history(session: Session, extract: Extract, rows: Path, sightings: pl.DataFrame, change: Change) -> Change:
    """What a delivery changes, also of what was known when periods were closed; keeps the keys that it held back.

    The newest changes nothing of that. A late one may, also where the current rows stay as they are.
    """
    session.load_temporary(sightings.select(key_hash="_key_hash").unique(), "held_now")
    session.execute(
        "insert into ops.held_key (extract_id, key_hash) select $1, key_hash from pg_temp.held_now"
        " on conflict do nothing",
        extract.extract_id,
    )
    newer = ledger.extracts(
        session,
        "stream_id = $1 and state = 'accepted' and (as_of, revision) >= ($2, $3)",
        extract.stream_id,
        extract.as_of,
        extract.revision,
    )
    if not newer:
        return change
    days = session.fetch("select day as row_date from ops.stream_day where stream_id = $1", extract.stream_id)
    every_day = days.select(key_hash=None, row_date="row_date", link_hash=None).cast(change.rows.schema)
    return Change(pl.concat([change.rows, Change.of_staged(rows).rows, every_day]))


def _of_stream(
    session: Session, lake: Lake, dataset: Dataset, which: Which, stream: Stream, periods: pl.LazyFrame
) -> pl.LazyFrame:
    def current(which: Which) -> pl.LazyFrame:
        return _on_own_days(rows_of_stream(session, lake, dataset, stream, which))

    if stream.books_zone is None or not isinstance(which, Days):
        # Rows are named only of streams whose closed periods are not adjusted.
        return current(which)
    extracts = _extracts(session, stream)
    closed = _closed(periods, stream, extracts["as_of"].min())
    concerned = books.days_concerned(closed, which.days)
    if not concerned:
        return current(which)
    history = _History(session, lake, dataset, stream, extracts)
    unsettled = history.unsettled(closed)
    booked = history.bookings(unsettled, closed).filter(pl.col("_date").is_in(concerned))
    settled = current(Days(concerned)).join(unsettled.lazy(), on=history.identity, how="anti")
    # On other days nothing is booked but what is current there.
    others = current(Days(set(which.days) - set(concerned)))
    return pl.concat([others, settled, history.rows(booked).select(settled.collect_schema().names())])


def _on_own_days(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("_date").alias(ORIGINAL_DATE), pl.lit(value=False).alias(IS_REVERSAL))


def _closed(periods: pl.LazyFrame, stream: Stream, first: object) -> list[Closed]:
    """Closed periods of a stream's source. What was closed before anything was delivered held nothing to be kept."""
    closed_on = pl.col("closed_at").dt.convert_time_zone(str(stream.books_zone)).dt.date()
    rows = (
        periods.filter((pl.col("source") == stream.source) & pl.col("closed_at").is_not_null())
        .select("starts_on", "ends_on", pl.max_horizontal(closed_on, pl.lit(first, pl.Date)))
        .collect()
    )
    return [Closed(*row) for row in rows.iter_rows()]


def _extracts(session: Session, stream: Stream) -> pl.DataFrame:
    """Accepted deliveries of a stream, with their rank."""
    return session.fetch(
        "select extract_id as _extract_id, slot, mode, as_of, period_start, period_end,"
        " coalesce(gives_coverage, false) as gives_coverage,"
        " row_number() over (order by as_of, revision, landed_at, content_hash) as rank"
        " from ops.extract where stream_id = $1 and state = 'accepted'",
        stream.stream_id,
    )


@dataclass(frozen=True, slots=True)
class _History:
    """Everything a stream's deliveries said, in their order."""

    session: Session
    lake: Lake
    dataset: Dataset
    stream: Stream
    extracts: pl.DataFrame

    @property
    def is_append(self) -> bool:
        """Whether rows are told apart by key and day."""
        return bool((self.extracts["mode"] == "append").any())

    @property
    def identity(self) -> list[str]:
        """Columns that tell rows apart."""
        return ["_key_hash", "_date"] if self.is_append else ["_key_hash"]

    def unsettled(self, periods: Sequence[Closed]) -> pl.DataFrame:
        """Identity of the rows that may be booked otherwise than on their own day as they are now."""
        standing = self._standing(self.extracts)["_extract_id"] if self.is_append else self.extracts["_extract_id"]
        versions = self._versions().with_columns(is_standing=pl.col("_extract_id").is_in(standing.implode()))
        found = books.histories(versions, self.identity, periods).collect(engine="streaming")
        claims = self.extracts.filter("gives_coverage").select("rank", "period_start", "period_end")
        return books.unsettled(found.lazy(), self.identity, claims.lazy()).collect()

    def bookings(self, unsettled: pl.DataFrame, periods: Sequence[Closed]) -> pl.DataFrame:
        """How these rows are booked."""
        seen = self._versions().join(unsettled.lazy(), on=self.identity, how="semi").collect()
        held = self._held(unsettled)
        states = [self._state(seen, held, day) for day in (*books.closings(periods), date.max)]
        return books.bookings(states, periods).collect()

    def rows(self, booked: pl.DataFrame) -> pl.LazyFrame:
        """The rows that are booked, whole."""
        own = {"_key_hash": "_key_hash", "_payload_hash": "_payload_hash", "_date": ORIGINAL_DATE}
        rows = self._lake_rows().join(
            booked.lazy(), left_on=list(own), right_on=list(own.values()), how="inner", suffix="_booked"
        )
        once = rows.sort("_extract_id").unique([*own, "_date_booked"], keep="first")
        once = once.with_columns(pl.col("_date").alias(ORIGINAL_DATE), pl.col("_date_booked").alias("_date"))
        return books.as_booked(once, str(self.dataset.dated_by), self.dataset.reverses)

    def _lake_rows(self) -> pl.LazyFrame:
        return self.lake.scan(self.dataset).filter(pl.col("source") == self.stream.source)

    def _versions(self) -> pl.LazyFrame:
        columns = ["_key_hash", "_payload_hash", "_date", "_order_at", "_extract_id"]
        rows = self._lake_rows().select(*columns, pl.col("is_deleted").fill_null(value=False))
        return rows.join(
            self.extracts.lazy().select("_extract_id", "as_of", "rank", "gives_coverage"), on="_extract_id"
        )

    def _held(self, unsettled: pl.DataFrame) -> pl.DataFrame:
        """Sightings of these keys in quarantined rows."""
        held = self.session.fetch(
            "select extract_id as _extract_id, key_hash as _key_hash from ops.held_key"
            " inner join ops.extract using (extract_id) where stream_id = $1 and state = 'accepted'",
            self.stream.stream_id,
        )
        return (
            held.join(unsettled, on="_key_hash", how="semi")
            .join(self.extracts, on="_extract_id")
            .with_columns(_order_at=pl.col("as_of").cast(pl.Datetime("us", "UTC")))
        )

    @staticmethod
    def _standing(extracts: pl.DataFrame) -> pl.DataFrame:
        """The newest revision of each slot."""
        return extracts.sort("rank").unique("slot", keep="last")

    def _state(self, seen: pl.DataFrame, held: pl.DataFrame, day: date) -> pl.LazyFrame:
        """Current rows as of a day."""
        known, so_far = self.extracts.filter(pl.col("as_of") <= day), pl.col("as_of") <= day
        if self.is_append:
            standing = self._standing(known).select("_extract_id")
            return books.append_state(seen.join(standing, on="_extract_id", how="semi").lazy())
        claims = known.filter("gives_coverage").sort("rank").unique(["period_start", "period_end"], keep="last")
        scopes = [
            Scope(ledger.midnight(as_of), rank, first, last)
            for as_of, rank, first, last in claims.select("as_of", "rank", "period_start", "period_end").iter_rows()
        ]
        return books.keyed_state(seen.filter(so_far).lazy(), held.filter(so_far).lazy(), scopes)
