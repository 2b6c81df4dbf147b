"""Binds a function to a declared dataset: what it needs is read, what it makes is checked, published and reported.

A function is one of two kinds. A frame function takes upstream frames by name and returns the rows of all partitions
of the run at once. A work function takes `work` first, runs for one partition, and returns an `Outcome`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import dagster as dg

from assets.specs import DBT_TESTS, INPUT_ACCEPTED, asset_spec, check_specs, key
from lsdata.catalog import Dataset
from lsdata.catalog.twin import Twin
from resources.lake import LakeResource
from resources.tools import ToolsResource

if TYPE_CHECKING:
    import polars as pl

    from lsdata.derived.expectations import CheckResult
    from lsdata.lake.inputs import Inputs, Resolved
    from lsdata.lake.lake import Act, Lake, Published
    from lsdata.lake.work import Outcome

OPERATOR_TAG, REASON_TAG = "lsdata/operator", "lsdata/reason"
"""Run tags: who is accountable for a run and why it is made."""

_RETRIES, _RETRY_SECONDS = 2, 10
"""A tool that was killed or lost its disk is tried again after 10 s, then 20 s; other failures would come again."""

_MOST_DRAWN = 20
"""Partitions of one run up to which each gets its own row count and plots; beyond, the run says their sum."""

Report = Callable[["Lake", "pl.DataFrame", str], Mapping[str, Any]]
"""Metadata to show beside a partition, e.g. a plot, from its rows."""


def table(dataset: Dataset, report: Report | None = None) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """The asset of a dataset, computed by the decorated function."""

    def bind(function: Callable[..., Any]) -> dg.AssetsDefinition:
        works = "work" in inspect.signature(function).parameters
        return _asset(dataset, function, "works" if works else "frames", report)

    return bind


def model(dataset: Dataset, report: Report | None = None) -> dg.AssetsDefinition:
    """The asset of a dataset that the dbt model of its name makes."""
    return _asset(dataset, lambda: None, "model", report)


def _asset(
    dataset: Dataset, function: Callable[..., Any], way: Literal["frames", "works", "model"], report: Report | None
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=dataset.key.replace("/", "__"),
        specs=[asset_spec(dataset)],
        check_specs=check_specs(dataset),
        pool=dataset.pool,
        # A range of partitions is one run; light data is one commit too, heavy partitions are published one by one.
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def asset(context: dg.AssetExecutionContext, lake: LakeResource, tools: ToolsResource):
        yield from getattr(_Run(dataset, function, context, lake.open(), tools, report), way)()

    return asset


@dataclass(frozen=True)
class _Run:
    dataset: Dataset
    function: Callable[..., Any]
    context: dg.AssetExecutionContext
    lake: "Lake"
    tools: ToolsResource
    report: Report | None

    @property
    def partitions(self) -> list[str]:
        return list(self.context.partition_keys) if self.dataset.partition else [""]

    @property
    def act(self) -> "Act":
        from lsdata.lake.lake import Act

        settings, tags = self.lake.settings, self.context.run.tags
        return Act(
            operator=tags.get(OPERATOR_TAG, settings.operator),
            reason=tags.get(REASON_TAG, settings.reason),
            run_id=self.context.run.run_id,
        )

    def _inputs(self) -> "Inputs":
        from lsdata.lake.inputs import Inputs

        return Inputs(self.lake)

    # -- frames --------------------------------------------------------------------------------------------------

    def frames(self) -> Iterator[Any]:
        """All partitions of the run in one call and one commit."""
        import polars as pl

        from lsdata.derived.expectations import validate

        inputs = self._inputs()
        frames = inputs.load(self.dataset, self.partitions)
        resolved = {p: self._resolved(inputs, p) for p in self.partitions}
        made = self.function(**frames)
        rows: pl.DataFrame = made.collect() if isinstance(made, pl.LazyFrame) else made
        yield from self._publish(rows, resolved, validate)

    def model(self) -> Iterator[Any]:
        """All partitions of the run through dbt in one build and one commit; failing dbt tests block."""
        from lsdata.derived.expectations import CheckResult, validate
        from resources import dbt

        inputs = self._inputs()
        resolved = {p: self._resolved(inputs, p) for p in self.partitions}
        built = dbt.build(self.lake, self.dataset, self.partitions, self.context.log.info, versions=inputs.versions)
        failing = {name: n for name, n in built.tests.items() if n}
        tests = CheckResult(
            name=DBT_TESTS,
            passed=not failing,
            blocking=True,
            failing=sum(failing.values()),
            rows=built.rows.height,
            doc=", ".join(failing) or f"{len(built.tests)} dbt tests",
            query=f"dbt test --select {self.dataset.name}",
        )
        yield from self._publish(built.rows, resolved, lambda d, frame: (*validate(d, frame), tests))

    def _publish(self, rows: "pl.DataFrame", resolved: "Mapping[str, Resolved]", validate: Any) -> Iterator[Any]:
        from lsdata.lake.lake import Made

        made = {p: Made(inputs=r.inputs, fingerprint=r.fingerprint) for p, r in resolved.items()}
        published = self.lake.publish(self.dataset, rows, made, self.act, validate)
        drawn = resolved if len(resolved) <= _MOST_DRAWN else ()
        yield from self._report(published, {p: self._drawn(rows, p) for p in drawn})

    def _drawn(self, rows: "pl.DataFrame", partition: str) -> dict[str, Any]:
        """What the dataset's report shows of one partition."""
        if self.report is None:
            return {}
        column = self.dataset.partition.column if self.dataset.partition else None
        return dict(self.report(self.lake, rows.filter(**{column: partition}) if column else rows, partition))

    # -- works ---------------------------------------------------------------------------------------------------

    def works(self) -> Iterator[Any]:
        """Partition by partition, each published as soon as it is made."""
        inputs = self._inputs()
        done: list[tuple[str, Published | None, dict[str, Any]]] = []
        partitions = self.partitions
        for number, partition in enumerate(partitions, 1):
            if len(partitions) > 1:
                self.context.log.info(f"{partition}: {number} of {len(partitions)}")
            done.append((partition, *self._work(inputs, partition)))
        yield from self._report(_together([p for _, p, _ in done if p]), {p: m for p, _, m in done})

    def _work(self, inputs: "Inputs", partition: str) -> "tuple[Published | None, dict[str, Any]]":
        from lsdata.errors import InvalidInput, JobFailed
        from lsdata.lake.lake import Made
        from lsdata.lake.landing import LandingZone
        from lsdata.lake.quarantine import Reject, originals
        from lsdata.lake.work import Work

        dataset, resolved = self.dataset, self._resolved(inputs, partition)
        landing = LandingZone(inputs.landing.place)
        with self.lake.staging(dataset.key) as staging, closing(landing):
            work = Work(
                partition=partition,
                lake=self.lake,
                staging=staging,
                landing=landing,
                landed=resolved.landed,
                runner=self.tools.runner(self.lake.settings),
                act=self.act,
                log=self.context.log.info,
            )
            try:
                outcome: Outcome = self.function(work=work, **inputs.load(dataset, [partition]))
            except InvalidInput as error:
                kept = originals(error, work.landing.local, (f.path for f in resolved.landed))
                self._quarantine(partition, [Reject.of(error, partition or dataset.name, kept)])
                return None, {"refused": str(error)}
            except JobFailed as error:
                if error.passing:
                    wait = _RETRY_SECONDS * 2**self.context.retry_number
                    raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=wait) from error
                raise dg.Failure(str(error), allow_retries=False) from error
            self._quarantine(partition, outcome.rejects)
            landed = _landing_input(outcome.landed)
            published = self.lake.publish(
                dataset,
                outcome.rows,
                {
                    partition: Made(
                        inputs=(*resolved.inputs, *landed), fingerprint=resolved.fingerprint, files=outcome.files
                    )
                },
                self.act,
                self._validate,
                staging,
            )
            shown: dict[str, Any] = dict(outcome.notes)
            if published.version is not None:
                shown |= self._drawn(outcome.rows, partition) | self._links(outcome.files, partition)
            return published, shown

    def _validate(self, dataset: Dataset, rows: "pl.DataFrame") -> "tuple[CheckResult, ...]":
        """The declared checks, and of a de-identified twin the risk that is left."""
        from lsdata.derived.expectations import validate

        if not isinstance(dataset, Twin):
            return validate(dataset, rows)
        from lsdata.deid.tables import risk_check

        return (*validate(dataset, rows), risk_check(dataset, rows))

    def _links(self, files: Sequence[str], partition: str) -> dict[str, Any]:
        """Reports open on the auditor's site: browsers refuse links to files."""
        folder = f"{self.dataset.key}/{partition}" if partition else self.dataset.key
        site = self.lake.settings.site_url
        pages = {
            PurePath(name).stem: dg.MetadataValue.url(f"{site}/files/{quote(f'{folder}/{name}')}")
            for name in files
            if name.endswith(".html") and "/" not in name
        }
        return {"folder": f"files/{folder}", **pages} if files else {}

    def _resolved(self, inputs: "Inputs", partition: str) -> "Resolved":
        from lsdata.errors import MissingData

        resolved = inputs.resolve(self.dataset, partition)
        if resolved.missing:
            error = MissingData(
                f"{self.dataset.key} [{partition}]",
                found=f"nothing published of {', '.join(resolved.missing)}",
                allowed="inputs that have been materialized",
                do="Materialize them first.",
            )
            raise dg.Failure(str(error), allow_retries=False)
        return resolved

    def _quarantine(self, partition: str, rejects: Sequence[Any]) -> None:
        if self.dataset.landing:
            self.lake.quarantine.replace(self.dataset.domain, self.dataset.name, partition, rejects)
            for reject in rejects:
                self.context.log.warning(
                    f"quarantined {reject.name}: {reject.code}. {reject.found.rstrip('.')}. {reject.do}"
                )

    # -- what Dagster is told ------------------------------------------------------------------------------------

    def _report(self, published: "Published | None", shown: Mapping[str, dict[str, Any]]) -> Iterator[Any]:
        asset_key = key(self.dataset)
        checks = list(self._checks(published))
        if published is None:
            yield from checks
            return
        refused, rows = published.refused, published.rows
        metadata: dict[str, Any] = {
            "version": published.version if published.version is not None else "none",
            "partitions": len(rows),
        }
        by_partition = {
            p: {"dagster/row_count": n, **{k: _shown(v) for k, v in shown.get(p, {}).items()}} for p, n in rows.items()
        }
        if not refused and set(rows) == set(self.partitions):
            # Dagster lists the partitions of the run again for each that is told something of its own.
            if len(rows) <= _MOST_DRAWN:
                for partition, told in by_partition.items():
                    self.context.add_asset_metadata(told, asset_key=asset_key, partition_key=partition or None)
            else:
                metadata["rows"] = sum(rows.values())
            yield dg.MaterializeResult(asset_key=asset_key, metadata=metadata, check_results=checks)
            return
        for partition in rows:
            self.context.log_event(
                dg.AssetMaterialization(
                    asset_key,
                    partition=partition or None,
                    metadata={**metadata, **by_partition[partition]},
                )
            )
        yield from checks
        if refused:
            told = "; ".join(f"{p or self.dataset.key}: {', '.join(names)}" for p, names in refused.items())
            raise dg.Failure(
                f"Not published, blocking checks failed: {told}. The rows are kept at {published.staged}",
                allow_retries=False,
            )

    def _checks(self, published: "Published | None") -> Iterator[dg.AssetCheckResult]:
        results = {r.name: r for r in published.results} if published else {}
        for spec in check_specs(self.dataset):
            if spec.name == INPUT_ACCEPTED:
                yield self._input_accepted()
            elif spec.name in results:
                yield _check_result(spec, results[spec.name])
            else:
                yield dg.AssetCheckResult(
                    asset_key=spec.asset_key,
                    check_name=spec.name,
                    passed=False,
                    severity=dg.AssetCheckSeverity.WARN,
                    description="Not run: the input was refused and the last good version stays.",
                )

    def _input_accepted(self) -> dg.AssetCheckResult:
        place = f"{self.dataset.domain}/{self.dataset.name}/"
        wanted = {f"{place}{p or 'all'}" for p in self.partitions}
        found = [
            told for told in self.lake.quarantine.open(self.dataset.domain) if told["path"].rpartition("/")[0] in wanted
        ]
        lines = [f"- `{t['path']}`: **{t['code']}**. {t['found'].rstrip('.')}. {t['do']}" for t in found[:50]]
        return dg.AssetCheckResult(
            asset_key=key(self.dataset),
            check_name=INPUT_ACCEPTED,
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "quarantined": len(found),
                **({"reasons": dg.MetadataValue.md("\n".join(lines))} if found else {}),
            },
        )


