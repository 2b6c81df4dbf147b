"""The demo's landing zone is what it says: truth, genes, reads and run folders agree with each other."""

import gzip
import hashlib
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import polars as pl
import pytest

from lsdata.errors import InvalidInput, JobFailed, SettingError
from lsdata.genomics import simulation
from lsdata.genomics.simulation import CHILD, FATHER, MOTHER, SAMPLES, Scale, Score, Simulation, score, simulate

SMALL = Scale(contigs=(("chr1d", 48_000), ("chr2d", 24_000)), genes=6, sites=70, depth=15)
SHOWN = {"missense", "synonymous", "stop_gained", "frameshift", "splice_donor"}  # by the first genes already


class Made(NamedTuple):
    simulation: Simulation
    landing: Path
    fasta: Path  # a copy, so that tools may index it

    def truth(self, fields: str) -> list[list[str]]:
        return [line.split("\t") for line in tool("bcftools", "query", "-f", f"{fields}\n", self.simulation.truth)]


def tool(*command: object, stdin: bytes | None = None) -> list[str]:
    done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, check=True)
    return done.stdout.decode().splitlines()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    home = tmp_path_factory.mktemp("home")
    result = simulate(home / "landing", home / "truth", seed=7, scale=SMALL)
    fasta = home / "demo.fa"
    fasta.write_bytes(gzip.decompress((result.reference / "demo.fa.gz").read_bytes()))
    return Made(result, home / "landing", fasta)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def contigs(fasta: Path) -> dict[str, str]:
    records = [record.split("\n", 1) for record in fasta.read_text().split(">")[1:]]
    return {name: bases.replace("\n", "") for name, bases in records}


def fastq(path: Path) -> list[tuple[str, str, str]]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert set(lines[2::4]) == {"+"}
    return list(zip(lines[::4], lines[1::4], lines[3::4], strict=True))


def test_same_seed_gives_the_same_bytes(made: Made, tmp_path: Path) -> None:
    again = simulate(tmp_path / "landing", tmp_path / "truth", seed=7, scratch=tmp_path / "scratch", scale=SMALL)
    assert contents(made.landing) == contents(tmp_path / "landing")
    assert contents(made.simulation.truth.parent) == contents(again.truth.parent)
    assert not [*(tmp_path / "scratch").iterdir()]


def test_truth_is_normal_and_fits_the_reference(made: Made) -> None:
    normal = tool("bcftools", "norm", "--no-version", "-c", "e", "-f", made.fasta, made.simulation.truth)
    written = tool("bcftools", "view", "--no-version", made.simulation.truth)
    assert normal == written
    assert made.simulation.truth.with_name("truth.vcf.gz.tbi").is_file()
    reference = contigs(made.fasta)
    for chrom, pos, ref in made.truth("%CHROM\t%POS\t%REF"):
        assert reference[chrom][int(pos) - 1 :].startswith(ref)


def test_child_inherits_all_but_its_new_mutations(made: Made) -> None:
    assert tool("bcftools", "query", "-l", made.simulation.truth) == [*SAMPLES]
    new = list[tuple[str, int, str, str]]()
    for chrom, pos, ref, alt, de_novo, child, mother, father, _ in made.truth(
        "%CHROM\t%POS\t%REF\t%ALT\t%INFO/DENOVO[\t%GT]"
    ):
        from_mother, from_father = child.split("|")
        consistent = from_mother in mother.split("|") and from_father in father.split("|")
        assert consistent == (de_novo == ".")
        if not consistent:
            new.append((chrom, int(pos), ref, alt))
    assert tuple(new) == made.simulation.de_novo
    assert len(new) == 2


