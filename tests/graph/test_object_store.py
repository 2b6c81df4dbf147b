"""The whole graph with everything in a container: landed reads become gold, by configuration alone."""

import gzip
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl

from lsdata.catalog import DATASETS
from lsdata.lake.lake import Lake
from lsdata.lake.places import place_of
from lsdata.settings import Settings

ROOT = Path(__file__).parents[2]
LENGTH_BP, PAIRS, READ_BP, INSERT_BP = 6_000, 1_500, 100, 300
SITES = (1_500, 3_000, 4_500)
"""0-based positions where the sample has another base than the reference, on both chromosomes."""


def landed() -> dict[str, bytes]:
    """A reference, a delivery of one sample without base errors, a cohort of it."""
    draw = random.Random(5)
    genome = "".join(draw.choices("ACGT", k=LENGTH_BP))
    sample = "".join("ACGT"[("ACGT".index(b) + 1) % 4] if i in SITES else b for i, b in enumerate(genome))
    swap = str.maketrans("ACGT", "TGCA")
    mates: tuple[list[str], list[str]] = ([], [])
    for number in range(PAIRS):
        at = draw.randrange(LENGTH_BP - INSERT_BP)
        insert = sample[at : at + INSERT_BP]
        ends = (insert[:READ_BP], insert[-READ_BP:].translate(swap)[::-1])
        for mate, bases in zip(mates, ends, strict=True):
            mate.append(f"@r{number}\n{bases}\n+\n{'I' * READ_BP}\n")
    run = "sequencing/delivery_1"
    sheet = "[Header]\nFileFormatVersion,2\n[BCLConvert_Data]\nSample_ID,index\nS1,ACGTACGT\n"
    return {
        "reference/tiny/tiny.fa": f">chr1\n{genome}\n".encode(),
        "cohorts.csv": b"cohort_id,sample_id\none,S1\n",
        **{f"{run}/S1_R{i}.fastq.gz": gzip.compress("".join(m).encode(), mtime=0) for i, m in enumerate(mates, 1)},
        f"{run}/SampleSheet.csv": sheet.encode(),
        f"{run}/BROKEN_R1.fastq.gz": b"no gzip",
        f"{run}/CopyComplete.txt": b"",
    }


def test_reads_in_a_container_become_gold_in_a_container(azure: Any, tmp_path: Path) -> None:
    container = azure.container()
    told = azure.environ(tmp_path / "home", container)
    settings = Settings.read(told)
    place = place_of(settings, "landing")
    for name, data in landed().items():
        place.write(name, data)

    def run(*command: str) -> str:
        made = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=os.environ | told, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
        return made.stdout

    said = run("-m", "sensors")
    assert "quarantined: genomics/fastq_manifest/delivery_1/BROKEN_R1.fastq.gz" in said
    lake = Lake(settings)
    made = set(lake.state().keys())
    assert {key for key, d in DATASETS.items() if d.layer == "gold" and d.domain == "genomics"} <= made
    calls = lake.read("silver/genomics/genotypes").sort("pos").collect()
    assert calls.select("pos", "gt").rows() == [(at + 1, "1/1") for at in SITES]
    assert lake.read("gold/genomics/variant_frequencies").select(pl.col("af").min()).collect().item() == 1.0
    assert lake.ledger.verify().ok
    kept = place_of(settings, "quarantine").read(
        "genomics/fastq_manifest/delivery_1/BROKEN_R1.fastq.gz/BROKEN_R1.fastq.gz"
    )
    assert kept == b"no gzip"
    walked = run("-m", "lsdata.cli", "lineage", "gold/genomics/sample_qc", "--partition", "one")
    assert "landing/sequencing/delivery_1/S1_R1.fastq.gz sha256" in walked
    # Nothing lies here but what this machine needs: keys, locks, what Dagster remembers, copies of files.
    local = {p.name for p in (tmp_path / "home").iterdir()}
    assert not local & {"landing", "lake", "files", "ledger", "quarantine"}
    assert azure.connection not in said
    assert "Nothing to do" in run("-m", "sensors")
