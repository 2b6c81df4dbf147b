"""Re-identification risk: published tables, a peer's figures, and what suppression promises."""

from collections import Counter
from datetime import date
from itertools import pairwise
from math import exp, log
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lsdata.catalog.genomics import SUBJECTS
from lsdata.catalog.twin import twin
from lsdata.deid.risk import K, Thresholds, generalise, levels, risk, search, suppress
from lsdata.derived import arrow
from lsdata.derived.expectations import validate
from lsdata.errors import InvalidInput

LI = pl.DataFrame(
    {
        "zip": ["476**"] * 3 + ["4790*"] * 3 + ["476**"] * 3,
        "age": ["2*"] * 3 + [">=40"] * 3 + ["3*"] * 3,
        "salary": [3, 4, 5, 6, 11, 8, 7, 9, 10],
        "disease": ["gastric ulcer", "gastritis", "stomach cancer", "gastritis", "flu", "bronchitis",
                    "bronchitis", "pneumonia", "stomach cancer"],
    }
)  # fmt: skip
"""Li, Li, Venkatasubramanian 2007, table 3: salaries in thousands, three classes of three."""

SWEENEY = pl.DataFrame(
    {
        "race": ["Black"] * 4 + ["White"] * 7,
        "birth": ["1965", "1965", "1964", "1964", "1964", "1964", "1964", "1967", "1967", "1967", "1967"],
        "gender": ["m", "m", "f", "f", "m", "m", "m", "m", "m", "f", "f"],
        "zip": ["0214*", "0214*", "0213*", "0213*", "0213*", "0213*", "0213*", "0213*", "0213*", "0213*", "0213*"],
        "problem": ["short breath", "chest pain", "hypertension", "hypertension", "obesity", "chest pain",
                    "short breath", "obesity", "chest pain", "short breath", "chest pain"],
    }
)  # fmt: skip


def values(report: Any) -> dict[tuple[str, str], float]:
    return {(r["measure"], r["column"]): r["value"] for r in report.measures.to_dicts()}


def test_t_of_the_paper_is_reproduced() -> None:
    """Li et al. 2007, example after definition of the ordered distance: D[P1, Q] = 0.375, D[P2, Q] = 0.167."""
    assert values(risk(LI, ["zip", "age"], ["salary"]))["t", "salary"] == pytest.approx(0.375)
    second = LI.with_columns(age=pl.when(pl.col("age") == "2*").then(pl.lit("3*")).otherwise("age"))
    # With the first class merged into the third, the second, {6k, 8k, 11k}, is the farthest.
    assert values(risk(second, ["zip", "age"], ["salary"]))["t", "salary"] == pytest.approx(1 / 6)


def test_k_of_the_table_of_sweeney_is_two() -> None:
    """Sweeney 2002, figure 2: "a table that adheres to k-anonymity where k = 2"."""
    found = values(risk(SWEENEY, ["race", "birth", "gender", "zip"], ["problem"]))
    assert found["k", ""] == 2
    assert found["prosecutor", ""] == 0.5
    assert found["l", "problem"] == 1  # two women share hypertension: the homogeneity attack


def test_figures_of_pycanon_are_reproduced() -> None:
    """pyCANON 1.0.5 on the same table: k 100; l 7 and 10; entropy l 6 and 9 (it rounds down); t .21 and .010556."""
    n = range(600)
    frame = pl.DataFrame(
        {
            "age": [20 + 10 * (i % 3) for i in n], "sex": ["FM"[i // 3 % 2] for i in n],
            "diagnosis": [f"d{(i * i + i // 9) % 7}" for i in n], "cost": [(i * 37 + i * i // 5) % 11 for i in n],
        }
    )  # fmt: skip
    found = values(risk(frame, ["age", "sex"], ["diagnosis", "cost"]))
    assert found["k", ""] == 100
    assert (found["l", "diagnosis"], found["l", "cost"]) == (7, 10)
    assert (int(found["l_entropy", "diagnosis"]), int(found["l_entropy", "cost"])) == (6, 9)
    assert found["t", "diagnosis"] == pytest.approx(0.21)
    assert found["t", "cost"] == pytest.approx(0.010555555555555552)


def test_journalist_and_marketer_risk_are_of_the_population() -> None:
    """By hand from the formulas of El Emam: f = (2, 1), F = (10, 4)."""
    sample = pl.DataFrame({"sex": ["F", "F", "M"]})
    population = pl.DataFrame({"sex": ["F"] * 10 + ["M"] * 4 + ["X"] * 50})
    found = values(risk(sample, ["sex"], population=population))
    assert found["prosecutor", ""] == 1
    assert found["prosecutor_average", ""] == pytest.approx(2 / 3)
    assert found["journalist", ""] == pytest.approx(1 / 4)
    assert found["journalist_average", ""] == pytest.approx(max(2 / 14, (2 / 10 + 1 / 4) / 3))
    assert found["marketer", ""] == pytest.approx((2 / 10 + 1 / 4) / 3)


def test_without_a_population_the_journalist_is_as_certain_as_the_prosecutor() -> None:
    found = values(risk(SWEENEY, ["race", "gender"]))
    assert found["journalist", ""] == found["prosecutor", ""]
    assert found["marketer", ""] == pytest.approx(found["prosecutor_average", ""])


# ---------------------------------------------------------------- against definitions, spelt out

TABLES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2, None]), st.sampled_from([0, 1, 2, 5, 9, None])),
    min_size=1, max_size=40,
)  # fmt: skip


