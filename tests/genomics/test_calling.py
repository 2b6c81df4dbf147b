"""Shards, the choice of filters, and the hard filters themselves against a second implementation."""

import gzip
import random
import re
import subprocess
from dataclasses import replace
from itertools import product
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.catalog.genomics import ANNOTATION_SOURCES, GVCFS, JOINT_CALLS, REFERENCES, VQSR_ROLES
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, JobFailed, MissingData
from lsdata.genomics import calling, reference
from lsdata.genomics.calling import HARD_FILTERS, VQSR, VQSR_SAMPLES, filtering, shards
from lsdata.lake.work import Outcome

SEQUENCE = "ACGTTGCAACCAGTCAAGTC" * 500

CONTIG_SETS = st.lists(
    st.tuples(st.text("abc1", min_size=1, max_size=3), st.integers(1, 300)), max_size=12, unique_by=lambda c: c[0]
)


@given(contigs=CONTIG_SETS, most=st.integers(1, 400))
def test_shards_hold_every_contig_once_in_order_and_are_no_smaller_than_asked(
    contigs: list[tuple[str, int]], most: int
) -> None:
    groups = shards(contigs, most)
    lengths = dict(contigs)
    assert [name for group in groups for name in group] == [name for name, _ in contigs]
    assert all(groups) or groups == [[]]
    sizes = [sum(lengths[name] for name in group) for group in groups]
    assert all(size >= most for size in sizes[:-1])
    # None is larger than it must be: without its last contig it would be too small.
    assert all(size - lengths[group[-1]] < most for size, group in zip(sizes, groups, strict=True) if group)


def test_a_human_genome_makes_shards_that_keep_cores_busy() -> None:
    autosomes = [(str(i + 1), 249_000_000 - i * 9_000_000) for i in range(22)]
    alternates = [(f"alt{i}", 200_000) for i in range(300)]
    groups = shards([*autosomes, *alternates])
    assert groups[:22] == [[name] for name, _ in autosomes]
    assert len(groups) == 24


@pytest.mark.parametrize("samples", [1, VQSR_SAMPLES - 1, VQSR_SAMPLES, 10_000])
@pytest.mark.parametrize("roles", [(), ("vqsr_hapmap", "vqsr_dbsnp"), ("vqsr_1000g", "vqsr_mills"), VQSR_ROLES])
def test_vqsr_needs_samples_and_sites_of_both_kinds(samples: int, roles: tuple[str, ...]) -> None:
    method, why = filtering(samples, roles)
    assert method == ("VQSR" if samples >= VQSR_SAMPLES and roles == VQSR_ROLES else "hard_filters")
    assert method in (JOINT_CALLS.column("filter_method").codelist or ())
    if samples >= VQSR_SAMPLES and roles == ("vqsr_hapmap", "vqsr_dbsnp"):
        assert "no training sites for INDEL" in why
    if samples >= VQSR_SAMPLES and roles == ("vqsr_1000g", "vqsr_mills"):
        assert "no truth sites for SNP" in why


def test_every_resource_is_declared_and_used() -> None:
    used = {role for model in VQSR.values() for role in model.resources}
    assert used == set(VQSR_ROLES) <= set(ANNOTATION_SOURCES.column("role").codelist or ())
    # ApplyVQSR filters by tranches at or above its level, so one has to be there.
    assert all(any(t >= model.sensitivity for t in model.tranches) for model in VQSR.values())
    # dbSNP is for reports: 2,000,000 sites of unknown origin must neither train nor judge.
    assert all("training=false,truth=false" in model.resources["vqsr_dbsnp"] for model in VQSR.values())


# ---------------------------------------------------------------- VQSR by the real GATK

GOOD = {
    "QD": (20, 4),
    "FS": (2, 1),
    "SOR": (0.8, 0.3),
    "MQ": (60, 0.5),
    "MQRankSum": (0, 0.5),
    "ReadPosRankSum": (0, 0.5),
}
BAD = {"QD": (4, 2), "FS": (40, 10), "SOR": (4, 1), "MQ": (45, 4), "MQRankSum": (-5, 2), "ReadPosRankSum": (-4, 2)}
VCF_HEAD = "##fileformat=VCFv4.2\n##contig=<ID=1,length={length}>\n" + "".join(
    f'##INFO=<ID={tag},Number=1,Type={"Integer" if tag == "DP" else "Float"},Description="x">\n'
    for tag in (*GOOD, "DP")
)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def sites(seed: int, snps: int, indels: int) -> list[dict[str, Any]]:
    """A call set of which three of four sites are real, and look it; half of the real ones are known from elsewhere."""
    draw = random.Random(seed)
    kinds = ["SNP"] * snps + ["INDEL"] * indels
    draw.shuffle(kinds)
    rows: list[dict[str, Any]] = []
    for i, kind in enumerate(kinds):
        pos = 20 * i + 10
        ref = SEQUENCE[(pos - 1) % len(SEQUENCE)]
        real = draw.random() < 0.75
        # An insertion that ends like the base before it could be written further left.
        other = draw.choice([b for b in "ACGT" if b != ref])
        alt = other if kind == "SNP" else f"{ref}{draw.choice('ACGT')}{other}"
        told = {tag: draw.gauss(*spread) for tag, spread in (GOOD if real else BAD).items()}
        info = ";".join(f"{tag}={value:.3f}" for tag, value in told.items()) + f";DP={round(draw.gauss(900, 60))}"
        known = real and draw.random() < 0.5
        rows.append({"pos": pos, "ref": ref, "alt": alt, "kind": kind, "real": real, "known": known, "info": info})
    return rows


