"""References and what is known about them: every form they come in, and the forms that are refused."""

import gzip
import hashlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cyvcf2 import VCF

from lsdata.catalog.genomics import ANNOTATION_SOURCES, REFERENCES
from lsdata.errors import InvalidInput, SettingError
from lsdata.genomics import reference, vcf
from lsdata.lake.inputs import Inputs
from lsdata.lake.work import Outcome

SEQUENCES = {"1": "ACGTTGCAACCAGTCAAGTC" * 12, "chr2": "GGGTTTACCATTGACCGATA" * 10, "HLA-A*01:01": "ACGTTTGA" * 10}
FASTA = "".join(
    f">{name} a contig\n" + "".join(f"{s[i : i + 60]}\n" for i in range(0, len(s), 60)) for name, s in SEQUENCES.items()
).encode()


def bgzip(data: bytes) -> bytes:
    return subprocess.run(["bgzip", "-c"], input=data, capture_output=True, check=True).stdout


def register(desk: Any, files: Mapping[str, bytes], name: str = "hg") -> Outcome | InvalidInput:
    for file, data in files.items():
        desk.land(f"reference/{name}/{file}", data)
    return desk.run(REFERENCES, reference.register, name)


def annotate(desk: Any, files: Mapping[str, bytes], name: str = "hg") -> dict[str, dict[str, Any]]:
    """What was made of the delivered sources, by role."""
    for old in (desk.landing / f"reference/{name}").iterdir():
        if not old.name.startswith(f"{name}.fa"):
            old.unlink()
    for file, data in files.items():
        desk.land(f"reference/{name}/{file}", data)
    made = desk.run(ANNOTATION_SOURCES, reference.register_annotation, name)
    assert isinstance(made, Outcome)
    return {row["role"]: row for row in made.rows.iter_rows(named=True)}


# ---------------------------------------------------------------- FASTA


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("hg.fa", FASTA),
        ("hg.fa", FASTA.replace(b"\n", b"\r\n")),
        ("hg.fa", FASTA.rstrip(b"\n")),
        ("hg.fa.gz", gzip.compress(FASTA)),
        ("hg.fa.gz", bgzip(FASTA)),
        ("hg.fasta.gz", gzip.compress(FASTA[:70]) + gzip.compress(FASTA[70:])),
        ("hg.fa", FASTA.replace(b"ACGT", b"acgt").replace(b"TGA", b"tga")),
    ],
    ids=["plain", "crlf", "no_last_line_end", "gzip", "bgzip", "two_members", "lower_case"],
)
def test_every_form_of_a_fasta_is_registered(file: str, data: bytes, desk: Any) -> None:
    made = register(desk, {file: data})
    assert isinstance(made, Outcome)
    assert made.rows.select("contig", "length_bp", "md5").rows() == [
        (name, len(s), hashlib.md5(s.encode()).hexdigest()) for name, s in SEQUENCES.items()
    ]
    assert made.landed == {f"reference/hg/{file}": hashlib.sha256(data).hexdigest()}
    fasta = desk.lake.file(REFERENCES.key, "hg", "hg.fa")
    assert set(made.rows["fasta_sha256"]) == {hashlib.sha256(fasta.read_bytes()).hexdigest()}
    assert {p.name for p in fasta.parent.iterdir()} == {
        "hg.dict",
        *(f"hg.fa{e}" for e in ("", ".fai", ".amb", ".ann", ".bwt", ".pac", ".sa")),
    }
    for place in ("1:119-125", "chr2:3-8"):
        told = subprocess.run(["samtools", "faidx", fasta, place], capture_output=True, check=True, text=True).stdout
        contig, _, span = place.partition(":")
        first, last = map(int, span.split("-"))
        assert told.split("\n")[1].upper() == SEQUENCES[contig][first - 1 : last]


