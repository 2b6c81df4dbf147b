"""What arrives is noticed: one sensor per partitions definition, and one for what is not partitioned.

Each reads listings and lake state only, registers partition keys, and requests what is out of date.
"""

from collections.abc import Callable

import dagster as dg

from assets.specs import key, partitions
from lsdata.catalog import DATASETS
from resources.lake import LakeResource
from sensors import plan, runs, schedules

_SECONDS = 30


def defs() -> dg.Definitions:
    """All sensors, jobs and schedules."""
    domains = sorted({d.domain for d in DATASETS.values()} - {"core"})
    sensors = [_sensor(domain, name) for domain in domains for name in (None, *plan.definitions([domain]))]
    return dg.Definitions(sensors=sensors, jobs=schedules.jobs(), schedules=schedules.schedules())


def _sensor(domain: str, name: str | None) -> dg.SensorDefinition:
    targets = [
        key(d) for d in DATASETS.values() if d.domain == domain and (d.partition.name if d.partition else None) == name
    ]

    @dg.sensor(
        name=f"{domain}_{name or 'landing'}",
        description=_DOC[name is None].format(name=name),
        target=dg.AssetSelection.assets(*targets),
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
        return evaluate(context, lake, domain, name)

    return sensor


_DOC = {
    True: "Notices what lands that is not partitioned: run folders, cohorts, subjects.",
    False: "Registers keys of `{name}` and requests the partitions that are out of date.",
}


def evaluate(
    context: dg.SensorEvaluationContext, lake: LakeResource, domain: str, name: str | None
) -> dg.SensorResult | dg.SkipReason:
    """One tick. The cursor is what was last asked for; it only tells people, the lake's state decides."""
    opened = lake.open()
    added: list[str] = []
    order: Callable[[str], list[str]] = lambda n: list(runs.order(context.instance)(n))  # noqa: E731 - shared below
    if name is not None:
        existing = plan.Inputs(opened).partitions(plan.definitions()[name])
        registered = set(order(name))
        added = [p for p in existing if p not in registered]
    known = {name: [*order(name), *added]} if name else {}
    requests = plan.plan(opened, lambda n: known.get(n) or order(n), runs.ended(context.instance), domains=[domain])
    mine = [runs.run_request(r) for r in requests if r.definition == name]
    if not mine and not added:
        return dg.SkipReason("Everything that has landed is published.")
    return dg.SensorResult(
        run_requests=mine,
        cursor=mine[-1].run_key if mine else context.cursor,
        dynamic_partitions_requests=[partitions(name).build_add_request(added)] if name and added else None,
    )
