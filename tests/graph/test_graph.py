"""The whole graph on real reads, as a user runs it: `python -m sensors` over a landing zone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from lsdata.lake.lake import Lake
from lsdata.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LSDATA_TEST_DATA", ROOT.parent / "shared" / "data")) / "genomics"

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real reads in {DATA}: set LSDATA_TEST_DATA"),
    pytest.mark.timeout(900),
]


class Home:
    """A home in a temporary folder, and the commands run over it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.landing = folder / "landing"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("LSDATA_", "DAGSTER_"))},
            "LSDATA_HOME": str(folder),
            "LSDATA_OPERATOR": "tester",
            "LSDATA_REASON": "acceptance",
        }

    def run(self, *command: str, ok: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=self.env, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) is ok, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def sensors(self) -> str:
        return self.run("-m", "sensors")

    @property
    def lake(self) -> Lake:
        return Lake(Settings.read(self.env))

    def deliver(self, run: str, sheet: str, files: dict[str, Path], *, complete: bool = True) -> Path:
        folder = self.landing / "sequencing" / run
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
        (folder / "SampleSheet.csv").write_text(sheet)
        if complete:
            (folder / "CopyComplete.txt").touch()
        return folder


def _mates(folder: str, sample: str, named: str) -> dict[str, Path]:
    return {named.format(sample=sample, n=n): DATA / folder / f"{sample}_R{n}.fastq.gz" for n in (1, 2)}


COHORTS = "cohort_id,sample_id\npair,NA12878\npair,HG002\ntrio,HG001wu\ntrio,NA12891\ntrio,NA12892\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two finished runs with one bad sample and one stranger among five good ones, and one run still copying."""
    home = Home(tmp_path_factory.mktemp("home"))
    reference = home.landing / "reference" / "chr20w"
    reference.mkdir(parents=True)
    shutil.copy(DATA / "reference" / "chr20w.fa.gz", reference)
    shutil.copy(DATA / "truth" / "HG001_giab_v332.chr20w.vcf.gz", reference / "known_sites.vcf.gz")
    (reference / "targets.bed").write_text("chr20w\t5000\t15000\tfirst\nchr20w\t15000\t55000\tsecond\n")
    bad = home.folder / "truncated.fastq.gz"
    bad.write_bytes((DATA / "trio" / "NA12891_R1.fastq.gz").read_bytes()[:-2000])
    plain = "{sample}_R{n}.fastq.gz"
    home.deliver(
        "delivery_1",
        "[Data]\nSample_ID,Sample_Name,index\nNA12878,,ACGT\nHG002,,ACGA\nBROKEN,,ACGG\n",
        {
            **_mates("reads", "NA12878", plain),
            **_mates("reads", "HG002", plain),
            "BROKEN_R1.fastq.gz": bad,
            "BROKEN_R2.fastq.gz": DATA / "trio" / "NA12891_R2.fastq.gz",
            "STRANGER_R1.fastq.gz": DATA / "trio" / "NA12892_R1.fastq.gz",
        },
    )
    instrument = "20231108_LH00188_0028_B22F52TLT3"
    metadata = {p.name: p for p in (DATA / "runs" / instrument).iterdir() if p.suffix == ".xml" or "RTA" in p.name}
    illumina = "Analysis/1/Data/fastq/{sample}_S1_L001_R{n}_001.fastq.gz"
    home.deliver(
        instrument,
        "[Header]\nFileFormatVersion,2\n[BCLConvert_Data]\nLane,Sample_ID,Index\n1,HG001wu,A\n1,NA12891,C\n",
        metadata | _mates("trio", "HG001wu", illumina) | _mates("trio", "NA12891", illumina),
    )
    shutil.copytree(DATA / "runs" / "201203_D00483_0200_AHVKJCDRXX", home.landing / "sequencing" / "201203_broken")
    home.deliver("delivery_2", "[Data]\nSample_ID,index\nNA12892,A\n", _mates("trio", "NA12892", plain), complete=False)
    (home.landing / "cohorts.csv").write_text(COHORTS)
    home.sensors()
    return home


def _states(home: Home) -> dict[str, str]:
    return dict(home.lake.read("bronze/genomics/sequencing_runs").select("run_id", "state").collect().iter_rows())


