"""VCF to columns: all that the specification allows, value for value what bcftools says, and nothing lost."""

import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lsdata.catalog.genomics import GENOTYPES, JOINT_CALLS, REFERENCES, VARIANTS
from lsdata.genomics import annotation, reference, vcf
from lsdata.lake.work import Outcome

SEQUENCE = ("ACGTCACACACACAGGGTTTTTTTTACGTACGTAAAATGCCGATATATATGCAATTTAACG" * 4)[:200]
CONTIGS = ("1", "chrX", "HLA-A*01:01", "gi|77|x")
HEAD = "".join(
    f"##{line}\n"
    for line in (
        "fileformat=VCFv4.3",
        *(f"contig=<ID={c},length={len(SEQUENCE)}>" for c in CONTIGS),
        'FILTER=<ID=QD2,Description="low">',
        'FILTER=<ID=SOR3,Description="skewed">',
        'ALT=<ID=DEL,Description="deletion">',
        'INFO=<ID=AC,Number=A,Type=Integer,Description="x">',
        'INFO=<ID=AN,Number=1,Type=Integer,Description="x">',
        'INFO=<ID=DP,Number=1,Type=Integer,Description="x">',
        *(f'INFO=<ID={t},Number=1,Type=Float,Description="x">' for t in ("QD", "FS", "SOR", "MQ")),
        *(f'INFO=<ID={t},Number=1,Type=Float,Description="x">' for t in ("MQRankSum", "ReadPosRankSum")),
        'INFO=<ID=END,Number=1,Type=Integer,Description="x">',
        'FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        'FORMAT=<ID=AD,Number=R,Type=Integer,Description="x">',
        'FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">',
        'FORMAT=<ID=GQ,Number=1,Type=Integer,Description="x">',
        'FORMAT=<ID=PGT,Number=1,Type=String,Description="x">',
        'FORMAT=<ID=PS,Number=1,Type=Integer,Description="x">',
    )
)  # fmt: skip


def columns(*samples: str) -> str:
    return "\t".join(
        ["#CHROM POS ID REF ALT QUAL FILTER INFO".replace(" ", "\t"), *(("FORMAT", *samples) if samples else ())]
    )


def at(pos: int, length: int = 1) -> str:
    return SEQUENCE[pos - 1 : pos - 1 + length]


def snv(pos: int) -> str:
    return "ACGT"["ACGT".index(at(pos)) - 1]


def text(samples: Sequence[str], *records: str) -> str:
    return HEAD + columns(*samples) + "\n" + "".join(record.replace(" ", "\t") + "\n" for record in records)


HAND = text(
    ["S1", "S2", "S3"],
    f"1 5 rs1 {at(5)} {snv(5)} 50.5 PASS AC=1;AN=4;DP=9;QD=1.5;FS=0;SOR=0.7;MQ=60;MQRankSum=-0.1;ReadPosRankSum=1e-3 "
    "GT:AD:DP:GQ 0/1:2,3:5:99 0/0:4,0:4:12 ./.",
    f"1 7 . {at(7)} {snv(7)} . . . GT 0/. ./1 .",
    f"1 8 . {at(8)} {snv(8)},* 0 QD2 AC=1,2;AN=5 GT:AD:DP:GQ 1/2:0,3,4:7:20 0|2:.:.:. 1:0,5,0:5:9",
    f"1 9 . {at(9)} {snv(9)} 1e10 QD2;SOR3 QD=nan;FS=inf;MQ=. GT:PS 0|1:5 1|0:5 0|0:.",
    f"1 12 . {at(12, 4)} {at(12)},{at(12, 4)}CA,<DEL> 33 PASS AC=1,1,0;AN=6;END=20 "
    "GT:AD:DP:GQ:PGT:PS 1/2:9,8,7,6:30:50:0|1:12 0/3:1,2,3,4:10:7:.:. 2|2:0,0,5,0:5:3:1|1:12",
    f"1 25 . {at(25, 2)} {at(25)} 9 . . GT:AD 0/1:.,4 1/1:. 0/0",
    f"1 40 . {at(40)} {'ACGTTGCA' * 40} 9 PASS . GT 0/1 1/1 ./.",
    f"1 60 . {at(60)} . 9 PASS AN=6 GT 0/0 0 .",
    f"1 61 . {at(61)} {snv(61)} 9 PASS . DP 1 2 3",
    f"1 62 . {at(62)} {snv(62)} 9 PASS . GT 0|1/1 0|0|1 0/0/0/0/0/1",
    f"chrX 5 . {at(5)} {snv(5)} 9 PASS . GT 1 0 .",
    f"HLA-A*01:01 5 . {at(5)} {snv(5)},{at(5)}GG 9 PASS . GT 0/1 1/2 2/2",
    f"gi|77|x 5 . {at(5)} {snv(5)},{at(5)}GG 9 PASS . GT 0/1 1/2 2/2",
    f"gi|77|x 8 . {at(8, 2)} {at(8)} 9 PASS . GT 0/1 1/1 0/0",
)  # fmt: skip


