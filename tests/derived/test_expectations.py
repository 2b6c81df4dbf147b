"""Every declared check can fail, fails alone, counts the rows its query shows, and tells no values."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import duckdb
import polars as pl
import pytest

from lsdata.catalog import DATASETS, Column, Dataset, Expectation, Phi, Store
from lsdata.catalog.genomics import ALIGNMENTS, COHORTS, GENOTYPES, SUBJECTS, TARGET_COVERAGE
from lsdata.derived import arrow
from lsdata.derived.expectations import PRIMARY_KEY, Check, CheckResult, checks, suite, validate, violations
from lsdata.lake.lake import Lake, Published

Frames = Callable[..., pl.DataFrame]
Publish = Callable[..., Published]
CASES = [(d, c) for d in DATASETS.values() for c in checks(d)]


def judged(dataset: Dataset, frame: pl.DataFrame) -> dict[str, CheckResult]:
    """Results by name; the frame is sorted as the lake sorts it."""
    first = [dataset.partition.column] if dataset.partition else []
    return {r.name: r for r in validate(dataset, frame.sort([*first, *dataset.primary_key]))}


def failing(dataset: Dataset, frame: pl.DataFrame) -> dict[str, int]:
    return {name: r.failing for name, r in judged(dataset, frame).items() if not r.passed}


def by_sql(dataset: Dataset, frame: pl.DataFrame) -> dict[str, int]:
    """The same by another road: DuckDB counts the rows that each check's own query shows."""
    with duckdb.connect() as con:
        con.register("rows", frame.to_arrow())
        found: dict[str, int] = {}
        for check in checks(dataset):
            query = violations(dataset, check).replace(f"delta_scan('{dataset.key}')", "rows")
            found[check.name] = len(con.sql(query).fetchall())
    return {name: n for name, n in found.items() if n}


def violating(dataset: Dataset, check: Check, sample_frame: Frames) -> Iterator[pl.DataFrame]:
    """Frames of six rows of which two violate the check; what else they violate follows from the declaration."""
    frame = sample_frame(dataset, 6)
    if check.name == PRIMARY_KEY:
        keys = [pl.lit(frame[k][0], frame.schema[k]).alias(k) for k in dataset.primary_key]
        yield pl.concat([frame.head(1), frame[1:2].with_columns(keys), frame.tail(4)])
        return
    if check.column is None:
        bad = sample_frame(dataset, 2, unlike=check.name)
        yield pl.concat([bad, sample_frame(dataset, 6).join(bad, on=dataset.primary_key, how="anti").head(4)])
        return
    # Two values each, so that keys stay unique where the column belongs to one.
    c = check.column
    wrong: list[list[Any]] = [[c.minimum - 1, c.minimum - 2]] if c.minimum is not None else []
    wrong += [[c.maximum + 1, c.maximum + 2]] if c.maximum is not None else []
    wrong += [["not in the list", "neither"]] if c.codelist else []
    wrong += [["§", "§§"]] if c.pattern else []
    for values in wrong:
        bad = frame.head(2).with_columns(pl.Series(c.name, values, frame.schema[c.name], strict=False))
        yield pl.concat([bad, frame.tail(4)])


@pytest.mark.parametrize(("dataset", "check"), CASES, ids=[f"{d.name}-{c.name}" for d, c in CASES])
def test_a_violation_fails_exactly_its_check_and_is_counted(
    dataset: Dataset, check: Check, sample_frame: Frames
) -> None:
    """A rule over a column that is out of bounds may fail as well: reads = -1 is not reads > 0."""
    implied = {e.name for e in dataset.expectations if check.column and check.column.name in e.rule}
    for frame in violating(dataset, check, sample_frame):
        expected = by_sql(dataset, frame)
        assert expected.get(check.name) == 2
        assert set(expected) - implied == {check.name}
        assert failing(dataset, frame) == expected


def test_valid_rows_pass_all_checks(every: Dataset, sample_frame: Frames) -> None:
    results = judged(every, sample_frame(every, 20))
    assert {name: r.failing for name, r in results.items() if not r.passed or r.failing} == {}
    assert {r.rows for r in results.values()} == {20}