@pytest.mark.parametrize(
    ("file", "data", "code"),
    [
        ("hg.fa", b"", "reference_not_usable"),
        ("hg.fa.gz", gzip.compress(b""), "reference_not_usable"),
        ("hg.fa.gz", bgzip(FASTA * 50)[:-40], "reference_not_usable"),
        ("hg.fa.gz", gzip.compress(FASTA)[:60], "reference_not_usable"),
        ("hg.fa.gz", FASTA, "reference_not_usable"),
        ("hg.fa", gzip.compress(FASTA), "reference_not_usable"),
        ("hg.fa", b"<html>not found</html>\n", "reference_not_usable"),
        ("hg.fa", b"@read1\nACGT\n+\nIIII\n", "reference_not_usable"),
        ("hg.fa", b">1\nACGT\nACGTACGT\nACG\n", "reference_not_usable"),
        ("hg.fa", FASTA + FASTA, "contig_names"),
        ("hg.fa", b">gi|1,2\nACGTACGTACGTAGCATCGACTAGCATCGACTACGACTACGAC\n", "contig_names"),
        ("hg.fa.fai", b"1\t240\t3\t60\t61\n", "reference_missing"),
    ],
    ids=["empty", "gzip_of_nothing", "bgzip_cut", "gzip_cut", "not_gzip", "gzip_named_fa", "html", "fastq", "ragged",
         "contig_twice", "comma_in_a_name", "index_alone"],
)  # fmt: skip
def test_what_is_no_fasta_is_refused_and_kept(file: str, data: bytes, code: str, desk: Any) -> None:
    refused = register(desk, {file: data})
    assert isinstance(refused, InvalidInput)
    assert refused.code == code
    [kept] = desk.open()
    assert [(f["name"], f["sha256"]) for f in kept["files"]] == [(file, hashlib.sha256(data).hexdigest())]
    assert desk.lake.version(REFERENCES.key) is None
    (desk.landing / f"reference/hg/{file}").unlink()
    assert isinstance(register(desk, {"hg.fa": FASTA}), Outcome)
    assert desk.codes() == []


@pytest.mark.parametrize("file", ["GRCh38.fa", "genome.fa.gz", "HG.fasta", "GCF_000001405.40.fna.gz"])
def test_a_fasta_that_is_not_called_like_its_folder_is_refused_and_kept(file: str, desk: Any) -> None:
    refused = register(desk, {file: FASTA, "genes.gff3": b"##gff-version 3\n"})
    assert isinstance(refused, InvalidInput)
    assert (refused.code, file in refused.found) == ("reference_missing", True)
    [kept] = desk.open()
    assert [f["name"] for f in kept["files"]] == [file]
    (desk.landing / f"reference/hg/{file}").rename(desk.landing / "reference/hg/hg.fa")
    assert isinstance(register(desk, {}), Outcome)
    assert desk.codes() == []


@pytest.mark.parametrize("files", [{}, {"genes.gff3": b"##gff-version 3\n"}], ids=["nothing", "only a gene model"])
def test_a_reference_folder_without_a_fasta_is_asked_for_and_refused(files: dict[str, bytes], desk: Any) -> None:
    (desk.landing / "reference/hg").mkdir(parents=True)
    assert Inputs(desk.lake).stale(REFERENCES, "hg")
    refused = register(desk, files)
    assert isinstance(refused, InvalidInput)
    assert (refused.code, refused.found) == ("reference_missing", "no hg.fa or hg.fa.gz and no other FASTA")
    assert desk.codes() == ["reference_missing"]


def test_a_new_gene_model_does_not_index_the_genome_again(desk: Any) -> None:
    register(desk, {"hg.fa": FASTA})
    desk.land("reference/hg/genes.gff3", b"##gff-version 3\n")
    assert not Inputs(desk.lake).stale(REFERENCES, "hg")
    desk.land("reference/hg/hg.fa", FASTA + b">more\nACGT\n")
    assert Inputs(desk.lake).stale(REFERENCES, "hg")


def test_a_folder_name_that_is_no_file_name_is_refused(desk: Any) -> None:
    refused = register(desk, {"my genome.fa": FASTA}, "my genome")
    assert isinstance(refused, InvalidInput)
    assert refused.code == "bad_folder_name"


