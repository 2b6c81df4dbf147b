"""Arrow (and so Delta) and polars schemas of a dataset, and the refusal of frames that differ."""

from typing import TYPE_CHECKING

import polars as pl

from lsdata.catalog import Dataset, Type
from lsdata.errors import SchemaMismatch

if TYPE_CHECKING:
    import pyarrow as pa

POLARS: dict[Type, pl.DataType] = {
    "string": pl.String(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "list<string>": pl.List(pl.String()),
}


def polars_schema(dataset: Dataset) -> pl.Schema:
    """Column names and polars types, in declared order."""
    return pl.Schema({c.name: POLARS[c.type] for c in dataset.columns})


def arrow_schema(dataset: Dataset, *, comments: bool = True) -> "pa.Schema":
    """Column names, Arrow types, nullability; the meaning as field metadata `comment`, as Delta stores it."""
    import pyarrow as pa

    arrow: dict[Type, pa.DataType] = {
        "string": pa.string(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
        "list<string>": pa.list_(pa.string()),
    }
    return pa.schema(
        [
            pa.field(c.name, arrow[c.type], nullable=c.nullable, metadata={"comment": c.doc} if comments else None)
            for c in dataset.columns
        ]
    )


def empty(dataset: Dataset) -> pl.DataFrame:
    """A frame of the declared columns without rows."""
    return pl.DataFrame(schema=polars_schema(dataset))


_ROWS_AT_ONCE = 1 << 16


def reader(frame: pl.DataFrame, schema: "pa.Schema") -> "pa.RecordBatchReader":
    """The rows of a frame as Arrow batches, converted as they are taken: there is no second copy of all of them."""
    import pyarrow as pa

    tables = (piece.to_arrow(compat_level=pl.CompatLevel.oldest()) for piece in frame.iter_slices(_ROWS_AT_ONCE))
    return pa.RecordBatchReader.from_batches(schema, (b for t in tables for b in t.cast(schema).to_batches()))


def typed(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The declared columns of a frame, cast to their declared types."""
    return frame.select(dataset.names).cast(polars_schema(dataset))


def schema_faults(dataset: Dataset, found: pl.Schema) -> list[str]:
    """Declared columns that are missing or of another type."""
    declared = polars_schema(dataset)
    faults = [f"{name} is missing" for name in declared if name not in found]
    return faults + [
        f"{name} is {found[name]}; declared {dtype}"
        for name, dtype in declared.items()
        if name in found and found[name] != dtype
    ]


def conform(dataset: Dataset, frame: pl.DataFrame, within: tuple[str, list[str]] | None = None) -> pl.DataFrame:
    """The frame, columns in declared order, if it is the declared one; types are never cast.

    Args:
        within: a column and the only values it may have: the partitions being made.

    Raises:
        SchemaMismatch: it is not; every discrepancy is listed.
    """
    found = frame.schema
    faults = schema_faults(dataset, found)
    faults += [f"{name} is not declared" for name in found if name not in dataset.names]
    required = [c.name for c in dataset.columns if not c.nullable and c.name in found]
    nulls = frame.select(pl.col(required).null_count()).row(0) if required else ()
    faults += [f"{name} has {n} nulls; declared not null" for name, n in zip(required, nulls, strict=True) if n]
    if within and found.get(within[0]) == pl.String:
        strangers = frame.select(pl.col(within[0]).unique().drop_nulls()).filter(~pl.col(within[0]).is_in(within[1]))
        faults += [f"rows of {strangers.height} partitions that are not being made"] if strangers.height else []
    if faults:
        raise SchemaMismatch(
            dataset.key,
            found="; ".join(faults),
            allowed=f"the {len(dataset.columns)} columns declared in lsdata.catalog",
            do="Cast in the function that makes the rows, or change the declaration.",
        )
    return frame.select(dataset.names)
