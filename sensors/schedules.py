"""Jobs and schedules: the whole graph by hand, and upkeep at night."""

from typing import Any

import dagster as dg

from assets.binding import OPERATOR_TAG, REASON_TAG
from assets.specs import key
from lsdata.catalog import DATASETS
from resources.lake import LakeResource

_NIGHTLY = "15 2 * * *"


def jobs() -> list[Any]:
    """One job per domain and partitions definition, for backfills by hand, and the nightly upkeep."""
    groups: dict[tuple[str, str | None], list[dg.AssetKey]] = {}
    for d in DATASETS.values():
        if d.domain != "core":
            groups.setdefault((d.domain, d.partition.name if d.partition else None), []).append(key(d))
    made = [
        dg.define_asset_job(
            f"{domain}_by_{name}" if name else f"{domain}_landing",
            selection=dg.AssetSelection.assets(*keys),
            description=f"All {domain} datasets " + (f"partitioned by {name}." if name else "without partitions."),
        )
        for (domain, name), keys in groups.items()
    ]
    return [*made, upkeep]


def schedules() -> list[dg.ScheduleDefinition]:
    """Upkeep every night (UTC)."""
    return [
        dg.ScheduleDefinition(
            job=upkeep,
            cron_schedule=_NIGHTLY,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            tags={OPERATOR_TAG: "schedule", REASON_TAG: "nightly upkeep"},
        )
    ]


@dg.op
def compact_tables(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Merge small files of every table; rows and their content hashes stay as they are."""
    from lsdata.lake.lake import Act

    opened = lake.open()
    act = Act(operator="schedule", reason="nightly upkeep", run_id=context.run_id)
    for key_ in DATASETS:
        version = opened.compact(key_, act)
        if version is not None:
            context.log.info(f"{key_}: compacted, version {version}")


@dg.op(ins={"after": dg.In(dg.Nothing)})
def verify_ledger(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Fail loudly when the audit ledger does not verify."""
    result = lake.open().ledger.verify()
    if not result.ok:
        raise dg.Failure("; ".join(f"{p.where}: {p.found}" for p in result.problems), allow_retries=False)
    context.log.info(f"{result.size} entries verify")


@dg.job(description="Merge small files and verify the ledger.")
def upkeep() -> None:
    verify_ledger(after=compact_tables())
