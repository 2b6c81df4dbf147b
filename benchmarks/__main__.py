"""Runs the benchmarks, prints a line each and writes `benchmarks/results.json`."""

import argparse
import json
from importlib import import_module

from benchmarks.measure import ROOT, Result

NAMES = ("ledger", "load", "manifest", "pharmacovigilance", "vcf", "cram", "deid_structured", "scrub", "backfill")
"""The quick ones first."""


def main() -> None:
    """Times are measured, not asserted: a ratio over its goal is said, and is not a failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="CPU cost beside a peer.")
    parser.add_argument("name", nargs="*", help=f"some of {', '.join(NAMES)}; all by default")
    chosen = parser.parse_args().name or NAMES
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    results: list[Result] = []
    print(f"{'':44} {'ours':>8} {'peer':>8} {'unit':6} {'ratio':>6} {'goal':>6}")
    for name in chosen:
        for made in import_module(f"benchmarks.{name}").run():
            verdict = "ok" if made["ratio"] <= made["goal"] else "over"
            print(
                f"{made['name']:44} {made['ours']:8.2f} {made['peer']:8.2f} {made['unit']:6} "
                f"{made['ratio']:6.2f} {made['goal']:6.2f} {verdict}",
                flush=True,
            )
            results.append(made)
    (ROOT / "benchmarks" / "results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
