"""The prior and posterior of the gamma-Poisson shrinker against openEBGM's published values and the model itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from lsdata.errors import InvalidInput
from lsdata.pharmacovigilance import ebgm

# Estimates on CAERS, and what they make of the first pairs and the strongest signals (openEBGM, vignette 4 and tests).
CAERS = (3.25280367, 0.39983376, 2.02490400, 1.90726819, 0.06536416)
SCORES = (
    (1, 0.0360548272, 2.23, 0.49, 13.85),
    (1, 0.0038736591, 2.58, 0.52, 15.78),
    (1, 0.0002979738, 2.63, 0.52, 16.02),
    (1, 0.0765792610, 1.92, 0.47, 11.77),
    (1, 0.0527413588, 2.09, 0.48, 12.95),
    (16, 0.40643623, 23.26, 15.68, 33.48),
    (19, 0.89690107, 16.78, 11.65, 23.55),
    (6, 0.07866508, 18.28, 10.16, 30.83),
    (8, 0.30482718, 15.25, 9.00, 24.52),
    (11, 0.56317044, 14.28, 8.98, 21.78),
)
THETAS = st.tuples(
    *[st.floats(0.05, 20), st.floats(0.05, 20)] * 2, st.floats(0.02, 0.98)
)  # fmt: skip


def drawn(theta: tuple[float, ...], pairs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of at least 1 that the model makes, and their expected counts."""
    draw = np.random.default_rng(seed)
    a1, b1, a2, b2, p = theta
    expected = np.exp(draw.normal(-2, 2, pairs))
    first = draw.random(pairs) < p
    true = np.where(first, draw.gamma(a1, 1 / b1, pairs), draw.gamma(a2, 1 / b2, pairs))
    n = draw.poisson(true * expected)
    return n[n > 0], expected[n > 0]


def truncated_mixture(theta, n, expected, truncation: str) -> float:
    """The negative log-likelihood, written with scipy's distributions."""
    a1, b1, a2, b2, p = theta
    parts = [stats.nbinom(a, b / (b + expected)) for a, b in ((a1, b1), (a2, b2))]
    (f1, f2), (z1, z2) = [part.pmf(n) for part in parts], [part.pmf(0) for part in parts]
    if truncation == "component":
        f1, f2 = f1 / (1 - z1), f2 / (1 - z2)
    mixture = p * f1 + (1 - p) * f2
    if truncation == "mixture":
        mixture /= 1 - p * z1 - (1 - p) * z2
    return float(-np.log(mixture).sum())


def test_scores_are_those_openebgm_publishes_for_caers():
    n, expected, *published = np.array(SCORES).T
    for found, score in zip(ebgm.posterior(n, expected, CAERS), published, strict=True):
        assert found == pytest.approx(score, abs=0.0101)  # printed to two digits, from an estimate of four


@settings(deadline=None, max_examples=40)
@given(THETAS, st.sampled_from(["component", "mixture", "none"]))
def test_likelihood_is_the_negative_binomial_mixture(theta: tuple[float, ...], truncation: ebgm.Truncation):
    n, expected = np.array([1, 1, 2, 3, 7, 30]), np.array([0.01, 2.0, 0.3, 5.0, 1.0, 20.0])
    assert ebgm.neg_log_likelihood(theta, n, expected, truncation=truncation) == pytest.approx(
        truncated_mixture(theta, n, expected, truncation), rel=1e-8
    )