def test_every_gene_has_an_open_frame_and_proper_introns(made: Made) -> None:
    reference = contigs(made.fasta)
    parts = dict[str, list[tuple[str, int, int, str, int]]]()
    for line in (made.simulation.reference / "genes.gff3").read_text().splitlines():
        if "\tCDS\t" in line:
            chrom, _, _, start, end, _, strand, phase, attributes = line.split("\t")
            transcript = attributes.split("Parent=transcript:")[1].split(";")[0]
            parts.setdefault(transcript, []).append((chrom, int(start) - 1, int(end), strand, int(phase)))
    assert len(parts) == SMALL.genes
    assert {strand for rows in parts.values() for _, _, _, strand, _ in rows} == {"+", "-"}
    for rows in parts.values():
        forward = rows[0][3] == "+"

        def transcribed(chrom: str, start: int, end: int, forward: bool = forward) -> str:
            bases = reference[chrom][start:end]
            return bases if forward else bases.translate(str.maketrans("ACGT", "TGCA"))[::-1]

        ordered = rows if forward else rows[::-1]
        coding = ""
        for chrom, start, end, _, phase in ordered:
            assert phase == -len(coding) % 3
            coding += transcribed(chrom, start, end)
        acids = [simulation.AMINO_ACIDS[coding[n : n + 3]] for n in range(0, len(coding), 3)]
        assert acids[0] == "M"
        assert acids.index("*") == len(acids) - 1
        for left, right in pairwise(rows):
            intron = transcribed(left[0], left[2], right[1])
            assert (intron[:2], intron[-2:]) == ("GT", "AG")


