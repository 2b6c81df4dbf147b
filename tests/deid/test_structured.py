"""Structured data without identifiers, by the declaration alone."""

import os
import pickle
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lsdata.catalog import Column, Dataset, Phi
from lsdata.catalog.genomics import SUBJECTS
from lsdata.catalog.twin import Method, Treatment, Twin, twin, twins
from lsdata.deid.dates import iso_dates
from lsdata.deid.structured import DATE_NOT_READ, arrow_batches, deidentify, look_up, typed
from lsdata.deid.vault import Pseudonyms, Vault
from lsdata.derived import arrow
from lsdata.derived.expectations import validate
from lsdata.errors import InvalidInput, KeyDestroyed, MissingData, SchemaMismatch, ScrubFailed
from lsdata.lake.lake import Act, Lake
from lsdata.settings import Settings

REPO = Path(__file__).resolve().parents[2]
NOTES = Path(os.environ.get("LSDATA_TEST_DATA", REPO / "../shared/data")) / "deid" / "notes.jsonl"
ACT = Act(operator="Ada", reason="a test", run_id="run-1", git_commit="c0ffee")
TODAY = date(2026, 6, 30)
LINKED, CLEAN = twins(SUBJECTS, patient="patient_id")


@pytest.fixture
def pseudonyms(lake: Lake) -> Pseudonyms:
    return Vault.of(lake).open("S1", ACT)


def scrub(
    texts: Sequence[str], patients: Sequence[Mapping[str, Any]], day_offsets: Sequence[int] | None = None
) -> list[Any]:
    """Takes out what the record knows: enough to see that it was asked, and with what."""
    assert len(texts) == len(patients) == len(day_offsets or texts)
    found: list[Any] = []
    for text, patient in zip(texts, patients, strict=True):
        for value in patient.values():
            text = text.replace(str(value), "[X]")
        found.append(SimpleNamespace(text=text, withheld=None))
    return found


def column(name: str, phi: Phi, type_: str = "string", unit: str | None = None) -> Column:
    return Column(name=name, type=type_, phi=phi, unit=unit, doc="A column.", nullable=True)  # type: ignore[arg-type]


def table(*columns: Column, patient: str | None = "patient_id", key: str = "visits", **declared: Any) -> Twin:
    """A dataset of patients with these columns besides, and its twin."""
    common = (SUBJECTS.column("sample_id"), column("patient_id", Phi.MRN), *columns)
    return twin(replace(SUBJECTS, key=f"silver_phi/test/{key}", columns=common), patient=patient, **declared)


def rows(dataset: Dataset, **values: Any) -> pl.DataFrame:
    count = max(len(v) for v in values.values())
    filled = {"sample_id": [f"s{n}" for n in range(count)], "patient_id": ["p1"] * count} | values
    schema = arrow.polars_schema(dataset)
    return pl.DataFrame({n: filled.get(n, [None] * count) for n in schema}, schema=schema)


# ---------------------------------------------------------------- HHS guidance, column by column


def test_each_of_the_eighteen_identifiers_is_gone(pseudonyms: Pseudonyms) -> None:
    """45 CFR 164.514(b)(2)(i)(A)-(R), one column of each class and the values planted as canaries."""
    classes = [p for p in Phi if p not in (Phi.NONE, Phi.FREE_TEXT, Phi.DATE)]
    declared = table(*(column(f"x_{p}", p) for p in classes))
    planted = {f"x_{p}": [f"canary-{p}-77881"] for p in classes} | {"patient_id": ["canary-patient"]}
    for method in Method:
        out = deidentify(declared, rows(declared.source, **planted), pseudonyms=pseudonyms, as_of=TODAY, method=method)
        assert out.columns == ["sample_id", "patient_id", "deid_method"]
        assert "canary" not in out.write_csv()
        assert out["deid_method"].to_list() == [str(method)]


def test_dates_of_safe_harbor_are_years_and_years_over_89_ago_are_one(pseudonyms: Pseudonyms) -> None:
    """HHS guidance, paragraph (C): "January 1, 2009 could not be reported", 2009 may; ages over 89 become 90."""
    declared = table(column("birth_date", Phi.DATE, "date"))
    dates = [date(2009, 1, 1), date(1937, 1, 1), date(1936, 12, 31), date(1912, 4, 1), None]
    out = deidentify(declared, rows(declared.source, birth_date=dates), pseudonyms=pseudonyms, as_of=TODAY)
    assert out["birth_year"].to_list() == [2009, 1937, 1936, 1936, None]
    assert out["birth_date"].to_list() == [None] * 5


