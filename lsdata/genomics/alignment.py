"""Reads to CRAM, and the numbers one looks at first."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from lsdata.catalog.genomics import ALIGNMENTS, ANNOTATION_SOURCES, REFERENCES, TARGET_COVERAGE
from lsdata.compute import Input, Job
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, MissingData, SettingError
from lsdata.genomics import reference, tools
from lsdata.lake.landing import LandingZone
from lsdata.lake.work import Outcome, Work
from lsdata.settings import Aligner

CRAM_VERSION = "3.0"
"""3.1 would be a tenth smaller, but GATK 4.6.2.0 (htsjdk 4.2.0) refuses it."""


def align(work: Work, fastq_manifest: pl.LazyFrame, references: pl.LazyFrame) -> Outcome:
    """Align all lanes of a sample in one pipe to a CRAM with duplicates marked, and measure it.

    Raises:
        SettingError: it is not clear which reference to use, or the reference has no index of the aligner.
    """
    sample = work.partition
    files = fastq_manifest.sort("run_id", "lane", "chunk", "read").collect()
    genomes = references.collect()
    named = files["reference"].drop_nulls().unique().to_list()
    name = reference.chosen(genomes, named, work.settings.reference)
    fasta_sha256, bases = reference.facts(genomes, name)
    fasta = work.file(REFERENCES.key, name, f"{name}.fa")
    lanes = _lanes(files, work.landing)
    aligner, cores = work.settings.aligner, work.settings.cores
    _expect_index(work, aligner, name)
    job = align_job(aligner, sample, lanes, work.staging.rows / "read_groups.txt", str(fasta), name, cores)
    made = work.run(job)
    measured = work.run(_measure(sample, work.destination / f"{sample}.cram", fasta, name, cores))
    _expect_reference(work.destination / f"{sample}.header.txt", genomes, name)
    numbers = _numbers(work.destination, sample, bases)
    versions = ", ".join(f"{tool} {version}" for tool, version in sorted(made.tool_versions.items()))
    row = {
        "sample_id": sample,
        "reference": name,
        "reference_sha256": fasta_sha256,
        "aligner": versions,
        "cram_version": CRAM_VERSION,
        **numbers,
    }
    return Outcome(
        rows=pl.DataFrame([row], schema=arrow.polars_schema(ALIGNMENTS)),
        files=(*job.outputs.values(), *measured_files(sample)),
        notes={
            "align_cpu_seconds": made.cpu_seconds,
            "align_peak_mib": made.peak_memory_bytes / 2**20,
            "measure_cpu_seconds": measured.cpu_seconds,
        },
    )


Lane = Mapping[str, Any]


def _lanes(files: pl.DataFrame, landing: LandingZone) -> list[Lane]:
    """One item per pair of files (or single file), in order, with a read group id that is unique in the sample."""
    lanes: list[Lane] = []
    # A flow cell may be delivered twice, say demultiplexed anew: then the run tells its lanes apart.
    several = files.group_by("flowcell").agg(pl.col("run_id").n_unique()).filter(pl.col("run_id") > 1)["flowcell"]
    for (run_id, lane, chunk), part in files.group_by(["run_id", "lane", "chunk"], maintain_order=True):
        paths = dict(part.select("read", "path").iter_rows())
        flowcell = part["flowcell"][0] or str(run_id)
        unit = str(run_id) if flowcell in several else flowcell
        lanes.append(
            {
                "id": f"{unit}.{lane}" + (f".{chunk}" if chunk != 1 else ""),
                "unit": f"{flowcell}.{lane}",
                "r1": str(landing.local(f"sequencing/{run_id}/{paths['R1']}")),
                "r2": str(landing.local(f"sequencing/{run_id}/{paths['R2']}")) if "R2" in paths else None,
            }
        )
    return lanes


def _read_group(sample: str, lane: Lane) -> str:
    return f"@RG\tID:{lane['id']}\tSM:{sample}\tLB:{sample}\tPL:ILLUMINA\tPU:{lane['unit']}.{sample}"


_MEM: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "bwa": ("bwa mem", tools.BWA),
    "bwa-mem2": ("bwa-mem2 mem", tools.BWA_MEM2),
    "bwa-mem3": ("bwa-mem3 mem --compat=bwa-mem2", tools.BWA_MEM3),
    "sentieon": ("sentieon bwa mem", tools.SENTIEON),
}
"""The aligners with bwa's command line, whose records equal those of bwa 0.7.17.