def test_run_folders_have_the_state_they_deserve(home: Home):
    assert _states(home) == {
        "20231108_LH00188_0028_B22F52TLT3": "ready",
        "201203_broken": "quarantined",
        "delivery_1": "ready",
        "delivery_2": "copying",
    }


def test_bad_sample_is_quarantined_with_its_bytes_and_the_rest_goes_on(home: Home):
    samples = set(home.lake.read("bronze/genomics/fastq_manifest").collect()["sample_id"])
    assert samples == {"NA12878", "HG002", "HG001wu", "NA12891"}
    reasons = {
        told["code"]: path.parent
        for path in (home.folder / "quarantine" / "genomics" / "fastq_manifest").rglob("reason.json")
        if (told := json.loads(path.read_text()))
    }
    assert {"truncated_gzip", "sample_not_in_sheet"} <= set(reasons)
    kept = reasons["truncated_gzip"] / "BROKEN_R1.fastq.gz"
    assert kept.read_bytes() == (home.landing / "sequencing" / "delivery_1" / "BROKEN_R1.fastq.gz").read_bytes()


def test_same_landing_zone_gives_nothing_to_do(home: Home):
    before = home.lake.ledger.size()
    assert "Nothing to do" in home.sensors()
    assert home.lake.ledger.size() == before


