"""What a metric's card and a target may say: the models of `schemas/metrics/*.yaml` and of target files.

A metric is made of one or two *components*: a sum over rows of one fact, by day and leaf scope, which therefore adds up
over any days and scopes. What a period makes of the days (`time`), and how two components make the metric (`combine`,
`scale`, `per`), is the card's.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from schemas.catalog import FACTS
from schemas.metric_sql import canonical

Scope = Literal["company", "site", "supplier", "work_center", "cost_center", "account_type", "item"]
Period = Literal["day", "week", "month", "fiscal_period"]
TimeRule = Literal["sum", "last", "average", "none"]
AccountType = Literal["asset", "liability", "equity", "revenue", "expense", "statistical"]
Audience = Literal["process manager", "operations manager"]

LEAVES = ("site", "supplier", "work_center", "cost_center", "account", "item")
"""Dimensions that a component may be kept by, in the order of the fact's keys."""

ID = r"^[a-z][a-z0-9_]*$"
_KEY_OF_SCOPE = {"account_type": "account"}
PLAIN = r"^[^\x00]*$"
"""PostgreSQL's texts have no NUL."""
Text = Annotated[str, Field(min_length=1, pattern=PLAIN)]
Number = Annotated[Decimal, Field(max_digits=28, decimal_places=10)]
"""What NUMERIC(28,10) holds."""


class MisplacedError(ValueError):
    """Parts of a card that do not fit each other; `path` is the one to look at."""

    def __init__(self, path: tuple[str, ...], what: str) -> None:
        self.path = path
        super().__init__(what)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _columns(before: ValidationInfo) -> dict[str, pl.DataType]:
    """Columns of the component's fact; none where the fact was wrong already."""
    fact = before.data.get("fact")
    return FACTS[fact].contract.dtypes() if fact else {}


class Component(_Model):
    """A sum over one fact: `value` of every row for which `where` holds, dated by the column `date`."""

    fact: str
    date: str
    value: str
    where: str | None = None
    time: TimeRule
    """How days become periods; balances are carried forward over days without a snapshot."""
    space: Literal["sum", "none"] = "sum"
    account_type: AccountType | None = None
    """Only accounts that are of this type today."""

    @field_validator("fact")
    @classmethod
    def _known(cls, fact: str) -> str:
        if fact not in FACTS:
            raise ValueError(f"there is no fact {fact!r}; facts are {', '.join(FACTS)}")
        return fact

    @field_validator("date")
    @classmethod
    def _a_date(cls, name: str, before: ValidationInfo) -> str:
        columns = _columns(before)
        if columns and not isinstance(columns.get(name), pl.Date):
            dates = [column for column, dtype in columns.items() if isinstance(dtype, pl.Date)]
            raise ValueError(f"{name!r} is no date of {before.data['fact']}; its dates are {', '.join(dates)}")
        return name

    @field_validator("value", "where")
    @classmethod
    def _over_a_row(cls, text: str, before: ValidationInfo) -> str:
        columns = _columns(before)
        return canonical(text, columns) if columns else text

    @field_validator("account_type")
    @classmethod
    def _has_accounts(cls, kind: str | None, before: ValidationInfo) -> str | None:
        columns = _columns(before)
        if kind and columns and "account_key" not in columns:
            raise ValueError(f"{before.data['fact']} has no account_key")
        return kind

    def leaf(self, *, by_item: bool) -> tuple[str, ...]:
        """Dimensions that its sums are kept by: all of the fact's, items only where a card asks for them."""
        columns = FACTS[self.fact].contract.columns()
        return tuple(name for name in LEAVES if f"{name}_key" in columns and (by_item or name != "item"))


class Card(_Model):
    """A card: what a metric says, how it is computed, for whom."""

    metric: str = Field(pattern=ID)
    name: Text
    says: Text
    formula: Text
    numerator: Component
    denominator: Component | None = None
    combine: Literal["ratio", "difference", "value"]
    scale: Number = Decimal(1)
    per: Literal["day", "year"] | None = None
    """day: times the days of the period (a balance over a flow per day); year: a flow as of a whole year."""
    unit: Text
    range: tuple[Number | None, Number | None]
    direction: Literal["higher", "lower", "target"]
    scopes: tuple[Scope, ...] = Field(min_length=1)
    periods: tuple[Period, ...] = Field(default=("day", "week", "month", "fiscal_period"), min_length=1)
    null_rule: Literal["zero", "unknown"]
    """What a numerator without rows counts as; a denominator of zero or without rows makes the value NULL."""
    standard: str = Field(default="", pattern=PLAIN)
    audience: tuple[Audience, ...] = Field(min_length=1)
    owner: Text
    version: int = Field(ge=1, lt=2**31)
    headline: int | None = Field(default=None, ge=1, le=10)
    """Place on the short scorecard."""

    @property
    def components(self) -> tuple[Component, ...]:
        """The numerator, and the denominator where there is one."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)

    @property
    def by_item(self) -> bool:
        """Whether its sums are kept by item."""
        return "item" in self.scopes

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.combine == "value") != (self.denominator is None):
            said = f"{self.combine} {'takes no' if self.denominator else 'needs a'} denominator"
            raise MisplacedError(("combine",), said)
        for role, component in zip(("numerator", "denominator"), self.components, strict=False):
            self._scoped(component, role)
        if self.headline is not None and not ("company" in self.scopes and {"week", "month"} & set(self.periods)):
            raise MisplacedError(("headline",), "the short scorecard shows the company by week or month")
        return self

    def _scoped(self, component: Component, role: str) -> None:
        leaf = component.leaf(by_item=self.by_item)
        known = {"company", *component.leaf(by_item=True)}
        for scope in self.scopes:
            if _KEY_OF_SCOPE.get(scope, scope) not in known:
                raise MisplacedError(("scopes",), f"{component.fact} knows no {scope}")
        if component.space == "none" and (len(leaf) > 1 or leaf != self.scopes or leaf == ("cost_center",)):
            said = f"none is for a component that is kept by the card's only scope; this one is by {', '.join(leaf)}"
            raise MisplacedError((role, "space"), said)
        if component.time == "none" and self.periods != ("day",):
            raise MisplacedError((role, "time"), "none is for a card whose only period is the day (periods: [day])")
        if FACTS[component.fact].grain == "month" and {"day", "week"} & set(self.periods):
            said = f"{component.fact} has one row a month; say periods: [month, fiscal_period]"
            raise MisplacedError(("periods",) if "periods" in self.model_fields_set else (role, "fact"), said)


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


class Target(_Model):
    """A line of a target file. Empty: the company, every member of the scope, any period, always, no threshold."""

    metric: str = Field(pattern=ID)
    scope: Annotated[Scope, BeforeValidator(lambda value: value or "company")] = "company"
    scope_id: str = Field(default="", pattern=PLAIN)
    period: Literal["", "day", "week", "month", "fiscal_period"] = ""
    valid_from: Annotated[date, BeforeValidator(lambda value: value or date.min)] = date.min
    valid_to: Annotated[date, BeforeValidator(lambda value: value or date.max)] = date.max
    """First day on which it no longer holds."""
    target: Number
    red_below: Annotated[Number | None, BeforeValidator(_empty_is_none)] = None
    red_above: Annotated[Number | None, BeforeValidator(_empty_is_none)] = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.valid_to <= self.valid_from:
            raise ValueError(
                "valid_to must be after valid_from: it is the first day on which the target no longer holds"
            )
        if self.scope == "company" and self.scope_id:
            raise ValueError("the company has no scope_id: name the scope")
        return self
