"""The de-identified twin of a dataset follows from its PHI classes."""

from dataclasses import replace

import pytest

from lsdata.catalog import Column, Dataset, Expectation, Layer, Partition, Phi, Sensitivity
from lsdata.catalog.genomics import COHORTS, SUBJECTS
from lsdata.catalog.twin import Treatment, Twin, treatment, twin, twins, typed, year_name
from lsdata.errors import DeclarationError


def column(name: str, phi: Phi, type_: str = "string", unit: str | None = None) -> Column:
    return Column(name=name, type=type_, phi=phi, unit=unit, doc="A column.", nullable=True)  # type: ignore[arg-type]


def test_subjects_get_both_twins_from_one_line() -> None:
    linked, clean = twins(SUBJECTS, patient="patient_id")
    assert (linked.key, clean.key) == ("silver_phi/genomics/subjects", "silver/genomics/subjects")
    assert linked.names == SUBJECTS.names
    assert clean.names == (
        "sample_id", "patient_id", "birth_year", "birth_date", "sex", "zip", "phenotype_note", "deid_method"
    )  # fmt: skip
    assert clean.sensitivity is Sensitivity.DEIDENTIFIED
    assert clean.layer is Layer.SILVER
    assert [c.name for c in clean.columns if c.phi is not Phi.NONE] == []
    assert [u.key for u in clean.upstream] == [linked.key]
    assert clean.quasi_identifiers == ("birth_year", "sex", "zip")
    assert not clean.landing


@pytest.mark.parametrize("phi", [p for p in Phi if p is not Phi.NONE])
@pytest.mark.parametrize("type_", ["string", "int64", "float64", "bool", "date", "timestamp", "list<string>"])
def test_no_class_of_identifier_is_ever_kept(phi: Phi, type_: str) -> None:
    made = column("x", phi, type_, "number" if type_ in ("int64", "float64") else None)
    assert treatment(made) is not Treatment.KEEP
    declared = replace(SUBJECTS, columns=(SUBJECTS.column("sample_id"), made))
    clean = twin(declared, patient=None)
    assert clean.treatments["x"] is treatment(made)
    assert all(c.phi is Phi.NONE for c in clean.columns)


@pytest.mark.parametrize(
    ("made", "how"),
    [
        (column("zip", Phi.GEOGRAPHY), Treatment.ZIP3),
        (column("BENE_ZIP_CD", Phi.GEOGRAPHY), Treatment.ZIP3),
        (column("postalCode", Phi.GEOGRAPHY, "int64", "code"), Treatment.ZIP3),
        (column("city", Phi.GEOGRAPHY), Treatment.REMOVE),
        (column("latitude", Phi.GEOGRAPHY, "float64", "deg"), Treatment.REMOVE),
        (column("birth_date", Phi.DATE, "date"), Treatment.DATE),
        (column("age", Phi.DATE, "int32", "year"), Treatment.AGE),
        (column("ageAtVisit", Phi.DATE, "float64", "month"), Treatment.AGE),
        (column("stage", Phi.DATE, "int32", "year"), Treatment.REMOVE),
        (column("year_of_birth", Phi.DATE, "int32", "calendar year"), Treatment.YEAR),
        (column("month_of_birth", Phi.DATE, "int32", "month"), Treatment.REMOVE),
        (column("note", Phi.FREE_TEXT), Treatment.SCRUB),
        (column("notes", Phi.FREE_TEXT, "list<string>"), Treatment.REMOVE),
    ],
    ids=lambda v: v.name if isinstance(v, Column) else v,
)
def test_class_type_and_name_say_what_becomes_of_a_column(made: Column, how: Treatment) -> None:
    assert treatment(made) is how


