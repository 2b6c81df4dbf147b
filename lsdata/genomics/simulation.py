"""The demo's own landing zone: a small genome with genes, a family with known variants, and its sequencing runs.

Everything is invented (genome, genes, people, diseases) and follows from one seed: the same seed gives the same bytes.
Positions inside this module are 0-based and half-open; the files speak their own formats' coordinates.
"""

import csv
import filecmp
import gzip
import hashlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from lsdata.errors import InvalidInput, JobFailed, SettingError

Bases = NDArray[np.uint8]  # ASCII

REFERENCE = "demo"
CHILD, MOTHER, FATHER, UNRELATED = SAMPLES = ("DEMO01", "DEMO02", "DEMO03", "DEMO04")
COHORTS = {"family": (CHILD, MOTHER, FATHER), "all": SAMPLES}
# Invented people. The notes name them on purpose: free text is where identifiers hide.
SUBJECTS = (
    ("sample_id", "patient_id", "name", "birth_date", "sex", "zip", "mrn", "phenotype_note"),
    (CHILD, "P-1001", "Juno Quillfeather", "2018-03-14", "F", "02139", "MRN0048213",
     "Juno was seen on 2025-11-03 with global delay; mother Odette Quillfeather reports no family history."),
    (MOTHER, "P-1002", "Odette Quillfeather", "1986-07-22", "F", "02139", "MRN0048214", "Unaffected mother of Juno."),
    (FATHER, "P-1003", "Casimir Quillfeather", "1984-12-05", "M", "02139", "MRN0048215",
     "Unaffected father; call 617-555-0142 before 17:00."),
    (UNRELATED, "P-1004", "Barnaby Oxtoby", "1931-01-30", "M", "03601", "MRN0051877",
     "Mr Oxtoby, 94, unrelated control; arrhythmia since 1998."),
)  # fmt: skip

# One finished run of everybody, one that finished without RunInfo.xml, one that is still copying.
RUN, RUN_WITHOUT_INFO, RUN_COPYING = (
    "20260105_A01234_0057_BHDEMOXX",
    "20260106_A01234_0058_AHDEMOYY",
    "20260107_A01234_0059_BHDEMOZZ",
)
LANES = {CHILD: (1, 2), MOTHER: (1,), FATHER: (2,), UNRELATED: (2,)}
INDEXES = {
    CHILD: ("ACGTACGT", "TTGCAACC"),
    MOTHER: ("CATGGTCA", "GGATCTTA"),
    FATHER: ("GTCATGAC", "CCTAGAAT"),
    UNRELATED: ("TGACCATG", "AATCGGCT"),
}
FASTQ_FOLDER = Path("Analysis/1/Data/fastq")  # where a NovaSeq X leaves them

READ_BP = 150
FRAGMENT_BP, FRAGMENT_SD_BP = 350, 50
ERROR_RATE = 0.002  # substitutions per base
UNREAD_RATE = 0.0002  # N per base
DUPLICATE_RATE = 0.05  # pairs that are a PCR copy of another pair
SPARE_PAIRS = 300  # of the unrelated person, for each of the two problem runs
# NovaSeq reports four qualities: 2, 11, 25 and 37. Shares (11, 25, 37) of wrong and of right bases; with ERROR_RATE
# they make a base of each bin about as often wrong as its quality says.
BINS: Bases = np.frombuffer(b",:F", np.uint8)
WRONG_SHARES, RIGHT_SHARES = (0.75, 0.12, 0.13), (0.018, 0.05, 0.932)
TILES = [1000 * surface + 100 * swath + tile for surface in (1, 2) for swath in (1, 2) for tile in range(1, 17)]

GC = 0.41  # human genome
TI_SHARE = 2 / 3  # of SNVs, for Ti/Tv = 2
INDEL_SHARE, INDEL_MAX_BP = 0.15, 12
MULTIALLELIC_SHARE = 0.015  # of SNV sites
END_MARGIN_BP = 1_000  # contig ends are thinly covered
GAP_BP = 30  # between variants: nearer ones may be written in more than one right way
EDGE_BP = 12  # a coding change stays this far from its exon's ends, so that it has one consequence only
TARGET_PAD_BP = 50

AMINO_ACIDS = dict(
    zip(
        (a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG"),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",  # standard code, NCBI table 1
        strict=True,
    )
)
STOPS = [codon for codon, acid in AMINO_ACIDS.items() if acid == "*"]
SENSE = [codon for codon, acid in AMINO_ACIDS.items() if acid != "*"]
TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}
ALLELE = ["sample", "kind", "chrom", "pos", "ref", "alt"]
COMPLEMENT = str.maketrans("ACGT", "TGCA")
COMPLEMENT_CODES: Bases = np.frombuffer(bytes(range(256)).translate(bytes.maketrans(b"ACGT", b"TGCA")), np.uint8)

# The consequences that the n-th gene shows, in bcftools csq's words. One that changes everything behind it is alone in
# its gene, because csq reads whole haplotypes.
GENE_PLANS = (
    ("missense", "synonymous", "splice_donor"),
    ("stop_gained",),
    ("frameshift",),
    ("synonymous", "missense", "inframe_deletion"),
    ("missense", "synonymous", "splice_acceptor"),
    ("frameshift",),
    ("missense", "missense", "inframe_insertion"),
    ("start_lost",),
    ("synonymous", "synonymous", "missense"),
    ("stop_gained",),
    ("missense", "splice_donor", "synonymous"),
    ("synonymous", "missense"),
)
DAMAGING = {"stop_gained", "frameshift", "splice_donor", "splice_acceptor", "start_lost"}
SIGNIFICANCE = {
    "missense": ("Uncertain_significance", "Likely_benign", "Likely_pathogenic"),
    "synonymous": ("Benign", "Likely_benign"),
    "inframe_deletion": ("Uncertain_significance",),
    "inframe_insertion": ("Uncertain_significance",),
} | dict.fromkeys(DAMAGING, ("Pathogenic", "Likely_pathogenic"))
DISEASES = ("Demo_cardiomyopathy", "Demo_retinal_dystrophy", "Demo_developmental_delay", "Demo_sensory_neuropathy")
REVIEW = ("criteria_provided,_single_submitter", "criteria_provided,_multiple_submitters,_no_conflicts")


