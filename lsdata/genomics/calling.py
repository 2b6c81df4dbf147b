"""gVCFs, joint genotyping and filtering: GATK's by default."""

import re
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from lsdata.catalog.genomics import ALIGNMENTS, ANNOTATION_SOURCES, GVCFS, JOINT_CALLS, REFERENCES
from lsdata.compute import Input, Job
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, JobFailed, MissingData
from lsdata.genomics import reference, tools
from lsdata.lake.work import Outcome, Work

_JVM_MIB = 3_000


@dataclass(frozen=True)
class Caller:
    """A variant caller: its command, and who genotypes its gVCFs together.

    Args:
        name: as it stands in the column `caller`, before the version.
        command: bash; from the CRAM `{inputs.cram}` to a gVCF: `{outputs.gvcf}`, or `raw.g.vcf.gz` where its header is
            yet to be rid of the command line and its paths.
        tools: as in `Job.tools`; the first tells the version.
        joint: the joint genotyper.
    """

    name: str
    command: str
    tools: Mapping[str, str]
    joint: Literal["GATK", "GLnexus", "DRAGEN"]


_DEEPVARIANT = """run_deepvariant --model_type={model} --ref={{inputs.reference}} --reads={{inputs.cram}} \\
  --output_vcf=raw.vcf.gz --output_gvcf=raw.g.vcf.gz --num_shards={{cores}} --intermediate_results_dir=dv \\
  --sample_name={{parameters.sample}}
"""
CALLERS: Mapping[str, Caller] = {
    "gatk": Caller(
        "GATK HaplotypeCaller",
        """gatk --java-options {parameters.java} HaplotypeCaller -R {inputs.reference} -I {inputs.cram} \\
  -O {outputs.gvcf} -ERC GVCF --native-pair-hmm-threads {cores} --add-output-vcf-command-line false --tmp-dir . \\
  --verbosity WARNING
""",
        tools.GATK,
        "GATK",
    ),
    "deepvariant": Caller("DeepVariant WGS", _DEEPVARIANT.format(model="WGS"), tools.DEEPVARIANT, "GLnexus"),
    "deepvariant-wes": Caller("DeepVariant WES", _DEEPVARIANT.format(model="WES"), tools.DEEPVARIANT, "GLnexus"),
    "dragen": Caller(
        "DRAGEN",
        """reference={inputs.reference}; mkdir hash called; tar -xf "$reference".dragen.tar -C hash
dragen --ref-dir hash --output-directory called --output-file-prefix called --intermediate-results-dir . \\
  --cram-input {inputs.cram} --cram-reference "$reference" --enable-map-align false --enable-variant-caller true \\
  --vc-emit-ref-confidence GVCF
mv called/called.hard-filtered.gvcf.gz raw.g.vcf.gz
""",
        tools.DRAGEN,
        "DRAGEN",
    ),
    "sentieon": Caller(
        "Sentieon Haplotyper",
        """sentieon driver -t {cores} -r {inputs.reference} -i {inputs.cram} \\
  --algo Haplotyper --emit_mode gvcf raw.g.vcf.gz
""",
        tools.SENTIEON,
        "GATK",
    ),
}
"""By `LSDATA_CALLER`.

Sources: GATK 4.6 tool documentation; google/deepvariant, docs/trio-merge-case-study.md (its gVCFs are merged by
GLnexus, doi:10.1093/bioinformatics/btaa1081: GATK refuses their `<*>` alleles); DRAGEN user guide v4.4, "DRAGEN Host
Software" and "Iterative gVCF Genotyper"; Sentieon manual, "Haplotyper Algorithm" (a match of HaplotypeCaller, so that
GATK may genotype its gVCFs).

DeepVariant's model is chosen by name and not by the presence of targets: annotation sources would have to be an input
of gVCFs, and every new ClinVar would call every sample again.
"""

_CLEAN = "grep -v '^##bcftools_\\|^##[A-Za-z]*CommandLine\\|^##source=\\|^##reference='"
"""Header lines with paths of the machine."""


