"""What a sequencing core is sent: the good samples go on, the bad ones are kept with the reason, nothing crashes."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdata.catalog.genomics import COHORTS, FASTQ_MANIFEST, SEQUENCING_RUNS, SUBJECTS
from lsdata.errors import InvalidInput
from lsdata.genomics import intake
from lsdata.lake.content import rows_sha256
from lsdata.lake.inputs import Inputs
from lsdata.lake.work import Outcome

RUN = "20260105_A01234_0057_BHCOREXX"
PLACE = f"sequencing/{RUN}"
SAMPLES = ("A", "B", "C")
RUN_INFO = f"""<?xml version="1.0"?><RunInfo Version="6"><Run Id="{RUN}" Number="57"><Flowcell>HCOREXX</Flowcell>
<Instrument>A01234</Instrument><Date>2026-01-05T10:00:00Z</Date></Run></RunInfo>""".encode()


def reads(sample: str, mate: int = 1, n: int = 8) -> bytes:
    bases = ("ACGTTGCAAC", "GGGTTTACCA")[mate - 1]
    return "".join(f"@{sample}:{i} {mate}:N:0:AC\n{bases}\n+\nIIIIIIIIII\n" for i in range(n)).encode()


def shuffled(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    return b"".join(b"".join(lines[i : i + 4]) for i in range(len(lines) - 4, -1, -4))


def gz(text: bytes) -> bytes:
    return gzip.compress(text, mtime=0)


def open_bgzf(text: bytes) -> bytes:
    """BGZF without the empty block at its end."""
    made = subprocess.run(["bgzip", "-c"], input=text, capture_output=True, check=True).stdout
    return made.removesuffix(made[-28:])


def path_of(sample: str, mate: int = 1, lane: int = 1) -> str:
    return f"fastq/{sample}_S{SAMPLES.index(sample) + 1}_L{lane:03}_R{mate}_001.fastq.gz"


def sheet(*rows: str) -> bytes:
    return "\n".join(("[Data]", "Lane,Sample_ID", *(rows or (f"1,{s}" for s in SAMPLES)))).encode() + b"\n"


def delivery() -> dict[str, bytes]:
    fastqs = {path_of(s, mate): gz(reads(s, mate)) for s in SAMPLES for mate in (1, 2)}
    return {"SampleSheet.csv": sheet(), "CopyComplete.txt": b"", **fastqs}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


Files = dict[str, bytes]
B1, B2 = path_of("B", 1), path_of("B", 2)
BAD_CRC = bytearray(gz(reads("B")))
BAD_CRC[-6] ^= 0xFF
BAD_DATA = bytearray(gz(reads("B", n=4000)))
BAD_DATA[200:210] = b"\xff" * 10


@dataclass(frozen=True)
class Case:
    """A delivery with a fault in it.

    Args:
        change: files by path, None for one that is gone; or a function for what is no content.
        kept: (code, path of the file that is kept) of all that is refused.
        accepted: samples that go on.
    """

    change: Mapping[str, bytes | None] | Callable[[Path], object]
    kept: Sequence[tuple[str, str | None]]
    accepted: str = "AC"


def link(at: str, to: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / at).unlink(missing_ok=True)
        (folder / at).symlink_to(to)

    return change


def folder_called(at: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / at).unlink()
        (folder / at).mkdir()
        (folder / at / "notes.txt").write_text("not reads")

    return change


def sums(**changed: str) -> bytes:
    """An md5sum.txt of all files; `B1` is another sum for B's read 1."""
    good = delivery()
    told = {path: md5(content) for path, content in good.items() if path.endswith(".gz")}
    return "".join(f"{changed.get('B1', m) if p == B1 else m}  {p}\n" for p, m in told.items()).encode()


