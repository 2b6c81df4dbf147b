"""FastQC, MultiQC and the long table of sample metrics."""

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from lsdata.catalog.genomics import ALIGNMENTS, FASTQ_QC, GVCFS, RUN_REPORTS, SAMPLE_METRICS
from lsdata.compute import Job
from lsdata.derived import arrow
from lsdata.genomics import tools
from lsdata.lake.work import Outcome, Work

_BASIC = {
    "Total Sequences": ("total_sequences", "count"),
    "Sequences flagged as poor quality": ("poor_quality_sequences", "count"),
    "%GC": ("gc_percent", "percent"),
}


def fastq_qc(work: Work, fastq_manifest: pl.LazyFrame) -> Outcome:
    """FastQC of every accepted FASTQ of a run and one MultiQC report over them."""
    run_id = work.partition
    files = fastq_manifest.sort("path").select("path", "sample_id").collect()
    local = {path: work.landing.local(f"sequencing/{run_id}/{path}") for path in files["path"].to_list()}
    if files.is_empty():
        return Outcome(rows=arrow.empty(FASTQ_QC))
    names = _names(local)
    reports = {path: f"{name.partition('.fastq')[0]}_fastqc" for path, name in names.items()}
    job = Job(
        name="fastqc",
        image=tools.IMAGE,
        command="\n".join(
            [
                "mkdir -p in fastqc",
                *(f"ln -s {{inputs.f{i}}} in/{{parameters.n{i}}}" for i in range(len(names))),
                # A link to a name that the shell sorts: FastQC writes beside --outdir, one thread per file.
                "fastqc --quiet --threads {cores} --dir . --outdir fastqc in/*",
                *_multiqc("{outputs.multiqc}", "fastqc", "{parameters.title}"),
            ]
        ),
        inputs={f"f{i}": str(local[path]) for i, path in enumerate(names)},
        outputs={
            "multiqc": "multiqc_report.html",
            **{f"h{i}": f"fastqc/{reports[path]}.html" for i, path in enumerate(names)},
            **{f"z{i}": f"fastqc/{reports[path]}.zip" for i, path in enumerate(names)},
        },
        parameters={"title": run_id, **{f"n{i}": name for i, name in enumerate(names.values())}},
        tools=tools.FASTQC | tools.MULTIQC,
        cores=work.settings.cores,
        memory_mib=1_500,
        minutes=30,
    )
    work.run(job)
    rows: list[dict[str, Any]] = []
    for path, sample in files.iter_rows():
        data = _fastqc(work.destination / "fastqc" / f"{reports[path]}.zip")
        rows += [{"run_id": run_id, "sample_id": sample, "path": path, **row} for row in data]
    return Outcome(rows=pl.DataFrame(rows, schema=arrow.polars_schema(FASTQ_QC)), files=tuple(job.outputs.values()))


def _names(files: Mapping[str, Path]) -> dict[str, str]:
    """For each file a name of its own in one folder, of plain characters, whose ending is true: FastQC goes by it."""
    names: dict[str, str] = {}
    for number, (path, local) in enumerate(files.items()):
        stem = re.sub(r"(?i)\.(fastq|fq)(\.gz)?$", "", path)
        plain = re.sub(r"[^A-Za-z0-9_+=@-]", "_", stem.replace("/", "__")).lstrip("-")
        with local.open("rb") as stream:
            ending = ".fastq.gz" if stream.read(2) == b"\x1f\x8b" else ".fastq"
        taken = {name.partition(".")[0] for name in names.values()}
        names[path] = (f"{plain}__{number}" if plain in taken else plain) + ending
    return names


def _multiqc(report: str, folder: str, title: str) -> list[str]:
    # The report names the folder it was made in; only what lies below it is for others.
    return [
        f"multiqc --quiet --force --no-data-dir --no-version-check --title {title} --filename {report} {folder}",
        f'sed -i "s#$PWD/##g; s#$PWD##g" {report}',
    ]


