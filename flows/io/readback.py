"""What was written, read back inside its transaction: PostgreSQL holds what was built, or nothing is published.

Of all rows their number and the sum of their hashes; of every column how often it has a value and what those add up to,
over one row in 64 where there are many. A COPY that goes wrong loses rows, or gets a column wrong.
"""

from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from flows.io.warehouse import Session, quote
from schemas.errors import WarehouseError

MANY = 20_000
"""Written rows from which columns are added up over a sample."""

_ONE_IN = 64
_SAMPLED = "row_key"


def check_written(session: Session, table: str, written: pl.DataFrame, where: str = "", *parameters: object) -> None:
    """Compare rows that were just written with what the table holds of them.

    Args:
        session: The session that wrote them, not committed yet.
        table: Table of mart.
        written: The rows as they were built, in columns of the table.
        where: A condition or a join that leaves only them, where the table holds others too; the table is `held`.
        parameters: Its parameters.

    Raises:
        WarehouseError: They differ.
    """
    if not written.height:
        return
    rows = f"(select held.* from mart.{quote(table)} as held {where}) as held"
    sample, sampled_rows = written, rows
    if written.height > MANY and _SAMPLED in written.columns:
        # Looked up by key: a query over all rows would look at every column of each, and read the table once more.
        sample = written.filter(pl.col(_SAMPLED) % _ONE_IN == 0)
        session.load_temporary(sample.select(_SAMPLED), "sampled_row")
        sampled_rows = f"mart.{quote(table)} as held inner join pg_temp.sampled_row using ({_SAMPLED})"
    whole = {"rows": (pl.len(), "count(*)"), "row_hash": (_sum(pl.col("row_hash")), "sum(row_hash)")}
    columns = {
        f"{name} {kind}": sums for name, dtype in written.schema.items() for kind, sums in _sums(name, dtype).items()
    }
    found = session.fetch(
        f"select * from (select {_selected(whole)} from {rows}) as whole"
        f" cross join (select {_selected(columns)} from {sampled_rows}) as sampled",
        *parameters,
    )
    built = pl.concat([_built(written, whole), _built(sample, columns)], how="horizontal")
    for name, want, have in zip(found.columns, built.row(0), found.row(0), strict=True):
        if Decimal(want or 0) != Decimal(have or 0):
            raise WarehouseError(
                f"what was written does not read back as it was built: {name} is {have or 0}, not {want or 0}",
                where=f"mart.{table}",
                remedy="nothing of it is published; run again, and report it if it stays",
            )


def _built(rows: pl.DataFrame, sums: Mapping[str, tuple[pl.Expr, str]]) -> pl.DataFrame:
    return rows.select(expr.alias(name) for name, (expr, _) in sums.items())


def _selected(sums: Mapping[str, tuple[pl.Expr, str]]) -> str:
    return ", ".join(f"({sql})::text as {quote(name)}" for name, (_, sql) in sums.items())


def _sum(values: pl.Expr) -> pl.Expr:
    """Wide enough for the hashes of any number of rows."""
    return values.cast(pl.Int128).sum()


def _sums(name: str, dtype: pl.DataType) -> dict[str, tuple[pl.Expr, str]]:
    """How often a column has a value and what its values add up to, exactly: in Polars and in SQL."""
    column, held = pl.col(name), f"held.{quote(name)}"
    sums = {"count": (column.count(), f"count({held})")}
    if dtype.is_decimal():
        sums["sum"] = (column.sum(), f"sum({held})")
    elif dtype.is_integer():
        sums["sum"] = (_sum(column), f"sum({held})")
    elif dtype == pl.Boolean:
        sums["sum"] = (_sum(column), f"sum({held}::int)")
    elif dtype == pl.Date:
        sums["days"] = (_sum(column.cast(pl.Int32)), f"sum({held} - date '1970-01-01')")
    elif isinstance(dtype, pl.Datetime):
        sums["microseconds"] = (_sum(column.cast(pl.Int64)), f"sum((extract(epoch from {held}) * 1000000)::bigint)")
    else:
        sums["length"] = (_sum(column.cast(pl.String).str.len_bytes()), f"sum(octet_length({held}))")
    return sums
