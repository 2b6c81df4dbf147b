"""Gold equals what bcftools says of the same call sets, what papers say of Hardy-Weinberg and kinship, and Spark."""

import random
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import comb, factorial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdata.catalog import Dataset
from lsdata.catalog.genomics import (
    COHORT_VARIANTS,
    GENE_BURDEN,
    GENOTYPES,
    SAMPLE_QC,
    VARIANT_FREQUENCIES,
    VARIANTS,
)
from lsdata.derived import arrow
from lsdata.genomics import vcf
from lsdata.lake.inputs import Inputs
from lsdata.lake.lake import Lake, Made
from lsdata.settings import Settings
from resources import dbt

HEAD = "".join(
    f"##{line}\n"
    for line in (
        "fileformat=VCFv4.3",
        *(f"contig=<ID={c},length=100000>" for c in ("1", "X")),
        'FILTER=<ID=QD2,Description="low">',
        'FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        'FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">',
        'FORMAT=<ID=GQ,Number=1,Type=Integer,Description="x">',
    )
)
KEY = ["chrom", "pos", "ref", "alt"]
GOLD = (COHORT_VARIANTS, VARIANT_FREQUENCIES, SAMPLE_QC, GENE_BURDEN)

Record = tuple[str, int, str, str, str, Sequence[str]]  # contig, pos, ref, alt, filter, genotypes


def call_set(samples: Sequence[str], records: Sequence[Record], seed: int = 1) -> str:
    """A split VCF; depth and quality of the calls are drawn."""
    draw = random.Random(seed)
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]
    lines = [
        [
            c,
            str(p),
            ".",
            r,
            a,
            "50",
            f,
            ".",
            "GT:DP:GQ",
            *(f"{g}:{draw.randint(1, 60)}:{draw.randint(0, 99)}" for g in gts),
        ]
        for c, p, r, a, f, gts in records
    ]
    return HEAD + "\n".join("\t".join(fields) for fields in [columns, *lines]) + "\n"


def hardy_weinberg() -> str:
    """All genotype counts of 6 people, some of 40, and what is missing, half missing or haploid."""
    samples = [f"S{i:02}" for i in range(40)]
    tables = [(r, h, a) for r, h, a in product(range(7), repeat=3) if r + h + a <= 6]
    tables += [
        (r, h, 40 - r - h)
        for r, h in ((40, 0), (0, 40), (39, 1), (20, 20), (10, 20), (0, 0), (30, 7), (13, 13), (1, 1))
    ]
    rows = [["0/0"] * r + ["0/1"] * h + ["1/1"] * a + ["./."] * (40 - r - h - a) for r, h, a in tables]
    rows += [["1|0", "0|1", "1|1", "0/.", "./1", ".", "1", "0", ".|.", "0|0"] * 4, ["0", "1"] * 20, ["."] * 40]
    return call_set(samples, [("1", 10 * i + 5, "A", "G", "PASS", gts) for i, gts in enumerate(rows)])


def mixed(kinds: Sequence[tuple[str, str]], contig: str = "1") -> str:
    """Drawn genotypes at alleles of some kinds, some filtered."""
    draw = random.Random(3)
    samples = ["A", "B", "C", "D", "E"]
    records = []
    for i in range(400):
        ref, alt = kinds[i % len(kinds)]
        frequency = draw.random()
        gts = ["/".join(str(int(draw.random() < frequency)) for _ in range(2)) for _ in samples]
        gts = [draw.choice(("./.", g, g, g, g, g)) for g in gts]
        records.append((contig, 10 * i + 5, ref, alt, draw.choice(("PASS", "PASS", "QD2", ".")), gts))
    return call_set(samples, records)


def family() -> str:
    """600 common SNVs: a person sequenced twice, the parents, a stranger. 30 on X: women may be heterozygous."""
    draw = random.Random(5)
    samples = ["child", "child_again", "father", "mother", "stranger"]
    records = []
    for i in range(600):
        frequency = draw.uniform(0.2, 0.8)
        father, mother, stranger = ([int(draw.random() < frequency) for _ in range(2)] for _ in range(3))
        child = [draw.choice(father), draw.choice(mother)]
        gts = ["/".join(map(str, sorted(g))) for g in (child, child, father, mother, stranger)]
        if i % 50 == 0:
            gts[3] = "./."
        records.append(("1", 10 * i + 5, "A", "G", "PASS", gts))
    records += [("X", 10 * i + 5, "A", "C", "PASS", ["1", "1", "1", "0/1", "1/1"]) for i in range(30)]
    return call_set(samples, records)