@pytest.fixture(scope="module")
def hg(shared_desk: Any) -> Any:
    shared_desk.land("reference/hg/hg.fa", "".join(f">{c}\n{SEQUENCE}\n" for c in CONTIGS))
    assert isinstance(shared_desk.run(REFERENCES, reference.register, "hg"), Outcome)
    return shared_desk


def loaded(desk: Any, written: str, cohort: str = "fam") -> tuple[pl.DataFrame, pl.DataFrame, Path]:
    """Variants, genotypes and the split VCF they are read from, all through the functions of the graph."""
    desk.call(written, "hg", cohort)
    for dataset, function in ((VARIANTS, annotation.variants), (GENOTYPES, vcf.genotypes)):
        made = desk.run(dataset, function, cohort)
        assert isinstance(made, Outcome), made
    rows = [desk.lake.read(d.key, [cohort]).collect() for d in (VARIANTS, GENOTYPES)]
    return rows[0], rows[1], desk.lake.file(VARIANTS.key, cohort, "annotated.vcf.gz")


def query(path: Path, form: str) -> list[list[str]]:
    told = subprocess.run(["bcftools", "query", "-f", form, path], capture_output=True, check=True, text=True).stdout
    return [line.split("\t") for line in told.splitlines()]


TAGS = {"ac": "AC", "an": "AN", "info_dp": "DP", "qd": "QD", "fs": "FS", "sor": "SOR", "mq": "MQ",
        "mq_rank_sum": "MQRankSum", "read_pos_rank_sum": "ReadPosRankSum"}  # fmt: skip


def same(value: Any, told: str) -> bool:
    if value is None:
        return told == "."
    if isinstance(value, float):
        return told != "." and value == pytest.approx(float(told), rel=1e-5, nan_ok=True)
    return str(value) == told


def check_sites(variants: pl.DataFrame, path: Path) -> None:
    """Every column of variants is what bcftools query says of the split VCF."""
    form = "\t".join(f"%INFO/{tag}" for tag in TAGS.values())
    told = query(path, f"%CHROM\t%POS\t%REF\t%ALT\t%QUAL\t%FILTER\t{form}\n")
    frame = vcf.read_sites(path)
    assert frame.height == variants.height == len(told)
    for row, expected in zip(
        frame.select("chrom", "pos", "ref", "alt", "qual", "filter", *TAGS).rows(), told, strict=True
    ):
        assert all(same(value, one) for value, one in zip(row, expected, strict=True)), (row, expected)
    key = ["chrom", "pos", "ref", "alt", "site"]
    both = [f.select(*key, "qual", "filter", *TAGS).sort(key) for f in (frame, variants)]
    assert both[0].equals(both[1])


def check_genotypes(genotypes: pl.DataFrame, path: Path) -> None:
    """And of genotypes."""
    samples = subprocess.run(
        ["bcftools", "query", "-l", path], capture_output=True, check=True, text=True
    ).stdout.split()
    assert genotypes.height == len(samples) * len(query(path, "%POS\n"))
    frame = vcf.read_genotypes(path)
    key = ["chrom", "pos", "ref", "alt", "site", "sample_id"]
    assert frame.equals(frame.sort(key))
    wide = query(path, "[%CHROM\t%POS\t%REF\t%ALT\t%SAMPLE\t%GT\n]")
    found = frame.select("chrom", "pos", "ref", "alt", "sample_id", "gt").rows()
    assert sorted(list(map(str, row)) for row in found) == sorted(wide)
    declared = subprocess.run(["bcftools", "view", "-h", path], capture_output=True, check=True, text=True).stdout
    for column, tag in (("dp", "DP"), ("gq", "GQ"), ("ps", "PS"), ("ad_ref", "AD"), ("ad_alt", "AD")):
        if f"FORMAT=<ID={tag}," not in declared:
            assert frame[column].null_count() == frame.height
            continue
        told = query(path, f"[%CHROM\t%POS\t%REF\t%ALT\t%SAMPLE\t%{tag}\n]")
        if tag == "AD":
            told = [[*row[:-1], (*row[-1].split(","), ".")[column == "ad_alt"]] for row in told]
        rows = frame.select("chrom", "pos", "ref", "alt", "sample_id", pl.col(column).cast(pl.String).fill_null("."))
        assert sorted(list(map(str, row)) for row in rows.rows()) == sorted(told), column
    both = [f.select(*key, "gt", "gt_site", "dp", "gq", "ad_ref", "ad_alt", "ps") for f in (frame, genotypes.sort(key))]
    assert both[0].equals(both[1])