CASES = {
    "nothing_wrong": Case({}, [], "ABC"),
    # bcl2fastq2 writes no marker; that the mates agree shows that nothing is missing.
    "bgzf_without_its_end": Case({B1: open_bgzf(reads("B")), B2: open_bgzf(reads("B", 2))}, [], "ABC"),
    "bgzf_without_its_end_nor_mate": Case(
        {B1: open_bgzf(reads("B")), B2: None, path_of("A", 2): None, path_of("C", 2): None}, [("truncated_gzip", B1)]
    ),
    "bgzf_without_its_end_nor_mate_but_its_md5": Case(
        {
            B1: open_bgzf(reads("B")), B2: None, path_of("A", 2): None, path_of("C", 2): None,
            f"{B1}.md5": md5(open_bgzf(reads("B"))).encode(),
        },
        [],
        "ABC",
    ),
    "bgzf_cut_between_blocks": Case(
        {B1: open_bgzf(reads("B", n=7))}, [("mates_unequal", B2), ("truncated_gzip", B1)]
    ),
    "truncated_gzip": Case({B1: gz(reads("B"))[:-20]}, [("truncated_gzip", B1)]),
    "truncated_inside_the_trailer": Case({B2: gz(reads("B", 2))[:-3]}, [("truncated_gzip", B2)]),
    "wrong_crc": Case({B1: bytes(BAD_CRC)}, [("corrupt_gzip", B1)]),
    "damaged_inside": Case({B1: bytes(BAD_DATA)}, [("corrupt_gzip", B1)]),
    "html_instead_of_reads": Case({B1: b"<html>404</html>"}, [("not_fastq", B1)]),
    "zip_instead_of_gzip": Case({B1: b"PK\x03\x04rest"}, [("not_fastq", B1)]),
    "text_in_gzip": Case({B1: gz(b"no reads at all\n")}, [("malformed_fastq", B1)]),
    "quality_too_short": Case({B1: gz(reads("B").replace(b"IIIIIIIIII", b"III", 1))}, [("malformed_fastq", B1)]),
    "cut_in_a_record_but_whole_gzip": Case({B1: gz(reads("B")[:-30])}, [("malformed_fastq", B1)]),
    "garbage_after_the_gzip": Case({B1: gz(reads("B")) + b"garbage"}, [("corrupt_gzip", B1)]),
    "plain_text_named_gz": Case({B1: reads("B")}, [], "ABC"),
    "several_gzip_members": Case({B1: gz(reads("B")[:-40]) + gz(reads("B")[-40:])}, [], "ABC"),
    "windows_line_ends": Case({B1: gz(reads("B").replace(b"\n", b"\r\n"))}, [], "ABC"),
    "empty_file": Case({B1: b""}, [("fastq_empty", B1), ("mates_unequal", B2)]),
    "gzip_of_nothing": Case({B1: gz(b""), B2: gz(b"")}, [("fastq_empty", B1), ("fastq_empty", B2)]),
    "reads_without_bases": Case(
        {B1: gz(b"@B:0\n\n+\n\n"), B2: gz(b"@B:0\nA\n+\nI\n")}, [("fastq_empty", B1)]
    ),
    "wrong_md5": Case({"md5sum.txt": sums(B1="0" * 32)}, [("md5_differs", B1)]),
    "upper_case_md5": Case({"md5sum.txt": re.sub(rb"(?m)^\\w+", lambda told: told[0].upper(), sums())}, [], "ABC"),
    "md5_of_a_file_that_is_not_there": Case(
        {"md5sum.txt": sums() + b"0" * 32 + b"  gone_R1.fastq.gz\n" + b"1" * 32 + b"  gone_R2.fastq.gz\n"},
        [("md5_not_understood", "md5sum.txt")],
        "ABC",
    ),
    "md5_file_that_is_none": Case({"x.md5": b"\x00\x01 what?\n"}, [("md5_not_understood", "x.md5")], "ABC"),
    "md5_twice_and_different": Case(
        {"md5sum.txt": sums(), "md5.txt": sums(B1="1" * 32)},
        [("md5_differs", B1), ("md5_not_understood", "md5sum.txt")],
    ),
    "mates_of_unequal_number": Case({B2: gz(reads("B", 2, n=7))}, [("mates_unequal", B2)]),
    "mates_of_another_sample": Case({B2: gz(reads("C", 2))}, [("mate_names_differ", B2)]),
    "mates_sorted_differently": Case(
        {B2: gz(shuffled(reads("B", 2)))},
        [("mate_names_differ", B2)],
    ),
    "only_read_2": Case({B1: None}, [("read_2_without_read_1", B2)]),
    "read_2_alone_in_one_lane": Case(
        {path_of("B", 2, lane=2): gz(reads("B", 2))}, [("read_2_without_read_1", path_of("B", 2, lane=2))]
    ),
    "read_1_alone_in_one_lane": Case(
        {path_of("B", 1, lane=2): gz(reads("B"))}, [("read_1_without_read_2", path_of("B", 1, lane=2))]
    ),
    "single_reads_beside_pairs_of_another_sample": Case({B2: None}, [], "ABC"),
    "read_2_lost_by_an_instrument": Case(
        {B2: None, "RunInfo.xml": RUN_INFO, "RunParameters.xml": b"<RunParameters/>", "RTAComplete.txt": b""},
        [("read_1_without_read_2", B1)],
    ),
    "sample_not_in_the_sheet": Case(
        {"fastq/Z_S9_L001_R1_001.fastq.gz": gz(reads("Z"))},
        [("sample_not_in_sheet", "fastq/Z_S9_L001_R1_001.fastq.gz")],
        "ABC",
    ),
    "sample_twice_in_a_lane": Case(
        {"SampleSheet.csv": sheet("1,A", "1,B", "1,B", "1,C")}, [("duplicate_sample_id", "SampleSheet.csv")]
    ),
    "sample_without_files": Case({B1: None, B2: None}, []),
    "same_file_in_two_folders": Case(
        {f"again/{Path(B1).name}": gz(reads("B"))}, [("duplicate_file", f"again/{Path(B1).name}")], "ABC"
    ),
    "other_reads_of_a_lane_in_two_folders": Case(
        {f"topup/{Path(p).name}": gz(reads("B2", m)) for m, p in ((1, B1), (2, B2))},
        [("duplicate_file", B1.replace("fastq/", "topup/", 1)), ("duplicate_file", B2.replace("fastq/", "topup/", 1))],
    ),
    "folder_with_blanks_and_umlauts": Case(
        {B1: None, B2: None, B1.replace("fastq", "Läuf 1 (neu)", 1): gz(reads("B")),
         B2.replace("fastq", "Läuf 1 (neu)", 1): gz(reads("B", 2))},
        [],
        "ABC",
    ),
    "blank_in_the_sample_name": Case(
        {"fastq/B C_S9_L001_R1_001.fastq.gz": gz(reads("B"))},
        [("sample_not_in_sheet", "fastq/B C_S9_L001_R1_001.fastq.gz")],
        "ABC",
    ),
    "very_long_name": Case(
        {f"fastq/{'x' * 200}_R1.fastq.gz": gz(reads("B"))},
        [("sample_not_in_sheet", f"fastq/{'x' * 200}_R1.fastq.gz")],
        "ABC",
    ),
    "name_without_a_mate": Case(
        {"fastq/B.fastq.gz": gz(reads("B"))}, [("unreadable_name", "fastq/B.fastq.gz")], "ABC"
    ),
    "name_that_is_not_utf8": Case(
        lambda folder: (folder / os.fsdecode(b"fastq/B\xff_R1.fastq.gz")).write_bytes(gz(reads("B"))),
        [("unreadable_name", None)],
        "ABC",
    ),
    "undetermined_and_index_reads": Case(
        {"fastq/Undetermined_S0_L001_R1_001.fastq.gz": b"junk", "fastq/B_S2_L001_I1_001.fastq.gz": b"junk"}, [], "ABC"
    ),
    "hidden_half_copy": Case({"fastq/.B_S2_L001_R1_001.fastq.gz.part": b"junk", "fastq/._x.fastq.gz": b"j"}, [], "ABC"),
    "link_to_a_file": Case(
        lambda folder: [(folder / B1).rename(folder / "store"), (folder / B1).symlink_to(folder / "store")], [], "ABC"
    ),
    "link_to_nothing": Case(link(B1, "/nowhere/at/all"), [("read_2_without_read_1", B2)]),
    "link_to_the_whole_disk": Case(link("everything", "/"), [], "ABC"),
    "link_to_itself": Case(link("loop", "."), [], "ABC"),
    "folder_named_like_a_file": Case(folder_called(B1), [("read_2_without_read_1", B2)]),
    "file_that_cannot_be_read": Case(link(B1, "/proc/self/mem"), [("file_not_readable", None)]),
}  # fmt: skip


