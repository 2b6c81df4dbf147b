"""Which drug-event pairs are alerts now, and which were at the time before."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from lsdata.errors import ChecksFailed, SchemaMismatch
from lsdata.pharmacovigilance.disproportionality import REASONS


@dataclass(frozen=True)
class Rule:
    """An alert is a pair whose every measure exceeds its limit.

    Attributes:
        name: what the alerts are called.
        above: measures (columns of `signals`) and what they must be greater than.
        at_least: the same for limits that suffice.
        source: who uses it.
    """

    name: str
    above: tuple[tuple[str, float], ...] = ()
    at_least: tuple[tuple[str, float], ...] = ()
    source: str = ""

    @property
    def measures(self) -> tuple[str, ...]:
        """The columns the rule looks at."""
        return tuple(name for name, _ in (*self.above, *self.at_least))

    def holds(self) -> pl.Expr:
        """True, or false where a measure is null."""
        limits = [pl.col(name) > limit for name, limit in self.above]
        limits += [pl.col(name) >= limit for name, limit in self.at_least]
        return pl.all_horizontal(*limits).fill_null(value=False)


EBGM = Rule("ebgm", above=(("ebgm", 2.0), ("n", 3.0)), source="Almenoff et al. 2006, EBGM > 2 with n > 3")
EB05 = Rule("eb05", at_least=(("eb05", 2.0),), source="Szarfman et al. 2002, doi:10.2165/00002018-200225060-00001")
IC025 = Rule("ic025", above=(("ic025", 0.0),), source="Norén et al. 2013, doi:10.1177/0962280211403604")
PRR = Rule(
    "prr", at_least=(("prr", 2.0), ("chi2_yates", 4.0), ("n", 3.0)), source="Evans et al. 2001, doi:10.1002/pds.677"
)
RULES = {rule.name: rule for rule in (EBGM, EB05, IC025, PRR)}


def alerts(
    signals: pl.DataFrame,
    previous: pl.DataFrame | None = None,
    rule: Rule = EBGM,
    keys: Sequence[str] = ("drug", "event"),
) -> pl.DataFrame:
    """Alerts of a rule, each `new`, `persisting` or `lost` since the signals of the time before.

    Args:
        signals, previous: results of `disproportionality.signals`, now and then; without `previous` all are new.
        rule: one of `RULES`, or your own.
        keys: columns that name a pair; add the stratum where there is one.

    Returns:
        The keys, rule, status, and each measure of the rule now and then (`<measure>_previous`); a pair that is gone
        has no measure now.

    Raises:
        SchemaMismatch: a key or a measure of the rule is not in signals.
        ChecksFailed: the rule needs a prior that did not converge, now or then. An empty list would say that there
            is nothing to see.
    """
    columns = list(dict.fromkeys((*keys, *rule.measures)))
    for frame, when in ((signals, "signals"), (previous, "previous signals")):
        if frame is None:
            continue
        if missing := [name for name in columns if name not in frame.columns]:
            raise SchemaMismatch(when, found=f"no {', '.join(missing)}", allowed=", ".join(columns), do="Add them.")
        shrunk = {"ebgm", "eb05", "eb95"} & set(rule.measures)
        if shrunk and frame["undefined_reason"].str.contains(REASONS[-1]).any():
            raise ChecksFailed(
                when, found="the prior did not converge", allowed=f"a converged fit for {', '.join(sorted(shrunk))}",
                do="Look at the fit, or use a rule without it (ic025, prr).",
            )  # fmt: skip
    now, then = (
        frame.select(columns).with_columns(alert=rule.holds())
        for frame in (signals, signals.clear() if previous is None else previous)
    )
    status = (
        pl.when(pl.col("alert") & pl.col("alert_previous")).then(pl.lit("persisting"))
        .when(pl.col("alert")).then(pl.lit("new"))
        .when(pl.col("alert_previous")).then(pl.lit("lost"))
    )  # fmt: skip
    return (
        now.join(then, on=list(keys), how="full", suffix="_previous", coalesce=True)
        .with_columns(pl.col("alert", "alert_previous").fill_null(value=False))
        .select(
            *keys,
            pl.lit(rule.name).alias("rule"),
            status.alias("status"),
            *(f"{name}{when}" for name in rule.measures for when in ("", "_previous")),
        )
        .drop_nulls("status")
        .sort(keys)
    )


def cases(alerts: pl.DataFrame, reports: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """The reports behind alerts: drug, event, case_id, a row per report of an alert's pair."""
    return (
        reports.lazy()
        .select("drug", "event", "case_id")
        .join(alerts.lazy().select("drug", "event"), on=["drug", "event"], how="semi")
        .unique()
        .sort("drug", "event", "case_id")
        .collect()
    )
