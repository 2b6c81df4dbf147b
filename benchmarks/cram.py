"""FASTQ to CRAM: the `align` job through its runner, against the bare pipe of the same tools."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import measure
from lsdata.compute import LocalRunner
from lsdata.genomics import alignment

REFERENCE_BP, PAIRS = 5_000_000, 330_000
"""More than a minute of CPU, bwa for the most part."""
CORES = 2
LANE = {"id": "FC.1", "unit": "FC.1"}
GOAL = 1.05

_PREPARE = r"""
cd "$1"
samtools faidx ref.fa
samtools dict -o ref.dict ref.fa
bwa index ref.fa
wgsim -S 1 -1 150 -2 150 -r 0.001 -N "$2" ref.fa r1.fastq r2.fastq > truth.txt
bgzip -@ 2 r1.fastq
bgzip -@ 2 r2.fastq
printf '@RG\tID:FC.1\tSM:S1\tLB:S1\tPL:ILLUMINA\tPU:FC.1.S1' > group
mkdir ours peer
"""
_PEER = r"""
cd "$1"
bwa mem -Y -K 10000000 -t "$2" -v 2 -R "$(sed 's/\t/\\t/g' group)" ref.fa r1.fastq.gz r2.fastq.gz \
  | samtools fixmate -m -u - - \
  | samtools sort -u -T peer/sorting - \
  | samtools markdup --reference ref.fa -O cram,version=3.0 - peer/S1.cram
samtools index peer/S1.cram
"""
_RECORDS = 'samtools view -T "$1/ref.fa" "$1/$2/S1.cram" | md5sum'


def _bash(script: str, *arguments: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", script, "bash", *arguments]


def run() -> list[measure.Result]:
    """CPU-seconds to the indexed CRAM; peer: bwa, fixmate, sort, markdup in a shell. Both give the same records."""
    with TemporaryDirectory() as folder:
        bases = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), REFERENCE_BP).tobytes()
        Path(folder, "ref.fa").write_bytes(b">chr1\n" + bases + b"\n")
        subprocess.run(_bash(_PREPARE, folder, str(PAIRS)), check=True, capture_output=True)
        ours, peer = measure.python(__name__, folder), _bash(_PEER, folder, str(CORES))
        result = measure.compare("fastq to cram", ours, peer, GOAL, rounds=1)
        records = {subprocess.check_output(_bash(_RECORDS, folder, side)) for side in ("ours", "peer")}
        if len(records) > 1:
            raise RuntimeError("fastq to cram: the records of the two CRAMs differ")
        return [result]


def main(folder: str) -> None:
    """The job as the asset makes it, without the one that measures its result."""
    place = Path(folder)
    header = place / "read_groups.txt"
    header.write_text("")
    lane = LANE | {"r1": str(place / "r1.fastq.gz"), "r2": str(place / "r2.fastq.gz")}
    job = alignment.bwa_mem("S1", [lane], header, str(place / "ref.fa"), "ref", CORES)
    measure.begin()
    LocalRunner(place / "scratch").run(job, (place / "ours").as_uri())


if __name__ == "__main__":
    main(sys.argv[1])
