"""Pharmacovigilance: each asset binds one function or dbt model to one declared dataset."""

import polars as pl

from assets.binding import table
from lsdata.catalog import pharmacovigilance as catalog
from lsdata.lake.work import Outcome, Work
from lsdata.pharmacovigilance import deliveries as intake
from lsdata.pharmacovigilance import faers, reports, vocabulary
from lsdata.pharmacovigilance import icsr as messages

Frame = pl.LazyFrame


@table(catalog.DELIVERIES)
def deliveries(work: Work) -> Outcome:
    return intake.deliveries(work)


@table(catalog.FAERS_DEMO)
def faers_demo(work: Work, deliveries: Frame) -> Outcome:
    return faers.table(work, deliveries, catalog.FAERS_DEMO)


@table(catalog.FAERS_DRUG)
def faers_drug(work: Work, deliveries: Frame) -> Outcome:
    return faers.table(work, deliveries, catalog.FAERS_DRUG)


@table(catalog.FAERS_REAC)
def faers_reac(work: Work, deliveries: Frame) -> Outcome:
    return faers.table(work, deliveries, catalog.FAERS_REAC)


@table(catalog.FAERS_OUTC)
def faers_outc(work: Work, deliveries: Frame) -> Outcome:
    return faers.table(work, deliveries, catalog.FAERS_OUTC)


@table(catalog.FAERS_RPSR)
def faers_rpsr(work: Work, deliveries: Frame) -> Outcome:
    return faers.table(work, deliveries, catalog.FAERS_RPSR)


@table(catalog.FAERS_THER)
def faers_ther(work: Work, deliveries: Frame) -> Outcome:
    return faers.table(work, deliveries, catalog.FAERS_THER)


@table(catalog.FAERS_INDI)
def faers_indi(work: Work, deliveries: Frame) -> Outcome:
    return faers.table(work, deliveries, catalog.FAERS_INDI)


@table(catalog.FAERS_FILES)
def faers_files(work: Work, **tables: Frame) -> Outcome:
    return faers.files(work, **tables)


@table(catalog.FAERS_DELETED)
def faers_deleted(work: Work, deliveries: Frame) -> Outcome:
    return faers.deleted(work, deliveries)


@table(catalog.ICSR)
def icsr(work: Work, deliveries: Frame) -> Outcome:
    return messages.elements(work, catalog.ICSR)


@table(catalog.ICSR_NARRATIVES)
def icsr_narratives(work: Work, deliveries: Frame) -> Outcome:
    return messages.elements(work, catalog.ICSR_NARRATIVES)


@table(catalog.REPORT_LINES)
def report_lines(work: Work, deliveries: Frame) -> Outcome:
    return reports.report_lines(work, deliveries)


@table(catalog.RXNORM)
def rxnorm(work: Work) -> Outcome:
    return vocabulary.rxnorm(work)


@table(catalog.MEDDRA)
def meddra(work: Work) -> Outcome:
    return vocabulary.meddra(work)


@table(catalog.MEDDRA_SMQ)
def meddra_smq(work: Work) -> Outcome:
    return vocabulary.meddra_smq(work)