def rebuilt(genotypes: pl.DataFrame) -> dict[tuple[str, ...], dict[str, str]]:
    """The records before splitting, from the tables alone: place and alleles to the genotype of each sample."""
    records: dict[tuple[str, ...], dict[str, str]] = {}
    for row in genotypes.iter_rows(named=True):
        chrom, pos, ref, alts = row["site"].rsplit(":", 3)
        told = row["gt"] if row["gt_site"] is None else row["gt_site"]
        known = records.setdefault((chrom, pos, ref, alts), {})
        assert known.setdefault(row["sample_id"], told) == told
    return records


def original(written: str) -> dict[tuple[str, ...], dict[str, str]]:
    lines = [line.split("\t") for line in written.splitlines() if not line.startswith("##")]
    samples = lines[0][9:]
    records: dict[tuple[str, ...], dict[str, str]] = {}
    for fields in lines[1:]:
        at_gt = fields[8].split(":").index("GT") if "GT" in fields[8].split(":") else None
        told = ["." if at_gt is None else value.split(":")[at_gt] for value in fields[9:]]
        records[(fields[0], fields[1], fields[3], fields[4])] = dict(zip(samples, told, strict=True))
    return records


def alleles(gt: str) -> Counter[str]:
    return Counter(re.split(r"[/|]", gt))


def check_lossless(variants: pl.DataFrame, genotypes: pl.DataFrame, written: str) -> None:
    assert rebuilt(genotypes) == original(written)
    sites = {site: site.rpartition(":")[2].split(",") for site in variants["site"]}
    assert sum(len(alts) for alts in sites.values()) == variants.height
    several = genotypes.filter(pl.col("gt_site").is_not_null())
    for (site, sample), part in several.group_by("site", "sample_id"):
        whole = alleles(part["gt_site"][0])
        # Which allele a split record is of is known by how many copies its samples have: the sums agree.
        copies = sorted(alleles(gt)["1"] for gt in part["gt"])
        assert copies == sorted(whole[str(i + 1)] for i in range(len(sites[str(site)]))), (site, sample)


def test_all_that_the_specification_allows(hg: Any) -> None:
    variants, genotypes, path = loaded(hg, HAND)
    check_sites(variants, path)
    check_genotypes(genotypes, path)
    check_lossless(variants, genotypes, HAND)


def test_filter_tells_pass_from_not_applied(hg: Any) -> None:
    variants, _, _ = loaded(hg, HAND)
    found = dict(variants.filter(pl.col("chrom") == "1").group_by("site").agg(pl.col("filter").first()).iter_rows())
    assert {site.split(":")[1]: told for site, told in found.items()} | {} == {
        "5": "PASS", "7": None, "8": "QD2", "9": "QD2;SOR3", "12": "PASS", "25": None, "40": "PASS", "60": "PASS",
        "61": "PASS", "62": "PASS",
    }  # fmt: skip


def test_genotypes_are_written_as_in_the_file(hg: Any) -> None:
    _, genotypes, _ = loaded(hg, HAND)
    told = dict(genotypes.filter(pl.col("sample_id") == "S2").select("site", pl.coalesce("gt_site", "gt")).iter_rows())
    assert sorted(told.values()) == sorted(
        ["0/0", "./1", "0|2", "1|0", "0/3", "1/1", "1/1", "0", ".", "0|0|1", "0", "1/2", "1/2", "1/1"]
    )


@pytest.mark.parametrize(
    "written",
    [
        text(["S1", "S2"]),
        text([], f"1 5 . {at(5)} {snv(5)},* 9 PASS ."),
        text(["S1"], f"1 5 . {at(5)} {snv(5)} 9 PASS . DP 3"),
        text(["S1"], f"1 5 . {at(5)} {snv(5)},* 9 PASS . GT 0/1").replace("##FORMAT=<ID=AD", "##x=<ID=AD")
        .replace("##FORMAT=<ID=DP", "##x=<ID=DP").replace("##FORMAT=<ID=GQ", "##x=<ID=GQ")
        .replace("##FORMAT=<ID=PS", "##x=<ID=PS")
        .replace("##INFO=", "##y="),
    ],
    ids=["no_records", "no_samples", "no_genotype_at_all", "header_of_gt_alone"],
)  # fmt: skip
def test_call_sets_that_lack_something(written: str, hg: Any) -> None:
    variants, genotypes, path = loaded(hg, written, "less")
    if "##y=" not in written:
        check_sites(variants, path)
    check_genotypes(genotypes, path)
    assert variants.height == len(query(path, "%POS\n"))