@dataclass(frozen=True)
class Scale:
    """How large the simulation is.

    Args:
        contigs: name and length (bp) of each contig.
        genes: protein-coding genes in all.
        sites: variant sites outside of exons in all; a founder carries somewhat more than half of them.
        depth: mean coverage of each sample (reads per base).
    """

    contigs: tuple[tuple[str, int], ...]
    genes: int
    sites: int
    depth: float


DEMO = Scale(contigs=(("chr1d", 250_000), ("chr2d", 120_000)), genes=12, sites=330, depth=30)


@dataclass(frozen=True)
class Gene:
    """A protein-coding gene with one transcript; exons and coding parts in genomic order."""

    name: str
    number: int
    contig: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    coding: tuple[tuple[int, int], ...]

    @property
    def introns(self) -> list[tuple[int, int]]:
        return [(left[1], right[0]) for left, right in pairwise(self.exons)]

    @property
    def coding_positions(self) -> NDArray[np.int64]:
        """The genomic position of each coding base, from start codon to stop codon."""
        positions = np.concatenate([np.arange(start, end) for start, end in self.coding])
        return positions if self.strand == "+" else positions[::-1]

    def spelled(self, bases: str) -> str:
        """Bases of the transcript as the forward strand spells them at the same place, or the other way round."""
        return bases if self.strand == "+" else bases.translate(COMPLEMENT)[::-1]


@dataclass(frozen=True)
class Variant:
    """A biallelic variant, left-aligned and parsimonious; `kind` is the consequence meant, '' outside of genes."""

    contig: str
    pos: int
    ref: str
    alt: str
    gene: str = ""
    kind: str = ""
    de_novo: bool = False

    @property
    def vcf_key(self) -> tuple[str, int, str, str]:
        return self.contig, self.pos + 1, self.ref, self.alt

    @property
    def is_snv(self) -> bool:
        return len(self.ref) == len(self.alt)


@dataclass(frozen=True)
class Simulation:
    """What was made and where.

    Args:
        reference: the reference's landing folder.
        run: the finished run's folder.
        quarantined, copying: the folder of the run without RunInfo.xml, and of the one that still copies.
        truth: VCF of all samples' phased genotypes (child: mother's haplotype | father's), indexed.
        samples: child, mother, father, unrelated person.
        snvs, indels: distinct alleles of all samples.
        pairs: read pairs of each sample in `run`, with duplicates.
        de_novo: (contig, 1-based position, ref, alt) of the alleles that only the child has, by new mutation.
    """

    reference: Path
    run: Path
    quarantined: Path
    copying: Path
    truth: Path
    samples: tuple[str, ...]
    snvs: int
    indels: int
    pairs: Mapping[str, int]
    de_novo: tuple[tuple[str, int, str, str], ...]


@dataclass(frozen=True)
class Score:
    """Agreement of called with true alleles in one sample; ratios are None where there is nothing to divide by.

    Args:
        kind: "snv" or "indel".
        true, called: alleles the sample has in truth, and has been called (counts).
        shared: alleles in both; `same_genotype`: those of them that are het, or hom, in both (counts).
    """

    sample: str
    kind: str
    true: int
    called: int
    shared: int
    same_genotype: int

    @property
    def recall(self) -> float | None:
        return self.shared / self.true if self.true else None

    @property
    def precision(self) -> float | None:
        return self.shared / self.called if self.called else None

    @property
    def genotype_recall(self) -> float | None:
        return self.same_genotype / self.true if self.true else None

    @property
    def genotype_precision(self) -> float | None:
        return self.same_genotype / self.called if self.called else None


def simulate(
    landing: Path, truth: Path, seed: int = 20260101, scratch: Path | None = None, *, scale: Scale = DEMO
) -> Simulation:
    """Write the demo's landing zone and its truth; the same seed and scale give the same bytes.

    Made in a temporary folder (in `scratch`, or beside `landing`) and moved into place, the runs' completion markers
    last. Files that are already there with the same bytes stay untouched.

    Args:
        landing: the landing zone; gets reference/, sequencing/, cohorts.csv and subjects.csv.
        truth: folder for truth.vcf.gz and its index.

    Raises:
        InvalidInput: a file to be written is there already and is a different one; nothing is written.
        SettingError: a tool is not installed, or the genome is too small for its genes and variants.
        JobFailed: a tool failed.
    """
    rng = np.random.default_rng(seed)
    beside = scratch or landing.absolute().parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".simulation-") as folder:
        work, staged = Path(folder) / "work", Path(folder) / "landing"
        work.mkdir()
        genome, genes = _genome(rng, scale)
        variants, haplotypes = _family(rng, genome, genes, scale.sites)
        _write_reference(rng, staged / "reference" / REFERENCE, genome, genes, variants)
        _write_table(
            staged / "cohorts.csv", [("cohort_id", "sample_id"), *((c, s) for c in COHORTS for s in COHORTS[c])]
        )
        _write_table(staged / "subjects.csv", SUBJECTS)
        pairs = _write_runs(rng, staged / "sequencing", work, genome, variants, haplotypes, scale.depth)
        truth_staged = Path(folder) / "truth" / "truth.vcf.gz"
        _write_truth(truth_staged, genome, variants, haplotypes)
        _move({staged: landing, truth_staged.parent: truth})
    runs = landing / "sequencing"
    return Simulation(
        reference=landing / "reference" / REFERENCE,
        run=runs / RUN,
        quarantined=runs / RUN_WITHOUT_INFO,
        copying=runs / RUN_COPYING,
        truth=truth / truth_staged.name,
        samples=SAMPLES,
        snvs=sum(v.is_snv for v in variants),
        indels=sum(not v.is_snv for v in variants),
        pairs=pairs,
        de_novo=tuple(v.vcf_key for v in variants if v.de_novo),
    )