@pytest.mark.parametrize(
    ("type_", "unit", "ages", "kept"),
    [
        ("int32", "year", [0, 89, 90, 117, None], [0, 89, 90, 90, None]),
        ("float64", "a", [89.9, 90.0, 103.5], [89.9, 90.0, 90.0]),
        ("int64", "month", [1_079, 1_080, 1_300], [1_079, 1_080, 1_080]),
        ("string", None,
         ["89", "90", "101 years", "90+", "7 mo", "45 y", "ninety-two", "", None, "104yo", "95 Y/O John", "89.5"],
         ["89", "90+", "90+", "90+", "7 mo", "45 y", None, None, None, "90+", None, "89.5"]),
    ],
)  # fmt: skip
def test_ages_over_89_are_90(
    type_: str, unit: str | None, ages: list[Any], kept: list[Any], pseudonyms: Pseudonyms
) -> None:
    declared = table(column("age", Phi.DATE, type_, unit))
    out = deidentify(declared, rows(declared.source, age=ages), pseudonyms=pseudonyms, as_of=TODAY)
    assert out["age"].to_list() == kept


def test_zip_codes_keep_three_digits(pseudonyms: Pseudonyms) -> None:
    declared = table(column("zip", Phi.GEOGRAPHY), column("city", Phi.GEOGRAPHY))
    out = deidentify(
        declared, rows(declared.source, zip=["94107", "03601", "09012", None]), pseudonyms=pseudonyms, as_of=TODAY
    )
    assert out["zip"].to_list() == ["941", "000", "000", None]
    assert "city" not in out.columns


def test_calendar_years_as_numbers(pseudonyms: Pseudonyms) -> None:
    declared = table(
        column("year_of_birth", Phi.DATE, "int32", "calendar year"),
        column("month_of_birth", Phi.DATE, "int32", "month"),
    )
    frame = rows(declared.source, year_of_birth=[1980, 1901, None], month_of_birth=[5, 6, 7])
    safe = deidentify(declared, frame, pseudonyms=pseudonyms, as_of=TODAY)
    assert safe["year_of_birth"].to_list() == [1980, 1936, None]
    assert "month_of_birth" not in safe.columns
    days = pseudonyms.patients(pl.Series(["p1"]))["offset_days"].item()
    moved = deidentify(declared, frame, pseudonyms=pseudonyms, as_of=TODAY, method=Method.EXPERT)
    assert moved["year_of_birth"].to_list() == [(date(1980, 7, 2) + timedelta(days)).year, 1936, None]


# ---------------------------------------------------------------- intervals


VISITS = table(column("visit_date", Phi.DATE, "date"), column("seen_at", Phi.DATE, "timestamp"))
LABS = table(column("drawn", Phi.DATE), key="labs")


@given(
    days=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20_000)), min_size=1, max_size=20),
)
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_intervals_of_a_patient_are_kept_across_tables_and_deliveries(
    days: list[tuple[str, int]], tmp_path_factory: Any
) -> None:
    vault = Vault.of(Lake(Settings(home=tmp_path_factory.mktemp("home"))))
    who, when = [p for p, _ in days], [date(1965, 1, 1) + timedelta(n) for _, n in days]
    visits = rows(
        VISITS.source, patient_id=who, visit_date=when,
        seen_at=[datetime(d.year, d.month, d.day, 23, 59, 58, 7, tzinfo=UTC) for d in when],
    )  # fmt: skip
    labs = rows(LABS.source, patient_id=[f" {p} " for p in who], drawn=[d.isoformat() for d in when])
    made = [
        deidentify(of, frame, pseudonyms=vault.open("S1", ACT), as_of=TODAY, method=Method.EXPERT)
        for of, frame in ((VISITS, visits), (LABS, labs))
    ]
    assert made[0]["patient_id"].equals(made[1]["patient_id"])
    assert made[0]["visit_date"].equals(made[1]["drawn"].alias("visit_date"))
    moved = (made[0]["visit_date"] - pl.Series(when)).dt.total_days()
    for patient in set(who):
        mine = [n for n, p in zip(moved, who, strict=True) if p == patient]
        assert len(set(mine)) == 1
        assert mine[0] != 0
    assert (made[0]["seen_at"] - visits["seen_at"]).dt.total_microseconds().to_list() == [
        n * 86_400_000_000 for n in moved
    ]
    assert made[0]["visit_year"].to_list() == made[0]["visit_date"].dt.year().to_list()


