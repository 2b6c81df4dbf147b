"""De-identification in the graph: subjects and notes land, and nothing that says who they are gets any further."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdata.lake.lake import Lake
from lsdata.settings import Settings

ROOT = Path(__file__).parents[2]
PATIENT = {
    "patient_id": "PX-7741902",
    "first": "Zaphodia",
    "last": "Quillfeather",
    "dob": "1961-03-14",
    "mrn": "MRN5590812",
    "phone": "617-555-0142",
    "email": "zaphodia.q@example.org",
    "zip": "02139",
}
CANARIES = ("Zaphodia", "Quillfeather", "7741902", "5590812", "555-0142", "zaphodia.q", "1961-03-14", "03/14/1961")
SUBJECTS = (
    "sample_id,patient_id,name,birth_date,sex,zip,mrn,phenotype_note\n"
    "S1,PX-7741902,Zaphodia Quillfeather,1961-03-14,F,02139,MRN5590812,"
    '"Ms. Quillfeather (MRN5590812) was seen on 05/02/2020 with palpitations."\n'
    "S2,PX-2,Arthur Dentwell,not a date,M,03601,MRN2,\n"
)
NOTE = (
    "Patient Zaphodia Quillfeather, DOB 03/14/1961, MRN5590812, was admitted on April 2, 2020 and discharged on "
    "04/12/2020. Call 617.555.0142 or zaphodia.q@example.org. She takes metoprolol 25 mg twice daily."
)


def line(name: str, text: str | None, patient: dict[str, str] | None = PATIENT) -> str:
    return json.dumps({"id": name, "text": text, "patient": patient})


class Home:
    """A home that is worked on as a user would."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.said = ""

    def land(self, path: str, text: str | bytes) -> None:
        place = self.folder / "landing" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)

    def run(self, *command: str, fails: bool = False) -> str:
        made = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT, env=os.environ | {"LSDATA_HOME": str(self.folder)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.said += made.stdout + made.stderr
        assert (made.returncode != 0) == fails, made.stdout[-3000:] + made.stderr[-3000:]
        return made.stdout + made.stderr

    def sensors(self, **how: Any) -> str:
        return self.run("-m", "sensors", "--domain", "deid", "--domain", "genomics", "--verbose", **how)

    @property
    def lake(self) -> Lake:
        return Lake(Settings(home=self.folder))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("deid"))
    made.land("subjects.csv", SUBJECTS)
    bad = ["{broken", '{"text": "no id"}', '{"id": "n9", "text": 5}']
    lines = [line("n1", NOTE), line("n2", None), line("n1", "Same id, other text."), line("n3", "No record.", None)]
    made.land("notes/first/a.jsonl", "\n".join([*lines, *bad]) + "\n")
    made.land("notes/first/scan.pdf", b"%PDF Quillfeather")
    made.land("notes/second/b.jsonl", line("m1", NOTE) + "\n")
    made.land("notes/second/delivery.yaml", "method: expert\n")
    made.land("notes/invented/d.jsonl", line("x1", "Seen by Dr. Amara Okonkwo.", None) + "\n" + line("x2", NOTE) + "\n")
    made.land("notes/invented/delivery.yaml", "output: surrogates\n")
    made.sensors()
    return made


def test_subjects_get_their_twin_without_identifiers(home: Home) -> None:
    typed = home.lake.read("silver_phi/genomics/subjects").sort("sample_id").collect()
    assert typed["birth_date"].to_list() == ["1961-03-14", None]
    twin = home.lake.read("silver/genomics/subjects").sort("sample_id").collect()
    assert twin["sample_id"].to_list() == ["S1", "S2"]
    assert twin["birth_year"].to_list() == [1961, None]
    assert twin["birth_date"].null_count() == 2
    assert twin["zip"].to_list() == ["021", "000"]
    assert set(twin["deid_method"]) == {"safe_harbor"}
    assert "palpitations" in twin["phenotype_note"][0]
    assert not {"name", "mrn"} & set(twin.columns)


def test_notes_are_scrubbed_line_by_line_and_bad_ones_kept_with_the_reason(home: Home) -> None:
    notes = home.lake.read("silver/deid/notes", ["first"]).sort("source_line").collect()
    assert notes["id"].to_list() == ["n1", "n2", "n1", "n3"]
    assert notes["text"].is_null().to_list() == [False, True, False, False]
    assert "metoprolol 25 mg twice daily" in notes["text"][0]
    for tag in ("[NAME]", "[DATE]", "[MRN]", "[PHONE]", "[EMAIL]"):
        assert tag in notes["text"][0]
    assert notes["n_redactions"][0] == sum(notes[c][0] for c in notes.columns if c.startswith("n_redactions_"))
    rejects = {told["code"]: told for told in home.lake.quarantine.open("deid")}
    assert set(rejects) == {"lines_refused", "not_json_lines"}
    assert rejects["lines_refused"]["found"] == "line 5: not JSON; line 6: no id; line 7: text is no text"
    folder = home.folder / "quarantine" / rejects["lines_refused"]["path"]
    assert (folder / "a.refused.jsonl").read_bytes().startswith(b"{broken\n")
    assert (home.folder / "files/silver/deid/notes/first/deid_report.html").exists()