def gvcf(work: Work, alignments: pl.LazyFrame, references: pl.LazyFrame) -> Outcome:
    """A gVCF over the whole reference by the configured caller, and bcftools stats of its variant records."""
    sample = work.partition
    name = alignments.select("reference").collect().item()
    _, bases = reference.facts(references.collect(), name)
    caller = CALLERS[work.settings.caller]
    job = _call(work, caller, name, bases)
    made = work.run(job)
    stats = work.destination / f"{sample}.bcftools_stats.txt"
    # The command line it starts with has paths of the machine; MultiQC takes the sample's name from this line.
    told = [line for line in stats.read_text().splitlines() if not line.startswith("# The command line")]
    stats.write_text("\n".join(told).replace("<STDIN>", sample) + "\n")
    variants, blocks = _records(work.destination / f"{sample}.g.vcf.gz")
    row = {
        "sample_id": sample,
        "reference": name,
        "caller": f"{caller.name} {made.tool_versions[next(iter(caller.tools))]}",
        "variant_records": variants,
        "reference_blocks": blocks,
        "gvcf_sha256": made.outputs["gvcf"].sha256,
    }
    return Outcome(
        rows=pl.DataFrame([row], schema=arrow.polars_schema(GVCFS)),
        files=tuple(job.outputs.values()),
        notes={"cpu_seconds": made.cpu_seconds, "peak_mib": made.peak_memory_bytes / 2**20},
    )


def _call(work: Work, caller: Caller, name: str, bases: int) -> Job:
    sample = work.partition
    cram = work.file(ALIGNMENTS.key, sample, f"{sample}.cram")
    given = {"java": tools.java(_JVM_MIB, bases), "sample": sample}
    clean = ""
    if "{outputs.gvcf}" not in caller.command:
        clean = f"bcftools view --no-version raw.g.vcf.gz | {_CLEAN} | bgzip > {{outputs.gvcf}}\n"
        clean += "bcftools index --tbi {outputs.gvcf}\n"
    return Job(
        name="call_gvcf",
        image=tools.IMAGE,
        command=caller.command
        + clean
        + "bcftools view --no-version -i 'N_ALT > 1' {outputs.gvcf} "
        + "| bcftools stats --fasta-ref {inputs.reference} - > {outputs.stats}\n",
        inputs={
            "cram": Input(str(cram), companions=(f"{cram.name}.crai",)),
            "reference": tools.fasta(
                str(work.file(REFERENCES.key, name, f"{name}.fa")), name, "dragen" if "dragen" in caller.tools else None
            ),
        },
        outputs={
            "gvcf": f"{sample}.g.vcf.gz",
            "tbi": f"{sample}.g.vcf.gz.tbi",
            "stats": f"{sample}.bcftools_stats.txt",
        },
        parameters={key: value for key, value in given.items() if f"{{parameters.{key}}}" in caller.command},
        tools={**caller.tools, **tools.BCFTOOLS, **tools.TABIX},
        cores=work.settings.cores,
        memory_mib=_JVM_MIB + 1_000,
        minutes=240,
    )


def _records(path: Path) -> tuple[int, int]:
    """Records with a called alternate, and reference blocks."""
    import gzip

    variants = blocks = 0
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if not line.startswith("#"):
                if line.split("\t", 5)[4] in ("<NON_REF>", "<*>"):
                    blocks += 1
                else:
                    variants += 1
    return variants, blocks


# -- joint genotyping --------------------------------------------------------------------------------------------------

VQSR_SAMPLES = 30
"""VQSR needs at least 30 exomes, or one genome with millions of sites: GATK, "Variant Quality Score Recalibration
(VQSR)", section "How much data", and article 4402736812443, "Important notes about exome experiments"; "Hard-filtering
germline short variants" for the rest. One genome is not enough here: the cohort is what is filtered."""


@dataclass(frozen=True)
class Model:
    """How one class of variants is recalibrated.

    Args:
        annotations: what the Gaussians are fitted to; DP where there are no capture targets.
        gaussians: at most so many.
        sensitivity: percent of truth sites that stay, which sets the cutoff.
        tranches: percents at which the slices are cut.
        resources: role of a registered source to what its sites are taken for: known sites are reported only, training
            sites fit the model, truth sites set the cutoff; prior is the Phred-scaled trust in a site.
    """

    annotations: tuple[str, ...]
    gaussians: int
    sensitivity: float
    tranches: tuple[float, ...]
    resources: Mapping[str, str]

    def short_of(self, roles: Container[str]) -> str | None:
        """The use for which no registered source is there."""
        used = [use for role, use in self.resources.items() if role in roles]
        return next((u for u in ("training", "truth") if not any(f"{u}=true" in use for use in used)), None)


