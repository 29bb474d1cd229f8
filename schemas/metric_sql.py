"""SQL that a metric's card may hold: a scalar over one row of a fact, of columns, literals and harmless operators.

Everything that is allowed yields a value or NULL for any row, so that no card can stop a publish; PostgreSQL itself
says, before a card is taken, whether the types agree.
"""

import re
from collections.abc import Mapping

import polars as pl
import sqlglot
from sqlglot import exp

_ALLOWED = (
    exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Tuple,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg,
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between, exp.And, exp.Or, exp.Not,
    exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Abs, exp.Greatest, exp.Least,
)  # fmt: skip
_CLOCK = re.compile(r"(?<![a-z])(now|today|tomorrow|yesterday)(?![a-z])", re.IGNORECASE)
"""Words that PostgreSQL reads as a moment, in a text that stands where a date is wanted."""
_NO_NUMBER = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)
"""What PostgreSQL reads as a number, or a date, that spoils every sum and comparison."""
_FORMS = (
    "columns, literals, + - * /, comparisons, and, or, not, in, between, is null, case, coalesce, nullif, abs,"
    " greatest, least"
)


def canonical(text: str, columns: Mapping[str, pl.DataType]) -> str:
    """The SQL as PostgreSQL is to run it, equal for equal expressions; divisions are of decimals.

    Raises:
        ValueError: It is no expression over these columns, or uses something that is not allowed.
    """
    try:
        trees = sqlglot.parse(f"select {text}", dialect="postgres")
    except sqlglot.errors.SqlglotError as error:
        raise ValueError(f"no SQL expression: {str(error).splitlines()[0]}") from error
    tree = trees[0]
    is_plain = len(trees) == 1 and isinstance(tree, exp.Select) and len(tree.expressions) == 1
    if tree is None or not is_plain or any(value for name, value in tree.args.items() if name != "expressions"):
        raise ValueError("one expression over one row, nothing else")
    expression = tree.expressions[0]
    for node in expression.walk():
        _check(node, columns)
    return str(expression.transform(_of_decimals).sql("postgres", comments=False))


def _of_decimals(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Div):
        node.set("this", exp.cast(exp.paren(node.this), "numeric"))
    return node


def _check(node: exp.Expr, columns: Mapping[str, pl.DataType]) -> None:
    if not isinstance(node, _ALLOWED):
        raise ValueError(f"{node.sql('postgres')[:80]!r} is not allowed here; allowed are {_FORMS}")  # noqa: TRY004 - pydantic's way
    if isinstance(node, exp.Column) and (node.table or node.name not in columns):
        raise ValueError(f"the fact has no column {node.sql('postgres')!r}")
    if isinstance(node, exp.Literal) and node.is_string and _CLOCK.search(node.name):
        raise ValueError(f"{node.sql('postgres')[:80]} may be read as a moment: a value must not depend on the clock")
    if isinstance(node, exp.Literal) and node.is_string and _NO_NUMBER.fullmatch(node.name):
        raise ValueError(f"{node.sql('postgres')[:80]} is no number that can be added up")
    if isinstance(node, exp.Div) and not _is_never_zero(node.expression):
        raise ValueError("a divisor is a number other than 0, or nullif(…, 0)")


def _is_never_zero(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Nullif):
        other = node.expression
        return isinstance(other, exp.Literal) and other.name == "0"
    return isinstance(node, exp.Literal) and node.is_number and float(node.name) != 0
