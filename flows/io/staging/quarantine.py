"""Quarantined rows: which rule each broke, with the value and the row as it was delivered."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from flows.io.staging.mapping import BAD, ROW_NO
from flows.io.staging.raw import RawRows
from flows.io.staging.rows import CELL_END, MISFIT, Plan
from flows.io.staging.typed import RAGGED, TypedTable

MASK = "***"
NUL_PICTURE = "\u2400"
"""Stands for a NUL character, which PostgreSQL's text and jsonb refuse."""

CONFLICT = "conflicting_versions"

SCHEMA: dict[str, pl.DataType] = {
    "row_no": pl.Int64(),
    "rule": pl.String(),
    "column_name": pl.String(),
    "value": pl.String(),
    "raw": pl.String(),
}

SIGHTINGS: dict[str, pl.DataType] = {"_key_hash": pl.Int64(), "_order_at": pl.Datetime("us", "UTC")}

_VALUE_LENGTH = 1_000


@dataclass(frozen=True, slots=True)
class Failure:
    """A row and a rule that it broke."""

    row_no: int
    rule: str
    column: str = ""
    value: str | None = None


def failures(bad: pl.DataFrame, rules: Mapping[str, pl.Expr], plan: Plan, driving: TypedTable) -> list[Failure]:
    """Every rule that the rows broke: unreadable and misfit cells, and the contract's rules where cells are fine."""
    found: list[Failure] = []
    own = f"{BAD}:{plan.mapping.driving_alias}"
    for name in (column for column in bad.columns if column.startswith(f"{BAD}:")):
        prefix = "" if name == own else name.removeprefix(f"{BAD}:") + "."
        for row_no, text in bad.filter(pl.col(name) != "").select(ROW_NO, name).iter_rows():
            found += _cells(row_no, text, prefix, driving.raw)
    for name in (column for column in bad.columns if column.startswith(f"{MISFIT}:")):
        column = name.removeprefix(f"{MISFIT}:")
        misfits = bad.filter(pl.col(name).is_not_null()).select(ROW_NO, pl.col(name).cast(pl.String))
        found += [Failure(row_no, f"{column}|does_not_fit", column, value) for row_no, value in misfits.iter_rows()]
    # A NULL that stands for an unreadable cell would break rules that the row itself does not.
    broken_cells = {failure.row_no for failure in found}
    rest = bad.filter(~pl.col(ROW_NO).is_in(list(broken_cells)))
    columns = plan.contract.dtypes()
    if rest.is_empty():
        return found
    is_broken = rest.select((~rule.fill_null(value=True)).alias(name) for name, rule in rules.items())
    for name, rule in rules.items():
        if not is_broken[name].any():
            continue
        column = _judged_column(name, rule, columns)
        value = pl.col(column).cast(pl.String) if column else pl.lit(None, dtype=pl.String)
        broken = rest.filter(is_broken[name]).select(ROW_NO, value.alias("value"))
        found += [Failure(row_no, name, column, text) for row_no, text in broken.iter_rows()]
    return found


def _judged_column(name: str, rule: pl.Expr, columns: Collection[str]) -> str:
    """The column that a rule judges; '' where it judges several."""
    # Every rule but the key's looks at is_deleted too, to let rows go that are gone.
    judged = {name.partition("|")[0]} & set(columns) or set(rule.meta.root_names()) - {"is_deleted"}
    return judged.pop() if len(judged) == 1 and judged <= set(columns) else ""


def lost_failures(lost: pl.DataFrame, driving: TypedTable) -> list[Failure]:
    """Failures of driving rows that the SELECT left out for a cell that it could not read."""
    return [
        failure
        for row_no, text in lost.select(ROW_NO, BAD).iter_rows()
        for failure in _cells(row_no, text, "", driving.raw)
    ]