def test_the_reference_of_a_sample_is_named_or_set_or_the_only_one() -> None:
    one, two = (pl.DataFrame({"reference": names}) for names in (["hg19"], ["hg19", "hg38"]))
    assert reference.chosen(one, [], None) == "hg19"
    assert reference.chosen(two, [], "hg38") == "hg38"
    assert reference.chosen(two, ["hg19", "hg19"], "hg38") == "hg19"
    for named, default in (([], None), (["hg18"], None), ([], "hg18")):
        with pytest.raises(SettingError, match="allowed: hg19, hg38"):
            reference.chosen(two, named, default)
    with pytest.raises(InvalidInput, match="hg19, hg38"):
        reference.chosen(two, ["hg19", "hg38"], None)


# ---------------------------------------------------------------- gene models: one gene in five dialects

PARTS: Sequence[tuple[str, int, int, str]] = (
    ("exon", 100, 200, "."),
    ("exon", 301, 400, "."),
    ("exon", 501, 900, "."),
    ("CDS", 152, 200, "0"),
    ("CDS", 301, 400, "2"),
    ("CDS", 501, 600, "1"),
)
# 49 + 100 + 100 bases are 83 codons; the last, 598 to 600, is the stop codon.


def gff(kind: str, start: int, end: int, phase: str, told: str, contig: str = "X", strand: str = "+") -> str:
    return f"{contig}\tx\t{kind}\t{start}\t{end}\t.\t{strand}\t{phase}\t{told}\n"


def ensembl_gff3(contig: str = "X", strand: str = "+") -> str:
    five, three = ("five_prime_UTR", "three_prime_UTR")[:: 1 if strand == "+" else -1]
    lines = [
        ("gene", 100, 900, ".", "ID=gene:G1;Name=GEN;biotype=protein_coding;gene_id=G1"),
        ("mRNA", 100, 900, ".", "ID=transcript:T1;Parent=gene:G1;biotype=protein_coding;transcript_id=T1"),
        (five, 100, 151, ".", "Parent=transcript:T1"),
        *((*part, f"ID={part[0]}:1;Parent=transcript:T1") for part in PARTS),
        (three, 601, 900, ".", "Parent=transcript:T1"),
        ("biological_region", 100, 900, ".", "ID=other:1"),
    ]  # fmt: skip
    return "##gff-version 3\n" + "".join(gff(*line, contig, strand) for line in lines)


def gencode_gff3() -> str:
    told = "gene_id=G1;transcript_id=T1;gene_type=protein_coding;gene_name=GEN;transcript_type=protein_coding"
    lines = [
        ("gene", 100, 900, ".", "ID=G1;gene_id=G1;gene_type=protein_coding;gene_name=GEN"),
        ("transcript", 100, 900, ".", f"ID=T1;Parent=G1;{told}"),
        *((k, s, e, p, f"ID={k}:T1:1;Parent=T1;{told};exon_number=1") for k, s, e, p in PARTS),
        ("start_codon", 152, 154, "0", f"ID=start_codon:T1;Parent=T1;{told}"),
        ("stop_codon", 598, 600, "0", f"ID=stop_codon:T1;Parent=T1;{told}"),
        ("five_prime_UTR", 100, 151, ".", f"ID=UTR5:T1;Parent=T1;{told}"),
        ("three_prime_UTR", 601, 900, ".", f"ID=UTR3:T1;Parent=T1;{told}"),
    ]
    return "##gff-version 3\n##sequence-region chrX 1 1000\n" + "".join(gff(*line, contig="chrX") for line in lines)


