"""Run requests as Dagster wants them, and what the instance knows of earlier ones."""

import time
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


def ended(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Whether the newest run of a key has ended, successfully or not, before this was called.

    One that ends later may have published what a listing made in between does not show.
    """
    began = time.time()

    def newest_ended(run_key: str) -> bool:
        found = instance.get_run_records(filters=dg.RunsFilter(tags={RUN_KEY: run_key}), limit=1)
        return bool(found) and found[0].dagster_run.is_finished and (found[0].end_time or began) < began

    return newest_ended
