"""Loading the code location, which every process of Dagster does, against an empty definitions file."""

import runpy
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import measure

GOAL = 2.0


def run() -> list[measure.Result]:
    """CPU-seconds of a process that builds the repository of a file and all its jobs; peer: no definitions."""
    with TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text("import dagster as dg\n\ndefs = dg.Definitions()\n")
        ours, peer = (measure.python(__name__, str(file)) for file in (measure.ROOT / "definitions.py", empty))
        return [measure.compare("code location load", ours, peer, GOAL, rounds=5)]


def main(file: str) -> None:
    """Load one file as Dagster does."""
    runpy.run_path(file)["defs"].get_repository_def().get_all_jobs()
    print("loaded")


if __name__ == "__main__":
    main(sys.argv[1])