def test_no_shifted_date_shows_an_age_over_89(pseudonyms: Pseudonyms) -> None:
    long_ago = [date(1935, 1, 1) + timedelta(n) for n in range(900)]
    out = deidentify(
        VISITS, rows(VISITS.source, visit_date=long_ago), pseudonyms=pseudonyms, as_of=TODAY, method=Method.EXPERT
    )
    shown = out["visit_date"].drop_nulls()
    assert 0 < len(shown) < 900
    assert shown.min() == date(1936, 7, 1)
    assert out["visit_year"].min() == 1936


@pytest.mark.parametrize("as_of", [date(2024, 2, 29), date(2026, 2, 28), date(2026, 12, 31)])
def test_leap_days_and_year_ends_have_a_day_90_years_ago(as_of: date, pseudonyms: Pseudonyms) -> None:
    out = deidentify(
        VISITS, rows(VISITS.source, visit_date=[date(1999, 1, 1)]), pseudonyms=pseudonyms, as_of=as_of,
        method=Method.EXPERT,
    )  # fmt: skip
    assert out["visit_date"].null_count() == 0


def test_a_date_without_a_day_moves_as_its_middle_and_shows_no_day(pseudonyms: Pseudonyms) -> None:
    out = deidentify(
        LABS, rows(LABS.source, drawn=["1990", "1990-03", "1990-03-04", "4 March"]),
        pseudonyms=pseudonyms, as_of=TODAY, method=Method.EXPERT,
    )  # fmt: skip
    days = timedelta(pseudonyms.patients(pl.Series(["p1"]))["offset_days"].item())
    middles = [date(1990, 7, 2), date(1990, 3, 15), date(1990, 3, 4)]
    assert out["drawn_year"].to_list() == [*((m + days).year for m in middles), None]
    assert out["drawn"].to_list() == [None, None, middles[2] + days, None]


def test_who_is_nobody_gets_no_pseudonym_and_no_shifted_date(pseudonyms: Pseudonyms) -> None:
    """Blank identifiers must not make one patient of all who have none."""
    frame = rows(VISITS.source, patient_id=[None, "", "  "], visit_date=[date(2020, 1, 1)] * 3)
    out = deidentify(VISITS, frame, pseudonyms=pseudonyms, as_of=TODAY, method=Method.EXPERT)
    assert out.select("patient_id", "visit_date", "visit_year").null_count().row(0) == (3, 3, 3)


def test_a_table_of_no_patients_cannot_be_shifted(pseudonyms: Pseudonyms) -> None:
    sites = table(column("opened_date", Phi.DATE, "date"), patient=None)
    frame = rows(sites.source, opened_date=[date(2001, 1, 1)])
    assert deidentify(sites, frame, pseudonyms=pseudonyms, as_of=TODAY)["opened_year"].to_list() == [2001]
    with pytest.raises(InvalidInput, match="no patient's column"):
        deidentify(sites, frame, pseudonyms=pseudonyms, as_of=TODAY, method=Method.EXPERT)


# ---------------------------------------------------------------- the whole table


CANARIES = {
    "patient_id": "CANARY-0001", "name": "Zaphod Canarybrox", "birth_date": "1961-11-23", "zip": "94107",
    "mrn": "CANARY-MRN-9", "phenotype_note": "CANARY-MRN-9 of Zaphod Canarybrox hears voices",
}  # fmt: skip


def subjects() -> pl.DataFrame:
    first = {"sample_id": "s1", "sex": "F", **CANARIES}
    return pl.DataFrame(
        [first, {**first, "sample_id": "s2", "phenotype_note": None}, {**first, "sample_id": "s3", "patient_id": "B"}],
        schema=arrow.polars_schema(LINKED),
    )


