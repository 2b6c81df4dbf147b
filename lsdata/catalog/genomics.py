"""Genomics: from a sequencing run to cohort tables (contract B2)."""

from lsdata.catalog.columns import (
    ALT,
    BYTES,
    CHROM,
    COHORT_ID,
    CONSEQUENCE,
    FILTER,
    GENE,
    IMPACT,
    METRIC,
    POS,
    REF,
    REFERENCE,
    RUN_ID,
    SAMPLE_ID,
    SHA256,
    UNIT,
    VALUE,
)
from lsdata.catalog.declaration import (
    Column,
    Dataset,
    Engine,
    Expectation,
    FileKind,
    Gxp,
    Landing,
    Partition,
    Phi,
    Residency,
    Retention,
    Sensitivity,
    Type,
    Upstream,
)
from lsdata.catalog.twin import twins

_none = Phi.NONE
_SEQUENCING = Retention(years=10, basis="CAP MOL.34488 and ISO 15189:2022 8.4; longer where the study protocol says")
_IDENTITY = Retention(years=6, basis="45 CFR 164.316(b)(2)(i)")

BY_RUN = Partition(
    name="run_id",
    doc="Sequencing runs that are ready.",
    listed_in="bronze/genomics/sequencing_runs",
    listed_as="run_id",
    where=(("state", "ready"),),
)
BY_SAMPLE = Partition(
    name="sample_id",
    doc="Samples with accepted reads.",
    listed_in="bronze/genomics/fastq_manifest",
    listed_as="sample_id",
)
BY_COHORT = Partition(
    name="cohort_id", doc="Cohorts of landing/cohorts.csv.", listed_in="bronze/genomics/cohorts", listed_as="cohort_id"
)
BY_REFERENCE = Partition(name="reference", doc="Registered reference genomes.", landing="reference")


def _lab(key: str, **declared: object) -> Dataset:
    """A dataset of the sequencing lab: coded rows, lab retention, one owner."""
    common = {
        "sensitivity": Sensitivity.CODED,
        "gxp": Gxp.GCLP,
        "retention": _SEQUENCING,
        "residency": Residency.ANY,
        "owner": "genomics",
    }
    return Dataset(key=key, **{**common, **declared})  # pyright: ignore[reportArgumentType] - Dataset checks them


_From = tuple[str, ...]


def _count(name: str, doc: str, *, nullable: bool = False, source: _From = ()) -> Column:
    return Column(
        name=name, type="int64", phi=_none, unit="count", minimum=0, doc=doc, nullable=nullable, source=source
    )


def _fraction(name: str, doc: str, *, nullable: bool = False, source: _From = ()) -> Column:
    return Column(
        name=name,
        type="float64",
        phi=_none,
        unit="fraction",
        minimum=0,
        maximum=1,
        doc=doc,
        nullable=nullable,
        source=source,
    )


def _quantity(
    name: str, unit: str, doc: str, *, nullable: bool = True, type: Type = "float64", source: _From = ()
) -> Column:
    return Column(name=name, type=type, phi=_none, unit=unit, doc=doc, nullable=nullable, source=source)


def _text(
    name: str,
    doc: str,
    *,
    nullable: bool = False,
    codelist: tuple[str, ...] | None = None,
    source: _From = (),
    constant: str | None = None,
) -> Column:
    return Column(
        name=name,
        type="string",
        phi=_none,
        doc=doc,
        nullable=nullable,
        codelist=codelist,
        source=source,
        constant=constant,
    )


_FASTQ: _From = ("bronze/genomics/fastq_manifest.sha256",)
_ALIGNED: _From = (*_FASTQ, "bronze/genomics/references.fasta_sha256")
_CRAM: _From = ("silver/genomics/alignments.reads_mapped", "silver/genomics/alignments.reference_sha256")
_TARGETS: _From = ("bronze/genomics/annotation_sources.delivered_sha256", "bronze/genomics/references.contig")
_CALL_SET: _From = ("silver/genomics/joint_calls.gvcf_sha256",)
_KNOWN: _From = (*_CALL_SET, "bronze/genomics/annotation_sources.delivered_sha256")
_GT: _From = ("silver/genomics/genotypes.gt",)
_PASS: _From = ("silver/genomics/variants.filter",)
"""What columns come from that are read from reads, CRAM, joint VCF and annotation, or counted over PASS genotypes."""


