"""What a gate file may say: the model of `schemas/gates/*.yaml`. Unknown keys are errors.

A suite judges either extracts or slices of facts. It *measures* (one value per extract or slice, by SQL aggregates that
Polars evaluates exactly on decimals) and *expects* (Great Expectations' own names and arguments, on those measures).
A gate whose columns are no measures is judged on the rows themselves.
"""

from typing import Annotated, Any, Literal, Self

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Severity = Literal["fail", "warn"]
Judged = Literal["extracts", "facts"]
ForEach = Literal["whole_key", "reference", "reporting_amount"]

COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")
"""Arguments of expectations that name columns."""


def _sql(text: str) -> str:
    # Placeholders of a suite with for_each become names; any name will do to see whether the SQL parses.
    try:
        pl.sql_expr(text.replace("{", "").replace("}", ""))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"not an expression of Polars SQL: {error}") from error
    return text


Measures = dict[Annotated[str, Field(pattern=r"^[a-z{][a-z0-9_{}]*$")], Annotated[str, AfterValidator(_sql)]]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gate(_Model):
    """One check. `expectation` and `arguments` are Great Expectations'; `reason` says why it is wanted."""

    name: str = Field(pattern=r"^[a-z{][a-z0-9_{}]*$")
    expectation: str = Field(pattern=r"^expect_[a-z_A-Z]+$")
    arguments: dict[str, Any] = {}
    severity: Severity
    reason: str = Field(min_length=10)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that the arguments take from the frame judged."""
        named = [self.arguments[argument] for argument in COLUMN_ARGUMENTS if argument in self.arguments]
        return tuple(dict.fromkeys(name for one in named for name in ([one] if isinstance(one, str) else one)))


class Suite(_Model):
    """A gate file.

    `applies_to` names datasets or facts; `*` is all of them, `where_columns` of these only the ones whose contract has
    such columns. As a mapping it gives each of them values for placeholders, once or several times.

    `measures` are aggregates over the rows judged (staged rows of an extract, rows of a slice), `driving` the same over
    the current rows that drive the fact, `derived` expressions over these and, for extracts, over the extract's counts.

    With `for_each` the suite stands once for every such thing in the contract, and names, SQL and arguments may use its
    placeholders: `whole_key` ({key_missing}: a part of the key is NULL), `reference` ({key}, {id}: a durable key beside
    its natural id), `reporting_amount` ({amount}, {reporting}).
    """

    judges: Judged
    applies_to: tuple[str, ...] | dict[str, tuple[dict[str, str], ...]] = Field(min_length=1)
    where_columns: tuple[str, ...] = ()
    for_each: ForEach | None = None
    measures: Measures = {}
    driving: Measures = {}
    derived: Measures = {}
    gates: tuple[Gate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _driven(self) -> Self:
        if self.driving and self.judges == "extracts":
            raise ValueError("`driving` is for facts: an extract is driven by nothing")
        return self
