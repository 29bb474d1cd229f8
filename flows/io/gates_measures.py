"""What gates look at: one row per extract or slice, computed by Polars in one pass, exactly."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from flows.io.gates_files import Plan, stands_for
from flows.io.gates_history import MEASURED, NAMED, History, compared, to_keep
from schemas.contract import Contract
from schemas.errors import GateError
from schemas.gate import Groups, Parts

SLICE = ("source", "_slice")
"""Columns that name a slice within its fact."""

SUBJECT = "_subject"
"""Number of what is judged: 0 for an extract, the slice's place for a fact."""

_NOT_PUBLISHED = pl.LazyFrame(schema={"source": pl.String(), "_slice": pl.Date(), "published_rows": pl.Int64()})


@dataclass(frozen=True, slots=True)
class MeasuredExtract:
    """`frame` has one row: `_subject` (0), what is known of the extract, what was measured and derived.

    `kept` is what later deliveries are compared with, in the columns of gates_history.MEASURED.
    """

    frame: pl.DataFrame
    kept: pl.DataFrame


def measure_extract(rows: pl.LazyFrame, known: pl.LazyFrame, plan: Plan, history: History) -> MeasuredExtract:
    """Measure an extract: `rows` are its good rows, `known` (one row) is what is known of it beside them."""
    measured = rows.select(*_expressions(plan.measures, rows.collect_schema()))
    frame = _computed(pl.concat([measured, known], how="horizontal"), plan)
    values: dict[str, float | str | None] = {}
    kept = []
    for name, (days, where) in plan.history.items():
        if name not in frame.columns:
            raise GateError(f"{name!r} is compared with earlier deliveries and is not measured", where=where)
        values |= history.usual(name, days)
        kept.append(pl.DataFrame({"measure": name, "part": "", "value": frame[name]}, MEASURED).drop_nulls())
    for name, (parts, where) in plan.parts.items():
        now = _of_parts(rows, parts, where)
        values |= compared(name, parts, now, history)
        kept.append(to_keep(name, parts, now, history))
    for name, (groups, where) in plan.groups.items():
        values |= _counted(rows, name, groups, where)
    compared_with = pl.DataFrame([values], {name: _kind_of(name) for name in values}) if values else pl.DataFrame()
    frame = pl.concat([frame, compared_with], how="horizontal")
    return MeasuredExtract(_collected(frame.lazy(), plan), pl.concat([pl.DataFrame(schema=MEASURED), *kept]))


def _kind_of(name: str) -> pl.DataType:
    return pl.String() if name.endswith(("_new", "_missing", "_at", "_named")) else pl.Float64()


def _of_parts(rows: pl.LazyFrame, parts: Parts, where: str) -> pl.DataFrame:
    """part and value of each part of an extract."""
    columns = rows.collect_schema()
    value = pl.col("value").cast(pl.Float64)
    if parts.each is not None:
        names = [name.strip() for name in parts.each.split(",")]
        measures = {name: (parts.measure.replace("{column}", name), where) for name in names}
        one = _run(rows.select(_expressions(measures, columns)), where)
        wide = pl.DataFrame({"part": names, "value": [one[name][0] for name in names]}, strict=False)
        return wide.select("part", value).drop_nulls()
    by, measure = _expressions({"part": (str(parts.by), where), "value": (parts.measure, where)}, columns)
    # One more than there may be tells that there are too many.
    found = rows.group_by(by.cast(pl.String)).agg(measure).select("part", value).drop_nulls()
    return _run(found.head(parts.at_most + 1), where)


def _counted(rows: pl.LazyFrame, name: str, groups: Groups, where: str) -> dict[str, float | str | None]:
    having = _expressions({"_having": (groups.having, where)}, rows.collect_schema())
    found = _run(rows.group_by(groups.by).agg(having).filter("_having").select(groups.by), where)
    first = found.sort(groups.by).head(NAMED)
    return {name: float(found.height), f"{name}_named": ", ".join(" ".join(map(str, row)) for row in first.iter_rows())}


def _run(frame: pl.LazyFrame, where: str) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming")
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, pl.exceptions.InvalidOperationError) as error:
        raise GateError(f"A measure cannot be computed: {error}", where=where, remedy="Mind types (cast)") from error


def measure_slices(
    rows: pl.LazyFrame, driving: pl.LazyFrame | None, plan: Plan, published: pl.LazyFrame | None = None
) -> pl.DataFrame:
    """One row per slice that has rows, should have some or had some: `_subject`, `source`, `_slice`, the measures.

    `published_rows` is how many rows the slice's last version had (`published`: source, _slice, published_rows), NULL
    where there is none.
    """
    measures = _expressions(plan.measures, rows.collect_schema())
    sides = [(rows, measures)]
    if plan.driving:
        if driving is None:
            where = next(iter(plan.driving.values()))[1]
            raise GateError("Control totals are declared, and no driving rows were given to compare with", where=where)
        sides.append((driving, _expressions(plan.driving, driving.collect_schema())))
    frames = [side.group_by(SLICE).agg(measure) for side, measure in sides]
    frames.append(_NOT_PUBLISHED if published is None else published)
    all_ = functools.reduce(
        lambda left, right: left.join(right, on=SLICE, how="full", coalesce=True, nulls_equal=True), frames
    )
    # A slice that only one side has counts 0 on the other; sums of nothing stay NULL.
    of_nothing = [side.limit(0).select(*measure) for side, measure in sides]
    values = _computed(pl.concat(of_nothing, how="horizontal"), plan).to_dicts()
    counts = {name: value for row in values for name, value in row.items() if value is not None}
    return _collected(
        all_.with_columns(pl.col(name).fill_null(value) for name, value in counts.items()).sort(SLICE), plan
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