SEQUENCING_RUNS = _lab(
    "bronze/genomics/sequencing_runs",
    doc="Every run folder seen in the landing zone, what was decided about it and why.",
    grain="one row per run folder",
    primary_key=("run_id",),
    engine=Engine.POLARS,
    kinds=("illumina",),
    landing=(
        Landing(pattern="sequencing/*/*", doc="Run folders and deliveries: markers, metadata, sample sheet."),
        # Not the base calls: a run that is still being copied would look new at every glance.
        *(Landing(pattern=f"sequencing/*/**.{e}", doc="FASTQs.") for e in ("fastq.gz", "fq.gz", "fastq", "fq")),
    ),
    columns=(
        RUN_ID,
        _text("instrument", "Instrument serial number, from RunInfo.xml.", nullable=True),
        Column(name="run_date", type="date", phi=_none, nullable=True, doc="Day the run started."),
        _text("flowcell", "Flow cell barcode.", nullable=True),
        Column(
            name="sheet_version",
            type="int32",
            phi=_none,
            nullable=True,
            unit="sample sheet version",
            minimum=1,
            maximum=2,
            doc="Illumina sample sheet version, decided by content.",
        ),
        _count("samples", "Distinct samples in the sheet.", nullable=True),
        _text(
            "state",
            "Where the folder stands.",
            codelist=("copying", "awaiting_sheet", "awaiting_fastq", "ready", "quarantined"),
        ),
        _text("code", "Short reason code of a quarantined folder.", nullable=True),
        _text("reason", "Why it stands there and what a person can do."),
        REFERENCE.but(nullable=True, doc="Reference named in the folder's run.yaml."),
    ),
    expectations=(
        Expectation(
            name="no_run_quarantined",
            doc="No run folder is quarantined.",
            rule="state <> 'quarantined'",
            blocking=False,
        ),
    ),
)

COHORTS = _lab(
    "bronze/genomics/cohorts",
    doc="Which samples are called together.",
    grain="one row per cohort and sample",
    primary_key=("cohort_id", "sample_id"),
    engine=Engine.POLARS,
    landing=(Landing(pattern="cohorts.csv", doc="cohort_id,sample_id"),),
    columns=(COHORT_ID, SAMPLE_ID),
)

SUBJECTS = Dataset(
    key="bronze/genomics/subjects",
    doc="Who a sample is. Raw PHI: stewards only; what goes further is its de-identified twin.",
    grain="one row per sample",
    primary_key=("sample_id",),
    sensitivity=Sensitivity.PHI,
    gxp=Gxp.GCLP,
    retention=_IDENTITY,
    residency=Residency.ANY,
    owner="privacy",
    engine=Engine.POLARS,
    landing=(Landing(pattern="subjects.csv", doc="sample_id,patient_id,name,birth_date,sex,zip,mrn,phenotype_note"),),
    columns=(
        SAMPLE_ID,
        Column(name="patient_id", type="string", phi=Phi.OTHER_ID, doc="The hospital's patient identifier."),
        Column(name="name", type="string", phi=Phi.NAME, nullable=True, doc="Full name."),
        Column(name="birth_date", type="string", phi=Phi.DATE, nullable=True, doc="Date of birth, as delivered."),
        Column(name="sex", type="string", phi=Phi.NONE, nullable=True, doc="Sex, as delivered."),
        Column(name="zip", type="string", phi=Phi.GEOGRAPHY, nullable=True, doc="ZIP code of residence."),
        Column(name="mrn", type="string", phi=Phi.MRN, nullable=True, doc="Medical record number."),
        Column(name="phenotype_note", type="string", phi=Phi.FREE_TEXT, nullable=True, doc="Clinical note."),
    ),
)
SUBJECTS_TYPED, SUBJECTS_TWIN = twins(SUBJECTS, patient="patient_id")

REFERENCES = _lab(
    "bronze/genomics/references",
    doc="A registered reference genome with its indexes: what reads are aligned to.",
    grain="one row per contig",
    primary_key=("reference", "contig"),
    sensitivity=Sensitivity.PUBLIC,
    engine=Engine.TOOL,
    kinds=("bwa", "samtools", "gatk"),
    partition=BY_REFERENCE,
    # FASTAs of any name: one that is not called like its folder is refused, and must be seen for that.
    landing=(
        Landing(pattern="reference/{partition}/*.fa*", doc="<name>.fa(.gz), bgzipped, gzipped or plain."),
        Landing(pattern="reference/{partition}/*.fna*", doc="As NCBI calls a FASTA; refused until it is renamed."),
    ),
    columns=(
        REFERENCE,
        _text("contig", "Contig name."),
        _quantity("length_bp", "bp", "Length of the contig.", nullable=False, type="int64"),
        _text("md5", "MD5 of the upper-case sequence, as SAM header M5."),
        SHA256.but(name="fasta_sha256", doc="SHA-256 of the registered FASTA."),
    ),
    files=(
        FileKind(name="*.fa", format="FASTA", doc="The reference, uncompressed."),
        FileKind(name="*.fa.*", format="index", doc="Index of samtools, and of the configured aligner."),
        FileKind(name="*.dict", format="SAM", doc="Sequence dictionary."),
    ),
)

VQSR_ROLES = ("vqsr_hapmap", "vqsr_omni", "vqsr_1000g", "vqsr_mills", "vqsr_axiom_poly", "vqsr_dbsnp")
"""Resources of variant quality score recalibration; `lsdata.genomics.calling.VQSR` says what each is for."""

