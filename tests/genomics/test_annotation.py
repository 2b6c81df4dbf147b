"""Consequences and look-ups: real Ensembl models with published expectations, and hand-made call sets."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.catalog import DATASETS
from lsdata.catalog.genomics import ANNOTATION_SOURCES, REFERENCES, VARIANTS
from lsdata.genomics import annotation, reference
from lsdata.genomics.annotation import SEVERITY, most_severe, most_severe_vep, vep_consequences
from lsdata.lake.work import Outcome

IMPACTS = ("HIGH", "MODERATE", "LOW", "MODIFIER")


def head(contig: str, samples: Sequence[str]) -> str:
    lines = ("fileformat=VCFv4.2", f"contig=<ID={contig}>", 'FORMAT=<ID=GT,Number=1,Type=String,Description="x">')
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]
    return "".join(f"##{line}\n" for line in lines) + "\t".join(columns) + "\n"


def calls(contig: str, samples: Sequence[str], *records: tuple[int, str, str, str]) -> str:
    """Records of pos, ref, alt and genotypes separated by blanks."""
    lines = ["\t".join([contig, str(p), ".", r, a, "50", "PASS", ".", "GT", *g.split()]) for p, r, a, g in records]
    return head(contig, samples) + "".join(f"{line}\n" for line in lines)


def registered(desk: Any, name: str, fasta: bytes, sources: Mapping[str, bytes]) -> None:
    desk.land(f"reference/{name}/{name}.fa", fasta)
    for file, data in sources.items():
        desk.land(f"reference/{name}/{file}", data)
    assert isinstance(desk.run(REFERENCES, reference.register, name), Outcome)
    if sources:
        assert isinstance(desk.run(ANNOTATION_SOURCES, reference.register_annotation, name), Outcome)
    assert desk.codes() == []


def annotated(desk: Any, text: str, name: str, cohort: str = "fam") -> pl.DataFrame:
    desk.call(text, name, cohort)
    made = desk.run(VARIANTS, annotation.variants, cohort)
    assert isinstance(made, Outcome), made
    return made.rows.sort("chrom", "pos", "ref", "alt")


# ---------------------------------------------------------------- real Ensembl models

MODELS = {"tlr8": "ENST00000218032", "unc93b1": "ENST00000227471"}
TRUTH = {
    ("tlr8", "start-lost"): ("start_lost&splice_region", "HIGH", "1M>1V"),
    ("tlr8", "start-lost-del"): ("inframe_deletion&start_lost&splice_region", "HIGH", None),
    ("unc93b1", "insert-splice-vs-frameshift"): ("splice_acceptor&splice_region", "HIGH", None),
}


@pytest.fixture(scope="module")
def ensembl(shared_desk: Any, data: Path) -> Any:
    for name, folder in MODELS.items():
        place = data / "annotation/csq" / folder
        model = (place / f"{folder}.gff").read_bytes()
        registered(shared_desk, name, (place / f"{folder}.fa").read_bytes(), {"genes.gff3": model})
    return shared_desk


def sequence(desk: Any, name: str) -> str:
    lines = desk.lake.file(REFERENCES.key, name, f"{name}.fa").read_text().splitlines()
    return "".join(lines[1:])


@pytest.mark.parametrize("gt", ["0|1", "1|0", "1|1", "0/1", "1/1", "1"])
@pytest.mark.parametrize(("name", "case"), TRUTH)
def test_real_models_give_the_published_consequences(name: str, case: str, gt: str, ensembl: Any, data: Path) -> None:
    lines = (data / "annotation/csq" / MODELS[name] / f"{case}.vcf").read_text().splitlines()
    records = [line.split("\t") for line in lines if not line.startswith("#")]
    # A sample for each record: together in one person they would be one compound change.
    samples = [f"S{i}" for i in range(len(records))]
    made = annotated(
        ensembl,
        calls(
            records[0][0],
            samples,
            *((int(r[1]), r[3], r[4], " ".join(gt if r is other else "0/0" for other in records)) for r in records),
        ),
        name,
    )
    published = [r[7].removeprefix("EXP=").split(";")[0] for r in records]
    for row, told in zip(made.iter_rows(named=True), published, strict=True):
        assert row["bcsq"] == told
        fields = told.split("|")
        assert (row["consequence"], row["gene"], row["transcript"]) == tuple(fields[:3])
    consequence, impact, change = TRUTH[name, case]
    assert made.row(0, named=True)["impact"] == impact
    assert (made["consequence"][0], made["amino_acid_change"][0]) == (consequence, change)


def snv(bases: str, pos: int, alt: str = "") -> tuple[int, str, str]:
    ref = bases[pos - 1]
    return pos, ref, alt or next(b for b in "ACGT" if b != ref)


def test_changes_on_one_haplotype_are_one_compound_change(ensembl: Any) -> None:
    """TLR8 codon 3 is AAC (Asn): with 12448 A>C and 12449 A>T it is CTC, Leu; 12449 A>G alone is AGC, Ser."""
    bases = sequence(ensembl, "tlr8")
    assert bases[12447:12450] == "AAC"
    records = ((12448, "A", "C,T", "1|0 0|0 2|0"), (12449, "A", "T,G", "1|0 0|2 0|0"))
    made = annotated(ensembl, calls("X", ["S1", "S2", "S3"], *records), "tlr8")
    told = {(row["pos"], row["alt"]): row for row in made.iter_rows(named=True)}
    assert {k: row["amino_acid_change"] for k, row in told.items()} == {
        (12448, "C"): "3N>3L",
        (12449, "T"): "3N>3L",
        (12449, "G"): "3N>3S",
        (12448, "T"): "3N>3Y",
    }
    # It is written at one of the two; the other points there, past the other allele of that position.
    assert told[12449, "T"]["bcsq"] == "@12448"
    assert told[12449, "T"]["consequence"] == "missense"


def test_an_allele_beside_a_compound_change_does_not_lend_it_its_severity(ensembl: Any) -> None:
    """12447 to 12449 is A AAC: A>T at 12448 makes TAC (Tyr); a stop at the same position must stay with its allele."""
    bases = sequence(ensembl, "tlr8")
    # Codon 5 is TTC at 12454..12456, codon 6 CTT: look for a codon one base from a stop, with a second base to change.
    start = next(
        p for p in range(12448, 15000, 3) if bases[p - 1 : p + 2] in ("TGG", "TAC", "TCA", "GAA", "CAA", "AAA")
    )
    codon = bases[start - 1 : start + 2]
    stops = [
        (i, b)
        for i in range(3)
        for b in "ACGT"
        if b != codon[i] and codon[:i] + b + codon[i + 1 :] in ("TAA", "TAG", "TGA")
    ]
    place, stop = stops[0]
    other = next(b for b in "ACGT" if b not in (codon[place], stop))
    second = (place + 1) % 3
    partner = next(b for b in "ACGT" if b != codon[second])
    first = (start + place, codon[place], f"{other},{stop}", "1|0 2|0")
    beside = (start + second, codon[second], partner, "1|0 0|0")
    made = annotated(ensembl, calls("X", ["S1", "S2"], *sorted((first, beside))), "tlr8")
    told = {(row["pos"], row["alt"]): row["consequence"] for row in made.iter_rows(named=True)}
    assert told[start + place, stop] == "stop_gained"
    assert told[start + second, partner] == told[start + place, other] != "stop_gained"


def test_compound_changes_on_the_other_strand_are_found(ensembl: Any) -> None:
    bases = sequence(ensembl, "unc93b1")
    records = [(*snv(bases, pos), "1|0") for pos in (4600, 4601)]
    made = annotated(ensembl, calls("11", ["S1"], *records), "unc93b1")
    assert sum(bcsq.startswith("@") for bcsq in made["bcsq"]) <= 1
    assert made["consequence"].null_count() == 0
    if any(bcsq.startswith("@") for bcsq in made["bcsq"]):
        assert made["amino_acid_change"].n_unique() == 1


def test_a_model_that_csq_stops_at_without_force_annotates_the_rest(desk: Any, data: Path) -> None:
    place = data / "annotation/csq" / MODELS["tlr8"] / MODELS["tlr8"]
    lines = place.with_suffix(".gff").read_text()
    slip = [
        line.split("\t") for line in lines.splitlines() if line.split("\t")[2] in ("gene", "transcript", "exon", "CDS")
    ]
    for fields in slip:  # the same gene again, with two CDS that overlap by a base
        fields[8] = fields[8].replace("ENSG00000101916", "G2").replace("ENST00000218032", "T2").replace("TLR8", "SLIP")
    extra = [list(f) for f in slip if f[2] == "CDS"][-1:]
    extra[0][3] = "15567"
    model = lines + "".join("\t".join(f) + "\n" for f in [*slip, *extra])
    registered(desk, "tlr8", place.with_suffix(".fa").read_bytes(), {"genes.gff3": model.encode()})
    made = annotated(desk, calls("X", ["S1"], (12455, "T", "G", "0|1")), "tlr8")
    assert "missense|TLR8|ENST00000218032" in made["bcsq"][0]


# ---------------------------------------------------------------- what is not registered, and what is looked up

BASES = "ACGTCACACACACAGGGTTTTTTTTACGTACGTAAAATGCCGATATATATGCAATTTAACG" * 2


def test_without_sources_the_columns_are_null_and_the_notes_say_so(desk: Any) -> None:
    registered(desk, "hg", f">1\n{BASES}\n".encode(), {})
    made = annotated(desk, calls("1", ["S1"], (*snv(BASES, 5), "0/1")), "hg")
    told = made.row(0, named=True)
    filled = {"cohort_id", "chrom", "pos", "ref", "alt", "site", "qual", "filter"}
    assert {name for name, value in told.items() if value is not None} == filled
    desk.call(calls("1", ["S1"]), "hg", "empty")
    outcome = desk.run(VARIANTS, annotation.variants, "empty")
    assert outcome.rows.is_empty()
    assert outcome.rows.columns == list(VARIANTS.names)
    assert set(outcome.notes.values()) == {"no: its columns are null"}


def test_alleles_are_looked_up_as_alleles(desk: Any) -> None:
    """A repeat deletion is the same allele wherever in the repeat it was written; another allele of a site is not."""
    assert BASES[4:14] == "CACACACACA"
    sites = head("1", []).replace("\tFORMAT", "").replace("##FORMAT", "##x")
    clinvar = (
        sites.replace("#CHROM", '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="x">\n#CHROM')
        + "1\t13\t1001\tCA\t.\t.\t.\tCLNSIG=Benign\n"
        + f"1\t11\t1002\t{BASES[10:14]}\t{BASES[10:12]}\t.\t.\tCLNSIG=Pathogenic,_low\n"
        + "1\t20\t1003\tT\tC\t.\t.\tCLNSIG=Benign\n1\t20\t1004\tT\tC\t.\t.\tCLNSIG=Pathogenic\n"
    )  # fmt: skip
    known = sites + "1\t20\trs1;rs2\tT\tA,C\t.\t.\t.\nchr1\t30\trs3\tA\tC\t.\t.\t.\n"
    packed = {"clinvar.vcf.gz": gzip.compress(clinvar.encode()), "known_sites.vcf.gz": gzip.compress(known.encode())}
    registered(desk, "hg", f">1\n{BASES}\n".encode(), packed)
    rows = [
        (4, BASES[3:6], BASES[3], "0/1"),
        (20, "T", "A,C,G", "1/2"),
        (20, "T", "*", "0/0"),
    ]
    made = annotated(desk, calls("1", ["S1"], *rows), "hg")
    told = {
        (r["pos"], r["alt"]): (r["clinvar_id"], r["clinvar_significance"], r["known_id"])
        for r in made.iter_rows(named=True)
    }
    assert told[4, "T"] == ("1002", "Pathogenic,_low", None)
    assert told[20, "A"] == (None, None, "rs1;rs2")
    # ClinVar says it twice: the row stays one.
    assert told[20, "C"] == ("1003", "Benign", "rs1;rs2")
    assert told[20, "G"] == told[20, "*"] == (None, None, None)
    assert made.height == 5


# ---------------------------------------------------------------- Ensembl VEP

CSQ_FIELDS = (
    "Allele|Consequence|IMPACT|SYMBOL|Gene|Feature_type|Feature|BIOTYPE|EXON|INTRON|HGVSc|HGVSp|cDNA_position|"
    "CDS_position|Protein_position|Amino_acids|Codons|Existing_variation|DISTANCE|STRAND|FLAGS|PICK|SYMBOL_SOURCE|"
    "HGNC_ID"
)
"""Columns of VEP 110, as its OutputFactory/VCF.pm orders them, with --symbol and --flag_pick_allele."""


def csq(**told: str) -> str:
    """One consequence as VEP joins it."""
    return "|".join(told.get(name, "") for name in CSQ_FIELDS.split("|"))


# The first is dbSNP rs267606766 as VEP annotated it (DHODH, Miller syndrome); the others are of the same form.
CSQ = {
    "rs267606766": "A|missense_variant|MODERATE|DHODH|ENSG00000102967|Transcript|ENST00000219240|protein_coding|4/9||||"
    "475|454|152|G/R|Ggg/Agg|||1||1|HGNC|HGNC:2867",
    "equals": ",".join(
        csq(Allele="T", Consequence=term, IMPACT=impact, SYMBOL=f"B{i}", Gene=f"ENSG{i}", Feature=f"ENST{i}", PICK=pick,
            Protein_position=place, Amino_acids=acid)
        for i, term, impact, pick, place, acid in (
            (2, "synonymous_variant", "LOW", "", "7", "F"),
            (1, "synonymous_variant", "LOW", "1", "7", "F"),
            (3, "intron_variant", "MODIFIER", "", "", ""),
        )
    ),
    "several terms": csq(
        Allele="-", Consequence="frameshift_variant&splice_region_variant&intron_variant", IMPACT="HIGH", Gene="ENSG9",
        Feature="ENST9", Protein_position="2", Amino_acids="KL/X", FLAGS="cds_start_NF",
    ),
    "intergenic": csq(Allele="C", Consequence="intergenic_variant", IMPACT="MODIFIER"),
    "new": csq(
        Allele="G", Consequence="3_prime_UTR_variant&NMD_transcript_variant", IMPACT="MODIFIER", SYMBOL="N",
        Gene="ENSGN", Feature="ENSTN", Existing_variation="rs1&COSV1",
    ),
}  # fmt: skip
PREDICTED = {
    "rs267606766": ("DHODH", "ENST00000219240", "missense", "MODERATE", "152G>152R"),
    "equals": ("B1", "ENST1", "synonymous", "LOW", "7F"),
    "several terms": ("ENSG9", "ENST9", "frameshift&splice_region&intron", "HIGH", "2KL>2X"),
    "intergenic": (None,) * 5,
    "new": ("N", "ENSTN", "3_prime_utr&nmd_transcript", "MODIFIER", None),
}
VEP_HEAD = (
    '##VEP="v110" time="2024-01-15 10:00:00" cache="/data/vep/homo_sapiens/110_GRCh38" ensembl=110.584a8cf\n'
    '##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. '
    f'Format: {CSQ_FIELDS}">\n'
    "##VEP-command-line='vep --cache --dir_cache /data/vep'\n"
)


def test_what_vep_writes_is_read_as_its_header_says(tmp_path: Path) -> None:
    rows = [
        f"1\t{i}\t.\tA\tC\t.\t.\t" + (f"CSQ={told}" if told else ".") for i, told in enumerate([*CSQ.values(), ""], 1)
    ]
    path = tmp_path / "vep.vcf"
    path.write_text(
        head("1", []).replace("#CHROM", VEP_HEAD + "#CHROM").replace("\tFORMAT\n", "\n") + "\n".join(rows) + "\n"
    )
    assert all(one.count("|") == CSQ_FIELDS.count("|") for told in CSQ.values() for one in told.split(","))
    assert vep_consequences(path) == [*PREDICTED.values(), (None,) * 5]


@given(st.permutations(CSQ["equals"].split(",")))
def test_of_equally_severe_consequences_the_picked_one_counts_in_any_order(told: list[str]) -> None:
    fields = [dict(zip(CSQ_FIELDS.split("|"), one.split("|"), strict=True)) for one in told]
    assert most_severe_vep(fields) == PREDICTED["equals"]


def test_vep_and_csq_give_the_same_names_for_the_same_consequences() -> None:
    """Ensembl's terms without `_variant`, in lower case, are those of bcftools csq, and VEP's impact is the same."""
    impacts = {"missense_variant": "MODERATE", "splice_donor_variant": "HIGH", "5_prime_UTR_variant": "MODIFIER"}
    for term, impact in impacts.items():
        told = {"Gene": "G", "SYMBOL": "G", "Feature": "T", "Consequence": term, "IMPACT": impact}
        name = most_severe_vep([told])[2]
        assert most_severe([f"{name}|G|T|protein_coding"])[2:4] == (name, impact)


VEP_STAND_IN = """#!/bin/bash
case "$1" in --help) printf '  ensembl              : 110.584a8cf\\n  ensembl-vep          : 110.0\\n'; exit;; esac
printf '%s\\n' "$@" > {arguments}
awk -v OFS='\\t' -v head={head} '
  /^#CHROM/ {{ while ((getline line < head) > 0) print line }}
  /^#/ {{ print; next }}
  {{ $8 = ($8 == "." ? "" : $8 ";") "CSQ={csq}"; print }}'