SNVS = [("A", "G"), ("G", "A"), ("C", "T"), ("T", "C"), ("A", "C"), ("G", "T"), ("C", "G"), ("T", "A")]
INDELS = [("A", "AT"), ("CTG", "C"), ("T", "TCACA")]
COHORTS = {
    "hwe": hardy_weinberg(),
    "snvs": mixed(SNVS),
    "all": mixed([*SNVS, *INDELS, ("A", "*")]),
    "family": family(),
    "empty": call_set(["A"], []),
}


def filled(dataset: Dataset, *frames: pl.DataFrame) -> pl.DataFrame:
    """Rows with all declared columns; null where a frame has none."""
    return arrow.typed(dataset, pl.concat([arrow.empty(dataset), *frames], how="diagonal_relaxed"))


GENES = [("BRCA1", "HIGH"), ("BRCA1", "MODERATE"), ("TP53", "LOW"), (None, None)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, publish: Callable[..., Any]) -> Lake:
    """Every cohort's variants and genotypes, published as the graph would."""
    home = tmp_path_factory.mktemp("home")
    made = Lake(Settings(home=home, operator="Ada", reason="a test", cores=2))
    for cohort, text in COHORTS.items():
        path = home / f"{cohort}.vcf"
        path.write_text(text)
        sites = vcf.read_sites(path)
        genes = [GENES[i % len(GENES)] for i in range(sites.height)]
        sites = sites.with_columns(
            pl.Series("gene", [gene for gene, _ in genes], dtype=pl.String),
            pl.Series("impact", [impact for _, impact in genes], dtype=pl.String),
        )
        for dataset, frames in ((VARIANTS, [sites]), (GENOTYPES, [vcf.read_genotypes(path)])):
            told = [frame.with_columns(pl.lit(cohort).alias("cohort_id")) for frame in frames]
            publish(made, dataset, filled(dataset, *told), {cohort: Made()})
    return made


@pytest.fixture(scope="module")
def gold(lake: Lake) -> Callable[[Dataset, str], pl.DataFrame]:
    """The rows of a model for a cohort; all cohorts are built at once, by DuckDB."""
    built = {d.name: dbt.build(lake, d, list(COHORTS), print, engine="duckdb") for d in GOLD}
    for name, one in built.items():
        assert one.tests, name
        assert not {test: n for test, n in one.tests.items() if n}, name

    def rows(dataset: Dataset, cohort: str) -> pl.DataFrame:
        return built[dataset.name].rows.filter(pl.col("cohort_id") == cohort)

    return rows


def records(cohort: str) -> list[list[str]]:
    """The fields of a cohort's call set, by record."""
    return [line.split("\t") for line in COHORTS[cohort].splitlines() if line[0] != "#"]


def bcftools(*arguments: object, stdin: str) -> str:
    command = ["bcftools", *map(str, arguments)]
    return subprocess.run(command, input=stdin.encode(), capture_output=True, check=True).stdout.decode()


def tagged(cohort: str, *tags: str) -> list[list[str]]:
    """Place, alleles and the tags that bcftools works out, by record."""
    filled = bcftools("+fill-tags", "-", "--", "-t", ",".join(tags), stdin=COHORTS[cohort])
    form = "\t".join(["%CHROM\t%POS\t%REF\t%ALT", *(f"%INFO/{tag}" for tag in tags)])
    return [line.split("\t") for line in bcftools("query", "-f", f"{form}\n", "-", stdin=filled).splitlines()]


# ---------------------------------------------------------------- frequencies


