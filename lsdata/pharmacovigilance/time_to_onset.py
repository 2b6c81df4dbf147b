"""How long after its start a drug's adverse events begin: the Weibull shape parameter test."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special  # pyright: ignore[reportMissingTypeStubs]

from lsdata.errors import InvalidInput, SchemaMismatch

Floats = NDArray[np.float64]
Pattern = Literal["early", "random", "wear_out"]
SAME_DAY = 0.5
"""Days that an onset on the day of the first dose counts: the Weibull distribution has no 0."""
_Root: TypeAlias = Callable[[Callable[[float], float], float, float], float]
_root = cast("_Root", optimize.brentq)  # pyright: ignore[reportUnknownMemberType]
FEWEST = 2
"""Distinct onsets below which the shape has no maximum."""


@dataclass(frozen=True)
class Onset:
    """A Weibull distribution fitted to times to onset.

    Attributes:
        n: onsets.
        median_days: the sample's median, in days.
        shape, scale_days: maximum likelihood estimates, with their 95 % intervals `*_lower`, `*_upper`; nan where
            there is no maximum.
        pattern: "early" where the hazard falls (the shape's interval lies below 1), "wear_out" where it rises (above
            1), else "random"; none without an estimate.
        undefined_reason: why there is no estimate.
    """

    n: int
    median_days: float
    shape: float
    shape_lower: float
    shape_upper: float
    scale_days: float
    scale_days_lower: float
    scale_days_upper: float
    pattern: Pattern | None
    undefined_reason: str | None


def fit(days: ArrayLike, same_day: float = SAME_DAY) -> Onset:
    """Weibull shape and scale of times to onset, all of them observed.

    Every report is of an event that has happened, so nothing is censored; that reports stop at the date of the data
    is not corrected for. Intervals are Wald's on the log scale, from the observed information. Sources: Cornelius et
    al. 2012, doi:10.1002/cpt.2012.105 (shape parameter test); Sauzet et al. 2013, doi:10.3389/fphar.2013.00123.

    Args:
        days: from the first dose to the onset, >= 0.
        same_day: what 0 days count as (days, > 0).

    Raises:
        InvalidInput: days that are negative or no number, or a same_day that is not positive.
    """
    times = np.asarray(days, dtype=np.float64)
    wrong = int((~(np.isfinite(times) & (times >= 0))).sum())
    if wrong or times.ndim != 1 or not same_day > 0:
        raise InvalidInput(
            "lsdata.pharmacovigilance.time_to_onset", code="impossible_onset",
            found=f"{wrong} impossible of {times.size} onsets, same day as {same_day} days",
            allowed="a vector of days >= 0, same_day > 0", do="Take `onsets`, which sets the others aside.",
        )  # fmt: skip
    median = float(np.median(times)) if times.size else float("nan")
    times = np.where(times == 0, same_day, times)
    if len(np.unique(times)) < FEWEST:
        reason = "fewer_than_two_distinct_onsets"
        return Onset(times.size, median, *[float("nan")] * 6, pattern=None, undefined_reason=reason)
    logs = np.log(times)
    spread = logs - logs.mean()

    def weights(shape: float) -> Floats:
        tilted: Floats = np.exp(shape * (spread - spread.max()))
        return tilted / tilted.sum()

    def score(log_shape: float) -> float:
        """Derivative of the profile likelihood by the shape: falls from +inf to below 0."""
        return float(np.exp(-log_shape) - weights(float(np.exp(log_shape))) @ spread)

    middle = math.log(math.pi / math.sqrt(6) / float(np.std(spread)))
    low, high = middle - 1, middle + 1
    while score(low) < 0:
        low -= 1
    while score(high) > 0:
        high += 1
    log_shape = _root(score, low, high)
    shape, n = math.exp(log_shape), times.size
    latest = float(np.max(logs))
    log_scale = latest + math.log(float(np.mean(np.exp(shape * (logs - latest))))) / shape
    held = weights(shape)
    # Observed information of (log shape, log scale), in z = shape * (log t - log scale), where sum(exp z) = n.
    z = shape * (logs - log_scale)
    information = np.array([[n + n * (held @ z**2), -n * shape * (held @ z)], [-n * shape * (held @ z), n * shape**2]])
    errors = np.sqrt(np.diag(np.linalg.inv(information))) * float(special.ndtri(0.975))
    estimates = np.array([log_shape, log_scale])
    lower, upper = np.exp(estimates - errors), np.exp(estimates + errors)
    pattern: Pattern = "early" if upper[0] < 1 else "wear_out" if lower[0] > 1 else "random"
    return Onset(
        n, median, shape, float(lower[0]), float(upper[0]), float(np.exp(log_scale)), float(lower[1]),
        float(upper[1]), pattern=pattern, undefined_reason=None,
    )  # fmt: skip


def onsets(therapies: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Days from a drug's first dose to the event's onset, one for each case, drug and event.

    Of several onsets the earliest counts; of several starts the earliest on or before it, since one after it cannot
    have caused it.

    Args:
        therapies: case_id, drug, event, start_date, event_date (dates, null where unknown); several rows per case.

    Returns:
        case_id, drug, event, days; and case_id, drug, event, reason of those without: `no_event_date`,
        `no_start_date` or `starts_after_event`.

    Raises:
        SchemaMismatch: a column is missing, or a date is no date.
    """
    dates = ("start_date", "event_date")
    needed = (*_PAIR, *dates)
    wrong = [f"no {name}" for name in needed if name not in therapies.columns]
    wrong += [
        f"{n} is {therapies.schema[n]}" for n in dates if n in therapies.columns and therapies.schema[n] != pl.Date
    ]
    if wrong:
        raise SchemaMismatch(
            "therapies", found=", ".join(wrong), allowed=f"{', '.join(needed)}; the last two Date", do="Cast or rename."
        )
    event = pl.col("event_date").min()
    known = therapies.group_by(_PAIR).agg(
        onset=event,
        any_start=pl.col("start_date").is_not_null().any(),
        start=pl.col("start_date").filter(pl.col("start_date") <= event).min(),
    )
    found = known.select(
        *_PAIR,
        days=(pl.col("onset") - pl.col("start")).dt.total_days(),
        reason=pl.when(pl.col("onset").is_null()).then(pl.lit("no_event_date"))
        .when(~pl.col("any_start")).then(pl.lit("no_start_date"))
        .when(pl.col("start").is_null()).then(pl.lit("starts_after_event")),
    ).sort(_PAIR)  # fmt: skip
    valid = pl.col("reason").is_null()
    return found.filter(valid).drop("reason"), found.filter(~valid).drop("days")


def by_pair(valid: pl.DataFrame, same_day: float = SAME_DAY) -> pl.DataFrame:
    """`fit` for each drug and event of `onsets`: drug, event and the attributes of `Onset`, null where undefined."""
    groups = valid.group_by("drug", "event").agg("days").sort("drug", "event")
    rows = [{"drug": d, "event": e, **asdict(fit(days, same_day))} for d, e, days in groups.iter_rows()]
    numbers = {name: pl.Float64 for name in Onset.__annotations__ if name not in ("n", "pattern", "undefined_reason")}
    schema = {**valid.select("drug", "event").schema, "n": pl.Int64, **numbers}
    return pl.DataFrame(rows, schema={**schema, "pattern": pl.String, "undefined_reason": pl.String}).with_columns(
        pl.col(*numbers).fill_nan(None)
    )


_PAIR = ["case_id", "drug", "event"]
