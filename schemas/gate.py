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
ForEach = Literal["whole_key", "reference", "reporting_amount", "nullable"]
Days = Literal["like_days", "all_days"]

COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")
"""Arguments of expectations that name columns."""

PARAMETER = "$PARAMETER"
"""An argument `{$PARAMETER: x}` is Great Expectations' own way to say that its value is given when it is judged."""


def _sql(text: str) -> str:
    # Placeholders of a suite with for_each become names; any name will do to see whether the SQL parses.
    try:
        pl.sql_expr(text.replace("{", "").replace("}", ""))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"not an expression of Polars SQL: {error}") from error
    return text


Name = Annotated[str, Field(pattern=r"^[a-z{][a-z0-9_{}]*$")]
Sql = Annotated[str, AfterValidator(_sql)]
Measures = dict[Name, Sql]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Parts(_Model):
    """What is measured of each part of an extract, and compared part by part with earlier deliveries.

    A part is a column (`each`, a list of names with commas between; the measure says {column}), or a value of the
    expression `by`. More than `at_most` parts are no parts but a list: nothing is said of them. With `only_changes` a
    part's value is kept only where it is not the one before: for many parts of which few change.

    Of the parts called `x` there are then, where earlier deliveries are known: `x_new` and `x_missing` (texts that name
    parts no earlier delivery had, and parts that each of the last ones had), `x_rise` (by how much a value is above all
    earlier ones, at most), `x_factor` (how many times more or less it is than the value before, at most), and
    `x_rise_at` and `x_factor_at`, which say where.
    """

    by: Sql | None = None
    each: str | None = None
    measure: Sql
    at_most: int = Field(default=100, ge=1)
    only_changes: bool = False

    @model_validator(mode="after")
    def _by_or_each(self) -> Self:
        if (self.by is None) == (self.each is None):
            raise ValueError("has either `by` or `each`")
        return self


class Groups(_Model):
    """Counts the groups of rows with equal `by` for which `having` holds. As `x_named` the first few are named."""

    by: tuple[str, ...] = Field(min_length=1)
    having: Sql


class Gate(_Model):
    """One check. `expectation` and `arguments` are Great Expectations'; `reason` says why it is wanted.

    An argument may be `{$PARAMETER: measure}`. With `history` the severity is the source's word for such gates. Where
    a measure of `needs` is NULL there is nothing to judge (no history yet, nothing declared). `shows` are measures that
    say where, for messages. `remedy` is what to do about it.
    """

    name: Name
    expectation: str = Field(pattern=r"^expect_[a-z_A-Z]+$")
    arguments: dict[str, Any] = {}
    severity: Severity
    reason: str = Field(min_length=10)
    remedy: str = ""
    history: bool = False
    needs: tuple[Name, ...] = ()
    shows: tuple[Name, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that the arguments take from the frame judged."""
        named = [self.arguments[argument] for argument in COLUMN_ARGUMENTS if argument in self.arguments]
        return tuple(dict.fromkeys(name for one in named for name in ([one] if isinstance(one, str) else one)))

    def on(self, names: dict[str, str]) -> Self:
        """The same gate on other columns: new name by old one."""
        renamed = {
            argument: names[value] if isinstance(value, str) else [names[name] for name in value]
            for argument, value in self.arguments.items()
            if argument in COLUMN_ARGUMENTS
        }
        return self.model_copy(update={"arguments": self.arguments | renamed})

    @property
    def parameters(self) -> tuple[str, ...]:
        """Measures that are given to the expectation as arguments."""
        return tuple(value[PARAMETER] for value in self.arguments.values() if is_parameter(value))

    @property
    def named(self) -> set[str]:
        """Everything that the gate looks at."""
        return {*self.columns, *self.parameters, *self.needs, *self.shows}


def is_parameter(value: object) -> bool:
    """Whether an argument's value is given when it is judged."""
    return isinstance(value, dict) and PARAMETER in value


class Suite(_Model):
    """A gate file.

    `applies_to` names datasets or facts; `*` is all of them, `where_columns` of these only the ones whose contract has
    such columns. As a mapping it gives each of them values for placeholders, once or several times.

    `measures` are aggregates over the rows judged (staged rows of an extract, rows of a slice), `driving` the same over
    the current rows that drive the fact, `derived` expressions over these and, for extracts, over what is known of the
    extract (flows/io/gates.py, ExtractFacts).

    For extracts only: `parts` and `groups`, and `history`, which names measures and for each the earlier deliveries to
    compare with: those of `like_days` (the same weekday, or a month's end, or a holiday) or of `all_days`. Of a measure
    `x` there are then `x_usual` (median), `x_spread` (median distance from it), `x_least`, `x_most` and `x_days` (how
    many deliveries these are from).

    With `for_each` the suite stands once for every such thing in the contract, and names, SQL and arguments may use its
    placeholders: `whole_key` ({key_missing}: a part of the key is NULL), `reference` ({key}, {id}: a durable key beside
    its natural id), `reporting_amount` ({amount}, {reporting}), `nullable` ({columns}: all that may be NULL).
    """

    judges: Judged
    applies_to: tuple[str, ...] | dict[str, tuple[dict[str, str], ...]] = Field(min_length=1)
    where_columns: tuple[str, ...] = ()
    for_each: ForEach | None = None
    measures: Measures = {}
    driving: Measures = {}
    derived: Measures = {}
    parts: dict[Name, Parts] = {}
    groups: dict[Name, Groups] = {}
    history: dict[Name, Days] = {}
    gates: tuple[Gate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_what_it_judges(self) -> Self:
        if self.driving and self.judges == "extracts":
            raise ValueError("`driving` is for facts: an extract is driven by nothing")
        if self.judges == "facts" and (self.parts or self.groups or self.history):
            raise ValueError("`parts`, `groups` and `history` are for extracts")
        return self
