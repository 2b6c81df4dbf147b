"""Typed tables with PHI, and their de-identified twins, as work of the graph."""

from datetime import date, datetime

import polars as pl

from lsdata.catalog import Dataset
from lsdata.catalog.twin import Method, Treatment, Twin
from lsdata.deid import structured
from lsdata.deid.risk import Report, risk
from lsdata.derived.expectations import CheckResult
from lsdata.lake.work import Markdown, Outcome, Work

RISK = "reidentification_risk"


def typed(work: Work, dataset: Dataset, source: pl.LazyFrame) -> Outcome:
    """Rows of `silver_phi`: see `lsdata.deid.structured.typed`."""
    rows, faults = structured.typed(dataset, source.collect())
    for column, count in faults.group_by("column").len().sort("column").iter_rows():
        work.log(f"{dataset.key}: {count} values of {column} cannot be read as a date and are null")
    return Outcome(rows=rows, notes={"dates_not_read": float(faults.height)})


def twin(work: Work, dataset: Twin, source: pl.LazyFrame) -> Outcome:
    """Rows without identifiers, by the method and under the study of the settings.

    Raises:
        KeyDestroyed: the keys of the study were destroyed.
        ScrubFailed: free text could not be scrubbed; nothing is given out.
    """
    from lsdata.deid.scrub import Scrubber
    from lsdata.deid.vault import Vault

    settings, method = work.settings, Method(work.settings.deid_method)
    scrub = None
    if Treatment.SCRUB in dataset.treatments.values():
        scrub = Scrubber(ner=settings.deid_model).scrub
    rows = structured.deidentify(
        dataset,
        source.collect(),
        pseudonyms=Vault.of(work.lake).open(settings.deid_study, work.act),
        as_of=_delivered(work, dataset),
        method=method,
        scrub=scrub,
    )
    report = _risk(dataset, rows)
    return Outcome(rows=rows, notes={"risk": Markdown(report.markdown())} if report else {})


def _delivered(work: Work, dataset: Twin) -> date:
    """The day on which the source was published: no event in it is later, and a rerun finds the same day."""
    told = work.lake.state().publication(dataset.source.key, work.partition)
    return datetime.fromisoformat(told.at).date() if told else date.max


def risk_check(dataset: Twin, rows: pl.DataFrame) -> CheckResult:
    """Whether rows de-identified by the expert method keep the thresholds; those of Safe Harbor need not."""
    report = _risk(dataset, rows)
    if report:
        return report.check(dataset.key)
    return CheckResult(
        name=RISK,
        passed=True,
        blocking=True,
        failing=0,
        rows=rows.height,
        doc="Not asked for: Safe Harbor, 45 CFR 164.514(b)(2), measures no risk.",
        query=f"SELECT * FROM delta_scan('{dataset.key}')",
    )


def _risk(dataset: Twin, rows: pl.DataFrame) -> Report | None:
    expert = rows.filter(pl.col("deid_method") == str(Method.EXPERT))
    if expert.is_empty() or not dataset.quasi_identifiers:
        return None
    people = expert.unique(dataset.patient, maintain_order=True) if dataset.patient else expert
    return risk(people, dataset.quasi_identifiers, dataset.sensitive)
