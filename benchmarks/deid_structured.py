"""10M claim lines de-identified by their declaration, against a copy of the file: the same reader and writer."""

import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from benchmarks import measure
from lsdata.catalog import Column, Dataset, Engine, Gxp, Phi, Residency, Retention, Sensitivity
from lsdata.catalog.twin import Method, twin
from lsdata.deid.structured import deidentify
from lsdata.deid.vault import DEFAULT_STUDY, Vault
from lsdata.lake.lake import Act, Lake
from lsdata.settings import Settings

ROWS, PATIENTS = 10_000_000, 200_000
ROWS_A_DRAW = 1_000_000
GOAL = 1.6


def _column(name: str, type_: str, phi: Phi, unit: str | None = None) -> Column:
    return Column(name=name, type=type_, phi=phi, unit=unit, doc=name, nullable=name != "line")  # type: ignore[arg-type]


CLAIMS = Dataset(
    key="silver_phi/benchmark/claims",
    doc="Claim lines.",
    grain="one row per line",
    primary_key=("line",),
    sensitivity=Sensitivity.PHI,
    gxp=Gxp.NONE,
    retention=Retention(years=1, basis="a benchmark"),
    residency=Residency.ANY,
    owner="benchmark",
    engine=Engine.POLARS,
    columns=(
        _column("line", "int64", Phi.NONE, "number"),
        _column("patient_id", "string", Phi.HEALTH_PLAN),
        _column("name", "string", Phi.NAME),
        _column("birth_date", "date", Phi.DATE),
        _column("age", "int32", Phi.DATE, "year"),
        _column("sex", "string", Phi.NONE),
        _column("zip", "string", Phi.GEOGRAPHY),
        _column("phone", "string", Phi.PHONE),
        _column("service_date", "date", Phi.DATE),
        _column("paid_date", "date", Phi.DATE),
        _column("diagnosis", "string", Phi.NONE),
        _column("procedure", "string", Phi.NONE),
        _column("ndc", "string", Phi.NONE),
        _column("paid", "float64", Phi.NONE, "USD"),
    ),
)


def _rows(seed: int) -> pl.DataFrame:
    """Claim lines of patients whose record is the same on each line."""
    random = np.random.default_rng(seed)
    patient = random.integers(0, PATIENTS, ROWS_A_DRAW)
    of_patient = np.random.default_rng(0)
    born = of_patient.integers(-18_000, 19_000, PATIENTS)[patient]
    served = random.integers(18_262, 20_000, ROWS_A_DRAW)
    places = of_patient.integers(500, 99_999, PATIENTS)[patient]
    frame = pl.DataFrame({"patient": patient, "born": born, "served": served, "place": places})
    return frame.select(
        line=pl.int_range(ROWS_A_DRAW, dtype=pl.Int64) + seed * ROWS_A_DRAW,
        patient_id=pl.format("MBI{}", pl.col("patient").cast(pl.String).str.zfill(8)),
        name=pl.format("Given{} Family{}", pl.col("patient") % 997, pl.col("patient") % 4_999),
        birth_date=pl.col("born").cast(pl.Int32).cast(pl.Date),
        age=((pl.col("served") - pl.col("born")) // 365.25).cast(pl.Int32),
        sex=pl.when(pl.col("patient") % 2 == 0).then(pl.lit("F")).otherwise(pl.lit("M")),
        zip=pl.col("place").cast(pl.String).str.zfill(5),
        phone=pl.format("555-{}", pl.col("patient").cast(pl.String).str.zfill(7)),
        service_date=pl.col("served").cast(pl.Int32).cast(pl.Date),
        paid_date=(pl.col("served") + 21).cast(pl.Int32).cast(pl.Date),
        diagnosis=pl.Series(random.choice(np.array([f"E{n}.{n % 10}" for n in range(800)]), ROWS_A_DRAW)),
        procedure=pl.Series(random.choice(np.array([str(99_000 + n) for n in range(900)]), ROWS_A_DRAW)),
        ndc=pl.Series(random.choice(np.array([f"{n:011d}" for n in range(7_000)]), ROWS_A_DRAW)),
        paid=pl.Series(random.gamma(2, 80, ROWS_A_DRAW)).round(2),
    )


def run() -> list[measure.Result]:
    """CPU-seconds from parquet to parquet, both methods; the vault is empty before, so 200,000 patients are new."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "claims").mkdir()
        for seed in range(ROWS // ROWS_A_DRAW):
            _rows(seed).write_parquet(place / "claims" / f"{seed}.parquet")
        peer = measure.python(__name__, "copy", folder)
        return [
            measure.compare(
                f"de-identify 10M rows, {method}", measure.python(__name__, str(method), folder), peer, GOAL
            )
            for method in Method
        ]


def main(which: str, folder: str) -> None:
    """One side of the comparison."""
    rows = pl.scan_parquet(Path(folder) / "claims" / "*.parquet")
    with TemporaryDirectory(dir=folder) as scratch:
        measure.begin()
        if which != "copy":
            lake = Lake(Settings.read({"LSDATA_HOME": scratch}))
            pseudonyms = Vault.of(lake).open(DEFAULT_STUDY, Act(operator="benchmark", reason="benchmark"))
            declared = twin(CLAIMS, patient="patient_id")
            rows = deidentify(
                declared, rows, pseudonyms=pseudonyms, as_of=date(2025, 1, 1), method=Method(which)
            )  # fmt: skip
        made = Path(scratch) / "made.parquet"
        rows.sink_parquet(made)
        print(pl.scan_parquet(made).select(pl.len()).collect().item())


if __name__ == "__main__":
    main(*sys.argv[1:])
