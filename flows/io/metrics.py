"""Components of metrics: sums over a fact by day and leaf scope, kept up to date by the transaction that publishes it.

What is computed stands in mart.dim_metric_component: definitions that `metric_cards` took from cards and tried. A new
row is written only where a sum has changed; the row before it stays, with the moment until which it was known so.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import psycopg

from flows.io.warehouse import Session, Warehouse, quote
from schemas.catalog import FACTS
from schemas.metric import LEAVES
from transforms.common.keys import NOT_APPLICABLE_KEY

FACT = "mart.fct_metric_component"
GONE = "gone_row"
"""Temporary table of the rows that the transaction has deleted from the fact."""

_KEYS = tuple(f"{leaf}_key" for leaf in LEAVES)
_LEAVES = ", ".join(_KEYS)
_SAME = " and ".join(f"held.{name} = fresh.{name}" for name in ("component_key", "date", *_KEYS))
_TYPE = "numeric(38, 10)"
_MAKES_DECIMALS = re.compile(r"[*/.]|\de", re.IGNORECASE)
"""Products, quotients and decimal literals (2.5, 1e-11) may have more decimals than any column."""

REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
"""What PostgreSQL says to SQL that it cannot run: a card is to blame, and trying again does not help."""


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
        return f"sum({self.value_sql}){self._rows}"

    @property
    def exact_sum(self) -> str:
        """The sum of values that have no more decimals than it is kept with: such sums can be added and taken off."""
        has_decimals = _MAKES_DECIMALS.search(self.value_sql)
        return f"sum({f'({self.value_sql})::{_TYPE}' if has_decimals else self.value_sql}){self._rows}"

    @property
    def row_count(self) -> str:
        """The number of rows that have a value."""
        return f"count({self.value_sql}){self._rows}"

    @property
    def _rows(self) -> str:
        return f" filter (where {self.where_sql})" if self.where_sql else ""


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

    def update(self, session: Session, written: str, *parameters: object, has_gone: bool) -> None:
        """Add the sums of rows that were just written, and take off those of rows that were deleted.

        A card must not stop a publish: where a sum cannot be computed (a number too large, a column that is gone) the
        fact's components are given up, and the end of the run tries each of them again and says what is wrong.

        Args:
            session: The session that publishes the fact.
            written: A condition or a join that only rows of the fact fulfil that were written; the fact is `held`.
            parameters: Its parameters.
            has_gone: Whether rows were deleted, which stand in the temporary table GONE.
        """
        if not self.each:
            return
        session.execute("savepoint metrics")
        # Of rows that were just written there are no statistics: PostgreSQL takes them for a few, and would hand all of
        # them to one process that sorts them. It is so until the transaction ends.
        session.execute("set local enable_sort = off; set local max_parallel_workers_per_gather = 0")
        try:
            for group in self._groups():
                _compute(session, group, written, *parameters, has_gone=has_gone)
                session.execute(
                    "update pg_temp.metric_fresh as fresh set value = fresh.value + held.value,"
                    " row_count = fresh.row_count + held.row_count"
                    f" from {FACT} as held where {_SAME} and held.known_to is null"
                )
                _write(session)
        except REFUSED:
            session.execute("rollback to savepoint metrics")
            set_aside(session, self.fact)

    def compute(self, session: Session) -> None:
        """Bring their whole history up to date."""
        for group in self._groups():
            _compute(session, group)
            session.execute(
                f"insert into pg_temp.metric_fresh (component_key, date, {_LEAVES}, value, row_count)"
                f" select component_key, date, {_LEAVES}, 0, 0 from {FACT} as held where component_key = any($1)"
                f" and known_to is null and not exists (select from pg_temp.metric_fresh as fresh where {_SAME})",
                [component.component_key for component in group],
            )
            _write(session)

    def outdated(self, session: Session) -> Iterator[tuple[Component, int]]:
        """Components with sums that are not what the fact comes to now, and how many."""
        for group in self._groups():
            _compute(session, group)
            keys = [component.component_key for component in group]
            counts = session.fetch(
                "select component_key, count(*) as sums from pg_temp.metric_fresh as fresh full join"
                f" (select * from {FACT} where component_key = any($1) and known_to is null) as held"
                f" using (component_key, date, {_LEAVES}) where (fresh.value, fresh.row_count)"
                " is distinct from (held.value, held.row_count) group by component_key",
                keys,
            )
            by_key = {component.component_key: component for component in group}
            yield from ((by_key[key], count) for key, count in counts.iter_rows())

    def _groups(self) -> Iterator[list[Component]]:
        """Those that one query computes: equal date column, equal leaf scope."""
        for place in sorted({(component.date_column, component.leaf) for component in self.each}):
            yield [component for component in self.each if (component.date_column, component.leaf) == place]


def set_aside(session: Session, fact: str) -> None:
    """No longer keep the components of a fact; the next run that takes the cards computes them from scratch."""
    session.execute("update mart.dim_metric_component set is_current = false where fact = $1", fact)


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


def _compute(
    session: Session, group: Sequence[Component], rows: str = "", *parameters: object, has_gone: bool = False
) -> None:
    """Put the sums of a fact's rows into the temporary table metric_fresh, less those of rows that are gone."""
    first = group[0]
    keys = [f"{leaf}_key" for leaf in first.leaf]
    grouped = ", ".join(f"held.{quote(name)}" for name in (first.date_column, *keys))
    sums = ", ".join(f"{one.exact_sum} as sum_{n}, {one.row_count} as count_{n}" for n, one in enumerate(group))
    unfolded = ", ".join(f"({one.component_key}, sum_{n}, sign * count_{n})" for n, one in enumerate(group))
    kept = ", ".join(name if name in keys else f"{NOT_APPLICABLE_KEY}::bigint as {name}" for name in _KEYS)
    tables = [(1, f"mart.{quote(first.fact)}", rows)] + ([(-1, f"pg_temp.{GONE}", "")] if has_gone else [])
    summed = " union all ".join(
        f"(select {sign} as sign, {grouped}, {sums} from {table} as held {chosen} group by {grouped})"
        for sign, table, chosen in tables
    )
    value, row_count, together = "unfolded.value", "unfolded.row_count", ""
    if has_gone:
        value, row_count, together = f"sum(sign * {value})", f"sum({row_count})", f" group by 1, 2, {_LEAVES}"
    session.execute("drop table if exists pg_temp.metric_fresh")
    session.execute(
        f"create temporary table metric_fresh as select unfolded.component_key, {quote(first.date_column)} as date,"
        f" {kept}, {value}::{_TYPE} as value, ({row_count})::bigint as row_count"
        f" from ({summed}) as summed"
        f" cross join lateral (values {unfolded}) as unfolded (component_key, value, row_count)"
        f" where {quote(first.date_column)} is not null and unfolded.row_count <> 0{together}",
        *parameters,
    )
    session.execute("analyze pg_temp.metric_fresh")


def _write(session: Session) -> None:
    """End what is known otherwise now, and write what is new. A sum of no rows is none."""
    # The server's clock, read under the fact's lock: what is known ends before what is known next begins.
    now = session.value("select clock_timestamp()")
    held = f"{FACT} as held set {{}} from pg_temp.metric_fresh as fresh where {_SAME} and held.known_to is null"
    session.execute(
        f"update {held.format('known_to = $1')} and (fresh.row_count = 0 or fresh.value <> held.value)", now
    )
    session.execute(f"update {held.format('row_count = fresh.row_count')} and fresh.row_count <> held.row_count")
    columns = f"component_key, date, {_LEAVES}, value, row_count"
    session.execute(
        f"insert into {FACT} ({columns}, known_from) select {columns}, $1 from pg_temp.metric_fresh as fresh"
        f" where row_count > 0 and not exists (select from {FACT} as held where {_SAME} and held.known_to is null)",
        now,
    )
