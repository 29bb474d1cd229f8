"""The lake: every accepted row version in Delta Lake, append-only, one table per dataset, partitioned by month."""

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import fsspec
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from polars.io.partition import FileProviderArgs

from schemas.errors import LakeError
from schemas.registry import Dataset

MONTH = "_month"
_ATTEMPTS = 20
ROWS_AT_ONCE = 1_000_000
"""Rows that are sorted into months at a time: all months are open at once, so this bounds the memory."""

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
    """A folder (or object store URL) of Delta tables. To be opened anew after the folder was replaced by another."""

    def __init__(self, root: Path | str) -> None:
        self._root = str(root)
        # Opening a table costs more the more was appended to it. What one thread uses no other one does.
        self._opened: dict[str, DeltaTable] = {}

    def uri(self, table: str) -> str:
        """Where a table is."""
        return f"{self._root}/{table}"

    def append(self, dataset: Dataset, rows: Path, transaction: str, keep: pl.DataFrame | None = None) -> int:
        """Append a staged extract's rows; the number of rows appended.

        Args:
            dataset: Whose rows they are.
            rows: Staged Parquet file with the columns of `lake_schema` but the month.
            transaction: Id of this append. A second append of the same rows under the same id writes nothing, one of
                other rows takes the place of the first: that was a try which did not come to its end.
            keep: `_row_no` of the rows to append; all of them where it is None.

        Raises:
            LakeError: The lake cannot be written.
        """
        count = keep.height if keep is not None else pq.read_metadata(rows).num_rows
        try:
            files = self._write_files(dataset, rows, keep, transaction) if count else []
            self._commit(dataset, Transaction(transaction, _digest(rows)), files)
        except (OSError, DeltaError, pl.exceptions.PolarsError) as error:
            raise LakeError(
                f"the lake cannot be written: {str(error).splitlines()[0]}",
                where=self.uri(dataset.name),
                remedy="free space or mend the permissions, then run again; nothing was accepted",
            ) from error
        return count

    def _write_files(
        self, dataset: Dataset, rows: Path, keep: pl.DataFrame | None, transaction: str
    ) -> list[AddAction]:
        """Write the rows into the table's folder, a file or more a month; they count only once they are committed."""
        names: list[str] = []
        batch = ""

        def name_of(file: FileProviderArgs) -> str:
            month = file.partition_keys.item(0, MONTH)
            names.append(f"{MONTH}={month}/{transaction}.{batch}-{file.index_in_partition}.parquet")
            return names[-1]

        folder = self.uri(dataset.name)
        columns = [name for name in lake_schema(dataset) if name != MONTH]
        for first in range(0, pq.read_metadata(rows).num_rows, ROWS_AT_ONCE):
            frame = pl.scan_parquet(rows).slice(first, ROWS_AT_ONCE)
            if keep is not None:
                frame = frame.join(keep.lazy().select("_row_no"), on="_row_no", how="semi")
            batch = uuid.uuid4().hex
            frame.select(*columns, pl.col("_date").dt.strftime("%Y-%m").alias(MONTH)).sink_parquet(
                pl.PartitionBy(folder, key=MONTH, include_key=False, file_path_provider=name_of),
                compression="lz4",
                mkdir=True,
            )
        files, _ = fsspec.url_to_fs(folder)
        return [_added(files, folder, name) for name in names]

    def _commit(self, dataset: Dataset, transaction: Transaction, files: Sequence[AddAction]) -> None:
        schema = pl.Schema(lake_schema(dataset)).to_frame().to_arrow().schema
        for attempt in range(_ATTEMPTS):
            table = self._open(dataset.name, schema)
            # Delta does not refuse a transaction id it has seen; it is asked first, through the handle that commits.
            known = table.transaction_version(transaction.app_id)
            if known == transaction.version or (known is None and not files):
                self._opened[dataset.name] = table
                return
            outdated = [] if known is None else _files_of(table, transaction.app_id)
            have = {field.name for field in table.schema().fields}
            if missing := [field for field in DeltaSchema.from_arrow(schema).fields if field.name not in have]:
                table.alter.add_columns(missing)
            properties = CommitProperties(app_transactions=[transaction], max_commit_retries=0)
            try:
                table.create_write_transaction(
                    [*outdated, *files], "append", table.schema(), partition_by=[MONTH], commit_properties=properties
                )
            except DeltaError:
                # Somebody else committed in between, perhaps this very append: look again.
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            self._opened[dataset.name] = table
            return

    def _open(self, name: str, schema: pa.Schema) -> DeltaTable:
        uri = self.uri(name)
        if table := self._opened.pop(name, None):
            table.update_incremental()
            return table
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

    def appended(self, dataset: Dataset, transactions: Iterable[str]) -> set[str]:
        """Those of some appends that the table has seen."""
        try:
            table = DeltaTable(self.uri(dataset.name))
        except TableNotFoundError:
            return set()
        return {transaction for transaction in transactions if table.transaction_version(transaction) is not None}

    def scan(self, dataset: Dataset, months: Iterable[str] | None = None) -> pl.LazyFrame:
        """Rows of a dataset, of some months only where they are given. Columns as in `lake_schema`.

        Raises:
            LakeError: The lake cannot be read.
        """
        try:
            table = DeltaTable(self.uri(dataset.name))
        except TableNotFoundError:
            return pl.LazyFrame(schema=lake_schema(dataset))
        except (OSError, DeltaError) as error:
            raise LakeError(
                f"the lake cannot be read: {str(error).splitlines()[0]}",
                where=self.uri(dataset.name),
                remedy="mend the permissions, or restore the folder, then run again",
            ) from error
        frame = pl.scan_delta(table)
        if months is not None:
            frame = frame.filter(pl.col(MONTH).is_in(sorted(set(months))))
        missing = {c: t for c, t in lake_schema(dataset).items() if c not in frame.collect_schema()}
        return frame.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())


