"""Which reports count as of which quarter: versions, deletions, nullifications and duplicates."""

import os
import random
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdata.catalog import DATASETS
from lsdata.catalog import pharmacovigilance as pv
from lsdata.derived import arrow
from lsdata.derived.expectations import validate
from lsdata.pharmacovigilance import cases, drugs, reactions
from lsdata.pharmacovigilance.signals_table import valid

Row = dict[str, Any]
QUARTERS = ("2019q1", "2019q2", "2019q3", "2019q4")


def rows(dataset: str, told: Sequence[Mapping[str, Any]]) -> pl.LazyFrame:
    """Rows of a bronze dataset: what is not told is null, or a number or name of no matter."""
    declared = DATASETS[f"bronze/pharmacovigilance/{dataset}"]
    filled = [
        {"source_line": n, "record": 1, "source_file": f"{r.get('quarter')}.zip/x"} | dict(r)
        for n, r in enumerate(told, 2)
    ]
    return pl.DataFrame(
        [{c: r.get(c) for c in declared.names} for r in filled], schema=arrow.polars_schema(declared)
    ).lazy()


def faers(reports: Sequence[Row], deleted: Sequence[tuple[str, str]] = ()) -> pl.DataFrame:
    """The cases of some FAERS reports: quarter, id, case, and what else a report has; drugs and pts as lists."""
    none = {name: rows(name, []) for name in ("icsr", "report_lines", "faers_outc")}
    told = [
        {"primaryid": r["id"], "caseid": r["case"], **{k: v for k, v in r.items() if k not in _LISTS}} for r in reports
    ]
    drug = [
        {"quarter": r["quarter"], "primaryid": r["id"], "drug_seq": str(n), "role_cod": "PS", "prod_ai": d}
        for r in reports
        for n, d in enumerate(r.get("drugs", ["A"]), 1)
    ]
    reac = [
        {"quarter": r["quarter"], "primaryid": r["id"], "pt": pt} for r in reports for pt in r.get("pts", ["Nausea"])
    ]
    deliveries = rows("deliveries", [])
    of_drugs = rows("faers_drug", drug)
    names = drugs.drug_names(deliveries, of_drugs, none["icsr"], none["report_lines"], rows("rxnorm", []))
    case_drugs = drugs.case_drugs(deliveries, of_drugs, none["icsr"], none["report_lines"], names.lazy())
    case_reactions = reactions.case_reactions(
        deliveries,
        rows("faers_reac", reac),
        none["icsr"],
        none["report_lines"],
        rows("meddra", []),
        rows("meddra_smq", []),
    )
    gone = rows("faers_deleted", [{"case_id": c, "quarter": q} for c, q in deleted])
    made = cases.cases(
        deliveries, rows("faers_demo", told), none["faers_outc"], none["icsr"], none["report_lines"], gone,
        case_drugs, case_reactions.lazy(),
    )  # fmt: skip
    assert [c.name for c in validate(pv.CASES, made.sort(pv.CASES.primary_key)) if not c.passed] == []
    return made


_LISTS = ("id", "case", "drugs", "pts")


def counted(made: pl.DataFrame, as_of: str) -> set[str]:
    return set(valid(made, as_of)["report_id"])


def report(quarter: str, id: str, case: str | None, version: int | None = None, **more: Any) -> Row:
    return {"quarter": quarter, "id": id, "case": case, "caseversion": version and str(version), **more}


def test_the_higher_case_version_counts_then_fda_dt_then_primaryid() -> None:
    made = faers(
        [
            report("2019q1", "12", "1", 2, fda_dt="20190101"), report("2019q1", "19", "1", 1, fda_dt="20190301"),
            report("2019q1", "21", "2", 1, fda_dt="20190101"), report("2019q1", "22", "2", 1, fda_dt="20190201"),
            report("2019q1", "9", "3", 1), report("2019q1", "31", "3", 1),
        ]
    )  # fmt: skip
    assert counted(made, "2019q1") == {"12", "22", "31"}
    assert set(made.filter(pl.col("report_id") == "19").select("superseded_reason", "superseded_by").row(0)) == {
        "newer_version", "12",
    }  # fmt: skip