def refseq_gff3() -> str:
    lines = [
        ("region", 1, 1000, ".", "ID=X:1..1000;Dbxref=taxon:9606;gbkey=Src"),
        ("gene", 100, 900, ".", "ID=gene-GEN;Dbxref=GeneID:1;Name=GEN;gbkey=Gene;gene=GEN;gene_biotype=protein_coding"),
        ("mRNA", 100, 900, ".", "ID=rna-T1;Parent=gene-GEN;Name=T1;gbkey=mRNA;gene=GEN;transcript_id=T1"),
        *((*part, f"ID={part[0]}-1;Parent=rna-T1;gene=GEN;transcript_id=T1") for part in PARTS if part[0] == "exon"),
        *((*part, f"ID={part[0]}-1;Parent=rna-T1;gene=GEN;protein_id=P1") for part in PARTS if part[0] == "CDS"),
        ("cDNA_match", 100, 900, ".", "ID=aln0;Target=T1 1 10 +"),
    ]  # fmt: skip
    return "##gff-version 3\n" + "".join(gff(*line) for line in lines)


def gtf(gencode: bool) -> str:
    kind, contig = ("type", "chrX") if gencode else ("biotype", "X")
    gene = f'gene_id "G1"; gene_name "GEN"; gene_{kind} "protein_coding";'
    told = (
        f'gene_id "G1"; transcript_id "T1"; gene_name "GEN"; gene_{kind} "protein_coding"; '
        f'transcript_{kind} "protein_coding"; exon_number 1; tag "basic"; tag "CCDS";'
    )
    five, three = ("UTR", "UTR") if gencode else ("five_prime_utr", "three_prime_utr")
    lines = [
        ("gene", 100, 900, ".", gene),
        ("transcript", 100, 900, ".", told),
        *((k, s, 597 if (k, e) == ("CDS", 600) else e, p, told) for k, s, e, p in PARTS),
        ("start_codon", 152, 154, "0", told),
        ("stop_codon", 598, 600, "0", told),
        (five, 100, 151, ".", told),
        (three, 601, 900, ".", told),
    ]
    return "#!genome-build x\n" + "".join(gff(*line, contig=contig) for line in lines)


DIALECTS: dict[str, Callable[[], str]] = {
    "ensembl.gff3": ensembl_gff3,
    "gencode.gff3": gencode_gff3,
    "refseq.gff3": refseq_gff3,
    "ensembl.gtf": lambda: gtf(gencode=False),
    "gencode.gtf": lambda: gtf(gencode=True),
}
CODING = "ATG" + "GCTAAATTTGGGCCC" * 30
BASES = list("ACGTTGCA" * 125)
BASES[151:200], BASES[300:400], BASES[500:597] = CODING[:49], CODING[49:149], CODING[149:246]
BASES[597:600] = "TAA"
BASES[200:202], BASES[298:300], BASES[400:402], BASES[498:500] = "GT", "AG", "GT", "AG"
CHROMOSOME = "".join(BASES)
OTHER = {"A": "C", "C": "A", "G": "T", "T": "G"}
SITES = (120, 152, 154, 160, 199, 201, 204, 250, 300, 302, 350, 401, 450, 501, 550, 597, 598, 599, 610, 850, 950)
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def consequences(desk: Any, sequence: str, name: str) -> dict[int, str]:
    """What csq says of one SNV at each of SITES, with the gene model that is registered."""
    genes = desk.lake.file(ANNOTATION_SOURCES.key, name, "genes.gff3.gz")
    fasta = desk.lake.file(REFERENCES.key, name, f"{name}.fa")
    found: dict[int, str] = {}
    head = "##fileformat=VCFv4.2\n##contig=<ID=X,length=1000>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=x>\n"
    samples = "\t".join(f"S{site}" for site in SITES)
    records = [
        f"X\t{site}\t.\t{sequence[site - 1]}\t{OTHER[sequence[site - 1]]}\t.\t.\t.\tGT\t"
        + "\t".join("1|0" if other == site else "0|0" for other in SITES)
        for site in sorted(SITES)
    ]
    text = f"{head}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{samples}\n" + "\n".join(records) + "\n"
    command = ["bcftools", "csq", "--force", "--phase", "a", "-f", fasta, "--gff-annot", genes, "-"]
    made = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout.decode()
    for line in made.splitlines():
        if not line.startswith("#"):
            fields = line.split("\t")
            told = [one.removeprefix("BCSQ=") for one in fields[7].split(";") if one.startswith("BCSQ=")]
            found[int(fields[1])] = told[0] if told else ""
    return found