def test_records_beyond_one_batch_are_all_read(hg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    variants, whole, _ = loaded(hg, HAND, "whole")
    for batch in (1, 2, 5):
        monkeypatch.setattr(vcf, "BATCH", batch)
        again, genotypes, path = loaded(hg, HAND, "pieces")
        check_genotypes(genotypes, path)
        assert genotypes.drop("cohort_id").equals(whole.drop("cohort_id"))
        assert again.drop("cohort_id").equals(variants.drop("cohort_id"))


# ---------------------------------------------------------------- generated call sets

ALTERNATES = st.sampled_from(["A", "C", "G", "T", "GA", "TTA", "*", "<DEL>", "CACA"])


@st.composite
def call_sets(draw: st.DrawFn) -> str:
    samples = [f"S{i}" for i in range(draw(st.integers(1, 3)))]
    records: list[str] = []
    for contig in CONTIGS[: draw(st.integers(1, 4))]:
        for pos in sorted(draw(st.sets(st.integers(1, 150), max_size=4))):
            ref = at(pos, draw(st.integers(1, 4)))
            alts = [a for a in draw(st.lists(ALTERNATES, min_size=1, max_size=4, unique=True)) if a != ref] or ["<DEL>"]
            allele = st.sampled_from([".", *map(str, range(len(alts) + 1))])
            keys = ["GT", *draw(st.permutations(["AD", "DP", "GQ", "PS"]))[: draw(st.integers(0, 4))]]
            n, number = len(alts) + 1, st.one_of(st.just("."), st.integers(0, 99).map(str))
            values = []
            for _ in samples:
                ploidy, mark = draw(st.sampled_from([1, 2, 2, 2, 3])), draw(st.sampled_from("/|"))
                fields = {
                    "GT": mark.join(draw(allele) for _ in range(ploidy)),
                    "AD": draw(st.one_of(st.just("."), st.lists(number, min_size=n, max_size=n).map(",".join))),
                }
                values.append(":".join(fields.get(k) or draw(number) for k in keys))
            qual = draw(st.sampled_from([".", "0", "30.25", "1e7"]))
            passed = draw(st.sampled_from([".", "PASS", "QD2", "QD2;SOR3"]))
            told = draw(
                st.sampled_from([".", "AN=4;DP=7", f"AC={','.join('1' * len(alts))};QD=0.1", "MQ=.;FS=inf;SOR=-1.5"])
            )
            records.append(
                " ".join([contig, str(pos), ".", ref, ",".join(alts), qual, passed, told, ":".join(keys), *values])
            )
    return text(samples, *records)


@given(written=call_sets())
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_generated_call_sets_are_read_without_loss(hg: Any, written: str) -> None:
    variants, genotypes, path = loaded(hg, written, "made")
    check_sites(variants, path)
    check_genotypes(genotypes, path)
    check_lossless(variants, genotypes, written)


def test_no_path_of_this_machine_is_in_the_annotated_file(hg: Any) -> None:
    _, _, path = loaded(hg, HAND)
    head = subprocess.run(["bcftools", "view", "-h", "--no-version", path], capture_output=True, check=True, text=True)
    assert str(hg.lake.settings.home) not in head.stdout


def test_the_same_calls_give_the_same_bytes(hg: Any) -> None:
    first, second = (loaded(hg, HAND, cohort)[2].read_bytes() for cohort in ("one", "two"))
    assert first == second
    assert {"one", "two"} <= set(hg.lake.read(JOINT_CALLS.key).select("cohort_id").unique().collect()["cohort_id"])


def test_lookup_takes_the_first_tag_that_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"
    info = "".join(f'##INFO=<ID={t},Number=.,Type=String,Description="x">\n' for t in ("CLNSIG", "OLD"))
    rows: Mapping[str, str | None] = {"CLNSIG=a,b;OLD=c": "a,b", "OLD=c": "c", ".": None, "CLNSIG=.;OLD=d": "d"}
    lines = [f"1\t{i}\t.\t{at(i)}\t{snv(i)}\t.\t.\t{told}\n" for i, told in enumerate(rows, 1)]
    path.write_text(HEAD + info + columns() + "\n" + "".join(lines))
    frame = vcf.read_lookup(path, {"clinvar_significance": ("CLNSIG", "OLD")})
    assert frame["clinvar_significance"].to_list() == list(rows.values())
