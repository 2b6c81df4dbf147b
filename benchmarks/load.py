"""Loading the code location, as every process of Dagster does, against an empty definitions file."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import measure

GOAL = 2.0

_LOAD = """
import sys
from dagster._core.code_pointer import FileCodePointer
"""


def run() -> list[measure.Result]:
    """CPU-seconds of a process that builds the repository with all its jobs; peer: `dagster.Definitions()`."""
    with TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text("import dagster\n\ndefs = dagster.Definitions()\n")
        ours, peer = (measure.python(__name__, str(file)) for file in (measure.ROOT / "definitions.py", empty))
        return [measure.compare("code location load", ours, peer, GOAL, rounds=5)]
