"""Run requests as Dagster wants them, and what the instance knows of earlier ones."""

from collections.abc import Callable, Sequence

import dagster as dg

from assets.specs import key
from lsdata.catalog import DATASETS
from sensors.plan import Request

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
RUN_KEY = "dagster/run_key"


def tags(request: Request) -> dict[str, str]:
    """Run tags: a range of partitions is named by its ends."""
    if len(request.partitions) > 1:
        return {RANGE_START: request.partitions[0], RANGE_END: request.partitions[-1]}
    return {}


def selection(request: Request) -> list[dg.AssetKey]:
    """Asset keys of a request."""
    return [key(DATASETS[k]) for k in request.assets]


def run_request(request: Request) -> dg.RunRequest:
    """The request for the daemon."""
    single = request.partitions[0] if request.definition and len(request.partitions) == 1 else None
    return dg.RunRequest(
        run_key=request.run_key, partition_key=single, asset_selection=selection(request), tags=tags(request)
    )


def order(instance: dg.DagsterInstance) -> Callable[[str], Sequence[str]]:
    """Registered keys of a partitions definition."""
    return lambda name: list(instance.get_dynamic_partitions(name))


def statuses(instance: dg.DagsterInstance, run_key: str) -> list[dg.DagsterRunStatus]:
    """How the runs of this key have ended so far, newest first."""
    found = instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY: run_key}), limit=5)
    return [run.status for run in found]


def failed(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Whether the newest run of a key has failed or was cancelled."""

    def newest_failed(run_key: str) -> bool:
        found = statuses(instance, run_key)
        return bool(found) and found[0] in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

    return newest_failed
