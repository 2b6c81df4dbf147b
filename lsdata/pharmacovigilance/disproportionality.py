"""Disproportionality of drug-event pairs in spontaneous reports: RR, PRR, ROR, chi-squared, IC and EBGM.

Notation for one pair: a reports have drug and event, b the drug alone, c the event alone, d neither; E = (a + b)
(a + c) / (a + b + c + d), or the sum of that over strata. RR, IC and EBGM compare a with E and so follow the strata;
PRR, ROR and chi-squared are of the crude two-by-two table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from lsdata.errors import SettingError
from lsdata.pharmacovigilance import counts, ebgm

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
"""Two-sided, of all intervals but EB05 and EB95."""
IC_SHRINKAGE = 0.5
"""Added to observed and expected counts (Norén et al. 2013, doi:10.1177/0962280211403604)."""


@dataclass(frozen=True)
class Definitions:
    """What is counted, and which likelihood the prior of EBGM maximises.

    Attributes:
        margins: "reports" or "pairs", see `counts.count`.
        truncation: "component", "mixture" or "none", see `ebgm.fit`.
        zero_cells: the pairs of the table that were never reported are fitted too, as counts of 0; goes with
            truncation "none".
        squash: see `ebgm.fit`.
    """

    margins: counts.Margins
    truncation: ebgm.Truncation
    zero_cells: bool = False
    squash: bool = True


DEFINITIONS = {
    "lsdata": Definitions("reports", "mixture"),
    "openEBGM": Definitions("reports", "component"),
    "PhViD": Definitions("pairs", "component"),
    "vigipy": Definitions("pairs", "mixture"),
}
"""By name. PhViD's are those of TRONC=TRUE; with TRONC=FALSE it takes `Definitions("pairs", "none", zero_cells=True)`,
which is also vigipy with truncate=False."""


class Interval(NamedTuple):
    """An estimate with its interval; nan where it has no value."""

    estimate: Floats
    lower: Floats
    upper: Floats


def signals(
    reports: pl.DataFrame | pl.LazyFrame,
    strata: Sequence[str] = (),
    definitions: str | Definitions = "lsdata",
    ic_interval: Literal["gamma", "normal"] = "gamma",
) -> tuple[pl.DataFrame, ebgm.Fit]:
    """All measures of every drug-event pair that occurs in reports, and the prior behind EBGM.

    Args:
        reports: case_id, drug, event and the strata; a row per combination, see `counts.count`.
        strata: columns over which expected counts are summed.
        definitions: one of `DEFINITIONS`, or your own.
        ic_interval: how IC025 and IC975 are found, see `information_component`.

    Returns:
        A row per pair in order of drug and event: n, n_drug, n_event, n_total (counts), expected (count), rr, prr,
        prr_lower, prr_upper, chi2, chi2_yates, ror, ror_lower, ror_upper (ratios and statistics), ic, ic025, ic975
        (log2), ebgm, eb05, eb95 (ratios), undefined_reason (why some of them are null); and the fit. What has no
        value is null. Without a converged fit ebgm, eb05 and eb95 are null.

    Raises:
        SettingError: unknown definitions.
        SchemaMismatch, InvalidInput: reports that cannot be counted.
    """
    if isinstance(definitions, str):
        if definitions not in DEFINITIONS:
            raise SettingError(
                "definitions",
                found=repr(definitions),
                allowed=", ".join(DEFINITIONS),
                do="Choose one, or give your own.",
            )
        definitions = DEFINITIONS[definitions]
    if definitions.zero_cells and strata:
        raise SettingError(
            "definitions", found="zero_cells with strata", allowed="one of them",
            do="Fit without zero cells: what is expected of them is only known without strata.",
        )  # fmt: skip
    counted = counts.count(reports, strata, definitions.margins)
    fit = prior(counted, definitions)
    return measures(counted.frame(), fit, ic_interval), fit


def prior(counted: counts.Counts, definitions: Definitions) -> ebgm.Fit:
    """The prior of EBGM for counted pairs."""
    n, expected, weights = counted.n, counted.expected, None
    if definitions.zero_cells:
        n, expected, weights = _with_zero_cells(counted)
    return ebgm.fit(n, expected, weights=weights, truncation=definitions.truncation, squash=definitions.squash)


def measures(pairs: pl.DataFrame, fit: ebgm.Fit, ic_interval: Literal["gamma", "normal"] = "gamma") -> pl.DataFrame:
    """Adds all measures to counts (drug, event, n, n_drug, n_event, n_total, expected); see `signals`."""
    n, n_drug, n_event, n_total, expected = (
        pairs[name].to_numpy().astype(np.float64) for name in ("n", "n_drug", "n_event", "n_total", "expected")
    )
    b, c, d = n_drug - n, n_event - n, n_total - n_drug - n_event + n
    ratio, odds = prr(n, b, c, d), ror(n, b, c, d)
    chi2, chi2_yates = chi_squared(n, b, c, d)
    ic = information_component(n, expected, ic_interval)
    shrunk = ebgm.posterior(n, expected, fit.theta) if fit.converged else [np.full_like(n, np.nan)] * 3
    columns = {
        "rr": n / expected,
        **dict(zip(("prr", "prr_lower", "prr_upper"), ratio, strict=True)),
        "chi2": chi2,
        "chi2_yates": chi2_yates,
        **dict(zip(("ror", "ror_lower", "ror_upper"), odds, strict=True)),
        **dict(zip(("ic", "ic025", "ic975"), ic, strict=True)),
        **dict(zip(("ebgm", "eb05", "eb95"), shrunk, strict=True)),
    }
    return pairs.with_columns(
        *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()),
        _reasons(b == 0, c == 0, d == 0, np.full(len(n), not fit.converged)),
    )


def prr(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Interval:
    """Proportional reporting ratio with its 95 % interval; nan where a or c is 0.

    Source: Evans et al. 2001, doi:10.1002/pds.677; the interval is that of a ratio of proportions (Katz et al. 1978).

    Args:
        a, b, c, d: reports with drug and event, drug alone, event alone, neither.
    """
    a, b, c, d = _cells(a, b, c, d)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (a / (a + b)) / (c / (c + d))
        error = np.sqrt(np.maximum(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d), 0))
    return _interval(ratio, error, (a > 0) & (c > 0))


def ror(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Interval:
    """Reporting odds ratio with its 95 % interval; nan where a cell is 0. Arguments as in `prr`.

    Source: van Puijenbroek et al. 2002, doi:10.1002/pds.668; the interval is Woolf's.
    """
    a, b, c, d = _cells(a, b, c, d)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, error = (a * d) / (b * c), np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    return _interval(ratio, error, (a > 0) & (b > 0) & (c > 0) & (d > 0))


def chi_squared(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> tuple[Floats, Floats]:
    """Pearson's chi-squared without and with Yates' correction; nan where a margin is 0. Arguments as in `prr`."""
    a, b, c, d = _cells(a, b, c, d)
    total, margins = a + b + c + d, (a + b) * (c + d) * (a + c) * (b + d)
    apart = np.abs(a * d - b * c)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(margins > 0, total / margins, np.nan)
    return scale * apart**2, scale * np.maximum(apart - total / 2, 0) ** 2


def information_component(
    n: ArrayLike, expected: ArrayLike, interval: Literal["gamma", "normal"] = "gamma"
) -> Interval:
    """Information component log2((n + 1/2) / (E + 1/2)) with its 95 % credibility interval IC025, IC975, in log2.

    Source: Norén, Hopstadius & Bate 2013, doi:10.1177/0962280211403604. The interval is that of a reporting ratio with
    a gamma(n + 1/2, rate E + 1/2) posterior ("gamma"), or the normal one around IC with the variance 1 / (n + 1/2)
    of its natural logarithm ("normal").
    """
    n, shrunk = np.asarray(n, dtype=np.float64), np.asarray(expected, dtype=np.float64) + IC_SHRINKAGE
    shape, scale = n + IC_SHRINKAGE, np.log2(shrunk)
    ic = np.log2(shape) - scale
    if interval == "normal":
        half = _Z / (np.log(2) * np.sqrt(shape))
        return Interval(ic, ic - half, ic + half)
    # The quantile depends on E by its scale alone, and there are few distinct counts.
    few, which = _distinct_counts(n)
    tails = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    lower, upper = (np.log2(special.gammaincinv(few + IC_SHRINKAGE, q))[which] - scale for q in tails)
    return Interval(ic, lower, upper)


_Z = float(special.ndtri((1 + CONFIDENCE) / 2))


def _cells(*cells: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.asarray(cell, dtype=np.float64) for cell in cells)


def _interval(ratio: Floats, error: Floats, defined: NDArray[np.bool_]) -> Interval:
    with np.errstate(over="ignore", invalid="ignore"):
        factor = np.exp(_Z * error)
        return Interval(*(np.where(defined, value, np.nan) for value in (ratio, ratio / factor, ratio * factor)))


def _distinct_counts(n: Floats) -> tuple[Floats, NDArray[np.int64]]:
    if n.ndim != 1 or not n.size or (n != np.floor(n)).any() or n.max() > 10 * n.size + 1_000_000:
        return np.unique(n, return_inverse=True)
    whole = n.astype(np.int64)
    present = np.bincount(whole) > 0
    return np.flatnonzero(present).astype(np.float64), (np.cumsum(present) - 1)[whole]


REASONS = ("drug_has_no_other_event", "event_has_no_other_drug", "every_report_has_drug_or_event", "no_prior")
"""Why measures are null: b is 0 (ROR; chi-squared with d), c is 0 (PRR, ROR), d is 0 (ROR; chi-squared with b or c),
the fit did not converge (EBGM). Several are joined by a comma."""


def _reasons(*found: NDArray[np.bool_]) -> pl.Series:
    """Each row's reasons, null where there is none."""
    said = [
        ",".join(reason for bit, reason in enumerate(REASONS) if mask >> bit & 1) or None
        for mask in range(1 << len(REASONS))
    ]
    mask = sum((flag.astype(np.int64) << bit for bit, flag in enumerate(found)), np.zeros(found[0].shape, np.int64))
    return pl.Series("undefined_reason", said, dtype=pl.String).gather(mask)


def _with_zero_cells(counted: counts.Counts) -> tuple[Floats, Floats, Floats]:
    """n, expected and weights of the whole table of drugs and events: cells of like margins are one row."""
    drug_margins, drug, drugs = np.unique(counted.drug_margins, return_inverse=True, return_counts=True)
    event_margins, event, events = np.unique(counted.event_margins, return_inverse=True, return_counts=True)
    seen = np.zeros((len(drugs), len(events)))
    np.add.at(seen, (drug[counted.drug], event[counted.event]), 1)
    zeros = np.outer(drugs, events) - seen
    kept = zeros > 0
    expected = np.outer(drug_margins, event_margins)[kept] / counted.n_total
    return (
        np.concatenate([counted.n.astype(np.float64), np.zeros(len(expected))]),
        np.concatenate([counted.expected, expected]),
        np.concatenate([np.ones(len(counted.n)), zeros[kept]]),
    )