@pytest.mark.parametrize("cohort", ["hwe", "snvs", "all", "family"])
def test_counts_and_frequencies_are_those_of_bcftools(cohort: str, gold: Any) -> None:
    told = tagged(cohort, "AC", "AN", "AF")
    rows = gold(VARIANT_FREQUENCIES, cohort).sort(KEY)
    told.sort(key=lambda fields: (fields[0], int(fields[1]), *fields[2:4]))
    for row, (chrom, pos, ref, alt, ac, an, af) in zip(rows.iter_rows(named=True), told, strict=True):
        assert (row["chrom"], row["pos"], row["ref"], row["alt"]) == (chrom, int(pos), ref, alt)
        assert (row["ac"], row["an"]) == (int(ac) if ac != "." else 0, int(an)), row
        if row["an"]:
            assert row["af"] == pytest.approx(float(af), rel=1e-5)
        else:
            assert row["af"] is None
        counts = ("n_hom_ref", "n_het", "n_hom_alt", "n_missing")
        assert sum(row[n] for n in counts) == {"hwe": 40}.get(cohort, 5)


def exact(hom_ref: int, het: int, hom_alt: int) -> float:
    """The test by plain counting of arrangements, in whole numbers (Wigginton 2005, equation 2)."""
    n, rare = hom_ref + het + hom_alt, 2 * min(hom_ref, hom_alt) + het
    weight = {
        h: 2**h * factorial(n) // (factorial((rare - h) // 2) * factorial(h) * factorial(n - h - (rare - h) // 2))
        for h in range(rare % 2, min(rare, n) + 1, 2)
        if n - h - (rare - h) // 2 >= 0
    }
    assert sum(weight.values()) == comb(2 * n, rare)
    return sum(w for w in weight.values() if w <= weight[het]) / sum(weight.values())


def test_hardy_weinberg_is_that_of_bcftools_and_of_plain_counting(gold: Any) -> None:
    told = {int(fields[1]): float(fields[4]) for fields in tagged("hwe", "HWE")}
    genotypes = {int(fields[1]): [value.split(":")[0] for value in fields[9:]] for fields in records("hwe")}
    tested = 0
    for row in gold(VARIANT_FREQUENCIES, "hwe").iter_rows(named=True):
        gts = [g.replace("|", "/") for g in genotypes[row["pos"]]]
        table = [gts.count("0/0"), gts.count("0/1") + gts.count("1/0"), gts.count("1/1")]
        if not sum(table):
            # bcftools writes 1; no genotype is no test.
            assert row["hwe"] is None
            continue
        assert row["hwe"] == pytest.approx(exact(*table), abs=1e-9), table
        assert exact(*table) == pytest.approx(stepwise(*table))
        if set(gts) <= {"0/0", "0/1", "1/0", "1/1", "./."}:
            assert row["hwe"] == pytest.approx(told[row["pos"]], rel=1e-4, abs=1e-9), table
            tested += 1
    assert tested > 80


def stepwise(hom_ref: int, het: int, hom_alt: int) -> float:
    """The test as the authors' own program goes: from one number of heterozygotes to the next, up and down."""
    n, rare = hom_ref + het + hom_alt, 2 * min(hom_ref, hom_alt) + het
    middle = rare * (2 * n - rare) // (2 * n)
    middle += (middle ^ rare) & 1
    weight = {middle: 1.0}
    for h in range(middle, 1, -2):
        few, many = (rare - h) // 2, n - h - (rare - h) // 2
        weight[h - 2] = weight[h] * h * (h - 1.0) / (4.0 * (few + 1.0) * (many + 1.0))
    for h in range(middle, rare - 1, 2):
        few, many = (rare - h) // 2, n - h - (rare - h) // 2
        weight[h + 2] = weight[h] * 4.0 * few * many / ((h + 2.0) * (h + 1.0))
    return sum(w for w in weight.values() if w <= weight[het] * (1 + 1e-9)) / sum(weight.values())


