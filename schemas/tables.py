"""The warehouse's tables as SQLAlchemy metadata: `mart` from the contracts, `ops` from the ledger.

Alembic compares this metadata with the database, so a contract is the only place where a table's columns, types and
descriptions are written down.
"""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import polars as pl
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, TIMESTAMP
from sqlalchemy.types import TypeEngine

from schemas.catalog import DIMENSIONS, FACTS
from schemas.contract import Contract, DimensionContract, FactContract, PublishedContract
from schemas.ledger import metadata
from schemas.metric_tables import METRIC_TABLES
from schemas.registry import Dimension, Fact

METADATA = metadata
"""All tables of `mart` and `ops`."""

MART = "mart"
HISTORY = "_history"
CALENDAR, CALENDAR_DAY = "dim_date", "date"
BRIN: dict[str, Any] = {"pages_per_range": 32, "autosummarize": "on"}
"""Rows arrive roughly by day; a block range index finds a slice's pages at a thousandth of a tree's cost."""

_FIRST = ("row_key", "source")
_PLAIN_TYPES: Mapping[type[pl.DataType], type[TypeEngine[Any]]] = MappingProxyType(
    {
        pl.Boolean: Boolean,
        pl.Int16: SmallInteger,
        pl.Int32: Integer,
        pl.Int64: BigInteger,
        pl.Float64: DOUBLE_PRECISION,
        pl.Date: Date,
    }
)


def column_type(dtype: pl.DataType, *, is_key: bool = False) -> TypeEngine[Any]:
    """PostgreSQL type of a contract's column; text keys are compared byte by byte on every server.

    Raises TypeError for a Polars type that no contract may use.
    """
    if isinstance(dtype, pl.Decimal):
        return Numeric(dtype.precision, dtype.scale)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone == "UTC":
        return TIMESTAMP(timezone=True)
    if isinstance(dtype, pl.String | pl.Enum | pl.Categorical):
        return Text(collation="C") if is_key else Text()
    if type(dtype) in _PLAIN_TYPES:
        return _PLAIN_TYPES[type(dtype)]()
    raise TypeError(f"no PostgreSQL type is agreed for {dtype!r}")


def primary_key(contract: type[Contract]) -> tuple[str, ...]:
    """Columns of a published table's primary key: a fact's row_key, otherwise the natural key."""
    return ("row_key",) if issubclass(contract, FactContract) else contract.key()


def column_order(contract: type[Contract]) -> list[str]:
    """Columns as a person reads them: what identifies the row, its own columns, then what every table carries."""
    own = contract.columns()
    first = [name for name in _FIRST if name in own] or list(primary_key(contract))
    published = list(PublishedContract.columns())
    of_member = [name for name in DimensionContract.columns() if name not in published]
    carried = list(FactContract.columns()) if issubclass(contract, FactContract) else [*of_member, *published]
    last = [name for name in carried if name in own and name not in first]
    return [*first, *(name for name in own if name not in first and name not in last), *last]


def _columns(contract: type[Contract]) -> list[Column[Any]]:
    keys, described = {*contract.key(), *contract.marked("entity")}, contract.columns()
    return [
        Column(
            name,
            column_type(described[name].dtype, is_key=name in keys),
            nullable=described[name].nullable,
            autoincrement=False,
            comment=described[name].description,
        )
        for name in column_order(contract)
    ]


