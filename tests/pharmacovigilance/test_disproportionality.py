"""Measures of drug-event pairs against closed formulas, published tables and a real quarter of FAERS."""

import os
from itertools import product
from math import log, sqrt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lsdata.errors import InvalidInput, SchemaMismatch, SettingError
from lsdata.pharmacovigilance import counts, disproportionality, ebgm

REPO = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LSDATA_TEST_DATA", REPO / "../shared/data")) / "pv"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real reports are not here: set LSDATA_TEST_DATA")
MEASURES = [
    "n", "n_drug", "n_event", "n_total", "expected", "rr", "prr", "prr_lower", "prr_upper", "chi2", "chi2_yates", "ror",
    "ror_lower", "ror_upper", "ic", "ic025", "ic975", "ebgm", "eb05", "eb95",
]  # fmt: skip
Z = stats.norm.ppf(0.975)

# openEBGM's own example for its counts (tests/testthat/testA_Counts.R): ten reports of one drug and event each.
DRUGS, EVENTS = "ABBBCAABBC", "1223323331"
SEX, AGE = "MMMMMFFFMM", "1111111122"
EXAMPLE = pl.DataFrame(
    {"case_id": range(10), "drug": list(DRUGS), "event": list(EVENTS), "sex": list(SEX), "age_group": list(AGE)}
)


def reports_of(table: dict[tuple[str, str], int]) -> pl.DataFrame:
    """One report per count of a table."""
    rows = [pair for pair, n in table.items() for _ in range(n)]
    return pl.DataFrame(
        {"case_id": range(len(rows)), "drug": [d for d, _ in rows], "event": [e for _, e in rows]},
        schema={"case_id": pl.Int64, "drug": pl.String, "event": pl.String},
    )


def pair(frame: pl.DataFrame, drug: str, event: str) -> dict[str, float]:
    """One row of the measures."""
    return frame.row(by_predicate=(pl.col("drug") == drug) & (pl.col("event") == event), named=True)


def test_rifabutin_and_uveitis_are_as_evans_published_them():
    """41 of 55 reports of rifabutin, 754 of 592,712 others (Evans et al. 2001, table 2)."""
    ratio = disproportionality.prr([41], [14], [754], [591_958])
    chi2, _ = disproportionality.chi_squared([41], [14], [754], [591_958])
    assert ratio.estimate[0] == pytest.approx(586, abs=0.5)
    assert chi2[0] == pytest.approx(22_740, abs=1)


def test_expected_counts_are_those_openebgm_calculates_by_hand():
    plain, _ = disproportionality.signals(EXAMPLE, definitions="openEBGM")
    assert plain["expected"].to_list() == pytest.approx([0.6, 0.9, 1.5, 1.5, 2.5, 0.4, 1])
    assert plain["prr"].to_list() == pytest.approx([7 / 3, 7 / 6, 7 / 12, 2, 1.5, 4, 1])
    strata, _ = disproportionality.signals(EXAMPLE, strata=("sex", "age_group"), definitions="openEBGM")
    assert strata["expected"].to_list() == pytest.approx(
        [0.2, 0.4 + 2 / 3, 0.4 + 4 / 3, 1.2 + 1 / 3, 1.7 + 2 / 3, 0.7, 0.9]
    )
    assert strata["prr"].equals(plain["prr"])