def test_many_people_in_equilibrium_and_out_of_it_do_not_overflow(lake: Lake, publish: Any, tmp_path: Path) -> None:
    """5,000 people: factorials of their number are no floats any more."""
    common = {"chrom": "1", "ref": "A", "alt": "G"}
    tables = [(2500, 2000, 500), (4990, 10, 0), (0, 5000, 0), (2500, 0, 2500), (1, 4998, 1)]
    calls = [
        {**common, "cohort_id": "many", "pos": i, "site": f"1:{i}:A:G", "sample_id": f"S{s}", "gt": gt}
        for i, table in enumerate(tables, 1)
        for s, gt in enumerate(gt for n, gt in zip(table, ("0/0", "0/1", "1/1"), strict=True) for _ in range(n))
    ]  # fmt: skip
    made = Lake(Settings(home=tmp_path / "home", operator="Ada", reason="a test"))
    sites = pl.DataFrame(calls).drop("sample_id", "gt").unique()
    publish(made, GENOTYPES, filled(GENOTYPES, pl.DataFrame(calls)))
    publish(made, VARIANTS, filled(VARIANTS, sites))
    found = dbt.build(made, VARIANT_FREQUENCIES, ["many"], print, engine="duckdb").rows.sort("pos")["hwe"]
    for value, table in zip(found, tables, strict=True):
        assert value == pytest.approx(stepwise(*table), rel=1e-6, abs=1e-10)


# ---------------------------------------------------------------- samples


def statistics(cohort: str, *, snvs_only: bool = False) -> dict[str, dict[str, float]]:
    """`bcftools stats -s -` per sample over what passes and is an allele of its own."""
    wanted = 'FILTER!="QD2" && ALT!="*"' + (' && TYPE="snp"' if snvs_only else "")
    kept = bcftools("view", "-i", wanted, "-", stdin=COHORTS[cohort])
    lines = bcftools("stats", "-s", "-", "-", stdin=kept).splitlines()
    [head] = [line for line in lines if line.startswith("# PSC\t[2]")]
    names = [re.sub(r"^\[\d+\]", "", name) for name in head.split("\t")[1:]]
    rows = [dict(zip(names, line.split("\t")[1:], strict=True)) for line in lines if line.startswith("PSC\t")]
    return {row.pop("sample"): {name: float(value) for name, value in row.items()} for row in rows if row.pop("id")}


@pytest.mark.parametrize("cohort", ["snvs", "all"])
def test_transitions_indels_and_singletons_are_those_of_bcftools(cohort: str, gold: Any) -> None:
    told = statistics(cohort)
    for row in gold(SAMPLE_QC, cohort).iter_rows(named=True):
        expected = told[row["sample_id"]]
        assert row["n_transition"] == expected["nTransitions"]
        assert row["n_transversion"] == expected["nTransversions"]
        assert row["titv"] == pytest.approx(expected["nTransitions"] / expected["nTransversions"])
        assert row["n_indel"] == expected["nIndels"]
        assert row["n_singleton"] >= expected["nSingletons"]
        assert row["n_sites"] - row["n_called"] == expected["nMissing"]
        assert row["call_rate"] == pytest.approx(1 - expected["nMissing"] / row["n_sites"])


def test_heterozygotes_and_homozygotes_are_those_of_bcftools(gold: Any) -> None:
    told = statistics("snvs", snvs_only=True)
    for row in gold(SAMPLE_QC, "snvs").iter_rows(named=True):
        expected = told[row["sample_id"]]
        assert (row["n_het"], row["n_hom_alt"]) == (expected["nHets"], expected["nNonRefHom"])
        assert row["het_hom"] == pytest.approx(expected["nHets"] / expected["nNonRefHom"])


def test_singletons_depth_and_quality_by_hand(gold: Any) -> None:
    lines = records("all")
    lines = [f for f in lines if f[6] != "QD2" and f[4] != "*"]
    rows = {row["sample_id"]: row for row in gold(SAMPLE_QC, "all").iter_rows(named=True)}
    for i, sample in enumerate("ABCDE"):
        calls = [f[9 + i].split(":") for f in lines]
        called = [(int(dp), int(gq)) for gt, dp, gq in calls if "." not in gt]
        assert rows[sample]["mean_dp_x"] == pytest.approx(sum(dp for dp, _ in called) / len(called))
        assert rows[sample]["mean_gq"] == pytest.approx(sum(gq for _, gq in called) / len(called))
        carriers = [[k for k in range(5) if "1" in f[9 + k].split(":")[0]] for f in lines]
        assert rows[sample]["n_singleton"] == carriers.count([i])


