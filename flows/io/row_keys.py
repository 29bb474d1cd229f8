"""Primary keys of facts: how they follow from the natural key, and from the driving row alone."""

import polars as pl

from schemas.catalog import DATASETS
from schemas.registry import Fact
from transforms.common.keys import hash_columns

_KEY_HASH = "_key_hash"


def with_row_key(rows: pl.LazyFrame, fact: Fact, source: str) -> pl.LazyFrame:
    """Add `row_key` to rows of one anchor source of a fact.

    Where a fact row stands for a driving row, the key is a hash of that row's key_hash, and of the anchor if the
    natural key has it: then the ledger's rows tell which rows of the mart are theirs.
    """
    types, natural = fact.contract.dtypes(), fact.contract.key()
    if not fact.is_by_row:
        return rows.with_columns(row_key=hash_columns({name: types[name] for name in natural}, salt=[fact.name]))
    own = natural[1 : 1 + len(_dataset_key(fact))]
    key_hash = hash_columns({name: types[name] for name in own}, salt=(source,))
    return rows.with_columns(key_hash.alias(_KEY_HASH)).with_columns(row_key=_of_driving(fact)).drop(_KEY_HASH)


def of_driving_rows(fact: Fact, rows: pl.DataFrame) -> pl.DataFrame:
    """`row_key` of all fact rows that driving rows (key_hash, row_date) can stand for.

    Where the natural key has the anchor, those are as many as the days on which a driving row of a day can be anchored.
    """
    keys = rows.lazy().filter(pl.col("key_hash").is_not_null()).select(pl.col("key_hash").alias(_KEY_HASH), "row_date")
    offsets = [0]
    if _has_anchor(fact):
        window = fact.window(fact.driving[0])
        offsets = list(range(-window.after, window.before + 1))
    anchored = [keys.with_columns(pl.col("row_date").dt.offset_by(f"{n}d").alias(fact.anchor)) for n in offsets]
    # Of streams whose closed periods are adjusted no rows are named: all others are booked on their own days.
    plain = pl.concat(anchored).with_columns(pl.col("row_date").alias(f"original_{fact.anchor}"), is_reversal=False)
    return plain.select(row_key=_of_driving(fact)).unique().collect()


def _of_driving(fact: Fact) -> pl.Expr:
    types = fact.contract.dtypes()
    return hash_columns({_KEY_HASH: pl.Int64()} | {name: types[name] for name in _beside_key(fact)}, salt=[fact.name])


def _has_anchor(fact: Fact) -> bool:
    return fact.anchor in _beside_key(fact)


def _beside_key(fact: Fact) -> tuple[str, ...]:
    """What the natural key has beside the source and the dataset's key: the anchor, how a row is booked, or nothing."""
    return fact.contract.key()[1 + len(_dataset_key(fact)) :]


def _dataset_key(fact: Fact) -> tuple[str, ...]:
    return DATASETS[fact.driving[0]].contract.key()