def score(truth_vcf: Path, called_vcf: Path, reference_fa: Path) -> list[Score]:
    """Recall and precision of the called alleles and genotypes of every called sample, SNVs and indels apart.

    Both sides are split and left-aligned (bcftools norm -m -any); of the calls only FILTER=PASS counts; an allele is
    found when chrom, pos, ref and alt are the same, a genotype when it is het, or hom, on both sides (phase is not
    looked at). The `*` allele is not a variant of its own.

    Raises:
        InvalidInput: a called sample is not in the truth.
        SettingError, JobFailed: bcftools is not installed, or failed (for example on another reference).
    """
    samples = _tool("bcftools", "query", "-l", str(called_vcf)).decode().split()
    known = set(_tool("bcftools", "query", "-l", str(truth_vcf)).decode().split())
    if unknown := sorted(set(samples) - known):
        raise InvalidInput(
            called_vcf.name,
            code="unknown_sample",
            found=f"samples {', '.join(unknown)}",
            allowed=f"samples of the truth: {', '.join(sorted(known))}",
            do="Compare with the truth that belongs to these calls.",
        )
    with tempfile.TemporaryDirectory() as folder:
        # Under a link of its own: bcftools writes a missing index beside the name it is given.
        reference = Path(folder) / reference_fa.name
        reference.symlink_to(reference_fa.absolute())
        true = _alleles(truth_vcf, reference, only_pass=False).filter(pl.col("sample").is_in(samples))
        called = _alleles(called_vcf, reference, only_pass=True)
    both = true.join(called, on=ALLELE, how="full", coalesce=True, suffix="_called")
    counts = both.group_by("sample", "kind").agg(
        true=pl.col("dose").count(),
        called=pl.col("dose_called").count(),
        shared=(pl.col("dose") * pl.col("dose_called")).count(),
        same_genotype=(pl.col("dose") == pl.col("dose_called")).sum(),
    )
    every = pl.DataFrame({"sample": samples}).join(pl.DataFrame({"kind": ["snv", "indel"]}), how="cross")
    joined = every.join(counts, on=["sample", "kind"], how="left", maintain_order="left").fill_null(0)
    return [Score(**row) for row in joined.iter_rows(named=True)]


def _alleles(vcf: Path, reference: Path, *, only_pass: bool) -> pl.DataFrame:
    """A row per sample and alternative allele it carries: sample, kind, chrom, pos (1-based), ref, alt, dose (1, 2)."""
    # uncompressed BCF through memory: no temporary file, and no shell
    normal = _tool("bcftools", "norm", "--no-version", "-m", "-any", "-f", str(reference), "-Ou", str(vcf))
    kept = ["-i", 'FILTER="PASS"'] if only_pass else []
    table = _tool("bcftools", "query", *kept, "-f", "[%CHROM\t%POS\t%REF\t%ALT\t%SAMPLE\t%GT\n]", "-", stdin=normal)
    columns = ("chrom", "pos", "ref", "alt", "sample", "gt")
    schema = {name: pl.Int64 if name == "pos" else pl.String for name in columns}
    rows = pl.read_csv(
        io.BytesIO(table), separator="\t", has_header=False, schema=schema, quote_char=None, raise_if_empty=False
    )
    snv = (pl.col("ref").str.len_bytes() == 1) & (pl.col("alt").str.len_bytes() == 1)
    return (
        rows.with_columns(
            dose=pl.col("gt").str.count_matches("1", literal=True),
            kind=pl.when(snv).then(pl.lit("snv")).otherwise(pl.lit("indel")),
        )
        .filter(pl.col("dose") > 0, pl.col("alt") != "*")
        .group_by(ALLELE)
        .agg(pl.col("dose").max())  # two records may be the same allele once they are left-aligned
    )


def _tool(*command: str, stdin: bytes | None = None) -> bytes:
    """Run an external tool to its end and return its standard output."""
    if shutil.which(command[0]) is None:
        raise SettingError(
            "PATH",
            found=f"no {command[0]}",
            allowed="the Debian packages samtools (with wgsim), bcftools and tabix",
            do="Run `make setup`.",
        )
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise JobFailed(
            " ".join(command[:2]),
            found=f"exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()[-500:]}",
            allowed="exit code 0",
            do="See the tool's message.",
            passing=done.returncode < 0,
        )
    return done.stdout


def _distinct(rng: Generator, below: int, count: int) -> NDArray[np.int64]:
    return rng.choice(below, count, replace=False)


# --- genome and genes


def _genome(rng: Generator, scale: Scale) -> tuple[dict[str, str], list[Gene]]:
    """Contigs with genes written into them: start codon, open frame, GT..AG introns, stop codon."""
    genome, genes = {name: _sequence(rng, length) for name, length in scale.contigs}, list[Gene]()
    total = sum(length for _, length in scale.contigs)
    done = 0
    for contig, length in scale.contigs:
        first, done = round(scale.genes * done / total), done + length
        last = round(scale.genes * done / total)
        room = (length - 2 * END_MARGIN_BP) // max(last - first, 1)
        for slot, number in enumerate(range(first, last)):
            start = END_MARGIN_BP + slot * room
            gene = _gene(rng, number, contig, start, start + room)
            _write_gene(rng, genome[contig], gene)
            genes.append(gene)
    return {contig: bases.tobytes().decode() for contig, bases in genome.items()}, genes


