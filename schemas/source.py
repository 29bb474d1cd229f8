"""What a source folder may say: the model of `source.yaml`. Unknown keys are errors.

A source is one system that delivers. Its folder holds `source.yaml` and one `<dataset>.sql` (the mapping SELECT) for
each dataset it delivers.
"""

import re
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from schemas.correction import Correction
from schemas.gate import Gate, Severity

Mode = Literal["append", "delta", "snapshot", "period"]
RawType = Literal["text", "integer", "decimal", "date", "timestamp", "boolean"]
Encoding = Literal["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]
Format = Literal["csv", "jsonl", "parquet", "excel"]

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SchemaPolicy = Literal["evolve", "freeze", "discard"]
"""What a change of a table's columns means: it is told, it blocks, or nobody asks."""

WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
"""In order from Monday."""

TRAILER = "trailer"
"""Where control totals may be stated, beside a table."""

SLOT_GROUPS = frozenset({"as_of", "period", "revision", "part"})
NAME = r"^[a-z][a-z0-9_]*$"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from error
    return name


def _slot(pattern: str) -> str:
    try:
        groups = frozenset(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if unknown := groups - SLOT_GROUPS:
        raise ValueError(f"unknown group {min(unknown)!r}; known are {', '.join(sorted(SLOT_GROUPS))}")
    if not groups & {"as_of", "period"}:
        raise ValueError("names no slot: it needs a group (?P<as_of>…) or (?P<period>…)")
    return pattern


def _trailer(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


def _holidays(calendar: str) -> str:
    import holidays

    country, _, subdivision = calendar.partition("-")
    known = holidays.list_supported_countries()
    if country not in known or (subdivision and subdivision not in known[country]):
        raise ValueError(f"{calendar!r} is no country (DE) or country and part of it (DE-HB) whose holidays are known")
    return calendar


def _clock(value: object) -> object:
    # YAML 1.1 reads an unquoted 06:00 as the number 360 (base 60).
    return f"{value // 60:02d}:{value % 60:02d}" if isinstance(value, int) else value


TimeZone = Annotated[str, AfterValidator(_zone)]
SlotPattern = Annotated[str, AfterValidator(_slot)]
ClockTime = Annotated[time, BeforeValidator(_clock)]
Trailer = Annotated[str, AfterValidator(_trailer)]
HolidayCalendar = Annotated[str, AfterValidator(_holidays)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawTypes(_Model):
    """How raw text is read. Formats are chrono's (`%Y-%m-%d`, `%H:%M:%S%.f`, `%#z` for an offset), tried in order."""

    null_words: tuple[str, ...] = ("",)
    date_formats: tuple[str, ...] = ("%Y-%m-%d",)
    timestamp_formats: tuple[str, ...] = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f")
    decimal_mark: Literal[".", ","] = "."
    thousands_separator: Literal["", ".", ",", " ", "'", "\u00a0", "\u202f"] = ""
    true_words: tuple[str, ...] = ("true", "1")
    false_words: tuple[str, ...] = ("false", "0")
    excess_decimals: Literal["reject", "round"] = "reject"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.decimal_mark == self.thousands_separator:
            raise ValueError("decimal_mark and thousands_separator are the same")
        if both := set(self.true_words) & set(self.false_words):
            raise ValueError(f"{min(both)!r} is both a true and a false word")
        if len({has_offset(format_) for format_ in self.timestamp_formats}) > 1:
            raise ValueError("timestamp_formats mix formats with and without an offset (%z): declare them per table")
        return self

    def overridden_by(self, other: "RawTypes | None") -> "RawTypes":
        """These conventions with what `other` states explicitly laid over them."""
        if other is None:
            return self
        return RawTypes.model_validate(self.model_dump() | other.model_dump(exclude_unset=True))


def has_offset(format_: str) -> bool:
    """Whether a timestamp format reads an offset from UTC."""
    return any(mark in format_ for mark in ("%z", "%:z", "%#z", "%::z", "%+"))


class RawTable(_Model):
    """A raw table, the name a SELECT uses: files below `<landing>/<source>/` (or an fsspec URL), or a query.

    `slot` is searched in the file's name, then in its path below the source's landing folder; a table without it
    belongs to every slot, and where no table of a dataset has one the slot is the moment of landing. `columns` names
    the columns in order where `header` is false.
    """

    path: str | None = None
    format: Format = "csv"
    delimiter: str = Field(default=",", min_length=1)
    header: bool = True
    encoding: Encoding = "utf-8"
    quote: str | None = Field(default='"', max_length=1)
    sheet: str | int | None = None
    skip_lines: int = Field(default=0, ge=0)
    columns: tuple[str, ...] = ()
    slot: SlotPattern | None = None
    done_marker: str | None = None
    """Name of the file that the source writes beside a complete one, {name} standing for that one's: `{name}.done`."""

    url: str | None = None
    query: str | None = None

    types: dict[str, RawType] = {}
    raw_types: RawTypes | None = None
    may_be_empty: bool = False
    """Whether a file of no bytes is a delivery of no rows rather than a broken one."""
    trailer: Trailer | None = None
    """Matches the last line, which is no row; its groups are what `control_totals` may name."""
    schema_policy: SchemaPolicy | None = None
    """Where it is not the source's."""

    @field_validator("columns")
    @classmethod
    def _unique_columns(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        for name in columns:
            if columns.count(name) > 1:
                raise ValueError(f"column {name!r} is named twice")
        return columns

    @model_validator(mode="after")
    def _file_or_query(self) -> Self:
        if self.path and (self.url or self.query):
            raise ValueError("has both path and url/query: a table is a file or a query")
        if not self.path and not (self.url and self.query):
            raise ValueError("needs path (files), or url and query (a database)")
        if self.path and self.format in ("csv", "excel") and not self.header and not self.columns:
            raise ValueError("has no header: name the columns in order under columns")
        if self.query and self.done_marker:
            raise ValueError("a query has no file that a done_marker could stand beside")
        if self.done_marker and (not self.done_marker.strip() or "/" in self.done_marker):
            raise ValueError("done_marker is the name of a file in the same folder")
        if self.done_marker == "{name}":
            raise ValueError("done_marker is the file itself")
        if self.trailer and self.format not in ("csv", "jsonl"):
            raise ValueError("only csv and jsonl files have lines, of which one may be a trailer")
        if self.query and self.slot:
            raise ValueError("a query has no file name to find a slot in")
        if self.columns and (unknown := set(self.types) - set(self.columns)):
            raise ValueError(f"types names {min(unknown)!r}, which is not among columns")
        return self

    @property
    def is_query(self) -> bool:
        """Whether the rows come from a database rather than from files."""
        return self.query is not None


class Period(_Model):
    """Mode `period`: the contract's date column that the slot's period bounds."""

    column: str


class Tolerances(_Model):
    """Quarantined rows that a delivery may have and still be used: the larger of a count and a share of its rows."""

    rows: int | None = Field(default=None, ge=0)
    share: float | None = Field(default=None, ge=0, le=1)


class ControlTotals(_Model):
    """What the sender says that it sent: compared with what came, to the last row and decimal.

    `stated_in` is `trailer` (of each file of the table) or a raw table that is delivered beside (a manifest); of its
    rows those count whose cells are as `where` says, and several are added up. `rows` names its column (or the group of
    the trailer) with the number of rows, `sums` those with the sums of columns of the table.
    """

    stated_in: str = TRAILER
    table: str | None = None
    """The table whose rows are counted and summed; without it the SELECT's driving table."""
    rows: str | None = None
    sums: dict[str, str] = {}
    where: dict[str, str] = {}

    @model_validator(mode="after")
    def _states_something(self) -> Self:
        if self.rows is None and not self.sums:
            raise ValueError("needs rows, sums or both: where the number of rows and the sums are stated")
        if self.stated_in == TRAILER and self.where:
            raise ValueError("where picks rows of a manifest; a trailer is one line")
        return self


class SourceDataset(_Model):
    """How a source delivers one dataset; `<dataset>.sql` beside source.yaml maps it."""

    mode: Mode
    period: Period | None = None
    deadline: ClockTime | None = None
    """When the delivery that speaks for a day is due: at this hour of the day after, on the source's clock."""
    expected_on: tuple[Weekday, ...] = Field(default=WEEKDAYS, min_length=1)
    """Days of the week that deliveries speak for, where there is a deadline."""
    fan_out: bool = False
    """Whether a driving row may come out of the SELECT more than once."""
    time_zone: TimeZone | None = None
    code_spaces: dict[str, str] = {}
    retire_limit_pct: float = Field(default=50.0, ge=0, le=100)
    """Greatest share of current keys that one complete delivery may end by leaving them out."""
    closed_periods: Literal["restate", "adjust"] = "restate"
    """What a delivery as of a day after a fiscal period's closing does: changes the period, or is booked after it."""
    control_totals: ControlTotals | None = None
    history_gates: Literal["warn", "fail"] = "warn"
    gates: dict[Annotated[str, Field(pattern=NAME)], Literal["fail", "warn", "ignore"]] = {}
    """What single gates are worth here, where that differs from their files; needs a reason."""
    tolerances: Tolerances = Tolerances()
    reason: str = ""
    """Why a tolerance or limit differs from the default."""

    @model_validator(mode="after")
    def _period_declared(self) -> Self:
        if (self.mode == "period") != (self.period is not None):
            raise ValueError("mode period needs `period: {column: …}`, and no other mode has it")
        return self

    @model_validator(mode="after")
    def _tolerance_explained(self) -> Self:
        if self.tolerances != Tolerances() and not self.reason.strip():
            raise ValueError("tolerances need a `reason`: why may so many rows be missing?")
        if self.gates and not self.reason.strip():
            raise ValueError("gates need a `reason`: why are they worth more or less here?")
        return self

    @property
    def control_tables(self) -> tuple[str, ...]:
        """Raw tables that belong to a delivery for what they state of it."""
        totals = self.control_totals
        named = () if totals is None else (totals.table, totals.stated_in)
        return tuple(name for name in named if name is not None and name != TRAILER)

    def severity(self, gate: Gate) -> Severity | None:
        """What a gate's word is worth here; None: it is not asked."""
        said = self.gates.get(gate.name)
        if said is not None:
            return None if said == "ignore" else said
        return "fail" if gate.history and self.history_gates == "fail" else gate.severity


class SourceFile(_Model):
    """The content of source.yaml."""

    name: str = Field(pattern=NAME)
    description: str = ""
    owner: str = ""
    time_zone: TimeZone = "UTC"
    day_ends: ClockTime = time()
    """When a day of the source ends on its clock: until noon on the day after, from noon on on the day itself."""
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")
    holidays: HolidayCalendar | None = None
    """Country, or country and part of it, on whose holidays deliveries are compared with those of other holidays."""
    schema_policy: SchemaPolicy = "evolve"
    code_spaces: dict[str, str] = {}
    raw_types: RawTypes = RawTypes()
    tables: dict[Annotated[str, Field(pattern=NAME)], RawTable]
    datasets: dict[Annotated[str, Field(pattern=NAME)], SourceDataset]

    @model_validator(mode="after")
    def _totals_are_stated(self) -> Self:
        for name, dataset in self.datasets.items():
            totals = dataset.control_totals
            if totals is None:
                continue
            if unknown := set(dataset.control_tables) - self.tables.keys():
                raise ValueError(f"control_totals of {name} name {min(unknown)!r}, which is not among the tables")
            if totals.stated_in == TRAILER and not any(table.trailer for table in self.tables.values()):
                raise ValueError(f"control_totals of {name} are stated in a trailer, and no table has one")
        return self


class Source(SourceFile):
    """A source as loaded: source.yaml and its folder, with the SELECTs (dataset → SQL text) and corrections in it."""

    folder: Path
    mappings: dict[str, str]
    corrections: tuple[Correction, ...] = ()

    def zone(self, dataset: str) -> str:
        """IANA zone that naive timestamps of a dataset are meant in."""
        return self.datasets[dataset].time_zone or self.time_zone

    def corrections_of(self, dataset: str) -> list[Correction]:
        """Corrections of a dataset's deliveries."""
        return [correction for correction in self.corrections if correction.dataset == dataset]

    def books_zone(self, dataset: str) -> str | None:
        """Zone of the closings that deliveries of a dataset may come too late for; None where they never do."""
        adjusts = self.datasets[dataset].closed_periods == "adjust"
        return self.time_zone if adjusts else None

    def code_space(self, dataset: str, entity: str) -> str:
        """Code space of an entity's ids in a dataset: the dataset's, the source's, else the source's name."""
        spaces: dict[str, Any] = self.code_spaces | self.datasets[dataset].code_spaces
        return str(spaces.get(entity, self.name))

    def raw_types_of(self, table: str) -> RawTypes:
        """Conventions of a raw table: the source's, with the table's own laid over them.

        Databases, spreadsheets and JSON deliver numbers as numbers, so the source's marks are not theirs.
        """
        raw, conventions = self.tables[table], self.raw_types
        if raw.is_query or raw.format in ("excel", "jsonl"):
            formats = [*conventions.date_formats, "%Y-%m-%d"]
            if raw.format == "excel":
                formats.append("%Y-%m-%d 00:00:00")
            moments = [*conventions.timestamp_formats, *_TYPED_MOMENTS]
            is_offset = has_offset(moments[0])
            typed = {
                "decimal_mark": ".",
                "thousands_separator": "",
                "date_formats": tuple(dict.fromkeys(formats)),
                "timestamp_formats": tuple(dict.fromkeys(m for m in moments if has_offset(m) == is_offset)),
            }
            conventions = RawTypes.model_validate(conventions.model_dump() | typed)
        return conventions.overridden_by(raw.raw_types)


_TYPED_MOMENTS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z")
"""How databases, spreadsheets and JSON write a moment."""

Bounds = tuple[date, date]
"""First and last day of a period, both within."""