def test_a_follow_up_takes_over_in_its_quarter_and_an_old_version_that_comes_late_never_counts() -> None:
    made = faers([report("2019q1", "11", "1", 1), report("2019q2", "13", "1", 3), report("2019q3", "12", "1", 2)])
    assert [counted(made, q) for q in QUARTERS[:3]] == [{"11"}, {"13"}, {"13"}]


def test_reports_without_a_case_number_are_cases_of_their_own() -> None:
    assert counted(faers([report("2019q1", "1", None), report("2019q1", "2", None)]), "2019q1") == {"1", "2"}


def test_a_deleted_case_vanishes_from_its_quarter_on_and_stays_in_the_ones_before() -> None:
    made = faers([report("2019q1", "11", "1", 1), report("2019q1", "21", "2", 1)], [("1", "2019q2")])
    assert counted(made, "2019q1") == {"11", "21"}
    assert counted(made, "2019q2") == {"21"}
    assert made.filter(pl.col("report_id") == "11")["superseded_reason"].item() == "deleted"


def test_a_report_that_comes_after_the_deletion_starts_the_case_anew() -> None:
    made = faers([report("2019q1", "12", "1", 2), report("2019q3", "11", "1", 1)], [("1", "2019q2")])
    assert [counted(made, q) for q in QUARTERS[:3]] == [{"12"}, set(), {"11"}]


TWIN = {
    "event_dt": "20190114", "sex": "F", "age": "47", "age_cod": "YR", "occr_country": "DE",
    "drugs": ["RAREX", "OTHERX"], "pts": ["Rare event", "Other event"],
}  # fmt: skip


def background(n: int = 200) -> list[Row]:
    draw = random.Random(1)
    return [
        report(
            "2019q1", f"9{i:04}1", f"9{i:04}", 1, event_dt=f"2018{draw.randint(1, 12):02}{draw.randint(1, 28):02}",
            sex=draw.choice("FM"), age=str(draw.randint(20, 80)), age_cod="YR", occr_country=draw.choice(["US", "DE"]),
            drugs=[draw.choice(["A", "B", "C"])], pts=[draw.choice(["Nausea", "Rash", "Pain"])],
        )
        for i in range(n)
    ]  # fmt: skip


def test_one_event_reported_as_two_cases_counts_once_with_a_probability() -> None:
    made = faers([*background(), report("2019q1", "11", "1", 1, **TWIN), report("2019q2", "21", "2", 1, **TWIN)])
    assert {"11", "21"} & counted(made, "2019q2") == {"11"}
    told = made.filter(pl.col("report_id") == "21").row(0, named=True)
    assert (told["superseded_reason"], told["superseded_by"]) == ("duplicate_of", "11")
    assert told["duplicate_probability"] > 0.99
    assert counted(made, "2019q1") == {r["id"] for r in background()} | {"11"}


def test_a_duplicate_counts_again_when_the_report_that_stood_for_it_is_deleted() -> None:
    both = [report("2019q1", "11", "1", 1, **TWIN), report("2019q1", "21", "2", 1, **TWIN)]
    made = faers([*background(), *both], [("1", "2019q3")])
    assert [{"11", "21"} & counted(made, q) for q in QUARTERS[:3]] == [{"11"}, {"11"}, {"21"}]


@pytest.mark.parametrize(
    "other",
    [{"sex": "M"}, {"age": "60"}, {"event_dt": "20190214"}, {"event_dt": "201901"}, {"sex": None}, {"age": None},
     {"drugs": ["A"]}, {"pts": ["Nausea"]}],
    ids=lambda o: ",".join(o),
)  # fmt: skip
def test_what_differs_in_an_essential_is_no_duplicate(other: Row) -> None:
    both = [report("2019q1", "11", "1", 1, **TWIN), report("2019q1", "21", "2", 1, **{**TWIN, **other})]
    assert {"11", "21"} <= counted(faers([*background(), *both]), "2019q1")


def test_common_values_alone_make_no_duplicate() -> None:
    made = faers(background(400))
    assert made["superseded_reason"].null_count() == made.height


_reports = st.lists(
    st.tuples(st.sampled_from(QUARTERS), st.sampled_from(["1", "2", None]), st.integers(1, 4), st.booleans()),
    min_size=1, max_size=8, unique_by=lambda r: (r[1], r[2]),
)  # fmt: skip
_deleted = st.lists(st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(QUARTERS)), max_size=2)