def vcf(rows: list[dict[str, Any]], length: int) -> bytes:
    lines = ["\t".join(["1", str(r["pos"]), ".", r["ref"], r["alt"], "500", ".", r["info"]]) for r in rows]
    return (VCF_HEAD.format(length=length) + COLUMNS + "".join(f"{line}\n" for line in lines)).encode()


def filtered(desk: Any, rows: list[dict[str, Any]], samples: int = VQSR_SAMPLES) -> tuple[str, str, pl.DataFrame]:
    """Register the known sites as resources and filter the call set as joint calling does."""
    length = 20 * len(rows) + 100
    desk.land("reference/hg/hg.fa", ">1\n" + (SEQUENCE * (length // len(SEQUENCE) + 1))[:length] + "\n")
    desk.run(REFERENCES, reference.register, "hg")
    for role, kind in (("vqsr_hapmap", "SNP"), ("vqsr_mills", "INDEL")):
        known = [{**r, "info": "."} for r in rows if r["known"] and r["kind"] == kind]
        desk.land(f"reference/hg/{role}.vcf.gz", gzip.compress(vcf(known, length)))
    assert isinstance(desk.run(ANNOTATION_SOURCES, reference.register_annotation, "hg"), Outcome)
    assert desk.codes() == []
    method, why, found = by_gatk(desk, vcf(rows, length), length, samples)
    return method, why, pl.DataFrame(rows).with_columns(pl.col("pos").replace_strict(found).alias("filter"))


def by_gatk(desk: Any, text: bytes, length: int, samples: int) -> tuple[str, str, dict[int, str]]:
    """Filter a call set as joint calling does: the method, why, and FILTER by position."""
    roles = dict(desk.lake.read(ANNOTATION_SOURCES.key).collect().select("role", "file").iter_rows())
    with desk.lake.staging(JOINT_CALLS.key) as staging:
        work = desk.work("fam", staging)
        raw = work.destination / "raw.vcf.gz"
        raw.write_bytes(subprocess.run(["bgzip", "-c"], input=text, capture_output=True, check=True).stdout)
        subprocess.run(["tabix", "-p", "vcf", raw], check=True)
        method, why, kept = calling._filter(work, "hg", samples, roles, length)  # pyright: ignore[reportPrivateUsage]
        joint = work.destination / "joint.vcf.gz"
        assert {path.name for path in work.destination.iterdir()} == {joint.name, f"{joint.name}.tbi", *kept}
        look = ("bcftools", "query", "-f", "%POS\t%FILTER\n"), ("bcftools", "view", "--no-version", "-h")
        told, head = (subprocess.run([*c, joint], capture_output=True, check=True, text=True).stdout for c in look)
        assert str(desk.lake.settings.home) not in head
    return method, why, {int(pos): f for pos, f in (line.split("\t") for line in told.splitlines())}


def test_vqsr_keeps_what_looks_like_known_sites_and_says_what_it_learned_from(desk: Any) -> None:
    rows = sites(1, snps=3_600, indels=3_200)
    method, why, made = filtered(desk, rows)
    assert method == "VQSR", why
    known = made.filter("known").group_by("kind").len()
    assert all(f"{n} {kind} training sites" in why for kind, n in known.iter_rows()), (why, known)
    passing = (pl.col("filter") == "PASS").mean().alias("passing")
    of_truth = dict(made.filter("known").group_by("kind").agg(passing).iter_rows())
    # What the sensitivity to truth sites means; the cut falls between two of them.
    assert all(of_truth[kind] * 100 >= model.sensitivity - 0.1 for kind, model in VQSR.items()), of_truth
    shares = dict(made.filter(~pl.col("known")).group_by("real").agg(passing).iter_rows())
    assert shares[False] < 0.02
    assert shares[True] > 0.5  # what no resource knows starts with a low prior
    assert any(f.startswith("VQSRTranche") for f in made["filter"])


def test_where_vqsr_has_too_few_sites_hard_filters_are_applied_and_the_reason_says_so(desk: Any) -> None:
    method, why, made = filtered(desk, sites(2, snps=3_600, indels=200))
    assert method == "hard_filters"
    assert "VQSR failed on these data: Training with very few variant sites" in why
    assert {one for f in made["filter"] for one in f.split(";")} <= {"PASS", *(n for n, _ in HARD_FILTERS)}
    assert (made.filter("real")["filter"] == "PASS").mean() > 0.9  # type: ignore[operator]


def test_where_an_annotation_does_not_vary_hard_filters_are_applied(desk: Any) -> None:
    rows = sites(3, snps=1_000, indels=100)
    for row in rows:
        row["info"] = re.sub(r"MQ=[0-9.]+", "MQ=60", row["info"])
    method, why, _ = filtered(desk, rows)
    assert (method, "zero variance" in why) == ("hard_filters", True)


def test_a_failure_that_is_not_of_the_data_is_not_hidden_by_hard_filters(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(VQSR["SNP"], resources={"vqsr_hapmap": "known=false,training=true,truth=true,prior=many"})
    monkeypatch.setattr(calling, "VQSR", {**VQSR, "SNP": broken})
    with pytest.raises(JobFailed):
        filtered(desk, sites(4, snps=300, indels=200))


def test_a_resource_that_nobody_knows_is_refused_and_the_rest_goes_on(desk: Any) -> None:
    desk.land("reference/hg/hg.fa", f">1\n{SEQUENCE}\n")
    desk.run(REFERENCES, reference.register, "hg")
    site = {"pos": 10, "ref": SEQUENCE[9], "alt": SEQUENCE[9] + "TT", "info": "."}
    for name in ("vqsr_mills", "vqsr_mine"):
        desk.land(f"reference/hg/{name}.vcf.gz", gzip.compress(vcf([site], len(SEQUENCE))))
    made = desk.run(ANNOTATION_SOURCES, reference.register_annotation, "hg")
    assert made.rows["role"].to_list() == ["vqsr_mills"]
    assert desk.codes() == ["unknown_resource"]


# ---------------------------------------------------------------- hard filters

EDGES = {
    "QD": ("0", "1.99", "2.0", "2.01", "40", "-3.5", "NaN"),
    "FS": ("0", "60.0", "60.001", "200.0", "200.001", "1e4", "Infinity", "NaN"),
    "SOR": ("0.7", "3.0", "3.001", "9", "-1.0", "NaN"),
    "MQ": ("60", "40.0", "39.999", "0", "NaN"),
    "MQRankSum": ("0", "-12.5", "-12.501", "12.6", "NaN"),
    "ReadPosRankSum": ("0", "-8.0", "-8.001", "-20.0", "-20.001", "9"),
}
QUALS = (".", "0", "29.99", "30", "30.01", "1e9")
KINDS = ("snp", "two snps", "mnp", "insertion", "deletion", "snp and deletion", "snp and star", "deletion and star")


def written(kind: str, pos: int) -> tuple[str, str, bool]:
    """REF, ALT and whether GATK takes it for a SNP (htsjdk VariantContext.Type)."""
    ref = SEQUENCE[pos - 1]
    one, two = [b for b in "ACGT" if b != ref][:2]
    pair = SEQUENCE[pos - 1 : pos + 1]
    turned = "".join(next(b for b in "ACGT" if b != base) for base in pair)
    return {
        "snp": (ref, one, True),
        "two snps": (ref, f"{one},{two}", True),
        "mnp": (pair, turned, False),
        "insertion": (ref, f"{ref}AT", False),
        "deletion": (pair, pair[0], False),
        "snp and deletion": (pair, f"{one}{pair[1]},{pair[0]}", False),
        "snp and star": (ref, f"{one},*", True),
        "deletion and star": (pair, f"{pair[0]},*", False),
    }[kind]


def extremes() -> pl.DataFrame:
    """Every edge of every annotation alone, for every kind; then mixtures; then records without annotations."""
    draw = random.Random(7)
    fine = {"QUAL": "100", "QD": "20", "FS": "1", "SOR": "1", "MQ": "60", "MQRankSum": "0", "ReadPosRankSum": "0"}
    told: list[tuple[str, dict[str, str | None]]] = [
        (kind, {**fine, tag: edge})
        for kind, (tag, edges) in product(KINDS, [("QUAL", QUALS), *EDGES.items()])
        for edge in (*edges, None)
    ]
    told += [
        (
            draw.choice(KINDS),
            {"QUAL": draw.choice(QUALS)} | {t: draw.choice((*edges, None)) for t, edges in EDGES.items()},
        )
        for _ in range(300)
    ]
    rows = []
    for i, (kind, values) in enumerate(told):
        pos = 10 * i + 5
        ref, alt, snp = written(kind, pos)
        rows.append({"pos": pos, "ref": ref, "alt": alt, "kind": kind, "snp": snp, **values})
    return pl.DataFrame(rows, infer_schema_length=None)


def expected(rows: pl.DataFrame) -> pl.Series:
    """The rules as GATK's article states them, in polars; a missing annotation passes, NaN is below every number."""
    told = {"NaN": "-inf", "Infinity": "inf"}
    number = {t: pl.col(t).replace(told).cast(pl.Float64) for t in EDGES}
    position, snp = number["ReadPosRankSum"], pl.col("snp")
    # htsjdk reads a missing QUAL as -10.
    quality = pl.col("QUAL").replace(".", "-10").cast(pl.Float64).fill_null(-10)
    rules = {
        "QD2": number["QD"] < 2.0,
        "QUAL30": quality < 30.0,
        "SOR3": snp & (number["SOR"] > 3.0),
        "FS60": snp & (number["FS"] > 60.0),
        "MQ40": snp & (number["MQ"] < 40.0),
        "MQRankSum-12.5": snp & (number["MQRankSum"] < -12.5),
        "ReadPosRankSum-8": snp & (position < -8.0),
        "FS200": ~snp & (number["FS"] > 200.0),
        "ReadPosRankSum-20": ~snp & (position < -20.0),
    }
    assert list(rules) == [name for name, _ in HARD_FILTERS]
    failed = rows.select(
        pl.concat_list(pl.when(rule.fill_null(value=False)).then(pl.lit(name)) for name, rule in rules.items())
        .list.drop_nulls()
        .list.sort()
        .list.join(";")
        .alias("filter")
    )["filter"]
    return failed.replace("", "PASS")


def test_hard_filters_are_what_the_article_says(desk: Any) -> None:
    desk.land("reference/hg/hg.fa", f">1\n{SEQUENCE}\n")
    desk.run(REFERENCES, reference.register, "hg")
    rows = extremes()
    head = "##fileformat=VCFv4.2\n##contig=<ID=1,length=10000>\n" + "".join(
        f'##INFO=<ID={tag},Number=1,Type=Float,Description="x">\n' for tag in EDGES
    )
    lines = [
        "\t".join(["1", str(r["pos"]), ".", r["ref"], r["alt"], r["QUAL"] or ".", ".",
                   ";".join(f"{t}={r[t]}" for t in EDGES if r[t] is not None) or "."])
        for r in rows.iter_rows(named=True)
    ]  # fmt: skip
    text = head + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(lines) + "\n"
    _, why, told = by_gatk(desk, text.encode(), len(SEQUENCE), samples=2)
    assert "2 samples" in why
    found = {int(pos): ";".join(sorted(f.split(";"))) for pos, f in told.items()}
    other = [
        {**row, "gatk": found[row["pos"]], "ours": ours}
        for row, ours in zip(rows.iter_rows(named=True), expected(rows), strict=True)
        if found[row["pos"]] != ours
    ]
    assert len(found) == rows.height
    assert not other, f"{len(other)}: {other[:5]}"
    assert {one for told in found.values() for one in told.split(";")} == {"PASS", *(name for name, _ in HARD_FILTERS)}
    assert 0.1 < sum(told == "PASS" for told in found.values()) / len(found) < 0.9


# ---------------------------------------------------------------- what joint calling refuses


def joined(desk: Any, gvcfs: pl.DataFrame) -> Outcome:
    members = pl.DataFrame({"cohort_id": ["fam", "fam"], "sample_id": ["A", "B"]})
    with desk.lake.staging(JOINT_CALLS.key) as staging:
        work = desk.work("fam", staging)
        return calling.joint_calls(
            work,
            members.lazy(),
            gvcfs.lazy(),
            *(arrow.empty(d).lazy() for d in (REFERENCES, ANNOTATION_SOURCES)),
        )


def test_a_cohort_without_calls_or_on_two_references_is_refused(desk: Any) -> None:
    with pytest.raises(MissingData, match="no gVCF of any member"):
        joined(desk, arrow.empty(GVCFS))
    rows = [("A", "hg19", "x", 1, 1, "0" * 64), ("B", "hg38", "x", 1, 1, "1" * 64)]
    with pytest.raises(InvalidInput, match="hg19, hg38"):
        joined(desk, pl.DataFrame(rows, schema=arrow.polars_schema(GVCFS), orient="row"))
