"""What gates look at: one row per extract or slice, computed by Polars in one pass, exactly."""

from collections.abc import Iterable, Mapping

import polars as pl

from flows.io.gates_files import Plan, stands_for
from schemas.contract import Contract
from schemas.errors import GateError

SLICE = ("source", "_slice")
"""Columns that name a slice within its fact."""

SUBJECT = "_subject"
"""Number of what is judged: 0 for an extract, the slice's place for a fact."""


def measure_extract(rows: pl.LazyFrame, counts: pl.LazyFrame, plan: Plan) -> pl.DataFrame:
    """One row: `_subject` (0), what is measured of the rows, and `counts` (one row) with what is derived from both."""
    measured = rows.select(*_expressions(plan.measures, rows.collect_schema()))
    return _collected(pl.concat([measured, counts], how="horizontal"), plan)


def measure_slices(rows: pl.LazyFrame, driving: pl.LazyFrame | None, plan: Plan) -> pl.DataFrame:
    """One row per slice that has rows or should have some: `_subject`, `source`, `_slice` and the measures."""
    measures = _expressions(plan.measures, rows.collect_schema())
    measured = rows.group_by(SLICE).agg(measures)
    if not plan.driving:
        return _collected(measured.sort(SLICE), plan)
    if driving is None:
        where = next(iter(plan.driving.values()))[1]
        raise GateError("Control totals are declared, and no driving rows were given to compare with", where=where)
    totals = _expressions(plan.driving, driving.collect_schema())
    expected = driving.group_by(SLICE).agg(totals)
    both = measured.join(expected, on=SLICE, how="full", coalesce=True, nulls_equal=True)
    # A slice that only one side has counts 0 on the other; sums of nothing stay NULL.
    of_nothing = [side.limit(0).select(*measure) for side, measure in ((rows, measures), (driving, totals))]
    values = _computed(pl.concat(of_nothing, how="horizontal"), plan).row(0, named=True)
    counts = {name: value for name, value in values.items() if value is not None}
    return _collected(
        both.with_columns(pl.col(name).fill_null(value) for name, value in counts.items()).sort(SLICE), plan
    )


def with_missing_members(
    rows: pl.LazyFrame, contract: type[Contract], members: Mapping[str, pl.Series]
) -> pl.LazyFrame:
    """`rows` with `<key>_has_no_member` for each durable key that stands beside a natural id."""
    dimensions = contract.marked("dimension")
    for key in (pair["key"] for pair in stands_for("reference", contract)):
        known = members.get(dimensions[key])
        missing = pl.lit(value=False) if known is None else ~pl.col(key).is_in(known.implode())
        rows = rows.with_columns(missing.alias(f"{key}_has_no_member"))
    return rows


def _collected(frame: pl.LazyFrame, plan: Plan) -> pl.DataFrame:
    """`frame` with the derived measures, in the order of the files, and its rows numbered as subjects."""
    for name, measure in plan.derived.items():
        frame = frame.with_columns(_expressions({name: measure}, frame.collect_schema()))
    return _computed(frame.with_row_index(SUBJECT), plan)


def _computed(frame: pl.LazyFrame, plan: Plan) -> pl.DataFrame:
    try:
        return frame.collect()
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, pl.exceptions.InvalidOperationError) as error:
        measures = (*plan.measures.values(), *plan.driving.values(), *plan.derived.values())
        raise GateError(
            f"A measure cannot be computed: {error}",
            where=", ".join(dict.fromkeys(where for _, where in measures)),
            remedy="Mind types (cast) and division by zero (nullif)",
        ) from error


def _expressions(measures: Mapping[str, tuple[str, str]], columns: Iterable[str]) -> list[pl.Expr]:
    """The measures as Polars expressions. Raises GateError where one names a column that is not there."""
    known = set(columns)
    made = []
    for name, (sql, where) in measures.items():
        expression = pl.sql_expr(sql)
        if missing := set(expression.meta.root_names()) - known:
            raise GateError(
                f"{name!r} measures {min(missing)!r}, which is not there",
                where=where,
                remedy=f"There are: {', '.join(sorted(known))}",
            )
        made.append(expression.alias(name))
    return made