@pytest.mark.parametrize("method", list(Method))
def test_the_twin_conforms_holds_no_identifier_and_comes_out_the_same_again(
    method: Method, pseudonyms: Pseudonyms, lake: Lake, settings: Settings
) -> None:
    frame = subjects()
    out = deidentify(CLEAN, frame, pseudonyms=pseudonyms, as_of=TODAY, method=method, scrub=scrub)
    assert arrow.conform(CLEAN, out).equals(out)
    assert all(check.passed for check in validate(CLEAN, out.sort("sample_id")))
    assert out["patient_id"].n_unique() == 2
    assert out["phenotype_note"].to_list() == ["[X] of [X] hears voices", None, "[X] of [X] hears voices"]
    told = out.write_csv().encode() + b"".join(p.read_bytes() for p in settings.home.rglob("*") if p.is_file())
    for value in (*CANARIES.values(), "Zaphod", "CANARY"):
        assert value.encode() not in told
    again = Vault.of(Lake(settings)).open("S1", ACT)
    lazily = deidentify(CLEAN, frame.lazy(), pseudonyms=again, as_of=TODAY, method=method, scrub=scrub)
    assert isinstance(lazily, pl.LazyFrame)
    assert lazily.collect().equals(out)
    shuffled = deidentify(CLEAN, frame.reverse(), pseudonyms=again, as_of=TODAY, method=method, scrub=scrub)
    assert shuffled.reverse().equals(out)


def test_both_methods_have_one_schema(pseudonyms: Pseudonyms) -> None:
    made = [
        deidentify(CLEAN, subjects(), pseudonyms=pseudonyms, as_of=TODAY, method=m, scrub=scrub).schema for m in Method
    ]
    assert made[0] == made[1] == arrow.polars_schema(CLEAN)


def test_no_rows_give_no_rows(pseudonyms: Pseudonyms) -> None:
    out = deidentify(CLEAN, arrow.empty(LINKED), pseudonyms=pseudonyms, as_of=TODAY, scrub=scrub)
    assert out.equals(arrow.empty(CLEAN))


def test_codes_of_other_identifiers_link_tables(pseudonyms: Pseudonyms) -> None:
    codes = {"claim_id": Treatment.TOKEN}
    header, lines = (
        table(column("claim_id", Phi.ACCOUNT, type_, unit), key=key, treatments=codes)
        for key, type_, unit in (("headers", "string", None), ("lines", "int64", "number"))
    )
    of_header = deidentify(header, rows(header.source, claim_id=["7", "8"]), pseudonyms=pseudonyms, as_of=TODAY)
    of_lines = deidentify(lines, rows(lines.source, claim_id=[8, 7, None]), pseudonyms=pseudonyms, as_of=TODAY)
    assert of_lines["claim_id"].to_list() == [*of_header["claim_id"].reverse(), None]
    assert of_header["claim_id"].str.contains("^[a-z2-7]{12}$").all()


@pytest.mark.parametrize("method", list(Method))
def test_arrow_batches_of_workers_give_the_same_rows_without_the_vault(method: Method, pseudonyms: Pseudonyms) -> None:
    frame = subjects()
    whole = deidentify(CLEAN, frame, pseudonyms=pseudonyms, as_of=TODAY, method=method, scrub=scrub)
    work = arrow_batches(CLEAN, look_up(CLEAN, frame, pseudonyms), TODAY, method, lambda: scrub)
    # What Spark sends to a worker is pickled; the functions themselves are by cloudpickle.
    known = pickle.loads(pickle.dumps(look_up(CLEAN, frame, pseudonyms)))
    assert known.people.equals(pseudonyms.patients(frame["patient_id"]))
    batches = [b for part in frame.iter_slices(2) for b in part.to_arrow().to_batches()]
    made = list(work(iter(batches)))
    assert len(made) == 2
    assert pl.DataFrame(pl.from_arrow(made)).equals(whole)
    with pytest.raises(MissingData, match="1 identifiers"):
        list(work(iter(frame.with_columns(patient_id=pl.lit("CANARY-new")).to_arrow().to_batches())))


def test_codes_of_workers_are_those_of_the_vault(pseudonyms: Pseudonyms) -> None:
    claims = table(column("claim_id", Phi.ACCOUNT), treatments={"claim_id": Treatment.TOKEN}, patient=None)
    frame = rows(claims.source, claim_id=["7", "8", None])
    known = look_up(claims, frame, pseudonyms)
    made = [deidentify(claims, frame, pseudonyms=p, as_of=TODAY) for p in (pseudonyms, known)]
    assert made[0].equals(made[1])


