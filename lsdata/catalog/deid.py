"""Clinical notes and their de-identified twin (contract B6). What links both to people is in the vault, not here."""

from dataclasses import replace

from lsdata.catalog.declaration import (
    Column,
    Dataset,
    Engine,
    Gxp,
    Landing,
    Partition,
    Phi,
    Residency,
    Retention,
    Sensitivity,
)
from lsdata.catalog.twin import twin

_none = Phi.NONE

REDACTIONS = (
    "NAME", "INITIALS", "USERNAME", "DATE", "AGE90", "LOCATION", "FACILITY", "EMPLOYER", "ZIP", "PHONE", "FAX", "EMAIL",
    "URL", "IP", "SSN", "MRN", "HEALTH_PLAN", "ACCOUNT", "LICENSE", "VEHICLE", "DEVICE", "BIOMETRIC", "OTHER_ID",
)  # fmt: skip
"""What is taken out of text, by the tag that takes its place: the i2b2 2014 categories by Safe Harbor paragraph."""

BY_DELIVERY = Partition(name="delivery_id", doc="Deliveries of notes.", landing="notes")

NOTES = Dataset(
    key="bronze/deid/notes",
    doc="Clinical notes as received, with what the sender's records know of the patient. Raw PHI: stewards only.",
    grain="one row per line of a delivery",
    primary_key=("delivery_id", "line"),
    sensitivity=Sensitivity.PHI,
    gxp=Gxp.NONE,
    retention=Retention(years=6, basis="45 CFR 164.316(b)(2)(i)"),
    residency=Residency.ANY,
    owner="privacy",
    engine=Engine.POLARS,
    partition=BY_DELIVERY,
    landing=(Landing(pattern="notes/{partition}/*.jsonl", doc='{"id", "text", "patient": {known} or null}'),),
    columns=(
        Column(name="delivery_id", type="string", phi=_none, doc="Folder the note was delivered in."),
        Column(
            name="line", type="int64", phi=_none, unit="1-based line", minimum=1,
            doc="Line, counted over the delivery's files in the order of their names.",
        ),
        Column(name="id", type="string", phi=_none, doc="The sender's code of the note; it must not identify anybody."),
        Column(name="text", type="string", phi=Phi.FREE_TEXT, nullable=True, doc="The note."),
        Column(
            name="patient", type="string", phi=Phi.OTHER_ID, nullable=True,
            doc="JSON object of the patient's known identifiers; null where the sender knows none.",
        ),
    ),
)  # fmt: skip


def _scrubbed(clean: Dataset) -> Dataset:
    counts = (
        Column(
            name=f"n_redactions{'_' + kind.lower() if kind else ''}", type="int64", phi=_none, unit="count",
            minimum=0, doc=f"Redactions of type {kind} in the text." if kind else "Redactions in the text.",
        )
        for kind in ("", *REDACTIONS)
    )  # fmt: skip
    return replace(clean, columns=(*clean.columns, *counts))


NOTES_SCRUBBED = _scrubbed(twin(NOTES, patient=None, quasi_identifiers=()))
"""`silver/deid/notes`. Bound by hand: the patient's identifiers lie in one column, and redactions are counted."""
