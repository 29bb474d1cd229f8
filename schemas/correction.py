"""What `corrections.yaml` in a source folder may say: cells that are read otherwise than the source delivered them.

A correction mends what the source cannot mend soon. It names cells of a raw table as they are delivered, before the
conventions of source.yaml read them, so that it can also mend what cannot be read.
"""

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator


def _text(value: object) -> object:
    if isinstance(value, str | None):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    # YAML has read it already: nobody knows any more whether the file said 2.50 or 2.5.
    raise ValueError(f"write the cell as it is delivered, in quotes: YAML reads it as {value!r}")


Cell = Annotated[str | None, BeforeValidator(_text)]
Cells = Annotated[dict[str, Cell], Field(min_length=1)]


class Correction(BaseModel):
    """One correction.

    Rows of `table` (the SELECT's driving table where it is not said) whose cells are those of `where` get the cells of
    `set`, null emptying one, if they have those of `expect` for the same columns. Rows that have others are left alone
    and reported: the source was mended, or changed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    table: str | None = None
    where: Cells
    set: Cells
    expect: Cells
    reason: str = Field(min_length=10)
    owner: str = Field(min_length=1)

    @model_validator(mode="after")
    def _expects_what_it_sets(self) -> Self:
        if set(self.expect) != set(self.set):
            raise ValueError("expect and set name different columns: say for each what the source delivers")
        if self.expect == self.set:
            raise ValueError("sets what it expects: there is nothing to correct")
        return self

    def __str__(self) -> str:
        """Which rows, and what is set, e.g. `po=P17, line=3: qty 50 → 5`; unique within a dataset."""
        rows = ", ".join(f"{name}={_shown(cell)}" for name, cell in self.where.items())
        cells = ", ".join(f"{name} {_shown(self.expect[name])} → {_shown(cell)}" for name, cell in self.set.items())
        return f"{self.table}: {rows}: {cells}" if self.table else f"{rows}: {cells}"


def _shown(cell: str | None) -> str:
    return "(empty)" if cell is None else cell


CORRECTIONS = TypeAdapter(tuple[Correction, ...])
"""The content of corrections.yaml."""
