"""Adjusted reporting odds ratios against statsmodels, closed formulas, and a planted confounder."""

import numpy as np
import polars as pl
import pytest

from lsdata.errors import InvalidInput, SchemaMismatch
from lsdata.pharmacovigilance.adjusted_ror import adjusted, logistic


def confounded(reports: int = 6_000, effect: float = 0.0) -> pl.DataFrame:
    """The old take the drug more often, and have the event more often; the drug itself does `effect` (log odds)."""
    draw = np.random.default_rng(4)
    age = draw.uniform(20, 90, reports)
    drug = draw.random(reports) < 1 / (1 + np.exp(-(age - 65) / 8))
    event = draw.random(reports) < 1 / (1 + np.exp(-((age - 75) / 10 + effect * drug)))
    known = draw.random(reports) < 0.9
    return pl.DataFrame(
        {
            "case_id": range(reports),
            "drug": np.where(drug, "drug", "other"),
            "event": np.where(event, "event", "else"),
            "age": [a if k else None for a, k in zip(age, known, strict=True)],
            "sex": draw.choice(["F", "M"], reports),
        }
    )


def test_adjusting_takes_away_what_age_explains():
    row = adjusted(confounded(), [("drug", "event")], ("age", "sex")).row(0, named=True)
    assert row["ror"] > 2.5
    assert row["adjusted_lower"] < 1.35
    assert row["adjusted_ror"] < 0.6 * row["ror"]
    assert (row["method"], row["parameters"], row["undefined_reason"]) == ("maximum_likelihood", 5, None)


def test_without_covariates_it_is_the_crude_ratio():
    row = adjusted(confounded(effect=1.0), [("drug", "event")], (), comedications=0).row(0, named=True)
    assert row["adjusted_ror"] == pytest.approx(row["ror"])


def test_maximum_likelihood_is_that_of_statsmodels():
    import statsmodels.api as sm

    draw = np.random.default_rng(0)
    design = np.column_stack([np.ones(500), draw.normal(size=(500, 3)), draw.random(500) < 0.3])
    outcome = (draw.random(500) < 1 / (1 + np.exp(-design @ [-1, 0.5, 0, -1, 0.8]))).astype(float)
    peer, found = sm.Logit(outcome, design).fit(disp=0), logistic(design, outcome)
    assert found.coefficients == pytest.approx(peer.params, abs=1e-6)
    assert found.errors == pytest.approx(peer.bse, abs=1e-6)


@pytest.mark.parametrize("cells", [(3, 7, 2, 40), (5, 0, 2, 30), (4, 6, 0, 25)])
def test_firths_penalty_adds_half_a_report_to_each_cell_of_a_table(cells: tuple[int, int, int, int]):
    """For a saturated model the penalised estimate is the odds ratio after adding 1/2 (Firth 1993, section 3)."""
    a, b, c, d = cells
    exposed, outcome = np.repeat([1, 1, 0, 0], cells), np.repeat([1.0, 0, 1, 0], cells)
    found = logistic(np.column_stack([np.ones(sum(cells)), exposed]), outcome, firth=True)
    assert np.exp(found.coefficients[1]) == pytest.approx((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)), rel=1e-6)


def test_few_reports_or_an_empty_cell_are_penalised():
    rows = confounded(300).with_columns(
        event=pl.when((pl.col("drug") == "drug") & (pl.col("case_id") % 3 > 0)).then(pl.lit("rare")).otherwise("event")
    )
    row = adjusted(rows, [("drug", "rare")], ("age", "sex")).row(0, named=True)
    assert (row["method"], row["ror"], row["undefined_reason"]) == ("firth", None, None)
    assert 1 < row["adjusted_lower"] < row["adjusted_ror"] < row["adjusted_upper"]


def test_comedication_explains_what_a_companion_drug_does():
    draw = np.random.default_rng(2)
    companion = draw.random(4_000) < 0.3
    drug = draw.random(4_000) < np.where(companion, 0.6, 0.1)
    event = draw.random(4_000) < np.where(companion, 0.5, 0.1)
    rows = [
        (case, name, "event" if event[case] else "else")
        for case in range(4_000)
        for name, taken in (("companion", companion[case]), ("drug", drug[case]), ("base", True))
        if taken
    ]
    reports = pl.DataFrame(rows, schema=["case_id", "drug", "event"], orient="row")
    alone, beside = (adjusted(reports, [("drug", "event")], (), comedications=k).row(0, named=True) for k in (0, 5))
    assert alone["adjusted_ror"] > 2
    assert beside["adjusted_lower"] < 1 < beside["adjusted_upper"]


def test_what_cannot_be_estimated_says_why():
    rows = confounded(300).with_columns(site=pl.col("drug"))
    found = adjusted(rows, [("nothing", "event"), ("drug", "event")], ("site",))
    assert found["undefined_reason"].to_list() == ["no_report_with_or_without", "not_told_apart"]
    assert found["adjusted_ror"].null_count() == 2


def test_bad_reports_are_refused():
    with pytest.raises(SchemaMismatch, match="no column indication"):
        adjusted(confounded(50), [("drug", "event")])
    with pytest.raises(InvalidInput, match="1 reports with more than one value"):
        adjusted(confounded(50).with_columns(case_id=pl.max_horizontal("case_id", 1)), [("drug", "event")], ("age",))