def _fastqc(path: Path) -> Iterable[dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        member = next(n for n in archive.namelist() if n.endswith("/fastqc_data.txt"))
        lines = archive.read(member).decode("utf-8", "replace").splitlines()
    for line in lines:
        if line.startswith(">>") and not line.startswith(">>END_MODULE"):
            module, verdict = line[2:].split("\t")
            yield {"metric": module, "value": None, "unit": "verdict", "verdict": verdict}
        elif line.startswith("#Total Deduplicated Percentage"):
            yield _number("deduplicated_percent", line.split("\t")[1], "percent")
        elif line.split("\t")[0] in _BASIC:
            name, unit = _BASIC[line.split("\t")[0]]
            yield _number(name, line.split("\t")[1], unit)


def _number(metric: str, value: str, unit: str) -> dict[str, Any]:
    return {"metric": metric, "value": float(value), "unit": unit, "verdict": None}


def run_reports(
    work: Work,
    fastq_manifest: pl.LazyFrame,
    fastq_qc: pl.LazyFrame,
    alignments: pl.LazyFrame,
    gvcfs: pl.LazyFrame,
) -> Outcome:
    """One MultiQC report over FastQC, samtools stats, flagstat, markdup and bcftools stats of a run's samples."""
    run_id = work.partition
    samples = fastq_manifest.select("sample_id").unique().sort("sample_id").collect().to_series().to_list()
    checked = set(fastq_qc.select("sample_id").unique().collect().to_series())
    aligned = set(alignments.select("sample_id").collect().to_series())
    called = set(gvcfs.select("sample_id").collect().to_series())
    folder = work.lake.folder(FASTQ_QC.key, run_id) / "fastqc"
    inputs = [str(p) for p in sorted(folder.glob("*.zip"))]
    for sample in samples:
        inputs += [
            str(work.file(ALIGNMENTS.key, sample, f"{sample}.{kind}.txt"))
            for kind in ("stats", "flagstat", "markdup")
            if sample in aligned
        ]
        inputs += [str(work.file(GVCFS.key, sample, f"{sample}.bcftools_stats.txt"))] if sample in called else []
    job = Job(
        name="multiqc",
        image=tools.IMAGE,
        command="\n".join(
            [
                "mkdir in",
                "all=({inputs.files})",
                'for f in "${all[@]}"; do ln -s "$f" in/; done',
                *_multiqc("{outputs.report}", "in", "{parameters.title}"),
            ]
        ),
        inputs={"files": inputs},
        outputs={"report": "multiqc_report.html"},
        parameters={"title": run_id},
        tools=tools.MULTIQC,
        cores=1,
        memory_mib=2_000,
        minutes=10,
    )
    work.run(job)
    rows = [
        {"run_id": run_id, "sample_id": s, "fastqc": s in checked, "alignment": s in aligned, "calls": s in called}
        for s in samples
    ]
    return Outcome(rows=pl.DataFrame(rows, schema=arrow.polars_schema(RUN_REPORTS)), files=("multiqc_report.html",))


def sample_metrics(
    fastq_manifest: pl.LazyFrame, alignments: pl.LazyFrame, gvcfs: pl.LazyFrame, target_coverage: pl.LazyFrame
) -> pl.LazyFrame:
    """Every number that is known about a sample, a row each: a function of frames, over any number of samples."""
    reads = fastq_manifest.group_by("sample_id").agg(
        pl.col("reads", "bases").sum(),
        (pl.col("q30_bases").sum() / pl.col("bases").sum()).alias("q30_fraction"),
        (pl.col("gc_bases").sum() / pl.col("bases").sum()).alias("gc_fraction"),
        pl.col("max_len").max().alias("read_length_max"),
    )
    parts = [
        _long(
            reads,
            "fastq_",
            "fastq pass",
            {
                "reads": "count",
                "bases": "count",
                "q30_fraction": "fraction",
                "gc_fraction": "fraction",
                "read_length_max": "bp",
            },
        ),
        _long(alignments, "", "samtools", {c.name: c.unit or "" for c in ALIGNMENTS.columns if c.unit}),
        _long(gvcfs, "", "gatk", {c.name: c.unit or "" for c in GVCFS.columns if c.unit}),
        target_coverage.select(
            "sample_id",
            pl.lit("coverage_mean").alias("metric"),
            pl.concat_str(
                pl.col("target"), pl.lit(" "), pl.col("chrom"), pl.lit(":"), pl.col("start"), pl.lit("-"), pl.col("end")
            ).alias("scope"),
            pl.col("coverage_mean_x").alias("value"),
            pl.lit("x").alias("unit"),
            pl.lit("samtools").alias("tool"),
        ),
    ]
    return pl.concat(parts).select(SAMPLE_METRICS.names)


def _long(frame: pl.LazyFrame, prefix: str, tool: str, units: dict[str, str]) -> pl.LazyFrame:
    return (
        frame.select("sample_id", pl.col(list(units)).cast(pl.Float64))
        .unpivot(index="sample_id", variable_name="metric", value_name="value")
        .with_columns(
            pl.col("metric").replace_strict(units, return_dtype=pl.String).alias("unit"),
            (pl.lit(prefix) + pl.col("metric")).alias("metric"),
            pl.lit("sample").alias("scope"),
            pl.lit(tool).alias("tool"),
        )
        .select(SAMPLE_METRICS.names)
    )