def distances(rows: list[tuple[Any, ...]], *, ordered: bool) -> float:
    """The largest earth mover's distance, by its definition."""
    whole = Counter(r[2] for r in rows)
    domain = sorted(whole, key=lambda v: (v is not None, v))
    worst = 0.0
    for group in {r[:2] for r in rows}:
        mine = Counter(r[2] for r in rows if r[:2] == group)
        gaps = [mine[v] / mine.total() - whole[v] / whole.total() for v in domain]
        if not ordered:
            worst = max(worst, sum(map(abs, gaps)) / 2)
        elif len(domain) > 1:
            cumulated = [sum(gaps[: i + 1]) for i in range(len(gaps))]
            worst = max(worst, sum(map(abs, cumulated)) / (len(domain) - 1))
    return worst


@given(TABLES)
@hypothesis_settings(deadline=None)
def test_measures_are_what_their_definitions_say(rows: list[tuple[Any, ...]]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.Int64, "s": pl.Int64}, orient="row")
    frame = frame.with_columns(text=pl.col("s").cast(pl.String))
    found = values(risk(frame, ["a", "b"], ["s", "text"]))
    classes = Counter(r[:2] for r in rows)
    assert found["k", ""] == min(classes.values())
    assert found["prosecutor_average", ""] == pytest.approx(len(classes) / len(rows))
    by_class = [Counter(r[2] for r in rows if r[:2] == group) for group in classes]
    assert found["l", "s"] == min(map(len, by_class))
    entropy = min(-sum(n / c.total() * log(n / c.total()) for n in c.values()) for c in by_class)
    assert found["l_entropy", "s"] == pytest.approx(exp(entropy))
    assert found["t", "s"] == pytest.approx(distances(rows, ordered=True), abs=1e-12)
    assert found["t", "text"] == pytest.approx(distances(rows, ordered=False), abs=1e-12)


# ---------------------------------------------------------------- suppression and generalisation


@given(TABLES, st.integers(1, 8))
@hypothesis_settings(deadline=None)
def test_after_suppression_no_class_is_too_small_and_no_row_is_lost(rows: list[tuple[Any, ...]], k: int) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.Int64, "s": pl.Int64}, orient="row").with_row_index()
    kept, apart = suppress(frame, ["a", "b"], k)
    assert sorted([*kept["index"], *apart["index"]]) == list(range(frame.height))
    assert apart.height < k
    assert not kept.height or kept.group_by("a", "b").len()["len"].min() >= k  # type: ignore[operator]
    before = frame.filter(pl.col("index").is_in(kept["index"].implode()))
    for name in ("a", "b"):
        assert kept.filter(pl.col(name).is_not_null() & ~pl.col(name).eq_missing(before[name])).is_empty()
    assert kept["s"].equals(before["s"])
    safe = frame.filter(pl.len().over("a", "b") >= k)
    assert kept.filter(pl.col("index").is_in(safe["index"].implode())).equals(safe)