def _sequence(rng: Generator, length: int) -> Bases:
    """Random bases with GC content that drifts along the contig, homopolymers and short tandem repeats."""
    gc = np.repeat(rng.normal(GC, 0.03, length // 2_000 + 1), 2_000)[:length]
    pick = rng.integers(0, 2, length)
    gc_bases, at_bases = (np.frombuffer(pair, np.uint8)[pick] for pair in (b"GC", b"AT"))
    sequence = np.where(rng.random(length) < gc, gc_bases, at_bases)
    for start in rng.integers(0, length - 40, length // 1_500):
        unit = rng.choice(np.array([*b"ACGT"], np.uint8), int(rng.integers(1, 5)), p=(0.32, 0.18, 0.18, 0.32))
        run = int(rng.integers(8, 25))
        sequence[start : start + run] = np.resize(unit, run)
    return sequence


def _gene(rng: Generator, number: int, contig: str, start: int, end: int) -> Gene:
    """Lay a gene of 3 to 6 exons somewhere between start and end."""
    strand = "+-"[number % 2]
    coding = rng.integers(75, 260, int(rng.integers(3, 7)))
    coding[-1] += -coding.sum() % 3
    introns = rng.integers(90, 700, len(coding) - 1)
    five_prime, three_prime = int(rng.integers(40, 150)), int(rng.integers(120, 400))
    left, right = (five_prime, three_prime) if strand == "+" else (three_prime, five_prime)
    span = int(coding.sum() + introns.sum()) + left + right
    if span + 2 * GAP_BP > end - start:
        raise SettingError(
            "scale",
            found=f"{end - start} bp of {contig} for a gene of {span} bp",
            allowed="8000 bp a gene and more",
            do="Take longer contigs or fewer genes.",
        )
    at = int(rng.integers(start + GAP_BP, end - GAP_BP - span)) + left
    parts = list[tuple[int, int]]()
    for length, gap in zip(coding.tolist(), [*introns.tolist(), 0], strict=True):
        parts.append((at, at + length))
        at += length + gap
    exons = [(parts[0][0] - left, parts[0][1]), *parts[1:-1], (parts[-1][0], parts[-1][1] + right)]
    return Gene(f"LSDG{number + 1}", number + 1, contig, strand, tuple(exons), tuple(parts))


def _write_gene(rng: Generator, sequence: Bases, gene: Gene) -> None:
    sites = gene.coding_positions
    codons = ["ATG", *rng.choice(SENSE, len(sites) // 3 - 2).tolist(), str(rng.choice(STOPS))]
    bases = "".join(codons)
    sequence[sites] = list((bases if gene.strand == "+" else bases.translate(COMPLEMENT)).encode())
    for start, end in gene.introns:
        donor, acceptor = gene.spelled("GTAAGT"), gene.spelled("TTTCTTTTCAG")
        left, right = (donor, acceptor) if gene.strand == "+" else (acceptor, donor)
        sequence[start : start + len(left)] = list(left.encode())
        sequence[end - len(right) : end] = list(right.encode())


# --- variants and people


def _indel(sequence: str, contig: str, anchor: int, deleted_bp: int, inserted: str) -> Variant:
    """A deletion, or else an insertion, behind `anchor`, left-aligned.

    Source: Tan et al. 2015, doi:10.1093/bioinformatics/btv112.
    """
    if deleted_bp:
        while sequence[anchor] == sequence[anchor + deleted_bp]:
            anchor -= 1
        return Variant(contig, anchor, sequence[anchor : anchor + deleted_bp + 1], sequence[anchor])
    while sequence[anchor] == inserted[-1]:
        inserted = inserted[-1] + inserted[:-1]
        anchor -= 1
    return Variant(contig, anchor, sequence[anchor], sequence[anchor] + inserted)


def _substitute(rng: Generator, base: str) -> str:
    others = [other for other in "ACGT" if other not in (base, TRANSITION[base])]
    return TRANSITION[base] if rng.random() < TI_SHARE else str(rng.choice(others))


def _background(rng: Generator, genome: Mapping[str, str], *, indels: bool = True) -> Variant:
    """A random SNV or indel anywhere."""
    lengths = np.array([len(sequence) for sequence in genome.values()])
    contig = [*genome][int(rng.choice(len(lengths), p=lengths / lengths.sum()))]
    sequence = genome[contig]
    pos = int(rng.integers(END_MARGIN_BP, len(sequence) - END_MARGIN_BP))
    if indels and rng.random() < INDEL_SHARE:
        size = min(int(rng.geometric(0.4)), INDEL_MAX_BP)
        inserted = "".join(rng.choice([*"ACGT"], size).tolist())
        return _indel(sequence, contig, pos, size if rng.random() < 0.5 else 0, inserted)
    return Variant(contig, pos, sequence[pos], _substitute(rng, sequence[pos]))


def _coding(rng: Generator, gene: Gene, sequence: str, kind: str) -> Variant | None:
    """A random change of a gene, or None where the draw does not have the consequence `kind`."""
    sites = gene.coding_positions
    inner = {p for start, end in gene.coding for p in range(start + EDGE_BP, end - EDGE_BP)}
    codon = sites[3 * int(rng.integers(1, len(sites) // 3 - 1)) :][:3].tolist()
    if kind in ("splice_donor", "splice_acceptor"):
        # the G of GT, or of AG
        start, end = gene.introns[int(rng.integers(len(gene.introns)))]
        pos = start if (kind == "splice_donor") == (gene.strand == "+") else end - 1
        found = Variant(gene.contig, pos, sequence[pos], gene.spelled("A"))
    elif kind == "start_lost":
        pos = int(sites[1])
        found = Variant(gene.contig, pos, sequence[pos], gene.spelled("C"))
    elif kind in ("frameshift", "inframe_deletion", "inframe_insertion"):
        size = int(rng.choice([1, 2, 4])) if kind == "frameshift" else len(codon)
        deletes = kind == "inframe_deletion" or (kind == "frameshift" and rng.random() < 0.5)
        inserted = gene.spelled(2 * str(rng.choice(SENSE)))[:size]
        found = _indel(sequence, gene.contig, min(codon) - 1, size if deletes else 0, inserted)
        if not inner.issuperset(range(found.pos, found.pos + len(found.ref) + 1)):
            return None
    else:
        if not inner.issuperset(codon):
            return None
        offset = int(rng.integers(3))
        before = gene.spelled("".join(sequence[p] for p in sorted(codon)))
        after = before[:offset] + _substitute(rng, before[offset]) + before[offset + 1 :]
        acids = AMINO_ACIDS[before], AMINO_ACIDS[after]
        seen = "synonymous" if acids[0] == acids[1] else "stop_gained" if acids[1] == "*" else "missense"
        if seen != kind:
            return None
        found = Variant(gene.contig, codon[offset], sequence[codon[offset]], gene.spelled(after[offset]))
    return replace(found, gene=gene.name, kind=kind)


def _place(free: dict[str, NDArray[np.bool_]], draw: Callable[[], Variant | None]) -> Variant:
    """Draw until a variant fits where nothing is yet, and take its place."""
    for _ in range(10_000):
        found = draw()
        if found is not None and free[found.contig][found.pos : found.pos + len(found.ref)].all():
            free[found.contig][max(found.pos - GAP_BP, 0) : found.pos + len(found.ref) + GAP_BP] = False
            return found
    raise SettingError(
        "scale",
        found="no room for another variant after 10000 draws",
        allowed="about 200 bp of genome a variant and more",
        do="Take longer contigs or fewer sites.",
    )


def _family(
    rng: Generator, genome: Mapping[str, str], genes: list[Gene], sites: int
) -> tuple[list[Variant], NDArray[np.bool_]]:
    """All variants in genome order, and who carries them.

    Returns:
        The variants, and a matrix with a row per variant and two columns (haplotypes) per sample of SAMPLES.
    """
    free = {contig: np.ones(len(sequence), np.bool_) for contig, sequence in genome.items()}
    variants = list[Variant]()
    kinds = [(gene, kind) for n, gene in enumerate(genes) for kind in GENE_PLANS[n % len(GENE_PLANS)]]
    for gene, kind in kinds:
        variants.append(_place(free, lambda gene=gene, kind=kind: _coding(rng, gene, genome[gene.contig], kind)))
    # The child's new mutations: one in a gene that has nothing that would hide it, one elsewhere.
    host = next(gene for gene, kind in kinds if kind == "missense")
    new = _place(free, lambda: _coding(rng, host, genome[host.contig], "missense"))
    for gene in genes:
        for start, end in gene.exons:
            free[gene.contig][start - EDGE_BP : end + EDGE_BP] = False
    variants += [_place(free, lambda: _background(rng, genome)) for _ in range(sites)]
    newer = _place(free, lambda: _background(rng, genome, indels=False))

    # Mother, father, unrelated: an allele is rare or common in the people they come from; a damaging one is in one
    # haplotype only; everything is in somebody.
    frequency = rng.beta(0.8, 1.2, len(variants))
    founders = rng.random((len(variants), 6)) < frequency[:, None]
    alone = np.array([v.kind in DAMAGING for v in variants])
    founders[alone] = False
    absent = np.flatnonzero(~founders.any(axis=1))
    founders[absent, rng.integers(0, 6, len(absent))] = True

    # Some sites get a second allele, on haplotypes that do not have the first.
    for n, v in enumerate(variants.copy()):
        other = ~founders[n] & (rng.random(6) < 0.5)
        if v.is_snv and not v.kind and other.any() and rng.random() < MULTIALLELIC_SHARE:
            alts = [base for base in "ACGT" if base not in (v.ref, v.alt)]
            variants.append(replace(v, alt=str(rng.choice(alts))))
            founders = np.vstack([founders, other])

    child = np.column_stack([_inherited(rng, genome, variants, founders[:, parent : parent + 2]) for parent in (0, 2)])
    variants += [replace(v, de_novo=True) for v in (new, newer)]
    founders = np.vstack([founders, np.zeros((2, 6), np.bool_)])
    child = np.vstack([child, [[True, False], [False, True]]])
    everyone = np.hstack([child, founders])
    contigs = [*genome]
    place = [(contigs.index(v.contig), v.pos, v.alt) for v in variants]
    order = sorted(range(len(variants)), key=place.__getitem__)
    return [variants[n] for n in order], everyone[order]


def _inherited(
    rng: Generator, genome: Mapping[str, str], variants: list[Variant], parent: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """What a parent passes on: one haplotype per contig, with a crossover on the first contig."""
    first, *_ = genome
    crossover = int(len(genome[first]) * rng.uniform(0.25, 0.75))
    start = {contig: int(rng.integers(2)) for contig in genome}
    side = [start[v.contig] ^ (v.contig == first and v.pos > crossover) for v in variants]
    return parent[np.arange(len(variants)), side]


# --- reference files and truth


def _write_reference(
    rng: Generator, folder: Path, genome: Mapping[str, str], genes: list[Gene], variants: list[Variant]
) -> None:
    folder.mkdir(parents=True)
    fasta = "".join(
        f">{contig}\n" + "".join(f"{sequence[n : n + 60]}\n" for n in range(0, len(sequence), 60))
        for contig, sequence in genome.items()
    )
    (folder / f"{REFERENCE}.fa.gz").write_bytes(_tool("bgzip", "-c", stdin=fasta.encode()))
    (folder / "genes.gff3").write_text(_gff(genome, genes))
    (folder / "targets.bed").write_text(
        "".join(
            f"{gene.contig}\t{start}\t{end}\t{gene.name}\n"
            for gene in genes
            for start, end in _merged([(a - TARGET_PAD_BP, b + TARGET_PAD_BP) for a, b in gene.exons])
        )
    )

    inherited = [v for v in variants if not v.de_novo]
    known = [v for v in inherited if rng.random() < 0.8]
    ids = np.sort(_distinct(rng, 10**8, len(known)) + 2 * 10**9)
    rows = [(v, f"rs{rs}", f"RS={rs};VC={'SNV' if v.is_snv else 'INDEL'}") for v, rs in zip(known, ids, strict=True)]
    header = [
        '##INFO=<ID=RS,Number=1,Type=Integer,Description="rs number (invented)">',
        '##INFO=<ID=VC,Number=1,Type=String,Description="Variant class">',
    ]
    _write_vcf(folder / "known_sites.vcf.gz", genome, header, rows)

    # What is known of the family's coding variants, and of others in the same genes that nobody here has.
    free = {contig: np.ones(len(sequence), np.bool_) for contig, sequence in genome.items()}
    for v in variants:
        free[v.contig][v.pos] = False
    reported = [v for v in inherited if v.kind and (v.kind in DAMAGING or rng.random() < 0.7)] + [
        _place(free, lambda gene=gene, kind=kind: _coding(rng, gene, genome[gene.contig], kind))
        for gene in genes
        for kind in ("missense", "synonymous", "stop_gained")
    ]
    contigs, numbers = [*genome], {gene.name: gene.number for gene in genes}
    reported.sort(key=lambda v: (contigs.index(v.contig), v.pos, v.alt))
    ids = np.sort(_distinct(rng, 900_000, len(reported)) + 100_000)
    rows = [
        (
            v,
            str(variation),
            f"ALLELEID={variation + 15_000};CLNDN={rng.choice(DISEASES)}|not_provided;CLNREVSTAT={rng.choice(REVIEW)};"
            f"CLNSIG={rng.choice(SIGNIFICANCE[v.kind])};GENEINFO={v.gene}:{990_000 + numbers[v.gene]}",
        )
        for v, variation in zip(reported, ids.tolist(), strict=True)
    ]
    header = [
        '##INFO=<ID=ALLELEID,Number=1,Type=Integer,Description="the ClinVar Allele ID (invented)">',
        '##INFO=<ID=CLNDN,Number=.,Type=String,Description="ClinVar\'s preferred disease name">',
        '##INFO=<ID=CLNREVSTAT,Number=.,Type=String,Description="ClinVar review status for the Variation ID">',
        '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="Clinical significance for this single variant">',
        '##INFO=<ID=GENEINFO,Number=1,Type=String,Description="Gene(s) of the variant as gene symbol:gene id">',
    ]
    _write_vcf(folder / "clinvar.vcf.gz", genome, header, rows)


def _merged(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted intervals, those that touch joined."""
    joined = intervals[:1]
    for start, end in intervals[1:]:
        if start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _gff(genome: Mapping[str, str], genes: list[Gene]) -> str:
    """The genes in Ensembl's GFF3, which is what bcftools csq reads (1-based, closed)."""
    lines = ["##gff-version 3", *(f"##sequence-region {c} 1 {len(s)}" for c, s in genome.items())]
    for gene in genes:
        gid, tid, pid = (f"LSD{letter}{gene.number:011d}" for letter in "GTP")
        parent = f"Parent=transcript:{tid}"
        start, end = gene.exons[0][0], gene.exons[-1][1]
        rows = [
            ("gene", start, end, ".", f"ID=gene:{gid};Name={gene.name};biotype=protein_coding;gene_id={gid}"),
            ("transcript", start, end, ".", f"ID=transcript:{tid};Parent=gene:{gid};Name={gene.name}-201;"
             f"biotype=protein_coding;tag=basic;transcript_id={tid}"),
        ]  # fmt: skip
        forward = gene.strand == "+"
        exons = list(zip(gene.exons, gene.coding, strict=True))
        read = 0
        for rank, ((a, b), (c, d)) in enumerate(exons if forward else exons[::-1], start=1):
            rows.append(("exon", a, b, ".", f"{parent};Name=LSDE{gene.number:05d}{rank:06d};rank={rank}"))
            rows.append(("CDS", c, d, str(-read % 3), f"ID=CDS:{pid};{parent};protein_id={pid}"))
            read += d - c
            for left, right, end_name in (
                (a, c, "five" if forward else "three"),
                (d, b, "three" if forward else "five"),
            ):
                if left < right:
                    rows.append((f"{end_name}_prime_UTR", left, right, ".", parent))
        head, body = rows[:2], sorted(rows[2:], key=lambda row: (row[1], row[2]))
        lines += [
            f"{gene.contig}\tlsdata\t{feature}\t{start + 1}\t{end}\t.\t{gene.strand}\t{phase}\t{attributes}"
            for feature, start, end, phase, attributes in head + body
        ]
        lines.append("###")
    return "\n".join(lines) + "\n"


def _write_vcf(
    path: Path,
    genome: Mapping[str, str],
    header: list[str],
    rows: Iterable[tuple[Variant, str, str]],
    samples: tuple[str, ...] = (),
) -> None:
    """Write (variant, id, INFO and what follows it) rows, which are in genome order, as a bgzipped VCF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", *(["FORMAT", *samples] if samples else [])]
    lines = [
        "##fileformat=VCFv4.2",
        "##source=lsdata.genomics.simulation (invented data)",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        *(f"##contig=<ID={contig},length={len(sequence)}>" for contig, sequence in genome.items()),
        *header,
        "\t".join(names),
        *(f"{v.contig}\t{v.pos + 1}\t{name}\t{v.ref}\t{v.alt}\t.\tPASS\t{rest}" for v, name, rest in rows),
    ]
    path.write_bytes(_tool("bgzip", "-c", stdin=("\n".join(lines) + "\n").encode()))


def _write_truth(path: Path, genome: Mapping[str, str], variants: list[Variant], haplotypes: NDArray[np.bool_]) -> None:
    header = [
        '##INFO=<ID=GENE,Number=1,Type=String,Description="Gene that the variant was made for">',
        '##INFO=<ID=CONSEQUENCE,Number=1,Type=String,Description="Consequence meant, in the words of bcftools csq">',
        '##INFO=<ID=DENOVO,Number=0,Type=Flag,Description="New mutation of the child">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Phased genotype">',
    ]
    rows = list[tuple[Variant, str, str]]()
    for v, carried in zip(variants, haplotypes, strict=True):
        info = [f"GENE={v.gene};CONSEQUENCE={v.kind}"] * bool(v.kind) + ["DENOVO"] * v.de_novo
        genotypes = [f"{first:d}|{second:d}" for first, second in carried.reshape(-1, 2)]
        rows.append((v, ".", "\t".join([";".join(info) or ".", "GT", *genotypes])))
    _write_vcf(path, genome, header, rows, SAMPLES)
    _tool("bcftools", "index", "--tbi", str(path))


# --- sequencing


def _write_runs(
    rng: Generator,
    folder: Path,
    work: Path,
    genome: Mapping[str, str],
    variants: list[Variant],
    haplotypes: NDArray[np.bool_],
    depth: float,
) -> dict[str, int]:
    """Sequence everybody into the finished run, and a little of the unrelated person into the two problem runs.

    Returns:
        Read pairs of each sample in the finished run.
    """
    pairs = dict[str, int]()
    total = sum(len(sequence) for sequence in genome.values())
    for n, sample in enumerate(SAMPLES):
        spare = 2 * SPARE_PAIRS if sample == UNRELATED else 0
        fragments = round(depth * total / (2 * READ_BP)) + spare
        contigs = [_haplotype(genome, variants, haplotypes[:, 2 * n + side]) for side in (0, 1)]
        bases, qualities = _pairs(rng, work, contigs, fragments)
        pairs[sample] = bases.shape[1] - spare
        shares = np.array_split(np.arange(pairs[sample]), len(LANES[sample]))
        for lane, share in zip(LANES[sample], shares, strict=True):
            _write_fastqs(rng, folder / RUN, sample, n + 1, lane, bases[:, share], qualities[:, share])
        for k, run in enumerate((RUN_WITHOUT_INFO, RUN_COPYING) if spare else ()):
            share = slice(pairs[sample] + k * SPARE_PAIRS, pairs[sample] + (k + 1) * SPARE_PAIRS)
            _write_fastqs(rng, folder / run, sample, 1, 1, bases[:, share], qualities[:, share])

    for run in (RUN, RUN_WITHOUT_INFO, RUN_COPYING):
        _write_run_files(folder / run, LANES if run == RUN else {UNRELATED: (1,)})
    (folder / RUN_WITHOUT_INFO / "RunInfo.xml").unlink()
    # Still copying: a file is half there, and neither checksums nor the marker are.
    (folder / RUN_COPYING / "CopyComplete.txt").unlink()
    (folder / RUN_COPYING / "md5sum.txt").unlink()
    for path in (folder / RUN_COPYING).rglob("*_R2_001.fastq.gz"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return pairs


def _haplotype(genome: Mapping[str, str], variants: list[Variant], carried: NDArray[np.bool_]) -> dict[str, str]:
    """The genome with the carried variants in it."""
    pieces, at = {contig: list[str]() for contig in genome}, dict.fromkeys(genome, 0)
    for n in np.flatnonzero(carried).tolist():
        v = variants[n]
        pieces[v.contig] += [genome[v.contig][at[v.contig] : v.pos], v.alt]
        at[v.contig] = v.pos + len(v.ref)
    return {contig: "".join([*pieces[contig], genome[contig][at[contig] :]]) for contig in genome}


def _pairs(rng: Generator, work: Path, contigs: list[dict[str, str]], fragments: int) -> tuple[Bases, Bases]:
    """Sequence both haplotypes with wgsim; add duplicates, shuffle, and give every base a quality that fits it.

    Returns:
        Bases and qualities, each of shape (2 mates, pairs, READ_BP).
    """
    halves = [_sequenced(rng, work, haplotype, fragments // 2) for haplotype in contigs]
    bases = np.concatenate([half[0] for half in halves], axis=1)
    wrong = np.concatenate([half[1] for half in halves], axis=1)
    pairs = int(bases.shape[1])
    copies = _distinct(rng, pairs, round(DUPLICATE_RATE * pairs))
    order = rng.permutation(np.concatenate([np.arange(pairs), copies]))
    bases, wrong = bases[:, order], wrong[:, order]

    # Quality sinks along the read, and a little more in the second one.
    decay = np.linspace(0.5, 1.5, READ_BP, dtype=np.float32) * np.array([0.9, 1.1], np.float32)[:, None, None]
    draw = rng.random(bases.shape, dtype=np.float32)
    low, middle, _ = RIGHT_SHARES
    level = np.where(draw < low * decay, 0, np.where(draw < (low + middle) * decay, 1, 2))
    level[wrong] = rng.choice(3, int(wrong.sum()), p=WRONG_SHARES)
    qualities: Bases = BINS[level]
    unread = rng.integers(0, bases.size, rng.binomial(bases.size, UNREAD_RATE))
    bases.flat[unread], qualities.flat[unread] = ord("N"), ord("#")
    return bases, qualities


def _sequenced(
    rng: Generator, work: Path, haplotype: Mapping[str, str], fragments: int
) -> tuple[Bases, NDArray[np.bool_]]:
    """Read pairs of one haplotype, and which of their bases are wrong; each of shape (2 mates, pairs, READ_BP)."""
    fasta, mates = work / "haplotype.fa", [work / "1.fq", work / "2.fq"]
    fasta.write_text("".join(f">{contig}\n{sequence}\n" for contig, sequence in haplotype.items()))
    _tool(
        "wgsim", "-r", "0", "-R", "0", "-X", "0", "-e", str(ERROR_RATE), "-S", str(rng.integers(1, 2**31 - 1)),
        "-d", str(FRAGMENT_BP), "-s", str(FRAGMENT_SD_BP), "-1", str(READ_BP), "-2", str(READ_BP),
        "-N", str(fragments), str(fasta), *map(str, mates),
    )  # fmt: skip
    lines = [mate.read_bytes().split(b"\n") for mate in mates]
    bases = np.stack([np.frombuffer(b"".join(mate[1::4]), np.uint8).reshape(-1, READ_BP) for mate in lines])

    # wgsim names a pair contig_start_end_… (1-based, closed), but not which mate is the forward one, nor where it put
    # the errors: a mate is what it agrees with, apart from the errors.
    whole = np.frombuffer("".join(haplotype.values()).encode(), np.uint8)
    offset = dict(zip(haplotype, np.cumsum([0, *map(len, haplotype.values())]).tolist(), strict=False))
    places = [name[1:].decode().rsplit("_", 5)[:3] for name in lines[0][:-1:4]]
    start = np.array([offset[contig] + int(first) - 1 for contig, first, _ in places])
    end = np.array([offset[contig] + int(last) - 1 for contig, _, last in places])
    cycle = np.arange(READ_BP)
    wrong = bases != whole[start[:, None] + cycle]
    wrong_reverse = bases != COMPLEMENT_CODES[whole[end[:, None] - cycle]]
    is_reverse = wrong_reverse.mean(axis=2) < wrong.mean(axis=2)
    wrong[is_reverse] = wrong_reverse[is_reverse]
    return bases, wrong


def _write_fastqs(
    rng: Generator, run: Path, sample: str, number: int, lane: int, bases: Bases, qualities: Bases
) -> None:
    """Both files of a sample on a lane, named and ordered by place on the flow cell as bcl-convert does."""
    folder = run / FASTQ_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    _, instrument, count, flowcell = run.name.split("_")
    side = 20_000  # x and y are 10000 … 29999
    spots = np.sort(_distinct(rng, len(TILES) * side**2, bases.shape[1])).tolist()
    places = [f"{TILES[s // side**2]}:{s // side % side + 10_000}:{s % side + 10_000}" for s in spots]
    for mate in (0, 1):
        before = f"@{instrument}:{int(count)}:{flowcell[1:]}:{lane}:"
        after = f" {mate + 1}:N:0:{'+'.join(INDEXES[sample])}\n"
        names = "".join(f"{before}{place}{after}" for place in places).encode()
        records = np.hstack(
            [
                np.frombuffer(names, np.uint8).reshape(len(places), -1),  # all names are equally long
                bases[mate],
                np.tile(np.frombuffer(b"\n+\n", np.uint8), (len(places), 1)),
                qualities[mate],
                np.full((len(places), 1), ord("\n"), np.uint8),
            ]
        )
        path = folder / f"{sample}_S{number}_L{lane:03d}_R{mate + 1}_001.fastq.gz"
        path.write_bytes(gzip.compress(records.tobytes(), compresslevel=1, mtime=0))


def _write_run_files(run: Path, lanes: Mapping[str, tuple[int, ...]]) -> None:
    """What an instrument leaves beside the reads: RunInfo, RunParameters, sample sheet v2, checksums, markers."""
    date, instrument, count, flowcell = run.name.split("_")
    index_bp = len(INDEXES[CHILD][0])
    cycles = (("Read1", READ_BP), ("Index1", index_bp), ("Index2", index_bp), ("Read2", READ_BP))
    reads = "\n".join(
        f'      <Read Number="{n}" NumCycles="{length}" IsIndexedRead="{"NY"[name.startswith("Index")]}" '
        f'IsReverseComplement="{"NY"[name == "Index2"]}"/>'
        for n, (name, length) in enumerate(cycles, start=1)
    )
    (run / "RunInfo.xml").write_text(f"""<?xml version="1.0"?>
<RunInfo Version="6">
  <Run Id="{run.name}" Number="{int(count)}">
    <Flowcell>{flowcell[1:]}</Flowcell>
    <Instrument>{instrument}</Instrument>
    <Date>{date[:4]}-{date[4:6]}-{date[6:]}T09:12:44Z</Date>
    <Reads>
{reads}
    </Reads>
    <FlowcellLayout LaneCount="2" SurfaceCount="2" SwathCount="2" TileCount="16">
      <TileSet TileNamingConvention="FourDigit"/>
    </FlowcellLayout>
  </Run>
</RunInfo>
""")
    planned = "\n".join(f'    <Read ReadName="{name}" Cycles="{length}"/>' for name, length in cycles)
    (run / "RunParameters.xml").write_text(f"""<?xml version="1.0" encoding="utf-8"?>
<RunParameters>
  <Side>{flowcell[0]}</Side>
  <Application>control-software</Application>
  <InstrumentType>NovaSeqXPlus</InstrumentType>
  <InstrumentSerialNumber>{instrument}</InstrumentSerialNumber>
  <RunId>{run.name}</RunId>
  <RunCounter>{int(count)}</RunCounter>
  <RecipeName>1.5B Sequencing</RecipeName>
  <ExperimentName>{flowcell[1:]}</ExperimentName>
  <FlowCellType>NovaSeqXSeriesB3</FlowCellType>
  <PlannedReads>
{planned}
  </PlannedReads>
</RunParameters>
""")
    _write_table(
        run / "SampleSheet.csv",
        [
            ("[Header]",),
            ("FileFormatVersion", "2"),
            ("RunName", flowcell[1:]),
            ("InstrumentPlatform", "NovaSeqXSeries"),
            ("IndexOrientation", "Forward"),
            (),
            ("[Reads]",),
            *((f"{name}Cycles", str(length)) for name, length in cycles),
            (),
            ("[BCLConvert_Settings]",),
            ("SoftwareVersion", "4.1.7"),
            ("FastqCompressionFormat", "gzip"),
            (),
            ("[BCLConvert_Data]",),
            ("Lane", "Sample_ID", "Index", "Index2"),
            *((str(lane), sample, *INDEXES[sample]) for sample in lanes for lane in lanes[sample]),
        ],
    )
    (run / "md5sum.txt").write_text(
        "".join(
            f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(run).as_posix()}\n"
            for path in sorted(run.rglob("*.fastq.gz"))
        )
    )
    (run / "RTAComplete.txt").write_text("\n")
    (run / "CopyComplete.txt").write_text("")


# --- writing and moving


def _write_table(path: Path, rows: Iterable[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _move(folders: Mapping[Path, Path]) -> None:
    """Move every file of each folder to the same place below its target, completion markers last."""
    moves = [
        (path, target / path.relative_to(source))
        for source, target in folders.items()
        for path in sorted(source.rglob("*"))
        if path.is_file()
    ]
    missing = [(path, to) for path, to in moves if not to.exists()]
    if other := [to.name for path, to in moves if to.exists() and not filecmp.cmp(path, to, shallow=False)]:
        raise InvalidInput(
            "landing zone of the demo",
            code="not_the_demo",
            found=f"other files of the same name: {', '.join(other)}",
            allowed="none, or those of an earlier simulation with the same seed",
            do="Simulate into an empty home.",
        )
    for path, to in sorted(missing, key=lambda move: move[1].name == "CopyComplete.txt"):
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, to)