def king(cohort: str) -> Iterator[tuple[str, str, float]]:
    """KING-robust kinship as equation 11 of the paper has it, for every ordered pair."""
    lines = [line.split("\t") for line in COHORTS[cohort].splitlines()]
    samples = next(f[9:] for f in lines if f[0] == "#CHROM")
    dosage = {s: [] for s in samples}
    for fields in lines:
        if fields[0] == "1":
            copies = [None if "." in v else v.split(":")[0].count("1") for v in fields[9:]]
            known = [c for c in copies if c is not None]
            if 0.05 <= sum(known) / (2 * len(known)) <= 0.95:
                for sample, c in zip(samples, copies, strict=True):
                    dosage[sample].append(c)
    for i, j in product(samples, repeat=2):
        if i != j:
            both = [(a, b) for a, b in zip(dosage[i], dosage[j], strict=True) if None not in (a, b)]
            het_i, het_j = sum(a == 1 for a, _ in both), sum(b == 1 for _, b in both)
            shared, opposite = sum(a == b == 1 for a, b in both), sum({a, b} == {0, 2} for a, b in both)
            least = min(het_i, het_j)
            yield i, j, (shared - 2 * opposite) / (2 * least) + 0.5 - 0.25 * (het_i + het_j) / least


def test_the_same_person_twice_has_kinship_one_half_and_parents_a_quarter(gold: Any) -> None:
    rows = {row["sample_id"]: row for row in gold(SAMPLE_QC, "family").iter_rows(named=True)}
    assert (rows["child"]["closest_sample"], rows["child"]["closest_kinship"]) == ("child_again", 0.5)
    assert (rows["child_again"]["closest_sample"], rows["child_again"]["closest_kinship"]) == ("child", 0.5)
    for parent in ("father", "mother"):
        assert rows[parent]["closest_sample"] in ("child", "child_again")
        assert rows[parent]["closest_kinship"] == pytest.approx(0.25, abs=0.05)
    assert rows["stranger"]["closest_kinship"] < 0.1
    found = list(king("family"))
    for sample, row in rows.items():
        best = max(kinship for i, _, kinship in found if i == sample)
        assert row["closest_kinship"] == pytest.approx(best)


def test_sex_is_told_by_heterozygous_x(gold: Any) -> None:
    rows = {
        r["sample_id"]: (r["x_het_fraction"], r["inferred_sex"])
        for r in gold(SAMPLE_QC, "family").iter_rows(named=True)
    }
    assert rows["father"] == (0.0, "M")
    assert rows["mother"] == (1.0, "F")
    assert {r["inferred_sex"] for r in gold(SAMPLE_QC, "all").iter_rows(named=True)} == {None}


# ---------------------------------------------------------------- variants and genes


def test_cohort_variants_name_their_carriers_and_kind(gold: Any) -> None:
    lines = records("all")
    rows = {row["pos"]: row for row in gold(COHORT_VARIANTS, "all").iter_rows(named=True)}
    assert len(rows) == len(lines)
    for fields in lines:
        row, gts = rows[int(fields[1])], [v.split(":")[0] for v in fields[9:]]
        carriers = [s for s, gt in zip("ABCDE", gts, strict=True) if "1" in gt]
        assert (row["carriers"], row["n_carriers"]) == (",".join(carriers) or None, len(carriers))
        counted = [sum(gt in kind for gt in gts) for kind in (["0/0"], ["0/1", "1/0"], ["1/1"], ["./."])]
        assert [row[n] for n in ("n_hom_ref", "n_het", "n_hom_alt", "n_missing")] == counted
        assert row["filter"] == (None if fields[6] == "." else fields[6])
        sizes = (len(fields[3]), len(fields[4]))
        kind = (
            "other" if fields[4] == "*" else "SNV" if sizes == (1, 1) else "insertion" if sizes[0] == 1 else "deletion"
        )
        assert row["variant_type"] == kind