Sources: bwa-mem2, README ("Output should match original bwa-mem version 0.7.17"); bwa-mem3, README, "Three ways to run
it" (docs/decisions/0011-bwa-mem3.md has what was measured); Sentieon manual, "BWA binary".
"""


def align_job(aligner: Aligner, sample: str, lanes: list[Lane], header: Path, fasta: str, name: str, cores: int) -> Job:
    """The configured aligner over every lane, into one pipe: fixmate, sort, markdup, CRAM.

    The header is written once, from the reference's dictionary and all read groups: it names the reference by MD5 and
    carries no path of the machine: samtools takes the FASTA beside it from there (and REF_PATH keeps it off the
    network), since --reference would write the scratch folder's path into the CRAM. `-K` makes the result independent
    of the number of threads, `-Y` soft-clips supplementary alignments, as the functional equivalence specification
    asks (doi:10.1038/s41467-018-06159-4).
    """
    aligned, versions = _dragen(lanes) if aligner == "dragen" else _bwa_mem(aligner, lanes, name)
    command = f"""
reference={{inputs.reference}}
for f in "$(dirname "$reference")"/{shlex.quote(name)}.*; do ln -s "$f" .; done
{{ grep '^@SQ' {shlex.quote(name)}.dict; cat {{inputs.header}}; }} > header.txt
{aligned} | samtools fixmate -m -u - - \\
  | samtools sort -u -@ {{cores}} -T sorting - \\
  | REF_PATH=. samtools markdup -f {{outputs.markdup}} -O cram,version={CRAM_VERSION} - {{outputs.cram}}
samtools index {{outputs.cram}} {{outputs.crai}}
"""
    # bwa's family writes the read group of its own call to the header; those of the other lanes are given to it.
    groups = [_read_group(sample, lane) for lane in lanes]
    header.write_text("".join(f"{group}\n" for group in (groups if aligner == "dragen" else groups[1:])))
    if aligner == "dragen":
        told = {f"g{i}": f"{lane['id']},{sample},{sample},{i + 1}" for i, lane in enumerate(lanes)} | {"sample": sample}
    else:
        told = {f"g{i}": group.replace("\t", "\\t") for i, group in enumerate(groups)}
    return Job(
        name="align",
        image=tools.IMAGE,
        command=command,
        inputs={
            "reference": tools.fasta(fasta, name, aligner),
            "header": str(header),
            **{f"r{i}": tuple(x for x in (lane["r1"], lane["r2"]) if x) for i, lane in enumerate(lanes)},
        },
        outputs={"cram": f"{sample}.cram", "crai": f"{sample}.cram.crai", "markdup": f"{sample}.markdup.txt"},
        parameters=told,
        tools={**versions, **tools.SAMTOOLS},
        cores=cores,
        memory_mib=8_000,
        minutes=60,
    )


def _bwa_mem(aligner: str, lanes: list[Lane], name: str) -> tuple[str, Mapping[str, str]]:
    links = "\n".join(f'mkdir l{i}; for f in {{inputs.r{i}}}; do ln -s "$f" l{i}/; done' for i in range(len(lanes)))
    calls = "\n".join(
        f"  align -R {{parameters.g{i}}} {shlex.quote(name)}.fa l{i}/*" + (" | grep -v '^@'" if i else "")
        for i in range(len(lanes))
    )
    mem, versions = _MEM[aligner]
    return (
        f'{links}\nalign() {{ {mem} -Y -K 10000000 -t {{cores}} -v 2 -H header.txt "$@"; }}\n{{\n{calls}\n}}',
        versions,
    )


def _dragen(lanes: list[Lane]) -> tuple[str, Mapping[str, str]]:
    """DRAGEN's mapper alone; duplicates are marked as for every aligner, and the header is ours, without its paths.

    Source: DRAGEN user guide v4.4, "DNA Germline WGS" recipe, and "FASTQ list" for the columns.
    """
    rows = "\n".join(
        f'  reads=({{inputs.r{i}}}); printf \'%s,%s,%s\\n\' {{parameters.g{i}}} "${{reads[0]}}" "${{reads[1]:-}}"'
        for i in range(len(lanes))
    )
    return (
        f"""mkdir hash mapped; tar -xf "$reference".dragen.tar -C hash
{{
  echo RGID,RGSM,RGLB,Lane,Read1File,Read2File
{rows}
}} > lanes.csv
dragen --ref-dir hash --output-directory mapped --output-file-prefix mapped --intermediate-results-dir . \\
  --fastq-list lanes.csv --fastq-list-sample-id {{parameters.sample}} --enable-map-align true \\
  --enable-map-align-output true --enable-sort false --enable-duplicate-marking false --output-format BAM