def test_what_is_suggested_is_what_suppression_does() -> None:
    frame = pl.concat([SWEENEY] * 5 + [SWEENEY.head(1).with_columns(zip=pl.lit("9410*"))])
    names = ["race", "birth", "gender", "zip"]
    report = risk(frame, names)
    kept, apart = suppress(frame, names)
    cells = {name: kept[name].null_count() for name in names if kept[name].null_count()}
    told = dict(report.suppression.select("column", "cells").iter_rows())
    assert told.pop("*", 0) == apart.height
    assert told == cells
    assert report.records_below_k == frame.filter(pl.len().over(names) < K).height


CLEAN = twin(SUBJECTS, patient="patient_id")


def people(count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "sample_id": [f"s{n}" for n in range(count)], "patient_id": ["aaaaaaaaaaaa"] * count,
            "birth_year": [1950 + n % 40 for n in range(count)], "birth_date": [date(1980, 1, 1)] * count,
            "sex": ["FM"[n % 2] for n in range(count)], "zip": [f"{900 + n % 7}" for n in range(count)],
            "phenotype_note": [None] * count,
            "deid_method": ["expert"] * count,
        },
        schema=arrow.polars_schema(CLEAN),
        strict=False,
    )  # fmt: skip


def test_hierarchies_only_ever_merge_classes() -> None:
    frame = people(500)
    for name, steps in levels(CLEAN).items():
        sizes = [frame.select(step.alias(name)).n_unique() for step in steps]
        assert all(a >= b for a, b in pairwise(sizes))
        assert sizes[-1] == 1
        for finer, coarser in pairwise(steps):
            merged = frame.select(finer.alias("f"), coarser.alias("c")).unique()
            assert merged["f"].n_unique() == merged.height


def test_the_least_loss_that_reaches_k_is_found() -> None:
    frame = people(560)
    chosen = search(CLEAN, frame, k=11)
    made = generalise(CLEAN, frame, chosen)
    assert arrow.conform(CLEAN, made).equals(made)
    names = list(levels(CLEAN))
    too_small = made.filter(pl.len().over(names) < 11).height
    assert too_small <= 0.05 * frame.height
    for name in [n for n, level in chosen.items() if level]:
        finer = generalise(CLEAN, frame, {**chosen, name: chosen[name] - 1})
        assert finer.filter(pl.len().over(names) < 11).height > 0.05 * frame.height
    assert search(CLEAN, people(5), k=2)["birth_year"] > 0


def test_a_year_that_is_coarser_takes_its_date_along() -> None:
    made = generalise(CLEAN, people(20), {"birth_year": 1})
    assert made["birth_date"].null_count() == 20
    assert set(made["birth_year"]) == {1950, 1955, 1960, 1965}
    coarse = generalise(CLEAN, people(20), {"zip": 1})
    assert coarse["birth_date"].null_count() == 0
    assert [c.name for c in validate(CLEAN, coarse.sort("sample_id")) if not c.passed] == []


# ---------------------------------------------------------------- what is told


def test_the_check_blocks_over_a_threshold_and_counts_the_rows() -> None:
    report = risk(SWEENEY, ["race", "gender"], ["problem"], thresholds=Thresholds(k=3, prosecutor=0.4, marketer=0.5))
    check = report.check("silver/test/sweeney")
    assert report.failing == ("k", "prosecutor", "l")
    assert (check.passed, check.blocking, check.failing, check.rows) == (False, True, 6, 11)
    assert "k, prosecutor, l" in check.doc
    loose = risk(SWEENEY, ["race", "gender"], ["problem"], thresholds=Thresholds(k=2, l=1, t=1.0, journalist=0.5))
    assert loose.check("silver/test/sweeney").passed


def test_a_report_shows_a_table_and_a_plot_and_no_value() -> None:
    frame = SWEENEY.with_columns(race=pl.lit("CANARY") + pl.col("race"), problem=pl.lit("CANARY"))
    told = risk(frame, ["race", "gender"], ["problem"]).markdown()
    assert "| prosecutor |" in told
    assert "data:image/png;base64," in told
    assert "CANARY" not in told
    sizes = risk(frame, ["race"]).sizes
    assert sizes.rows() == [(4, 1, 4), (7, 1, 7)]


def test_nothing_cannot_be_measured() -> None:
    with pytest.raises(InvalidInput, match="no rows"):
        risk(SWEENEY.head(0), ["race"])
    with pytest.raises(InvalidInput, match="no quasi-identifiers"):
        risk(SWEENEY, [])
