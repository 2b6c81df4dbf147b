"""The demonstration's notes: invented people, one delivery by Safe Harbor and one with dates that move."""

import json
from collections.abc import Callable

import polars as pl

from lsdata.catalog.deid import NOTES_SCRUBBED
from lsdata.lake.lake import Lake
from lsdata.settings import Settings

_JUNO = {"patient_id": "P-1001", "first": "Juno", "last": "Quillfeather", "dob": "2018-03-14", "mrn": "MRN0048213"}
_BARNABY = {
    "patient_id": "P-1004", "first": "Barnaby", "last": "Oxtoby", "dob": "1931-01-30", "mrn": "MRN0051877",
    "phone": "603-555-0187", "zip": "03601",
}  # fmt: skip
_NOTES = {
    "clinic-2025": [
        ("c-1", "Juno Quillfeather (MRN0048213, DOB 3/14/2018) seen by Dr. Amara Okonkwo on November 3, 2025 with "
                "global delay. Mother Odette can be reached at 617-555-0142. Continue levetiracetam 250 mg.", _JUNO),
        ("c-2", "Mr. Oxtoby, 94, came from Acworth, NH 03601 on 11/05/2025 with arrhythmia. Call 603.555.0187. "
                "Apixaban 2.5 mg twice daily. bo/ao", _BARNABY),
        ("c-3", "Outside letter without a record: reviewed with the referring practice, no change of therapy.", None),
    ],
    "registry": [
        ("r-1", "Juno was admitted on 2025-11-10 and discharged on 2025-11-17; EEG on 11/12/2025 was normal.", _JUNO),
    ],
}  # fmt: skip
_SETTINGS = {"registry": "method: expert\n"}


def land(settings: Settings, log: Callable[[str], None]) -> None:
    """Land two deliveries of notes, unless they have been landed."""
    root = settings.path("landing") / "notes"
    if root.exists():
        return
    for delivery, notes in _NOTES.items():
        folder = root / delivery
        folder.mkdir(parents=True)
        (folder / "delivery.yaml").write_text(_SETTINGS.get(delivery, "method: safe_harbor\n"))
        lines = [json.dumps({"id": name, "text": text, "patient": record}) for name, text, record in notes]
        (folder / "notes.jsonl").write_text("\n".join(lines) + "\n")
    log(f"Landed {sum(map(len, _NOTES.values()))} clinical notes of invented people in {len(_NOTES)} deliveries.")


def report(lake: Lake) -> str:
    """The notes as they are after scrubbing."""
    notes = lake.read(NOTES_SCRUBBED.key).sort("delivery_id", "source_line").collect()
    lines = ["", "De-identified notes", "-------------------"]
    for delivery, method, patient, text in notes.select("delivery_id", "deid_method", "patient", "text").iter_rows():
        lines.append(f"{delivery} ({method}), patient {patient or '-'}: {text}")
    kept = [value for record in (_JUNO, _BARNABY) for value in record.values()]
    texts = " ".join(notes["text"].drop_nulls())
    left = pl.Series(kept).filter(pl.Series([value in texts for value in kept])).len()
    return "\n".join([*lines, f"Identifiers of the records that are left: {left} of {len(kept)}."])
