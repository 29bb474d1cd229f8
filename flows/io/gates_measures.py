"""What gates look at: one row per extract or slice, computed by Polars in one pass, exactly."""

import functools
from collections.abc import Iterable, Mapping, Sequence
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


def measure_extract(rows: pl.LazyFrame, known: pl.DataFrame, plan: Plan, history: History) -> MeasuredExtract:
    """Measure an extract: `rows` are its good rows, `known` (one row) is what is known of it beside them."""
    columns = rows.collect_schema()
    queries = [rows.select(*_expressions(plan.measures, columns))]
    queries += [_of_parts(rows, columns, parts, where) for parts, where in plan.parts.values()]
    queries += [_of_groups(rows, columns, groups, where) for groups, where in plan.groups.values()]
    measured, *found = _run(queries, plan)
    frame = pl.concat([measured, known], how="horizontal")
    values: dict[str, float | str | None] = {}
    kept = [pl.DataFrame(schema=MEASURED)]
    for name, (days, where) in plan.history.items():
        if name not in frame.columns:
            raise GateError(f"{name!r} is compared with earlier deliveries and is not measured", where=where)
        values |= history.usual(name, days)
        kept.append(pl.DataFrame({"measure": name, "part": "", "value": frame[name]}, MEASURED).drop_nulls())
    for (name, (parts, _)), one in zip(plan.parts.items(), found, strict=False):
        now = _as_parts(one, parts)
        values |= compared(name, parts, now, history)
        kept.append(to_keep(name, parts, now, history))
    for (name, (groups, _)), one in zip(plan.groups.items(), found[len(plan.parts) :], strict=True):
        values |= _counted(one, name, groups)
    compared_with = pl.DataFrame([values], {name: _kind_of(name) for name in values}) if values else pl.DataFrame()
    frame = pl.concat([frame, compared_with], how="horizontal")
    return MeasuredExtract(_collected(frame.lazy(), plan), pl.concat(kept))


def _kind_of(name: str) -> pl.DataType:
    return pl.String() if name.endswith(("_new", "_missing", "_at", "_named")) else pl.Float64()


def _of_parts(rows: pl.LazyFrame, columns: Iterable[str], parts: Parts, where: str) -> pl.LazyFrame:
    """The query for the value of each part of an extract: a row per part, or one row with a column per part."""
    if parts.each is not None:
        measures = {name: (parts.measure.replace("{column}", name), where) for name in _each(parts.each)}
        return rows.select(_expressions(measures, columns))
    by, measure = _expressions({"part": (str(parts.by), where), "value": (parts.measure, where)}, columns)
    # One more than there may be tells that there are too many.
    return rows.group_by(by.cast(pl.String)).agg(measure).select("part", "value").drop_nulls().head(parts.at_most + 1)


def _each(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]


def _as_parts(found: pl.DataFrame, parts: Parts) -> pl.DataFrame:
    """part and value of each part."""
    if parts.each is not None:
        names = _each(parts.each)
        found = pl.DataFrame({"part": names, "value": [found[name][0] for name in names]}, strict=False).drop_nulls()
    return found.select("part", pl.col("value").cast(pl.Float64))


def _of_groups(rows: pl.LazyFrame, columns: Iterable[str], groups: Groups, where: str) -> pl.LazyFrame:
    """The query for the groups that are counted."""
    having = _expressions({"_having": (groups.having, where)}, columns)
    return rows.group_by(groups.by).agg(having).filter("_having").select(groups.by)


def _counted(found: pl.DataFrame, name: str, groups: Groups) -> dict[str, float | str | None]:
    first = found.sort(groups.by).head(NAMED)
    return {name: float(found.height), f"{name}_named": ", ".join(" ".join(map(str, row)) for row in first.iter_rows())}


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
    return _run([frame], plan)[0]


def _run(queries: Sequence[pl.LazyFrame], plan: Plan) -> list[pl.DataFrame]:
    """What the plan's queries come to. They share no intermediate result: it would be a copy of the rows."""
    try:
        return pl.collect_all(queries, engine="streaming", optimizations=pl.QueryOptFlags(comm_subplan_elim=False))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        measures = (*plan.measures.values(), *plan.driving.values(), *plan.derived.values())
        others = (*plan.parts.values(), *plan.groups.values())
        raise GateError(
            f"A measure cannot be computed: {error}",
            where=", ".join(dict.fromkeys(where for _, where in (*measures, *others))),
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