@settings(deadline=None, max_examples=40)
@given(THETAS, st.sampled_from(["component", "mixture", "none"]))
def test_gradient_is_that_of_the_likelihood(theta: tuple[float, ...], truncation: ebgm.Truncation):
    pairs = ebgm._Pairs.of([1, 1, 2, 3, 7, 30], [0.01, 2.0, 0.3, 5.0, 1.0, 20.0], [1, 2, 1, 1, 3, 1])
    x = ebgm._unbounded(theta)
    gradient = ebgm._neg_log_likelihood(x, pairs, truncation)[1]
    numeric = optimize.approx_fprime(x, lambda x: ebgm._neg_log_likelihood(x, pairs, truncation)[0], 1e-6)
    assert gradient == pytest.approx(numeric, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("truncation", ["component", "mixture"])
def test_no_other_search_finds_a_better_prior(truncation: ebgm.Truncation):
    n, expected = drawn((3.25, 0.4, 2.0, 1.9, 0.065), 8_000)
    found = ebgm.fit(n, expected, truncation=truncation)

    def objective(x: np.ndarray) -> float:
        return truncated_mixture((*np.exp(x[:4]), 1 / (1 + np.exp(-x[4]))), n, expected, truncation)

    for start in ebgm.STARTS[:2]:
        other = optimize.minimize(objective, ebgm._unbounded(start), method="L-BFGS-B", bounds=[(-4, 4)] * 5)
        assert found.neg_log_likelihood <= other.fun + 1e-6
    assert found.converged
    assert not found.at_boundary
    assert found.beta1 < found.beta2


def test_mixture_truncation_recovers_the_prior_that_made_the_counts():
    truth = (2.0, 0.3, 4.0, 4.5, 0.1)
    found = ebgm.fit(*drawn(truth, 200_000), truncation="mixture")
    assert found.theta == pytest.approx(truth, rel=0.15)


@pytest.mark.parametrize("truncation", ["component", "mixture"])
def test_squashing_does_not_change_the_fit(truncation: ebgm.Truncation):
    n, expected = drawn((3.25, 0.4, 2.0, 1.9, 0.065), 40_000)
    squashed = ebgm.fit(n, expected, truncation=truncation)
    whole = ebgm.fit(n, expected, truncation=truncation, squash=False)
    assert squashed.theta == pytest.approx(whole.theta, rel=1e-4)
    assert squashed.neg_log_likelihood == pytest.approx(whole.neg_log_likelihood, abs=1e-6)
    pairs = ebgm._Pairs.of(n, expected, None)
    points = pairs.squashed(0.1)
    assert len(points.n) < len(n) / 2
    for moment in range(3):
        assert points.weights @ points.expected**moment == pytest.approx(np.sum(expected**moment))


def test_weights_stand_for_repeated_pairs():
    n, expected = drawn((3.25, 0.4, 2.0, 1.9, 0.065), 2_000)
    weights = np.arange(len(n)) % 3 + 1.0
    one = ebgm.fit(n, expected, weights=weights)
    other = ebgm.fit(np.repeat(n, weights.astype(int)), np.repeat(expected, weights.astype(int)))
    assert one.neg_log_likelihood == pytest.approx(other.neg_log_likelihood, abs=1e-6)
    assert one.n_pairs == other.n_pairs == weights.sum()


def test_counts_without_signals_end_at_the_boundary():
    draw = np.random.default_rng(1)
    expected = np.exp(draw.normal(-1, 1.5, 20_000))
    n = draw.poisson(expected)
    found = ebgm.fit(n[n > 0], expected[n > 0])
    assert (found.converged, found.at_boundary) == (True, True)
    mean, _, _ = ebgm.posterior([20], [20.0], found.theta)
    assert mean[0] == pytest.approx(1, abs=0.05)


def test_zero_counts_are_fitted_without_truncation():
    draw = np.random.default_rng(1)
    expected = np.exp(draw.normal(-1, 1.5, 5_000))
    n = draw.poisson(expected * draw.gamma(2, 0.5, 5_000))
    found = ebgm.fit(n, expected)
    assert found.truncation == "none"
    assert found.neg_log_likelihood == pytest.approx(truncated_mixture(found.theta, n, expected, "none"))
    with pytest.raises(InvalidInput, match="zero counts"):
        ebgm.fit(n, expected, truncation="mixture")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 2_000), st.floats(1e-6, 1e3)), min_size=1, max_size=20),
    THETAS,
)
def test_quantiles_are_roots_of_the_posterior(pairs: list[tuple[int, float]], theta: tuple[float, ...]):
    n, expected = (np.array(column) for column in zip(*pairs, strict=True))
    a1, b1, a2, b2, p = theta
    logs = [stats.nbinom.logpmf(n, a, b / (b + expected)) for a, b in ((a1, b1), (a2, b2))]
    first = 1 / (1 + (1 - p) / p * np.exp(np.clip(logs[1] - logs[0], -700, 700)))
    _, low, high = ebgm.posterior(n, expected, theta)
    for q, at in ((0.05, low), (0.95, high)):
        below = first * stats.gamma.cdf(at, a1 + n, scale=1 / (b1 + expected))
        below += (1 - first) * stats.gamma.cdf(at, a2 + n, scale=1 / (b2 + expected))
        assert below == pytest.approx(np.full(len(n), q), abs=1e-6)


def test_interpolated_quantiles_agree_with_those_solved_one_by_one():
    n, expected = drawn((0.8, 0.1, 2.0, 1.9, 0.2), 100_000)
    many = ebgm.posterior(n, expected, CAERS)
    some = slice(0, 300)  # too few to interpolate
    for one, all_ in zip(ebgm.posterior(n[some], expected[some], CAERS), many, strict=True):
        assert one == pytest.approx(all_[some], rel=1e-6)


def test_posterior_at_the_boundary_of_the_prior_has_values():
    theta = (1e-8, 0.02, 0.75, 0.87, 1 - 1e-6)
    for found in ebgm.posterior([0, 1, 5, 1000], [1e-5, 1e-5, 2.0, 3.0], theta):
        assert np.isfinite(found).all()
    for p in (0.0, 1.0):
        _, low, high = ebgm.posterior([3], [2.0], (2, 2, 3, 1, p))
        shape, rate = (2 + 3, 2 + 2) if p else (3 + 3, 1 + 2)
        assert (low[0], high[0]) == pytest.approx(tuple(stats.gamma.ppf([0.05, 0.95], shape, scale=1 / rate)), rel=1e-8)


@pytest.mark.parametrize(
    ("n", "expected", "weights", "said"),
    [
        ([1, -1, 1.5], [1, 1, 1], None, "2 counts"),
        ([1, 1], [0, np.nan], None, "2 expected"),
        ([1, np.inf], [1, -1], [1, -1], "1 counts, 1 expected counts, 1 weights"),
        ([1, 2], [1], None, "shapes"),
    ],
)
def test_impossible_counts_are_refused(n: list[float], expected: list[float], weights: list[float] | None, said: str):
    with pytest.raises(InvalidInput, match=said):
        ebgm.fit(n, expected, weights=weights)


@pytest.mark.parametrize("theta", [(1, 1, 1, 1), (1, 1, 1, 0, 0.5), (1, 1, 1, 1, 1.5), (1, np.nan, 1, 1, 0.5)])
def test_a_theta_that_is_no_prior_is_refused(theta: tuple[float, ...]):
    with pytest.raises(InvalidInput, match="no prior"):
        ebgm.posterior([1], [1.0], theta)