samtools reheader header.txt mapped/mapped.bam | samtools collate -u -O -@ {{cores}} - collating""",
        tools.DRAGEN,
    )


def measured_files(sample: str) -> tuple[str, ...]:
    """Names of the files of measurements."""
    return tuple(f"{sample}.{kind}.txt" for kind in ("stats", "flagstat", "coverage", "header"))


def _measure(sample: str, cram: Path, fasta: Path, name: str, cores: int) -> Job:
    return Job(
        name="measure_alignment",
        image=tools.IMAGE,
        command="""
cram={inputs.cram}; reference={inputs.reference}
ln -s "$cram" {parameters.sample}.cram; ln -s "$cram".crai {parameters.sample}.cram.crai
ln -s "$reference" {parameters.reference}.fa; ln -s "$reference".fai {parameters.reference}.fa.fai
samtools view -H --no-PG {parameters.sample}.cram > {outputs.header}
samtools stats -@ {cores} --remove-dups --coverage 1,2000,1 --reference {parameters.reference}.fa \
  {parameters.sample}.cram > {outputs.stats}
samtools flagstat -@ {cores} -O json {parameters.sample}.cram > {outputs.flagstat}
samtools coverage --reference {parameters.reference}.fa {parameters.sample}.cram > {outputs.coverage}
""",
        inputs={
            "cram": Input(str(cram), companions=(f"{cram.name}.crai",)),
            "reference": tools.fasta(str(fasta), name),
        },
        outputs=dict(zip(("stats", "flagstat", "coverage", "header"), measured_files(sample), strict=True)),
        parameters={"sample": sample, "reference": name},
        tools=tools.SAMTOOLS,
        cores=cores,
        memory_mib=2_000,
        minutes=15,
    )


def _expect_index(work: Work, aligner: Aligner, name: str) -> None:
    try:
        for suffix in tools.INDEXES[aligner].suffixes:
            work.file(REFERENCES.key, name, f"{name}.fa.{suffix}")
    except MissingData as error:
        raise SettingError(
            f"LSDATA_ALIGNER={aligner}",
            found=f"reference {name} was registered without its index",
            allowed="a reference that was registered with this setting",
            do=f"Materialize {REFERENCES.key} [{name}] again.",
        ) from error


def _expect_reference(header: Path, genomes: pl.DataFrame, name: str) -> None:
    """The CRAM names exactly the registered contigs, by MD5.

    Raises:
        InvalidInput: it does not: the aligner's index is of another reference.
    """
    registered = {(c, m) for c, m in genomes.filter(reference=name).select("contig", "md5").iter_rows()}
    written: set[tuple[str, str]] = set()
    for line in header.read_text().splitlines():
        if line.startswith("@SQ"):
            told = dict(field.split(":", 1) for field in line.split("\t")[1:])
            written.add((told["SN"], told.get("M5", "")))
    if written != registered:
        raise InvalidInput(
            f"reference {name}",
            code="reference_differs",
            found=f"{len(written - registered)} contigs in the CRAM that are not the registered ones",
            allowed="contigs with the registered MD5",
            do="Register the reference again.",
        )


def _numbers(folder: Path, sample: str, bases: int) -> dict[str, float | int | None]:
    flags: dict[str, Any] = json.loads((folder / f"{sample}.flagstat.txt").read_text())["QC-passed reads"]
    summary: dict[str, float] = {}
    covered: dict[int, int] = {}
    for line in (folder / f"{sample}.stats.txt").read_text().splitlines():
        fields = line.split("\t")
        if fields[0] == "SN":
            summary[fields[1].rstrip(":")] = float(fields[2])
        elif fields[0] == "COV":
            covered[int(fields[2])] = int(fields[3])
    coverage = pl.read_csv(folder / f"{sample}.coverage.txt", separator="\t", quote_char=None)
    depth = (coverage["meandepth"] * (coverage["endpos"] - coverage["startpos"] + 1)).sum() / bases
    reads, mapped, duplicates = flags["primary"], flags["primary mapped"], flags["primary duplicates"]
    pairs = flags["properly paired"] > 0
    return {
        "reads": reads,
        "reads_mapped": mapped,
        "reads_properly_paired": flags["properly paired"],
        "reads_duplicate": duplicates,
        "mapped_fraction": mapped / reads if reads else None,
        "duplicate_fraction": duplicates / mapped if mapped else None,
        "insert_size_mean_bp": summary["insert size average"] if pairs else None,
        "insert_size_sd_bp": summary["insert size standard deviation"] if pairs else None,
        "coverage_mean_x": float(depth),
        "coverage_20x_fraction": sum(n for x, n in covered.items() if x >= 20) / bases,
    }


# -- coverage by target ------------------------------------------------------------------------------------------------


def target_coverage(
    work: Work, alignments: pl.LazyFrame, references: pl.LazyFrame, annotation_sources: pl.LazyFrame
) -> Outcome:
    """Depth over each registered target, duplicates left out; over whole contigs where there are no targets."""
    sample = work.partition
    name = alignments.select("reference").collect().item()
    genome = references.filter(pl.col("reference") == name).collect()
    sources = annotation_sources.filter((pl.col("reference") == name) & (pl.col("role") == "targets")).collect()
    if sources.height:
        targets = work.file(ANNOTATION_SOURCES.key, name, "targets.bed")
    else:
        targets = work.staging.rows / "contigs.bed"
        targets.write_text("".join(f"{c}\t0\t{n}\t{c}\n" for c, n in genome.select("contig", "length_bp").iter_rows()))
    cram = work.file(ALIGNMENTS.key, sample, f"{sample}.cram")
    job = Job(
        name="target_coverage",
        image=tools.IMAGE,
        command=r"""