ANNOTATION_SOURCES = _lab(
    "bronze/genomics/annotation_sources",
    doc="What is known about a reference: gene model, ClinVar, known sites, targets, VQSR resources. Each is optional.",
    grain="one row per delivered source",
    primary_key=("reference", "role"),
    sensitivity=Sensitivity.PUBLIC,
    engine=Engine.TOOL,
    kinds=("bcftools",),
    partition=BY_REFERENCE,
    landing=(
        Landing(pattern="reference/{partition}/genes.*", doc="genes.gff3 or genes.gtf, plain or gzipped."),
        Landing(pattern="reference/{partition}/clinvar.vcf.gz", doc="ClinVar VCF on this reference."),
        Landing(pattern="reference/{partition}/known_sites.vcf.gz", doc="Known variants, e.g. dbSNP."),
        Landing(pattern="reference/{partition}/targets.bed", doc="Capture targets, 0-based half-open."),
        Landing(pattern="reference/{partition}/vqsr_*.vcf.gz", doc="Sites that VQSR is trained on."),
    ),
    upstream=(Upstream(key="bronze/genomics/references", by="reference"),),
    columns=(
        REFERENCE,
        _text("role", "What it is.", codelist=("genes", "clinvar", "known_sites", "targets", *VQSR_ROLES)),
        _text("file", "File name in the partition's folder."),
        _count("records", "Records kept."),
        _count("records_off_reference", "Records left out because their contig is not in the reference."),
        SHA256.but(name="delivered_sha256", doc="SHA-256 of the file as delivered."),
    ),
    files=(
        FileKind(name="genes.gff3.gz*", format="GFF3", doc="Gene model, sorted, with index."),
        FileKind(
            name="*.vcf.gz*", format="VCF", doc="ClinVar, known sites and VQSR resources, normalised, with index."
        ),
        FileKind(name="targets.bed", format="BED", doc="Targets."),
    ),
)

FASTQ_MANIFEST = _lab(
    "bronze/genomics/fastq_manifest",
    doc="The accepted FASTQ files of a run, each read once for checksums and counts.",
    grain="one row per FASTQ file",
    primary_key=("run_id", "path"),
    engine=Engine.POLARS,
    kinds=("fastq",),
    partition=BY_RUN,
    landing=(Landing(pattern="sequencing/{partition}/**", doc="The run folder."),),
    upstream=(Upstream(key=SEQUENCING_RUNS.key, by="run_id"),),
    columns=(
        RUN_ID,
        SAMPLE_ID,
        Column(name="lane", type="int32", phi=_none, unit="lane number", minimum=1, doc="Lane; 1 where none is named."),
        _text("read", "Mate.", codelist=("R1", "R2")),
        Column(
            name="chunk", type="int32", phi=_none, unit="file number", minimum=1, doc="File number of lane and mate."
        ),
        _text("path", "Path below the run folder."),
        BYTES,
        _text("md5", "MD5 of the file's bytes, hex."),
        SHA256,
        _count("reads", "Records."),
        _count("bases", "Bases of all reads."),
        _count("q20_bases", "Bases with Phred quality of 20 or more."),
        _count("q30_bases", "Bases with Phred quality of 30 or more."),
        _count("gc_bases", "Bases G or C."),
        _quantity("min_len", "bp", "Shortest read.", nullable=False, type="int64"),
        _quantity("max_len", "bp", "Longest read.", nullable=False, type="int64"),
        Column(
            name="mates_agree",
            type="bool",
            phi=_none,
            nullable=True,
            doc="Read count and names equal the mate's, in order; null for single-end reads.",
        ),
        Column(name="md5_delivered", type="bool", phi=_none, doc="Whether the delivery named this MD5."),
        _text("flowcell", "Flow cell barcode, from RunInfo.xml.", nullable=True),
        REFERENCE.but(nullable=True, doc="Reference named in the run's run.yaml."),
    ),
    expectations=(
        Expectation(name="mates_agree", doc="Both mates have the same reads.", rule="mates_agree", blocking=True),
        Expectation(
            name="q30_at_least_75_percent",
            doc="75 % of bases reach Q30 (Illumina specification for 2x150).",
            rule="q30_bases >= 0.75 * bases",
            blocking=False,
        ),
        Expectation(name="reads_present", doc="The file has reads.", rule="reads > 0", blocking=True),
    ),
)

FASTQ_QC = _lab(
    "bronze/genomics/fastq_qc",
    doc="FastQC of every accepted FASTQ and one MultiQC report per run.",
    grain="one row per file and FastQC module or metric",
    primary_key=("run_id", "path", "metric"),
    engine=Engine.TOOL,
    kinds=("fastqc", "multiqc"),
    pool="tools",
    partition=BY_RUN,
    upstream=(Upstream(key=FASTQ_MANIFEST.key, by="run_id"),),
    landing=(),
    columns=(
        RUN_ID,
        SAMPLE_ID,
        _text("path", "FASTQ, as in fastq_manifest."),
        METRIC.but(constant="FastQC's names"),
        VALUE.but(source=_FASTQ),
        UNIT.but(constant="the unit of the metric"),
        _text(
            "verdict",
            "FastQC's verdict on the module.",
            nullable=True,
            codelist=("pass", "warn", "fail"),
            source=_FASTQ,
        ),
    ),
    files=(
        FileKind(name="multiqc_report.html", format="HTML", doc="MultiQC over all files of the run."),
        FileKind(name="fastqc/*.html", format="HTML", doc="FastQC report per file."),
        FileKind(name="fastqc/*.zip", format="ZIP", doc="FastQC data per file."),
    ),
    expectations=(
        Expectation(
            name="no_module_failed",
            doc="No FastQC module failed.",
            rule="verdict IS NULL OR verdict <> 'fail'",
            blocking=False,
        ),
    ),
)