def _cells(row_no: int, text: str, prefix: str, raw: RawRows) -> Iterable[Failure]:
    for column, value in _split(text):
        if column == RAGGED:
            yield Failure(row_no, f"{prefix}{RAGGED}", "", None if prefix else raw.ragged.get(row_no))
        else:
            yield Failure(row_no, f"{prefix}{column}|unreadable", prefix + column, value)


def _split(text: str) -> Iterable[tuple[str, str]]:
    for cell in text.split(CELL_END):
        if cell:
            column, _, value = cell.partition("=")
            yield column, value


def entries(found: Iterable[Failure], plan: Plan, driving: RawRows) -> pl.DataFrame:
    """The failures with their rows as delivered (JSON), personal columns masked, long values cut.

    A second look at the file, for these rows only.
    """
    unique = {(failure.row_no, failure.rule): failure for failure in found}
    if not unique:
        return pl.DataFrame(schema=SCHEMA)
    personal = personal_columns(plan)
    frame = pl.DataFrame(
        [
            (
                failure.row_no,
                failure.rule,
                failure.column,
                MASK if failure.column in personal and failure.value is not None else failure.value,
            )
            for failure in unique.values()
        ],
        schema={name: dtype for name, dtype in SCHEMA.items() if name != "raw"},
        orient="row",
    )
    rows = _as_delivered(driving, frame["row_no"].unique(), personal)
    return (
        frame.join(rows, on="row_no", how="left", maintain_order="left")
        .with_columns(pl.col("value").str.slice(0, _VALUE_LENGTH))
        .with_columns(pl.col("column_name", "value", "raw").str.replace_all("\0", NUL_PICTURE, literal=True))
        .sort("row_no", maintain_order=True)
        .select(*SCHEMA)
    )


def personal_columns(plan: Plan) -> frozenset[str]:
    """Contract columns that are personal, and the raw columns that they are made of."""
    personal = plan.contract.marked("personal")
    raw = {name for column in personal for _, name in plan.mapping.feeds.get(column, ())}
    return frozenset(personal) | raw


def _as_delivered(driving: RawRows, numbers: pl.Series, personal: frozenset[str]) -> pl.DataFrame:
    columns = [
        pl.when(pl.col(name).is_not_null()).then(pl.lit(MASK)).alias(name)
        if name in personal
        else pl.col(name).cast(pl.String).str.replace_all("\0", NUL_PICTURE, literal=True)
        for name in driving.dtypes
    ]
    return (
        driving.frame.filter(pl.col(ROW_NO).is_in(numbers.implode()))
        .select(pl.col(ROW_NO).alias("row_no"), pl.struct(columns).struct.json_encode().alias("raw"))
        .collect(engine="streaming")
        .unique("row_no")
    )


def sightings(bad: pl.DataFrame, rules: Mapping[str, pl.Expr], plan: Plan) -> pl.DataFrame:
    """_row_no, _key_hash and _order_at of quarantined rows whose key could be read."""
    keys = set(plan.contract.key())
    feeds = frozenset(feed for column in keys for feed in plan.mapping.feeds.get(column, ()))
    readable = [rule.fill_null(value=True) for name, rule in rules.items() if name.partition("|")[0] in keys]
    readable += [pl.col(f"{MISFIT}:{name}").is_null() for name in keys if f"{MISFIT}:{name}" in bad.columns]
    for name in (column for column in bad.columns if column.startswith(f"{BAD}:")):
        alias = name.removeprefix(f"{BAD}:")
        of_key = [column for table, column in feeds if table == alias]
        pattern = "|".join(f"{CELL_END}{_escaped(column)}=" for column in (*of_key, RAGGED))
        text = pl.lit(CELL_END) + pl.col(name)
        readable.append(~text.str.contains(pattern))
    return bad.filter(pl.all_horizontal(readable)).select(ROW_NO, *SIGHTINGS)


def _escaped(text: str) -> str:
    return "".join(character if character.isalnum() else f"\\x{{{ord(character):x}}}" for character in text)
