"""A call set into the lake, checked, hashed and recorded, against a polars-bio sink of the same fields to parquet."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np
import polars as pl

from benchmarks import measure
from lsdata.catalog.genomics import GENOTYPES, VARIANTS
from lsdata.compute import LocalRunner
from lsdata.derived import arrow
from lsdata.derived.expectations import validate
from lsdata.genomics import vcf
from lsdata.lake.inputs import Inputs
from lsdata.lake.lake import Act, Lake, Made
from lsdata.lake.work import Work
from lsdata.settings import Settings

SITES, SAMPLES = 190_000, 24
COHORT = "cohort"
FIELDS = ("GT", "DP", "GQ", "AD", "PS")
GOAL = 1.3

_HEADER = """\
##fileformat=VCFv4.2
##contig=<ID=chr20,length=64444167>
##INFO=<ID=AC,Number=A,Type=Integer,Description="Allele count">
##INFO=<ID=OLD_REC,Number=1,Type=String,Description="Record before splitting">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depth of each allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods">
##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">
"""


def _lines() -> Iterator[str]:
    """A split call set as GATK and bcftools make it: one site in twenty had two alternates, some calls are phased."""
    random = np.random.default_rng(1)
    yield _HEADER
    yield "\t".join(["#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".replace(" ", "\t"), *_samples()]) + "\n"
    calls = np.array([_call(random) for _ in range(20_000)], dtype=object)
    positions = np.sort(random.choice(60_000_000, SITES, replace=False)) + 1
    for site, (pos, bases) in enumerate(zip(positions, random.permuted([list("ACGT")] * SITES, axis=1), strict=True)):
        ref, *alts = bases[0], *sorted(bases[1 : 3 if site % 20 == 0 else 2])
        for number, alt in enumerate(alts, 1):
            old = f";OLD_REC=chr20|{pos}|{ref}|{','.join(alts)}|{number}" if len(alts) > 1 else ""
            written = "\t".join(calls[random.integers(0, len(calls), SAMPLES)])
            yield f"chr20\t{pos}\t.\t{ref}\t{alt}\t50\tPASS\tAC=3{old}\tGT:AD:DP:GQ:PL:PS\t{written}\n"


def _samples() -> list[str]:
    return [f"NA{12_000 + number}" for number in range(SAMPLES)]


def _call(random: np.random.Generator) -> str:
    gt, share = [("0/0", 0), ("0/0", 0), ("0/0", 0), ("0/1", 0.5), ("0|1", 0.5), ("1/1", 1), ("./.", 0)][
        random.integers(7)
    ]
    if gt == "./.":
        return "./.:0,0:.:.:.:."
    depth = random.poisson(30)
    alt = random.binomial(depth, share)
    phase_set = random.integers(1, 60_000_000) if "|" in gt else "."
    likelihoods = ",".join(map(str, random.integers(0, 900, 3)))
    return f"{gt}:{depth - alt},{alt}:{depth}:{random.integers(1, 100)}:{likelihoods}:{phase_set}"


def run() -> list[measure.Result]:
    """CPU-seconds from an indexed VCF to a published table; peer: `polars_bio.scan_vcf(...).sink_parquet(...)`.

    Neither side's imports count, nor what is left to do at the exit.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "files" / VARIANTS.key / COHORT / "annotated.vcf.gz"
        file.parent.mkdir(parents=True)
        text = file.with_suffix("")
        with text.open("w") as stream:
            stream.writelines(_lines())
        subprocess.run(["bgzip", text], check=True)
        subprocess.run(["tabix", "-p", "vcf", file], check=True)
        ours, peer = measure.python(__name__, "ours", folder), measure.python(__name__, "peer", str(file))
        return [measure.compare("vcf to delta", ours, peer, GOAL)]


def _ours(place: Path) -> int:
    home = {"LSDATA_HOME": mkdtemp(dir=place), "LSDATA_FILES_URL": (place / "files").as_uri()}
    lake = Lake(Settings.read(home))
    validate(GENOTYPES, arrow.empty(GENOTYPES))  # Great Expectations is imported at first use
    act = Act(operator="benchmark", reason="benchmark", git_commit="none")
    measure.begin()
    with lake.staging(GENOTYPES.key) as staging:
        work = Work(
            partition=COHORT,
            lake=lake,
            staging=staging,
            landing=Inputs(lake).landing,
            act=act,
            landed=(),
            log=print,
            runner=LocalRunner(lake.settings.scratch),
        )
        rows = vcf.genotypes(work, pl.LazyFrame(), pl.LazyFrame()).rows
        return sum(lake.publish(GENOTYPES, rows, {COHORT: Made()}, act, validate, staging).rows.values())


def _peer(file: str) -> int:
    import polars_bio

    measure.begin()
    calls = polars_bio.scan_vcf(file, info_fields=[], format_fields=list(FIELDS))
    made = f"{file}.parquet"
    calls.select("chrom", "start", "ref", "alt", "genotypes").sink_parquet(made)
    return pl.scan_parquet(made).select(pl.len()).collect().item() * SAMPLES


def main(which: str, place: str) -> None:
    """One side of the comparison."""
    print(_ours(Path(place)) if which == "ours" else _peer(place))
    measure.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