ALIGNMENTS = _lab(
    "silver/genomics/alignments",
    doc="Reads of a sample aligned, duplicates marked, as CRAM, with the numbers one looks at first.",
    grain="one row per sample",
    primary_key=("sample_id",),
    engine=Engine.TOOL,
    kinds=("bwa", "samtools"),
    pool="tools",
    partition=BY_SAMPLE,
    upstream=(
        Upstream(key=FASTQ_MANIFEST.key, by="sample_id"),
        Upstream(key=REFERENCES.key, by="reference", through=FASTQ_MANIFEST.key, setting="reference"),
    ),
    columns=(
        SAMPLE_ID,
        REFERENCE,
        SHA256.but(
            name="reference_sha256",
            doc="SHA-256 of the reference FASTA aligned to.",
            source=("bronze/genomics/references.fasta_sha256",),
        ),
        _text("aligner", "Aligner and version.", constant="the tool that ran"),
        _count("reads", "Primary reads, mapped or not.", source=_FASTQ),
        _count("reads_mapped", "Primary reads mapped.", source=_ALIGNED),
        _count("reads_properly_paired", "Primary reads mapped in a proper pair.", source=_ALIGNED),
        _count("reads_duplicate", "Primary reads marked as duplicates.", source=_ALIGNED),
        _fraction("mapped_fraction", "Mapped reads of all.", nullable=True, source=_ALIGNED),
        _fraction("duplicate_fraction", "Duplicate reads of mapped reads.", nullable=True, source=_ALIGNED),
        _quantity("insert_size_mean_bp", "bp", "Mean insert size of proper pairs.", source=_ALIGNED),
        _quantity("insert_size_sd_bp", "bp", "Standard deviation of the insert size.", source=_ALIGNED),
        _quantity("coverage_mean_x", "x", "Mean depth over the reference, duplicates left out.", source=_ALIGNED),
        _fraction("coverage_20x_fraction", "Reference bases covered 20 times or more.", nullable=True, source=_ALIGNED),
        _text("cram_version", "CRAM version written.", constant="the tool that ran"),
    ),
    files=(
        FileKind(name="*.cram", format="CRAM", doc="Sorted alignments, duplicates marked."),
        FileKind(name="*.cram.crai", format="index", doc="CRAM index."),
        FileKind(name="*.txt", format="text", doc="samtools stats, flagstat, markdup and coverage."),
    ),
    expectations=(
        Expectation(
            name="mapped_at_least_90_percent", doc="90 % of reads map.", rule="mapped_fraction >= 0.9", blocking=False
        ),
        Expectation(
            name="duplicates_at_most_30_percent",
            doc="At most 30 % duplicates.",
            rule="duplicate_fraction <= 0.3",
            blocking=False,
        ),
        Expectation(name="reads_aligned", doc="Some reads map.", rule="reads_mapped > 0", blocking=True),
    ),
)

GVCFS = _lab(
    "silver/genomics/gvcfs",
    doc="Genotype likelihoods at every site of a sample, by the configured caller.",
    grain="one row per sample",
    primary_key=("sample_id",),
    engine=Engine.TOOL,
    kinds=("gatk",),
    pool="tools",
    partition=BY_SAMPLE,
    upstream=(
        Upstream(key=ALIGNMENTS.key, by="sample_id"),
        Upstream(key=REFERENCES.key, by="reference", through=ALIGNMENTS.key),
    ),
    columns=(
        SAMPLE_ID,
        REFERENCE,
        _text("caller", "Variant caller and version.", constant="the tool that ran"),
        _count("variant_records", "Records with an alternate allele other than <NON_REF> or <*>.", source=_CRAM),
        _count("reference_blocks", "Reference blocks.", source=_CRAM),
        SHA256.but(name="gvcf_sha256", doc="SHA-256 of the gVCF.", source=_CRAM),
    ),
    files=(
        FileKind(name="*.g.vcf.gz", format="gVCF", doc="The gVCF."),
        FileKind(name="*.g.vcf.gz.tbi", format="index", doc="Its index."),
    ),
)

