"""The three kinds of contract: what a dataset, a dimension and a fact table always carry."""

from typing import Any

import dataframely as dy
import polars as pl

from schemas import columns as c


class Contract(dy.Schema):
    """A table's columns, their types and descriptions, and its row rules."""

    @classmethod
    def key(cls) -> tuple[str, ...]:
        """Names of the natural key's columns, in order."""
        return tuple(name for name, column in cls.columns().items() if (column.metadata or {}).get("key"))

    @classmethod
    def marked(cls, mark: str) -> dict[str, Any]:
        """Columns that carry a metadata mark, with its value: `marked("entity")`, `marked("personal")`."""
        return {
            name: column.metadata[mark]
            for name, column in cls.columns().items()
            if column.metadata and mark in column.metadata
        }

    @classmethod
    def dtypes(cls) -> dict[str, pl.DataType]:
        """Polars type of each column."""
        return {name: column.dtype for name, column in cls.columns().items()}


class DatasetContract(Contract):
    """A canonical kind of extract. `source` and the technical columns are added when it is staged."""

    updated_at = c.instant("When the source last changed the row; orders the versions of a delta", null=True)
    is_deleted = c.flag("The source says that the row is gone", null=True)


class PublishedContract(Contract):
    """A table around the facts that is published whole: a dimension, its history, a closure, the calendar."""

    row_hash = dy.Int64(description="Hash of everything else in the row")
    published_at = c.instant("When this state of the row was published")


class DimensionContract(PublishedContract):
    """A dimension: one row per member with its current attributes. Grain: durable key."""

    code_space = c.text("Master code space of the member's id")
    is_inferred = c.flag("A code was referenced that no master data has delivered yet")
    is_deleted = c.flag("Master data no longer lists the member")


class FactContract(Contract):
    """A fact. Every one carries these beside its own columns."""

    row_key = dy.Int64(description="Primary key: hash of the natural key", metadata={"row_key": True})
    source = c.text("Source that delivered the row that anchors the fact", key=True)
    row_hash = dy.Int64(description="Hash over keys and measures; differs when any of them does")
    extract_id = dy.Int64(description="First extract that brought the row's present payload", nullable=True)
    published_at = c.instant("When this state of the row was published")
