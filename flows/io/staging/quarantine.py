"""Quarantined rows: which rule each broke, with the value and the row as it was delivered."""

from collections.abc import Collection, Mapping

import polars as pl

from flows.io.staging.mapping import BAD, ROW_NO
from flows.io.staging.raw import RawRows
from flows.io.staging.rows import CELL_END, MISFIT, Plan
from flows.io.staging.typed import RAGGED, TypedTable

MASK = "***"
CONFLICT = "conflicting_versions"

KEPT_ROWS = 10_000
"""Rows of a delivery that are kept with value and raw row: where more are bad, the file is, and it is still there."""

FAILURES: dict[str, pl.DataType] = {
    "row_no": pl.Int64(),
    "rule": pl.String(),
    "column_name": pl.String(),
    "value": pl.String(),
}
SIGHTINGS: dict[str, pl.DataType] = {"_key_hash": pl.Int64(), "_order_at": pl.Datetime("us", "UTC")}
SCHEMA = FAILURES | {"raw": pl.String(), "key_hash": pl.Int64(), "order_at": pl.Datetime("us", "UTC")}

_VALUE_LENGTH = 1_000


def failures(bad: pl.DataFrame, rules: Mapping[str, pl.Expr], plan: Plan, driving: TypedTable) -> pl.DataFrame:
    """Every rule that the rows broke: unreadable and misfit cells, and the contract's rules where cells are fine.

    Columns as in FAILURES.
    """
    found = [pl.DataFrame(schema=FAILURES)]
    own = f"{BAD}:{plan.mapping.driving_alias}"
    for name in (column for column in bad.columns if column.startswith(f"{BAD}:")):
        prefix = "" if name == own else name.removeprefix(f"{BAD}:") + "."
        found.append(_cells(bad.select(ROW_NO, cells=name), prefix, driving.raw))
    for name in (column for column in bad.columns if column.startswith(f"{MISFIT}:")):
        column = name.removeprefix(f"{MISFIT}:")
        found.append(_failure(bad.filter(pl.col(name).is_not_null()), f"{column}|does_not_fit", column, pl.col(name)))
    # A NULL that stands for an unreadable cell would break rules that the row itself does not.
    rest = bad.join(pl.concat(found).select(pl.col("row_no").alias(ROW_NO)), on=ROW_NO, how="anti")
    if rest.is_empty():
        return pl.concat(found)
    columns = plan.contract.dtypes()
    is_broken = rest.select((~rule.fill_null(value=True)).alias(name) for name, rule in rules.items())
    for name, rule in rules.items():
        if is_broken[name].any():
            column = _judged_column(name, rule, columns)
            value = pl.col(column) if column else pl.lit(None)
            found.append(_failure(rest.filter(is_broken[name]), name, column, value))
    return pl.concat(found)


def _failure(rows: pl.DataFrame, rule: str, column: str, value: pl.Expr) -> pl.DataFrame:
    text = value.cast(pl.String).alias("value")
    return rows.select(
        pl.col(ROW_NO).alias("row_no"), pl.lit(rule).alias("rule"), column_name=pl.lit(column), value=text
    )


def _judged_column(name: str, rule: pl.Expr, columns: Collection[str]) -> str:
    """The column that a rule judges; '' where it judges several."""
    # Every rule but the key's looks at is_deleted too, to let rows go that are gone.
    judged = {name.partition("|")[0]} & set(columns) or set(rule.meta.root_names()) - {"is_deleted"}
    return judged.pop() if len(judged) == 1 and judged <= set(columns) else ""


def lost_failures(lost: pl.DataFrame, driving: TypedTable) -> pl.DataFrame:
    """Failures of driving rows that the SELECT left out for a cell that it could not read."""
    return _cells(lost.select(ROW_NO, cells=BAD), "", driving.raw)


def conflict_failures(conflicts: pl.DataFrame) -> pl.DataFrame:
    """Failures of rows that contradict each other."""
    return _failure(conflicts, CONFLICT, "", pl.lit(None))


