"""The FASTQ manifest pass against `zcat | wc`: all counts and both hashes for less than reading the file costs."""

import gzip
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import measure

READS_A_MEMBER = 25_000
MEMBERS = 36
"""900,000 reads of 151 bases: about 330 MB of text."""
CYCLES = 151
GZIP_LEVEL = 4
"""The default of bcl2fastq."""
GOAL = 0.5
"""Half of what only inflating the file and counting its lines costs, start of the interpreter included."""

_OURS = "import sys; from lsdata.genomics.fastq import fastq_stats; print(fastq_stats(sys.argv[1]).reads * 4)"
_PEER = 'zcat "$1" | wc'


def _reads(seed: int) -> bytes:
    """Reads with human base composition, and NovaSeq's four quality bins, worse towards the end of the read."""
    random = np.random.default_rng(seed)
    sequences = np.frombuffer(b"ACGT", np.uint8)[random.choice(4, (READS_A_MEMBER, CYCLES), p=(0.3, 0.2, 0.2, 0.3))]
    worse = 1 + np.arange(CYCLES) / CYCLES
    bins = (random.random((READS_A_MEMBER, CYCLES, 1)) < worse[:, None] * (0.06, 0.02, 0.003)).sum(axis=2)
    qualities = np.frombuffer(b"F:,#", np.uint8)[bins]
    positions = zip(
        np.cumsum(random.integers(0, 3, READS_A_MEMBER)) + 1_000,
        random.integers(1_000, 37_000, READS_A_MEMBER),
        strict=True,
    )
    return b"".join(
        b"@A00483:200:HVKJCDRXX:1:1101:%d:%d 1:N:0:ACGTACGT+TTGCAAGC\n%b\n+\n%b\n"
        % (x, y, sequence.tobytes(), quality.tobytes())
        for (x, y), sequence, quality in zip(positions, sequences, qualities, strict=True)
    )


def run() -> list[measure.Result]:
    """CPU-seconds on one gzipped FASTQ; peer: `zcat FILE | wc`. Both count the lines."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "reads.fastq.gz"
        members = [gzip.compress(_reads(seed), GZIP_LEVEL) for seed in range(4)]
        file.write_bytes(b"".join(members) * (MEMBERS // len(members)))
        ours, peer = [sys.executable, "-c", _OURS, str(file)], ["sh", "-c", _PEER, "sh", str(file)]
        return [measure.compare("fastq manifest pass", ours, peer, GOAL)]