def test_after_destruction_nothing_is_made(lake: Lake, pseudonyms: Pseudonyms) -> None:
    deidentify(CLEAN, subjects(), pseudonyms=pseudonyms, as_of=TODAY, scrub=scrub)
    Vault.of(lake).destroy("S1", ACT)
    with pytest.raises(KeyDestroyed):
        deidentify(CLEAN, subjects(), pseudonyms=pseudonyms, as_of=TODAY, scrub=scrub)


def test_other_columns_than_declared_are_refused_all_at_once(pseudonyms: Pseudonyms) -> None:
    frame = subjects().drop("zip").with_columns(mrn=pl.lit(7))
    with pytest.raises(SchemaMismatch) as caught:
        deidentify(CLEAN, frame, pseudonyms=pseudonyms, as_of=TODAY, scrub=scrub)
    assert "zip is missing" in caught.value.found
    assert "mrn is Int32" in caught.value.found


# ---------------------------------------------------------------- free text fails closed


def test_no_scrubber_no_output(pseudonyms: Pseudonyms) -> None:
    with pytest.raises(ScrubFailed, match="no scrubber"):
        deidentify(CLEAN, subjects(), pseudonyms=pseudonyms, as_of=TODAY)


def failing(texts: Sequence[str], patients: object, **_: object) -> Any:
    raise ValueError(f"cannot read {texts[0]}")


