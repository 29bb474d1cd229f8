"""Do lake, ledger and mart agree? Asked after a restore, or for peace of mind."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from flows.io import ledger
from flows.io.current import newest_keys
from flows.io.lake import Lake
from flows.io.warehouse import Session, quote
from schemas.catalog import DATASETS, FACTS
from schemas.registry import Fact

_WRAP = 2**64


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two of the three do not agree."""

    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}"


def differences(session: Session, lake: Lake) -> Iterator[Difference]:
    """Rows that the ledger calls current and the lake lacks; slices whose rows are not those published."""
    for dataset in DATASETS.values():
        for stream in ledger.streams(session, dataset.name):
            missing = _missing_in_lake(session, lake, stream)
            if missing:
                yield Difference(f"{stream.source}.{dataset.name}", f"the lake lacks {missing:,} current rows")
    for fact in FACTS.values():
        yield from _tampered_slices(session, fact)


def _missing_in_lake(session: Session, lake: Lake, stream: ledger.Stream) -> int:
    dataset = DATASETS[stream.dataset]
    rows = lake.scan(dataset).filter(pl.col("source") == stream.source)
    extracts = ledger.current_append_extracts(session, [stream.stream_id])
    if extracts.height:
        have = rows.group_by("_extract_id").len().collect()
        want = session.fetch(
            "select extract_id as _extract_id, rows_accepted from ops.extract where extract_id = any($1)",
            extracts["extract_id"].to_list(),
        )
        short = want.join(have, on="_extract_id", how="left").select(
            (pl.col("rows_accepted") - pl.col("len").fill_null(0).cast(pl.Int64)).clip(lower_bound=0).sum()
        )
        return int(short.item())
    keys = ["_key_hash", "_payload_hash"]
    newest = newest_keys(session, stream).lazy()
    return int(newest.join(rows.select(keys), on=keys, how="anti").select(pl.len()).collect().item())


def _tampered_slices(session: Session, fact: Fact) -> Iterator[Difference]:
    day = f"date_trunc('month', {quote(fact.anchor)})::date" if fact.grain == "month" else quote(fact.anchor)
    found = session.fetch(
        f"with held as (select source, {day} as day, count(*) as row_count, sum(row_hash)::text as checksum"
        f" from mart.{quote(fact.name)} group by 1, 2)"
        " select source, day, published.row_count as want_rows, published.checksum as want_sum,"
        " held.row_count as have_rows, held.checksum as have_sum"
        " from held full join (select source, day, row_count, checksum from ops.slice where fact = $1) as published"
        " using (source, day) where published.row_count is distinct from 0 or held.row_count is not null",
        fact.name,
    )
    for row in found.iter_rows(named=True):
        have = _wrapped(int(row["have_sum"])) if row["have_sum"] is not None else 0
        if row["have_rows"] != row["want_rows"] or have != row["want_sum"]:
            yield Difference(
                f"{fact.name} {row['source']} {row['day']}",
                f"{row['have_rows'] or 0:,} rows stand where {row['want_rows'] or 0:,} were published,"
                " or their content differs",
            )


def _wrapped(number: int) -> int:
    """A sum as Polars' 64-bit sum has it."""
    return (number + _WRAP // 2) % _WRAP - _WRAP // 2