def deliver(folder: Path, case: Case) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    files: dict[str, bytes | None] = {**delivery()}
    if isinstance(case.change, Mapping):
        files |= case.change
    for path, content in files.items():
        if content is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    if not isinstance(case.change, Mapping):
        case.change(folder)


def process(desk: Any) -> Outcome | InvalidInput:
    """Both steps of the intake, as often as the graph would."""
    made = desk.run(SEQUENCING_RUNS, intake.sequencing_runs)
    assert isinstance(made, Outcome)
    return desk.run(FASTQ_MANIFEST, intake.fastq_manifest, RUN)


def state(desk: Any, run: str = RUN) -> dict[str, Any]:
    return desk.lake.read(SEQUENCING_RUNS.key).filter(pl.col("run_id") == run).collect().row(0, named=True)


def manifest(desk: Any) -> pl.DataFrame:
    return desk.lake.read(FASTQ_MANIFEST.key, [RUN]).collect()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_kept(desk: Any, told: Mapping[str, Any], original: Path | None) -> None:
    """Quarantine holds the bytes as they came, beside a reason that says four things."""
    folder = desk.lake.quarantine.place.root / told["path"]
    assert all(told[part].strip() for part in ("code", "where", "found", "allowed", "do"))
    assert json.loads((folder / "reason.json").read_text())["code"] == told["code"]
    assert [f["name"] for f in told["files"]] == ([original.name] if original else [])
    if original:
        assert told["files"][0]["sha256"] == sha256(original) == sha256(folder / original.name)