def test_csq_sees_the_consequences_that_were_meant(made: Made) -> None:
    annotated = subprocess.run(
        ["bcftools", "csq", "-p", "a", "-f", made.fasta, "-g", made.simulation.reference / "genes.gff3", "-Ou",
         made.simulation.truth],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    rows = [
        line.split("\t")
        for line in tool("bcftools", "query", "-f", "%INFO/CONSEQUENCE\t%INFO/GENE\t%INFO/BCSQ\n", stdin=annotated)
    ]
    meant = [row for row in rows if row[0] != "."]
    assert {kind for kind, _, _ in meant} >= SHOWN
    for kind, gene, seen in meant:
        assert {tuple(one.split("|")[:2]) for one in seen.split(",")} == {(kind, gene)}
    # nothing was meant outside of coding parts, and nothing happens there
    assert not {one for kind, _, seen in rows if kind == "." for one in seen.split("|")[:1]} - {".", "intron"}


def test_known_sites_and_clinvar_know_a_part_of_the_family(made: Made) -> None:
    fields = "%CHROM\t%POS\t%REF\t%ALT"
    truth = {tuple(row) for row in made.truth(fields)}
    new = {(chrom, str(pos), ref, alt) for chrom, pos, ref, alt in made.simulation.de_novo}
    known, clinvar = (
        [tuple(line.split("\t")) for line in tool("bcftools", "query", "-f", f"{fields}\t{more}\n", path)]
        for path, more in (
            (made.simulation.reference / "known_sites.vcf.gz", "%ID"),
            (made.simulation.reference / "clinvar.vcf.gz", "%INFO/CLNSIG"),
        )
    )
    keys = {row[:4] for row in known}
    assert keys < truth - new
    assert len(keys) > len(truth) / 2
    assert all(row[4].startswith("rs") for row in known)
    keys = {row[:4] for row in clinvar}
    assert keys & truth
    assert keys - truth
    assert not keys & new
    assert {row[4] for row in clinvar if row[:4] in truth} >= {"Pathogenic", "Benign"}


def test_targets_are_the_padded_exons(made: Made) -> None:
    exons = [
        line.split("\t")
        for line in (made.simulation.reference / "genes.gff3").read_text().splitlines()
        if "\texon\t" in line
    ]
    targets = [line.split("\t") for line in (made.simulation.reference / "targets.bed").read_text().splitlines()]
    for row in exons:
        chrom, start, end = row[0], int(row[3]) - 1 - 50, int(row[4]) + 50
        assert any(t[0] == chrom and int(t[1]) <= start and end <= int(t[2]) for t in targets)
    assert min(int(row[3]) for row in exons) - 51 == min(int(t[1]) for t in targets)


def test_mates_agree_and_look_like_a_novaseq(made: Made) -> None:
    names = set[str]()
    pairs = {str(sample): 0 for sample in SAMPLES}
    for first in sorted(made.simulation.run.rglob("*_R1_001.fastq.gz")):
        sample, lane = first.name.split("_")[0], int(first.name.split("_L")[1][:3])
        mates = fastq(first), fastq(first.with_name(first.name.replace("_R1_", "_R2_")))
        assert len(mates[0]) == len(mates[1])
        for (name, bases, qualities), (other, other_bases, other_qualities) in zip(*mates, strict=True):
            spot, tail = name.split(" ")
            assert (spot, tail.replace("1:", "2:", 1)) == tuple(other.split(" "))
            assert spot.startswith(f"@A01234:57:HDEMOXX:{lane}:")
            assert {len(text) for text in (bases, qualities, other_bases, other_qualities)} == {150}
            assert set(qualities + other_qualities) <= set("#,:F")
            assert [base == "N" for base in bases] == [quality == "#" for quality in qualities]
            names.add(spot)
            pairs[sample] += 1
    assert pairs == made.simulation.pairs
    assert len(names) == sum(pairs.values())
    assert len([*made.simulation.run.rglob(f"{CHILD}_*_R1_001.fastq.gz")]) == 2
    bases = 2 * 150 * pairs[CHILD] / sum(length for _, length in SMALL.contigs)
    assert bases == pytest.approx(SMALL.depth * 1.05, rel=0.01)


def test_reads_hold_the_variants(made: Made, tmp_path: Path) -> None:
    tool("bwa", "index", made.fasta)
    for sample in (CHILD, FATHER):
        mates = [
            b"".join(path.read_bytes() for path in sorted(made.simulation.run.rglob(f"{sample}_*_R{mate}_*.gz")))
            for mate in (1, 2)
        ]
        for mate, content in enumerate(mates, start=1):
            (tmp_path / f"{mate}.fq.gz").write_bytes(content)
        group = f"@RG\\tID:{sample}\\tSM:{sample}"
        aligned = (
            "\n".join(tool("bwa", "mem", "-R", group, made.fasta, tmp_path / "1.fq.gz", tmp_path / "2.fq.gz")) + "\n"
        )
        bam = tmp_path / f"{sample}.bam"
        tool("samtools", "sort", "-o", bam, "-", stdin=aligned.encode())
        pileup = tmp_path / "pileup.bcf"
        tool("bcftools", "mpileup", "-f", made.fasta, "-Ou", "-o", pileup, bam)
        tool("bcftools", "call", "-mv", "-Ou", "-o", tmp_path / "raw.bcf", pileup)
        tool(
            "bcftools",
            "filter",
            "-s",
            "LowQual",
            "-e",
            "QUAL<20",
            "-Oz",
            "-o",
            tmp_path / "calls.vcf.gz",
            tmp_path / "raw.bcf",
        )
        snv, indel = score(made.simulation.truth, tmp_path / "calls.vcf.gz", made.fasta)
        assert (snv.sample, snv.kind, indel.kind) == (sample, "snv", "indel")
        assert snv.recall is not None
        assert snv.recall > 0.9
        assert snv.precision is not None
        assert snv.precision > 0.95


def test_run_folders_are_finished_broken_and_copying(made: Made) -> None:
    result = made.simulation
    assert {path.name for path in (made.landing / "sequencing").iterdir()} == {
        result.run.name,
        result.quarantined.name,
        result.copying.name,
    }
    present = {
        run: {path.name for path in run.iterdir() if path.is_file()}
        for run in (result.run, result.quarantined, result.copying)
    }
    every = {"RunInfo.xml", "RunParameters.xml", "SampleSheet.csv", "md5sum.txt", "RTAComplete.txt", "CopyComplete.txt"}
    assert present[result.run] == every
    assert present[result.quarantined] == every - {"RunInfo.xml"}
    assert present[result.copying] == every - {"CopyComplete.txt", "md5sum.txt"}
    with pytest.raises(EOFError):
        gzip.decompress(next(result.copying.rglob("*_R2_001.fastq.gz")).read_bytes())

    run = ElementTree.parse(result.run / "RunInfo.xml").getroot().find("Run")
    assert run is not None
    assert run.get("Id") == result.run.name
    assert ElementTree.parse(result.run / "RunParameters.xml").getroot().findtext("RunId") == result.run.name
    for line in (result.run / "md5sum.txt").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.md5((result.run / name).read_bytes()).hexdigest() == digest
    sheet = (result.run / "SampleSheet.csv").read_text()
    rows = [line.split(",") for line in sheet.split("[BCLConvert_Data]\n")[1].splitlines()[1:]]
    delivered = {path.name.split("_R")[0] for path in result.run.rglob("*.fastq.gz")}
    assert delivered == {f"{sample}_S{SAMPLES.index(sample) + 1}_L00{lane}" for lane, sample, *_ in rows}


def test_cohorts_and_subjects_name_the_samples(made: Made) -> None:
    cohorts = pl.read_csv(made.landing / "cohorts.csv")
    assert cohorts.filter(cohort_id="family")["sample_id"].to_list() == [CHILD, MOTHER, FATHER]
    assert cohorts.filter(cohort_id="all")["sample_id"].to_list() == [*SAMPLES]
    subjects = pl.read_csv(made.landing / "subjects.csv", schema_overrides={"zip": pl.String})
    assert subjects["sample_id"].to_list() == [*SAMPLES]
    assert subjects.columns == ["sample_id", "patient_id", "name", "birth_date", "sex", "zip", "mrn", "phenotype_note"]


def test_a_second_simulation_touches_nothing(made: Made) -> None:
    times = {path: path.stat().st_mtime_ns for path in made.landing.rglob("*")}
    simulate(made.landing, made.simulation.truth.parent, seed=7, scale=SMALL)
    assert times == {path: path.stat().st_mtime_ns for path in made.landing.rglob("*")}


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    (landing / "cohorts.csv").write_text("cohort_id,sample_id\nmine,S1\n")
    with pytest.raises(InvalidInput, match=r"cohorts\.csv"):
        simulate(landing, tmp_path / "truth", scale=SMALL)
    assert [path.name for path in tmp_path.rglob("*")] == ["landing", "cohorts.csv"]


def test_markers_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = list[str]()
    move = simulation.shutil.move

    def recorded(source: Path, to: Path) -> None:
        moved.append(to.name)
        move(source, to)

    monkeypatch.setattr(simulation.shutil, "move", recorded)
    simulate(tmp_path / "landing", tmp_path / "truth", scale=SMALL)
    assert moved[-2:] == ["CopyComplete.txt"] * 2
    assert moved.count("CopyComplete.txt") == 2


def test_truth_scores_one_against_itself(made: Made) -> None:
    scores = score(made.simulation.truth, made.simulation.truth, made.simulation.reference / "demo.fa.gz")
    assert [(one.sample, one.kind) for one in scores] == [(s, kind) for s in SAMPLES for kind in ("snv", "indel")]
    for one in scores:
        assert (one.recall, one.precision, one.genotype_recall, one.genotype_precision) == (1, 1, 1, 1)
    # no index was left in the landing zone
    assert [path.name for path in made.simulation.reference.glob("demo.fa*")] == ["demo.fa.gz"]


def edited(made: Made, tmp_path: Path, change: str) -> Path:
    """The truth with one change to its first SNV that the child has on one haplotype."""
    lines = tool("bcftools", "view", "--no-version", made.simulation.truth)
    at = next(
        n
        for n, line in enumerate(lines)
        if not line.startswith("#")
        and len(line.split("\t")[3] + line.split("\t")[4]) == 2
        and line.split("\t")[9] in ("0|1", "1|0")
    )
    fields = lines[at].split("\t")
    if change == "removed":
        lines.pop(at)
    elif change == "failed":
        fields[6] = "."
        lines[at] = "\t".join(fields)
    else:
        fields[9] = change
        lines[at] = "\t".join(fields)
    path = tmp_path / "called.vcf"
    path.write_text("\n".join(lines) + "\n")
    return path


def child_snvs(made: Made, called: Path) -> Score:
    return score(made.simulation.truth, called, made.fasta)[0]


@pytest.mark.parametrize("change", ["removed", "failed"])
def test_a_lost_or_not_passing_variant_costs_recall(made: Made, tmp_path: Path, change: str) -> None:
    lost = child_snvs(made, edited(made, tmp_path, change))
    assert (lost.shared, lost.called) == (lost.true - 1, lost.true - 1)
    assert lost.recall is not None
    assert lost.recall < 1
    assert lost.precision == 1


def test_a_wrong_genotype_costs_genotypes_only(made: Made, tmp_path: Path) -> None:
    wrong = child_snvs(made, edited(made, tmp_path, "1/1"))
    assert (wrong.recall, wrong.precision) == (1, 1)
    assert wrong.same_genotype == wrong.true - 1
    unphased = child_snvs(made, edited(made, tmp_path, "0/1"))
    assert unphased.genotype_recall == 1


def test_a_false_call_costs_precision(made: Made, tmp_path: Path) -> None:
    fewer = edited(made, tmp_path, "removed")
    scored = score(fewer, made.simulation.truth, made.fasta)[0]
    assert scored.recall == 1
    assert scored.precision is not None
    assert scored.precision < 1


def test_no_calls_have_no_precision(made: Made, tmp_path: Path) -> None:
    empty = tmp_path / "empty.vcf"
    empty.write_text("\n".join(tool("bcftools", "view", "-h", "--no-version", made.simulation.truth)) + "\n")
    none = child_snvs(made, empty)
    assert (none.recall, none.precision, none.genotype_precision) == (0, None, None)


def test_calls_of_strangers_are_refused(made: Made, tmp_path: Path) -> None:
    text = "\n".join(tool("bcftools", "view", "--no-version", made.simulation.truth)) + "\n"
    stranger = tmp_path / "stranger.vcf"
    stranger.write_text(text.replace(SAMPLES[3], "SOMEONE"))
    with pytest.raises(InvalidInput, match="SOMEONE"):
        score(made.simulation.truth, stranger, made.fasta)


def test_calls_on_another_reference_are_refused(made: Made, tmp_path: Path) -> None:
    other = tmp_path / "other.fa"
    other.write_text("".join(f">{name}\n{'A' * length}\n" for name, length in SMALL.contigs))
    with pytest.raises(JobFailed, match="bcftools norm"):
        score(made.simulation.truth, made.simulation.truth, other)


def test_too_small_a_genome_says_so(tmp_path: Path) -> None:
    tight = Scale(contigs=(("chr1d", 9_000),), genes=6, sites=10, depth=1)
    with pytest.raises(SettingError, match="fewer genes"):
        simulate(tmp_path / "landing", tmp_path / "truth", scale=tight)
    full = Scale(contigs=(("chr1d", 20_000),), genes=1, sites=2_000, depth=1)
    with pytest.raises(SettingError, match="fewer sites"):
        simulate(tmp_path / "landing", tmp_path / "truth", scale=full)
    assert not [*tmp_path.iterdir()]


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match="no bgzip"):
        simulate(tmp_path / "landing", tmp_path / "truth", scale=SMALL)


def test_published_files_have_the_default_rights(made: Made) -> None:
    probe = made.landing.parent / "probe"
    probe.mkdir()
    (probe / "file").touch()
    assert made.simulation.run.stat().st_mode == probe.stat().st_mode
    assert (made.simulation.run / "RunInfo.xml").stat().st_mode == (probe / "file").stat().st_mode