def _reference(table: str, column: str, target: str, target_column: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint([column], [f"{MART}.{target}.{target_column}"], name=f"{table}_{column}_fkey")


def _references(table: str, contract: type[Contract]) -> list[ForeignKeyConstraint]:
    """Foreign keys of the columns that hold a dimension's key: they tell BI tools the joins."""
    contracts = {name: dimension.contract for name, dimension in DIMENSIONS.items()} | METRIC_TABLES
    return [
        _reference(table, column, target, primary_key(contracts[target])[0])
        for column, target in contract.marked("dimension").items()
        if target in contracts
    ]


def _table(name: str, contract: type[Contract], *parts: ForeignKeyConstraint | UniqueConstraint | Index) -> Table:
    return Table(
        name,
        metadata,
        *_columns(contract),
        PrimaryKeyConstraint(*primary_key(contract), name=f"{name}_pkey"),
        *_references(name, contract),
        *parts,
        schema=MART,
        comment=inspect.cleandoc(contract.__doc__ or ""),
    )


def _fact_table(fact: Fact) -> Table:
    # The other dates are those that metrics may be dated by.
    dates = [name for name, dtype in fact.contract.dtypes().items() if isinstance(dtype, pl.Date)]
    columns = dict.fromkeys(("source", fact.anchor, *dates))
    slices = Index(f"{fact.name}_slice", *columns, postgresql_using="brin", postgresql_with=BRIN)
    calendar = _reference(fact.name, fact.anchor, CALENDAR, CALENDAR_DAY)
    return _table(fact.name, fact.contract, slices, calendar)


def _dimension_table(dimension: Dimension) -> Table:
    parts: list[ForeignKeyConstraint | UniqueConstraint] = []
    if dimension.name == CALENDAR:
        parts.append(UniqueConstraint(CALENDAR_DAY, name=f"{CALENDAR}_{CALENDAR_DAY}_key"))
    if dimension.history:
        key = primary_key(dimension.contract)[0]
        parts.append(_reference(dimension.name, key, dimension.name.removesuffix(HISTORY), key))
    return _table(dimension.name, dimension.contract, *parts)


def as_was_views() -> dict[str, str]:
    """SELECTs of `mart.v_<name>_as_was`, by view name: exactly one version of every member for every day.

    The first version also holds before its first sighting, each holds until the next, and members without a version
    (unknown, inferred) hold always; so joining a fact by key and date neither loses nor doubles rows.
    """
    return {
        f"v_{dimension.name.removeprefix('dim_').removesuffix(HISTORY)}_as_was": _as_was_view(dimension)
        for dimension in DIMENSIONS.values()
        if dimension.history
    }


def _as_was_view(dimension: Dimension) -> str:
    base = dimension.name.removesuffix(HISTORY)
    key = primary_key(dimension.contract)[0]
    names = [name for name in column_order(DIMENSIONS[base].contract) if name != "row_hash"]
    of_state = "".join(f"    state.{name},\n" for name in names)
    of_member = "".join(f"    member.{name},\n" for name in names)
    columns = DIMENSIONS[base].contract.columns() | dimension.contract.columns()
    described = "".join(f"-- {name}: {columns[name].description}\n" for name in (*names, "valid_from", "valid_to"))
    return f"""\
-- {base} by date: exactly one version of every member for every day. Written by `make migration`.
{described}select
{of_state}    case
        when lag(state.valid_from) over by_member is null then date '0001-01-01'
        else state.valid_from
    end as valid_from,
    coalesce(lead(state.valid_from) over by_member, date '9999-12-31') as valid_to
from mart.{dimension.name} as state
window by_member as (partition by state.{key} order by state.valid_from)
union all
select
{of_member}    date '0001-01-01' as valid_from,
    date '9999-12-31' as valid_to
from mart.{base} as member
where not exists (
    select 1 from mart.{dimension.name} as state
    where state.{key} = member.{key}
)
"""  # noqa: S608 - names of our own contracts


TABLES: Mapping[str, Table] = MappingProxyType(
    {dimension.name: _dimension_table(dimension) for dimension in DIMENSIONS.values()}
    | {fact.name: _fact_table(fact) for fact in FACTS.values()}
    | {name: _table(name, contract) for name, contract in METRIC_TABLES.items()}
)
"""Tables of `mart` by name."""

migration_state = Table(
    "migration_state",
    metadata,
    Column("fingerprint", Text(), primary_key=True, comment="Hash of the migrations, views and grants applied last"),
    Column("applied_at", TIMESTAMP(timezone=True), nullable=False, comment="When"),
    schema="ops",
    comment="What the warehouse was migrated to; lets a start with nothing to migrate ask one question",
)