@pytest.mark.parametrize("name", CASES)
def test_a_bad_sample_waits_and_the_others_go_on(name: str, desk: Any) -> None:
    case, folder = CASES[name], desk.landing / PLACE
    deliver(folder, case)
    made = process(desk)
    assert isinstance(made, Outcome)
    assert state(desk)["state"] == "ready"
    assert sorted(set(manifest(desk)["sample_id"])) == sorted(case.accepted)
    assert desk.codes() == sorted(code for code, _ in case.kept)
    for code, path in case.kept:
        there = [t for t in desk.open() if t["code"] == code and t["where"].startswith(f"{PLACE}/{path or ''}")]
        check_kept(desk, there[0], folder / path if path else None)

    # Again: nothing is other than before.
    rows, told = rows_sha256(manifest(desk), ["path"]), [{**t, "quarantined_at": ""} for t in desk.open()]
    process(desk)
    assert rows_sha256(manifest(desk), ["path"]) == rows
    assert [{**t, "quarantined_at": ""} for t in desk.open()] == told

    # Delivered again as it should be: everything goes on, and what was refused is marked so.
    deliver(folder, CASES["nothing_wrong"])
    process(desk)
    assert sorted(set(manifest(desk)["sample_id"])) == list(SAMPLES)
    assert desk.codes() == []
    reasons = list(desk.lake.quarantine.place.root.rglob("reason.json"))
    assert all(json.loads(reason.read_text())["resolved_at"] for reason in reasons)
    assert bool(reasons) == bool(case.kept)


def test_manifest_holds_what_was_delivered(desk: Any) -> None:
    deliver(desk.landing / PLACE, Case({"md5sum.txt": sums(), "run.yaml": b"reference: hg19\n"}, []))
    made = process(desk)
    assert isinstance(made, Outcome)
    for row in manifest(desk).iter_rows(named=True):
        path = desk.landing / PLACE / row["path"]
        content = path.read_bytes()
        assert (row["bytes"], row["md5"], row["sha256"]) == (len(content), md5(content), sha256(path))
        assert (row["reads"], row["bases"], row["q30_bases"], row["min_len"], row["max_len"]) == (8, 80, 80, 10, 10)
        assert row["gc_bases"] == 8 * sum(base in "GC" for base in ("ACGTTGCAAC", "GGGTTTACCA")[row["read"] == "R2"])
        assert (row["mates_agree"], row["md5_delivered"], row["reference"]) == (True, True, "hg19")
    assert set(made.landed) >= {f"{PLACE}/{p}" for p in delivery() if p != "CopyComplete.txt"}
    assert made.landed[f"{PLACE}/{B1}"] == sha256(desk.landing / PLACE / B1)


