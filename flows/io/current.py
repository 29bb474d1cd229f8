"""Current rows: what the ledger calls current, read from the lake."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Protocol

import polars as pl

from flows.io import ledger
from flows.io.lake import Lake, lake_schema, months_between
from flows.io.ledger import Stream
from flows.io.warehouse import Session, quote
from schemas.registry import Dataset
from transforms.common import accept as rules

LINK_SHARE = 0.03
"""From this many documents per row of a stream on, its rows are read whole: looking a document up takes longer than
reading thirty rows."""

FEW_ROWS = 20_000
"""Up to this many rows are looked through for duplicates together with all their columns; of more, the keys first."""

_KEYS = ("_key_hash", "_payload_hash")


class Which(Protocol):
    """Which rows of a stream are wanted."""

    def of(self, session: Session, stream: Stream) -> "Selection":
        """The condition, for a stream."""


class Selection:
    """A condition on a stream's ledger rows, with the same condition on its lake rows.

    `is_listed`: the condition on ledger rows is a list in a temporary table of the session.
    """

    def __init__(
        self,
        sql: str = "true",
        parameters: Sequence[object] = (),
        lake: pl.Expr | None = None,
        months: Sequence[str] | None = None,
        links: pl.DataFrame | None = None,
        *,
        is_listed: bool = False,
    ) -> None:
        self.sql, self.parameters, self.lake, self.months, self.links = sql, tuple(parameters), lake, months, links
        self.is_listed = is_listed


class Everything:
    """All current rows."""

    def of(self, session: Session, stream: Stream) -> Selection:
        """No condition."""
        return Selection()


class Days:
    """Rows of some days."""

    def __init__(self, days: Iterable[date]) -> None:
        self.days = sorted(set(days))

    def of(self, session: Session, stream: Stream) -> Selection:
        """The range of the days, and the days themselves."""
        if not self.days:
            return Selection("false", lake=pl.lit(value=False))
        first, last = self.days[0], self.days[-1]
        is_gapless = (last - first).days + 1 == len(self.days)
        inside = pl.col("_date").is_between(first, last)
        if is_gapless:
            return Selection("row_date between $1 and $2", (first, last), inside, months_between(first, last))
        days = pl.col("_date").is_in(self.days)
        return Selection("row_date = any($1)", (self.days,), inside & days, _months(self.days))


class Rows:
    """Some rows."""

    def __init__(self, rows: pl.DataFrame) -> None:
        """`rows` has row_date, and key_hash or (of append streams, all rows of a document) link_hash."""
        self._rows = rows

    def of(self, session: Session, stream: Stream) -> Selection:
        """The keys are looked up; where the ledger has none, the days are read."""
        days = self._rows["row_date"].unique().sort().to_list()
        keys, links = (self._rows[name].drop_nulls().unique() for name in ("key_hash", "link_hash"))
        is_named = pl.col("_key_hash").is_in(keys.implode())
        if stream.key_count:
            session.load_temporary(keys.to_frame(), "wanted_row")
        elif links.len():
            is_named |= pl.col("_link_hash").is_in(links.implode())
        sql = "exists (select from pg_temp.wanted_row as wanted where wanted.key_hash = key.key_hash)"
        lake = pl.col("_date").is_in(days) & is_named
        return Selection(sql, lake=lake, months=_months(days), is_listed=True)


class Links:
    """Rows that belong to some documents."""

    def __init__(self, links: pl.DataFrame) -> None:
        """`links` has one column, link_hash."""
        self._links = links

    def of(self, session: Session, stream: Stream) -> Selection:
        """Documents are looked up, unless they are so many that reading the stream whole is cheaper."""
        if not self._links.height:
            return Selection("false", lake=pl.lit(value=False))
        rows = stream.key_count or session.value(
            "select coalesce(sum(row_count), 0) from ops.stream_day where stream_id = $1", stream.stream_id
        )
        if self._links.height >= LINK_SHARE * float(rows):
            return Selection(links=self._links)
        session.load_temporary(self._links, "wanted_link")
        table = f"ops.{quote(stream.partition)}" if stream.key_count else "ops.link_day"
        day = "row_date" if stream.key_count else "day"
        span = session.fetch(
            f"select min({day}), max({day}) from {table} inner join pg_temp.wanted_link using (link_hash)"
            " where stream_id = $1",
            stream.stream_id,
        ).row(0)
        if span[0] is None:
            return Selection("false", lake=pl.lit(value=False))
        sql = "exists (select from pg_temp.wanted_link as wanted where wanted.link_hash = key.link_hash)"
        return Selection(sql, links=self._links, months=months_between(*span), is_listed=True)


def _months(days: Sequence[date]) -> list[str]:
    return sorted({f"{day:%Y-%m}" for day in days})


def current_rows(
    session: Session,
    lake: Lake,
    dataset: Dataset,
    which: Which,
    *,
    source: str | None = None,
    with_gone: bool = False,
) -> pl.LazyFrame:
    """The current rows of a dataset: the contract's columns and the technical ones.

    Rows of the newest version of each present key (delta, snapshot, period), or of the newest revision of each slot
    (append); each once. `source` restricts them to one source's. `with_gone` adds the last version of keys that are
    gone, and says so in is_deleted.
    """
    frames = [
        at_one_moment(
            session, stream, lambda stream: rows_of_stream(session, lake, dataset, stream, which, with_gone=with_gone)
        )
        for stream in ledger.streams(session, dataset.name)
        if source in (None, stream.source) and stream.accept_count
    ]
    return pl.concat(frames) if frames else pl.LazyFrame(schema=lake_schema(dataset))


def at_one_moment(session: Session, stream: Stream, read: Callable[[Stream], pl.LazyFrame]) -> pl.LazyFrame:
    """What several queries of a stream yield while no delivery of it is accepted: else they are asked again.

    A delivery that changes no row dirties no slice, and yet it moves the orders by which the queries' parts are joined.
    """
    while True:
        rows = read(stream)
        now = next(one for one in ledger.streams(session, stream.dataset) if one.stream_id == stream.stream_id)
        if now.accept_count == stream.accept_count:
            return rows
        stream = now


def rows_of_stream(
    session: Session, lake: Lake, dataset: Dataset, stream: Stream, which: Which, *, with_gone: bool = False
) -> pl.LazyFrame:
    """The current rows of one stream; to be asked for within `at_one_moment`."""
    selection = which.of(session, stream)
    rows = lake.scan(dataset, selection.months).filter(pl.col("source") == stream.source)
    if selection.lake is not None:
        rows = rows.filter(selection.lake)
    if selection.links is not None:
        rows = rows.join(selection.links.lazy().select(_link_hash="link_hash"), on="_link_hash", how="semi")
    append = ledger.current_append_extracts(session, [stream.stream_id])
    if append.height:
        return _newest_of_day(rows, append)
    only = _only_delivery(session, stream)
    if only is not None:
        return rows.filter((pl.col("_extract_id") == only) & ~pl.col("is_deleted").fill_null(value=False))
    keys = newest_keys(session, stream, selection)
    if not with_gone:
        keys = keys.filter("is_present")
    newest = rows.join(keys.lazy(), on=_KEYS, how="inner")
    if keys.height < FEW_ROWS or not _is_unique(newest):
        # A payload that came, went and came again is in the lake twice.
        newest = newest.sort("_extract_id").unique(_KEYS, keep="first")
    return newest.with_columns(is_deleted=~pl.col("is_present")).drop("is_present")


def _is_unique(newest: pl.LazyFrame) -> bool:
    rows, keys = (
        newest.select(pl.len(), pl.col("_key_hash").n_unique().alias("keys")).collect(engine="streaming").row(0)
    )
    return bool(rows == keys)


def _newest_of_day(rows: pl.LazyFrame, append: pl.DataFrame) -> pl.LazyFrame:
    ranked = rows.join(append.lazy().select(_extract_id="extract_id", _rank="rank"), on="_extract_id", how="inner")
    live = ranked.filter(~pl.col("is_deleted").fill_null(value=False))
    if _overlap(append):
        live = live.sort("_rank", "_order_at", "_payload_hash").unique(["_date", "_key_hash"], keep="last")
    return live.drop("_rank")


def _overlap(append: pl.DataFrame) -> bool:
    """Whether two deliveries have rows of the same day, so that a key may come twice."""
    spans = append.drop_nulls("first_date").sort("first_date")
    return bool((spans["first_date"].shift(-1) <= spans["last_date"].cum_max()).any())


def _only_delivery(session: Session, stream: Stream) -> int | None:
    """The stream's delivery, if there is but one and each of its rows is a key's newest version."""
    if stream.accept_count != 1:
        return None
    found = session.fetch(
        # A key that was only seen in quarantine counts too, and would make up for a second version of another.
        "select extract_id from ops.extract"
        " where stream_id = $1 and state = 'accepted' and rows_accepted = $2 and rows_quarantined = 0",
        stream.stream_id,
        stream.key_count,
    )
    return int(found.item()) if found.height == 1 else None


def newest_keys(session: Session, stream: Stream, selection: Selection | None = None) -> pl.DataFrame:
    """_key_hash, _payload_hash, is_present of a stream's keys, of the selected ones only where a selection is given."""
    selection = selection or Selection()
    if not stream.key_count:
        return pl.DataFrame(schema=dict.fromkeys(_KEYS, pl.Int64) | {"is_present": pl.Boolean})
    columns = ["key_hash", "payload_hash", "row_date", "is_deleted"]
    orders = ["version_sighting", "version_at", "seen_sighting", "seen_at"]
    extract_orders = ledger.extract_orders(session, stream.stream_id)
    scopes = ledger.scopes(session, stream, extract_orders)
    names = ", ".join(f"key.{name}" for name in (columns + orders if scopes else columns))
    table = f"ops.{quote(stream.partition)}"
    fetch = session.fetch if selection.is_listed else session.fetch_many
    sql = f"select {names} from {table} as key where payload_hash is not null and {selection.sql}"
    found = fetch(sql, *selection.parameters)
    rows = found.lazy()
    is_present = ~pl.col("is_deleted")
    if scopes:
        groups = ledger.sighting_groups(session, stream.stream_id, extract_orders).select("sighting_id", "at", "rank")
        rows = rules.with_orders(rows.cast({name: rules.EXISTING[name] for name in orders}), groups.lazy())
        is_present = rules.is_present(scopes)
    return rows.select(_key_hash="key_hash", _payload_hash="payload_hash", is_present=is_present).collect()
