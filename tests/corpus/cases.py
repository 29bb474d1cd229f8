"""The corpus: named cases of bad (and of odd but good) data as YAML, each with what must happen to it.

A file of `rows/` is one extract of one dataset. `ordinary` is a row that is good; a case says what it has instead, and
which rules it `breaks` (none: it is accepted). The keys below stand for a case for each column that they name:

    required     a missing value breaks `<column>|nullability`
    not_empty    an empty text breaks `<column>|min_length`
    codes        401 characters break `<column>|too_long`, and 400 do not
    texts        a NUL character breaks `<column>|nul_character`
    closed       a word out of no list breaks `<column>|regex`
    numbers      a word breaks `<column>|unreadable`

Where it breaks other rules too they stand behind the column: `codes: [item_id, {currency: [currency|regex]}]`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from flows.io.staging.rows import CODE_BYTES
from schemas.catalog import DATASETS
from schemas.source import Mode

FOLDER = Path(__file__).parent
Row = dict[str, Any]
NULL = "NULL"
"""How the corpus' files write a missing value, so that an empty text is one."""

_EACH: dict[str, tuple[str, str | None, str]] = {
    "required": ("missing", None, "nullability"),
    "not_empty": ("empty", "", "min_length"),
    "codes": ("too long", "x" * (CODE_BYTES + 1), "too_long"),
    "texts": ("with NUL", "a\0b", "nul_character"),
    "closed": ("unheard of", "qqq", "regex"),
    "numbers": ("a word", "many", "unreadable"),
}
_RAW_TYPES = {
    pl.Date: "date", pl.Decimal: "decimal", pl.Int32: "integer", pl.Boolean: "boolean", pl.Datetime: "timestamp"
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Rows of a file: what they say instead of the ordinary row, and the rules that each breaks.

    The last `duplicates` of them repeat one before, are counted as that and judged by nothing.
    """

    name: str
    rows: tuple[dict[str, Any], ...]
    breaks: frozenset[str] = frozenset()
    duplicates: int = 0


@dataclass(frozen=True)
class RowsFile:
    """A file of `rows/`: one extract."""

    name: str
    dataset: str
    mode: Mode
    numbered: str
    ordinary: dict[str, Any]
    cases: tuple[Case, ...]
    dataset_keys: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Every column of the contract, with the raw type it is declared as."""
        dtypes = DATASETS[self.dataset].contract.dtypes()
        return {name: _RAW_TYPES.get(dtype.base_type(), "text") for name, dtype in dtypes.items()}

    def lines(self) -> Iterator[tuple[Case, dict[str, Any], frozenset[str]]]:
        """Its rows in order, and what each breaks. Every case has a key of its own, unless it says one."""
        for number, case in enumerate(self.cases, start=1):
            own = {self.numbered: f"{self.ordinary[self.numbered]}-{number}"}
            for place, row in enumerate(case.rows):
                is_copy = place >= len(case.rows) - case.duplicates
                yield case, self.ordinary | own | row, frozenset() if is_copy else case.breaks

    def text(self) -> str:
        """The file, with `|` between cells."""
        return row_text(self.columns, [row for _, row, _ in self.lines()])


def row_text(columns: Iterable[str], rows: Iterable[Row]) -> str:
    """A file of these rows, with a header and `|` between cells."""
    names = list(columns)
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    return "".join("|".join(line) + "\n" for line in (names, *cells))


def _cell(value: object) -> str:
    return NULL if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def rows_files() -> list[str]:
    """Names of the files in `rows/`."""
    return sorted(path.stem for path in (FOLDER / "rows").glob("*.yaml"))


@cache
def rows_file(name: str) -> RowsFile:
    """A file of `rows/`."""
    said = read(FOLDER / "rows" / f"{name}.yaml")
    cases = [*_written(said.pop("cases")), *_each_column(said)]
    assert len({case.name for case in cases}) == len(cases)
    return RowsFile(
        name, said.pop("dataset"), said.pop("mode"), said.pop("numbered"), said.pop("ordinary"), tuple(cases), said
    )


def read(path: Path) -> dict[str, Any]:
    """A YAML file whose cells are text as written, so that 00870 and 2026-03-31 stay what they are."""
    content: dict[str, Any] = _AsWritten(path.read_text(encoding="utf-8")).get_single_data()
    return content


class _AsWritten(yaml.SafeLoader):
    pass


_AsWritten.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _written(said: dict[str, dict[str, Any] | None]) -> Iterator[Case]:
    for name, written in said.items():
        case = dict(written or {})
        rows = case.pop("rows", None) or [case.pop("row", {})]
        breaks = case.pop("breaks", [])
        broken = frozenset([breaks] if isinstance(breaks, str) else breaks)
        yield Case(name, tuple(rows), broken, int(case.pop("duplicates", 0)))
        assert not case, f"{name}: {case}"


def _each_column(said: dict[str, Any]) -> Iterator[Case]:
    for kind, (words, cell, rule) in _EACH.items():
        for entry in said.pop(kind, ()):
            column, also = next(iter(entry.items())) if isinstance(entry, dict) else (entry, [])
            yield Case(f"{column} {words}", ({column: cell},), frozenset({f"{column}|{rule}", *also}))
            if kind == "codes":
                yield Case(f"{column} just short enough", ({column: "x" * CODE_BYTES},), frozenset(also))
