"""dbt's sources, model contracts and tests, from the declarations."""

from collections.abc import Iterable
from typing import Any

import yaml

from lsdata.catalog import DATASETS, Column, Dataset, Engine, Type

_SQL: dict[Type, str] = {
    "string": "string",
    "int32": "int",
    "int64": "bigint",
    "float64": "double",
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "list<string>": "array<string>",
}
"""Names that DuckDB and Spark share."""

NOTICE = "# Rendered from lsdata.catalog by `lsdata render`; do not edit.\n"


def sql_type(type: Type) -> str:
    """The SQL name of a declared type, in DuckDB and Spark."""
    return _SQL[type]


def source_name(dataset: Dataset) -> str:
    """Name of the dbt source that holds a dataset: layer and domain."""
    return f"{dataset.layer}_{dataset.domain}"


def models() -> list[Dataset]:
    """Datasets that dbt makes."""
    return [d for d in DATASETS.values() if d.engine is Engine.DBT]


def sources_yaml() -> str:
    """Every dataset that a model reads, as a dbt source."""
    read = [DATASETS[k] for k in dict.fromkeys(u.key for m in models() for u in m.upstream)]
    sources: dict[str, list[Dataset]] = {}
    for dataset in read:
        sources.setdefault(source_name(dataset), []).append(dataset)
    told = [
        {
            "name": name,
            "schema": name,
            "tables": [{"name": d.name, "description": d.doc, "columns": list(_columns(d))} for d in datasets],
        }
        for name, datasets in sources.items()
    ]
    return _yaml({"version": 2, "sources": told})


def models_yaml() -> str:
    """Contracts and tests of every model."""
    return _yaml({"version": 2, "models": [_model(d) for d in models()]})


def _model(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "description": f"{dataset.doc} Grain: {dataset.grain}.",
        "config": {"contract": {"enforced": True}, "meta": {"key": dataset.key}},
        "columns": [
            {**told, **({"data_tests": tests} if (tests := _tests(column)) else {})}
            for told, column in zip(_columns(dataset), dataset.columns, strict=True)
        ],
        "data_tests": [
            {"unique_key": {"arguments": {"columns": list(dataset.primary_key)}}},
            *({"rule": {"name": e.name, "arguments": {"holds": e.rule}}} for e in dataset.expectations if e.blocking),
        ],
    }


def _columns(dataset: Dataset) -> Iterable[dict[str, Any]]:
    for c in dataset.columns:
        unit = f" [{c.unit}]" if c.unit else ""
        yield {"name": c.name, "data_type": sql_type(c.type), "description": f"{c.doc}{unit}"}


def _tests(column: Column) -> list[Any]:
    tests: list[Any] = [] if column.nullable else ["not_null"]
    if column.codelist:
        tests.append({"accepted_values": {"arguments": {"values": list(column.codelist)}}})
    return tests


def _yaml(told: dict[str, Any]) -> str:
    return NOTICE + yaml.safe_dump(told, sort_keys=False, width=120, allow_unicode=True)
