"""Pharmacovigilance: each asset binds one function or dbt model to one declared dataset."""

import polars as pl

from assets.binding import model, table
from lsdata.catalog import pharmacovigilance as catalog
from lsdata.lake.work import Outcome, Work
from lsdata.pharmacovigilance import cases as versions
from lsdata.pharmacovigilance import deliveries as intake
from lsdata.pharmacovigilance import drugs, faers, reactions, reports, signals_table, vocabulary
from lsdata.pharmacovigilance import icsr as messages
from lsdata.pharmacovigilance import signal_report as pages

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


@table(catalog.DRUG_NAMES)
def drug_names(**inputs: Frame) -> pl.DataFrame:
    return drugs.drug_names(**inputs)


@table(catalog.CASE_DRUGS)
def case_drugs(**inputs: Frame) -> Frame:
    return drugs.case_drugs(**inputs)


@table(catalog.CASE_REACTIONS)
def case_reactions(**inputs: Frame) -> pl.DataFrame:
    return reactions.case_reactions(**inputs)


@table(catalog.CASE_INDICATIONS)
def case_indications(**inputs: Frame) -> Frame:
    return reactions.case_indications(**inputs)


@table(catalog.CASE_THERAPIES)
def case_therapies(**inputs: Frame) -> Frame:
    return versions.case_therapies(**inputs)


@table(catalog.CASES)
def cases(**inputs: Frame) -> pl.DataFrame:
    return versions.cases(**inputs)


report_pairs = model(catalog.REPORT_PAIRS)
pair_counts = model(catalog.PAIR_COUNTS)


@table(catalog.PRIOR_FITS)
def prior_fits(pair_counts: Frame) -> pl.DataFrame:
    return signals_table.prior_fits(pair_counts)


@table(catalog.SIGNALS)
def signals(pair_counts: Frame, prior_fits: Frame) -> pl.DataFrame:
    return signals_table.signals(pair_counts, prior_fits)


@table(catalog.ALERTS)
def alerts(signals: Frame, prior_fits: Frame) -> pl.DataFrame:
    return signals_table.alerts(signals, prior_fits)


@table(catalog.ALERT_CASES)
def alert_cases(**inputs: Frame) -> Frame:
    return signals_table.alert_cases(**inputs)


@table(catalog.MASKING)
def masking(report_pairs: Frame, cases: Frame) -> pl.DataFrame:
    return signals_table.masking(report_pairs, cases)


@table(catalog.TIME_TO_ONSET)
def time_to_onset(**inputs: Frame) -> pl.DataFrame:
    return signals_table.onsets(**inputs)


@table(catalog.ADJUSTED_ROR)
def adjusted_ror(**inputs: Frame) -> pl.DataFrame:
    return signals_table.adjusted_ror(**inputs)


@table(catalog.SIGNAL_REPORT)
def signal_report(work: Work, **inputs: Frame) -> Outcome:
    return pages.signal_report(work, **inputs)
