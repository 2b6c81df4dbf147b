"""From counts to the gold tables: priors, signals, alerts, masking, time to onset and adjusted odds ratios.

Everything is a function of the quarter as of which reports are counted: what was loaded later has no say.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import polars as pl

from lsdata.catalog import Dataset
from lsdata.catalog.pharmacovigilance import (
    ADJUSTED_ROR,
    ALERT_CASES,
    ALERTS,
    MASKING,
    PRIOR_FITS,
    SIGNALS,
    TIME_TO_ONSET,
)
from lsdata.derived import arrow

if TYPE_CHECKING:
    from lsdata.pharmacovigilance import ebgm
    from lsdata.pharmacovigilance.alerts import Rule

# scipy is imported where it is used: loading the graph needs none of it.

FEWEST_ONSETS = 3
"""Onsets below which no distribution is fitted to a pair (as for reports: Evans et al. 2001)."""
MOST_ADJUSTED = 20
"""Alerts, strongest first, whose odds ratio is adjusted: each is a regression over all reports."""
_CUT = ["source", "as_of", "stratum"]


def prior_fits(pair_counts: pl.LazyFrame) -> pl.DataFrame:
    """The prior of each source, quarter and stratum."""
    from lsdata.pharmacovigilance import disproportionality, ebgm

    rows: list[dict[str, object]] = []
    counts = pair_counts.select(*_CUT, "drug", "event", "n", "expected").sort(*_CUT, "drug", "event").collect()
    for (source, as_of, stratum), pairs in counts.group_by(_CUT, maintain_order=True):
        fit = ebgm.fit(
            pairs["n"].to_numpy(),
            pairs["expected"].to_numpy(),
            truncation=disproportionality.DEFINITIONS["lsdata"].truncation,
        )
        told = {name: value for name, value in asdict(fit).items() if name in PRIOR_FITS.names}
        rows.append({"source": source, "as_of": as_of, "stratum": stratum, **told})
    return pl.DataFrame(rows, schema=arrow.polars_schema(PRIOR_FITS)).with_columns(pl.col(pl.Float64).fill_nan(None))


def signals(pair_counts: pl.LazyFrame, prior_fits: pl.LazyFrame) -> pl.DataFrame:
    """All measures of all pairs, each with the prior of its stratum."""
    from lsdata.pharmacovigilance import disproportionality

    frames = [arrow.empty(SIGNALS)]
    fits = {tuple(row[name] for name in _CUT): row for row in prior_fits.collect().iter_rows(named=True)}
    counts = pair_counts.sort(*_CUT, "drug", "event").collect()
    for cut, pairs in counts.group_by(_CUT, maintain_order=True):
        measured = disproportionality.measures(pairs, _fit(fits[tuple(cut)]))
        frames.append(measured.select(SIGNALS.names).cast(arrow.polars_schema(SIGNALS)))
    return pl.concat(frames)


def _fit(row: dict[str, object]) -> "ebgm.Fit":
    from lsdata.pharmacovigilance import disproportionality, ebgm

    told = {name: float("nan") if value is None else value for name, value in row.items() if name not in _CUT}
    return ebgm.Fit(**told, truncation=disproportionality.DEFINITIONS["lsdata"].truncation)  # pyright: ignore[reportArgumentType]


def alerts(signals: pl.LazyFrame, prior_fits: pl.LazyFrame) -> pl.DataFrame:
    """Alerts of every rule as of each quarter over all reports, and how they changed.

    A quarter whose prior did not converge has no alerts of the rules that need it; the next one is compared with the
    last that has. An empty list would say that there is nothing to see: the check `prior_converged` says what it is.
    """
    from lsdata.pharmacovigilance import alerts as rules

    crude = signals.filter(pl.col("stratum") == "all").collect()
    whole = prior_fits.filter((pl.col("stratum") == "all") & pl.col("converged")).collect()
    converged = set(whole.select("source", "as_of").iter_rows())
    frames = [arrow.empty(ALERTS)]
    for (source,), told in crude.group_by(["source"], maintain_order=True):
        for rule in rules.RULES.values():
            needs_prior = bool({"ebgm", "eb05"} & set(rule.measures))
            previous, previous_as_of = None, None
            for as_of in told["as_of"].unique().sort():
                if needs_prior and (source, as_of) not in converged:
                    continue
                now = told.filter(pl.col("as_of") == as_of)
                frames.append(_alerts(now, previous, rule, as_of, previous_as_of))
                previous, previous_as_of = now, as_of
    return pl.concat(frames)


def _alerts(
    now: pl.DataFrame, previous: pl.DataFrame | None, rule: "Rule", as_of: str, previous_as_of: str | None
) -> pl.DataFrame:
    from lsdata.pharmacovigilance import alerts as rules

    found = rules.alerts(now, previous, rule).select("drug", "event", "rule", "status")
    shown = ("n", "prr", "ror_lower", "ic025", "ebgm", "eb05")
    then = (now.clear() if previous is None else previous).select("drug", "event", ebgm_previous="ebgm", n_previous="n")
    return (
        found.join(now.select("drug", "event", *shown), on=["drug", "event"], how="left")
        .join(then, on=["drug", "event"], how="left")
        .with_columns(
            source=pl.lit(now["source"][0]), as_of=pl.lit(as_of), previous_as_of=pl.lit(previous_as_of, pl.String)
        )
        .select(ALERTS.names)
        .cast(arrow.polars_schema(ALERTS))
    )


def alert_cases(
    alerts: pl.LazyFrame,
    report_pairs: pl.LazyFrame,
    cases: pl.LazyFrame,
    case_drugs: pl.LazyFrame,
    case_reactions: pl.LazyFrame,
) -> pl.LazyFrame:
    """The reports of every pair that is or was an alert, with the lines they stand on."""
    key = ["source", "delivery", "report_id"]
    lines = (
        case_drugs.sort("source_file", "source_line")
        .unique([*key, "drug"], keep="first", maintain_order=True)
        .select(*key, "drug", drug_file="source_file", drug_line="source_line")
    )
    return (
        report_pairs.join(alerts.select("source", "drug", "event"), on=["source", "drug", "event"], how="semi")
        .join(
            cases.select(*key, "valid_from", "case_id", report_file="source_file", report_line="source_line"),
            on=[*key, "valid_from"],
        )
        .join(lines, on=[*key, "drug"])
        .join(
            case_reactions.select(*key, "event", reaction_file="source_file", reaction_line="source_line"),
            on=[*key, "event"],
        )
        .select(ALERT_CASES.names)
    )


def valid(frame: pl.DataFrame, as_of: str) -> pl.DataFrame:
    """The rows that count as of a quarter."""
    until = pl.col("valid_until")
    return frame.filter((pl.col("valid_from") <= as_of) & (until.is_null() | (until > as_of)))


def _quarters(cases: pl.LazyFrame) -> Iterator[tuple[str, list[str]]]:
    """Each source with its quarters in order."""
    told = cases.select("source", pl.concat_list("known_from", "valid_from", "valid_until").alias("as_of"))
    named = told.explode("as_of").drop_nulls().unique().sort("source", "as_of").collect()
    for (source,), rows in named.group_by(["source"], maintain_order=True):
        yield str(source), rows["as_of"].to_list()


_CASE = pl.format("{}/{}", "delivery", "report_id").alias("case_id")


def masking(report_pairs: pl.LazyFrame, cases: pl.LazyFrame) -> pl.DataFrame:
    """Masked pairs as of each quarter."""
    from lsdata.pharmacovigilance import masking as masks

    frames = [arrow.empty(MASKING)]
    for source, quarters in _quarters(cases):
        pairs = report_pairs.filter(pl.col("source") == source).collect()
        for as_of in quarters:
            reports = valid(pairs, as_of).select(_CASE, "drug", "event")
            if reports.height:
                frames.append(_named(masks.masking(reports), MASKING, source, as_of))
    return pl.concat(frames)


def _named(rows: pl.DataFrame, dataset: Dataset, source: str, as_of: str) -> pl.DataFrame:
    return (
        rows.with_columns(source=pl.lit(source), as_of=pl.lit(as_of))
        .select(dataset.names)
        .cast(arrow.polars_schema(dataset))
    )


def onsets(
    report_pairs: pl.LazyFrame,
    cases: pl.LazyFrame,
    case_drugs: pl.LazyFrame,
    case_reactions: pl.LazyFrame,
    case_therapies: pl.LazyFrame,
) -> pl.DataFrame:
    """Fits of the newest quarter. An event began on the reaction's own date where there is one, else the report's."""
    from lsdata.pharmacovigilance import time_to_onset

    frames = [arrow.empty(TIME_TO_ONSET)]
    key = ["source", "delivery", "report_id"]
    for source, quarters in _quarters(cases):
        as_of = quarters[-1]
        of_source = pl.col("source") == source
        pairs = valid(report_pairs.filter(of_source).collect(), as_of).lazy()
        told = (
            pairs.select(*key, "drug", "event")
            .join(case_drugs.select(*key, "drug", "drug_seq"), on=[*key, "drug"])
            .join(case_therapies.select(*key, "drug_seq", "start_date"), on=[*key, "drug_seq"])
            .join(case_reactions.select(*key, "event", own="event_date"), on=[*key, "event"], how="left")
            .join(cases.select(*key, "event_date").unique(key), on=key, how="left")
            .select(_CASE, "drug", "event", "start_date", event_date=pl.coalesce("own", "event_date"))
        )
        known, _ = time_to_onset.onsets(told.collect())
        enough = known.filter(pl.len().over("drug", "event") >= FEWEST_ONSETS)
        frames.append(_named(time_to_onset.by_pair(enough), TIME_TO_ONSET, source, as_of))
    return pl.concat(frames)


def adjusted_ror(
    report_pairs: pl.LazyFrame, cases: pl.LazyFrame, case_indications: pl.LazyFrame, alerts: pl.LazyFrame
) -> pl.DataFrame:
    """The strongest alerts (EBGM) of the newest quarter, adjusted. Of several indications the first by name counts."""
    from lsdata.pharmacovigilance import adjusted_ror as regression

    frames = [arrow.empty(ADJUSTED_ROR)]
    key = ["source", "delivery", "report_id"]
    indication = case_indications.group_by(key).agg(pl.col("indication").min())
    for source, quarters in _quarters(cases):
        as_of = quarters[-1]
        strongest = (
            alerts.filter(
                pl.col("source") == source,
                pl.col("as_of") == as_of,
                pl.col("rule") == "ebgm",
                pl.col("status") != "lost",
            )
            .sort("eb05", "drug", "event", descending=[True, False, False])
            .head(MOST_ADJUSTED)
            .collect()
        )
        if strongest.is_empty():
            continue
        ages = cases.select(*key, age="age_years").unique(key)
        reports = (
            valid(report_pairs.filter(pl.col("source") == source).collect(), as_of)
            .lazy()
            .join(ages, on=key, how="left")
            .join(indication, on=key, how="left")
            .select(_CASE, "drug", "event", "age", "sex", "indication")
            .collect()
        )
        found = regression.adjusted(reports, strongest.select("drug", "event").iter_rows())
        frames.append(_named(found, ADJUSTED_ROR, source, as_of))
    return pl.concat(frames)
