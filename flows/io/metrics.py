"""Components of metrics: sums over a fact by day and leaf scope, kept up to date by the transaction that publishes it.

What is computed stands in mart.dim_metric_component: definitions that `metric_cards` took from cards and tried. A new
row is written only where a sum has changed; the row before it stays, with the moment until which it was known so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import polars as pl
import psycopg

from flows.io.warehouse import Session, Warehouse, quote
from schemas.catalog import FACTS
from schemas.metric import LEAVES
from transforms.common.keys import NOT_APPLICABLE_KEY

FACT = "mart.fct_metric_component"
_KEYS = tuple(f"{leaf}_key" for leaf in LEAVES)
REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
"""What PostgreSQL says to SQL that it cannot run: a card is to blame, and trying again does not help."""
_SAME = " and ".join(f"held.{name} = fresh.{name}" for name in ("component_key", "date", *_KEYS))


@dataclass(frozen=True, slots=True)
class Component:
    """A component as mart.dim_metric_component has it."""

    component_key: int
    fact: str
    date_column: str
    value_sql: str
    where_sql: str
    leaf: tuple[str, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of that table."""
        return cls(**{**row, "leaf": tuple(filter(None, row["leaf"].split(",")))})

    def __str__(self) -> str:
        return f"{self.aggregate} of {self.fact} by {self.date_column}, {', '.join(self.leaf)}"

    @property
    def aggregate(self) -> str:
        """The sum, as SQL."""
        return f"sum({self.value_sql})" + (f" filter (where {self.where_sql})" if self.where_sql else "")


@dataclass(frozen=True, slots=True)
class Components:
    """The components of one fact that are kept up to date."""

    fact: str
    each: tuple[Component, ...] = ()

    @classmethod
    def of(cls, session: Session, fact: str) -> Self:
        """Those of a table, by dates that it still has; a dimension has none."""
        if fact not in FACTS:
            return cls(fact)
        rows = session.fetch(
            "select component_key, fact, date_column, value_sql, where_sql, leaf from mart.dim_metric_component"
            " where is_current and fact = $1 and date_column = any($2)",
            fact,
            list(FACTS[fact].contract.columns()),
        )
        return cls(fact, tuple(Component.of(row) for row in rows.iter_rows(named=True)))

    @property
    def dates(self) -> tuple[str, ...]:
        """Columns that date them."""
        return tuple(sorted({component.date_column for component in self.each}))

    def update(self, session: Session, new: pl.DataFrame, gone: pl.DataFrame | None) -> None:
        """Bring the sums up to date of all dates that rows now written, or now gone, have in the columns `dates`.

        A card must not stop a publish: where a sum cannot be computed (a number too large, a column that is gone) the
        fact's components are given up, and the end of the run tries each of them again and says what is wrong.
        """
        changed = pl.concat([rows.select(self.dates) for rows in (new, gone) if rows is not None])
        if not self.each or not changed.height:
            return
        session.execute("savepoint metrics")
        try:
            for group in self._groups():
                days = changed.select(date=group[0].date_column).drop_nulls().unique()
                if days.height:
                    _write(session, group, days)
        except REFUSED:
            session.execute("rollback to savepoint metrics")
            session.execute("update mart.dim_metric_component set is_current = false where fact = $1", self.fact)

    def compute(self, session: Session) -> None:
        """Bring their whole history up to date."""
        for group in self._groups():
            _write(session, group, None)

    def outdated(self, session: Session) -> Iterator[tuple[Component, int]]:
        """Components with sums that are not what the fact comes to now, and how many."""
        for group in self._groups():
            _compute(session, group, None)
            keys = [component.component_key for component in group]
            counts = session.fetch(
                "select component_key, count(*) as sums from pg_temp.metric_fresh as fresh full join"
                f" (select * from {FACT} where component_key = any($1) and known_to is null) as held"
                f" using (component_key, date, {', '.join(_KEYS)})"
                " where fresh.value is distinct from held.value group by component_key",
                keys,
            )
            by_key = {component.component_key: component for component in group}
            yield from ((by_key[key], count) for key, count in counts.iter_rows())

    def _groups(self) -> Iterator[list[Component]]:
        """Those that one query computes: equal date column, equal leaf scope."""
        for place in sorted({(component.date_column, component.leaf) for component in self.each}):
            yield [component for component in self.each if (component.date_column, component.leaf) == place]