# ---------------------------------------------------------------- sheets


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + sheet(),
        sheet("1,A", "1,B", "1,C").replace(b"\n", b"\r\n"),
        "[Header]\nInvestigator,Jürgen Müller\n".encode("cp1252") + sheet(),
        b"[Header]\nFileFormatVersion,2\n[BCLConvert_Data]\nLane,Sample_ID\n1,A\n1,B\n1,C\n",
    ],
    ids=["bom", "crlf", "cp1252", "v2"],
)
def test_sheets_of_every_origin_are_read(data: bytes, desk: Any) -> None:
    deliver(desk.landing / PLACE, Case({"SampleSheet.csv": data}, []))
    process(desk)
    assert set(manifest(desk)["sample_id"]) == set(SAMPLES)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><RunInfo><Run Id="&b;"/></RunInfo>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><RunInfo><Run Id="&a;"/></RunInfo>'
RUNS = {
    "path_traversal": ({"SampleSheet.csv": sheet("1,../../etc/passwd")}, "sheet_bad_sample_id"),
    "sample_id_with_a_blank": ({"SampleSheet.csv": sheet("1,Jane Doe 1970-01-01")}, "sheet_bad_sample_id"),
    "sheet_is_a_spreadsheet": ({"SampleSheet.csv": b"PK\x03\x04\x00\x00binary"}, "sheet_binary"),
    "sheet_is_empty": ({"SampleSheet.csv": b""}, "sheet_not_understood"),
    "sheet_without_samples": ({"SampleSheet.csv": b"[Data]\nLane,Sample_ID\n"}, "sheet_empty"),
    "yaml_with_a_path": ({"run.yaml": b"reference: ../../x\n"}, "run_yaml_not_understood"),
    "yaml_bomb": ({"run.yaml": b"a: &a [x,x]\nb: &b [*a,*a]\nreference: [*b,*b]\n"}, "run_yaml_not_understood"),
    "run_info_missing": ({"RTAComplete.txt": b"", "RunParameters.xml": b"<RunParameters/>"}, "run_info_missing"),
    "xml_bomb": ({"RunInfo.xml": BOMB, "RTAComplete.txt": b""}, "run_info_not_readable"),
    "xml_from_outside": ({"RunInfo.xml": OUTSIDE, "RTAComplete.txt": b""}, "run_info_not_readable"),
    "xml_cut": ({"RunInfo.xml": RUN_INFO[:60], "RTAComplete.txt": b""}, "run_info_not_readable"),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_bad_run_waits_and_the_others_go_on(name: str, desk: Any) -> None:
    changed, code = RUNS[name]
    deliver(desk.landing / PLACE, CASES["nothing_wrong"])
    bad = desk.landing / "sequencing/bad_run"
    deliver(bad, Case(changed, []))
    for _ in range(2):
        assert isinstance(process(desk), Outcome)
        assert state(desk)["state"] == "ready"
        told = state(desk, "bad_run")
        assert (told["state"], told["code"]) == ("quarantined", code)
        assert "passwd" not in told["reason"]
        assert desk.codes() == [code]
        [kept] = desk.open()
        assert {f["name"]: f["sha256"] for f in kept["files"]} == {
            p.name: sha256(p) for p in bad.iterdir() if p.is_file() and p.suffix != ".gz"
        }
    assert "bad_run" not in Inputs(desk.lake).partitions(FASTQ_MANIFEST.partition)

    deliver(bad, CASES["nothing_wrong"])
    process(desk)
    assert state(desk, "bad_run")["state"] == "ready"
    assert desk.codes() == []


def test_a_huge_run_info_is_refused_and_kept(desk: Any) -> None:
    bad = desk.landing / "sequencing/bad_run"
    deliver(bad, Case({"RTAComplete.txt": b""}, []))
    with (bad / "RunInfo.xml").open("wb") as stream:
        stream.truncate(65 * 2**20)
    desk.run(SEQUENCING_RUNS, intake.sequencing_runs)
    assert state(desk, "bad_run")["code"] == "file_too_large"
    [kept] = desk.open()
    assert ("RunInfo.xml", 65 * 2**20) in {(f["name"], f["bytes"]) for f in kept["files"]}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"CopyComplete.txt": None}, "copying"),
        ({"CopyComplete.txt": None, "copycomplete.txt": b""}, "ready"),
        ({"SampleSheet.csv": None}, "awaiting_sheet"),
        ({"SampleSheet.csv": None, "samplesheet.CSV": sheet()}, "ready"),
        ({path: None for path in delivery() if path.endswith(".gz")}, "awaiting_fastq"),
        ({"RunInfo.xml": RUN_INFO, "RunParameters.xml": b"<RunParameters/>"}, "copying"),
        ({"RunInfo.xml": RUN_INFO, "runParameters.xml": b"<RunParameters/>", "rtacomplete.txt": b""}, "ready"),
    ],
)
def test_states_of_a_run(files: Mapping[str, bytes | None], expected: str, desk: Any) -> None:
    deliver(desk.landing / PLACE, Case(files, []))
    desk.run(SEQUENCING_RUNS, intake.sequencing_runs)
    assert state(desk)["state"] == expected
    assert desk.codes() == []
    if expected == "ready":
        assert isinstance(process(desk), Outcome)


