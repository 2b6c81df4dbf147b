"""gVCFs, joint genotyping and filtering with GATK."""

from pathlib import Path

import polars as pl

from lsdata.catalog.genomics import ALIGNMENTS, GVCFS, JOINT_CALLS, REFERENCES
from lsdata.compute import Input, Job
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, MissingData
from lsdata.genomics import reference, tools
from lsdata.lake.work import Outcome, Work

_JVM_MIB = 3_000


def gvcf(work: Work, alignments: pl.LazyFrame, references: pl.LazyFrame) -> Outcome:
    """GATK HaplotypeCaller -ERC GVCF over the whole reference, and bcftools stats of its variant records."""
    sample = work.partition
    name = alignments.select("reference").collect().item()
    _, bases = reference.facts(references.collect(), name)
    cram = work.file(ALIGNMENTS.key, sample, f"{sample}.cram")
    job = Job(
        name="call_gvcf",
        image=tools.IMAGE,
        command="""
gatk --java-options {parameters.java} HaplotypeCaller -R {inputs.reference} -I {inputs.cram} -O {outputs.gvcf} \
  -ERC GVCF --native-pair-hmm-threads {cores} --add-output-vcf-command-line false --tmp-dir . --verbosity WARNING
bcftools view --no-version -i 'N_ALT > 1' {outputs.gvcf} | bcftools stats --fasta-ref {inputs.reference} - \
  > {outputs.stats}
""",
        inputs={
            "cram": Input(str(cram), companions=(f"{cram.name}.crai",)),
            "reference": tools.fasta(str(work.file(REFERENCES.key, name, f"{name}.fa")), name),
        },
        outputs={
            "gvcf": f"{sample}.g.vcf.gz",
            "tbi": f"{sample}.g.vcf.gz.tbi",
            "stats": f"{sample}.bcftools_stats.txt",
        },
        parameters={"java": tools.java(_JVM_MIB, bases)},
        tools=tools.GATK | tools.BCFTOOLS,
        cores=work.settings.cores,
        memory_mib=_JVM_MIB + 1_000,
        minutes=240,
    )
    made = work.run(job)
    stats = work.destination / f"{sample}.bcftools_stats.txt"
    # The command line it starts with has paths of the machine; MultiQC takes the sample's name from this line.
    told = [line for line in stats.read_text().splitlines() if not line.startswith("# The command line")]
    stats.write_text("\n".join(told).replace("<STDIN>", sample) + "\n")
    variants, blocks = _records(work.destination / f"{sample}.g.vcf.gz")
    row = {
        "sample_id": sample,
        "reference": name,
        "caller": f"GATK HaplotypeCaller {made.tool_versions['gatk']}",
        "variant_records": variants,
        "reference_blocks": blocks,
        "gvcf_sha256": made.outputs["gvcf"].sha256,
    }
    return Outcome(
        rows=pl.DataFrame([row], schema=arrow.polars_schema(GVCFS)),
        files=tuple(job.outputs.values()),
        notes={"cpu_seconds": made.cpu_seconds, "peak_mib": made.peak_memory_bytes / 2**20},
    )


def _records(path: Path) -> tuple[int, int]:
    """Records with a called alternate, and reference blocks."""
    import gzip

    variants = blocks = 0
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if not line.startswith("#"):
                if line.split("\t", 5)[4] == "<NON_REF>":
                    blocks += 1
                else:
                    variants += 1
    return variants, blocks


# -- joint genotyping --------------------------------------------------------------------------------------------------

VQSR_SAMPLES = 30
"""VQSR needs at least 30 exomes, or one genome with millions of sites: GATK, "Variant Quality Score Recalibration
(VQSR)", section "How much data"; "Hard-filtering germline short variants" for the rest."""

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


def filtering(samples: int, truth_sites: bool) -> tuple[str, str]:
    """VQSR or hard filters, and why."""
    if samples < VQSR_SAMPLES:
        return "hard_filters", f"{samples} samples; GATK asks for {VQSR_SAMPLES} or more for VQSR"
    if not truth_sites:
        return "hard_filters", "no truth sites (HapMap, Omni) are registered, which VQSR is trained on"
    return "VQSR", f"{samples} samples and registered truth sites"