def give_up(session: Session, keys: Sequence[int]) -> None:
    """No longer keep some components; what was known of them stays readable."""
    session.execute("update mart.dim_metric_component set is_current = false where component_key = any($1)", keys)
    session.execute(
        f"update {FACT} set known_to = clock_timestamp() where component_key = any($1) and known_to is null", keys
    )


def recompute(warehouse: Warehouse, facts: Iterable[str]) -> None:
    """Bring the whole history of the components of some facts up to date."""
    for fact in sorted(facts):
        with warehouse.session() as session:
            lock(session, fact)
            Components.of(session, fact).compute(session)
            session.commit()


def lock(session: Session, fact: str) -> None:
    """Keep a fact from being published until the transaction ends."""
    session.lock(f"opsmart.publish.{fact}")


def _compute(session: Session, group: Sequence[Component], days: pl.DataFrame | None) -> None:
    """Put the sums of some days (None: of all) into the temporary table metric_fresh."""
    first = group[0]
    date = f"summed.{quote(first.date_column)}"
    keys = [f"summed.{leaf}_key" for leaf in first.leaf]
    sums = ", ".join(f"{component.aggregate} as sum_{n}" for n, component in enumerate(group))
    unfolded = ", ".join(f"({one.component_key}, sum_{n}::numeric(38, 10))" for n, one in enumerate(group))
    kept = ", ".join(
        f"{leaf}_key" if leaf in first.leaf else f"{NOT_APPLICABLE_KEY}::bigint as {leaf}_key" for leaf in LEAVES
    )
    if days is None:
        chosen = f"where {date} is not null"
    else:
        session.load_temporary(days, "metric_day")
        # A join alone does not tell the planner that the fact's block range index leaves little to be read.
        first_day, last_day = days.select(pl.col("date").min(), last=pl.col("date").max()).row(0)
        chosen = (
            f"inner join pg_temp.metric_day on {date} = metric_day.date"
            f" where {date} between date '{first_day}' and date '{last_day}'"
        )
    session.execute("drop table if exists pg_temp.metric_fresh")
    session.execute(
        f"create temporary table metric_fresh as select unfolded.component_key, date, {kept}, unfolded.value"
        f" from (select {', '.join([f'{date} as date', *keys, sums])} from mart.{quote(first.fact)} as summed {chosen}"
        f" group by {', '.join([date, *keys])}) as sums"
        f" cross join lateral (values {unfolded}) as unfolded (component_key, value) where unfolded.value is not null"
    )
    session.execute("analyze pg_temp.metric_fresh")


def _write(session: Session, group: Sequence[Component], days: pl.DataFrame | None) -> None:
    """Compute, end what is known otherwise now, write what is new."""
    _compute(session, group, days)
    # The server's clock, read under the fact's lock: what is known ends before what is known next begins.
    now = session.value("select clock_timestamp()")
    keys = [component.component_key for component in group]
    of_days = "" if days is None else " and held.date in (select date from pg_temp.metric_day)"
    session.execute(
        f"update {FACT} as held set known_to = $1 where held.component_key = any($2) and held.known_to is null{of_days}"
        f" and not exists (select from pg_temp.metric_fresh as fresh where {_SAME} and fresh.value = held.value)",
        now,
        keys,
    )
    columns = f"component_key, date, {', '.join(_KEYS)}, value"
    session.execute(
        f"insert into {FACT} ({columns}, known_from) select {columns}, $1 from pg_temp.metric_fresh as fresh"
        f" where not exists (select from {FACT} as held where {_SAME} and held.known_to is null)",
        now,
    )