def test_no_rows_pass_all_checks(every: Dataset) -> None:
    results = validate(every, arrow.empty(every))
    assert all(r.passed for r in results)
    assert {r.rows for r in results} == {0}


def test_results_come_in_the_order_of_the_checks_and_block_as_declared(every: Dataset, sample_frame: Frames) -> None:
    results = validate(every, sample_frame(every, 1))
    assert [(r.name, r.blocking, r.doc) for r in results] == [(c.name, c.blocking, c.doc) for c in checks(every)]


def test_a_key_that_occurs_three_times_is_counted_as_the_query_shows_it(sample_frame: Frames) -> None:
    frame = sample_frame(GENOTYPES, 4)
    thrice = pl.concat([frame, frame.head(1), frame.head(1)])
    assert by_sql(GENOTYPES, thrice) == {PRIMARY_KEY: 3}
    assert failing(GENOTYPES, thrice) == {PRIMARY_KEY: 3}


@pytest.mark.parametrize("value", ["S1\n", "S 1", "Ä", "S1\0", "\n", ""])
def test_a_pattern_holds_for_the_whole_value(sample_frame: Frames, value: str) -> None:
    """`$` in Python also stands before a last line end; in Rust and RE2 it does not."""
    frame = sample_frame(COHORTS, 2)
    wrong = pl.concat([frame.head(1), frame.tail(1).with_columns(sample_id=pl.lit(value))])
    assert by_sql(COHORTS, wrong) == {"column_sample_id": 1}
    assert failing(COHORTS, wrong) == {"column_sample_id": 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_within_bounds(sample_frame: Frames, value: float) -> None:
    frame = sample_frame(ALIGNMENTS, 2).with_columns(coverage_20x_fraction=pl.lit(value))
    assert by_sql(ALIGNMENTS, frame) == {"column_coverage_20x_fraction": 2}
    assert failing(ALIGNMENTS, frame) == {"column_coverage_20x_fraction": 2}


def test_null_violates_no_bound_and_no_rule(sample_frame: Frames) -> None:
    frame = sample_frame(ALIGNMENTS, 2).with_columns(mapped_fraction=pl.lit(None, pl.Float64))
    assert failing(ALIGNMENTS, frame) == by_sql(ALIGNMENTS, frame) == {}


LARGE = Column(
    name="n", type="int64", phi=Phi.NONE, doc="Large.", unit="count", minimum=1_234_567, maximum=3_095_677_412
)
BOTH = Column(name="t", type="string", phi=Phi.NONE, doc="Both.", codelist=("a", "b1"), pattern="[a-z]+")


@pytest.mark.parametrize(
    ("value", "n"), [(1_234_566, 1), (1_234_567, 0), (1_234_569, 0), (3_095_677_412, 0), (3_095_677_413, 1)]
)
def test_large_bounds_are_exact(value: int, n: int) -> None:
    dataset = replace(COHORTS, key="bronze/genomics/large", columns=(LARGE,), primary_key=("n",))
    frame = pl.DataFrame({"n": [value]})
    expected = {"column_n": n} if n else {}
    assert failing(dataset, frame) == expected
    assert by_sql(dataset, frame) == expected


def test_rows_that_break_different_parts_of_a_check_are_all_counted() -> None:
    dataset = replace(COHORTS, key="bronze/genomics/both", columns=(BOTH,), primary_key=("t",))
    frame = pl.DataFrame({"t": ["a", "b1", "c", "!"]})
    assert by_sql(dataset, frame) == {"column_t": 3}
    assert failing(dataset, frame) == {"column_t": 3}


def test_quotes_in_a_codelist_are_values() -> None:
    column = Column(name="t", type="string", phi=Phi.NONE, doc="Quoted.", codelist=("it's", '"x"'))
    dataset = replace(COHORTS, key="bronze/genomics/quoted", columns=(column,), primary_key=("t",))
    assert failing(dataset, pl.DataFrame({"t": ["it's", '"x"', "its"]})) == {"column_t": 1}
    assert by_sql(dataset, pl.DataFrame({"t": ["it's", '"x"', "its"]})) == {"column_t": 1}


def test_columns_may_be_called_as_words_of_sql(sample_frame: Frames) -> None:
    assert by_sql(TARGET_COVERAGE, sample_frame(TARGET_COVERAGE, 3)) == {}
    words = tuple(Column(name=n, type="int64", phi=Phi.NONE, doc=n, unit="count", minimum=0) for n in ("end", "order"))
    dataset = replace(COHORTS, key="bronze/genomics/words", columns=words, primary_key=("end", "order"))
    frame = pl.DataFrame({"end": [1, 1, -1], "order": [2, 2, 0]})
    assert by_sql(dataset, frame) == failing(dataset, frame) == {PRIMARY_KEY: 2, "column_end": 1}


def test_a_rule_may_be_called_as_a_judged_column(sample_frame: Frames) -> None:
    """fastq_manifest has a column and a rule `mates_agree`; the column may get bounds or a codelist one day."""
    rule = Expectation(name="cohort_id", doc="Short.", rule="length(cohort_id) < 9", blocking=False)
    columns = tuple(c.but(pattern="[a-z_0-9]+") if c.name == "cohort_id" else c for c in COHORTS.columns)
    dataset = replace(COHORTS, key="bronze/genomics/named", columns=columns, expectations=(rule,))
    frame = sample_frame(COHORTS, 2).with_columns(cohort_id=pl.Series(["fine", "much_too_long"]))
    assert failing(dataset, frame) == {"cohort_id": 1}


def test_two_datasets_do_not_judge_each_others_rows(sample_frame: Frames) -> None:
    bad = sample_frame(COHORTS, 2).with_columns(sample_id=pl.lit("§"))
    assert set(failing(COHORTS, bad)) == {"column_sample_id"}
    assert failing(GENOTYPES, sample_frame(GENOTYPES, 2)) == {}
    assert failing(COHORTS, sample_frame(COHORTS, 2)) == {}


# ---------------------------------------------------------------- privacy


def test_results_hold_no_value_of_an_identifying_column(
    sample_frame: Frames, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secret = "Jane-Roe-1969"
    frame = sample_frame(SUBJECTS, 3).with_columns(
        *(pl.lit(secret).alias(c.name) for c in SUBJECTS.columns if c.phi is not Phi.NONE), sample_id=pl.lit("§")
    )
    results = judged(SUBJECTS, frame)
    assert {n for n, r in results.items() if not r.passed} == {PRIMARY_KEY, "column_sample_id"}
    out, err = capfd.readouterr()
    for text in (repr(results), out, err, caplog.text, repr(suite(SUBJECTS).to_json_dict())):
        assert secret not in text


# ---------------------------------------------------------------- the queries, from the lake's root


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    from duckdb_extensions import import_extension  # pyright: ignore[reportMissingTypeStubs]

    import_extension("delta")
    with duckdb.connect() as opened:
        opened.execute("LOAD delta")
        yield opened


def test_queries_run_from_the_root_of_the_lake_and_show_the_rows(
    every: Dataset, lake: Lake, sample_frame: Frames, publish: Publish, con: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if every.store is not Store.DELTA:
        pytest.skip("its rows are kept elsewhere")
    frames = [f for check in checks(every) for f in violating(every, check, sample_frame)]
    bad = pl.concat([sample_frame(every, 5), *frames])
    publish(lake, every, bad)
    monkeypatch.chdir(lake.tables.root)
    expected = by_sql(every, bad)
    assert set(expected) == {c.name for c in checks(every)}
    for check in checks(every):
        shown = con.sql(violations(every, check)).pl()
        assert shown.height == expected[check.name]
        assert set(shown.columns) == set(every.names)
        rest = shown.select(every.names).cast(dict(arrow.polars_schema(every)))  # pyright: ignore[reportArgumentType]
        assert rest.join(bad, on=every.names, how="anti", nulls_equal=True).height == 0
