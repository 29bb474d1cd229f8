"""Column constructors: one name per kind of column, so that every table uses the same types.

Each returns a `dataframely` column. `key=True` marks the natural key (text key parts are never NULL: a missing part is
`''`); `entity` names the code space an id is meant in; `personal=True` marks data that is pseudonymised before the
lake; `happened=True` marks when something happened, which cannot lie in the future; `additive` says how a measure may
be summed (`yes`, `semi` = not over time, `no`).
"""

from typing import Any, Literal

import dataframely as dy

Additive = Literal["yes", "semi", "no"]


def _options(description: str, *, key: bool, null: bool, **metadata: object) -> dict[str, Any]:
    marks = {name: value for name, value in metadata.items() if value}
    return {
        "description": description,
        "nullable": null and not key,
        "metadata": marks | ({"key": True} if key else {}),
    }


def text(description: str, *, key: bool = False, null: bool = False, personal: bool = False, **rules: Any) -> dy.String:
    """Free text or a code that belongs to no dimension."""
    return dy.String(**_options(description, key=key, null=null, personal=personal), **rules)


def code(description: str, entity: str, *, key: bool = False, null: bool = False, any_: bool = False) -> dy.String:
    """An id of `entity`, meant in the source's code space for that entity; `any_` lets it be '' (no particular one)."""
    rules: dict[str, Any] = {} if any_ or null else {"min_length": 1}
    return dy.String(**_options(description, key=key, null=null, entity=entity), **rules)


def choice(description: str, values: tuple[str, ...], *, key: bool = False, null: bool = False) -> dy.String:
    """Text out of a closed list."""
    return dy.String(**_options(description, key=key, null=null, values=values), regex=f"^({'|'.join(values)})$")


def currency(description: str = "ISO 4217 currency code", *, key: bool = False, null: bool = False) -> dy.String:
    """A currency code; that it exists is a row rule of the contract."""
    return dy.String(**_options(description, key=key, null=null, currency=True), regex="^[A-Z]{3}$")


def flag(description: str, *, key: bool = False, null: bool = False) -> dy.Bool:
    """Yes or no; named `is_…` or `has_…`."""
    return dy.Bool(**_options(description, key=key, null=null))


def date(description: str, *, key: bool = False, null: bool = False, happened: bool = False) -> dy.Date:
    """A calendar day, never shifted between zones."""
    return dy.Date(**_options(description, key=key, null=null, happened=happened))


def instant(description: str, *, key: bool = False, null: bool = False, happened: bool = False) -> dy.Datetime:
    """A moment, in UTC, to the microsecond."""
    options = _options(description, key=key, null=null, happened=happened)
    return dy.Datetime(**options, time_zone="UTC", time_unit="us")


def quantity(description: str, *, null: bool = False, additive: Additive = "yes") -> dy.Decimal:
    """NUMERIC(18,4), in the unit the name or the row's uom says."""
    return dy.Decimal(18, 4, **_options(description, key=False, null=null, additive=additive))


def amount(description: str, *, null: bool = False, additive: Additive = "yes") -> dy.Decimal:
    """NUMERIC(18,4) money."""
    return dy.Decimal(18, 4, **_options(description, key=False, null=null, additive=additive, money=True))


def price(description: str, *, null: bool = False) -> dy.Decimal:
    """NUMERIC(28,10): a unit price, cost or rate; never additive."""
    return dy.Decimal(28, 10, **_options(description, key=False, null=null, additive="no"))


def count(description: str, *, null: bool = False, additive: Additive = "yes") -> dy.Int32:
    """A whole number that is summed: 0 or 1 per row for the counted kind, or days."""
    return dy.Int32(**_options(description, key=False, null=null, additive=additive))


def whole(description: str, *, key: bool = False, null: bool = False) -> dy.Int32:
    """A whole number that is an attribute, not a measure."""
    return dy.Int32(**_options(description, key=key, null=null))


def durable_key(description: str, dimension: str, *, key: bool = False) -> dy.Int64:
    """A durable dimension key: signed xxh3-64 of (master code space, id); -1 unknown, -2 not applicable."""
    return dy.Int64(**_options(description, key=key, null=False, dimension=dimension))
