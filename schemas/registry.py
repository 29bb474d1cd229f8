"""What every table is made of: the one place that says which inputs a fact reads and which slices a change touches.

A *touch* is the inverse of a *read*: for each kind of input below, `reads` says which current rows a slice needs and
`touches` which slices a changed row can alter. A touch may name too many slices (they are rebuilt and found equal),
never too few.
"""

from dataclasses import dataclass
from datetime import date

from schemas.contract import DatasetContract, FactContract, PublishedContract

UNDATED = date(1970, 1, 1)
"""The day of rows that have no date (master data) and of the one slice a dimension has."""

ALL_SOURCES = ""
"""Anchor source of facts that bring several sources together, and of dimensions."""


CONFORMED_ENTITIES = frozenset({"account", "cost_center", "item", "site", "supplier", "work_center"})
"""Entities with a dimension: their codes are conformed by code_map. Document numbers are not."""


@dataclass(frozen=True, slots=True)
class Link:
    """The document a row belongs to.

    Rows of different datasets with equal (entity, code space, columns) belong together.
    """

    entity: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A canonical kind of extract.

    `dated_by` is the column whose day (in the source's zone) files the row in the lake and anchors it; None for master
    data. `keeps_history` has every delivered version filed, equal ones too, so that type-2 history has all sightings.
    `reverses` are the amounts whose sign turns where a row takes back an earlier one: only a dataset that names them
    can leave a closed period as it was reported. A plan (`is_plan`) speaks ahead, not for the day it is delivered on.
    """

    name: str
    contract: type[DatasetContract]
    dated_by: str | None = None
    link: Link | None = None
    keeps_history: bool = False
    reverses: tuple[str, ...] = ()
    is_plan: bool = False

    def coded_columns(self) -> dict[str, str]:
        """Columns that hold a dimension's code, with their entity; each has a `_space_<column>` beside it."""
        marked = self.contract.marked("entity")
        return {column: entity for column, entity in marked.items() if entity in CONFORMED_ENTITIES}


@dataclass(frozen=True, slots=True)
class Driving:
    """The rows a fact is anchored on. A slice reads them from `before` days earlier to `after` days later."""

    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Linked:
    """Rows that share the driving rows' document, whatever their own date.

    A row of the fact may depend on them, not on driving rows beside its own: rows are built in parts, and alone.
    """


@dataclass(frozen=True, slots=True)
class Reference:
    """Master data, read whole. A change touches the days on which the driving dataset uses the code, or a linked one.

    `entity` names whose codes (None: the row's own `entity` column says, as in code_map); `valid_from` the column
    before whose date nothing changes; `columns` the only ones the fact looks at (none named: all), so that a change
    of another column touches nothing.
    """

    entity: str | None
    valid_from: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LookBack:
    """Dated rows of which a slice reads its own day and `days` before: rates."""

    days: int


@dataclass(frozen=True, slots=True)
class Whole:
    """Read whole; any change touches every slice. For small tables that hardly ever change.

    Also for codes that the driving rows reach only through other master data: then a code that none of the datasets
    `used_by` refers to touches nothing. `entity`, `valid_from` and `columns` are as in Reference.
    """

    entity: str | None = None
    used_by: tuple[str, ...] = ()
    valid_from: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Closing:
    """Closed periods of the driving rows' own source: where that says so, they decide on which day a row is booked.

    They are used up in reading the driving rows; the transform does not get them. A period that is closed, opened or
    moved touches the days from its first one on.
    """


Way = Driving | Linked | Reference | LookBack | Whole | Closing


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact table: `transforms.<domain>.<name>.<name>(**arguments)` returns the complete rows of the slices read.

    `anchor` is the date column whose day (`grain="day"`) or month (`grain="month"`) is the slice.
    """

    name: str
    contract: type[FactContract]
    domain: str
    anchor: str
    inputs: dict[str, Way]
    logic_version: int = 1
    grain: str = "day"
    is_cross_source: bool = False

    @property
    def driving(self) -> tuple[str, ...]:
        """The datasets whose rows anchor the fact; several where it brings sources together."""
        return tuple(name for name, way in self.inputs.items() if isinstance(way, Driving))

    @property
    def is_by_row(self) -> bool:
        """Whether every row of the fact stands for one driving row, so that it can be built alone.

        So it is where one dataset drives it and its slices are days; its natural key is then `source`, the dataset's
        key in its order, and the anchor if that is not among them; then how a row is booked.
        """
        return len(self.driving) == 1 and self.grain == "day" and not self.is_cross_source

    @property
    def arguments(self) -> tuple[str, ...]:
        """The inputs that the transform is called with."""
        return tuple(name for name, way in self.inputs.items() if not isinstance(way, Closing))

    @property
    def has_books(self) -> bool:
        """Whether closed periods may decide on which day a row is booked."""
        return any(isinstance(way, Closing) for way in self.inputs.values())

    def window(self, dataset: str) -> Driving:
        """Days around a slice of which it reads driving rows: the dataset's own, else the widest of the fact's."""
        way = self.inputs[dataset]
        if isinstance(way, Driving):
            return way
        ways = [driving for driving in self.inputs.values() if isinstance(driving, Driving)]
        return Driving(before=max(w.before for w in ways), after=max(w.after for w in ways))


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension: `transforms.dimensions.<name>.<name>(**inputs)` returns all members; one slice.

    Inputs are datasets' current rows, and `code_span`: every code that any dataset refers to (entity, code_space,
    code). `entity` names whose members it holds (None: another kind of table). With `history` the first input is every
    version of the dataset instead, each sighting with its `_order_at`, and `coverage` (source, `_order_at`) the
    deliveries of it that were complete. dim_date also takes the `first` and `last` date it spans.
    """

    name: str
    contract: type[PublishedContract]
    entity: str | None
    inputs: tuple[str, ...]
    logic_version: int = 1
    history: bool = False