@pytest.fixture(scope="module")
def chromosome(shared_desk: Any) -> Any:
    made = register(shared_desk, {"x.fa": f">X\n{CHROMOSOME}\n".encode()}, "x")
    assert isinstance(made, Outcome)
    return shared_desk


def test_five_dialects_of_a_gene_model_give_the_same_consequences(chromosome: Any) -> None:
    found: dict[str, dict[int, str]] = {}
    for dialect, written in DIALECTS.items():
        packed = dialect.startswith("gencode")
        data = gzip.compress(written().encode()) if packed else written().encode()
        rows = annotate(chromosome, {f"genes.{dialect.split('.')[1]}{'.gz' if packed else ''}": data}, "x")
        assert chromosome.codes() == [], dialect
        assert (rows["genes"]["records"], rows["genes"]["records_off_reference"]) == (10, 0), dialect
        found[dialect] = consequences(chromosome, CHROMOSOME, "x")
    assert all(told == found["ensembl.gff3"] for told in found.values())
    terms = {site: told.split("|")[0] for site, told in found["ensembl.gff3"].items()}
    assert terms == {
        120: "5_prime_utr", 152: "start_lost", 154: "start_lost", 160: "missense", 199: "splice_region",
        201: "splice_donor", 204: "splice_region", 250: "intron", 300: "splice_acceptor", 302: "splice_region",
        350: "missense", 401: "splice_donor", 450: "intron", 501: "splice_region", 550: "missense", 597: "synonymous",
        598: "stop_lost", 599: "stop_lost", 610: "3_prime_utr", 850: "3_prime_utr", 950: "",
    }  # fmt: skip
    assert {told.split("|")[1] for told in found["ensembl.gff3"].values() if told} == {"GEN"}
    assert {told.split("|")[2] for told in found["ensembl.gff3"].values() if told} <= {"T1", ""}


def test_a_gene_of_the_other_strand_in_gtf_and_gff3(desk: Any) -> None:
    turned = CHROMOSOME.translate(COMPLEMENT)[::-1]
    register(desk, {"x.fa": f">X\n{turned}\n".encode()}, "x")

    def turn(text: str) -> str:
        lines = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
        for line in lines:
            line[3], line[4], line[6] = str(1001 - int(line[4])), str(1001 - int(line[3])), "-"
        return "".join("\t".join(line) + "\n" for line in reversed(lines))

    found = []
    for dialect in ("ensembl.gff3", "refseq.gff3", "gencode.gtf"):
        annotate(desk, {f"genes.{dialect.split('.')[1]}": turn(DIALECTS[dialect]()).encode()}, "x")
        assert desk.codes() == []
        found.append(consequences(desk, turned, "x"))
    assert found[0] == found[1] == found[2]
    assert found[0][120].startswith("3_prime_utr")
    assert {told.split("|")[0] for told in found[0].values()} >= {"intron", "3_prime_utr", "missense", "stop_lost"}


def test_a_stop_codon_across_an_intron_is_coding() -> None:
    told = 'gene_id "G"; transcript_id "T"; gene_biotype "protein_coding"; transcript_biotype "protein_coding";'
    lines = [
        gff("gene", 1, 90, ".", 'gene_id "G"; gene_biotype "protein_coding";'),
        gff("transcript", 1, 90, ".", told),
        gff("exon", 1, 31, ".", told),
        gff("CDS", 1, 30, "0", told),
        gff("stop_codon", 31, 31, "0", told),
        gff("exon", 51, 90, ".", told),
        gff("stop_codon", 51, 52, "2", told),
    ]
    text, _, _ = reference.ensembl_gff3(lines, ["X"])
    parts = [line.split("\t") for line in text.splitlines()[1:]]
    assert [(p[3], p[4], p[7]) for p in parts if p[2] == "CDS"] == [("1", "31", "0"), ("51", "52", "2")]
    assert [(p[2], p[3], p[4]) for p in parts if "UTR" in p[2]] == [("three_prime_UTR", "53", "90")]