def joint_calls(
    work: Work,
    cohorts: pl.LazyFrame,
    gvcfs: pl.LazyFrame,
    references: pl.LazyFrame,
    annotation_sources: pl.LazyFrame,
) -> Outcome:
    """GenomicsDBImport, GenotypeGVCFs and filters over the members that have a gVCF.

    When the last call set holds the same gVCFs and some are new, only those are imported; otherwise all are.

    Raises:
        MissingData: no member has a gVCF.
        InvalidInput: the members are aligned to different references.
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
    names = called["reference"].unique().to_list()
    if len(names) > 1:
        raise InvalidInput(
            f"cohort {cohort}",
            code="references_differ",
            found=f"members on {', '.join(sorted(names))}",
            allowed="one reference per cohort",
            do="Realign, or split the cohort.",
        )
    name: str = names[0]
    genome = references.filter(pl.col("reference") == name).collect()
    bases = int(genome["length_bp"].sum())
    before = _imported(work, cohort, name)
    now = dict(called.select("sample_id", "gvcf_sha256").iter_rows())
    new = [s for s in now if s not in before]
    update = bool(before) and bool(new) and all(now.get(s) == sha for s, sha in before.items())
    method, why = filtering(len(now), truth_sites=False)
    importing = new if update else list(now)
    work.log(f"{cohort}: importing {len(importing)} of {len(now)} gVCFs; {method}: {why}")
    job = _genotype(work, cohort, name, genome, importing, update, bases)
    made = work.run(job)
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
        pl.lit(f"GATK GenotypeGVCFs {made.tool_versions['gatk']}").alias("caller"),
        pl.lit(records, pl.Int64).alias("records"),
        pl.lit(passing, pl.Int64).alias("records_pass"),
    )
    return Outcome(
        rows=rows.select(JOINT_CALLS.names),
        files=tuple(job.outputs.values()),
        notes={"samples": float(len(now)), "filtering": f"{method}: {why}", "cpu_seconds": made.cpu_seconds},
    )


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
    paths = [work.file(GVCFS.key, s, f"{s}.g.vcf.gz") for s in importing]
    contigs = [(str(c), int(n)) for c, n in genome.select("contig", "length_bp").iter_rows()]
    groups = shards(contigs)
    filters = " ".join(
        f"--filter-name {{parameters.name{i}}} --filter-expression {{parameters.rule{i}}}"
        for i in range(len(HARD_FILTERS))
    )
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
bcftools concat --no-version -Oz -o raw.vcf.gz {" ".join(f"shard{i}.vcf.gz" for i in range(len(groups)))}
bcftools index --tbi raw.vcf.gz
gatk --java-options {{parameters.java}} VariantFiltration -R {{inputs.reference}} -V raw.vcf.gz -O filtered.vcf.gz \\
  {filters} --tmp-dir . --add-output-vcf-command-line false --verbosity ERROR
bcftools view --no-version filtered.vcf.gz | grep -v '^##bcftools_\\|^##GATKCommandLine\\|^##source=' \\
  | bgzip > {{outputs.vcf}}
bcftools index --tbi {{outputs.vcf}}
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf {{outputs.workspace}} db
"""
    inputs: dict[str, str | Input | tuple[Input, ...]] = {
        "gvcfs": tuple(Input(str(p), companions=(f"{p.name}.tbi",)) for p in paths),
        "reference": tools.fasta(str(work.file(REFERENCES.key, name, f"{name}.fa")), name),
    }
    if update:
        inputs["workspace"] = str(work.file(JOINT_CALLS.key, cohort, "genomicsdb.tar"))
    return Job(
        name="joint_genotype",
        image=tools.IMAGE,
        command=command,
        inputs=inputs,
        outputs={"vcf": "joint.vcf.gz", "tbi": "joint.vcf.gz.tbi", "workspace": "genomicsdb.tar"},
        parameters={
            "java": tools.java(_JVM_MIB, bases),
            **{f"contig{i}": c for i, (c, _) in enumerate(contigs)},
            **{f"name{i}": n for i, (n, _) in enumerate(HARD_FILTERS)},
            **{f"rule{i}": r for i, (_, r) in enumerate(HARD_FILTERS)},
        },
        tools=tools.GATK | tools.BCFTOOLS | tools.TABIX,
        cores=work.settings.cores,
        memory_mib=_JVM_MIB * work.settings.cores + 1_000,
        minutes=240,
    )


def _passing(path: Path) -> tuple[int, int]:
    from cyvcf2 import VCF  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - it has none

    records = passing = 0
    for record in VCF(str(path)):  # pyright: ignore[reportUnknownVariableType]
        records += 1
        passing += record.FILTER is None  # pyright: ignore[reportUnknownMemberType] - cyvcf2: None is PASS
    return records, passing