VQSR: Mapping[str, Model] = {
    "SNP": Model(
        annotations=("QD", "MQRankSum", "ReadPosRankSum", "FS", "MQ", "SOR"),
        gaussians=6,
        sensitivity=99.7,
        tranches=(100.0, 99.95, 99.9, 99.8, 99.6, 99.5, 99.4, 99.3, 99.0, 98.0, 97.0, 90.0),
        resources={
            "vqsr_hapmap": "known=false,training=true,truth=true,prior=15",
            "vqsr_omni": "known=false,training=true,truth=true,prior=12",
            "vqsr_1000g": "known=false,training=true,truth=false,prior=10",
            "vqsr_dbsnp": "known=true,training=false,truth=false,prior=7",
        },
    ),
    "INDEL": Model(
        annotations=("FS", "ReadPosRankSum", "MQRankSum", "QD", "SOR"),
        gaussians=4,
        sensitivity=99.0,
        tranches=(100.0, 99.95, 99.9, 99.5, 99.0, 97.0, 96.0, 95.0, 94.0, 93.5, 93.0, 92.0, 91.0, 90.0),
        resources={
            "vqsr_mills": "known=false,training=true,truth=true,prior=12",
            "vqsr_axiom_poly": "known=false,training=true,truth=false,prior=10",
            "vqsr_dbsnp": "known=true,training=false,truth=false,prior=2",
        },
    ),
}
"""Source: Broad Institute's own joint genotyping, broadinstitute/warp, tasks/broad/JointGenotypingTasks.wdl and
pipelines/broad/dna_seq/germline/joint_genotyping/JointGenotyping.wdl. DP is left out for captured targets: article
4402736812443."""

_UNFIT = re.compile(
    r"NaN LOD value assigned|No data found\.|failed to converge|[Aa]nnotations with zero variance"
    r"|annotation not detected for ANY training variant|Training with very few variant sites"
)
"""What VariantRecalibrator 4.6.2.0 says when the data cannot carry the model: VariantRecalibrator,
VariantRecalibratorEngine and VariantDataManager.java. The last is a warning under 1,000 training sites, its default
--minimum-bad-variants; it is taken as the end, since nobody looks at the plots it asks for."""

HARD_FILTERS: tuple[tuple[str, str], ...] = (
    ("QD2", "QD < 2.0"),
    ("QUAL30", "QUAL < 30.0"),
    ("SOR3", "vc.isSNP() && SOR > 3.0"),
    ("FS60", "vc.isSNP() && FS > 60.0"),
    ("MQ40", "vc.isSNP() && MQ < 40.0"),
    ("MQRankSum-12.5", "vc.isSNP() && MQRankSum < -12.5"),
    ("ReadPosRankSum-8", "vc.isSNP() && ReadPosRankSum < -8.0"),
    ("FS200", "!vc.isSNP() && FS > 200.0"),
    ("ReadPosRankSum-20", "!vc.isSNP() && ReadPosRankSum < -20.0"),
)
"""Source: GATK, "Hard-filtering germline short variants"; indel filters hold for all that is not a SNP."""

_SHARD_BP = 50_000_000


def filtering(samples: int, roles: Collection[str]) -> tuple[str, str]:
    """VQSR or hard filters, and why.

    Args:
        samples: members of the cohort that are called.
        roles: sources that are registered for the reference.
    """
    if samples < VQSR_SAMPLES:
        return "hard_filters", f"{samples} samples; GATK asks for {VQSR_SAMPLES} or more for VQSR"
    if short := [f"{use} sites for {kind}" for kind, model in VQSR.items() if (use := model.short_of(roles))]:
        return "hard_filters", f"VQSR has no {', no '.join(short)}: none are registered"
    return "VQSR", f"{samples} samples and registered truth sites"


