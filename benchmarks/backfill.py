"""A backfill of 10,000 partitions in one run, through the whole binding, against an asset that does nothing."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks import measure

if TYPE_CHECKING:
    import dagster as dg

    from lsdata.lake.lake import Lake

PARTITIONS = 10_000
GOAL = 1.2


def _samples() -> list[str]:
    return [f"S{number:05d}" for number in range(int(os.environ.get("N", PARTITIONS)))]


def _prepare(lake: "Lake") -> None:
    """Made-up rows of everything that sample metrics are made from."""
    import polars as pl

    from lsdata.catalog import Dataset
    from lsdata.catalog.genomics import ALIGNMENTS, FASTQ_MANIFEST, GVCFS
    from lsdata.derived import arrow
    from lsdata.lake.lake import Act, Made

    act = Act(operator="benchmark", reason="benchmark")
    filled = {"string": "x", "int32": 1, "int64": 100, "float64": 1.0, "bool": True}
    samples = pl.DataFrame({"sample_id": _samples()})

    def publish(dataset: Dataset, partitions: list[str], **given: pl.Expr) -> None:
        rows = samples.with_columns(
            **{c.name: pl.lit(filled[c.type]) for c in dataset.columns if c.name != "sample_id"}
        )
        made = {p: Made() for p in partitions}
        lake.publish(dataset, arrow.typed(dataset, rows.with_columns(**given)), made, act, lambda *_: ())

    publish(FASTQ_MANIFEST, ["R1"], run_id=pl.lit("R1"), path="sample_id")
    publish(ALIGNMENTS, _samples())
    publish(GVCFS, _samples())


def _execute(asset: "dg.AssetsDefinition | None", home: Path) -> None:
    import dagster as dg

    if asset:
        repository = dg.Definitions(assets=[asset], executor=dg.in_process_executor).get_repository_def()
        key = asset.key
    else:
        import definitions

        repository = definitions.defs.get_repository_def()
        key = dg.AssetKey(["silver", "genomics", "sample_metrics"])
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("sample_id", _samples())
        samples = _samples()
        result = repository.get_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[key],
            tags={
                "dagster/asset_partition_range_start": samples[0],
                "dagster/asset_partition_range_end": samples[-1],
            },
            run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
        )
        if not result.success:
            raise RuntimeError
        print(len(instance.get_materialized_partitions(key)))