def _cells(rows: pl.DataFrame, prefix: str, raw: RawRows) -> pl.DataFrame:
    """A failure for each `column=value` in `cells`."""
    cell = pl.col("cell").str.splitn("=", 2).struct
    cells = (
        rows.select(row_no=ROW_NO, cell=pl.col("cells").str.split(CELL_END))
        .explode("cell")
        .filter(pl.col("cell") != "")
        .select("row_no", column=cell.field("field_0"), cell=cell.field("field_1").fill_null(""))
    )
    ragged = pl.DataFrame([*raw.ragged.items()], schema={"row_no": pl.Int64, "line": pl.String}, orient="row")
    is_ragged = pl.col("column") == RAGGED
    line = pl.lit(None, dtype=pl.String) if prefix else pl.col("line")
    return cells.join(ragged, on="row_no", how="left", maintain_order="left").select(
        "row_no",
        rule=prefix + pl.when(is_ragged).then("column").otherwise(pl.col("column") + "|unreadable"),
        column_name=pl.when(is_ragged).then(pl.lit("")).otherwise(prefix + pl.col("column")),
        value=pl.when(is_ragged).then(line).otherwise("cell"),
    )


def entries(found: pl.DataFrame, plan: Plan, delivered: RawRows, seen: pl.DataFrame) -> pl.DataFrame:
    """The failures, one per row and rule, with the rows as delivered (JSON), personal columns masked, long values cut.

    A second look at the file, for the first KEPT_ROWS of these rows; the others have neither value nor raw row.

    Args:
        found: Failures.
        plan: The plan of the staging.
        delivered: The driving table, uncorrected.
        seen: _row_no, _key_hash and _order_at of rows whose key could be read.
    """
    if found.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    found = found.unique(["row_no", "rule"], keep="first", maintain_order=True).sort("row_no", maintain_order=True)
    last = last_kept(found["row_no"])
    kept, surplus = found.filter(pl.col("row_no") <= last), found.filter(pl.col("row_no") > last)
    personal = personal_columns(plan)
    # The cells of a row that is too short or too long may stand in any column.
    is_hidden = pl.col("column_name").is_in(sorted(personal)) | (
        pl.lit(bool(personal)) & pl.col("rule").str.ends_with(RAGGED)
    )
    value = pl.when(is_hidden & pl.col("value").is_not_null()).then(pl.lit(MASK)).otherwise("value")
    raw = _as_delivered(delivered, kept["row_no"].unique(), personal)
    kept = kept.with_columns(value=value.str.slice(0, _VALUE_LENGTH)).join(
        raw, on="row_no", how="left", maintain_order="left"
    )
    keys = seen.unique(ROW_NO, keep="first").select(row_no=ROW_NO, key_hash="_key_hash", order_at="_order_at")
    return (
        pl.concat([kept, surplus.drop("value")], how="diagonal")
        .join(keys, on="row_no", how="left", maintain_order="left")
        .select(*SCHEMA)
    )


def last_kept(numbers: pl.Series) -> int:
    """The last of the first KEPT_ROWS row numbers."""
    first = numbers.unique().sort().head(KEPT_ROWS)
    return int(first[-1]) if first.len() else 0


def personal_columns(plan: Plan) -> frozenset[str]:
    """Contract columns that are personal, and the raw columns that they are made of."""
    personal = plan.contract.marked("personal")
    raw = {name for column in personal for _, name in plan.mapping.feeds.get(column, ())}
    return frozenset(personal) | raw


def _as_delivered(driving: RawRows, numbers: pl.Series, personal: frozenset[str]) -> pl.DataFrame:
    is_shifted = pl.col(ROW_NO).is_in([*driving.ragged]) if personal else pl.lit(value=False)
    columns = [
        pl.when(pl.col(name).is_not_null() & (pl.lit(name in personal) | is_shifted))
        .then(pl.lit(MASK))
        .otherwise(pl.col(name).cast(pl.String))
        .alias(name)
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