def joint_calls(
    work: Work,
    cohorts: pl.LazyFrame,
    gvcfs: pl.LazyFrame,
    references: pl.LazyFrame,
    annotation_sources: pl.LazyFrame,
) -> Outcome:
    """The members that have a gVCF genotyped together, and filtered.

    GATK's: when the last call set holds the same gVCFs and some are new, only those are imported; otherwise all are.
    Where VQSR is due but GATK says that the data cannot carry its models, hard filters are applied, and the row says
    so. GLnexus and DRAGEN have filtered by leaving out; what they give without a verdict passes.

    Raises:
        MissingData: no member has a gVCF.
        InvalidInput: the members are aligned to different references, or called by different callers.
    """
    cohort = work.partition
    members = cohorts.filter(pl.col("cohort_id") == cohort).select("sample_id").unique().sort("sample_id").collect()
    called = gvcfs.sort("sample_id").collect()
    if called.is_empty():
        raise MissingData(
            f"{JOINT_CALLS.key} [{cohort}]",
            found="no gVCF of any member",
            allowed="at least one",
            do=f"Materialize {GVCFS.key} for the members.",
        )
    name = _same("reference", cohort, called["reference"].unique(), "Realign")
    caller = _same("caller", cohort, called["caller"].str.replace(r" \S+$", "").unique(), "Call anew")
    joint = next(c.joint for c in CALLERS.values() if c.name == caller)
    genome = references.filter(pl.col("reference") == name).collect()
    bases = int(genome["length_bp"].sum())
    now = dict(called.select("sample_id", "gvcf_sha256").iter_rows())
    before = _imported(work, cohort, name) if joint == "GATK" else {}
    new = [s for s in now if s not in before]
    update = bool(before) and bool(new) and all(now.get(s) == sha for s, sha in before.items())
    importing = new if update else list(now)
    work.log(f"{cohort}: {joint} takes {len(importing)} of {len(now)} gVCFs")
    sources = annotation_sources.filter(pl.col("reference") == name).select("role", "file").collect()
    roles: dict[str, str] = dict(sources.iter_rows())
    if joint == "GATK":
        job = _genotype(work, cohort, name, genome, importing, update, bases)
        made = work.run(job)
        method, why, kept = _filter(work, name, len(now), roles, bases)
        files = ("joint.vcf.gz", "joint.vcf.gz.tbi", "genomicsdb.tar", *kept)
    else:
        job = _glnexus(work, importing, caller) if joint == "GLnexus" else _dragen(work, name, importing)
        made = work.run(job)
        method, why = "caller", f"{joint} filters itself; GATK's filters are made for GATK's annotations"
        files = tuple(job.outputs.values())
    records, passing = _passing(work.destination / "joint.vcf.gz")
    rows = members.select(
        pl.lit(cohort).alias("cohort_id"),
        "sample_id",
        pl.col("sample_id").is_in(list(now)).alias("called"),
        pl.col("sample_id").replace_strict(now, default=None, return_dtype=pl.String).alias("gvcf_sha256"),
        pl.lit(name).alias("reference"),
        pl.lit("update" if update else "full").alias("import_mode"),
        pl.lit(method).alias("filter_method"),
        pl.lit(why).alias("filter_reason"),
        pl.lit(f"{_JOINT[joint]} {made.tool_versions[next(iter(job.tools))]}").alias("caller"),
        pl.lit(records, pl.Int64).alias("records"),
        pl.lit(passing, pl.Int64).alias("records_pass"),
    )
    return Outcome(
        rows=rows.select(JOINT_CALLS.names),
        files=files,
        notes={"samples": float(len(now)), "filtering": f"{method}: {why}", "cpu_seconds": made.cpu_seconds},
    )


_JOINT = {"GATK": "GATK GenotypeGVCFs", "GLnexus": "GLnexus", "DRAGEN": "DRAGEN gVCF Genotyper"}


def _same(what: str, cohort: str, found: pl.Series, remedy: str) -> str:
    if len(found) > 1:
        raise InvalidInput(
            f"cohort {cohort}",
            code=f"{what}s_differ",
            found=f"members with {', '.join(found.sort())}",
            allowed=f"one {what} per cohort",
            do=f"{remedy}, or split the cohort.",
        )
    return found.item()


def _imported(work: Work, cohort: str, reference_name: str) -> dict[str, str]:
    """What the last workspace holds: sample to gVCF hash; nothing where it is of another reference or gone."""
    last = work.lake.read(JOINT_CALLS.key, [cohort]).filter(pl.col("called")).collect()
    if last.is_empty() or last["reference"][0] != reference_name:
        return {}
    try:
        work.file(JOINT_CALLS.key, cohort, "genomicsdb.tar")
    except MissingData:
        return {}
    return dict(last.select("sample_id", "gvcf_sha256").iter_rows())


