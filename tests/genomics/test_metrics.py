"""Numbers of a sample against reads whose truth is known, and against samtools asked in another way."""

import gzip
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdata.catalog.genomics import (
    ALIGNMENTS,
    ANNOTATION_SOURCES,
    FASTQ_MANIFEST,
    FASTQ_QC,
    GVCFS,
    REFERENCES,
    SAMPLE_METRICS,
    SEQUENCING_RUNS,
    TARGET_COVERAGE,
)
from lsdata.derived import arrow
from lsdata.genomics import alignment, intake, qc, reference
from lsdata.lake.work import Outcome

DRAW = random.Random(11)
LENGTHS = {"1": 6_000, "2": 3_000}
GENOME = {contig: "".join(DRAW.choices("ACGT", k=length)) for contig, length in LENGTHS.items()}
BASES = sum(LENGTHS.values())
COMPLEMENT = str.maketrans("ACGT", "TGCA")
READ, INSERTS = 100, (280, 300, 320)
BED = "1\t0\t1000\tfirst\n1\t500\t600\tsecond\n2\t2900\t3000\n"

Pair = tuple[str, str, str]


def pairs(name: str, n: int, copies: int = 0) -> list[Pair]:
    """n fragments all over the genome, the first `copies` of them twice."""
    made: list[Pair] = []
    for i in range(n):
        contig, insert = ("1", "2")[i % 3 == 0], INSERTS[i % 3]
        start = DRAW.randrange(LENGTHS[contig] - insert)
        fragment = GENOME[contig][start : start + insert]
        made.append((f"{name}:{i}", fragment[:READ], fragment[-READ:].translate(COMPLEMENT)[::-1]))
    return made + [(f"{name}:copy{i}", one, two) for i, (_, one, two) in enumerate(made[:copies])]


def nowhere(name: str, n: int) -> list[Pair]:
    return [
        (f"{name}:{i}", "".join(DRAW.choices("ACGT", k=READ)), "".join(DRAW.choices("ACGT", k=READ))) for i in range(n)
    ]


def fastq(reads: Sequence[Pair], mate: int) -> bytes:
    return gzip.compress("".join(f"@{r[0]}\n{r[mate]}\n+\n{'F' * len(r[mate])}\n" for r in reads).encode())


def run_info(flowcell: str, run: str) -> str:
    return f'<RunInfo><Run Id="{run}"><Flowcell>{flowcell}</Flowcell><Instrument>A1</Instrument></Run></RunInfo>'


def land(
    desk: Any, run: str, flowcell: str, lanes: dict[tuple[str, int], Sequence[Pair]], single: bool = False
) -> None:
    place = f"sequencing/{run}"
    for (sample, lane), reads in lanes.items():
        for mate in (1,) if single else (1, 2):
            desk.land(f"{place}/{sample}_S1_L00{lane}_R{mate}_001.fastq.gz", fastq(reads, mate))
    rows = "".join(f"{lane},{sample}\n" for sample, lane in lanes)
    desk.land(f"{place}/SampleSheet.csv", f"[Data]\nLane,Sample_ID\n{rows}")
    desk.land(f"{place}/RunInfo.xml", run_info(flowcell, run))
    for name, text in {"RunParameters.xml": "<RunParameters/>", "RTAComplete.txt": "", "CopyComplete.txt": ""}.items():
        desk.land(f"{place}/{name}", text)


LANE_1, LANE_2, LANE_3, AGAIN = pairs("a", 900, copies=90), pairs("b", 300), nowhere("n", 60), pairs("c", 200)


