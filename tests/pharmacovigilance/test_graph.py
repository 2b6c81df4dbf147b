"""From what lands to what reviewers see: the whole graph over one source, and gold against the functions."""

import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import assets
from assets.specs import key
from lsdata.catalog import pharmacovigilance as pv
from lsdata.errors import SettingError
from lsdata.lake.inputs import Inputs
from lsdata.lake.lake import Lake, Made
from lsdata.pharmacovigilance import disproportionality, signals_table, simulation
from lsdata.settings import Settings
from resources import dbt
from resources.lake import LakeResource
from resources.tools import ToolsResource

DATA = Path(os.environ.get("LSDATA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "pv"
BY_SOURCE = [d for d in vars(pv).values() if getattr(d, "partition", None) == pv.BY_SOURCE]
Make = Callable[..., None]


@pytest.fixture
def make(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Materializes datasets, partition by partition definition, as sensors would ask for them."""
    monkeypatch.setattr(LakeResource, "open", lambda _: lake)

    def run(datasets: Sequence[object], *partitions: str) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            for one in datasets:
                for partition in partitions or (None,):
                    if partition:
                        instance.add_dynamic_partitions(one.partition.name, [partition])  # pyright: ignore
                    made = dg.materialize(
                        list(assets.defs().assets or ()), selection=[key(one)], partition_key=partition,
                             # pyright: ignore
                        resources={"lake": LakeResource(), "tools": ToolsResource()}, instance=instance,
                    )  # fmt: skip
                    assert made.success

    return run


def land(lake: Lake, path: str, data: bytes) -> None:
    place = lake.settings.path("landing") / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


@pytest.mark.skipif(not DATA.is_dir(), reason="the developers' data are not here")
def test_the_signals_of_a_real_listing_are_those_of_the_function(lake: Lake, make: Make) -> None:
    # FAERS 2022q3, primary suspects (GPL-3 package pvLRT); the cases whose number ends in 7: 24,969 rows
    raw = pl.read_csv(
        gzip.decompress((DATA / "faers_2022q3_ps_cases_A.csv.gz").read_bytes()), infer_schema=False,
        new_columns=["case_id", "drug", "event"],
    ).filter(pl.col("case_id").str.ends_with("7"))  # fmt: skip
    land(lake, "reports/pvlrt/2022q3.csv", raw.write_csv().encode())
    make([pv.DELIVERIES])
    make(BY_SOURCE, "pvlrt")
    expected, fit = disproportionality.signals(raw)
    made = lake.read(pv.SIGNALS.key).filter(pl.col("stratum") == "all").drop("source", "as_of", "stratum")
    columns = [c for c in pv.SIGNALS.names if c in expected.columns]
    assert_frame_equal(
        made.collect().select(columns).sort("drug", "event"),
        expected.select(columns).sort("drug", "event"), check_dtypes=False, abs_tol=1e-9, rel_tol=1e-9,
    )  # fmt: skip
    prior = lake.read(pv.PRIOR_FITS.key).filter(pl.col("stratum") == "all").collect().row(0, named=True)
    assert prior["neg_log_likelihood"] == pytest.approx(fit.neg_log_likelihood)
    alerts = lake.read(pv.ALERTS.key).filter(pl.col("rule") == "ebgm").collect()
    assert alerts.height == expected.filter((pl.col("ebgm") > 2) & (pl.col("n") > 3)).height
    behind = lake.read(pv.ALERT_CASES.key).group_by("drug", "event").len("reports").collect()
    counted = alerts.join(behind, on=["drug", "event"])
    assert counted.height == alerts.height
    assert (counted["n"] == counted["reports"]).all()
    page = lake.file(pv.SIGNAL_REPORT.key, "pvlrt", "signal_report.html").read_text()
    assert "Signals of pvlrt" in page
    assert page.count("<img") >= 3


def test_what_was_planted_is_found_and_an_old_quarter_stays_what_it_was(lake: Lake, make: Make) -> None:
    everything = lake.settings.home / "everything"
    truth = simulation.simulate(everything)
    files = sorted(p for p in everything.rglob("*") if p.is_file())
    before: pl.DataFrame | None = None
    for last in ("2023q2", "2023q4"):
        quarters = [q for q in simulation.QUARTERS if q <= last]
        for path in files:
            if any(q in path.name or f"{q[2:4]}Q{q[5]}" in path.name for q in quarters):
                land(lake, path.relative_to(everything).as_posix(), path.read_bytes())
        make([pv.DELIVERIES])
        make([*pv.FAERS.values()], *quarters)
        make([pv.FAERS_DELETED])
        make([d for d in BY_SOURCE if d not in (pv.REPORT_LINES, pv.ADJUSTED_ROR, pv.SIGNAL_REPORT)], "faers")
        old = lake.read(pv.SIGNALS.key).filter(pl.col("as_of") <= "2023q2").sort(pv.SIGNALS.primary_key).collect()
        if before is not None:
            assert_frame_equal(old, before)
        before = old
    found = lake.read(pv.ALERTS.key).filter(pl.col("rule") == "ebgm", pl.col("as_of") == "2023q4").collect()
    assert {(d, e) for d, e, _ in truth.signals} <= set(found.select("drug", "event").iter_rows())
    masked = lake.read(pv.MASKING.key).filter(pl.col("as_of") == "2023q4").collect()
    assert truth.masked in set(masked.select("drug", "event", "masked_by").iter_rows())
    cases = lake.read(pv.CASES.key).collect()
    gone = cases.filter(pl.col("case_id").is_in(truth.deleted["2023q2"]))
    assert gone.filter(pl.col("valid_until").is_null()).is_empty()
    twins = cases.filter(pl.col("superseded_reason") == "duplicate_of")
    planted = {frozenset(pair) for pair in truth.duplicates}
    pairs = {frozenset(pair) for pair in twins.select("report_id", "superseded_by").iter_rows()}
    assert len(planted & pairs) >= 0.8 * len(planted)
    assert len(pairs - planted) <= 0.1 * len(planted)


def test_counting_is_the_same_on_both_engines_and_equals_plain_counting(
    lake: Lake, sample_frame: Callable[..., pl.DataFrame], publish: Callable[..., object]
) -> None:
    n = 60
    cases = sample_frame(pv.CASES, n, "s").with_columns(
        delivery=pl.lit("d"), report_id=pl.Series([str(i % 50) for i in range(n)]), known_from=pl.lit("2019q1"),
        valid_from=pl.Series(["2019q1" if i < 50 else "2019q3" for i in range(n)]),
        valid_until=pl.Series(["2019q2" if i < 10 else None for i in range(n)]),
    )  # fmt: skip
    ids = [str(i) for i in range(50) for _ in range(3)]
    drugs = sample_frame(pv.CASE_DRUGS, 150, "s").with_columns(
        delivery=pl.lit("d"), report_id=pl.Series(ids), drug=pl.Series([f"D{i * i % 7}" for i in range(150)]),
        role=pl.Series(["PS", "SS", "C"] * 50),
    )  # fmt: skip
    reactions = sample_frame(pv.CASE_REACTIONS, 150, "s").with_columns(
        delivery=pl.lit("d"), report_id=pl.Series(ids), event=pl.Series([f"E{i * 3 % 5}" for i in range(150)])
    )
    reactions = reactions.unique(pv.CASE_REACTIONS.primary_key, maintain_order=True)
    for dataset, rows in ((pv.CASES, cases), (pv.CASE_DRUGS, drugs), (pv.CASE_REACTIONS, reactions)):
        publish(lake, dataset, rows.with_columns(source=pl.lit("s")).select(dataset.names))
    engines = ("duckdb", "spark") if (lake.settings.tools / "spark" / "jars").is_dir() else ("duckdb",)
    made: dict[str, pl.DataFrame] = {}
    for engine in engines:
        for dataset in (pv.REPORT_PAIRS, pv.PAIR_COUNTS):
            resolved = Inputs(lake).resolve(dataset, "s")
            built = dbt.build(lake, dataset, ["s"], lambda _: None, engine)
            assert {name: bad for name, bad in built.tests.items() if bad} == {}
            publish(lake, dataset, built.rows, {"s": Made(inputs=resolved.inputs, fingerprint=resolved.fingerprint)})
            made[dataset.name] = built.rows.sort(dataset.primary_key)
            if engine != "duckdb":
                assert_frame_equal(made[dataset.name], made[f"{dataset.name} duckdb"])
            made[f"{dataset.name} {engine}"] = made[dataset.name]
    for as_of in ("2019q1", "2019q2", "2019q3"):
        valid = signals_table.valid(made["report_pairs"], as_of)
        assert set(valid["report_id"]) == {str(i) for i in range(0 if as_of != "2019q2" else 10, 50)}
        reports = valid.select("drug", "event", case_id="report_id", cell=pl.concat_str(
            *(pl.col(c).fill_null("-") for c in ("sex", "age_group", "year")), separator="/"))  # fmt: skip
        for stratum, strata in (("all", ()), ("adjusted", ("cell",))):
            ours = made["pair_counts"].filter(pl.col("as_of") == as_of, pl.col("stratum") == stratum)
            plain = disproportionality.counts.count(reports, strata).frame()
            assert_frame_equal(ours.select(plain.columns), plain, abs_tol=1e-8)


def test_a_quarter_whose_prior_fails_has_no_alerts_and_is_no_quarter_before() -> None:
    told = {
        "2019q1": {"A": (4, 2.5), "B": (4, 2.0)},
        "2019q2": {"A": (5, None)},
        "2019q3": {"A": (6, 1.9), "B": (6, 2.1)},
    }
    rows = [
        {"source": "s", "as_of": as_of, "stratum": "all", "drug": drug, "event": "X", "n": n, "ebgm": ebgm, "eb05": 1.0,
         "ic025": -1.0, "prr": 1.0, "chi2_yates": 0.0, "ror_lower": 1.0,
             "undefined_reason": None if ebgm else "no_prior"}
        for as_of, pairs in told.items() for drug, (n, ebgm) in pairs.items()
    ]  # fmt: skip
    fits = [{"source": "s", "as_of": q, "stratum": "all", "converged": q != "2019q2"} for q in told]
    made = signals_table.alerts(pl.LazyFrame(rows), pl.LazyFrame(fits))
    assert made.select("as_of", "rule", "drug", "status", "previous_as_of").rows() == [
        ("2019q1", "ebgm", "A", "new", None), ("2019q3", "ebgm", "A", "lost", "2019q1"),
        ("2019q3", "ebgm", "B", "new", "2019q1"),
    ]  # fmt: skip


def test_roles_that_are_counted_are_a_setting() -> None:
    assert Settings.read({"LSDATA_OPERATOR": "Ada"}).pv_roles == ("PS", "SS")
    assert Settings.read({"LSDATA_OPERATOR": "Ada", "LSDATA_PV_ROLES": "PS, c"}).pv_roles == ("PS", "C")
    with pytest.raises(SettingError, match="'X'"):
        Settings.read({"LSDATA_OPERATOR": "Ada", "LSDATA_PV_ROLES": "PS,X"})