samtools bedcov --reference {inputs.reference} -d 20 {inputs.targets} {inputs.cram} > {outputs.depth}
""",
        inputs={
            "cram": Input(str(cram), companions=(f"{cram.name}.crai",)),
            "reference": tools.fasta(str(work.file(REFERENCES.key, name, f"{name}.fa")), name),
            "targets": str(targets),
        },
        outputs={"depth": "depth.tsv"},
        tools=tools.SAMTOOLS,
        cores=1,
        memory_mib=1_000,
        minutes=10,
    )
    work.run(job)
    depth = pl.read_csv(
        work.destination / "depth.tsv",
        separator="\t",
        quote_char=None,
        has_header=False,
        schema={
            "chrom": pl.String(),
            "start": pl.Int64(),
            "end": pl.Int64(),
            "target": pl.String(),
            "bases": pl.Int64(),
            "covered": pl.Int64(),
        },
    )
    length = pl.col("end") - pl.col("start")
    rows = depth.select(
        pl.lit(sample).alias("sample_id"),
        "chrom",
        "start",
        "end",
        "target",
        (pl.col("bases") / length).alias("coverage_mean_x"),
        (pl.col("covered") / length).alias("coverage_20x_fraction"),
    ).unique(subset=["chrom", "start", "end"], keep="first", maintain_order=True)
    return Outcome(rows=rows.select(TARGET_COVERAGE.names))