@pytest.fixture(scope="module")
def core(shared_desk: Any) -> Any:
    """One sample on three lanes of two deliveries of one flow cell, one of single reads, one of another species."""
    desk = shared_desk
    desk.land("reference/hg/hg.fa", "".join(f">{c}\n{s}\n" for c, s in GENOME.items()))
    desk.land("reference/hg/targets.bed", BED)
    land(desk, "run1", "HX", {("P", 1): LANE_1, ("P", 2): [*LANE_2, *LANE_3]})
    land(desk, "run2", "HX", {("P", 1): AGAIN})
    land(desk, "run3", "HY", {("Q", 1): pairs("q", 300)}, single=True)
    land(desk, "run4", "HZ", {("Z", 1): nowhere("z", 200)})
    assert isinstance(desk.run(REFERENCES, reference.register, "hg"), Outcome)
    assert isinstance(desk.run(ANNOTATION_SOURCES, reference.register_annotation, "hg"), Outcome)
    desk.run(SEQUENCING_RUNS, intake.sequencing_runs)
    for run in ("run1", "run2", "run3", "run4"):
        assert isinstance(desk.run(FASTQ_MANIFEST, intake.fastq_manifest, run), Outcome)
    for sample in ("P", "Q", "Z"):
        assert isinstance(desk.run(ALIGNMENTS, alignment.align, sample), Outcome)
        assert isinstance(desk.run(TARGET_COVERAGE, alignment.target_coverage, sample), Outcome)
    assert desk.codes() == []
    return desk


def numbers(desk: Any, sample: str) -> dict[str, Any]:
    return desk.lake.read(ALIGNMENTS.key, [sample]).collect().row(0, named=True)


def cram(desk: Any, sample: str) -> Path:
    return desk.lake.file(ALIGNMENTS.key, sample, f"{sample}.cram")


def samtools(desk: Any, *arguments: object) -> list[str]:
    environ = {"PATH": desk.runner.path, "REF_PATH": str(desk.lake.file(REFERENCES.key, "hg", "hg.fa"))}
    done = subprocess.run(["samtools", *map(str, arguments)], capture_output=True, check=True, text=True, env=environ)
    return done.stdout.splitlines()


def depths(desk: Any, sample: str) -> dict[tuple[str, int], int]:
    """Depth by contig and 0-based position, duplicates left out."""
    fasta = desk.lake.file(REFERENCES.key, "hg", "hg.fa")
    lines = samtools(desk, "depth", "-aa", "--reference", fasta, cram(desk, sample))
    return {(c, int(p) - 1): int(n) for c, p, n in (line.split("\t") for line in lines)}


def test_counts_are_those_of_the_reads(core: Any) -> None:
    told = numbers(core, "P")
    sent = [*LANE_1, *LANE_2, *LANE_3, *AGAIN]
    assert told["reads"] == 2 * len(sent)
    assert told["reads_mapped"] == told["reads_properly_paired"] == 2 * (len(sent) - len(LANE_3))
    assert told["mapped_fraction"] == pytest.approx((len(sent) - len(LANE_3)) / len(sent))
    # Fragments sent more than once: 90 on purpose, others by chance.
    placed = [(one, two) for _, one, two in [*LANE_1, *LANE_2, *AGAIN]]
    assert told["reads_duplicate"] == 2 * (len(placed) - len(set(placed))) >= 180
    assert told["duplicate_fraction"] == pytest.approx(told["reads_duplicate"] / told["reads_mapped"])
    assert told["insert_size_mean_bp"] == pytest.approx(300, abs=1)
    assert told["insert_size_sd_bp"] == pytest.approx((2 / 3 * 20**2) ** 0.5, abs=1)
    assert (told["reference"], told["cram_version"]) == ("hg", alignment.CRAM_VERSION)
    fasta = core.lake.file(REFERENCES.key, "hg", "hg.fa")
    flags = [int(line.split("\t")[1]) for line in samtools(core, "view", "-T", fasta, cram(core, "P"))]
    assert len(flags) == told["reads"]
    assert sum(bool(flag & 1024) for flag in flags) == told["reads_duplicate"]


@pytest.mark.parametrize("sample", ["P", "Q", "Z"])
def test_coverage_is_the_mean_depth_and_the_share_of_bases_at_20(sample: str, core: Any) -> None:
    told, found = numbers(core, sample), depths(core, sample)
    assert len(found) == BASES
    assert told["coverage_mean_x"] == pytest.approx(sum(found.values()) / BASES, rel=1e-4, abs=1e-9)
    assert told["coverage_20x_fraction"] == pytest.approx(sum(n >= 20 for n in found.values()) / BASES)


