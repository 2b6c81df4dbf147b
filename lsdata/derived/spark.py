"""Spark schema of a dataset, as the JSON that `StructType.fromJson` reads: no Spark is needed to write it."""

from typing import Any

from lsdata.catalog import Dataset, Type

_SPARK: dict[Type, Any] = {
    "string": "string",
    "int32": "integer",
    "int64": "long",
    "float64": "double",
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "list<string>": {"type": "array", "elementType": "string", "containsNull": True},
}


def spark_schema(dataset: Dataset) -> dict[str, Any]:
    """A struct of the declared columns; the meaning as `comment`, as Delta stores it."""
    return {
        "type": "struct",
        "fields": [
            {"name": c.name, "type": _SPARK[c.type], "nullable": c.nullable, "metadata": {"comment": c.doc}}
            for c in dataset.columns
        ],
    }
