"""Alerts: which rule holds, what changed, and what happens when it cannot be known."""

import polars as pl
import pytest

from lsdata.errors import ChecksFailed, SchemaMismatch
from lsdata.pharmacovigilance import alerts


def signals(**rows: tuple[float | None, int]) -> pl.DataFrame:
    """EBGM and n by drug, all of one event."""
    return pl.DataFrame(
        {
            "drug": list(rows),
            "event": ["x"] * len(rows),
            "ebgm": [ebgm for ebgm, _ in rows.values()],
            "n": [n for _, n in rows.values()],
            "undefined_reason": [None] * len(rows),
        },
        schema_overrides={"ebgm": pl.Float64, "undefined_reason": pl.String},
    )


def test_alerts_are_new_persisting_or_lost():
    then = signals(stays=(2.5, 9), falls=(3.0, 9), gone=(3.0, 9), rises=(1.0, 9))
    now = signals(stays=(2.6, 10), falls=(2.0, 9), rises=(2.1, 4), appears=(5.0, 4), few=(9.0, 3))
    found = alerts.alerts(now, then)
    assert dict(found.select("drug", "status").iter_rows()) == {
        "appears": "new", "falls": "lost", "gone": "lost", "rises": "new", "stays": "persisting",
    }  # fmt: skip
    assert found.filter(pl.col("drug") == "gone").select("n", "n_previous").row(0) == (None, 9)
    assert found["drug"].is_sorted()
    assert set(alerts.alerts(now)["status"]) == {"new"}
    assert alerts.alerts(then, then).select(pl.col("status").unique()).item() == "persisting"


@pytest.mark.parametrize(
    ("rule", "row", "holds"),
    [
        (alerts.EBGM, {"ebgm": 2.0, "n": 4}, False),
        (alerts.EBGM, {"ebgm": 2.01, "n": 3}, False),
        (alerts.EBGM, {"ebgm": None, "n": 400}, False),
        (alerts.EB05, {"eb05": 2.0}, True),
        (alerts.IC025, {"ic025": 0.0}, False),
        (alerts.IC025, {"ic025": 0.01}, True),
        (alerts.PRR, {"prr": 2.0, "chi2_yates": 4.0, "n": 3}, True),
        (alerts.PRR, {"prr": 2.0, "chi2_yates": 3.9, "n": 3}, False),
    ],
)
def test_a_rule_holds_beyond_its_limits(rule: alerts.Rule, row: dict[str, float | None], holds: bool):
    frame = pl.DataFrame([row], schema=dict.fromkeys(row, pl.Float64))
    assert frame.select(rule.holds()).item() is holds


def test_a_failed_prior_blocks_alerts_that_need_it():
    failed = signals(a=(None, 9)).with_columns(undefined_reason=pl.lit("drug_has_no_other_event,no_prior"))
    for frames in ((failed, None), (signals(a=(3.0, 9)), failed)):
        with pytest.raises(ChecksFailed, match="did not converge"):
            alerts.alerts(*frames)
    assert alerts.alerts(failed.with_columns(ic025=1.0), rule=alerts.IC025).height == 1


def test_a_rule_needs_its_measures():
    with pytest.raises(SchemaMismatch, match="no prr, chi2_yates"):
        alerts.alerts(signals(a=(3.0, 9)), rule=alerts.PRR)


def test_the_reports_behind_an_alert_are_named_once():
    reports = pl.DataFrame({"case_id": [2, 1, 1, 3], "drug": ["a", "a", "a", "b"], "event": ["x"] * 4})
    found = alerts.cases(alerts.alerts(signals(a=(3.0, 9), b=(1.0, 9))), reports)
    assert found.rows() == [("a", "x", 1), ("a", "x", 2)]