def test_an_identifier_in_the_key_becomes_a_code_not_a_hole() -> None:
    claims = replace(
        SUBJECTS, columns=(*SUBJECTS.columns, column("claim_id", Phi.ACCOUNT).but(nullable=False)),
        primary_key=("claim_id",),
    )  # fmt: skip
    assert twin(claims, patient="patient_id").treatments["claim_id"] is Treatment.TOKEN


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        ({"patient": "person"}, "person is not a column"),
        ({"patient": "mrn", "treatments": {"name": Treatment.KEEP}}, "name is of class name and cannot be kept"),
        ({"patient": "mrn", "treatments": {"mrn": Treatment.TOKEN}}, "mrn: a pseudonym is for the patient's column"),
        ({"patient": None, "treatments": {"mrn": Treatment.PSEUDONYM}}, "mrn: a pseudonym"),
        ({"patient": None, "treatments": {"plate": Treatment.REMOVE}}, "plate is not a column"),
        ({"patient": None, "treatments": {"sample_id": Treatment.REMOVE}}, "sample_id is in the primary key"),
        ({"patient": None, "quasi_identifiers": ("zip5",)}, "zip5 is to be looked at"),
    ],
)
def test_a_twin_that_cannot_hold_is_refused(declared: dict[str, object], found: str) -> None:
    with pytest.raises(DeclarationError, match=found):
        twin(SUBJECTS, **declared)  # type: ignore[arg-type]


def test_a_dataset_without_phi_has_no_twin() -> None:
    with pytest.raises(DeclarationError, match="nothing to de-identify"):
        twin(COHORTS, patient=None)


def test_a_date_in_the_key_or_a_person_as_partition_is_refused() -> None:
    visit = column("visit_date", Phi.DATE, "date").but(nullable=False)
    with pytest.raises(DeclarationError, match="would not stay unique"):
        twin(replace(SUBJECTS, columns=(*SUBJECTS.columns, visit), primary_key=("visit_date",)), patient=None)
    by_patient = replace(
        SUBJECTS, partition=Partition(name="patient_id", doc="Patients."), primary_key=("patient_id", "sample_id")
    )
    with pytest.raises(DeclarationError, match="partition column patient_id identifies a person"):
        twin(by_patient, patient="patient_id")


def test_rules_about_what_was_changed_do_not_outlive_it() -> None:
    rules = tuple(
        Expectation(name=name, doc="A rule.", rule=rule, blocking=True)
        for name, rule in (("kept", "sex IN ('M', 'F')"), ("gone", "length(zip) = 5 AND sex = 'M'"))
    )
    assert [e.name for e in twin(replace(SUBJECTS, expectations=rules), patient=None).expectations] == ["kept"]


def test_the_key_of_a_partition_goes_down_with_it() -> None:
    cut = replace(
        SUBJECTS, partition=Partition(name="sample_id", doc="Samples."), primary_key=("sample_id",),
    )  # fmt: skip
    linked, clean = twins(cut, patient="patient_id")
    assert [u.by for u in (*linked.upstream, *clean.upstream)] == ["sample_id", "sample_id"]


def test_a_twin_is_a_dataset_and_can_be_refined_as_one() -> None:
    clean = twin(SUBJECTS, patient="patient_id")
    moved = replace(clean, key="silver/rwe/people")
    assert isinstance(moved, Twin)
    assert isinstance(moved, Dataset)
    assert moved.source == SUBJECTS
    assert hash(moved) != hash(clean)


@pytest.mark.parametrize(
    ("name", "year"),
    [("birth_date", "birth_year"), ("RFSTDTC", "RFST_YEAR"), ("birthDateTime", "birth_year"), ("dob", "dob_year"),
     ("date", "date_year"), ("CLM_FROM_DT", "CLM_FROM_YEAR")],
)  # fmt: skip
def test_the_year_of_a_date_has_a_name_of_its_own(name: str, year: str) -> None:
    assert year_name(name) == year


def test_typed_dates_are_iso() -> None:
    assert typed(SUBJECTS).column("birth_date").pattern
    assert typed(SUBJECTS).column("name") == SUBJECTS.column("name")
