"""All measures of 1,000,000 drug-event pairs, from their counts, against vigipy on the same counts."""

import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from benchmarks import measure

PAIRS = 1_000_000
GOAL = 1 / 20


def run() -> list[measure.Result]:
    """CPU-seconds from counts to PRR, ROR, IC and EBGM with their intervals; peer: vigipy's prr, ror, bcpnn and gps."""
    if find_spec("vigipy") is None:
        print("pharmacovigilance: not run, vigipy is not installed", file=sys.stderr)
        return []
    with TemporaryDirectory() as folder:
        counts = Path(folder) / "counts.parquet"
        _counts().write_parquet(counts)
        ours, peer = (measure.python(__name__, which, str(counts)) for which in ("ours", "peer"))
        return [measure.compare("signals of 1,000,000 pairs", ours, peer, GOAL, rounds=1)]


def _counts() -> pl.DataFrame:
    """drug, event and n of a table with planted signals, of the shape that a quarter of FAERS has."""
    draw = np.random.default_rng(0)
    drugs, events = 4_000, 10_000
    weights = [1 / np.arange(1, size + 1) ** 0.9 for size in (drugs, events)]
    cell = np.unique(
        draw.choice(drugs, 3 * PAIRS, p=weights[0] / weights[0].sum()) * events
        + draw.choice(events, 3 * PAIRS, p=weights[1] / weights[1].sum())
    )
    cell = np.sort(draw.permutation(cell)[:PAIRS])
    drug, event = np.divmod(cell, events)
    mean = weights[0][drug] * weights[1][event]
    mean *= draw.gamma(0.8, 1.2, PAIRS) * np.where(draw.random(PAIRS) < 0.05, 20, 1) * 1.5 / mean.mean()
    n = 1 + draw.poisson(mean)
    return pl.DataFrame({"drug": drug, "event": event, "n": n}).with_columns(pl.col("drug", "event").cast(pl.String))


def main(which: str, counts: str) -> None:
    """One side of the comparison: says how many pairs it measured."""
    table = pl.read_parquet(counts)
    (_ours if which == "ours" else _peer)(table)


def _ours(table: pl.DataFrame) -> None:
    from lsdata.pharmacovigilance import disproportionality, ebgm

    measure.begin()
    pairs = table.with_columns(
        n_drug=pl.col("n").sum().over("drug"), n_event=pl.col("n").sum().over("event"), n_total=pl.col("n").sum()
    ).with_columns(expected=pl.col("n_drug") * pl.col("n_event") / pl.col("n_total"))
    fit = ebgm.fit(pairs["n"], pairs["expected"], truncation="mixture")
    print(disproportionality.measures(pairs, fit)["ebgm"].is_not_null().sum())


def _peer(table: pl.DataFrame) -> None:
    from vigipy import bcpnn, convert, gps, prr, ror  # pyright: ignore[reportMissingImports]

    frame = table.rename({"drug": "name", "event": "AE", "n": "count"}).to_pandas()
    measure.begin()
    container = convert(frame)
    for method in (prr, ror, bcpnn):
        method(container, min_events=1)
    print(len(gps(container, min_events=1).all_signals))


if __name__ == "__main__":
    main(*sys.argv[1:])
