"""Members of dimensions: which master row speaks for a code, and the codes nobody has described yet."""

from collections.abc import Mapping, Sequence

import polars as pl

from transforms.common.keys import NOT_APPLICABLE_KEY, UNKNOWN_KEY, durable_key

MAX_DEPTH = 16
"""Levels of a hierarchy that a closure follows; charts of accounts have seven or eight."""

_SPACE, _CODE = "_master_space", "_master_code"


def conformed_codes(codes: pl.LazyFrame, space: str, code: str, entity: str, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """Add `_key`, `_master_space` and `_master_code`: the master member that a code stands for.

    `codes` has one row per pair of `space` and `code`; `code_map` conforms a pair to another in one step. Codes that
    are NULL or '' get UNKNOWN_KEY.
    """
    mapping = (
        code_map.filter(pl.col("entity") == entity)
        .sort("code_space", "code", "source")
        .unique(["code_space", "code"], keep="first", maintain_order=True)
        .select(
            pl.col("code_space").alias(space),
            pl.col("code").alias(code),
            pl.col("master_code_space").alias(_SPACE),
            pl.col("master_code").alias(_CODE),
        )
    )
    return codes.join(mapping, on=[space, code], how="left").with_columns(
        pl.coalesce(_SPACE, space).alias(_SPACE),
        pl.coalesce(_CODE, code).alias(_CODE),
        durable_key(pl.coalesce(_SPACE, space), pl.coalesce(_CODE, code)).alias("_key"),
    )


def with_key(
    frame: pl.LazyFrame,
    given: pl.LazyFrame,
    column: str,
    entity: str,
    code_map: pl.LazyFrame,
    *,
    key: str | None = None,
    absent: int = UNKNOWN_KEY,
) -> pl.LazyFrame:
    """Add the durable key of the member that `column`'s code stands for, `<entity>_key` unless `key` names it.

    A row without a code gets `absent`. Each code is hashed once instead of once per row: facts have millions of rows
    and thousands of codes. `given` is the input that the codes come from: were they taken from `frame`, every further
    lookup would double the plan.
    """
    space = f"_space_{column}"
    codes = conformed_codes(given.select(space, column).unique(), space, column, entity, code_map)
    member = pl.when(pl.col("_key") == UNKNOWN_KEY).then(pl.lit(absent, pl.Int64)).otherwise("_key")
    keys = codes.select(space, column, member.alias(key or f"{entity}_key"))
    return frame.join(keys, on=[space, column], how="left", nulls_equal=True)


def master_rows(frame: pl.LazyFrame, column: str, entity: str, code_map: pl.LazyFrame) -> pl.LazyFrame:
    """One row per member of the dataset whose id is `column`, with `_key`, `_master_space` and `_master_code`.

    Where several sources deliver a member, the row whose own code is the master's speaks for it, then the source that
    sorts first.
    """
    space = f"_space_{column}"
    codes = conformed_codes(frame.select(space, column).unique(), space, column, entity, code_map)
    is_foreign = (pl.col(space) != pl.col(_SPACE)) | (pl.col(column) != pl.col(_CODE))
    return (
        frame.join(codes, on=[space, column], how="left", nulls_equal=True)
        .with_columns(is_foreign.alias("_is_foreign"))
        .sort("_key", "_is_foreign", "source", space, column)
        .unique("_key", keep="first", maintain_order=True)
    )


def attributes(
    frame: pl.LazyFrame, entity: str, code_map: pl.LazyFrame, columns: Mapping[str, str] | Sequence[str]
) -> pl.LazyFrame:
    """Lookup of a master dataset: `<entity>_key` and the columns, renamed where a mapping says so."""
    names = columns if isinstance(columns, Mapping) else {name: name for name in columns}
    rows = master_rows(frame, f"{entity}_id", entity, code_map)
    return rows.select(pl.col("_key").alias(f"{entity}_key"), *(pl.col(old).alias(new) for old, new in names.items()))


def members(
    master: pl.LazyFrame, entity: str, code_map: pl.LazyFrame, code_span: pl.LazyFrame, columns: Sequence[str]
) -> pl.LazyFrame:
    """All members of a dimension: master rows, inferred members, and -1 unknown and -2 not applicable.

    Has `<entity>_key`, `<entity>_id`, `name`, `code_space`, `is_inferred`, `is_deleted` and the columns (attributes of
    the dataset, NULL where no master data has come). `code_span` holds every code that a dataset refers to.
    """
    key, id_ = f"{entity}_key", f"{entity}_id"
    known = master_rows(master, id_, entity, code_map).select(
        pl.col("_key").alias(key),
        pl.col(_CODE).alias(id_),
        pl.col(_SPACE).alias("code_space"),
        "name",
        pl.lit(value=False).alias("is_inferred"),
        pl.col("is_deleted").fill_null(value=False),
        *columns,
    )
    referenced = code_span.filter(pl.col("entity") == entity).select("code_space", "code").unique()
    inferred = (
        conformed_codes(referenced, "code_space", "code", entity, code_map)
        .filter(pl.col("_key") != UNKNOWN_KEY)
        .unique("_key")
        .select(
            pl.col("_key").alias(key),
            pl.col(_CODE).alias(id_),
            pl.col(_SPACE).alias("code_space"),
            pl.col(_CODE).alias("name"),
            pl.lit(value=True).alias("is_inferred"),
            pl.lit(value=False).alias("is_deleted"),
        )
        .join(known.select(key), on=key, how="anti")
    )
    return pl.concat([known.filter(pl.col(key) != UNKNOWN_KEY), inferred, _standing(key, id_)], how="diagonal_relaxed")


def _standing(key: str, id_: str) -> pl.LazyFrame:
    words = {UNKNOWN_KEY: "(unknown)", NOT_APPLICABLE_KEY: "(not applicable)"}
    return pl.LazyFrame(
        {
            key: list(words),
            id_: list(words.values()),
            "code_space": [""] * len(words),
            "name": list(words.values()),
            "is_inferred": [False] * len(words),
            "is_deleted": [False] * len(words),
        },
        schema_overrides={key: pl.Int64},
    )


def closure(dimension: pl.LazyFrame, entity: str) -> pl.LazyFrame:
    """Every member with each member it rolls up to, itself included: ancestor, descendant, depth, is_leaf.

    Follows parents up to MAX_DEPTH steps; a cycle ends where it began.
    """
    key, parent = f"{entity}_key", f"parent_{entity}_key"
    parents = dimension.select(key, parent).filter(pl.col(parent) != NOT_APPLICABLE_KEY)
    chains = dimension.select(pl.col(key).alias(f"descendant_{key}"), pl.col(key).alias("0"))
    for step in range(1, MAX_DEPTH + 1):
        chains = chains.join(
            parents.select(pl.col(key).alias(str(step - 1)), pl.col(parent).alias(str(step))),
            on=str(step - 1),
            how="left",
        )
    pairs = (
        chains.unpivot(index=f"descendant_{key}", variable_name="depth", value_name=f"ancestor_{key}")
        .drop_nulls()
        .group_by(f"descendant_{key}", f"ancestor_{key}")
        .agg(pl.col("depth").cast(pl.Int32).min())
    )
    inner = parents.select(pl.col(parent).alias(f"descendant_{key}"), is_leaf=pl.lit(value=False)).unique()
    return pairs.join(inner, on=f"descendant_{key}", how="left").with_columns(pl.col("is_leaf").fill_null(value=True))