@pytest.mark.parametrize("cells", [(5, 10, 20, 1000), (1, 3, 2, 50), (200, 31, 77, 41)])
def test_measures_equal_their_closed_formulas(cells: tuple[int, int, int, int]):
    a, b, c, d = cells
    table = {("x", "y"): a, ("x", "-"): b, ("-", "y"): c, ("-", "-"): d}
    found = pair(disproportionality.signals(reports_of(table))[0], "x", "y")
    total = sum(cells)
    expected = (a + b) * (a + c) / total
    assert [found[name] for name in MEASURES[:6]] == [
        a,
        a + b,
        a + c,
        total,
        pytest.approx(expected),
        pytest.approx(a / expected),
    ]
    for name, ratio, error in (
        ("prr", a / (a + b) / (c / (c + d)), sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))),
        ("ror", a * d / (b * c), sqrt(1 / a + 1 / b + 1 / c + 1 / d)),
    ):
        limits = [ratio, ratio * np.exp(-Z * error), ratio * np.exp(Z * error)]
        assert [found[name], found[f"{name}_lower"], found[f"{name}_upper"]] == pytest.approx(limits, rel=1e-9)
    for name, correction in (("chi2", False), ("chi2_yates", True)):
        published = stats.chi2_contingency([[a, b], [c, d]], correction=correction).statistic
        assert found[name] == pytest.approx(published, rel=1e-9)
    ic = log((a + 0.5) / (expected + 0.5), 2)
    limits = np.log2(stats.gamma.ppf([0.025, 0.975], a + 0.5, scale=1 / (expected + 0.5)))
    assert [found["ic"], found["ic025"], found["ic975"]] == pytest.approx([ic, *limits], rel=1e-9)


def test_normal_interval_of_the_ic_nears_that_of_the_gamma_where_counts_are_high():
    exact = disproportionality.information_component([1e5], [9e4])
    normal = disproportionality.information_component([1e5], [9e4], "normal")
    assert np.ravel(normal) == pytest.approx(np.ravel(exact), abs=1e-4)
    few = disproportionality.information_component([1], [0.1], "normal")
    assert few.lower[0] == pytest.approx(log(1.5 / 0.6, 2) - Z / log(2) / sqrt(1.5))


def test_what_has_no_value_is_null_and_says_why():
    table = {("only", "only"): 3, ("a", "x"): 2, ("a", "y"): 1, ("b", "x"): 4}
    found, _ = disproportionality.signals(reports_of(table))
    only, lone_event, lone_drug = (pair(found, *key) for key in (("only", "only"), ("a", "y"), ("b", "x")))
    assert only["prr"] is only["ror"] is only["ror_upper"] is None
    assert only["chi2"] is not None
    assert only["undefined_reason"] == "drug_has_no_other_event,event_has_no_other_drug"
    assert (lone_event["prr"], lone_event["undefined_reason"]) == (None, "event_has_no_other_drug")
    assert lone_drug["prr"] is not None
    assert (lone_drug["ror"], lone_drug["undefined_reason"]) == (None, "drug_has_no_other_event")
    assert pair(found, "a", "x")["undefined_reason"] is None
    numbers = found.select(MEASURES).unpivot()["value"].drop_nulls()
    assert numbers.is_finite().all()
    assert found.select(((pl.col("prr") == 0) | (pl.col("ror") == 0)).any()).row(0) == (False,)


def test_a_table_of_one_pair_and_an_empty_one_have_no_ratios():
    one, _ = disproportionality.signals(reports_of({("a", "x"): 3}))
    assert one.select("prr", "ror", "chi2", "rr").row(0) == (None, None, None, 1.0)
    none, fit = disproportionality.signals(reports_of({}))
    assert none.columns == ["drug", "event", *MEASURES, "undefined_reason"]
    assert (none.height, fit.converged, fit.n_pairs) == (0, False, 0)


@pytest.mark.parametrize("definitions", disproportionality.DEFINITIONS)
def test_margins_and_likelihood_are_those_of_the_package(definitions: str):
    """Ten reports, one of them with two drugs and two events: it is one report, and four pairs."""
    more = pl.DataFrame({"case_id": [0, 0, 0], "drug": ["A", "B", "B"], "event": ["2", "1", "2"]})
    found, fit = disproportionality.signals(pl.concat([EXAMPLE.select(more.columns), more]), definitions=definitions)
    row = pair(found, "A", "1")
    summed = definitions in ("PhViD", "vigipy")
    assert (row["n_drug"], row["n_event"], row["n_total"]) == ((4, 3, 13) if summed else (3, 2, 10))
    assert fit.truncation == ("mixture" if definitions in ("lsdata", "vigipy") else "component")
    again = ebgm.neg_log_likelihood(fit.theta, found["n"], found["expected"], truncation=fit.truncation)
    assert fit.neg_log_likelihood == pytest.approx(again)