def shards(contigs: list[tuple[str, int]], shard_bp: int = _SHARD_BP) -> list[list[str]]:
    """Contigs grouped, in order, so that each group but the last spans `shard_bp` or more.

    >>> shards([("1", 60), ("2", 30), ("3", 30), ("4", 5)], shard_bp=50)
    [['1'], ['2', '3'], ['4']]
    """
    groups: list[list[str]] = [[]]
    size = 0
    for name, length in contigs:
        if size >= shard_bp:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += length
    return groups


def _genotype(
    work: Work, cohort: str, name: str, genome: pl.DataFrame, importing: list[str], update: bool, bases: int
) -> Job:
    contigs = [(str(c), int(n)) for c, n in genome.select("contig", "length_bp").iter_rows()]
    groups = shards(contigs)
    where = " ".join(f"-L {{parameters.contig{i}}}" for i in range(len(contigs)))
    # Many small contigs each open an array of their own; merged, they are one.
    merged = " --merge-contigs-into-num-partitions 25" if len(contigs) > 100 else ""
    target = f"--genomicsdb-workspace-path db {where}{merged}"
    if update:
        target = "--genomicsdb-update-workspace-path db"
    calls = "".join(
        f"genotype {i} "
        + " ".join(f"-L {{parameters.contig{position}}}" for position, (c, _) in enumerate(contigs) if c in group)
        + " &\npids+=($!)\n"
        + ('if ((${#pids[@]} >= {cores})); then wait "${pids[0]}"; pids=("${pids[@]:1}"); fi\n')
        for i, group in enumerate(groups)
    )
    command = f"""
{"tar -xf {inputs.workspace}" if update else ":"}
all=({{inputs.gvcfs}})
for f in "${{all[@]}}"; do printf '%s\\t%s\\n' "$(bcftools query -l "$f")" "$f"; done > samples.tsv
gatk --java-options {{parameters.java}} GenomicsDBImport --sample-name-map samples.tsv {target} \\
  --batch-size 50 --reader-threads 1 --tmp-dir . --add-output-vcf-command-line false --verbosity WARNING
genotype() {{
  local shard=$1; shift
  gatk --java-options {{parameters.java}} GenotypeGVCFs -R {{inputs.reference}} -V gendb://db "$@" \\
    -O shard$shard.vcf.gz --tmp-dir . --add-output-vcf-command-line false --verbosity WARNING
}}
pids=()
{calls}
for pid in "${{pids[@]}}"; do wait "$pid"; done
bcftools concat --no-version -Oz -o {{outputs.vcf}} {" ".join(f"shard{i}.vcf.gz" for i in range(len(groups)))}
bcftools index --tbi {{outputs.vcf}}
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf {{outputs.workspace}} db
"""
    inputs: dict[str, str | Input | tuple[Input, ...]] = {
        "gvcfs": _gvcfs(work, importing),
        "reference": tools.fasta(str(work.file(REFERENCES.key, name, f"{name}.fa")), name),
    }
    if update:
        inputs["workspace"] = str(work.file(JOINT_CALLS.key, cohort, "genomicsdb.tar"))
    return Job(
        name="joint_genotype",
        image=tools.IMAGE,
        command=command,
        inputs=inputs,
        outputs={"vcf": _RAW, "tbi": f"{_RAW}.tbi", "workspace": "genomicsdb.tar"},
        parameters={
            "java": tools.java(_JVM_MIB, bases),
            **{f"contig{i}": c for i, (c, _) in enumerate(contigs)},
        },
        tools=tools.GATK | tools.BCFTOOLS,
        cores=work.settings.cores,
        memory_mib=_JVM_MIB * work.settings.cores + 1_000,
        minutes=240,
    )


_RAW = "raw.vcf.gz"
_FINISH = f"""bcftools view --no-version filtered.vcf.gz | {_CLEAN} | bgzip > {{outputs.vcf}}
bcftools index --tbi {{outputs.vcf}}
"""
_JOINT_VCF = {"vcf": "joint.vcf.gz", "tbi": "joint.vcf.gz.tbi"}


