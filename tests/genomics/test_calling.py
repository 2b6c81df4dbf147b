"""Shards, the choice of filters, and the hard filters themselves against a second implementation."""

import random
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.catalog.genomics import ANNOTATION_SOURCES, GVCFS, JOINT_CALLS, REFERENCES
from lsdata.compute import Job
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, MissingData
from lsdata.genomics import calling, reference, tools
from lsdata.genomics.calling import HARD_FILTERS, VQSR_SAMPLES, filtering, shards
from lsdata.lake.work import Outcome, Work

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


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("samples", [1, VQSR_SAMPLES - 1, VQSR_SAMPLES, 10_000])
def test_vqsr_needs_samples_and_truth_sites(samples: int, truth: bool) -> None:
    method, why = filtering(samples, truth)
    assert method == ("VQSR" if samples >= VQSR_SAMPLES and truth else "hard_filters")
    assert str(samples) in why or "truth" in why
    assert method in (JOINT_CALLS.column("filter_method").codelist or ())


# ---------------------------------------------------------------- hard filters

SEQUENCE = "ACGTTGCAACCAGTCAAGTC" * 500
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


def test_hard_filters_are_what_the_article_says(desk: Any, tmp_path: Path) -> None:
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
    raw = tmp_path / "raw.vcf.gz"
    raw.write_bytes(subprocess.run(["bgzip", "-c"], input=text.encode(), capture_output=True, check=True).stdout)
    subprocess.run(["tabix", "-p", "vcf", raw], check=True)

    # The very command of joint calling, from VariantFiltration to where its output is taken up.
    genome = pl.DataFrame({"contig": ["1"], "length_bp": [len(SEQUENCE)]})
    with desk.lake.staging("silver/genomics/joint_calls") as staging:
        work = Work(partition="fam", lake=desk.lake, staging=staging, runner=desk.runner, landed=(), log=print)
        place = desk.lake.folder("silver/genomics/gvcfs", "S1") / "S1.g.vcf.gz"
        place.parent.mkdir(parents=True)
        place.touch()
        whole = calling._genotype(work, "fam", "hg", genome, ["S1"], update=False, bases=len(SEQUENCE))  # pyright: ignore[reportPrivateUsage]
        start = whole.command.index("gatk --java-options {parameters.java} VariantFiltration")
        filtration = whole.command[start : whole.command.index("bcftools view", start)]
        fasta = desk.lake.file(REFERENCES.key, "hg", "hg.fa")
        job = Job(
            name="filter",
            image=tools.IMAGE,
            command=f"raw={{inputs.raw}}\nln -s $raw $raw.tbi .\n{filtration}\ncp filtered.vcf.gz {{outputs.vcf}}\n",
            inputs={"raw": str(raw), "reference": tools.fasta(str(fasta), "hg")},
            outputs={"vcf": "done.vcf.gz"},
            parameters={k: v for k, v in whole.parameters.items() if not k.startswith("contig")},
            tools=tools.GATK,
            cores=1,
            memory_mib=1000,
            minutes=1,
        )
        work.run(job)
        told = subprocess.run(
            ["bcftools", "query", "-f", "%POS\t%FILTER\n", work.destination / "done.vcf.gz"],
            capture_output=True, check=True, text=True,
        ).stdout  # fmt: skip
    found = {int(pos): ";".join(sorted(f.split(";"))) for pos, f in (line.split("\t") for line in told.splitlines())}
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
        work = Work(partition="fam", lake=desk.lake, staging=staging, runner=desk.runner, landed=(), log=print)
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
