"""Consequences and look-ups: real Ensembl models with published expectations, and hand-made call sets."""

import gzip
from collections.abc import Mapping, Sequence
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
from lsdata.genomics.annotation import SEVERITY, most_severe
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