def _filter(
    work: Work, name: str, samples: int, roles: Mapping[str, str], bases: int
) -> tuple[str, str, tuple[str, ...]]:
    """Filter `raw.vcf.gz` into `joint.vcf.gz`: the method, why, and further files to keep."""
    raw = work.destination / _RAW
    method, why = filtering(samples, roles)
    kept: tuple[str, ...] = ()
    if method == "VQSR":
        try:
            job = _vqsr(work, name, roles, bases)
            work.run(job)
            told = work.destination / job.outputs["told"]
            why += f"; {told.read_text().strip()}"
            told.unlink()
            kept = tuple(f"{kind}.tranches" for kind in VQSR)
        except JobFailed as error:
            if not (said := _UNFIT.search(error.do)):
                raise
            method, why = "hard_filters", f"{why}, but VQSR failed on these data: {said[0]}"
    work.log(f"{work.partition}: {method}: {why}")
    if method == "hard_filters":
        work.run(_hard_filter(work, name, bases))
    for path in (raw, raw.with_name(f"{_RAW}.tbi")):
        path.unlink()
    return method, why, kept


def _raw(work: Work) -> Input:
    return Input(str(work.destination / _RAW), companions=(f"{_RAW}.tbi",))


def _hard_filter(work: Work, name: str, bases: int) -> Job:
    filters = " ".join(
        f"--filter-name {{parameters.name{i}}} --filter-expression {{parameters.rule{i}}}"
        for i in range(len(HARD_FILTERS))
    )
    return Job(
        name="hard_filter",
        image=tools.IMAGE,
        command=f"""
gatk --java-options {{parameters.java}} VariantFiltration -R {{inputs.reference}} -V {{inputs.raw}} \\
  -O filtered.vcf.gz {filters} --tmp-dir . --add-output-vcf-command-line false --verbosity ERROR
{_FINISH}""",
        inputs={
            "raw": _raw(work),
            "reference": tools.fasta(str(work.file(REFERENCES.key, name, f"{name}.fa")), name),
        },
        outputs=_JOINT_VCF,
        parameters={
            "java": tools.java(_JVM_MIB, bases),
            **{f"name{i}": n for i, (n, _) in enumerate(HARD_FILTERS)},
            **{f"rule{i}": r for i, (_, r) in enumerate(HARD_FILTERS)},
        },
        tools=tools.GATK | tools.BCFTOOLS | tools.TABIX,
        cores=1,
        memory_mib=_JVM_MIB + 1_000,
        minutes=30,
    )


def _vqsr(work: Work, name: str, roles: Mapping[str, str], bases: int) -> Job:
    """VariantRecalibrator for SNPs and for indels, on sites without genotypes, then ApplyVQSR for both."""
    models = ""
    for kind, model in VQSR.items():
        given = [role for role in model.resources if role in roles]
        resources = " ".join(f"--resource:{r.removeprefix('vqsr_')},{model.resources[r]} {{inputs.{r}}}" for r in given)
        annotations = " ".join(f"-an {a}" for a in (*model.annotations, *(() if "targets" in roles else ("DP",))))
        cuts = " ".join(f"-tranche {t}" for t in model.tranches)
        models += f"recalibrate {kind} --max-gaussians {model.gaussians} {annotations} {cuts} \\\n  {resources}\n"
    apply = "".join(
        f"gatk --java-options {{parameters.java}} ApplyVQSR -V {before} --recal-file {kind}.recal "
        f"--tranches-file {{outputs.{kind}}} -mode {kind} --truth-sensitivity-filter-level {VQSR[kind].sensitivity} "
        f"-O {after} --tmp-dir . --add-output-vcf-command-line false --verbosity WARNING\n"
        for kind, before, after in (
            ("INDEL", "{inputs.raw}", "indels.vcf.gz"),
            ("SNP", "indels.vcf.gz", "filtered.vcf.gz"),
        )
    )
    needed = {role for model in VQSR.values() for role in model.resources if role in roles}
    return Job(
        name="vqsr",
        image=tools.IMAGE,
        command=f"""
bcftools view --no-version -G -Oz -o sites.vcf.gz {{inputs.raw}}
bcftools index --tbi sites.vcf.gz
recalibrate() {{
  local kind=$1; shift
  gatk --java-options {{parameters.java}} VariantRecalibrator -V sites.vcf.gz -mode $kind "$@" \\
    --trust-all-polymorphic -O $kind.recal --tranches-file $kind.tranches --tmp-dir . \\
    --add-output-vcf-command-line false 2>&1 | tee $kind.log
  if grep -F 'Training with very few variant sites' $kind.log; then exit 1; fi
  sed -n "s/.*Training with \\([0-9]*\\) variants after.*/\\1 $kind training sites/p" $kind.log >> told.txt
}}
{models}{apply}{_FINISH}paste -sd, told.txt > {{outputs.told}}
""",
        inputs={
            "raw": _raw(work),
            **{
                role: Input(
                    str(work.file(ANNOTATION_SOURCES.key, name, roles[role])), companions=(f"{roles[role]}.tbi",)
                )
                for role in sorted(needed)
            },
        },
        outputs={**_JOINT_VCF, "told": "vqsr.txt", **{kind: f"{kind}.tranches" for kind in VQSR}},
        parameters={"java": tools.java(_JVM_MIB, bases)},
        tools=tools.GATK | tools.BCFTOOLS | tools.TABIX,
        cores=1,
        memory_mib=_JVM_MIB + 1_000,
        minutes=120,
    )