@pytest.mark.parametrize("sample", ["P", "Q", "Z"])
def test_targets_are_covered_as_depth_says(sample: str, core: Any) -> None:
    found = depths(core, sample)
    rows = core.lake.read(TARGET_COVERAGE.key, [sample]).collect()
    assert set(rows.select("chrom", "start", "end", "target").rows()) == {
        ("1", 0, 1000, "first"), ("1", 500, 600, "second"), ("2", 2900, 3000, "2:2900-3000"),
    }  # fmt: skip
    for row in rows.iter_rows(named=True):
        here = [found[row["chrom"], p] for p in range(row["start"], row["end"])]
        assert row["coverage_mean_x"] == pytest.approx(sum(here) / len(here))
        assert row["coverage_20x_fraction"] == pytest.approx(sum(n >= 20 for n in here) / len(here))


def test_single_reads_have_no_insert_size(core: Any) -> None:
    told = numbers(core, "Q")
    assert (told["reads"], told["reads_mapped"], told["reads_properly_paired"]) == (300, 300, 0)
    assert told["insert_size_mean_bp"] is told["insert_size_sd_bp"] is None


def test_reads_of_another_species_are_numbers_and_no_crash(core: Any) -> None:
    told = numbers(core, "Z")
    assert (told["reads"], told["reads_mapped"], told["mapped_fraction"]) == (400, 0, 0.0)
    assert told["duplicate_fraction"] is told["insert_size_mean_bp"] is None
    assert (told["coverage_mean_x"], told["coverage_20x_fraction"]) == (0.0, 0.0)


def test_read_groups_are_unique_and_each_read_has_its_own(core: Any) -> None:
    header = samtools(core, "view", "-H", "--no-PG", cram(core, "P"))
    groups = [dict(f.split(":", 1) for f in line.split("\t")[1:]) for line in header if line.startswith("@RG")]
    assert sorted(g["ID"] for g in groups) == ["run1.1", "run1.2", "run2.1"]
    assert {g["SM"] for g in groups} == {"P"}
    assert sorted(g["PU"] for g in groups) == ["HX.1.P", "HX.1.P", "HX.2.P"]
    assert str(core.lake.settings.home) not in "".join(header)
    fasta = core.lake.file(REFERENCES.key, "hg", "hg.fa")
    for group, sent in (("run1.1", LANE_1), ("run1.2", [*LANE_2, *LANE_3]), ("run2.1", AGAIN)):
        assert samtools(core, "view", "-c", "-r", group, "-T", fasta, cram(core, "P")) == [str(2 * len(sent))]


def test_contigs_are_named_by_md5(core: Any) -> None:
    registered = core.lake.read(REFERENCES.key).select("contig", "md5").collect().rows()
    header = samtools(core, "view", "-H", "--no-PG", cram(core, "P"))
    told = [dict(f.split(":", 1) for f in line.split("\t")[1:]) for line in header if line.startswith("@SQ")]
    assert [(t["SN"], t["M5"]) for t in told] == registered


def test_aligning_again_gives_the_same_reads(core: Any) -> None:
    before = cram(core, "Q").read_bytes()
    core.run(ALIGNMENTS, alignment.align, "Q")
    assert cram(core, "Q").read_bytes() == before


# ---------------------------------------------------------------- the long table


def test_sample_metrics_are_all_numbers_of_a_sample_each_once(core: Any) -> None:
    gvcfs = pl.DataFrame(
        [("P", "hg", "x", 7, 70, "0" * 64), ("Q", "hg", "x", 7, 70, "0" * 64)],
        orient="row",
        schema=arrow.polars_schema(GVCFS),
    )  # fmt: skip
    frames = [core.lake.read(d.key) for d in (FASTQ_MANIFEST, ALIGNMENTS)]
    made = qc.sample_metrics(*frames, gvcfs.lazy(), core.lake.read(TARGET_COVERAGE.key)).collect()
    assert made.select(SAMPLE_METRICS.primary_key).is_unique().all()
    assert made.columns == list(SAMPLE_METRICS.names)
    assert set(made["unit"]) <= {"count", "fraction", "bp", "x"}
    told = {row["metric"]: row["value"] for row in made.filter(sample_id="P", scope="sample").iter_rows(named=True)}
    sent = len([*LANE_1, *LANE_2, *LANE_3, *AGAIN])
    assert (told["fastq_reads"], told["fastq_bases"]) == (2 * sent, 2 * sent * READ)
    assert told["fastq_q30_fraction"] == 1.0
    assert told["fastq_gc_fraction"] == pytest.approx(0.5, abs=0.02)
    assert told["fastq_read_length_max"] == READ
    assert (told["variant_records"], told["reference_blocks"]) == (7, 70)
    numeric = {c.name for c in ALIGNMENTS.columns if c.unit}
    assert {name: told[name] for name in numeric} == {name: numbers(core, "P")[name] for name in numeric}
    assert set(made.filter(sample_id="P", metric="coverage_mean")["scope"]) == {
        "first 1:0-1000", "second 1:500-600", "2:2900-3000 2:2900-3000",
    }  # fmt: skip
    # A sample without calls yet has the others.
    assert made.filter(sample_id="Z", metric="variant_records").is_empty()
    assert made.filter(sample_id="Z", metric="reads")["value"].item() == 400


