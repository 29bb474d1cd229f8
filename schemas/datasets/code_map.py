"""Code map. Key: (entity, code_space, code). Master data."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.contract import DatasetContract

CONFORMED_ENTITIES = ("account", "cost_center", "customer", "item", "site", "supplier", "work_center")
"""Entities whose codes may be conformed; the entity in `columns.code` uses the same words."""


class CodeMap(DatasetContract):
    """Says that one system's code means a member of another code space. One step: a map is not followed further."""

    entity = c.choice("Whose codes are mapped", CONFORMED_ENTITIES, key=True)
    code_space = c.text("Code space the code belongs to", key=True, min_length=1)
    code = c.text("Code as that system writes it", key=True, min_length=1)
    master_code_space = c.text("Code space of the master member", min_length=1)
    master_code = c.text("Code of the master member", min_length=1)

    @dy.rule()
    def code_is_not_mapped_to_itself(cls) -> pl.Expr:
        return (pl.col("code_space") != pl.col("master_code_space")) | (pl.col("code") != pl.col("master_code"))
