"""Rows of a mapping as rows of a dataset: the contract's types, its row rules, and the technical columns.

Everything stays lazy; `project` and `checked` only add expressions to the mapping's query.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from flows.io.staging.mapping import BAD, ROW_NO, MappingSelect
from schemas.contract import DatasetContract
from schemas.errors import SourceError
from schemas.registry import UNDATED, Dataset
from schemas.source import Bounds, Mode, Source
from transforms.common.keys import hash_columns

OK = "_is_good"
MISFIT = "_misfit"
CELL_END = "\x1f"
"""Ends a `column=value` in the text of unreadable cells."""

CODE_BYTES = 400
"""Longest code: PostgreSQL's indexes hold no more than 2,700 bytes a row, and no system has codes as long as this."""

PLAUSIBLE = (date(1900, 1, 1), date(2200, 12, 31))
"""Days that a row may be filed on: one typing error must not stretch the calendar by centuries."""

CLOCK_SKEW = timedelta(days=1)
"""How far ahead of landing something may have happened: clocks and zones differ, years do not."""

_INSTANT = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Plan:
    """What staging knows about the rows before it reads them."""

    source: Source
    dataset: Dataset
    mapping: MappingSelect
    mode: Mode
    as_of: date
    period: Bounds | None
    landed_at: datetime
    extract_id: int
    pseudonym: Callable[[pl.Series], pl.Series]

    @property
    def contract(self) -> type[DatasetContract]:
        """The dataset's contract."""
        return self.dataset.contract

    @property
    def zone(self) -> str:
        """Zone of naive timestamps."""
        return self.source.zone(self.dataset.name)


def project(mapped: pl.LazyFrame, plan: Plan) -> tuple[pl.LazyFrame, list[str]]:
    """The mapped columns in the contract's types, beside `_row_no`, `_bad:…` and `_misfit:…`.

    `_misfit:<column>` has the value where the contract's type cannot hold it; there the column is NULL or rounded.

    Returns:
        The rows, and the names of `_bad:…` and `_misfit:…`, which are NULL in good rows.

    Raises:
        SourceError: The SELECT lacks a column, has one too many, or one of a type that cannot become the contract's.
    """
    have = dict(mapped.collect_schema())
    _check_outputs(have, plan)
    values: list[pl.Expr] = []
    misfits: dict[str, pl.Expr] = {}
    for name, target in plan.contract.dtypes().items():
        dtype = have.get(name, pl.Null())
        if dtype == pl.Null:
            values.append(pl.lit(None, dtype=target).alias(name))
            continue
        value, misfit = _fitted(name, dtype, target, plan)
        values.append(value.alias(name))
        if misfit is not None:
            misfits[f"{MISFIT}:{name}"] = pl.when(misfit).then(pl.col(name))
    bad = [name for name in have if name.startswith(f"{BAD}:")]
    rows = mapped.select(*values, pl.col(ROW_NO).cast(pl.Int64), *bad, **misfits)
    rows = rows.with_columns(
        *(pl.col(name).fill_null("") for name in plan.contract.key() if plan.contract.dtypes()[name] == pl.String),
        *(
            pl.col(name).map_batches(plan.pseudonym, return_dtype=pl.String, is_elementwise=True)
            for name in plan.contract.marked("personal")
            if have.get(name, pl.Null()) != pl.Null
        ),
    )
    return rows, [*bad, *misfits]


def _check_outputs(have: Mapping[str, pl.DataType], plan: Plan) -> None:
    where = f"{plan.source.folder / plan.dataset.name}.sql"
    contract = plan.contract.columns()
    missing = [name for name, column in contract.items() if name not in have and not column.nullable]
    if missing:
        raise SourceError(
            f"the mapping gives no {', '.join(missing)}, which {plan.dataset.name} requires",
            where=where,
            remedy="add the column to the SELECT",
        )
    extra = [name for name in have if name not in contract and not name.startswith("_")]
    if extra:
        raise SourceError(
            f"{plan.dataset.name} has no column {extra[0]!r}",
            where=where,
            remedy=f"its columns are {', '.join(contract)}",
        )


