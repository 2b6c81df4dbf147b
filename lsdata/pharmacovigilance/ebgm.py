"""DuMouchel's empirical Bayes screening: the gamma-Poisson shrinker (MGPS), its prior and its posterior.

The count n of a drug-event pair is Poisson with mean lambda * E, and lambda, the true reporting ratio, is drawn from
a mixture of two gamma distributions, p * gamma(alpha1, rate beta1) + (1 - p) * gamma(alpha2, rate beta2). The five
parameters are fitted to all pairs; each pair's posterior is again a mixture of two gammas.

Sources: DuMouchel 1999, doi:10.1080/00031305.1999.10474456 (model, EBGM, EB05); DuMouchel & Pregibon 2001,
doi:10.1145/502512.502526 (counts of at least 1, data squashing).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from lsdata.errors import InvalidInput

Floats = NDArray[np.float64]
Truncation = Literal["component", "mixture", "none"]

_digamma = cast("Callable[[ArrayLike], Floats]", special.psi)
_normal_quantile = cast("Callable[[float], float]", special.ndtri)

STARTS = (
    (0.2, 0.1, 2.0, 4.0, 1 / 3),
    (0.1, 0.2, 10.0, 10.0, 0.2),
    (0.3, 0.5, 6.0, 6.0, 0.5),
    (0.2041, 0.05816, 1.415, 1.838, 0.0969),
    (3.0, 0.5, 2.0, 2.0, 0.05),
    (0.01, 0.01, 1.0, 1.0, 0.5),
)
"""Where the search begins: DuMouchel 1999 and 2001, openEBGM's examples, and a heavy tail on either side."""

_LOG_BOUNDS = (np.log(1e-8), np.log(1e5))
_LOGIT_BOUNDS = (-20.0, 20.0)
_EDGE = (1e-5, 1e3)
"""A gamma parameter beyond these no longer matters: the component has become its limit (log-series, or one point)."""
_GAIN = 1e-4
"""A fit has converged when no step lowers the value, and Newton's would gain less than this many nats in all."""
_LONGEST = 2.0
"""Longest Newton step of a logarithm or logit."""
_ROUGHLY, _NO_GAIN, _LITTLE = 1e-2, 1e-10, 1e-8
"""A Newton step that would gain less is not worth taking: in the search, at its end, and over all pairs."""
_CELL = 0.1
"""Width of a cell of like pairs in log E, times n + 1: likelihood and posterior vary as fast as n."""
_COARSE, _FINE = 2.0, 0.05
"""The same where only the neighbourhood of the optimum is sought, and where quantiles are interpolated."""
_SMOOTH = 20
"""Largest count for which cells get narrower, and posterior quantiles may be interpolated."""
_LOG_RANGE = 700.0
"""Reporting ratios are sought between exp(-700) and exp(700), which a float can hold."""
_TOLERANCE = 1e-10
"""Newton steps for a quantile end with a step below this, in its logarithm."""
_FEW = 2_000
"""Tables of so few pairs are not squashed."""
_CHUNK = 1 << 14
"""Pairs worked on at once: their intermediate values stay in the processor's cache."""


@dataclass(frozen=True)
class Fit:
    """A fitted prior.

    Attributes:
        alpha1, beta1, alpha2, beta2: shapes and rates of the two gammas; component 1 has the smaller rate, so
            the heavier tail.
        p: weight of component 1. With truncation "component" it is its share of the pairs seen.
        neg_log_likelihood: nats, over all pairs.
        converged: no step gains anything more, over all pairs.
        at_boundary: a component has run to the edge of the parameter space, or holds less than one pair.
        n_pairs: pairs the prior was fitted to (their weights, where given).
        truncation: the likelihood that was maximised.
    """

    alpha1: float
    beta1: float
    alpha2: float
    beta2: float
    p: float
    neg_log_likelihood: float
    converged: bool
    at_boundary: bool
    n_pairs: int
    truncation: Truncation

    @property
    def theta(self) -> tuple[float, float, float, float, float]:
        """(alpha1, beta1, alpha2, beta2, p)."""
        return self.alpha1, self.beta1, self.alpha2, self.beta2, self.p


