"""The demonstration: simulated quarters with planted signals, and whether the graph finds them."""

import json
from collections.abc import Callable

import polars as pl

from lsdata.catalog.pharmacovigilance import ALERTS, CASES, MASKING, SIGNAL_REPORT, SIGNALS
from lsdata.lake.lake import Lake
from lsdata.pharmacovigilance import simulation
from lsdata.settings import Settings


def land(settings: Settings, log: Callable[[str], None]) -> None:
    """Simulate four FAERS quarters, unless they have been landed."""
    landing, truth = settings.path("landing"), settings.home / "demo" / "truth" / "pharmacovigilance.json"
    if truth.exists() and (landing / "faers" / f"faers_ascii_{simulation.QUARTERS[-1]}.zip").exists():
        log(f"Landed already: FAERS {simulation.QUARTERS[0]} to {simulation.QUARTERS[-1]}.")
        return
    planted = simulation.simulate(landing)
    simulation.keep(planted, truth)
    log(
        f"Landed FAERS {simulation.QUARTERS[0]} to {simulation.QUARTERS[-1]}: {len(planted.signals)} signals, "
        f"{len(planted.duplicates)} duplicates and a masked pair are planted."
    )


def report(lake: Lake) -> str:
    """Planted signals with what was found of them, duplicates, masking, and where the report is."""
    path = lake.settings.home / "demo" / "truth" / "pharmacovigilance.json"
    if not path.exists() or lake.state().versions.get(SIGNALS.key) is None:
        return ""
    truth = json.loads(path.read_text())
    newest = simulation.QUARTERS[-1]
    signals = lake.read(SIGNALS.key, ["faers"]).filter(pl.col("stratum") == "all", pl.col("as_of") == newest).collect()
    alerts = lake.read(ALERTS.key, ["faers"]).filter(pl.col("rule") == "ebgm", pl.col("status") != "lost").collect()
    lines = ["", "Planted signals, as of " + newest, "-----------------------------"]
    for drug, event, since in truth["signals"]:
        pair = (pl.col("drug") == drug) & (pl.col("event") == event)
        row = signals.filter(pair).row(0, named=True)
        first = alerts.filter(pair)["as_of"].min()
        lines.append(
            f"{drug} - {event}: planted from {since}, alert since {first}; n {row['n']}, EBGM {row['ebgm']:.1f} "
            f"(EB05 {row['eb05']:.1f}), IC025 {row['ic025']:.1f}"
        )
    names = {(drug, event) for drug, event, _ in truth["signals"]} | {tuple(truth["masked"][:2])}
    others = alerts.filter(pl.col("as_of") == newest).select("drug", "event").rows()
    lines.append(f"Other alerts: {sum(pair not in names for pair in others)}")
    drug, event, masker = truth["masked"]
    shown = lake.read(MASKING.key, ["faers"]).filter(
        pl.col("drug") == drug, pl.col("event") == event, pl.col("as_of") == newest
    )
    lines += [
        f"Masked by {row['masked_by']} (planted: {masker}): {drug} - {event}, IC {row['ic']:.2f}, without its reports "
        f"{row['ic_without']:.2f}"
        for row in shown.collect().iter_rows(named=True)
    ]
    found = lake.read(CASES.key, ["faers"]).filter(pl.col("superseded_reason") == "duplicate_of").collect()
    pairs = {frozenset(pair) for pair in found.select("report_id", "superseded_by").iter_rows()}
    planted = {frozenset(pair) for pair in truth["duplicates"]}
    lines.append(
        f"Duplicates: {len(planted & pairs)} of {len(planted)} planted ones found, {len(pairs - planted)} others"
    )
    lines.append(str(lake.files.uri(f"{SIGNAL_REPORT.key}/faers/signal_report.html")))
    return "\n".join(lines)