TARGET_COVERAGE = _lab(
    "silver/genomics/target_coverage",
    doc="Depth over each registered target; over each contig where no targets are registered.",
    grain="one row per sample and target",
    primary_key=("sample_id", "chrom", "start", "end"),
    engine=Engine.TOOL,
    kinds=("samtools",),
    pool="tools",
    partition=BY_SAMPLE,
    upstream=(
        Upstream(key=ALIGNMENTS.key, by="sample_id"),
        Upstream(key=REFERENCES.key, by="reference", through=ALIGNMENTS.key),
        Upstream(key=ANNOTATION_SOURCES.key, by="reference", through=ALIGNMENTS.key, required=False),
    ),
    columns=(
        SAMPLE_ID,
        CHROM.but(source=_TARGETS),
        _quantity("start", "0-based position", "First base, 0-based.", nullable=False, type="int64", source=_TARGETS),
        _quantity("end", "0-based position", "End, exclusive.", nullable=False, type="int64", source=_TARGETS),
        _text("target", "Name of the target.", source=_TARGETS),
        _quantity(
            "coverage_mean_x", "x", "Mean depth, duplicates left out.", nullable=False, source=(*_CRAM, *_TARGETS)
        ),
        _fraction("coverage_20x_fraction", "Bases covered 20 times or more.", source=(*_CRAM, *_TARGETS)),
    ),
)

SAMPLE_METRICS = _lab(
    "silver/genomics/sample_metrics",
    doc="All quality metrics of a sample in one long table: FASTQ, flagstat, markdup, insert size, coverage.",
    grain="one row per sample, metric and scope",
    primary_key=("sample_id", "metric", "scope"),
    engine=Engine.POLARS,
    partition=BY_SAMPLE,
    upstream=(
        Upstream(key=FASTQ_MANIFEST.key, by="sample_id"),
        Upstream(key=ALIGNMENTS.key, by="sample_id"),
        Upstream(key=GVCFS.key, by="sample_id"),
        Upstream(key=TARGET_COVERAGE.key, by="sample_id", required=False),
    ),
    columns=(
        SAMPLE_ID,
        METRIC.but(constant="names of the columns that the values stand in"),
        _text(
            "scope",
            "What it is measured over: sample, or the name of a target.",
            source=tuple(f"{TARGET_COVERAGE.key}.{name}" for name in ("target", "chrom", "start", "end")),
        ),
        VALUE.but(
            source=(
                *(f"{FASTQ_MANIFEST.key}.{name}" for name in ("reads", "bases", "q30_bases", "gc_bases", "max_len")),
                *(f"{d.key}.{c.name}" for d in (ALIGNMENTS, GVCFS) for c in d.columns if c.unit),
                f"{TARGET_COVERAGE.key}.coverage_mean_x",
            )
        ),
        UNIT.but(constant="the unit of the metric"),
        _text("tool", "What measured it.", constant="the tool that ran"),
    ),
)

RUN_REPORTS = _lab(
    "silver/genomics/run_reports",
    doc="One MultiQC report per run over everything measured on its samples.",
    grain="one row per run and sample",
    primary_key=("run_id", "sample_id"),
    engine=Engine.TOOL,
    kinds=("multiqc",),
    pool="tools",
    partition=BY_RUN,
    upstream=(
        Upstream(key=FASTQ_MANIFEST.key, by="run_id"),
        Upstream(key=FASTQ_QC.key, by="run_id"),
        Upstream(key=ALIGNMENTS.key, by="sample_id", through=FASTQ_MANIFEST.key),
        Upstream(key=GVCFS.key, by="sample_id", through=FASTQ_MANIFEST.key),
    ),
    columns=(
        RUN_ID,
        SAMPLE_ID,
        Column(
            name="fastqc", type="bool", phi=_none, doc="FastQC is in the report.", source=(f"{FASTQ_QC.key}.sample_id",)
        ),
        Column(
            name="alignment",
            type="bool",
            phi=_none,
            doc="samtools stats, flagstat and markdup are in the report.",
            source=(f"{ALIGNMENTS.key}.sample_id",),
        ),
        Column(
            name="calls",
            type="bool",
            phi=_none,
            doc="bcftools stats are in the report.",
            source=(f"{GVCFS.key}.sample_id",),
        ),
    ),
    files=(FileKind(name="multiqc_report.html", format="HTML", doc="The report."),),
    expectations=(
        Expectation(
            name="every_sample_reported",
            doc="Every sample of the run has all parts.",
            rule="fastqc AND alignment AND calls",
            blocking=False,
        ),
    ),
)