def _made(found: Sequence[tuple[str, str | None, int, bool]]) -> list[Row]:
    return [
        report(q, f"{case or 77}{version}", case, version, **(TWIN if twin else {})) for q, case, version, twin in found
    ]


@settings(max_examples=25, deadline=None)
@given(_reports, _deleted, st.randoms())
def test_the_order_of_rows_does_not_matter_and_one_report_of_a_case_counts(
    found: list[tuple[str, str | None, int, bool]], deleted: list[tuple[str, str]], draw: random.Random
) -> None:
    reports = [*background(40), *_made(found)]
    made = faers(reports, deleted)
    columns = [c for c in made.columns if c != "source_line"]
    shuffled = draw.sample(reports, len(reports))
    again = faers(shuffled, deleted)
    assert made.select(columns).sort(columns).equals(again.select(columns).sort(columns))
    for as_of in QUARTERS:
        of_case = valid(made, as_of).drop_nulls("case_id")
        assert of_case["case_id"].is_unique().all()


@settings(max_examples=25, deadline=None)
@given(_reports, _deleted)
def test_what_is_loaded_later_does_not_change_an_old_quarter(
    found: list[tuple[str, str | None, int, bool]], deleted: list[tuple[str, str]]
) -> None:
    everything = faers([*background(40), *_made(found)], deleted)
    for as_of in QUARTERS:
        known = [r for r in _made(found) if r["quarter"] <= as_of]
        then = faers([*background(40), *known], [d for d in deleted if d[1] <= as_of])
        assert counted(everything, as_of) == counted(then, as_of)


def test_days_are_days_and_months_are_not() -> None:
    texts = ["20190114", "201901", "2019", "20190230", "20190114101010-0500", "2019-01-14", "20190114+0100", "x", None]
    told = pl.DataFrame({"t": texts}).select(reactions.day("t"))["t"].to_list()
    day = date(2019, 1, 14)
    assert told == [day, None, None, None, day, day, day, None, None]