def test_a_folder_that_cannot_be_listed_does_not_stop_the_others(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(desk.landing / PLACE, CASES["nothing_wrong"])
    deliver(desk.landing / "sequencing/bad_run", CASES["nothing_wrong"])
    listed = intake.runs.list_folder

    def list_folder(path: Path) -> Any:
        if path.name == "bad_run":
            raise InvalidInput("bad_run", code="folder_not_readable", found="denied", allowed="a folder", do="Give it.")
        return listed(path)

    monkeypatch.setattr(intake.runs, "list_folder", list_folder)
    desk.run(SEQUENCING_RUNS, intake.sequencing_runs)
    assert (state(desk)["state"], state(desk, "bad_run")["state"]) == ("ready", "quarantined")
    assert desk.codes() == ["folder_not_readable"]


def test_a_file_of_no_sample_is_refused_with_the_samples_there_are(desk: Any) -> None:
    files = {**delivery(), "fastq/Z_S9_L001_R1_001.fastq.gz": gz(reads("A"))}
    for path, content in files.items():
        desk.land(f"{PLACE}/{path}", content)
    process(desk)
    [kept] = desk.open()
    assert kept["allowed"] == "FASTQs named for a sample of the sheet: A, B, C"


def test_a_second_copy_is_refused_with_its_sample_and_the_file_that_is_used(desk: Any) -> None:
    files = {**delivery(), f"again/{Path(B1).name}": gz(reads("B"))}
    for path, content in files.items():
        desk.land(f"{PLACE}/{path}", content)
    process(desk)
    [kept] = desk.open()
    assert kept["found"] == f"read 1 of B, lane 1, chunk 1, once more: {B1} is used"


def test_a_corrected_sheet_brings_back_what_it_left_out(desk: Any) -> None:
    deliver(desk.landing / PLACE, Case({"SampleSheet.csv": sheet("1,A", "1,C")}, []))
    process(desk)
    assert set(manifest(desk)["sample_id"]) == {"A", "C"}
    assert desk.codes() == ["sample_not_in_sheet"] * 2
    desk.land(f"{PLACE}/SampleSheet.csv", sheet())
    process(desk)
    assert set(manifest(desk)["sample_id"]) == set(SAMPLES)
    assert desk.codes() == []


@pytest.mark.parametrize("gone", ["CopyComplete.txt", "SampleSheet.csv"])
def test_a_run_that_is_no_longer_ready_is_refused_without_a_copy_of_its_reads(gone: str, desk: Any) -> None:
    for path, content in delivery().items():
        desk.land(f"{PLACE}/{path}", content)
    assert isinstance(desk.run(SEQUENCING_RUNS, intake.sequencing_runs), Outcome)
    (desk.landing / PLACE / gone).unlink()
    refused = desk.run(FASTQ_MANIFEST, intake.fastq_manifest, RUN)
    assert isinstance(refused, InvalidInput)
    [kept] = desk.open()
    assert {f["name"] for f in kept["files"]} == {"CopyComplete.txt", "SampleSheet.csv"} - {gone}


def test_all_samples_bad_is_an_empty_manifest_and_no_crash(desk: Any) -> None:
    deliver(desk.landing / PLACE, Case({path: b"junk" for path in delivery() if path.endswith(".gz")}, []))
    made = process(desk)
    assert isinstance(made, Outcome)
    assert manifest(desk).is_empty()
    assert desk.codes() == ["not_fastq"] * 6
    assert made.notes["samples_refused"] == "A, B, C"


# ---------------------------------------------------------------- cohorts


def cohorts(desk: Any, data: bytes) -> Outcome | InvalidInput:
    desk.land("cohorts.csv", data)
    return desk.run(COHORTS, intake.cohorts)


@pytest.mark.parametrize(
    "data",
    [
        b"cohort_id,sample_id\nfam,A\nfam,B\n",
        b"\xef\xbb\xbfcohort_id,sample_id\r\nfam,A\r\nfam,B\r\n",
        b" cohort_id , sample_id ,\n fam , A ,\n\n,,\nfam,B\nfam,B\n",
        b'note,sample_id,cohort_id\n"of two,\nlines",A,fam\nx,B,fam',
        "note,cohort_id,sample_id\nMüller,fam,A\nx,fam,B\n".encode("cp1252"),
    ],
    ids=["plain", "bom_crlf", "blanks_and_repeats", "other_columns_and_order", "cp1252"],
)
def test_cohorts_of_every_origin_are_read(data: bytes, desk: Any) -> None:
    made = cohorts(desk, data)
    assert isinstance(made, Outcome)
    assert set(made.rows.iter_rows()) == {("fam", "A"), ("fam", "B")}
    assert desk.codes() == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b",B", "cohort_id empty"),
        (b"fam", "sample_id empty"),
        (b"fam,../../etc", "sample_id cannot be a name"),
        (b"fam 1,B", "cohort_id cannot be a name"),
        (b"a...b,B", "cohort_id cannot be a name"),
        (b"fam,B,C", "more cells than columns"),
        (b"fam,B\x00", "sample_id cannot be a name"),
        (b"fam,Undetermined", "sample_id cannot be a name"),
    ],
)
def test_a_bad_line_of_cohorts_waits_and_the_others_go_on(line: bytes, fault: str, desk: Any) -> None:
    data = b"cohort_id,sample_id\nfam,A\n" + line + b"\nfam,C\n"
    made = cohorts(desk, data)
    assert isinstance(made, Outcome)
    assert set(made.rows["sample_id"]) == {"A", "C"}
    [kept] = desk.open()
    assert (kept["code"], kept["found"]) == ("rows_refused", f"line 3: {fault}")
    check_kept(desk, kept, desk.landing / "cohorts.csv")
    cohorts(desk, b"cohort_id,sample_id\nfam,A\n")
    assert desk.codes() == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "header_not_understood"),
        (b"cohort,sample\nfam,A\n", "header_not_understood"),
        (b"cohort_id;sample_id\nfam;A\n", "header_not_understood"),
        (b"cohort_id,sample_id,sample_id\nfam,A,B\n", "header_not_understood"),
        ("cohort_id,sample_id\nfam,A\n".encode("utf-16"), "header_not_understood"),
        (b'cohort_id,sample_id\nfam,"A\nfam,B\nfam,C\n', "not_csv"),
        (b"cohort_id,sample_id\nfam," + b"A" * 200_000 + b"\n", "not_csv"),
    ],
    ids=["empty", "other_names", "semicolons", "column_twice", "utf16", "stray_quote", "huge_cell"],
)
def test_a_table_that_cannot_be_understood_leaves_the_last_one(data: bytes, code: str, desk: Any) -> None:
    cohorts(desk, b"cohort_id,sample_id\nfam,A\n")
    refused = cohorts(desk, data)
    assert isinstance(refused, InvalidInput)
    assert refused.code == code
    assert desk.lake.read(COHORTS.key).collect().rows() == [("fam", "A")]
    [kept] = desk.open()
    check_kept(desk, kept, desk.landing / "cohorts.csv")


