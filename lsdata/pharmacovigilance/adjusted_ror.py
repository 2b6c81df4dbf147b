"""Reporting odds ratios adjusted for what reports differ in otherwise: logistic regression on reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from lsdata.errors import InvalidInput, SchemaMismatch
from lsdata.pharmacovigilance.disproportionality import ror

Floats = NDArray[np.float64]
EVENTS_PER_PARAMETER = 10
"""Fewer reports of the event per parameter than this make maximum likelihood unreliable (Peduzzi et al. 1996,
doi:10.1016/S0895-4356(96)00236-3): the likelihood is penalised."""
LEVELS = 20
"""Most common values of a text covariate that get a parameter of their own; the rest share one."""
_Z = float(special.ndtri(0.975))


@dataclass(frozen=True)
class Logistic:
    """A logistic regression: coefficients and standard errors (log odds), and whether Newton's method ended."""

    coefficients: Floats
    errors: Floats
    converged: bool


def adjusted(
    reports: pl.DataFrame,
    pairs: Iterable[tuple[str, str]],
    covariates: Sequence[str] = ("age", "sex", "indication"),
    comedications: int = 10,
) -> pl.DataFrame:
    """Adjusted reporting odds ratio of some drug-event pairs, beside the crude one.

    The event is regressed on the drug, the covariates and the drug's most common co-medications, over all reports.
    Numbers enter as they are, with an indicator where missing; texts by their `LEVELS` most common values, missing
    being one of them. Where there are fewer than `EVENTS_PER_PARAMETER` reports of the event per parameter, or a
    covariate separates it, the likelihood is penalised by Jeffreys' prior (Firth 1993, doi:10.1093/biomet/80.1.27;
    Heinze & Schemper 2002, doi:10.1002/sim.1047).

    Args:
        reports: case_id, drug, event and the covariates, which are the same in all rows of a report.
        pairs: drug and event, each.
        covariates: columns to adjust for.
        comedications: how many co-medications to adjust for; each must be in at least one report without the drug.

    Returns:
        drug, event, n (reports of the pair), ror, adjusted_ror with adjusted_lower and adjusted_upper (95 %, Wald),
        parameters (count), method (`maximum_likelihood` or `firth`), undefined_reason: `no_report_with_or_without`
        (drug or event are in no report, or in all), `not_told_apart` (the covariates determine the drug),
        `did_not_converge`.

    Raises:
        SchemaMismatch: a column is missing.
        InvalidInput: a covariate differs within a report.
    """
    needed = ("case_id", "drug", "event", *covariates)
    if missing := [name for name in needed if name not in reports.columns]:
        raise SchemaMismatch(
            "reports", found=f"no column {', '.join(missing)}", allowed=", ".join(needed), do="Add or rename it."
        )
    cases = reports.select("case_id", *covariates).unique().sort("case_id")
    if several := cases.height - cases["case_id"].n_unique():
        raise InvalidInput(
            "reports", code="several_values", found=f"{several} reports with more than one value of a covariate",
            allowed=f"one value of {', '.join(covariates)} for all rows of a report", do="Take one value of each.",
        )  # fmt: skip
    place = cases.select("case_id").with_row_index("place")
    drugs = reports.select("case_id", "drug").unique().join(place, on="case_id")
    events = reports.select("case_id", "event").unique().join(place, on="case_id")
    fixed = _columns([cases[name] for name in covariates], cases.height)
    rows = [_adjusted(drug, event, drugs, events, fixed, comedications) for drug, event in pairs]
    numbers = dict.fromkeys(("ror", "adjusted_ror", "adjusted_lower", "adjusted_upper"), pl.Float64)
    schema = {"drug": pl.String, "event": pl.String, "n": pl.Int64, **numbers}
    return pl.DataFrame(
        rows,
        schema={**schema, "parameters": pl.Int64, "method": pl.String, "undefined_reason": pl.String},
        orient="row",
    ).with_columns(pl.col(*numbers).fill_nan(None))


def logistic(design: Floats, outcome: Floats, firth: bool = False) -> Logistic:
    """Logistic regression by Newton's method, with Firth's penalty or without.

    Args:
        design: reports by parameters, the constant among them.
        outcome: 0 or 1 per report.
    """
    coefficients = np.zeros(design.shape[1])
    value, slope, information = _likelihood(design, outcome, coefficients, firth)
    for _ in range(100):
        step = np.linalg.lstsq(information, slope, rcond=None)[0]
        step /= max(1.0, float(np.abs(step).max()) / 5)
        for shrink in (1.0, 0.5, 0.25, 0.1, 0.01):
            tried = _likelihood(design, outcome, coefficients + shrink * step, firth)
            if tried[0] >= value - 1e-10:
                break
        else:
            break
        coefficients = coefficients + shrink * step
        value, slope, information = tried
        if np.abs(step).max() < 1e-9:
            return Logistic(coefficients, np.sqrt(np.diag(np.linalg.pinv(information))), converged=True)
    return Logistic(coefficients, np.full_like(coefficients, np.nan), converged=False)


