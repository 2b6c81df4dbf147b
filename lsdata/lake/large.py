"""One large partition as one Parquet file, written by polars: half the CPU of delta-rs' writer, for the same commit."""

import json
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from lsdata.catalog import Dataset
from lsdata.derived import arrow

if TYPE_CHECKING:
    from deltalake import CommitProperties

ROWS = 500_000
"""From here on it pays."""

_PLAIN = re.compile(r"[A-Za-z0-9_.\-]+")
"""Partition keys that are the same in a path, in a URL and in a Delta log."""


def fits(dataset: Dataset, frame: pl.DataFrame, partitions: Sequence[str], root: Path) -> bool:
    """Whether these rows are one large partition with a plain key, of a table that has all declared columns."""
    if dataset.partition is None or len(partitions) != 1 or frame.height < ROWS or not _PLAIN.fullmatch(partitions[0]):
        return False
    return not _exists(root) or _columns(root) == set(dataset.names)


def _exists(root: Path) -> bool:
    return any((root / "_delta_log").glob("*.json"))


def _columns(root: Path) -> set[str]:
    from deltalake import DeltaTable

    return {field.name for field in DeltaTable(str(root)).schema().fields}


def write(
    root: Path,
    dataset: Dataset,
    frame: pl.DataFrame,
    partition: str,
    configuration: dict[str, str],
    properties: "CommitProperties",
) -> None:
    """Put the rows in place of those of a partition, in one commit; the table is made where there is none.

    A file whose commit failed belongs to no version; vacuum removes it, as it does delta-rs' own.

    Args:
        root: of the table, a local folder.
        configuration: of a new table.

    Raises:
        CommitFailedError: another writer was first.
    """
    from deltalake import DeltaTable
    from deltalake.schema import Schema
    from deltalake.transaction import AddAction, create_table_with_add_actions

    column = dataset.partition.column if dataset.partition else ""
    rows = frame.drop(column)
    path = root / f"{column}={partition}" / f"part-00000-{uuid.uuid4()}.zstd.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(path, compression="zstd", compression_level=1, statistics=True)
    told = path.stat()
    add = AddAction(
        path=path.relative_to(root).as_posix(),
        size=told.st_size,
        partition_values={column: partition},
        modification_time=told.st_mtime_ns // 1_000_000,
        data_change=True,
        stats=json.dumps(_statistics(rows)),
    )
    if not _exists(root):
        create_table_with_add_actions(
            str(root),
            Schema.from_arrow(arrow.arrow_schema(dataset)),
            [add],
            partition_by=[column],
            description=dataset.doc,
            configuration=configuration,
            commit_properties=properties,
        )
        return
    table = DeltaTable(str(root))
    table.create_write_transaction(
        [add],
        "overwrite",
        table.schema(),
        partition_by=[column],
        partition_filters=[(column, "=", partition)],
        commit_properties=properties,
    )


def _statistics(rows: pl.DataFrame) -> dict[str, Any]:
    """What readers skip files by (Delta protocol, Per-file Statistics): numbers only, nobody looks up text ranges."""
    numbers = [name for name, dtype in rows.schema.items() if dtype.is_integer()]
    least, most = rows.select(pl.col(numbers).min()), rows.select(pl.col(numbers).max())
    return {
        "numRecords": rows.height,
        "minValues": {k: v for k, v in least.row(0, named=True).items() if v is not None} if numbers else {},
        "maxValues": {k: v for k, v in most.row(0, named=True).items() if v is not None} if numbers else {},
        "nullCount": rows.null_count().row(0, named=True),
    }