DATA = Path(os.environ.get("LSDATA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "pv"


@pytest.mark.skipif(not DATA.is_dir(), reason="the developers' data are not here")
def test_ingredients_are_those_that_diana_found() -> None:
    # DiAna's sample (MIT): 1,000 cases of FAERS, whose substances were named by hand. Names that differ by country
    # (acetaminophen is paracetamol) and groups (insulins) make the rest.
    given = pl.read_csv(DATA / "diana_sample_Drug_Name.csv", infer_schema=False).drop_nulls("prod_ai")
    theirs = (
        pl.read_csv(DATA / "diana_sample_Drug.csv", infer_schema=False)
        .group_by("primaryid", "drug_seq")
        .agg(theirs=pl.col("substance").str.to_uppercase().drop_nulls().unique().sort())
    )
    told = given.select("primaryid", "drug_seq", "prod_ai").unique().join(theirs, on=["primaryid", "drug_seq"])
    equal = [
        sorted({drugs.without_salt(name.strip()) for name in prod_ai.upper().split("\\")}) == names
        for prod_ai, names in told.select("prod_ai", "theirs").iter_rows()
    ]
    assert len(equal) > 2500
    assert sum(equal) / len(equal) > 0.81


def test_a_name_like_one_in_rxnorm_is_taken_and_one_nearly_so_is_shown() -> None:
    known = [{"name_key": n, "rxcui": "1", "ingredient": i, "version": "2024"} for n, i in
             (("GLUCOPHAGE", "METFORMIN"), ("METFORMIN", "METFORMIN"), ("WARFARIN", "WARFARIN"))]  # fmt: skip
    names = ["GLUCOPHAGE", "METFORMINE 500 MG", "WARFERIN", "XYZ", "Warfarin."]
    told = [
        {"quarter": "2019q1", "primaryid": "1", "drug_seq": str(n), "drugname": name} for n, name in enumerate(names)
    ]
    made = drugs.drug_names(
        rows("deliveries", []),
        rows("faers_drug", told),
        rows("icsr", []),
        rows("report_lines", []),
        rows("rxnorm", known),
    )
    found = {r["drug_name"]: (r["drug"], r["method"], r["suggestion"], r["review"]) for r in made.iter_rows(named=True)}
    assert found == {
        "GLUCOPHAGE": ("METFORMIN", "rxnorm", None, False),
        "METFORMINE 500 MG": ("METFORMIN", "similar", "METFORMIN", True),
        "WARFERIN": ("WARFERIN", "reported", "WARFARIN", True),
        "XYZ": ("XYZ", "reported", None, False),
        "WARFARIN": ("WARFARIN", "rxnorm", None, False),
    }  # fmt: skip


def message(n: int, case: str, recent: str, sent: str, **more: str) -> list[Row]:
    """An E2B message of a delivery of its own: its elements, one reaction and one suspect drug."""
    told = {"N.2.r.1": f"m{n}", "C.1.1": case, "C.1.5": recent, "N.1.5": sent, **more}
    of_item = {"E.i.2.1b": "10000001", "G.k.1": "1", "G.k.2.2": "Drugx"}
    return [
        {"delivery": f"{n}.xml", "message": 1, "element": e, "item": 1 if e in of_item else 0, "part": 0, "value": v}
        for e, v in (told | of_item).items()
    ]


def messages(*told: list[Row]) -> pl.DataFrame:
    none = {
        name: rows(name, []) for name in ("faers_demo", "faers_outc", "report_lines", "faers_deleted", "deliveries")
    }
    found = rows("icsr", [row for one in told for row in one])
    empty = {d: pl.LazyFrame(schema=arrow.polars_schema(d)) for d in (pv.CASE_DRUGS, pv.CASE_REACTIONS)}
    return cases.cases(
        none["deliveries"], none["faers_demo"], none["faers_outc"], found, none["report_lines"], none["faers_deleted"],
        empty[pv.CASE_DRUGS], empty[pv.CASE_REACTIONS],
    )  # fmt: skip


def test_an_e2b_follow_up_takes_over_and_a_nullification_ends_the_case() -> None:
    made = messages(
        message(1, "US-1", "20240110", "20240115"), message(2, "US-1", "20240501", "20240502"),
        message(3, "US-1", "20240801", "20240802", **{"C.1.11.1": "1"}), message(4, "US-2", "20240801", "20240802"),
        message(5, "US-2", "20240901", "20240902", **{"C.1.11.1": "2"}),
    )  # fmt: skip
    assert [counted(made, q) for q in ("2024q1", "2024q2", "2024q3")] == [{"m1"}, {"m2"}, {"m5"}]
    reasons = dict(made.select("report_id", "superseded_reason").iter_rows())
    assert reasons == {"m1": "newer_version", "m2": "nullified", "m3": "nullified", "m4": "newer_version", "m5": None}


def test_with_meddra_a_code_or_a_lowest_level_term_leads_to_its_preferred_term() -> None:
    meddra = rows(
        "meddra",
        [{"llt_code": c, "llt": t, "pt_code": "10000001", "pt": "Pt one", "soc": "Soc", "version": "27.0"}
         for c, t in (("10000001", "Pt one"), ("10000009", "Llt nine"))],
    )  # fmt: skip
    smq = rows("meddra_smq", [{"smq_code": "1", "smq": "Query", "pt_code": "10000001", "scope": "narrow"}])
    listed = [
        {"source": "s", "delivery": "d", "case_id": str(n), "drug": "A", "event": e}
        for n, e in enumerate(["LLT  nine", "other"])
    ]
    told = rows("icsr", message(1, "US-1", "20240110", "20240115"))
    none = rows("deliveries", []), rows("faers_reac", [])
    made = reactions.case_reactions(*none, told, rows("report_lines", listed), meddra, smq).sort("source", "report_id")
    assert made.select("event", "soc", "smqs", "vocabulary", "vocabulary_version").rows() == [
        ("Pt one", "Soc", ["Query"], "MedDRA", "27.0"), ("Pt one", "Soc", ["Query"], "MedDRA", "27.0"),
        ("other", None, None, "as reported", "d"),
    ]  # fmt: skip
    plain = reactions.case_reactions(*none, told, rows("report_lines", []), rows("meddra", []), rows("meddra_smq", []))
    assert plain["event"].to_list() == ["MedDRA 10000001"]