def _shown(value: Any) -> Any:
    from lsdata.lake.work import Markdown

    return dg.MetadataValue.md(value) if isinstance(value, Markdown) else value


def _check_result(spec: dg.AssetCheckSpec, result: "CheckResult") -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=result.name,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.ERROR if result.blocking else dg.AssetCheckSeverity.WARN,
        metadata={
            "failing_rows": result.failing,
            "rows": result.rows,
            "query": dg.MetadataValue.md(f"```sql\n{result.query}\n```"),
        },
    )


def _landing_input(landed: Mapping[str, str]) -> "tuple[Any, ...]":
    from lsdata.lake.state import Input

    return (Input(key="landing", version=None, files=landed),) if landed else ()


def _together(published: "Sequence[Published]") -> "Published | None":
    """Several publishes as one: a check has failed when it has failed in any."""
    if not published:
        return None
    results: dict[str, CheckResult] = {}
    for result in (r for p in published for r in p.results):
        last = results.get(result.name)
        results[result.name] = (
            replace(
                result,
                passed=last.passed and result.passed,
                failing=last.failing + result.failing,
                rows=last.rows + result.rows,
            )
            if last
            else result
        )
    return replace(
        published[-1],
        version=max((p.version for p in published if p.version is not None), default=None),
        rows={k: n for p in published for k, n in p.rows.items()},
        refused={k: names for p in published for k, names in p.refused.items()},
        results=tuple(results.values()),
        staged=next((p.staged for p in published if p.staged), None),
    )