def test_gene_burden_by_hand(lake: Lake, publish: Any, tmp_path: Path) -> None:
    """Three people, six alleles. BRCA1 HIGH: 10 (A het), 20 (A hom, B het); 30 fails its filter. TP53 LOW: nobody."""
    alleles = {
        10: ("BRCA1", "HIGH", "PASS", ("0/1", "0/0", "./.")),
        20: ("BRCA1", "HIGH", None, ("1/1", "1|0", "0/0")),
        30: ("BRCA1", "HIGH", "QD2", ("1/1", "1/1", "1/1")),
        40: ("TP53", "LOW", "PASS", ("0/0", "0/0", "./.")),
        50: ("BRCA1", "MODERATE", "PASS", ("0/0", "./1", "1")),
        60: (None, None, "PASS", ("1/1", "1/1", "1/1")),
    }
    common = {"cohort_id": "fam", "chrom": "17", "ref": "A", "alt": "G"}
    sites: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for pos, (gene, impact, passed, gts) in alleles.items():
        key = {**common, "pos": pos, "site": f"17:{pos}:A:G"}
        sites.append({**key, "gene": gene, "impact": impact, "filter": passed})
        calls += [{**key, "sample_id": sample, "gt": gt} for sample, gt in zip("ABC", gts, strict=True)]
    made = Lake(Settings(home=tmp_path / "home", operator="Ada", reason="a test"))
    for dataset, rows in ((VARIANTS, sites), (GENOTYPES, calls)):
        publish(made, dataset, filled(dataset, pl.DataFrame(rows)))
    built = dbt.build(made, GENE_BURDEN, ["fam"], print, engine="duckdb").rows.sort("gene", "impact")
    columns = ["gene", "impact", "n_variants", "n_carriers", "n_hom_carriers", "n_samples"]
    assert built.select(columns).rows() == [
        ("BRCA1", "HIGH", 2, 2, 1, 3),
        ("BRCA1", "MODERATE", 1, 2, 0, 3),
        ("TP53", "LOW", 1, 0, 0, 3),
    ]
    assert built["carrier_fraction"].to_list() == pytest.approx([2 / 3, 2 / 3, 0.0])


@pytest.mark.parametrize("dataset", GOLD, ids=lambda d: d.name)
def test_a_cohort_alone_is_what_it_is_among_others(dataset: Dataset, lake: Lake, gold: Any) -> None:
    alone = dbt.build(lake, dataset, ["all"], print, engine="duckdb").rows
    key = list(dataset.primary_key)
    assert alone.sort(key).equals(gold(dataset, "all").sort(key))
    assert gold(dataset, "empty").is_empty()


def test_nothing_published_gives_no_rows(tmp_path: Path) -> None:
    bare = Lake(Settings(home=tmp_path / "home", operator="Ada", reason="a test"))
    for dataset in GOLD:
        assert dbt.build(bare, dataset, ["fam"], print, engine="duckdb").rows.is_empty()


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_the_versions_that_are_recorded_are_read_whatever_has_been_published_since(
    engine: str, publish: Any, tmp_path: Path
) -> None:
    made = Lake(Settings(home=tmp_path / "home", operator="Ada", reason="a test", cores=2))

    def land(gt: str) -> None:
        key = {"cohort_id": "fam", "chrom": "17", "pos": 1, "ref": "A", "alt": "G", "site": "17:1:A:G"}
        for dataset, row in ((VARIANTS, key), (GENOTYPES, {**key, "sample_id": "A", "gt": gt})):
            publish(made, dataset, filled(dataset, pl.DataFrame([row])))

    def copies(versions: dict[str, int] | None = None) -> list[int]:
        built = dbt.build(made, VARIANT_FREQUENCIES, ["fam"], print, engine=engine, versions=versions)
        return built.rows["ac"].to_list()

    land("0/1")
    recorded = Inputs(made).versions
    land("1/1")
    assert copies(recorded) == [1]
    assert copies(Inputs(made).versions) == copies() == [2]
    assert copies({VARIANTS.key: 0}) == [], "what had not been published when inputs were recorded has no rows"


# ---------------------------------------------------------------- Spark


@pytest.mark.parametrize("dataset", GOLD, ids=lambda d: d.name)
def test_spark_gives_the_same_gold(dataset: Dataset, lake: Lake, gold: Any) -> None:
    built = dbt.build(lake, dataset, list(COHORTS), print, engine="spark")
    assert not {test: n for test, n in built.tests.items() if n}
    assert built.tests
    duckdb = pl.concat(gold(dataset, cohort) for cohort in COHORTS)
    key = list(dataset.primary_key)
    assert built.rows.sort(key).equals(duckdb.sort(key))