def test_expert_moves_all_dates_of_a_patient_alike_and_keeps_intervals(home: Home) -> None:
    (text,) = home.lake.read("silver/deid/notes", ["second"]).collect()["text"]
    assert "[DATE]" not in text
    found = text.split("admitted on ")[1].split(" and discharged on ")
    admitted, discharged = found[0], found[1][:10]
    parsed = pl.Series([admitted]).str.to_date("%B %-d, %Y")[0], pl.Series([discharged]).str.to_date("%m/%d/%Y")[0]
    assert (parsed[1] - parsed[0]).days == (date(2020, 4, 12) - date(2020, 4, 2)).days
    assert parsed[0] != date(2020, 4, 2)


def test_invented_names_stand_also_where_nobody_is_known(home: Home) -> None:
    texts = home.lake.read("silver/deid/notes", ["invented"]).sort("source_line").collect()["text"]
    assert "[" not in texts[0]
    assert not {"Amara", "Okonkwo"} & set(texts[0].replace(".", "").split())
    assert "metoprolol 25 mg" in texts[1]


def test_one_patient_is_one_pseudonym_in_tables_and_deliveries(home: Home) -> None:
    (subject,) = home.lake.read("silver/genomics/subjects").filter(sample_id="S1").collect()["patient_id"]
    notes = home.lake.read("silver/deid/notes").collect()
    assert set(notes["patient"].drop_nulls()) == {subject}
    assert notes.filter(id="n3")["patient"].to_list() == [None]


def test_no_identifier_is_in_anything_that_the_runs_wrote(home: Home) -> None:
    lake = home.lake
    for key in ("silver/genomics/subjects", "silver/deid/notes"):
        text = lake.read(key).collect().write_json()
        assert not [c for c in CANARIES if c.lower() in text.lower()], key
    assert not [c for c in CANARIES if c in home.said]
    assert home.lake.ledger.verify().ok
    raw = {"landing", "lake", "quarantine"}
    leaks = [
        (path.relative_to(home.folder).as_posix(), canary)
        for path in home.folder.rglob("*")
        if path.is_file() and path.relative_to(home.folder).parts[0] not in raw
        for canary in CANARIES
        if canary.encode() in path.read_bytes()
    ]
    assert not leaks
    # PHI lies where stewards alone look, and nowhere else in the lake.
    for table in {p.parent.relative_to(home.folder / "lake") for p in (home.folder / "lake").rglob("_delta_log")}:
        logs = b"".join(p.read_bytes() for p in (home.folder / "lake" / table / "_delta_log").glob("*.json"))
        if table.parts[0] not in ("bronze", "silver_phi"):
            assert not [c for c in CANARIES if c.encode() in logs], table


def test_a_rerun_gives_the_same_and_says_there_is_nothing_to_do(home: Home) -> None:
    before = {k: home.lake.read(k).collect() for k in ("silver/genomics/subjects", "silver/deid/notes")}
    assert "Nothing to do" in home.sensors()
    materialize = ["-m", "dagster", "asset", "materialize", "-f", "definitions.py", "--select"]
    home.run(*materialize, "silver/genomics/subjects")
    home.run(*materialize, "silver/deid/notes", "--partition", "first")
    for key, frame in before.items():
        keys = [c for c in ("sample_id", "delivery_id", "source_line") if c in frame.columns]
        assert home.lake.read(key).collect().sort(keys).equals(frame.sort(keys)), key


def test_after_the_keys_are_destroyed_nothing_links_and_later_runs_refuse(home: Home) -> None:
    home.run("-m", "lsdata.cli", "vault", "destroy", "--study", "default", "--reason", "retention is over")
    home.land("notes/third/c.jsonl", line("k1", NOTE) + "\n")
    said = home.sensors(fails=True)
    assert "KeyDestroyed" in said or "destroyed" in said
    assert home.lake.read("silver/deid/notes", ["third"]).collect().is_empty()
    assert [e.subject for _, e in home.lake.ledger.entries() if e.action == "destroy_key"]
    assert not [c for c in CANARIES if c in home.said]
