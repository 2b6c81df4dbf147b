"""Weibull fits of times to onset against scipy's likelihood, and the rule for several onsets."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from lsdata.errors import InvalidInput, SchemaMismatch
from lsdata.pharmacovigilance import time_to_onset


@settings(deadline=None, max_examples=25)
@given(st.floats(0.4, 4), st.floats(1, 500), st.integers(0, 1000))
def test_estimates_are_scipys_and_intervals_come_from_the_curvature(shape: float, scale: float, seed: int):
    days = np.random.default_rng(seed).weibull(shape, 60) * scale + 1e-3
    found = time_to_onset.fit(days)

    def value(x: np.ndarray) -> float:
        return -stats.weibull_min.logpdf(days, np.exp(x[0]), scale=np.exp(x[1])).sum()

    at = np.log([found.shape, found.scale_days])
    assert optimize.approx_fprime(at, value, 1e-6) == pytest.approx([0, 0], abs=1e-2)
    hessian = np.array([
        (optimize.approx_fprime(at + h, value, 1e-5) - optimize.approx_fprime(at - h, value, 1e-5)) / 2e-3
        for h in np.eye(2) * 1e-3
    ])  # fmt: skip
    errors = 1.959964 * np.sqrt(np.diag(np.linalg.inv(hessian)))
    assert np.log([found.shape_upper, found.scale_days_upper]) - at == pytest.approx(errors, rel=1e-2)
    assert at - np.log([found.shape_lower, found.scale_days_lower]) == pytest.approx(errors, rel=1e-2)


@pytest.mark.parametrize(("shape", "pattern"), [(0.5, "early"), (1.0, "random"), (2.0, "wear_out")])
def test_the_shape_says_how_the_hazard_goes(shape: float, pattern: str):
    days = stats.weibull_min.ppf((np.arange(400) + 0.5) / 400, shape, scale=30)
    found = time_to_onset.fit(days)
    assert found.pattern == pattern
    assert found.shape == pytest.approx(shape, rel=0.02)
    assert found.median_days == pytest.approx(30 * np.log(2) ** (1 / shape), rel=0.01)


def test_the_unit_of_time_changes_the_scale_alone():
    days = np.array([1.0, 3, 4, 10, 40, 41])
    one, other = time_to_onset.fit(days), time_to_onset.fit(days * 24)
    assert other.scale_days == pytest.approx(24 * one.scale_days)
    assert (other.shape, other.shape_lower) == pytest.approx((one.shape, one.shape_lower))


def test_same_day_counts_half_a_day():
    assert time_to_onset.fit([0, 3, 9]).shape == time_to_onset.fit([0.5, 3, 9]).shape


def test_too_few_onsets_have_no_shape_and_say_so():
    for days in ([], [5], [7, 7, 7]):
        found = time_to_onset.fit(days)
        assert (found.pattern, found.undefined_reason) == (None, "fewer_than_two_distinct_onsets")
        assert np.isnan(found.shape)


def test_impossible_days_are_refused():
    with pytest.raises(InvalidInput, match="2 impossible of 3"):
        time_to_onset.fit([1, -2, np.nan])


def test_the_first_onset_after_the_first_start_before_it_counts():
    def day(number: int | None) -> date | None:
        return None if number is None else date(2020, 1, number)

    rows = [
        (1, day(5), day(9)), (1, day(2), day(9)), (1, day(10), day(12)),
        (2, day(10), day(9)),
        (3, None, day(9)),
        (4, day(1), None),
        (5, day(9), day(9)),
    ]  # fmt: skip
    therapies = pl.DataFrame(rows, schema=["case_id", "start_date", "event_date"], orient="row").with_columns(
        drug=pl.lit("a"), event=pl.lit("x")
    )
    valid, invalid = time_to_onset.onsets(therapies)
    assert dict(valid.select("case_id", "days").iter_rows()) == {1: 7, 5: 0}
    assert dict(invalid.select("case_id", "reason").iter_rows()) == {
        2: "starts_after_event", 3: "no_start_date", 4: "no_event_date",
    }  # fmt: skip
    table = time_to_onset.by_pair(valid)
    assert table.select("drug", "event", "n", "undefined_reason").row(0) == ("a", "x", 2, None)
    assert time_to_onset.by_pair(valid.clear()).columns == table.columns
    with pytest.raises(SchemaMismatch, match="start_date is String"):
        time_to_onset.onsets(therapies.with_columns(pl.col("start_date").cast(pl.String)))