def test_zero_cells_of_like_margins_are_fitted_as_if_each_were_there():
    table = {("a", "x"): 9, ("a", "y"): 1, ("b", "y"): 4, ("c", "z"): 2, ("d", "z"): 2, ("d", "x"): 1}
    found, fit = disproportionality.signals(
        reports_of(table), definitions=disproportionality.Definitions("pairs", "none", zero_cells=True)
    )
    drugs = {name: sum(n for (d, _), n in table.items() if d == name) for name in "abcd"}
    events = {name: sum(n for (_, e), n in table.items() if e == name) for name in "xyz"}
    cells = [(table.get((d, e), 0), drugs[d] * events[e] / 19) for d, e in product("abcd", "xyz")]
    whole = ebgm.fit(*zip(*cells, strict=True))
    assert (fit.n_pairs, whole.n_pairs, found.height) == (12, 12, 6)
    assert fit.neg_log_likelihood == pytest.approx(whole.neg_log_likelihood, abs=1e-6)


ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from("abcd"), st.sampled_from("wxyz")), min_size=1, max_size=60
)


@settings(deadline=None, max_examples=15)
@given(ROWS, st.randoms(use_true_random=False), st.booleans())
def test_order_repetition_and_names_of_cases_change_nothing(rows: list[tuple[int, str, str]], draw, text: bool):
    def frame(rows: list[tuple[int, str, str]]) -> pl.DataFrame:
        made = pl.DataFrame(rows, schema=["case_id", "drug", "event"], orient="row")
        # A stratum of the report, by its number.
        return made.with_columns(stratum=pl.when(pl.col("case_id") % 3 > 0).then(pl.col("case_id") % 3))

    plain = frame(rows)
    other = frame(draw.sample([*rows, *draw.choices(rows, k=5)], len(rows) + 5))
    other = other.with_columns(case_id=(1_000_000_007 * (13 - pl.col("case_id"))))
    if text:
        other = other.with_columns(pl.col("case_id").cast(pl.String), pl.col("drug").cast(pl.Categorical)).with_columns(
            pl.col("drug").cast(pl.Enum(["d", "c", "b", "a"]))
        )
    for strata in ((), ("stratum",)):
        one, fit = disproportionality.signals(plain, strata)
        two, again = disproportionality.signals(other.lazy(), strata)
        assert one.equals(two.with_columns(pl.col("drug").cast(pl.String)))
        assert fit == again or not fit.converged


@settings(deadline=None)
@given(ROWS)
def test_counts_are_those_of_a_plain_count(rows: list[tuple[int, str, str]]):
    frame = pl.DataFrame(rows, schema=["case_id", "drug", "event"], orient="row")
    found = counts.count(frame).frame()
    triples = set(rows)
    for drug, event, n, n_drug, n_event, n_total, _ in found.iter_rows():
        assert n == len({c for c, d, e in triples if (d, e) == (drug, event)})
        assert n_drug == len({c for c, d, _ in triples if d == drug})
        assert n_event == len({c for c, _, e in triples if e == event})
        assert n_total == len({c for c, _, _ in triples})
    assert set(zip(found["drug"], found["event"], strict=True)) == {(d, e) for _, d, e in triples}


def test_null_is_a_stratum_of_its_own():
    rows = EXAMPLE.with_columns(sex=pl.when(pl.col("sex") == "M").then(pl.lit("M")))
    found, _ = disproportionality.signals(rows, ("sex",))
    named, _ = disproportionality.signals(EXAMPLE, ("sex",))
    assert found["expected"].equals(named["expected"])