def _fitted(name: str, dtype: pl.DataType, target: pl.DataType, plan: Plan) -> tuple[pl.Expr, pl.Expr | None]:
    """The column as `target`, and where it has a value that `target` cannot hold."""
    column = pl.col(name)
    if dtype == target:
        return column, None
    if target == pl.String:
        text = column.cast(pl.String)
        # A whole number that came with decimals is still the id that people know: 870, not 870.0000000000.
        return text.str.replace(r"\.?0+$", "") if isinstance(dtype, pl.Decimal) and dtype.scale else text, None
    if dtype == pl.String:
        raise SourceError(
            f"{name} must be {_plain(target)}, but the mapping gives text",
            where=f"{plan.source.folder / plan.dataset.name}.sql",
            remedy="declare the raw column's type under types in source.yaml; casting in SQL would hide bad cells",
        )
    if target == pl.Date and isinstance(dtype, pl.Datetime):
        local = column if dtype.time_zone is None else column.dt.convert_time_zone(plan.zone)
        return local.dt.date(), None
    if isinstance(target, pl.Datetime):
        return _instant(column, dtype, plan.zone)
    if target == pl.Boolean and dtype.is_integer():
        return column.cast(pl.Boolean), ~column.is_in([0, 1])
    if target.is_numeric() and dtype.is_numeric():
        value = column.cast(target, strict=False)
        is_lost = value.is_null() & column.is_not_null()
        conventions = plan.source.raw_types_of(plan.mapping.driving)
        keeps = conventions.excess_decimals == "round" or dtype.is_float()
        return value, is_lost if keeps else is_lost | (value != column)
    raise SourceError(
        f"{name} must be {_plain(target)}, but the mapping gives {_plain(dtype)}",
        where=f"{plan.source.folder / plan.dataset.name}.sql",
        remedy="declare the raw column's type under types in source.yaml, or convert it in the SELECT",
    )


def _plain(dtype: pl.DataType) -> str:
    return str(dtype).lower()


def _instant(column: pl.Expr, dtype: pl.DataType, zone: str) -> tuple[pl.Expr, pl.Expr | None]:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").cast(_INSTANT), None
    naive = column.cast(pl.Datetime("us"))
    if zone == "UTC":
        return naive.dt.replace_time_zone("UTC"), None
    # The hour that a clock set forward leaves out never was; of the hour it repeats the first is taken.
    value = naive.dt.replace_time_zone(zone, non_existent="null", ambiguous="earliest").dt.convert_time_zone("UTC")
    return value, value.is_null() & column.is_not_null()


def rules_of(plan: Plan, *, has_nul: bool) -> dict[str, pl.Expr]:
    """Every row rule of a delivery by name; True or NULL is good. `column|rule` names a rule of one column."""
    contract = plan.contract
    # dataframely offers its rules only through `filter`, which drops the technical columns and runs the query twice.
    rules = {name: rule.expr for name, rule in contract._validation_rules(with_cast=False).items()}  # noqa: SLF001
    if has_nul:
        texts = [name for name, dtype in contract.dtypes().items() if dtype == pl.String]
        rules |= {f"{name}|nul_character": ~pl.col(name).str.contains("\0", literal=True) for name in texts}
    codes = {*contract.key(), *plan.dataset.coded_columns(), *(plan.dataset.link.columns if plan.dataset.link else ())}
    rules |= {
        f"{name}|too_long": pl.col(name).str.len_bytes() <= CODE_BYTES
        for name in contract.dtypes()
        if name in codes and contract.dtypes()[name] == pl.String
    }
    if plan.dataset.dated_by:
        rules[f"{plan.dataset.dated_by}|implausible_day"] = local_day(plan.dataset.dated_by, plan).is_between(
            *PLAUSIBLE
        )
    happened = [*contract.marked("happened"), *(["updated_at"] if plan.mode == "delta" else [])]
    rules |= {f"{name}|in_the_future": _has_happened(name, plan) for name in happened}
    if plan.period is not None:
        rules["outside_period"] = local_day(period_column(plan), plan).is_between(*plan.period)
    keys = set(contract.key())
    is_gone = pl.col("is_deleted").fill_null(value=False)
    return {
        name: rule if name.partition("|")[0] in keys else is_gone | rule.fill_null(value=True)
        for name, rule in rules.items()
    }