def fit(
    n: ArrayLike,
    expected: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    truncation: Truncation | None = None,
    squash: bool = True,
    starts: Sequence[Sequence[float]] = STARTS,
) -> Fit:
    """Maximum likelihood prior of drug-event pairs, from several starts.

    The search runs on squashed pairs; Newton steps on all pairs, whose likelihood is reported, finish it.

    Args:
        n, expected: counts seen (whole numbers) and expected (> 0) of each pair.
        weights: how many pairs each row stands for; 1 by default.
        truncation: pairs that were never reported are not in a table of reports. "component" divides each component
            of the mixture by its own chance of a count of at least 1 (DuMouchel & Pregibon 2001, openEBGM, PhViD);
            "mixture" divides the whole mixture (vigipy), which keeps p on the scale that the posterior uses; "none"
            takes the counts as they are. Default: "none" if there are zero counts, else "component".
        squash: search on squashed pairs; otherwise on all of them (the same fit, only slower).
        starts: thetas (alpha1, beta1, alpha2, beta2, p) to start from.

    Raises:
        InvalidInput: counts, expected counts or weights that the model cannot have.
    """
    pairs = _Pairs.of(n, expected, weights)
    zeros = bool((pairs.n == 0).any())
    if truncation is None:
        truncation = "none" if zeros else "component"
    elif zeros and truncation != "none":
        raise _invalid(f"{int((pairs.n == 0).sum())} zero counts", "counts of at least 1 where the fit is truncated")
    if not len(pairs.n):
        return Fit(*[float("nan")] * 6, converged=False, at_boundary=False, n_pairs=0, truncation=truncation)
    fine = pairs.squashed(_CELL) if squash else pairs
    coarse = fine.squashed(_COARSE) if squash else pairs
    best = min(
        (_minimum(_unbounded(start), coarse, truncation, enough=_ROUGHLY) for start in starts),
        key=lambda found: found.value,
    )
    best = _minimum(best.x, fine, truncation)
    found = _minimum(best.x, pairs, truncation, fine, enough=_LITTLE)
    theta = _bounded(found.x)
    if theta[1] > theta[3]:
        theta = (*theta[2:4], *theta[:2], float(special.expit(-found.x[4])))
    total = float(pairs.weights.sum())
    return Fit(
        *theta,
        neg_log_likelihood=found.value,
        converged=found.converged,
        at_boundary=not (all(_EDGE[0] < at < _EDGE[1] for at in theta[:4]) and 1 <= found.members <= total - 1),
        n_pairs=round(total),
        truncation=truncation,
    )


def neg_log_likelihood(
    theta: Sequence[float],
    n: ArrayLike,
    expected: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    truncation: Truncation = "component",
) -> float:
    """Negative log-likelihood in nats of a prior (alpha1, beta1, alpha2, beta2, p); arguments as in `fit`."""
    return _neg_log_likelihood(_unbounded(theta), _Pairs.of(n, expected, weights), truncation)[0]


def posterior(n: ArrayLike, expected: ArrayLike, theta: Sequence[float]) -> tuple[Floats, Floats, Floats]:
    """EBGM, EB05 and EB95: geometric mean, 5 % and 95 % quantile of each pair's posterior reporting ratio.

    Source: DuMouchel 1999, eq. 6-11. Quantiles are within 1e-6 of the root, relatively.

    Args:
        n, expected: counts seen and expected (> 0) of each pair.
        theta: alpha1, beta1, alpha2, beta2, p.

    Raises:
        InvalidInput: counts or a prior that the model cannot have.
    """
    pairs, x = _Pairs.of(n, expected, None), _unbounded(theta)
    a1, b1, a2, b2 = np.exp(x[:4])
    mean1, mean2 = (_digamma(a + pairs.distinct)[pairs.which] for a in (a1, a2))
    weight = _membership(x, pairs)
    log_mean = weight * (mean1 - np.log(b1 + pairs.expected)) + (1 - weight) * (mean2 - np.log(b2 + pairs.expected))
    lower, upper = (np.exp(_log_quantile(q, x, pairs)) for q in (0.05, 0.95))
    return np.exp(log_mean), lower, upper