def _gvcfs(work: Work, samples: list[str]) -> tuple[Input, ...]:
    paths = [work.file(GVCFS.key, s, f"{s}.g.vcf.gz") for s in samples]
    return tuple(Input(str(p), companions=(f"{p.name}.tbi",)) for p in paths)


# Allele counts, which these leave out; records without a verdict have passed the filters that left others out.
_PASSED = f"""bcftools +fill-tags --no-version - -- -t AC,AN | {_CLEAN} \\
  | awk -v OFS='\\t' '!/^#/ && $7 == "." {{ $7 = "PASS" }} 1' | bgzip > {{outputs.vcf}}
bcftools index --tbi {{outputs.vcf}}
"""


def _glnexus(work: Work, samples: list[str], caller: str) -> Job:
    """GLnexus with its preset for DeepVariant. Source: google/deepvariant, docs/trio-merge-case-study.md."""
    return Job(
        name="joint_genotype",
        image=tools.IMAGE,
        command=f"""
all=({{inputs.gvcfs}})
glnexus_cli --config {caller.replace(" ", "")} --dir glnexus --threads {{cores}} "${{all[@]}}" > joint.bcf
bcftools view --no-version joint.bcf | {_PASSED}""",
        inputs={"gvcfs": _gvcfs(work, samples)},
        outputs=_JOINT_VCF,
        tools=tools.GLNEXUS | tools.BCFTOOLS | tools.TABIX,
        cores=work.settings.cores,
        memory_mib=16_000,
        minutes=240,
    )


def _dragen(work: Work, name: str, samples: list[str]) -> Job:
    """Source: DRAGEN user guide v4.5, "Population Genotyping", iterative gVCF Genotyper in one step."""
    return Job(
        name="joint_genotype",
        image=tools.IMAGE,
        command=f"""
all=({{inputs.gvcfs}})
printf '%s\\n' "${{all[@]}}" > gvcfs.txt
mkdir joint
dragen --enable-gvcf-genotyper-iterative true --ht-reference {{inputs.reference}} --variant-list gvcfs.txt \\
  --output-directory joint --output-file-prefix joint --intermediate-results-dir .
bcftools view --no-version joint/joint.vcf.gz | {_PASSED}""",
        inputs={
            "gvcfs": _gvcfs(work, samples),
            "reference": tools.fasta(str(work.file(REFERENCES.key, name, f"{name}.fa")), name),
        },
        outputs=_JOINT_VCF,
        tools=tools.DRAGEN | tools.BCFTOOLS | tools.TABIX,
        cores=work.settings.cores,
        memory_mib=64_000,
        minutes=240,
    )


def _passing(path: Path) -> tuple[int, int]:
    from cyvcf2 import VCF  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - it has none

    records = passing = 0
    for record in VCF(str(path)):  # pyright: ignore[reportUnknownVariableType]
        records += 1
        passing += record.FILTER is None  # pyright: ignore[reportUnknownMemberType] - cyvcf2: None is PASS
    return records, passing
