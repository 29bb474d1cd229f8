"""The lake: every accepted row version in Delta Lake, append-only, one table per dataset, partitioned by month."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from schemas.errors import LakeError
from schemas.registry import Dataset

BATCH_ROWS = 131_072
MONTH = "_month"
_ATTEMPTS = 20

TECHNICAL: dict[str, pl.DataType] = {
    "source": pl.String(),
    "_extract_id": pl.Int64(),
    "_row_no": pl.Int64(),
    "_key_hash": pl.Int64(),
    "_payload_hash": pl.Int64(),
    "_order_at": pl.Datetime("us", "UTC"),
    "_date": pl.Date(),
    "_link_hash": pl.Int64(),
}


def lake_schema(dataset: Dataset) -> dict[str, pl.DataType]:
    """Columns of a dataset's rows in the lake: the contract's, the technical ones, the code spaces, the month."""
    spaces = {f"_space_{column}": pl.String() for column in dataset.coded_columns()}
    return dataset.contract.dtypes() | TECHNICAL | spaces | {MONTH: pl.String()}


class Lake:
    """A folder (or object store URL) of Delta tables."""

    def __init__(self, root: Path | str) -> None:
        self._root = str(root)

    def append(self, dataset: Dataset, rows: Path, transaction: str, keep: pl.DataFrame | None = None) -> int:
        """Append a staged extract's rows; the number of rows appended.

        Args:
            dataset: Whose rows they are.
            rows: Staged Parquet file with the columns of `lake_schema` but the month.
            transaction: Id of this append; a second append under the same id writes nothing.
            keep: `_row_no` of the rows to append; all of them where it is None.

        Raises:
            LakeError: The lake cannot be written.
        """
        schema = pl.Schema(lake_schema(dataset)).to_frame().to_arrow().schema
        count = keep.height if keep is not None else pq.read_metadata(rows).num_rows
        if not count:
            return 0
        try:
            self._append_once(dataset.name, schema, rows, transaction, keep)
        except (OSError, DeltaError) as error:
            raise LakeError(
                f"the lake cannot be written: {str(error).splitlines()[0]}",
                where=f"{self._root}/{dataset.name}",
                remedy="free space or mend the permissions, then run again; nothing was accepted",
            ) from error
        return count

    def _append_once(
        self, name: str, schema: pa.Schema, rows: Path, transaction: str, keep: pl.DataFrame | None
    ) -> None:
        for attempt in range(_ATTEMPTS):
            table = self._create(name, schema)
            # Delta does not refuse a transaction id it has seen; it is asked first, through the handle that writes.
            if table.transaction_version(transaction) is not None:
                return
            batches = pa.RecordBatchReader.from_batches(schema, _batches(rows, schema, keep))
            try:
                write_deltalake(
                    table,
                    batches,
                    mode="append",
                    schema_mode="merge",
                    writer_properties=WriterProperties(compression="LZ4_RAW"),
                    commit_properties=CommitProperties(
                        app_transactions=[Transaction(transaction, 1)], max_commit_retries=0
                    ),
                )
            except DeltaError:
                # Somebody else committed in between, perhaps this very append: look again.
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            return

    def _create(self, name: str, schema: pa.Schema) -> DeltaTable:
        uri = f"{self._root}/{name}"
        try:
            return DeltaTable(uri)
        except TableNotFoundError:
            pass
        try:
            return DeltaTable.create(
                uri, schema, partition_by=[MONTH], configuration={"delta.checkpointInterval": "20"}
            )
        except DeltaError:
            return DeltaTable(uri)

    def scan(self, dataset: Dataset, months: Iterable[str] | None = None) -> pl.LazyFrame:
        """Rows of a dataset, of some months only where they are given. Columns as in `lake_schema`."""
        try:
            table = DeltaTable(f"{self._root}/{dataset.name}")
        except TableNotFoundError:
            return pl.LazyFrame(schema=lake_schema(dataset))
        frame = pl.scan_delta(table)
        if months is not None:
            frame = frame.filter(pl.col(MONTH).is_in(sorted(set(months))))
        missing = {c: t for c, t in lake_schema(dataset).items() if c not in frame.collect_schema()}
        return frame.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())


def months_between(first: date, last: date) -> list[str]:
    """Partitions from one day to another, as `2026-03`."""
    count = (last.year - first.year) * 12 + last.month - first.month
    return [
        f"{first.year + (first.month - 1 + i) // 12:04d}-{(first.month - 1 + i) % 12 + 1:02d}" for i in range(count + 1)
    ]


def _batches(rows: Path, schema: pa.Schema, keep: pl.DataFrame | None) -> Iterator[pa.RecordBatch]:
    staged = [field.name for field in schema if field.name != MONTH]
    if keep is not None:
        frame = pl.scan_parquet(rows).join(keep.lazy().select("_row_no"), on="_row_no", how="semi").collect()
        for part in frame.iter_slices(BATCH_ROWS):
            yield from _with_month(part.select(staged), schema)
        return
    with pq.ParquetFile(rows) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=staged):
            yield from _with_month(pl.DataFrame(batch).select(staged), schema)


def _with_month(part: pl.DataFrame, schema: pa.Schema) -> list[pa.RecordBatch]:
    month = pl.col("_date").dt.strftime("%Y-%m").alias(MONTH)
    batches: list[pa.RecordBatch] = part.with_columns(month).to_arrow().cast(schema).to_batches()
    return batches