# ---------------------------------------------------------------- pairs, and fewer that stand for them


def _invalid(found: str, allowed: str) -> InvalidInput:
    return InvalidInput(
        "lsdata.pharmacovigilance.ebgm", code="not_a_count", found=found, allowed=allowed, do="Correct the arguments."
    )


@dataclass(frozen=True)
class _Pairs:
    """Counts, expected counts and weights; `distinct[which]` are the counts again, each distinct one once."""

    n: Floats
    expected: Floats
    weights: Floats
    distinct: Floats
    which: NDArray[np.int64]

    @classmethod
    def of(cls, n: ArrayLike, expected: ArrayLike, weights: ArrayLike | None) -> "_Pairs":
        counts, means = np.asarray(n, dtype=np.float64), np.asarray(expected, dtype=np.float64)
        held = np.ones_like(counts) if weights is None else np.asarray(weights, dtype=np.float64)
        if not counts.ndim == means.ndim == held.ndim == 1 or not counts.size == means.size == held.size:
            raise _invalid(f"shapes {counts.shape}, {means.shape}, {held.shape}", "vectors of one length")
        wrong = {
            "counts": ~((counts >= 0) & (counts == np.floor(counts)) & np.isfinite(counts)),
            "expected counts": ~((means > 0) & np.isfinite(means)),
            "weights": ~((held >= 0) & np.isfinite(held)),
        }
        if found := [f"{int(bad.sum())} {name}" for name, bad in wrong.items() if bad.any()]:
            raise _invalid(f"impossible: {', '.join(found)}", "whole n >= 0, finite expected > 0, finite weights >= 0")
        return cls.coded(counts, means, held)

    @classmethod
    def coded(cls, n: Floats, expected: Floats, weights: Floats) -> "_Pairs":
        present = np.zeros(int(n.max()) + 1 if n.size else 1, dtype=np.int64)
        whole = n.astype(np.int64)
        present[whole] = 1
        return cls(n, expected, weights, np.flatnonzero(present).astype(np.float64), (np.cumsum(present) - 1)[whole])

    def take(self, rows: slice | NDArray[np.bool_]) -> "_Pairs":
        return _Pairs(self.n[rows], self.expected[rows], self.weights[rows], self.distinct, self.which[rows])

    def place(self, cell: float) -> Floats:
        """log E of each pair in widths of its count's cells."""
        return np.log(self.expected) * (np.minimum(self.n, _SMOOTH) + 1) / cell

    def squashed(self, cell: float) -> "_Pairs":
        """Two points for each cell of like pairs, with its weight, mean and variance of E: right to the third order."""
        if len(self.n) <= _FEW:
            return self
        step = np.floor(self.place(cell))
        span = int(np.ptp(step)) + 1
        code = self.which * span + (step - step.min()).astype(np.int64)
        weights, sums = np.bincount(code, self.weights), np.bincount(code, self.weights * self.expected)
        cells = np.flatnonzero(weights)
        means = sums / np.maximum(weights, np.finfo(np.float64).tiny)
        spreads = np.bincount(code, self.weights * (self.expected - means[code]) ** 2)
        weight, mean = weights[cells], means[cells]
        spread, n = np.sqrt(spreads[cells] / weight), self.distinct[cells // span]
        two = spread > 1e-9 * mean
        return _Pairs.coded(
            np.concatenate([n, n[two]]),
            np.concatenate([mean - spread, (mean + spread)[two]]),
            np.concatenate([np.where(two, weight / 2, weight), weight[two] / 2]),
        )


# ---------------------------------------------------------------- the likelihood


def _unbounded(theta: Sequence[float]) -> Floats:
    """Logarithms of the gammas' parameters and logit of p: every point of the plane is a prior."""
    values = np.asarray(theta, dtype=np.float64)
    if values.shape != (5,) or not (values[:4] > 0).all() or not np.isfinite(values).all() or not 0 <= values[4] <= 1:
        raise _invalid("a theta that is no prior", "alpha1, beta1, alpha2, beta2 > 0 and 0 <= p <= 1")
    return np.append(np.log(values[:4]), special.logit(values[4]))


def _bounded(x: Floats) -> tuple[float, ...]:
    return (*np.exp(x[:4]).tolist(), float(special.expit(x[4])))


_BOUNDS = [_LOG_BOUNDS] * 4 + [_LOGIT_BOUNDS]


def _log_rising(a: float, n: Floats) -> Floats:
    """log gamma(a + n) - log gamma(a), exact for a shape of any size."""
    above = np.maximum(n, 1.0)
    return np.where(n > 0, special.gammaln(above) - special.betaln(a, above), 0.0)


def _membership(x: Floats, pairs: _Pairs) -> Floats:
    """Posterior probability of component 1 for each pair (DuMouchel 1999, eq. 6)."""
    a1, b1, a2, b2 = np.exp(x[:4])
    rising = _log_rising(a1, pairs.distinct) - _log_rising(a2, pairs.distinct) + pairs.distinct * (x[3] - x[1])
    log_odds = (
        x[4]
        + rising[pairs.which]
        - (a1 + pairs.n) * np.log1p(pairs.expected / b1)
        + (a2 + pairs.n) * np.log1p(pairs.expected / b2)
    )
    return special.expit(log_odds)


def _neg_log_likelihood(x: Floats, pairs: _Pairs, truncation: Truncation) -> tuple[float, Floats, float]:
    """Negative log-likelihood, its gradient, and how many pairs belong to component 1."""
    value, slope, members = 0.0, np.zeros(5), 0.0
    by_count = [
        (
            _log_rising(a, pairs.distinct) - special.gammaln(pairs.distinct + 1) - pairs.distinct * log_b,
            a * (_digamma(a + pairs.distinct) - _digamma(a)),
        )
        for a, log_b in zip(np.exp(x[[0, 2]]), x[[1, 3]], strict=True)
    ]
    p, log_p, log_rest = special.expit(x[4]), special.log_expit(x[4]), special.log_expit(-x[4])
    for start in range(0, len(pairs.n), _CHUNK):
        part = pairs.take(slice(start, start + _CHUNK))
        likelihoods: list[Floats] = []
        slopes: list[tuple[Floats, Floats]] = []
        seen: list[tuple[Floats, Floats, Floats]] = []
        for (rising, digammas), a, b in zip(by_count, np.exp(x[[0, 2]]), np.exp(x[[1, 3]]), strict=True):
            log_rate = np.log1p(part.expected / b)
            ratio = part.expected / (b + part.expected)
            likelihood = rising[part.which] - (a + part.n) * log_rate
            by_a = digammas[part.which] - a * log_rate
            by_b = (a + part.n) * ratio - part.n
            if truncation != "none":
                unseen = np.exp(-a * log_rate)
                chance = -np.expm1(-a * log_rate)
                lost_a, lost_b = -a * log_rate * unseen, a * ratio * unseen  # derivatives of `unseen`
                if truncation == "component":
                    likelihood -= np.log(chance)
                    by_a += lost_a / chance
                    by_b += lost_b / chance
                else:
                    seen.append((chance, lost_a, lost_b))
            likelihoods.append(likelihood)
            slopes.append((by_a, by_b))
        odds = x[4] + likelihoods[0] - likelihoods[1]
        first = special.expit(odds)
        second = 1 - first
        log_mixture = np.logaddexp(log_p + likelihoods[0], log_rest + likelihoods[1])
        gradient = [first * slopes[0][0], first * slopes[0][1], second * slopes[1][0], second * slopes[1][1], first - p]
        if truncation == "mixture":
            (chance1, a1, b1), (chance2, a2, b2) = seen
            chance = p * chance1 + (1 - p) * chance2
            log_mixture -= np.log(chance)
            lost = [p * a1, p * b1, (1 - p) * a2, (1 - p) * b2, -p * (1 - p) * (chance1 - chance2)]
            gradient = [g + one / chance for g, one in zip(gradient, lost, strict=True)]
        value -= _dot(part.weights, log_mixture + part.n * np.log(part.expected))
        slope -= np.array([_dot(part.weights, g) for g in gradient])
        members += _dot(part.weights, first)
    return value, slope, members


def _dot(one: Floats, other: Floats) -> float:
    """Sum of products, without the threads of BLAS: for vectors this short they cost more than they save."""
    return float(np.einsum("i,i", one, other))


@dataclass(frozen=True)
class _Minimum:
    x: Floats
    value: float
    members: float
    converged: bool


def _minimum(
    x: Floats, pairs: _Pairs, truncation: Truncation, like: _Pairs | None = None, enough: float = _NO_GAIN
) -> _Minimum:
    """Newton's method from x within the bounds; `like` are fewer pairs whose curvature at x is that of all."""
    low, high = (np.array(bounds) for bounds in zip(*_BOUNDS, strict=True))
    x = np.clip(x, low, high)
    value, slope, members = _neg_log_likelihood(x, pairs, truncation)
    curvature = None
    for _ in range(200):
        if curvature is None or like is None:
            curvature = _curvature(x, like or pairs, truncation, None if like else slope)
        step = _newton_step(curvature, slope, x <= low, x >= high)
        step /= max(1.0, float(np.abs(step).max()) / _LONGEST)
        # Along the step up to the first bound: cutting off one parameter alone would leave a narrow valley.
        room = np.where(step > 0, high - x, low - x)
        step *= min(1.0, float(np.min(room[step != 0] / step[step != 0], initial=1.0)))
        gain = -_dot(step, slope) / 2
        if gain < enough:
            return _Minimum(x, value, members, converged=True)
        for shrink in (1.0, 0.3, 0.1, 0.01) if gain > _GAIN else (1.0,):
            new = np.clip(x + shrink * step, low, high)
            tried = _neg_log_likelihood(new, pairs, truncation)
            if tried[0] < value:
                x, (value, slope, members) = new, tried
                break
        else:
            return _Minimum(x, value, members, converged=gain < _GAIN)
    return _Minimum(x, value, members, converged=False)


def _curvature(x: Floats, pairs: _Pairs, truncation: Truncation, slope: Floats | None) -> Floats:
    """The Hessian, by differences of the exact gradient; `slope` is that at x, where it is known."""
    slope = _neg_log_likelihood(x, pairs, truncation)[1] if slope is None else slope
    hessian = np.array([_neg_log_likelihood(x + h, pairs, truncation)[1] - slope for h in np.eye(5) * 1e-5]) / 1e-5
    return (hessian + hessian.T) / 2


def _newton_step(curvature: Floats, slope: Floats, lowest: NDArray[np.bool_], highest: NDArray[np.bool_]) -> Floats:
    """A step downhill, also where the likelihood is flat or bends the wrong way, that crosses no bound it is at."""
    step = np.zeros(5)
    free = ~(lowest & (slope > 0) | highest & (slope < 0))
    while free.any():
        values, vectors = np.linalg.eigh(curvature[np.ix_(free, free)])
        floor = 1e-10 * max(float(np.abs(values).max()), 1.0)
        step[:] = 0
        step[free] = -vectors @ ((vectors.T @ slope[free]) / np.maximum(np.abs(values), floor))
        crossing = lowest & (step < 0) | highest & (step > 0)
        if not crossing.any():
            break
        free &= ~crossing
    else:
        step[:] = 0
    return step


# ---------------------------------------------------------------- quantiles of the posterior


def _log_quantile(q: float, x: Floats, pairs: _Pairs) -> Floats:
    """Logarithm of the q quantile of each pair's posterior.

    For one n it is a smooth function of log E. Where many pairs share few counts it is solved, with its slope, at the
    edges of cells of log E, and cubic Hermite polynomials give it within the cells.
    """
    smooth = pairs.n <= _SMOOTH
    few = pairs.take(smooth)
    place = few.place(_FINE)
    step = np.floor(place)
    lowest = step.min(initial=np.inf)
    edges = int(np.ptp(step)) + 2 if step.size else 0
    code = (few.n * edges + step - lowest).astype(np.int64)
    wanted = np.zeros((_SMOOTH + 1) * edges, dtype=np.int64)
    wanted[code] = wanted[code + 1] = 1
    at = np.flatnonzero(wanted)
    if 2 * len(at) >= len(code):
        return _solved(q, x, pairs)[0]
    found = np.empty_like(pairs.n)
    found[~smooth] = _solved(q, x, pairs.take(~smooth))[0]
    n = (at // edges).astype(np.float64)
    width = _FINE / (n + 1)
    height, slope = _solved(q, x, _Pairs.coded(n, np.exp((at % edges + lowest) * width), np.ones_like(n)))
    slope *= width
    left = (np.cumsum(wanted) - 1)[code]
    u = place - step
    rise, slope1, slope2 = (height[left + 1] - height[left]), slope[left], slope[left + 1]
    found[smooth] = height[left] + u * (
        slope1 + u * (3 * rise - 2 * slope1 - slope2 + u * (slope1 + slope2 - 2 * rise))
    )
    return found


def _solved(q: float, x: Floats, pairs: _Pairs) -> tuple[Floats, Floats]:
    """Logarithm of the q quantile, and its derivative by log E: Newton steps kept within a bracket that shrinks."""
    a1, b1, a2, b2 = np.exp(x[:4])
    first = _membership(x, pairs)
    weights, shapes = np.array([first, 1 - first]), np.array([a1 + pairs.n, a2 + pairs.n])
    rates = np.array([b1 + pairs.expected, b2 + pairs.expected])
    mixture = np.array([weights, shapes, np.log(rates), special.gammaln(shapes)])
    near = _start(q, shapes, rates)
    t = cast("Floats", np.where(first > 0.5, near[0], near[1]))
    low, high = np.full_like(t, -_LOG_RANGE), np.full_like(t, _LOG_RANGE)
    active, upper = np.arange(len(t)), q > 0.5
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        for _ in range(200):
            now, part = t[active], mixture[:, :, active]
            tail = (part[0] * _tail(now, part, upper)).sum(axis=0)
            # In the logarithm of the smaller tail, which is nearly straight where the root is.
            excess = np.log(tail / min(q, 1 - q)) * (-1 if upper else 1)
            low[active] = np.where(excess < 0, now, low[active])
            high[active] = np.where(excess > 0, now, high[active])
            new = now - excess * tail / (part[0] * _density(now, part)).sum(axis=0)
            outside = ~((new >= low[active]) & (new <= high[active]))
            t[active] = np.where(outside, (low[active] + high[active]) / 2, new)
            active = active[np.abs(t[active] - now) > _TOLERANCE]
            if not len(active):
                break
        tails, densities = _tail(t, mixture, upper=False), weights * _density(t, mixture)
        share = pairs.expected / rates
        by_weight = weights[0] * weights[1] * (shapes[1] * share[1] - shapes[0] * share[0]) * (tails[0] - tails[1])
        return t, -(by_weight + (densities * share).sum(axis=0)) / densities.sum(axis=0)


def _start(q: float, shape: Floats, rate: Floats) -> Floats:
    """Logarithm of a gamma's q quantile, roughly (Wilson & Hilferty 1931; for small shapes the power law at 0)."""
    cube = np.maximum(1 - 1 / (9 * shape) + _normal_quantile(q) / (3 * np.sqrt(shape)), 0.1)
    small = (np.log(q) + special.gammaln(shape + 1)) / shape
    return np.clip(np.where(shape < 0.5, small, np.log(shape) + 3 * np.log(cube)) - np.log(rate), -600, 600)


def _tail(t: Floats, mixture: Floats, upper: bool) -> Floats:
    """Probability of each component beyond exp(t), or up to it."""
    _, shape, log_rate, _ = mixture
    return (special.gammaincc if upper else special.gammainc)(shape, np.exp(t + log_rate))


def _density(t: Floats, mixture: Floats) -> Floats:
    """Density of each component's logarithm at t."""
    _, shape, log_rate, log_gamma = mixture
    return np.exp(shape * (t + log_rate) - np.exp(t + log_rate) - log_gamma)