"""


def test_vep_is_asked_as_its_manual_says_and_leaves_no_path(desk: Any, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    desk.lake.settings = replace(desk.lake.settings, annotator="vep", vep_cache=tmp_path / "cache")
    (tmp_path / "head").write_text(VEP_HEAD)
    stand_in = tmp_path / "bin/vep"
    stand_in.parent.mkdir()
    told = VEP_STAND_IN.format(arguments=tmp_path / "arguments", head=tmp_path / "head", csq=CSQ["rs267606766"])
    stand_in.write_text(told)
    stand_in.chmod(0o755)
    desk.runner = replace(desk.runner, path=f"{stand_in.parent}:{desk.runner.path}")
    registered(desk, "hg", f">1\n{BASES}\n".encode(), {})
    desk.call(calls("1", ["S1"], (*snv(BASES, 5), "0/1"), (20, "T", "A,C", "1/2")), "hg")
    made = desk.run(VARIANTS, annotation.variants, "fam")
    assert isinstance(made, Outcome)
    assert (
        made.rows.select("gene", "transcript", "consequence", "impact", "amino_acid_change").rows()
        == [PREDICTED["rs267606766"]] * 3
    )
    assert made.rows["bcsq"].null_count() == 3
    assert made.notes["consequences"] == "Ensembl VEP 110.0"
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert {"--offline", "--cache", "--vcf", "--symbol", "--fork", "--pick_order"} <= set(arguments)
    assert arguments[arguments.index("--dir_cache") + 1] == str(tmp_path / "cache")
    text = gzip.decompress(desk.lake.file(VARIANTS.key, "fam", "annotated.vcf.gz").read_bytes()).decode()
    assert "##VEP" not in text
    assert str(tmp_path) not in text
    assert "ID=CSQ" in text


# ---------------------------------------------------------------- the most severe

TERMS = st.lists(st.sampled_from([*SEVERITY, "something_new"]), min_size=1, max_size=3, unique=True).map("&".join)


@given(st.lists(st.tuples(TERMS, st.booleans()), min_size=1, max_size=4))
def test_the_most_severe_does_not_depend_on_the_order(told: list[tuple[str, bool]]) -> None:
    strings = [f"{'*' * star}{terms}|G{i}|T{i}|protein_coding" for i, (terms, star) in enumerate(told)]
    impacts = {most_severe(list(order))[3] for order in permutations(strings)}
    worst = min((IMPACTS.index(SEVERITY.get(t, "MODIFIER")) for terms, _ in told for t in terms.split("&")), default=3)
    assert impacts == {IMPACTS[worst]}
    gene, transcript, consequence, _, change = most_severe(strings)
    index = int(str(gene)[1:])
    assert (consequence, transcript, change) == (told[index][0], f"T{index}", None)


def test_severity_goes_down_and_its_words_are_declared() -> None:
    ranks = [IMPACTS.index(impact) for impact in SEVERITY.values()]
    assert ranks == sorted(ranks)
    assert set(SEVERITY.values()) == set(DATASETS[VARIANTS.key].column("impact").codelist or ())
    # All terms of bcftools csq 1.16, `bcftools csq --help` and its source.
    assert set(SEVERITY) >= {
        "synonymous", "missense", "stop_lost", "stop_gained", "inframe_deletion", "inframe_insertion", "frameshift",
        "splice_acceptor", "splice_donor", "start_lost", "splice_region", "stop_retained", "5_prime_utr", "3_prime_utr",
        "non_coding", "intron", "intergenic", "inframe_altering", "coding_sequence", "feature_elongation",
        "start_retained",
    }  # fmt: skip