def _likelihood(design: Floats, outcome: Floats, at: Floats, firth: bool) -> tuple[float, Floats, Floats]:
    """Log-likelihood (penalised with `firth`), its gradient and the Fisher information."""
    odds = design @ at
    chance: Floats = special.expit(odds)
    weighted = design * (chance * (1 - chance))[:, None]
    information = design.T @ weighted
    logs: Floats = special.log_expit(np.where(outcome == 1, odds, -odds))
    value = float(logs.sum())
    residual = outcome - chance
    if firth:
        value += float(np.linalg.slogdet(information)[1]) / 2
        leverage = ((weighted @ np.linalg.pinv(information)) * design).sum(axis=1)
        residual = residual + leverage * (0.5 - chance)
    return value, design.T @ residual, information


def _columns(covariates: Sequence[pl.Series], reports: int) -> Floats:
    """The covariates as numbers: reports by parameters."""
    found: list[Floats] = []
    for values in covariates:
        if values.dtype.is_numeric():
            known = values.is_not_null().to_numpy()
            numbers = np.asarray(values.cast(pl.Float64), dtype=np.float64)
            middle, spread = (float(f(numbers[known])) if known.any() else 0.0 for f in (np.mean, np.std))
            found += [np.where(known, (numbers - middle) / (spread or 1.0), 0.0), np.where(known, 0.0, 1.0)]
        else:
            text = values.cast(pl.String)
            common = text.value_counts(sort=True, name="reports").sort("reports", text.name, descending=[True, False])
            levels = common[text.name].head(LEVELS).to_list()
            # The most common value is what the others are compared with.
            found += [text.is_in([level], nulls_equal=True).cast(pl.Float64).to_numpy() for level in levels[1:]]
            if common.height > LEVELS:
                found.append((~text.is_in(levels, nulls_equal=True)).cast(pl.Float64).to_numpy())
    return np.column_stack(found) if found else np.zeros((reports, 0))


def _adjusted(
    drug: str, event: str, drugs: pl.DataFrame, events: pl.DataFrame, fixed: Floats, comedications: int
) -> tuple[object, ...]:
    """A row of `adjusted`."""
    exposed, outcome = np.zeros(len(fixed)), np.zeros(len(fixed))
    exposed[drugs.filter(pl.col("drug") == drug)["place"].to_numpy()] = 1
    outcome[events.filter(pl.col("event") == event)["place"].to_numpy()] = 1
    table = [int(((exposed == e) & (outcome == o)).sum()) for e in (1, 0) for o in (1, 0)]
    crude = float(ror(*table).estimate)
    row = (drug, event, table[0], crude)
    if not 0 < exposed.sum() < len(exposed) or not 0 < outcome.sum() < len(outcome):
        return *row, *[None] * 5, "no_report_with_or_without"
    design = np.column_stack(
        [np.ones(len(fixed)), exposed, fixed, *_comedications(drug, drugs, exposed, comedications)]
    )
    design = design[:, np.append([True, True], np.ptp(design[:, 2:], axis=0) > 0)]
    kept = _independent(design)
    design = design[:, kept]
    if 1 not in kept:
        return *row, *[None] * 3, design.shape[1], None, "not_told_apart"
    columns = design[:, 1:]
    binary = columns[:, ((columns == 0) | (columns == 1)).all(axis=0)]
    with_event, held = binary.T @ outcome, binary.sum(axis=0)
    without, neither = outcome.sum() - with_event, (1 - outcome).sum() - (held - with_event)
    separated = bool((np.array([with_event, held - with_event, without, neither]) == 0).any())
    few = min(outcome.sum(), (1 - outcome).sum()) < EVENTS_PER_PARAMETER * design.shape[1]
    found = logistic(design, outcome, firth=few or separated)
    method = "firth" if few or separated else "maximum_likelihood"
    if not found.converged:
        return *row, *[None] * 3, design.shape[1], method, "did_not_converge"
    middle, error = found.coefficients[1], found.errors[1]
    return *row, *np.exp([middle, middle - _Z * error, middle + _Z * error]).tolist(), design.shape[1], method, None


def _comedications(drug: str, drugs: pl.DataFrame, exposed: Floats, most: int) -> list[Floats]:
    """Indicators of the drugs most often reported with this one."""
    others = drugs.filter((pl.col("drug") != drug) & pl.Series(exposed[drugs["place"].to_numpy()] == 1))
    common = others.group_by("drug").len().sort("len", "drug", descending=[True, False])["drug"].head(most)
    found: list[Floats] = []
    for name in common:
        taken = np.zeros_like(exposed)
        taken[drugs.filter(pl.col("drug") == name)["place"].to_numpy()] = 1
        if (taken > exposed).any():
            found.append(taken)
    return found


def _independent(design: Floats) -> list[int]:
    """Columns that no others before them make up; the drug (1) comes last, so that it must add something to all."""
    kept: list[int] = []
    for column in (0, *range(2, design.shape[1]), 1):
        values = design[:, column]
        if kept:
            basis = design[:, kept]
            values = values - basis @ np.linalg.lstsq(basis.T @ basis, basis.T @ values, rcond=None)[0]
        if values @ values > 1e-9 * max(design[:, column] @ design[:, column], 1e-300):
            kept.append(column)
    return sorted(kept)
