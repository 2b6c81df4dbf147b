"""A backfill of 10,000 partitions in one run, through the whole binding, against an asset that does nothing.

Both are executed in this process as `dagster asset materialize --partition-range` does it, on an instance of SQLite
files. The asset of ours reads three tables, checks, publishes in one commit and records every partition.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import polars as pl

from benchmarks import measure
from lsdata.catalog import Dataset
from lsdata.catalog.genomics import ALIGNMENTS, BY_SAMPLE, FASTQ_MANIFEST, GVCFS, SAMPLE_METRICS
from lsdata.dagster_home import ensure
from lsdata.derived import arrow
from lsdata.lake.lake import Act, Lake, Made
from lsdata.settings import Settings

PARTITIONS = int(os.environ.get("LSDATA_BENCHMARK_PARTITIONS") or 10_000)
SAMPLES = [f"S{number:05d}" for number in range(PARTITIONS)]
GOAL = 1.2

_MADE_UP = {"string": "x", "int32": 1, "int64": 100, "float64": 1.0, "bool": True}


def run() -> list[measure.Result]:
    """CPU-seconds of a whole process: imports, planning, run. Peer: an asset with the body `pass`, single run."""
    # Every event is a durable commit of SQLite: on a disk, most of the time is waiting for it, on both sides.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory) as folder:
        home = Path(folder) / "home"
        _prepare(Lake(Settings.read({"LSDATA_HOME": str(home)})))
        ours, peer = (measure.python(__name__, which) for which in ("ours", "peer"))
        # Two instances, and one home for the lake.
        env = {"LSDATA_HOME": str(home), "DAGSTER_HOME": "", "TMPDIR": folder}
        return [measure.compare(f"backfill of {PARTITIONS:,} partitions", ours, peer, GOAL, rounds=1, env=env)]


def _prepare(lake: Lake) -> None:
    """Made-up rows of what sample metrics are made from."""
    act = Act(operator="benchmark", reason="benchmark")
    samples = pl.DataFrame({"sample_id": SAMPLES})

    def publish(dataset: Dataset, partitions: list[str], **given: pl.Expr) -> None:
        made_up = {c.name: pl.lit(_MADE_UP[c.type]) for c in dataset.columns if c.name != "sample_id"}
        rows = arrow.typed(dataset, samples.with_columns(**made_up | given))
        lake.publish(dataset, rows, {p: Made() for p in partitions}, act, lambda *_: ())

    publish(FASTQ_MANIFEST, ["R1"], run_id=pl.lit("R1"), path=pl.col("sample_id"))
    publish(ALIGNMENTS, SAMPLES)
    publish(GVCFS, SAMPLES)


@dg.asset(
    partitions_def=dg.DynamicPartitionsDefinition(name=BY_SAMPLE.name),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def nothing() -> None:
    """The peer."""
    pass


def _ours() -> tuple[dg.Definitions, dg.AssetKey]:
    import definitions

    return definitions.defs, dg.AssetKey(SAMPLE_METRICS.key.split("/"))


def main(which: str) -> None:
    """Materialize all partitions; says how many the instance then knows of."""
    peer = dg.Definitions(assets=[nothing], executor=dg.in_process_executor), nothing.key
    definitions, key = _ours() if which == "ours" else peer
    with TemporaryDirectory() as folder:
        os.environ["DAGSTER_HOME"] = folder
        ensure(Path(folder))
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions(BY_SAMPLE.name, SAMPLES)
            job = definitions.get_repository_def().get_implicit_global_asset_job_def()
            job.execute_in_process(
                instance=instance,
                asset_selection=[key],
                tags={
                    "dagster/asset_partition_range_start": SAMPLES[0],
                    "dagster/asset_partition_range_end": SAMPLES[-1],
                },
                run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
            )
            print(len(instance.get_materialized_partitions(key)))


if __name__ == "__main__":
    main(sys.argv[1])