JOINT_CALLS = _lab(
    "silver/genomics/joint_calls",
    doc="All samples of a cohort genotyped together and filtered.",
    grain="one row per cohort and sample",
    primary_key=("cohort_id", "sample_id"),
    engine=Engine.TOOL,
    kinds=("gatk",),
    pool="tools",
    partition=BY_COHORT,
    upstream=(
        Upstream(key=COHORTS.key, by="cohort_id"),
        Upstream(key=GVCFS.key, by="sample_id", through=COHORTS.key),
        Upstream(key=REFERENCES.key),
        Upstream(key=ANNOTATION_SOURCES.key, required=False),
    ),
    columns=(
        COHORT_ID,
        SAMPLE_ID,
        Column(
            name="called",
            type="bool",
            phi=_none,
            doc="The sample has a gVCF and is in the call set.",
            source=(f"{GVCFS.key}.sample_id",),
        ),
        SHA256.but(name="gvcf_sha256", nullable=True, doc="SHA-256 of the gVCF that was imported."),
        REFERENCE.but(source=(f"{GVCFS.key}.reference",)),
        _text(
            "import_mode",
            "How GenomicsDB was filled.",
            codelist=("full", "update"),
            constant="which gVCFs the last call set holds",
        ),
        _text(
            "filter_method",
            "Filtering applied.",
            codelist=("VQSR", "hard_filters", "caller"),
            source=(f"{COHORTS.key}.sample_id",),
        ),
        _text(
            "filter_reason",
            "Why that one; where VQSR was tried in vain, what GATK said.",
            source=(f"{COHORTS.key}.sample_id",),
        ),
        _text("caller", "Genotyper and version.", constant="the tool that ran"),
        _count("records", "Records in the call set.", source=(f"{GVCFS.key}.gvcf_sha256",)),
        _count("records_pass", "Records that pass.", source=(f"{GVCFS.key}.gvcf_sha256",)),
    ),
    files=(
        FileKind(name="joint.vcf.gz", format="VCF", doc="The multi-sample call set."),
        FileKind(name="joint.vcf.gz.tbi", format="index", doc="Its index."),
        FileKind(name="genomicsdb.tar", format="GenomicsDB", doc="The workspace that the next sample is added to."),
        FileKind(name="*.tranches", format="CSV", doc="Where VQSR was applied: sensitivity to truth sites by VQSLOD."),
    ),
    expectations=(
        Expectation(name="cohort_complete", doc="Every member has been sequenced.", rule="called", blocking=False),
    ),
)

_VARIANT_KEY = (COHORT_ID, CHROM, POS, REF, ALT)
_SITE = _text("site", "The record it came from, before splitting and alignment: chrom:pos:ref:alt,alt.")

VARIANTS = _lab(
    "silver/genomics/variants",
    doc="The alleles of a cohort, split and left-aligned, with consequence and clinical significance.",
    grain="one row per alternate allele",
    primary_key=("cohort_id", "chrom", "pos", "ref", "alt", "site"),
    engine=Engine.TOOL,
    kinds=("bcftools",),
    partition=BY_COHORT,
    upstream=(
        Upstream(key=JOINT_CALLS.key, by="cohort_id"),
        Upstream(key=REFERENCES.key, by="reference", through=JOINT_CALLS.key),
        Upstream(key=ANNOTATION_SOURCES.key, by="reference", through=JOINT_CALLS.key, required=False),
    ),
    columns=(
        COHORT_ID,
        *(c.but(source=_CALL_SET) for c in (*_VARIANT_KEY[1:], _SITE)),
        _quantity("qual", "phred", "VCF QUAL.", source=_CALL_SET),
        FILTER.but(source=(*_CALL_SET, f"{JOINT_CALLS.key}.filter_method")),
        _count("ac", "INFO/AC: alternate allele count as called.", nullable=True, source=_CALL_SET),
        _count("an", "INFO/AN: alleles called.", nullable=True, source=_CALL_SET),
        _count("info_dp", "INFO/DP: depth over samples.", nullable=True, source=_CALL_SET),
        _quantity("qd", "phred per read", "INFO/QD: quality by depth.", source=_CALL_SET),
        _quantity("fs", "phred", "INFO/FS: Fisher strand bias.", source=_CALL_SET),
        _quantity("sor", "log odds", "INFO/SOR: strand odds ratio.", source=_CALL_SET),
        _quantity("mq", "phred", "INFO/MQ: root mean square mapping quality.", source=_CALL_SET),
        _quantity("mq_rank_sum", "z", "INFO/MQRankSum.", source=_CALL_SET),
        _quantity("read_pos_rank_sum", "z", "INFO/ReadPosRankSum.", source=_CALL_SET),
        GENE.but(source=_KNOWN),
        _text("transcript", "Transcript of the most severe consequence.", nullable=True, source=_KNOWN),
        CONSEQUENCE.but(source=_KNOWN),
        IMPACT.but(source=_KNOWN),
        _text("amino_acid_change", "As bcftools csq writes it, e.g. 5F>5C.", nullable=True, source=_KNOWN),
        _text(
            "bcsq",
            "All consequences as bcftools csq wrote them, haplotype-aware; null with VEP.",
            nullable=True,
            source=_KNOWN,
        ),
        _text("clinvar_id", "ClinVar variation identifier.", nullable=True, source=_KNOWN),
        Column(
            name="clinvar_significance",
            type="string",
            phi=_none,
            nullable=True,
            vocabulary="ClinVar CLNSIG",
            doc="Clinical significance of exactly this allele.",
            source=_KNOWN,
        ),
        _text("known_id", "Identifier in the registered known sites, e.g. an rs number.", nullable=True, source=_KNOWN),
    ),
    files=(
        FileKind(name="annotated.vcf.gz", format="VCF", doc="The split, annotated call set."),
        FileKind(name="annotated.vcf.gz.tbi", format="index", doc="Its index."),
    ),
)