def _has_happened(column: str, plan: Plan) -> pl.Expr:
    latest = plan.landed_at + CLOCK_SKEW
    if plan.contract.dtypes()[column] == pl.Date:
        return pl.col(column) <= latest.astimezone(ZoneInfo(plan.zone)).date()
    return pl.col(column) <= pl.lit(latest).cast(_INSTANT)


def period_column(plan: Plan) -> str:
    """The contract's date column that the period bounds."""
    declared = plan.source.datasets[plan.dataset.name].period
    return declared.column if declared is not None else str(plan.dataset.dated_by)


def local_day(column: str, plan: Plan) -> pl.Expr:
    """The day of a date or instant in the source's zone."""
    if plan.contract.dtypes()[column] == pl.Date:
        return pl.col(column)
    moment = pl.col(column)
    return (moment if plan.zone == "UTC" else moment.dt.convert_time_zone(plan.zone)).dt.date()


def checked(rows: pl.LazyFrame, reasons: Iterable[str], rules: Mapping[str, pl.Expr]) -> pl.LazyFrame:
    """The rows with `_is_good`: no unreadable cell, no misfit, no broken rule."""
    is_clean = [pl.col(name).is_null() for name in reasons]
    return rows.with_columns(
        pl.all_horizontal(*is_clean, *(rule.fill_null(value=True) for rule in rules.values())).alias(OK)
    )


def finished(rows: pl.LazyFrame, plan: Plan) -> pl.LazyFrame:
    """The rows with the technical columns of the lake."""
    contract, dtypes = plan.contract, plan.contract.dtypes()
    key = {name: dtypes[name] for name in contract.key()}
    payload = {name: dtype for name, dtype in dtypes.items() if name != "updated_at"}
    midnight = pl.lit(datetime(plan.as_of.year, plan.as_of.month, plan.as_of.day, tzinfo=UTC)).cast(_INSTANT)
    order_at = pl.coalesce("updated_at", midnight) if plan.mode == "delta" else midnight
    dated_by = plan.dataset.dated_by
    day = local_day(dated_by, plan).fill_null(UNDATED) if dated_by else pl.lit(UNDATED)
    spaces = {
        f"_space_{column}": pl.lit(plan.source.code_space(plan.dataset.name, entity))
        for column, entity in plan.dataset.coded_columns().items()
    }
    return rows.with_columns(
        pl.lit(plan.source.name).alias("source"),
        pl.lit(plan.extract_id, dtype=pl.Int64).alias("_extract_id"),
        hash_columns(key, salt=(plan.source.name,)).alias("_key_hash"),
        hash_columns(payload).alias("_payload_hash"),
        order_at.alias("_order_at"),
        day.alias("_date"),
        _link(plan).alias("_link_hash"),
        **spaces,
    )


def _link(plan: Plan) -> pl.Expr:
    link = plan.dataset.link
    if link is None:
        return pl.lit(None, dtype=pl.Int64)
    columns = {name: plan.contract.dtypes()[name] for name in link.columns}
    space = plan.source.code_space(plan.dataset.name, link.entity)
    is_given = pl.all_horizontal(pl.col(name).is_not_null() for name in columns)
    return pl.when(is_given).then(hash_columns(columns, salt=(link.entity, space)))


def technical_columns(plan: Plan) -> list[str]:
    """Names of the technical columns, in the lake's order."""
    fixed = ["source", "_extract_id", ROW_NO, "_key_hash", "_payload_hash", "_order_at", "_date", "_link_hash"]
    return fixed + [f"_space_{column}" for column in plan.dataset.coded_columns()]