def test_the_order_of_rows_does_not_matter(core: Any) -> None:
    frames = [core.lake.read(d.key).collect() for d in (FASTQ_MANIFEST, ALIGNMENTS, GVCFS, TARGET_COVERAGE)]
    one, two = (
        qc.sample_metrics(*(f.lazy() for f in given)).collect().sort(SAMPLE_METRICS.primary_key)
        for given in (frames, [f.reverse() for f in frames])
    )
    assert one.equals(two)


# ---------------------------------------------------------------- FastQC


def test_fastqc_reads_files_of_any_name_and_ending(desk: Any) -> None:
    """Blanks, umlauts, one name in two folders, plain text named .gz: what the manifest takes, FastQC takes."""
    reads = [*pairs("a", 60), ("n:1", "ACGTN" * 20, "ACGTN" * 20)]
    files = {
        "Läuf 1 (neu)/A_R1.fastq.gz": fastq(reads, 1),
        "Läuf 1 (neu)/A_R2.fastq.gz": gzip.decompress(fastq(reads, 2)),
        "lane 2/B_R1.fastq": fastq(reads, 1),
        "lane_2/C_L002_R1.fq": gzip.decompress(fastq(reads, 1)),
    }
    for path, data in files.items():
        desk.land(f"sequencing/run/{path}", data)
    desk.land("sequencing/run/SampleSheet.csv", "[Data]\nSample_ID\nA\nB\nC\n")
    desk.land("sequencing/run/CopyComplete.txt", "")
    desk.run(SEQUENCING_RUNS, intake.sequencing_runs)
    assert isinstance(desk.run(FASTQ_MANIFEST, intake.fastq_manifest, "run"), Outcome)
    made = desk.run(FASTQ_QC, qc.fastq_qc, "run")
    assert isinstance(made, Outcome)
    manifest = desk.lake.read(FASTQ_MANIFEST.key, ["run"]).collect()
    assert set(manifest["path"]) == set(files) == set(made.rows["path"])
    for row in manifest.iter_rows(named=True):
        told = made.rows.filter(pl.col("path") == row["path"])
        value = dict(told.select("metric", "value").iter_rows())
        assert value["total_sequences"] == row["reads"] == 61
        assert value["gc_percent"] == pytest.approx(100 * row["gc_bases"] / row["bases"], abs=1)
        verdicts = told.filter(pl.col("verdict").is_not_null())
        assert verdicts.height >= 10
        assert set(verdicts["verdict"]) <= {"pass", "warn", "fail"}
        assert set(told["sample_id"]) == {row["sample_id"]}
    assert len(made.files) == 2 * len(files) + 1
    report = desk.lake.file(FASTQ_QC.key, "run", "multiqc_report.html").read_text()
    assert str(desk.lake.settings.home) not in report
    assert all(desk.lake.file(FASTQ_QC.key, "run", name).stat().st_size for name in made.files)


def test_a_run_without_an_accepted_file_has_an_empty_report(desk: Any) -> None:
    desk.land("sequencing/run/A_R1.fastq.gz", "junk")
    desk.land("sequencing/run/SampleSheet.csv", "[Data]\nSample_ID\nA\n")
    desk.land("sequencing/run/CopyComplete.txt", "")
    desk.run(SEQUENCING_RUNS, intake.sequencing_runs)
    desk.run(FASTQ_MANIFEST, intake.fastq_manifest, "run")
    made = desk.run(FASTQ_QC, qc.fastq_qc, "run")
    assert isinstance(made, Outcome)
    assert made.rows.is_empty()
    assert made.files == ()