GENOTYPES = _lab(
    "silver/genomics/genotypes",
    doc="What each sample carries at each allele.",
    grain="one row per alternate allele and sample",
    primary_key=("cohort_id", "chrom", "pos", "ref", "alt", "site", "sample_id"),
    engine=Engine.POLARS,
    kinds=("vcf",),
    partition=BY_COHORT,
    upstream=(Upstream(key=VARIANTS.key, by="cohort_id"), Upstream(key=JOINT_CALLS.key, by="cohort_id")),
    columns=(
        *_VARIANT_KEY,
        _SITE,
        SAMPLE_ID,
        _text("gt", "VCF GT of the split record: 0/1, 1|1, ./. ...", source=_CALL_SET),
        _text(
            "gt_site",
            "VCF GT of the record before splitting, where it had several alternates.",
            nullable=True,
            source=_CALL_SET,
        ),
        _count("dp", "VCF DP: reads used.", nullable=True, source=_CALL_SET),
        Column(
            name="gq",
            type="int32",
            phi=_none,
            unit="phred",
            minimum=0,
            maximum=99,
            nullable=True,
            doc="VCF GQ: confidence in the genotype.",
            source=_CALL_SET,
        ),
        _count("ad_ref", "VCF AD of the reference allele.", nullable=True, source=_CALL_SET),
        _count("ad_alt", "VCF AD of this alternate allele.", nullable=True, source=_CALL_SET),
        _quantity("ps", "1-based position", "VCF PS: phase set.", type="int64", source=_CALL_SET),
    ),
)

_GENOTYPE_COUNTS = (
    _count("n_hom_ref", "Samples without the allele.", source=_GT),
    _count("n_het", "Samples with one copy.", source=_GT),
    _count("n_hom_alt", "Samples with two copies.", source=_GT),
    _count("n_missing", "Samples without a call.", source=_GT),
)

COHORT_VARIANTS = _lab(
    "gold/genomics/cohort_variants",
    doc="The alleles of a cohort with annotation and who carries them, ready to browse.",
    grain="one row per alternate allele",
    primary_key=("cohort_id", "chrom", "pos", "ref", "alt", "site"),
    engine=Engine.DBT,
    partition=BY_COHORT,
    upstream=(Upstream(key=VARIANTS.key, by="cohort_id"), Upstream(key=GENOTYPES.key, by="cohort_id")),
    columns=(
        *_VARIANT_KEY,
        _SITE,
        _text(
            "variant_type",
            "Kind of change.",
            codelist=("SNV", "insertion", "deletion", "other"),
            source=(f"{VARIANTS.key}.ref", f"{VARIANTS.key}.alt"),
        ),
        _quantity("qual", "phred", "VCF QUAL."),
        FILTER,
        GENE.but(source=("silver/genomics/variants.gene",)),
        CONSEQUENCE.but(source=("silver/genomics/variants.consequence",)),
        IMPACT.but(source=("silver/genomics/variants.impact",)),
        _text("clinvar_significance", "ClinVar CLNSIG of this allele.", nullable=True),
        _text("known_id", "Identifier in the registered known sites.", nullable=True),
        *_GENOTYPE_COUNTS,
        _count("n_carriers", "Samples with at least one copy.", source=_GT),
        _text(
            "carriers",
            "Their sample_ids, sorted, joined by ','.",
            nullable=True,
            source=(*_GT, f"{GENOTYPES.key}.sample_id"),
        ),
    ),
)

VARIANT_FREQUENCIES = _lab(
    "gold/genomics/variant_frequencies",
    doc="Allele frequencies in a cohort and the exact test of Hardy-Weinberg equilibrium.",
    grain="one row per alternate allele",
    primary_key=("cohort_id", "chrom", "pos", "ref", "alt", "site"),
    engine=Engine.DBT,
    partition=BY_COHORT,
    upstream=(Upstream(key=VARIANTS.key, by="cohort_id"), Upstream(key=GENOTYPES.key, by="cohort_id")),
    columns=(
        *_VARIANT_KEY,
        _SITE,
        FILTER,
        _count("ac", "AC: copies of the allele in called genotypes.", source=_GT),
        _count("an", "AN: alleles in called genotypes.", source=_GT),
        _fraction("af", "AF: ac / an; null where nothing is called.", nullable=True, source=_GT),
        *_GENOTYPE_COUNTS,
        _fraction(
            "hwe",
            "HWE: exact test p value over diploid genotypes (Wigginton 2005, doi:10.1086/429864); null without any.",
            nullable=True,
            source=_GT,
        ),
    ),
    expectations=(
        Expectation(name="ac_within_an", doc="No more copies than alleles.", rule="ac <= an", blocking=True),
    ),
)

_CHANGE: _From = (f"{GENOTYPES.key}.ref", f"{GENOTYPES.key}.alt")