@pytest.mark.parametrize(
    "broken",
    [
        failing,
        lambda texts, patients: [],
        lambda texts, patients: scrub(texts, patients) * 2,
        lambda texts, patients: [SimpleNamespace(text=None, withheld=None) for _ in texts],
        lambda texts, patients: list(texts),
        lambda texts, patients: None,
    ],
    ids=["raises", "too_few", "too_many", "no_text", "no_results", "nothing"],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_scrubber_that_fails_lets_nothing_through_and_nothing_is_said(
    broken: Any, lazy: bool, pseudonyms: Pseudonyms
) -> None:
    frame: Any = subjects().lazy() if lazy else subjects()
    with pytest.raises(ScrubFailed) as caught:
        deidentify(CLEAN, frame, pseudonyms=pseudonyms, as_of=TODAY, scrub=broken)
    told = "".join(traceback.format_exception(caught.value))
    assert "CANARY" not in told
    assert "Zaphod" not in told


def test_the_scrubber_hears_what_the_row_knows_and_how_far_its_dates_move(pseudonyms: Pseudonyms) -> None:
    heard: list[Any] = []

    def listen(texts: Sequence[str], patients: Sequence[Mapping[str, Any]], **more: Any) -> list[Any]:
        heard.append((list(texts), list(patients), more))
        return [SimpleNamespace(text="", withheld=None) for _ in texts]

    frame = subjects().head(2)
    deidentify(CLEAN, frame, pseudonyms=pseudonyms, as_of=TODAY, scrub=listen)
    deidentify(CLEAN, frame, pseudonyms=pseudonyms, as_of=TODAY, scrub=listen, method=Method.EXPERT)
    record = {k: v for k, v in CANARIES.items() if k != "phenotype_note"}
    days = pseudonyms.patients(pl.Series([CANARIES["patient_id"]]))["offset_days"].item()
    asked = ([CANARIES["phenotype_note"]], [record])
    assert heard == [(*asked, {}), (*asked, {"day_offsets": [days]})]


# ---------------------------------------------------------------- bronze to silver_phi


def test_typed_trims_reads_dates_and_keeps_every_row() -> None:
    frame = pl.DataFrame(
        {
            "sample_id": ["s1", "s2", "s3"], "patient_id": [" a", "a ", "b"], "name": ["", "  ", " X "],
            "birth_date": ["11/23/1961", "31.02.1980", None], "sex": ["M"] * 3, "zip": ["94107"] * 3, "mrn": ["1"] * 3,
            "phenotype_note": ["  text  ", "", None],
        },
        schema=arrow.polars_schema(SUBJECTS),
    )  # fmt: skip
    made, faults = typed(LINKED, frame)
    assert arrow.conform(LINKED, made).equals(made)
    assert [c.name for c in validate(LINKED, made) if not c.passed] == []
    assert made["birth_date"].to_list() == ["1961-11-23", None, None]
    assert made["patient_id"].to_list() == ["a", "a", "b"]
    assert made["name"].to_list() == [None, None, "X"]
    assert made["phenotype_note"].to_list() == ["  text  ", "", None]
    assert faults.rows() == [(1, "birth_date", DATE_NOT_READ)]


@pytest.mark.parametrize(
    ("told", "iso"),
    [
        ("1985-03-04", "1985-03-04"), ("1985-03-04T10:11:12Z", "1985-03-04"), ("1985-03-04 10:11", "1985-03-04"),
        ("19850304", "1985-03-04"), ("1985/03/04", "1985-03-04"), ("4-MAR-1985", "1985-03-04"),
        ("04MAR1985", "1985-03-04"), ("4 March 1985", "1985-03-04"), ("March 4, 1985", "1985-03-04"),
        ("mar 4 1985", "1985-03-04"), ("04.03.1985", "1985-03-04"), ("3/4/1985", "1985-03-04"),
        ("1985", "1985"), ("1985-03", "1985-03"), (" 1985-03-04 ", "1985-03-04"),
        ("3/4/85", None), ("1985-13-01", None), ("1985-02-30", None), ("1985-13", None), ("0085-03-04", None),
        ("", None), ("unknown", None), ("2985-01-01", None), (None, None),
    ],
)  # fmt: skip
def test_dates_are_read_as_people_write_them(told: str | None, iso: str | None) -> None:
    assert iso_dates(pl.Series("d", [told], dtype=pl.String)).to_list() == [iso]


def test_the_order_of_day_and_month_is_that_of_the_delivery() -> None:
    def read(*told: str) -> list[str | None]:
        return iso_dates(pl.Series(told)).to_list()

    assert read("03/04/1985", "12/25/1985") == ["1985-03-04", "1985-12-25"]
    assert read("03/04/1985", "25/12/1985") == ["1985-04-03", "1985-12-25"]
    # Both orders occur: what could be either is not guessed.
    assert read("03/04/1985", "25/12/1985", "12/25/1985", "05/05/1985") == [
        None, "1985-12-25", "1985-12-25", "1985-05-05",
    ]  # fmt: skip


@given(st.dates(date(1850, 1, 1), date(2150, 12, 31)), st.sampled_from(["%Y-%m-%d", "%Y%m%d", "%d-%b-%Y", "%B %d, %Y"]))
def test_any_date_of_a_sure_form_is_read(day: date, form: str) -> None:
    assert iso_dates(pl.Series([day.strftime(form)])).to_list() == [day.isoformat()]


# ---------------------------------------------------------------- real notes' records


@pytest.mark.skipif(not NOTES.is_file(), reason=f"no notes in {NOTES}: set LSDATA_TEST_DATA")
def test_no_identifier_of_a_real_record_is_left(pseudonyms: Pseudonyms) -> None:
    records = (
        pl.read_ndjson(NOTES, infer_schema_length=None)
        .filter(pl.col("patient").is_not_null())
        .select(pl.col("patient").struct.unnest(), sample_id=pl.col("id"))
    )
    classes = {
        "first": Phi.NAME, "last": Phi.NAME, "dob": Phi.DATE, "mrn": Phi.MRN, "ssn": Phi.SSN, "phone": Phi.PHONE,
        "email": Phi.EMAIL, "street": Phi.GEOGRAPHY, "city": Phi.GEOGRAPHY, "zip": Phi.GEOGRAPHY,
        "plan_id": Phi.HEALTH_PLAN, "account": Phi.ACCOUNT, "pcp": Phi.NAME,
    }  # fmt: skip
    declared = table(*(column(name, phi) for name, phi in classes.items()))
    frame = records.select(declared.source.names)
    out = deidentify(declared, frame, pseudonyms=pseudonyms, as_of=TODAY, method=Method.EXPERT)
    assert out.height == frame.height > 100
    assert out["patient_id"].n_unique() == frame["patient_id"].n_unique()
    told = set(out.drop("sample_id", "deid_method").write_csv().replace("\n", ",").split(","))
    known = {v for name in ("patient_id", *classes) for v in frame[name] if v and len(v) > 4}
    # A shifted date may be the true one of somebody else.
    assert not told & {v for v in known if not v[:4].isdigit() or v.count("-") != 2}
    years = out["dob_year"].drop_nulls()
    assert years.min() >= TODAY.year - 90  # type: ignore[operator]
