"""What Dagster is told of a dataset: all of it follows from the declaration."""

from functools import cache

import dagster as dg

from lsdata.catalog import DATASETS, Column, Dataset, Engine, Partition, Phi, Store
from lsdata.catalog.twin import Twin
from lsdata.derived.expectations import checks
from lsdata.derived.lineage import column_sources

INPUT_ACCEPTED = "input_accepted"
"""Check of every dataset that reads the landing zone: nothing of the input is in quarantine."""
RISK = "reidentification_risk"
"""Check of every de-identified twin."""
DBT_TESTS = "dbt_tests"
"""Check of every dbt model: the tests rendered from the declaration pass in the scratch database."""


@cache
def partitions(name: str) -> dg.DynamicPartitionsDefinition:
    """The dynamic partitions definition of a name; sensors register its keys."""
    return dg.DynamicPartitionsDefinition(name=name)


def key(dataset: Dataset) -> dg.AssetKey:
    """layer/domain/dataset as an asset key."""
    return dg.AssetKey(dataset.key.split("/"))


def asset_spec(dataset: Dataset) -> dg.AssetSpec:
    """Deps, kinds, group, owner, tags, columns with tags, column lineage and partitions of a dataset."""
    kinds = {"deltalake", *dataset.kinds, *({str(dataset.engine)} if dataset.engine is not Engine.TOOL else ())}
    if dataset.engine is Engine.DBT:
        kinds.add("duckdb")
    return dg.AssetSpec(
        key=key(dataset),
        deps=[_dep(dataset, upstream.key) for upstream in dataset.upstream],
        description=f"{dataset.doc}\n\nGrain: {dataset.grain}. Key: {', '.join(dataset.primary_key)}.",
        group_name=dataset.domain,
        owners=[f"team:{dataset.owner}"],
        kinds=kinds if len(kinds) <= 3 else {"deltalake", *sorted(kinds - {"deltalake"})[:2]},
        tags={
            # Dagster serializes plain strings only.
            "layer": str(dataset.layer),
            "sensitivity": str(dataset.sensitivity),
            "gxp": str(dataset.gxp),
            "residency": str(dataset.residency),
            "retention_years": str(dataset.retention.years),
        },
        metadata={
            "dagster/column_schema": dg.TableSchema(columns=[_column(c) for c in dataset.columns]),
            "dagster/column_lineage": _lineage(dataset),
            "dagster/table_name": dataset.key,
            "retention": f"{dataset.retention.years} years: {dataset.retention.basis}",
            "files": ", ".join(f"{f.name} ({f.format})" for f in dataset.files) or "none",
        },
        partitions_def=_partitions(dataset.partition),
        skippable=True,
    )


def _partitions(partition: Partition | None) -> dg.DynamicPartitionsDefinition | None:
    return partitions(partition.name) if partition else None


def _dep(dataset: Dataset, upstream: str) -> dg.AssetDep:
    """An edge. Between different partitions definitions it only draws: sensors decide what is stale (see docs)."""
    source = DATASETS[upstream]
    if source.partition and dataset.partition != source.partition:
        return dg.AssetDep(key(source), partition_mapping=dg.AllPartitionMapping())
    return dg.AssetDep(key(source))


def _column(column: Column) -> dg.TableColumn:
    unit = f" [{column.unit}]" if column.unit else ""
    return dg.TableColumn(
        name=column.name,
        type=column.type,
        description=f"{column.doc}{unit}",
        constraints=dg.TableColumnConstraints(nullable=column.nullable),
        tags={"phi": str(column.phi)} if column.phi is not Phi.NONE else {},
    )


def _lineage(dataset: Dataset) -> dg.TableColumnLineage:
    """Declared sources, and columns that an upstream has under the same name."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for column, sources in column_sources(dataset).items():
        deps[column] = [
            dg.TableColumnDep(asset_key=key(DATASETS[source]), column_name=name) for source, name in sources
        ]
    return dg.TableColumnLineage(deps)


def check_specs(dataset: Dataset) -> list[dg.AssetCheckSpec]:
    """One check per rule of the declaration, and for landing data whether all of it was accepted."""
    found = [
        dg.AssetCheckSpec(name=c.name, asset=key(dataset), description=c.doc, blocking=c.blocking)
        for c in checks(dataset)
    ]
    if dataset.landing:
        found.append(
            dg.AssetCheckSpec(
                name=INPUT_ACCEPTED, asset=key(dataset), description="Nothing of the input is in quarantine."
            )
        )
    if isinstance(dataset, Twin):
        doc = "By the expert method, no class of look-alikes is smaller than the thresholds allow."
        found.append(dg.AssetCheckSpec(name=RISK, asset=key(dataset), description=doc, blocking=True))
    if dataset.engine is Engine.DBT:
        doc = "Not null, accepted values, unique key and blocking rules, as dbt tests."
        found.append(dg.AssetCheckSpec(name=DBT_TESTS, asset=key(dataset), description=doc, blocking=True))
    return found


def external_assets() -> list[dg.AssetSpec]:
    """Datasets that no asset of the graph computes: the file index and the ledger."""
    return [
        dg.AssetSpec(
            key=key(d),
            description=d.doc,
            group_name=d.domain,
            owners=[f"team:{d.owner}"],
            kinds={"deltalake"} if d.store is Store.DELTA else {"ledger"},
            metadata={"dagster/column_schema": dg.TableSchema(columns=[_column(c) for c in d.columns])},
        )
        for d in DATASETS.values()
        if d.domain == "core"
    ]