def test_bad_reports_are_refused_and_every_fault_is_named():
    with pytest.raises(SchemaMismatch, match="no column event, sex"):
        disproportionality.signals(EXAMPLE.select("case_id", "drug"), ("sex",))
    empty = EXAMPLE.with_columns(
        drug=pl.when(pl.col("case_id") > 7).then(None).otherwise("drug"),
        event=pl.when(pl.col("case_id") > 6).then(None).otherwise("event"),
    )
    with pytest.raises(InvalidInput, match="2 rows without drug, 3 rows without event"):
        disproportionality.signals(empty)
    with pytest.raises(InvalidInput, match="1 reports in more than one stratum of sex"):
        disproportionality.signals(EXAMPLE.with_columns(case_id=pl.lit(1)), ("sex",))
    with pytest.raises(SettingError, match="openEBGM"):
        disproportionality.signals(EXAMPLE, definitions="openebgm")
    with pytest.raises(SettingError, match="strata"):
        disproportionality.signals(EXAMPLE, ("sex",), disproportionality.Definitions("pairs", "none", zero_cells=True))


@real_data
def test_statins_have_the_reporting_odds_ratios_of_their_published_table():
    """The counts of the 47 events for six statins and all other drugs (pvLRT, statin46)."""
    table = pl.read_csv(DATA / "statin46_2014q3_2020q4.csv").unpivot(index="AE", variable_name="drug", value_name="n")
    pairs = table.rename({"AE": "event"}).filter(pl.col("n") > 0).with_columns(
        n_drug=pl.col("n").sum().over("drug"), n_event=pl.col("n").sum().over("event"), n_total=pl.col("n").sum()
    )  # fmt: skip
    pairs = pairs.with_columns(expected=pl.col("n_drug") * pl.col("n_event") / pl.col("n_total"))
    fit = ebgm.fit(pairs["n"], pairs["expected"])
    found = disproportionality.measures(pairs, fit)
    for row in found.filter(pl.col("event").is_in(["Rhabdomyolysis", "Acute Kidney Injury"])).iter_rows(named=True):
        a, b, c = row["n"], row["n_drug"] - row["n"], row["n_event"] - row["n"]
        odds = stats.contingency.odds_ratio([[a, b], [c, row["n_total"] - a - b - c]], kind="sample")
        interval = odds.confidence_interval(0.95)
        assert (row["ror"], row["ror_lower"], row["ror_upper"]) == pytest.approx((odds.statistic, *interval), rel=1e-9)
    assert fit.converged
    assert pair(found, "Simvastatin", "Rhabdomyolysis")["eb05"] > 2


@real_data
def test_a_real_quarter_is_fitted_to_its_boundary_and_its_interpolated_quantiles_are_exact():
    reports = pl.read_csv(DATA / "faers_2022q3_ps_cases_A.csv.gz", new_columns=["case_id", "drug", "event"])
    found, fit = disproportionality.signals(reports, definitions="openEBGM")
    assert (fit.converged, fit.at_boundary, fit.n_pairs) == (True, True, found.height)
    n, expected = found["n"].to_numpy(), found["expected"].to_numpy()
    # Where scipy's L-BFGS-B ended from ten starts.
    best = (1e-8, 2.04060929e-02, 7.96260059e-01, 9.13545778e-01, 0.11456902)
    assert fit.neg_log_likelihood <= ebgm.neg_log_likelihood(best, n, expected) + 1e-6
    for column, q in (("eb05", 0.05), ("eb95", 0.95)):
        at = found[column].to_numpy()
        first = 1 / (
            1 + (1 - fit.p) / fit.p * np.exp(_log_count(n, expected, fit, 2) - _log_count(n, expected, fit, 1))
        )
        below = first * stats.gamma.cdf(at, fit.alpha1 + n, scale=1 / (fit.beta1 + expected))
        below += (1 - first) * stats.gamma.cdf(at, fit.alpha2 + n, scale=1 / (fit.beta2 + expected))
        assert np.abs(below - q).max() < 1e-6


def _log_count(n: np.ndarray, expected: np.ndarray, fit: ebgm.Fit, component: int) -> np.ndarray:
    alpha, beta = (fit.alpha1, fit.beta1) if component == 1 else (fit.alpha2, fit.beta2)
    return stats.nbinom.logpmf(n, alpha, beta / (beta + expected))
