"""The demonstration: simulated people with known variants, and how well the graph finds them again."""

from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from lsdata.catalog import DATASETS
from lsdata.catalog.genomics import JOINT_CALLS, SEQUENCING_RUNS
from lsdata.genomics import simulation
from lsdata.lake.lake import Lake
from lsdata.settings import Settings


def _truth(settings: Settings) -> Path:
    return settings.home / "demo" / "truth"


def land(settings: Settings, log: Callable[[str], None]) -> None:
    """Simulate the demo's landing zone, unless it has been landed."""
    landing = settings.path("landing")
    marker = landing / "sequencing" / simulation.RUN / "CopyComplete.txt"
    if marker.exists() and (_truth(settings) / "truth.vcf.gz").exists():
        log(f"Landed already: {simulation.RUN}.")
        return
    log("Simulating a reference with genes, a family of three and one unrelated person, and their reads ...")
    settings.scratch.mkdir(parents=True, exist_ok=True)
    landing.mkdir(parents=True, exist_ok=True)
    made = simulation.simulate(landing, _truth(settings), scratch=settings.scratch)
    log(
        f"Landed {made.run}: {len(made.samples)} samples, {sum(made.pairs.values()):,} read pairs, "
        f"{made.snvs} SNVs and {made.indels} indels; and two run folders that are not in order."
    )


def report(lake: Lake) -> str:
    """Tables with rows, recall and precision against the simulated truth, reports, and how to look."""
    state = lake.state()
    lines = ["", "What was made", "-------------"]
    rows = [
        (key, str(len(found)), f"{sum(p.rows for p in found.values()):,}")
        for key in DATASETS
        if (found := state.partitions(key))
    ]
    lines += _aligned([("table", "partitions", "rows"), *rows])
    runs = lake.read(SEQUENCING_RUNS.key).sort("run_id").select("run_id", "state", "reason").collect()
    lines += ["", "Run folders", "-----------"]
    lines += _aligned((run, told, reason[:90]) for run, told, reason in runs.iter_rows())
    lines += ["", "Against the simulated truth (PASS calls)", "----------------------------------------"]
    lines += _aligned(_scores(lake))
    lines += ["", "Reports", "-------"]
    index = lake.read("bronze/core/file_index").filter(pl.col("format") == "HTML").sort("uri").collect()
    lines += [str(lake.files.uri(uri)) for uri in index["uri"] if uri.endswith("multiqc_report.html")]
    lines += ["", "Next: `make dev` opens the Dagster UI on port 3000 and the auditor's site on port 3001."]
    lines += ["`uv run lsdata lineage gold/genomics/sample_qc --partition family` walks back to the FASTQ files."]
    return "\n".join(lines)


def _scores(lake: Lake) -> Iterable[tuple[str, ...]]:
    yield ("cohort", "sample", "kind", "true", "called", "recall", "precision", "genotypes right")
    truth = _truth(lake.settings) / "truth.vcf.gz"
    fasta = lake.file("bronze/genomics/references", "demo", "demo.fa")
    for cohort in sorted(lake.state().partitions(JOINT_CALLS.key)):
        called = lake.file(JOINT_CALLS.key, cohort, "joint.vcf.gz")
        for s in simulation.score(truth, called, fasta):
            yield (
                cohort,
                s.sample,
                s.kind,
                str(s.true),
                str(s.called),
                _ratio(s.recall),
                _ratio(s.precision),
                _ratio(s.genotype_recall),
            )


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    told = list(rows)
    if not told:
        return []
    widths = [max(len(r[i]) for r in told) for i in range(len(told[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in told]
