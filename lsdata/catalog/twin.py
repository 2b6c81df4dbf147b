"""The de-identified twin of a dataset: a declaration that follows from the source's PHI classes.

What happens to a column is its `Treatment`; `lsdata.deid.structured` carries out what is declared here. One schema
serves both methods: a date column `x_date` becomes `x_year`, which Safe Harbor may keep, and a shifted `x_date`, which
is null under Safe Harbor.

Source: 45 CFR 164.514(b)(2)(i)(A)-(R), and HHS OCR, Guidance Regarding Methods for De-identification of PHI (2012).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lsdata.catalog.declaration import (
    NUMERIC,
    Column,
    Dataset,
    Engine,
    Expectation,
    Layer,
    Phi,
    Sensitivity,
    Upstream,
)
from lsdata.errors import DeclarationError

AGE_CAP_YEARS = 90
"""Ages over 89 are one category, "age 90 or older": 164.514(b)(2)(i)(C)."""

ISO_DATE = r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?"
"""ISO 8601 date, complete or cut after the month or the year, as in SDTM --DTC."""

PSEUDONYM = r"[a-z2-7]{12}"
"""60 random bits in lower-case base32 (RFC 4648 section 6)."""


class Method(StrEnum):
    """How a delivery is de-identified, 45 CFR 164.514(b)."""

    SAFE_HARBOR = "safe_harbor"
    EXPERT = "expert"


class Treatment(StrEnum):
    """What becomes of a column."""

    KEEP = "keep"
    REMOVE = "remove"
    PSEUDONYM = "pseudonym"  # the patient's, from the vault
    TOKEN = "token"  # a random code for each distinct value, from the vault
    ZIP3 = "zip3"  # ZIP code to its first three digits, or 000
    DATE = "date"  # year, and the shifted date
    YEAR = "year"  # a number that is a calendar year
    AGE = "age"  # 90 stands for 90 and over
    SCRUB = "scrub"  # free text, through a scrubber


_YEARS = frozenset({"year", "years", "a", "yr", "yrs"})
AGE_CAPS: Mapping[str, int] = {
    **dict.fromkeys(_YEARS, AGE_CAP_YEARS),
    **dict.fromkeys(("month", "months", "mo"), AGE_CAP_YEARS * 12),
    **dict.fromkeys(("week", "weeks", "wk"), AGE_CAP_YEARS * 52),
    **dict.fromkeys(("day", "days", "d"), AGE_CAP_YEARS * 365),
}
"""The age from which all are one, by the column's unit. Rounded down where a year is no whole number of units."""

_DEMOGRAPHIC = frozenset({"sex", "gender", "race", "ethnicity", "ethnic"})