def _alleles(path: Path, reference: Path) -> dict[tuple[str, ...], list[str]]:
    split = subprocess.run(
        f"bcftools norm -m -any -f {reference} {path} 2>/dev/null"
        " | bcftools query -f '%CHROM\t%POS\t%REF\t%ALT[\t%GT]\n'",
        shell=True, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return {tuple(f[:4]): _gt(f[4]) for line in split.splitlines() if (f := line.split("\t"))}


def _gt(gt: str) -> list[str]:
    return sorted(gt.replace("|", "/").split("/"))


def test_truth_is_found_again(home: Home):
    lake = home.lake
    reference = lake.file("bronze/genomics/references", "chr20w", "chr20w.fa")
    truth = _alleles(DATA / "truth" / "HG001_giab_v332.chr20w.vcf.gz", reference)
    called = (
        lake.read("silver/genomics/genotypes", ["pair"])
        .join(lake.read("silver/genomics/variants", ["pair"]), on=["chrom", "pos", "ref", "alt"])
        .filter(pl.col("sample_id") == "NA12878", pl.col("filter") == "PASS", pl.col("gt").str.contains("1"))
        .select("chrom", pl.col("pos").cast(pl.String), "ref", "alt", "gt")
        .collect()
    )
    found = {row[:4]: _gt(row[4]) for row in called.iter_rows() if row[3] != "*"}

    def within(bed: str) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
        spans = [line.split()[:3] for line in (DATA / "truth" / bed).read_text().splitlines()]
        inside = lambda k: any(c == k[0] and int(s) < int(k[1]) <= int(e) for c, s, e in spans)  # noqa: E731
        return {k for k in truth if inside(k)}, {k for k in found if inside(k)}

    confident, called_there = within("confident.bed")
    assert len(confident) == 49
    assert confident == called_there
    assert all(found[k] == truth[k] for k in confident)
    wanted, _ = within("recall_region.bed")
    assert len(wanted & set(found)) >= 135


def test_genotypes_equal_what_bcftools_reads(home: Home):
    lake = home.lake
    reference = lake.file("bronze/genomics/references", "chr20w", "chr20w.fa")
    joint = lake.file("silver/genomics/joint_calls", "pair", "joint.vcf.gz")
    query = "[%CHROM\t%POS\t%REF\t%ALT\t%SAMPLE\t%GT\t%DP\t%GQ\t%AD\n]"
    told = subprocess.run(
        f"bcftools norm -m -any -f {reference} {joint} 2>/dev/null | bcftools query -f '{query}'",
        shell=True, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    ad = pl.when(pl.col("ad_ref").is_null()).then(pl.lit(".")).otherwise(pl.format("{},{}", "ad_ref", "ad_alt"))
    rows = lake.read("silver/genomics/genotypes", ["pair"]).select(
        pl.col("chrom", "pos", "ref", "alt", "sample_id", "gt", "dp", "gq").cast(pl.String).fill_null("."), ad
    )
    assert sorted(rows.collect().rows()) == sorted(tuple(line.split("\t")) for line in told.splitlines())


def test_files_carry_no_path_of_the_machine(home: Home):
    lake = home.lake
    home_path = str(home.folder)
    for row in lake.read("bronze/core/file_index").collect().iter_rows(named=True):
        path = lake.files.root / row["uri"]
        if row["format"] == "CRAM":
            text = subprocess.run(["samtools", "view", "-H", "--no-PG", path], capture_output=True, check=True).stdout
        elif path.suffix == ".gz":
            text = subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout
        else:
            text = path.read_bytes()
        assert home_path.encode() not in text, row["uri"]


def test_every_file_is_in_the_index_with_its_hash(home: Home):
    import hashlib

    lake = home.lake
    index = dict(lake.read("bronze/core/file_index").select("uri", "sha256").collect().iter_rows())
    on_disk = {
        str(p.relative_to(lake.files.root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in lake.files.root.rglob("*")
        if p.is_file() and "_staging" not in p.parts
    }
    assert index == on_disk


def test_new_sample_is_added_and_equals_a_full_rebuild(home: Home):
    untouched = {
        (key, sample): home.lake.state().publication(key, sample)
        for key in ("silver/genomics/alignments", "silver/genomics/gvcfs")
        for sample in ("HG001wu", "NA12891", "NA12878", "HG002")
    }
    (home.landing / "sequencing" / "delivery_2" / "copycomplete.txt").touch()
    home.sensors()
    full = "".join(f"full,{sample}\n" for sample in ("HG001wu", "NA12891", "NA12892"))
    (home.landing / "cohorts.csv").write_text(COHORTS + full)
    home.sensors()
    lake = home.lake
    modes = dict(lake.read("silver/genomics/joint_calls").select("cohort_id", "import_mode").collect().iter_rows())
    assert modes == {"pair": "full", "trio": "update", "full": "full"}
    records = {
        cohort: subprocess.run(
            ["bcftools", "view", "-H", lake.file("silver/genomics/joint_calls", cohort, "joint.vcf.gz")],
            capture_output=True, check=True,
        ).stdout
        for cohort in ("trio", "full")
    }  # fmt: skip
    assert records["trio"] == records["full"]
    joint = lake.file("silver/genomics/joint_calls", "trio", "joint.vcf.gz")
    mendel = subprocess.run(
        ["bcftools", "+mendelian", joint, "-t", "NA12892,NA12891,HG001wu", "-m", "c"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    consistent = int(mendel.splitlines()[-1].split("\t")[0])
    assert consistent >= 73
    assert untouched == {(key, sample): lake.state().publication(key, sample) for key, sample in untouched}


def test_lineage_walks_back_to_the_fastqs_with_exact_versions(home: Home):
    told = home.run("-m", "lsdata.cli", "lineage", "silver/genomics/genotypes", "--partition", "pair")
    assert "landing/sequencing/delivery_1/NA12878_R1.fastq.gz" in told.replace("landing: ", "landing/")
    assert "silver/genomics/gvcfs" in told


def test_ledger_verifies_and_names_operator_and_reason(home: Home):
    assert "Verified" in home.run("-m", "lsdata.cli", "ledger", "verify")
    entry = next(e for _, e in home.lake.ledger.entries() if e.subject == "gold/genomics/sample_qc")
    assert (entry.actor, entry.reason) == ("tester", "acceptance")


def test_corrected_sheet_is_picked_up_and_the_quarantine_resolved(home: Home):
    folder = home.landing / "sequencing" / "201203_broken"
    shutil.copy(DATA / "runs" / "180509_D00450_0598_BHGYFNBCX2" / "RunInfo.xml", folder / "RunInfo.xml")
    home.sensors()
    assert _states(home)["201203_broken"] == "awaiting_fastq"
    reason = home.folder / "quarantine" / "genomics" / "sequencing_runs" / "all" / "201203_broken" / "reason.json"
    assert json.loads(reason.read_text())["resolved_at"]


def test_one_backfill_run_makes_all_cohorts(home: Home):
    before = home.lake.state().versions["gold/genomics/gene_burden"]
    home.run(
        "-m", "dagster", "asset", "materialize", "-f", "definitions.py",
        "--select", "gold/genomics/gene_burden", "--partition-range", "pair...trio",
    )  # fmt: skip
    assert home.lake.state().versions["gold/genomics/gene_burden"] == before + 1