# ---------------------------------------------------------------- subjects: nothing of a person is ever said

PERSON = {"patient_id": "HOSP-778812", "name": "Zaphod Beeblebrox", "birth_date": "1961-11-23", "zip": "94107",
          "mrn": "MRN0099123", "phenotype_note": "Frau Beeblebrox, née Müller: \"hears voices\""}  # fmt: skip
HEADER = "sample_id,patient_id,name,birth_date,sex,zip,mrn,phenotype_note"
GOOD = 'S1,HOSP-778812,Zaphod Beeblebrox,1961-11-23,M,94107,MRN0099123,"Frau Beeblebrox, née Müller: ""hears voices"""'
SUBJECT_FILES = {
    "good": (f"{HEADER}\n{GOOD}\n".encode(), 1, []),
    "cp1252": (f"{HEADER}\n{GOOD}\n".encode("cp1252"), 1, []),
    "byte_of_no_encoding": (
        f"{HEADER}\n{GOOD}\n".encode("cp1252").replace(b"Zaphod", b"Zaph\x81d"), 0, ["rows_refused"]),
    "no_header": (f"{GOOD}\n".encode(), None, ["header_not_understood"]),
    "name_as_sample_id": (f"{HEADER}\n{GOOD.replace('S1', 'Zaphod Beeblebrox')}\n".encode(), 0, ["rows_refused"]),
    "no_patient": (f"{HEADER}\n{GOOD.replace('HOSP-778812', '')}\n".encode(), 0, ["rows_refused"]),
    "comma_that_shifts_the_cells": (
        f"{HEADER}\n{GOOD.replace('Zaphod Beeblebrox', 'Beeblebrox, Zaphod')}\n".encode(), 0, ["rows_refused"]),
    "stray_quote": (f'{HEADER}\nS0,P0,"Zaphod Beeblebrox,,,,,\n{GOOD}\n'.encode(), None, ["not_csv"]),
    "two_people_for_one_sample": (
        f"{HEADER}\n{GOOD}\n{GOOD.replace('HOSP-778812', 'HOSP-778813')}\n".encode(), 0, ["rows_refused"]),
    "same_line_twice": (f"{HEADER}\n{GOOD}\n{GOOD}\n".encode(), 1, []),
    "zipped": (b"PK\x03\x04Zaphod Beeblebrox", None, ["header_not_understood"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SUBJECT_FILES)
def test_nothing_of_a_person_is_said(name: str, desk: Any) -> None:
    data, rows, codes = SUBJECT_FILES[name]
    desk.land("subjects.csv", data)
    made = desk.run(SUBJECTS, intake.subjects)
    assert desk.codes() == codes
    said = "\n".join(desk.heard)
    said += "".join(reason.read_text() for reason in desk.lake.quarantine.place.root.rglob("reason.json"))
    if isinstance(made, Outcome):
        assert made.rows.height == rows
        said += f"{made.notes} {made.rejects}"
        if rows:
            assert made.rows.select(PERSON.keys()).row(0, named=True) == PERSON
    else:
        assert rows is None
        said += f"{made} {made.__cause__!r} {made.__context__!r}"
    for value in (*PERSON.values(), "Zaphod", "Beeblebrox", "778812", "94107", "1961", "0099123"):
        assert value not in said
    for told in desk.open():
        check_kept(desk, told, desk.landing / "subjects.csv")
