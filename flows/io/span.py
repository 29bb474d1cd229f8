"""What a backfill or rebuild concerns: days of a source, dataset or fact, and the state of every slice among them."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from flows.io import dirty
from flows.io.pull.deliveries import Delivery
from flows.io.warehouse import Session
from schemas.catalog import DIMENSIONS, FACTS
from schemas.registry import Dimension, Fact

STATES = ("missing", "stale", "waiting", "blocked", "published")
"""Of a slice: nobody knew of it yet; an older logic built it; it awaits a build; a gate holds it back; it is as it
should be."""


@dataclass(frozen=True, slots=True)
class Span:
    """Days from `start` to `end`, both included, of one source, dataset or fact (or dimension) where they are named.

    The one slice of a dimension has no day that a span of real days holds.
    """

    start: date
    end: date
    source: str | None = None
    dataset: str | None = None
    fact: str | None = None

    @classmethod
    def always(cls, table: str | None = None) -> "Span":
        """All there is of a table, or of all of them."""
        return cls(date.min, date.max, fact=table)

    @property
    def tables(self) -> "list[Fact | Dimension]":
        """The tables concerned: the one named, or those that read the dataset."""
        every: list[Fact | Dimension] = [*FACTS.values(), *DIMENSIONS.values()]
        return [
            table
            for table in every
            if self.fact in (None, table.name) and (self.dataset is None or self.dataset in table.inputs)
        ]

    def concerns(self, delivery: Delivery) -> bool:
        """Whether a delivery speaks for a day of the span, and a fact concerned reads it."""
        first, last = delivery.period or (delivery.as_of, delivery.as_of)
        return (
            first <= self.end
            and last >= self.start
            and self.source in (None, delivery.source)
            and self.dataset in (None, delivery.dataset)
            and any(delivery.dataset in table.inputs for table in self.tables)
        )

    def slices(self, session: Session) -> pl.DataFrame:
        """The slices concerned, as `slices_of` has them."""
        found = pl.concat([pl.DataFrame(schema=SLICES), *(slices_of(session, table) for table in self.tables)])
        is_own = pl.lit(value=True) if self.source is None else pl.col("source") == self.source
        return found.filter(pl.col("day").is_between(self.start, self.end) & is_own)

    def __str__(self) -> str:
        named = [name for name in (self.source, self.dataset, self.fact) if name is not None]
        return " ".join((f"{self.start} to {self.end}", *named))


SLICES = pl.Schema(
    {"fact": pl.String(), "source": pl.String(), "day": pl.Date(), "state": pl.String(), "reason": pl.String()}
)


def slices_of(session: Session, table: Fact | Dimension) -> pl.DataFrame:
    """Every slice of a table: fact, source, day, state (one of STATES) and reason, what dirtied it last."""
    known = session.fetch(
        "select fact, source, day, dirty.reason, case when awaiting.state = 'blocked' then 'blocked'"
        " when awaiting.state is not null then 'waiting' when logic_version < $2 then 'stale' else 'published' end"
        " as state from ops.dirty_slice as dirty left join ops.awaiting_slice as awaiting using (fact, source, day)"
        " left join ops.slice using (fact, source, day) where fact = $1",
        table.name,
        table.logic_version,
    )
    wanted = _expected(session, table) if isinstance(table, Fact) else dirty.table_slices([table.name])
    unknown = wanted.join(known, on=["source", "day"], how="anti").with_columns(state=pl.lit("missing"))
    return pl.concat([known, unknown], how="diagonal_relaxed").select(
        pl.col(name).cast(dtype) for name, dtype in SLICES.items()
    )


def _expected(session: Session, fact: Fact) -> pl.DataFrame:
    """fact, source and day of the slices that the driving rows' days come to, of a fact that is new too."""
    days = session.fetch(
        "select stream.dataset, stream.source, stream_day.day from ops.stream_day"
        " inner join ops.stream using (stream_id) where stream.dataset = any($1)",
        list(fact.driving),
    )
    around = [
        dirty.slices_around(fact, name, days.filter(pl.col("dataset") == name).cast({"day": pl.Date}))
        for name in fact.driving
    ]
    return pl.concat(around).unique().collect()


def to_mark(slices: pl.DataFrame, reason: str, *, everything: bool) -> pl.DataFrame:
    """Slices to be dirtied: those that are missing or stale; with `everything` those that are as they should be, too.

    A run that marked everything under the same reason and was cut short left slices that still wait for it: then those
    are what is left to do, and nothing is marked again.
    """
    states = ["missing", "stale"]
    if everything and not slices.filter((pl.col("state") == "waiting") & (pl.col("reason") == reason)).height:
        states += ["published", "blocked"]
    return slices.filter(pl.col("state").is_in(states))


def to_build(session: Session, span: Span, reason: str, *, everything: bool) -> pl.DataFrame:
    """Slices that a run would build: those that it marks, and what waits anyway of its tables.

    A run that takes deliveries, of real days, brings dimensions up to date too.
    """
    is_always = span.start == date.min and span.end == date.max
    tables = {table.name: table for table in (*span.tables, *(() if is_always else DIMENSIONS.values()))}
    marked = to_mark(span.slices(session), reason, everything=everything)
    known = pl.concat([slices_of(session, table) for table in tables.values()])
    return pl.concat([marked, known.filter(pl.col("state") == "waiting")]).unique(maintain_order=True)