class Overlay(Lake):
    """A lake of its own laid over another one, which is only read."""

    def __init__(self, below: Lake, root: Path | str) -> None:
        super().__init__(root)
        self._below = below

    def scan(self, dataset: Dataset, months: Iterable[str] | None = None) -> pl.LazyFrame:
        """Rows of both."""
        wanted = None if months is None else list(months)
        return pl.concat([self._below.scan(dataset, wanted), super().scan(dataset, wanted)], how="diagonal")


def months_between(first: date, last: date) -> list[str]:
    """Partitions from one day to another, as `2026-03`."""
    count = (last.year - first.year) * 12 + last.month - first.month
    return [
        f"{first.year + (first.month - 1 + i) // 12:04d}-{(first.month - 1 + i) % 12 + 1:02d}" for i in range(count + 1)
    ]


def _digest(rows: Path) -> int:
    """A number that differs if the rows do; their order in the file does not matter.

    Rows are told apart by the technical columns, which hold the hashes of all the others.
    """
    total = pl.scan_parquet(rows).select(pl.struct(cs.starts_with("_")).hash().sum().reinterpret(signed=True))
    return int(total.collect(engine="streaming").item())


def _files_of(table: DeltaTable, transaction: str) -> list[RemoveAction]:
    """The removal of the files that an append has committed."""
    paths = pl.DataFrame(table.get_add_actions())["path"]
    now = int(time.time() * 1000)
    return [
        RemoveAction(path, data_change=True, deletion_timestamp=now)
        for path in paths
        if path.rpartition("/")[2].startswith(f"{transaction}.")
    ]


def _added(files: fsspec.AbstractFileSystem, folder: str, name: str) -> AddAction:
    path = f"{folder}/{name}"
    with files.open(path, "rb") as file:
        rows = pq.read_metadata(file).num_rows
    return AddAction(
        path=name,
        size=int(files.size(path)),
        partition_values={MONTH: name.partition("/")[0].removeprefix(f"{MONTH}=")},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps({"numRecords": rows}),
    )
