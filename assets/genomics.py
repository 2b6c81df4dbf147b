"""Genomics: each asset binds one function or dbt model to one declared dataset."""

import polars as pl

from assets.binding import model, table
from lsdata.catalog import genomics as catalog
from lsdata.genomics import alignment, annotation, calling, intake, plots, qc, reference, vcf
from lsdata.lake.work import Outcome, Work

Frame = pl.LazyFrame


@table(catalog.SEQUENCING_RUNS, plots.run_states)
def sequencing_runs(work: Work) -> Outcome:
    return intake.sequencing_runs(work)


@table(catalog.COHORTS)
def cohorts(work: Work) -> Outcome:
    return intake.cohorts(work)


@table(catalog.SUBJECTS)
def subjects(work: Work) -> Outcome:
    return intake.subjects(work)


@table(catalog.REFERENCES)
def references(work: Work) -> Outcome:
    return reference.register(work)


@table(catalog.ANNOTATION_SOURCES)
def annotation_sources(work: Work, references: Frame) -> Outcome:
    return reference.register_annotation(work, references)


@table(catalog.FASTQ_MANIFEST, plots.reads_by_sample)
def fastq_manifest(work: Work, sequencing_runs: Frame) -> Outcome:
    return intake.fastq_manifest(work, sequencing_runs)


@table(catalog.FASTQ_QC)
def fastq_qc(work: Work, fastq_manifest: Frame) -> Outcome:
    return qc.fastq_qc(work, fastq_manifest)


@table(catalog.ALIGNMENTS)
def alignments(work: Work, fastq_manifest: Frame, references: Frame) -> Outcome:
    return alignment.align(work, fastq_manifest, references)


@table(catalog.TARGET_COVERAGE, plots.coverage_by_target)
def target_coverage(work: Work, alignments: Frame, references: Frame, annotation_sources: Frame) -> Outcome:
    return alignment.target_coverage(work, alignments, references, annotation_sources)


@table(catalog.GVCFS)
def gvcfs(work: Work, alignments: Frame, references: Frame) -> Outcome:
    return calling.gvcf(work, alignments, references)


@table(catalog.SAMPLE_METRICS)
def sample_metrics(fastq_manifest: Frame, alignments: Frame, gvcfs: Frame, target_coverage: Frame) -> Frame:
    return qc.sample_metrics(fastq_manifest, alignments, gvcfs, target_coverage)


@table(catalog.RUN_REPORTS)
def run_reports(work: Work, fastq_manifest: Frame, fastq_qc: Frame, alignments: Frame, gvcfs: Frame) -> Outcome:
    return qc.run_reports(work, fastq_manifest, fastq_qc, alignments, gvcfs)


@table(catalog.JOINT_CALLS)
def joint_calls(work: Work, cohorts: Frame, gvcfs: Frame, references: Frame, annotation_sources: Frame) -> Outcome:
    return calling.joint_calls(work, cohorts, gvcfs, references, annotation_sources)


@table(catalog.VARIANTS)
def variants(work: Work, joint_calls: Frame, references: Frame, annotation_sources: Frame) -> Outcome:
    return annotation.variants(work, joint_calls, references, annotation_sources)


@table(catalog.GENOTYPES)
def genotypes(work: Work, variants: Frame, joint_calls: Frame) -> Outcome:
    return vcf.genotypes(work, variants, joint_calls)


cohort_variants = model(catalog.COHORT_VARIANTS)
variant_frequencies = model(catalog.VARIANT_FREQUENCIES, plots.frequency_spectrum)
sample_qc = model(catalog.SAMPLE_QC, plots.titv)
gene_burden = model(catalog.GENE_BURDEN)