def test_shared_exons_orphans_and_odd_lines() -> None:
    lines = [
        gff("gene", 1, 90, ".", "ID=gene:G; Name=GEN ;biotype=lncRNA"),
        gff("lnc_RNA", 1, 90, ".", "ID=transcript:T1; Parent=gene:G"),
        gff("lnc_RNA", 1, 50, ".", "ID=transcript:T2;Parent=gene:G;biotype=retained_intron"),
        gff("exon", 1, 50, ".", "Parent=transcript:T1,transcript:T2"),
        gff("exon", 60, 90, ".", "Parent=transcript:T1"),
        gff("exon", 60, 90, ".", "Parent=transcript:NOWHERE"),
        gff("CDS", 1, 30, "0", "ID=cds-1;Parent=gene:G"),
        gff("mRNA", 1, 90, ".", "ID=transcript:T3;Parent=gene:NOWHERE"),
        gff("gene", 1, 90, ".", "ID=gene:OFF", contig="Y"),
        "X\ttoo\tfew\n",
        "X\tx\texon\tone\ttwo\t.\t+\t.\tParent=transcript:T1\n",
        "##FASTA\n",
        ">X\n",
        "ACGT\n",
    ]
    text, records, off = reference.ensembl_gff3(lines, ["X"])
    assert (records, off) == (6, 1)
    kinds = [line.split("\t")[2] for line in text.splitlines()[1:]]
    assert kinds == ["gene", "transcript", "exon", "exon", "transcript", "exon"]
    assert "ID=gene:G;Name=GEN;biotype=lincRNA" in text  # bcftools csq 1.16 knows the older name only
    assert "ID=transcript:T1;Parent=gene:G;biotype=lincRNA" in text


