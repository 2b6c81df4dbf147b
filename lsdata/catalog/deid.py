"""De-identification of free text: clinical notes as delivered, and scrubbed (contract B6)."""

from lsdata.catalog.declaration import (
    Column,
    Dataset,
    Engine,
    Expectation,
    FileKind,
    Gxp,
    Landing,
    Partition,
    Phi,
    Residency,
    Retention,
    Sensitivity,
    Upstream,
)
from lsdata.catalog.twin import PSEUDONYM, Method

TEXT_TYPES = (
    "NAME", "DATE", "LOCATION", "FACILITY", "EMPLOYER", "ZIP", "AGE90", "PHONE", "FAX", "EMAIL", "URL", "IP", "SSN",
    "MRN", "HEALTH_PLAN", "ACCOUNT", "LICENSE", "VEHICLE", "DEVICE", "BIOMETRIC", "OTHER_ID", "INITIALS", "USERNAME",
)  # fmt: skip
"""What is found in free text: the identifiers of 45 CFR 164.514(b)(2)(i), and clinicians' initials and user names."""

_none = Phi.NONE
_CARE = Retention(years=6, basis="45 CFR 164.316(b)(2)(i)")
_DELIVERY = Column(name="delivery_id", type="string", phi=_none, doc="Delivery: the name of its folder.")
_FILE = Column(name="source_file", type="string", phi=_none, doc="Path of the file below the delivery's folder.")
_LINE = Column(name="source_line", type="int64", phi=_none, unit="line number", minimum=1, doc="Line of the file.")
_ID = Column(
    name="id",
    type="string",
    phi=_none,
    doc="Identifier of the note, as delivered; the sender sees to it that it is no patient's.",
)
_STUDY = Column(name="study", type="string", phi=_none, doc="Study under whose keys the delivery is de-identified.")
_METHOD = Column(
    name="deid_method", type="string", phi=_none, codelist=tuple(Method),
    doc="How the delivery is de-identified, 45 CFR 164.514(b): safe_harbor is (2), expert is (1).",
)  # fmt: skip
_OUTPUT = Column(
    name="deid_output", type="string", phi=_none, codelist=("tags", "surrogates"),
    doc="What stands in place of an identifier: its type, or an invented one.",
)  # fmt: skip

BY_NOTES_DELIVERY = Partition(
    name="notes_delivery", column="delivery_id", doc="Deliveries of clinical notes.", landing="notes"
)

NOTES = Dataset(
    key="bronze/deid/notes",
    doc="Clinical notes as delivered, with what their senders know of the patients. Raw PHI: stewards only.",
    grain="one row per line of a delivered file",
    primary_key=("delivery_id", "source_file", "source_line"),
    sensitivity=Sensitivity.PHI,
    gxp=Gxp.NONE,
    retention=_CARE,
    residency=Residency.ANY,
    owner="privacy",
    engine=Engine.POLARS,
    partition=BY_NOTES_DELIVERY,
    landing=(Landing(pattern="notes/{partition}/**", doc="*.jsonl[.gz] with id, text, patient; delivery.yaml."),),
    columns=(
        _DELIVERY, _FILE, _LINE, _ID,
        Column(name="text", type="string", phi=Phi.FREE_TEXT, nullable=True, doc="The note."),
        Column(
            name="patient", type="string", phi=Phi.OTHER_ID, nullable=True,
            doc="Known identifiers of the patient, as JSON; null where the note came without.",
        ),
        _STUDY, _METHOD, _OUTPUT,
    ),
    expectations=(
        Expectation(name="has_text", doc="The note has text.", rule="text IS NOT NULL", blocking=False),
    ),
)  # fmt: skip

NOTES_SCRUBBED = Dataset(
    key="silver/deid/notes",
    doc="Clinical notes without identifiers.",
    grain=NOTES.grain,
    primary_key=NOTES.primary_key,
    sensitivity=Sensitivity.DEIDENTIFIED,
    gxp=Gxp.NONE,
    retention=_CARE,
    residency=Residency.ANY,
    owner="privacy",
    engine=Engine.POLARS,
    deidentifies=True,
    partition=BY_NOTES_DELIVERY,
    upstream=(Upstream(key=NOTES.key, by="delivery_id"),),
    columns=(
        _DELIVERY, _FILE, _LINE, _ID,
        Column(
            name="patient", type="string", phi=_none, nullable=True, pattern=PSEUDONYM,
            source=(f"{NOTES.key}.patient",),
            doc="Pseudonym of the patient: random, from the vault, one for all tables and texts of a study.",
        ),
        Column(
            name="text", type="string", phi=_none, nullable=True, source=(f"{NOTES.key}.text", f"{NOTES.key}.patient"),
            doc="The scrubbed note; null where there was none or it is withheld.",
        ),
        Column(
            name="withheld", type="string", phi=_none, nullable=True, source=(f"{NOTES.key}.text",),
            doc="Why nothing is given out (short code); null where the text is.",
        ),
        Column(
            name="n_redactions", type="int64", phi=_none, unit="count", minimum=0, source=(f"{NOTES.key}.text",),
            doc="Pieces that were replaced.",
        ),
        *(
            Column(
                name=f"n_redactions_{kind.lower()}", type="int64", phi=_none, unit="count", minimum=0,
                source=(f"{NOTES.key}.text",), doc=f"Pieces of type {kind} that were replaced.",
            )
            for kind in TEXT_TYPES
        ),
        _STUDY, _METHOD, _OUTPUT,
    ),
    files=(FileKind(name="deid_report.html", format="HTML", doc="What was replaced, and a sample to look through."),),
    expectations=(
        Expectation(
            name="not_withheld", doc="Every note could be scrubbed and is given out.", rule="withheld IS NULL",
            blocking=False,
        ),
    ),
)  # fmt: skip