def words(name: str) -> frozenset[str]:
    """The words of a column name, lower case: of `BENE_ZIP_CD`, `ageAtVisit`, `zip5`."""
    return frozenset(w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def treatment(column: Column) -> Treatment:
    """What becomes of a column, by its PHI class, type and name.

    The name only tells a ZIP code from other places, and an age or a year from other numbers of class `date`. A name
    that misleads costs the value and nothing else: what is no ZIP code becomes 000, another place is removed.
    """
    named = words(column.name)
    match column.phi:
        case Phi.NONE:
            return Treatment.KEEP
        case Phi.FREE_TEXT if column.type == "string":
            return Treatment.SCRUB
        case Phi.GEOGRAPHY if named & {"zip", "zipcode", "postal", "postcode"} and column.type in (
            "string", "int32", "int64",
        ):  # fmt: skip
            return Treatment.ZIP3
        case Phi.DATE if "age" in named and (column.type == "string" or column.unit in AGE_CAPS):
            return Treatment.AGE
        case Phi.DATE if column.type in ("int32", "int64") and named & {"year", "yr", "yob", "yod"}:
            return Treatment.YEAR
        case Phi.DATE if column.type in ("string", "date", "timestamp"):
            return Treatment.DATE
        case _:
            return Treatment.REMOVE


@dataclass(frozen=True, kw_only=True)
class Twin(Dataset):
    """A dataset that `lsdata.deid.structured.deidentify` makes from another.

    Args:
        source: the dataset with PHI.
        patient: the source's column that says who a row is about; None where rows are about nobody in particular.
        treatments: of every column of the source.
        quasi_identifiers: columns of the twin that together may single a person out: what the risk report is about.
        sensitive: columns of the twin that nobody should be able to infer.
    """

    source: Dataset
    patient: str | None
    treatments: Mapping[str, Treatment] = field(hash=False)
    quasi_identifiers: tuple[str, ...]
    sensitive: tuple[str, ...] = ()

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        for name in sorted({*self.quasi_identifiers, *self.sensitive} - set(self.names)):
            yield f"{name} is to be looked at for risk and is not a column"


def typed(dataset: Dataset) -> Dataset:
    """`silver_phi` of a bronze dataset: the same columns with their PHI, dates given as text in ISO 8601."""
    return replace(
        dataset,
        key=_key(Layer.SILVER_PHI, dataset),
        doc=f"{dataset.doc} Typed: dates are ISO 8601, identifiers are trimmed, so that they link.",
        columns=tuple(
            c.but(pattern=ISO_DATE, nullable=True, doc=f"{c.doc} ISO 8601; null where that cannot be read.")
            if c.type == "string" and treatment(c) is Treatment.DATE
            else c
            for c in dataset.columns
        ),
        upstream=(_from(dataset),),
        landing=(),
        files=(),
        engine=Engine.POLARS,
        kinds=(),
        pool=None,
    )


def twin(
    dataset: Dataset,
    *,
    patient: str | None,
    treatments: Mapping[str, Treatment] | None = None,
    quasi_identifiers: tuple[str, ...] | None = None,
    sensitive: tuple[str, ...] = (),
    key: str | None = None,
) -> Twin:
    """The de-identified twin of a dataset with PHI, in layer silver.

    Args:
        patient: the column that identifies the patient; None where there is none.
        treatments: where a column is not to be treated as its PHI class says. A column with PHI cannot be kept.
        quasi_identifiers: by default all that is generalised, and sex, race and ethnicity.
        key: by default `silver/<domain>/<name>`.

    Raises:
        DeclarationError: the source has no PHI, a treatment does not fit its column, or what is left has no key.
    """
    chosen = dict(treatments or {})
    done = {c.name: chosen.pop(c.name, _default(dataset, c, patient)) for c in dataset.columns}
    if faults := [*_twin_faults(dataset, patient, done), *(f"{name} is not a column" for name in sorted(chosen))]:
        raise DeclarationError(
            dataset.key,
            found="; ".join(faults),
            allowed="see lsdata.catalog.twin",
            do="Correct what is declared of the twin.",
        )
    columns = [made for c in dataset.columns for made in _treated(dataset, c, done[c.name])]
    looked_at = {Treatment.ZIP3, Treatment.DATE, Treatment.YEAR, Treatment.AGE}
    # Of a date the year: who knows the true date knows the shifted one to two years at best.
    by_default = [
        year_name(c.name) if done[c.name] is Treatment.DATE else c.name
        for c in dataset.columns
        if done[c.name] in looked_at or (done[c.name] is Treatment.KEEP and words(c.name) & _DEMOGRAPHIC)
    ]
    removed = [name for name, how in done.items() if how is Treatment.REMOVE]
    changed = {name for name, how in done.items() if how is not Treatment.KEEP}
    return Twin(
        key=key or _key(Layer.SILVER, dataset),
        doc=f"De-identified twin of {dataset.key}: {dataset.grain}, without {', '.join(removed) or 'any identifier'}.",
        grain=dataset.grain,
        columns=(*columns, _METHOD),
        primary_key=dataset.primary_key,
        sensitivity=Sensitivity.DEIDENTIFIED,
        gxp=dataset.gxp,
        retention=dataset.retention,
        residency=dataset.residency,
        owner=dataset.owner,
        engine=Engine.POLARS,
        partition=dataset.partition,
        upstream=(_from(dataset),),
        expectations=tuple(e for e in dataset.expectations if not _mentions(e, changed)),
        deidentifies=True,
        source=dataset,
        patient=patient,
        treatments=done,
        quasi_identifiers=tuple(by_default) if quasi_identifiers is None else quasi_identifiers,
        sensitive=sensitive,
    )


def twins(dataset: Dataset, *, patient: str | None, **declared: object) -> tuple[Dataset, Twin]:
    """`silver_phi` and `silver` of a bronze dataset: `SUBJECTS_TYPED, SUBJECTS_TWIN = twins(SUBJECTS, patient=...)`."""
    linked = typed(dataset)
    return linked, twin(linked, patient=patient, **declared)  # pyright: ignore[reportArgumentType] - twin checks them


_METHOD = Column(
    name="deid_method",
    type="string",
    phi=Phi.NONE,
    codelist=tuple(Method),
    constant="the setting or the delivery's own",
    doc="How the row was de-identified, 45 CFR 164.514(b): safe_harbor is (2), expert is (1).",
)


def _key(layer: Layer, dataset: Dataset) -> str:
    return f"{layer}/{dataset.domain}/{dataset.name}"


def _from(dataset: Dataset) -> Upstream:
    return Upstream(key=dataset.key, by=dataset.partition.column if dataset.partition else None)


def _mentions(expectation: Expectation, names: set[str]) -> bool:
    return not names.isdisjoint(re.findall(r"\w+", expectation.rule))


def _default(dataset: Dataset, column: Column, patient: str | None) -> Treatment:
    if column.name == patient:
        return Treatment.PSEUDONYM
    found = treatment(column)
    # A removed identifier would leave rows without a key.
    return Treatment.TOKEN if found is Treatment.REMOVE and column.name in dataset.primary_key else found


def _twin_faults(dataset: Dataset, patient: str | None, done: Mapping[str, Treatment]) -> Iterator[str]:
    if dataset.sensitivity is not Sensitivity.PHI:
        yield f"declared {dataset.sensitivity}: there is nothing to de-identify"
    if patient is not None and patient not in done:
        yield f"the patient's column {patient} is not a column"
    for column in dataset.columns:
        how, name = done[column.name], column.name
        if how is Treatment.KEEP and column.phi is not Phi.NONE:
            yield f"{name} is of class {column.phi} and cannot be kept"
        if (how is Treatment.PSEUDONYM) != (name == patient):
            yield f"{name}: a pseudonym is for the patient's column, and that gets nothing else"
        if column.type not in _FITS.get(how, (column.type,)):
            yield f"{name} is {column.type} and cannot be treated as {how}"
        if how is Treatment.AGE and column.type in NUMERIC and column.unit not in AGE_CAPS:
            yield f"{name} is an age in {column.unit}; known are {', '.join(AGE_CAPS)}"
        if name in dataset.primary_key and how not in (Treatment.KEEP, Treatment.PSEUDONYM, Treatment.TOKEN):
            yield f"{name} is in the primary key and would not stay unique as {how}: key the rows by a number"
    if dataset.partition and done.get(dataset.partition.column) is not Treatment.KEEP:
        yield f"the partition column {dataset.partition.column} identifies a person"


_FITS: Mapping[Treatment, tuple[str, ...]] = {
    Treatment.PSEUDONYM: ("string", "int32", "int64"),
    Treatment.TOKEN: ("string", "int32", "int64"),
    Treatment.ZIP3: ("string", "int32", "int64"),
    Treatment.DATE: ("string", "date", "timestamp"),
    Treatment.YEAR: ("int32", "int64"),
    Treatment.AGE: ("string", "int32", "int64", "float64"),
    Treatment.SCRUB: ("string",),
}


def year_name(name: str) -> str:
    """Name of the column that holds the year of a date: `birth_date` -> `birth_year`, `RFSTDTC` -> `RFST_YEAR`."""
    stem = re.sub(r"(?i)_?(date_?time|timestamp|date|dtc|dtm|dt)$", "", name) or name
    return f"{stem}_YEAR" if name.isupper() else f"{stem}_year"


def _treated(dataset: Dataset, column: Column, how: Treatment) -> Iterator[Column]:
    """The twin's columns of one column of the source."""
    bare = column.but(
        phi=Phi.NONE, source=(f"{dataset.key}.{column.name}",),
        unit=None, codelist=None, pattern=None, minimum=None, maximum=None, vocabulary=None,
    )  # fmt: skip
    match how:
        case Treatment.REMOVE:
            return
        case Treatment.KEEP:
            yield column
        case Treatment.PSEUDONYM:
            yield bare.but(
                type="string",
                pattern=PSEUDONYM,
                doc="Pseudonym of the patient: random, from the vault, one for all tables and texts of a study.",
            )
        case Treatment.TOKEN:
            yield bare.but(
                type="string",
                pattern=PSEUDONYM,
                doc=f"Random code in place of {column.name}, from the vault; the same for the same value of a study.",
            )
        case Treatment.ZIP3:
            yield bare.but(
                type="string",
                pattern="[0-9]{3}|[0-9]xx",
                doc="First three digits of the ZIP code, 000 where 20,000 people or fewer live there or nobody does; "
                "one digit and xx where generalised.",
            )
        case Treatment.DATE:
            yield bare.but(
                name=year_name(column.name),
                type="int32",
                unit="calendar year",
                nullable=True,
                doc=f"{column.doc} Year; 90 years before the data were de-identified stands for that and all before.",
            )
            yield bare.but(
                type="timestamp" if column.type == "timestamp" else "date",
                nullable=True,
                doc=f"{column.doc} Shifted by the patient's offset; null under safe_harbor, where incomplete, and "
                "where it shows an age over 89.",
            )
        case Treatment.YEAR:
            yield bare.but(
                unit=column.unit,
                nullable=True,
                doc=f"{column.doc} 90 years before the data were de-identified stands for that and all before.",
            )
        case Treatment.AGE:
            cap = AGE_CAPS.get(column.unit or "")
            yield bare.but(
                unit=column.unit,
                minimum=column.minimum,
                maximum=cap,
                nullable=True,
                doc=f"{column.doc} {'90+' if cap is None else cap} stands for 90 years and over.",
            )
        case Treatment.SCRUB:
            yield bare.but(nullable=True, doc=f"{column.doc} Scrubbed of identifiers.")