@pytest.mark.parametrize(
    ("file", "data", "code"),
    [
        ("genes.gff3", ensembl_gff3("7").encode(), "genes_off_reference"),
        ("genes.gff3", b"", "genes_off_reference"),
        ("genes.gff3", b"\x00\x01\xff binary", "genes_off_reference"),
        ("genes.gff3.gz", gzip.compress(ensembl_gff3().encode())[:-30], "genes_not_usable"),
        ("genes.gff3.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + b"\xff" * 60, "genes_not_usable"),
        ("genes.gff3.gz", ensembl_gff3().encode(), "genes_not_usable"),
        ("genes.gff3", ensembl_gff3().replace("protein_coding", "no_such_type").encode(), "genes_not_usable"),
        ("genes.gff3", ensembl_gff3(strand="?").encode(), "genes_not_usable"),
        ("genes.txt", b"gene list: BRCA1, BRCA2", "genes_off_reference"),
        ("targets.bed", b"X\t10\t5\n", "targets_not_bed"),
        ("targets.bed", b"X 1 5\n", "targets_not_bed"),
        ("targets.bed", b"X\t0\t5\nX\tone\t5\nX\t\xc2\xb2\t5\n", "targets_not_bed"),
        ("targets.bed", b"X\t990\t1001\n", "targets_not_bed"),
        ("targets.bed", b"7\t1\t5\n", "targets_off_reference"),
        ("targets.bed", b"", "targets_off_reference"),
        ("clinvar.vcf.gz", b"junk", "clinvar_not_usable"),
        ("clinvar.vcf.gz", gzip.compress(b"junk\n"), "clinvar_not_usable"),
    ],
    ids=[
        "genes_elsewhere", "genes_empty", "genes_binary", "genes_cut", "genes_damaged", "genes_not_gzip",
        "no_known_biotype", "no_strand", "gene_list", "end_before_start", "blanks", "no_numbers", "beyond_the_contig",
        "targets_elsewhere", "targets_empty", "clinvar_junk", "clinvar_junk_in_gzip",
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_used_waits_and_the_others_go_on(
    file: str, data: bytes, code: str, chromosome: Any
) -> None:
    targets, genes = {"targets.bed": b"X\t100\t200\tfirst\n"}, {"genes.gff3": ensembl_gff3().encode()}
    good = genes if file.startswith("targets") else targets
    rows = annotate(chromosome, {**good, file: data}, "x")
    assert set(rows) == {"targets" if "targets.bed" in good else "genes"}
    [kept] = chromosome.open()
    assert kept["code"] == code
    assert [(f["name"], f["sha256"]) for f in kept["files"]] == [(file, hashlib.sha256(data).hexdigest())]
    annotate(chromosome, good, "x")
    assert chromosome.codes() == []


def test_a_model_with_ribosomal_slippage_and_odd_phases_is_usable(chromosome: Any) -> None:
    slips = ensembl_gff3() + "".join(
        gff(kind, start, end, phase, told)
        for kind, start, end, phase, told in (
            ("gene", 700, 800, ".", "ID=gene:G2;Name=SLIP;biotype=protein_coding"),
            ("mRNA", 700, 800, ".", "ID=transcript:T2;Parent=gene:G2;biotype=protein_coding"),
            ("exon", 700, 800, ".", "Parent=transcript:T2"),
            ("CDS", 700, 759, "0", "Parent=transcript:T2"),
            ("CDS", 759, 799, "2", "Parent=transcript:T2"),
        )
    )
    annotate(chromosome, {"genes.gff3": slips.encode()}, "x")
    assert chromosome.codes() == []
    assert consequences(chromosome, CHROMOSOME, "x")[598].startswith("stop_lost|GEN")


def test_one_file_a_source_and_indexes_are_no_source(chromosome: Any) -> None:
    files = {
        "genes.gff3": ensembl_gff3(),
        "genes.gtf": gtf(gencode=False),
        "genes.gff3.gz.tbi": "x",
        "genes.gff3.md5": "x",
    }
    rows = annotate(chromosome, {name: text.encode() for name, text in files.items()}, "x")
    assert set(rows) == {"genes"}
    assert [(kept["code"], kept["files"][0]["name"]) for kept in chromosome.open()] == [("source_twice", "genes.gtf")]
    annotate(chromosome, {}, "x")


# ---------------------------------------------------------------- targets


def test_targets_are_sorted_named_and_on_the_contigs_of_the_reference(chromosome: Any) -> None:
    bed = b"\xef\xbb\xbftrack name=x\nbrowser position\n#c\nchrX\t500\t600\tlast\t0\t+\r\nX\t0\t10\n\n"
    bed += b"X\t5\t20\tmid\n7\t1\t2\tgone\n"
    rows = annotate(chromosome, {"targets.bed": bed}, "x")
    assert (rows["targets"]["records"], rows["targets"]["records_off_reference"]) == (3, 1)
    made = chromosome.lake.file(ANNOTATION_SOURCES.key, "x", "targets.bed").read_text()
    assert made == "X\t0\t10\tX:0-10\nX\t5\t20\tmid\nX\t500\t600\tlast\n"


# ---------------------------------------------------------------- known sites and ClinVar


def site_vcf(*records: str, head: str = "") -> bytes:
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    return f"##fileformat=VCFv4.2\n{head}{columns}".encode() + "".join(f"{r}\n" for r in records).encode()


def at(position: int, length: int = 1) -> str:
    return CHROMOSOME[position - 1 : position - 1 + length]


def test_known_sites_are_split_aligned_and_renamed(chromosome: Any) -> None:
    records = (
        f"chrX\t30\trs1\t{at(30)}\t{OTHER[at(30)]},<DEL>\t.\t.\tRS=1",
        f"X\t20\trs2;rs3\t{at(20, 3)}\t{at(20)},{at(20, 3)}T\t.\t.\t.",
        f"chrX\t10\trs4\t{at(10).lower()}\t{OTHER[at(10)].lower()}\t.\t.\t.",
        "7\t10\trs9\tA\tC\t.\t.\t.",
    )
    rows = annotate(chromosome, {"known_sites.vcf.gz": gzip.compress(site_vcf(*records))}, "x")
    assert (rows["known_sites"]["records"], rows["known_sites"]["records_off_reference"]) == (5, 1)
    path = chromosome.lake.file(ANNOTATION_SOURCES.key, "x", "known_sites.vcf.gz")
    frame = vcf.read_lookup(path, {"known_id": ("ID",)})
    assert frame["chrom"].unique().to_list() == ["X"]
    assert frame.filter(pl.col("pos") == 30)["alt"].sort().to_list() == ["<DEL>", OTHER[at(30)]]
    assert set(frame["known_id"]) == {"rs1", "rs2;rs3", "rs4"}
    assert chromosome.codes() == []


def test_sites_of_another_genome_build_are_refused(chromosome: Any) -> None:
    right = [f"X\t{i}\trs{i}\t{at(i)}\t{OTHER[at(i)]}\t.\t.\t." for i in range(100, 200)]
    wrong = [f"X\t{i}\trs{i}\t{at(i + 1)}\t{OTHER[at(i + 1)]}\t.\t.\t." for i in range(100, 200)]
    assert annotate(chromosome, {"known_sites.vcf.gz": bgzip(site_vcf(*wrong))}, "x") == {}
    assert chromosome.codes() == ["sites_of_another_reference"]
    rows = annotate(chromosome, {"known_sites.vcf.gz": bgzip(site_vcf(*right[:99], wrong[99]))}, "x")
    assert (rows["known_sites"]["records"], chromosome.codes()) == (99, [])
    assert any("1 records whose REF" in line for line in chromosome.heard)


def test_real_clinvar_of_other_contigs_gives_nothing_and_says_so(chromosome: Any, data: Path) -> None:
    delivered = (data / "annotation/clinvar_b37_example_750.vcf.gz").read_bytes()
    rows = annotate(chromosome, {"clinvar.vcf.gz": delivered}, "x")
    assert (rows["clinvar"]["records"], rows["clinvar"]["records_off_reference"]) == (0, 625)
    assert chromosome.codes() == []
    path = chromosome.lake.file(ANNOTATION_SOURCES.key, "x", "clinvar.vcf.gz")
    assert list(VCF(str(path))) == []
    empty = vcf.read_lookup(path, {"clinvar_id": ("ID", "VARIATION_ID")})
    assert (empty.height, empty.schema["pos"]) == (0, pl.Int64)


def test_real_clinvar_moved_onto_the_reference_hits(chromosome: Any, data: Path) -> None:
    """Rows of the flattened 2018 release, their place and alleles changed to those of the reference here."""
    lines = gzip.decompress((data / "annotation/clinvar_b37_example_750.vcf.gz").read_bytes()).decode().splitlines()
    moved = [line.split("\t") for line in lines if not line.startswith("#")][:40]
    for i, fields in enumerate(moved):
        fields[0], fields[1], fields[3], fields[4] = "chrX", str(100 + i), at(100 + i), OTHER[at(100 + i)]
    text = "\n".join([*(x for x in lines if x.startswith("#")), *("\t".join(f) for f in moved)]) + "\n"
    rows = annotate(chromosome, {"clinvar.vcf.gz": bgzip(text.encode())}, "x")
    assert (rows["clinvar"]["records"], rows["clinvar"]["records_off_reference"]) == (40, 0)
    path = chromosome.lake.file(ANNOTATION_SOURCES.key, "x", "clinvar.vcf.gz")
    tags = {"clinvar_id": ("ID", "VARIATION_ID"), "clinvar_significance": ("CLNSIG", "CLINICAL_SIGNIFICANCE")}
    frame = vcf.read_lookup(path, tags)
    told = [dict(p.split("=", 1) for p in f[7].split(";") if "=" in p) for f in moved]
    assert frame["clinvar_significance"].to_list() == [t["CLINICAL_SIGNIFICANCE"] for t in told]
    assert frame["clinvar_id"].to_list() == [
        f[2] if f[2] != "." else t["VARIATION_ID"] for f, t in zip(moved, told, strict=True)
    ]