SAMPLE_QC = _lab(
    "gold/genomics/sample_qc",
    doc="Whether a sample's calls look like a sample's calls should, over PASS variants.",
    grain="one row per cohort and sample",
    primary_key=("cohort_id", "sample_id"),
    engine=Engine.DBT,
    partition=BY_COHORT,
    upstream=(
        Upstream(key=VARIANTS.key, by="cohort_id"),
        Upstream(key=GENOTYPES.key, by="cohort_id"),
    ),
    columns=(
        COHORT_ID,
        SAMPLE_ID,
        _count("n_sites", "PASS alleles in the cohort.", source=_PASS),
        _count("n_called", "Genotypes called at them.", source=(*_GT, *_PASS)),
        _fraction("call_rate", "n_called / n_sites.", nullable=True, source=(*_GT, *_PASS)),
        _count("n_snv", "SNV alleles carried.", source=(*_GT, *_PASS, *_CHANGE)),
        _count("n_indel", "Insertions and deletions carried.", source=(*_GT, *_PASS, *_CHANGE)),
        _count("n_het", "Heterozygous genotypes.", source=(*_GT, *_PASS)),
        _count("n_hom_alt", "Homozygous alternate genotypes.", source=(*_GT, *_PASS)),
        _count("n_singleton", "Alleles that no other sample carries.", source=(*_GT, *_PASS)),
        _count("n_transition", "Transitions carried.", source=(*_GT, *_PASS, *_CHANGE)),
        _count("n_transversion", "Transversions carried.", source=(*_GT, *_PASS, *_CHANGE)),
        _quantity(
            "titv", "ratio", "Transitions / transversions; null without transversions.", source=(*_GT, *_PASS, *_CHANGE)
        ),
        _quantity(
            "het_hom", "ratio", "Heterozygous / homozygous alternate; null without the latter.", source=(*_GT, *_PASS)
        ),
        _quantity("mean_dp_x", "x", "Mean DP of called genotypes.", source=(f"{GENOTYPES.key}.dp", *_GT, *_PASS)),
        _quantity("mean_gq", "phred", "Mean GQ of called genotypes.", source=(f"{GENOTYPES.key}.gq", *_GT, *_PASS)),
        _fraction(
            "x_het_fraction",
            "Heterozygous share of non-reference X genotypes; null without X calls.",
            nullable=True,
            source=(f"{GENOTYPES.key}.chrom", *_GT, *_PASS),
        ),
        _text(
            "inferred_sex",
            "F where x_het_fraction is over 0.2, M where under; null with fewer than 20 X genotypes.",
            nullable=True,
            codelist=("F", "M"),
            source=(f"{GENOTYPES.key}.chrom", *_GT, *_PASS),
        ),
        _text(
            "closest_sample",
            "The sample with the highest kinship.",
            nullable=True,
            source=(f"{GENOTYPES.key}.sample_id", *_GT, *_PASS, *_CHANGE),
        ),
        _quantity(
            "closest_kinship",
            "kinship coefficient",
            "KING-robust kinship with it (Manichaikul 2010, doi:10.1093/bioinformatics/btq559); null under 200 SNVs.",
            source=(*_GT, *_PASS, *_CHANGE),
        ),
    ),
    expectations=(
        Expectation(
            name="call_rate_at_least_95_percent",
            doc="95 % of PASS alleles are called.",
            rule="call_rate >= 0.95",
            blocking=False,
        ),
        Expectation(
            name="no_duplicate_sample",
            doc="No two samples are the same person (kinship under 0.354).",
            rule="closest_kinship IS NULL OR closest_kinship < 0.354",
            blocking=False,
        ),
    ),
)

_BURDEN: _From = (*_GT, *_PASS, f"{VARIANTS.key}.gene", f"{VARIANTS.key}.impact")

GENE_BURDEN = _lab(
    "gold/genomics/gene_burden",
    doc="How many samples carry a PASS variant of each impact in each gene.",
    grain="one row per cohort, gene and impact",
    primary_key=("cohort_id", "gene", "impact"),
    engine=Engine.DBT,
    partition=BY_COHORT,
    upstream=(Upstream(key=VARIANTS.key, by="cohort_id"), Upstream(key=GENOTYPES.key, by="cohort_id")),
    columns=(
        COHORT_ID,
        GENE.but(nullable=False, doc="Gene symbol."),
        IMPACT.but(nullable=False),
        _count("n_variants", "PASS alleles of this impact in the gene.", source=_BURDEN),
        _count("n_carriers", "Samples with at least one of them.", source=_BURDEN),
        _count("n_hom_carriers", "Samples with two copies of one of them.", source=_BURDEN),
        _count("n_samples", "Samples in the call set.", source=(f"{GENOTYPES.key}.sample_id",)),
        _fraction("carrier_fraction", "n_carriers / n_samples.", source=(*_BURDEN, f"{GENOTYPES.key}.sample_id")),
    ),
    expectations=(
        Expectation(
            name="carriers_within_samples",
            doc="No more carriers than samples.",
            rule="n_carriers <= n_samples",
            blocking=True,
        ),
    ),
)
