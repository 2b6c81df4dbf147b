"""Run folders: every state and the way to it, FASTQ names, delivered md5 sums, and what cannot be understood."""

import datetime
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from posixpath import basename

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.errors import InvalidInput
from lsdata.genomics import runs, sample_sheet
from lsdata.genomics.runs import FileStat, FolderListing, Lane, Md5Problem, RunState

REPO = Path(__file__).parents[2]
RUNS = Path(os.environ.get("LSDATA_TEST_DATA", REPO / "../shared/data")) / "genomics" / "runs"
real_data = pytest.mark.skipif(not RUNS.is_dir(), reason="the real run folders are not here: set LSDATA_TEST_DATA")

NAME = "20231108_LH00188_0028_B22F52TLT3"
RUN_INFO = b"""<?xml version="1.0"?>
<RunInfo Version="6"><Run Id="20231108_LH00188_0028_B22F52TLT3" Number="28"><Flowcell>22F52TLT3</Flowcell>
<Instrument>LH00188</Instrument><Date>2023-11-08T19:55:57Z</Date></Run></RunInfo>"""
SHEET = b"[Data]\nLane,Sample_ID,Sample_Name\n1,HG001,mother\n2,HG001,mother\n1,HG_2,child\n"
DELIVERY = {
    "CopyComplete.txt": b"",
    "SampleSheet.csv": SHEET,
    "HG001_S1_L001_R1_001.fastq.gz": b"",
    "HG001_S1_L001_R2_001.fastq.gz": b"",
}
INSTRUMENT = {**DELIVERY, "RTAComplete.txt": b" ", "RunInfo.xml": RUN_INFO, "RunParameters.xml": b"<RunParameters/>"}
BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<RunInfo><Run Id="&b;"/></RunInfo>"""
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><RunInfo><Run Id="&a;"/></RunInfo>'


def listing(files: Mapping[str, bytes], name: str = NAME) -> FolderListing:
    return FolderListing(name, tuple(FileStat(path, len(files[path]), 0.0) for path in sorted(files)))


def assess(files: Mapping[str, bytes], name: str = NAME) -> RunState:
    return runs.assess(listing(files, name), files.__getitem__)


def without(*names: str) -> dict[str, bytes]:
    return {path: data for path, data in INSTRUMENT.items() if path not in names}


# Real folders


@real_data
@pytest.mark.parametrize(
    ("folder", "state", "code", "instrument", "date", "flowcell", "version", "samples"),
    [
        (
            "180509_D00450_0598_BHGYFNBCX2",
            "awaiting_fastq",
            None,
            "D00450",
            datetime.date(2018, 5, 9),
            "HGYFNBCX2",
            2,
            39,
        ),
        (
            "201203_D00483_0200_AHVKJCDRXX",
            "quarantined",
            "run_info_missing",
            None,
            datetime.date(2020, 12, 3),
            None,
            1,
            1,
        ),
        (
            "20231108_LH00188_0028_B22F52TLT3",
            "awaiting_fastq",
            None,
            "LH00188",
            datetime.date(2023, 11, 8),
            "22F52TLT3",
            2,
            24,
        ),
    ],
)
def test_real_run_folders(
    folder: str,
    state: str,
    code: str | None,
    instrument: str | None,
    date: datetime.date,
    flowcell: str | None,
    version: int,
    samples: int,
) -> None:
    run = runs.assess(runs.list_folder(RUNS / folder), lambda path: (RUNS / folder / path).read_bytes())
    assert (run.run_id, run.state, run.code) == (folder, state, code)
    assert (run.instrument, run.run_date, run.flowcell) == (instrument, date, flowcell)
    assert (run.sheet_version, run.samples) == (version, samples)


@real_data
def test_a_real_run_is_ready_with_its_fastqs() -> None:
    folder = RUNS / "20231108_LH00188_0028_B22F52TLT3"
    real = {file.path: (folder / file.path).read_bytes() for file in runs.list_folder(folder).files}
    sheet = sample_sheet.parse(real["SampleSheet.csv"], "s")
    numbers = {sample_id: number for number, sample_id in enumerate(sheet.samples, start=1)}
    reads = {
        f"Fastq/{row.sample_id}_S{numbers[row.sample_id]}_L00{row.lane}_R{read}_001.fastq.gz": b""
        for row in sheet.rows
        for read in (1, 2)
    }
    run = assess({**real, **reads}, folder.name)
    assert (run.state, run.reason) == ("ready", "24 samples, 384 FASTQ files.")


# States


@pytest.mark.parametrize(
    ("files", "state", "reason"),
    [
        ({}, "copying", "CopyComplete.txt"),
        ({"RunInfo.xml": b"<"}, "copying", "CopyComplete.txt"),
        (without("CopyComplete.txt"), "copying", "CopyComplete.txt"),
        ({"sub/CopyComplete.txt": b"", **without("CopyComplete.txt")}, "copying", "CopyComplete.txt"),
        (without("RTAComplete.txt"), "copying", "RTAComplete.txt"),
        (without("RTAComplete.txt", "RunParameters.xml"), "copying", "RTAComplete.txt"),
        (without("SampleSheet.csv"), "awaiting_sheet", "SampleSheet.csv"),
        (
            {"sub/SampleSheet.csv": SHEET, **without("SampleSheet.csv")},
            "awaiting_sheet",
            "SampleSheet.csv",
        ),
        ({"CopyComplete.txt": b""}, "awaiting_sheet", "SampleSheet.csv"),
        ({"CopyComplete.txt": b"", "SampleSheet.csv": SHEET}, "awaiting_fastq", "2 samples, no FASTQ"),
        (
            {"CopyComplete.txt": b"", "SampleSheet.csv": SHEET, "Undetermined_S0_L001_R1_001.fastq.gz": b""},
            "awaiting_fastq",
            "2 samples, no FASTQ",
        ),
        (DELIVERY, "ready", "2 samples, 2 FASTQ files; no FASTQ of HG_2."),
        (INSTRUMENT, "ready", "2 samples, 2 FASTQ files; no FASTQ of HG_2."),
        ({**INSTRUMENT, "a/b/HG_2_R1.fq": b""}, "ready", "2 samples, 3 FASTQ files."),
        ({**INSTRUMENT, "x_R1.fq": b""}, "ready", "not used: 1 sample_not_in_sheet"),
        (
            {**DELIVERY, "SampleSheet.csv": SHEET + b"1,HG001,\n"},
            "ready",
            "more than once in a lane of the sheet: HG001",
        ),
    ],
)
def test_states(files: dict[str, bytes], state: str, reason: str) -> None:
    run = assess(files)
    assert (run.state, run.code) == (state, None)
    assert reason in run.reason
    assert run.run_date == datetime.date(2023, 11, 8)


def test_a_run_goes_through_all_states_as_it_arrives() -> None:
    there: dict[str, bytes] = {}
    states: list[str] = []
    arrival = ["RunInfo.xml", "SampleSheet.csv", "RunParameters.xml", "CopyComplete.txt", "RTAComplete.txt"]
    for name in [*arrival, *(name for name in INSTRUMENT if name not in arrival)]:
        there[name] = INSTRUMENT[name]
        states.append(assess(there).state)
    assert states == ["copying"] * 4 + ["awaiting_fastq", "ready", "ready"]


def test_a_corrected_sheet_lifts_the_quarantine() -> None:
    assert assess({**INSTRUMENT, "SampleSheet.csv": b"?"}).state == "quarantined"
    assert assess(INSTRUMENT).state == "ready"


@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.swapcase])
def test_marker_names_count_in_any_letter_case(spelled: Callable[[str], str]) -> None:
    files = {name if "fastq" in name else spelled(name): data for name, data in INSTRUMENT.items()}
    run = assess({**files, spelled("run.yaml"): b"reference: hg38"})
    assert (run.state, run.instrument, run.reference) == ("ready", "LH00188", "hg38")


@pytest.mark.parametrize("content", [b"", b" ", b"11/9/2023,14:22:01,Illumina RTA\r\n"])
def test_markers_may_hold_any_bytes(content: bytes) -> None:
    assert assess({**INSTRUMENT, "RTAComplete.txt": content, "CopyComplete.txt": content}).state == "ready"


def test_an_anonymised_run_id_is_said_and_no_error() -> None:
    run = assess(INSTRUMENT, "20231108_anonymous")
    assert (run.run_id, run.state) == ("20231108_anonymous", "ready")
    assert f"RunInfo.xml calls the run '{NAME}'." in run.reason


@pytest.mark.parametrize(
    ("date", "name", "expected"),
    [
        (b"180509", "x", datetime.date(2018, 5, 9)),
        (b"20180509", "x", datetime.date(2018, 5, 9)),
        (b"2023-11-08T19:55:57Z", "x", datetime.date(2023, 11, 8)),
        (b"11/8/2023 7:55:57 PM", "x", datetime.date(2023, 11, 8)),
        (b"", "180509_x", datetime.date(2018, 5, 9)),
        (b"yesterday", "20180509_x", datetime.date(2018, 5, 9)),
        (b"20189999", "20180509", datetime.date(2018, 5, 9)),
        (b"", "181399_x", None),
        (b"", "1805091_x", None),
        (b"", "x", None),
    ],
)
def test_run_date(date: bytes, name: str, expected: datetime.date | None) -> None:
    assert (
        assess({**INSTRUMENT, "RunInfo.xml": RUN_INFO.replace(b"2023-11-08T19:55:57Z", date)}, name).run_date
        == expected
    )


@pytest.mark.parametrize(
    ("yaml", "reference"),
    [(b"reference: hg38\n", "hg38"), (b"reference: 38", "38"), (b"owner: lab\n", None), (b"{}", None)],
)
def test_run_yaml_names_the_reference(yaml: bytes, reference: str | None) -> None:
    run = assess({**DELIVERY, "run.yaml": yaml})
    assert (run.state, run.reference) == ("ready", reference)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (without("RunInfo.xml"), "run_info_missing"),
        (without("RunInfo.xml", "RunParameters.xml"), "run_info_missing"),
        (without("RunInfo.xml", "RTAComplete.txt"), "run_info_missing"),
        ({**INSTRUMENT, "RunInfo.xml": b""}, "run_info_not_readable"),
        ({**INSTRUMENT, "RunInfo.xml": RUN_INFO[:150]}, "run_info_not_readable"),
        ({**INSTRUMENT, "RunInfo.xml": b"\x00\xff"}, "run_info_not_readable"),
        ({**INSTRUMENT, "RunInfo.xml": b"<RunInfo/>"}, "run_info_not_readable"),
        ({**INSTRUMENT, "RunInfo.xml": b"<RunInfo><Run Id=' '/></RunInfo>"}, "run_info_not_readable"),
        ({**INSTRUMENT, "RunInfo.xml": b"<RunParameters/>"}, "run_info_not_readable"),
        ({**INSTRUMENT, "RunInfo.xml": b"<?xml version='1.0' encoding='klingon'?><RunInfo/>"}, "run_info_not_readable"),
        ({**INSTRUMENT, "RunInfo.xml": BOMB}, "run_info_not_readable"),
        ({**INSTRUMENT, "RunInfo.xml": OUTSIDE}, "run_info_not_readable"),
        (without("RunParameters.xml"), "run_parameters_missing"),
        ({**INSTRUMENT, "RunParameters.xml": b"<Run"}, "run_parameters_not_readable"),
        ({**INSTRUMENT, "RunParameters.xml": b"<RunInfo/>"}, "run_parameters_not_readable"),
        ({**INSTRUMENT, "RunParameters.xml": BOMB}, "run_parameters_not_readable"),
        ({**INSTRUMENT, "SampleSheet.csv": b""}, "sheet_not_understood"),
        ({**INSTRUMENT, "SampleSheet.csv": b"[Data]\nSample_ID\n../x\n"}, "sheet_bad_sample_id"),
        ({**DELIVERY, "SampleSheet.csv": b"[Data]\nSample_ID\n"}, "sheet_empty"),
        ({**DELIVERY, "run.yaml": b"- hg38"}, "run_yaml_not_understood"),
        ({**DELIVERY, "run.yaml": b""}, "run_yaml_not_understood"),
        ({**DELIVERY, "run.yaml": b"reference: [hg38]"}, "run_yaml_not_understood"),
        ({**DELIVERY, "run.yaml": b"reference: ../hg38"}, "run_yaml_not_understood"),
        ({**DELIVERY, "run.yaml": b"reference: hg38\nreference"}, "run_yaml_not_understood"),
        ({**DELIVERY, "run.yaml": b"\xff\xfe\x00"}, "run_yaml_not_understood"),
        ({**DELIVERY, "run.yaml": b"[" * 500}, "run_yaml_not_understood"),
        ({**DELIVERY, "run.yaml": b"reference: hg38\n" + b"#" * 2**16}, "file_too_large"),
        ({**DELIVERY, "run.yaml": b"!!python/object/apply:os.getcwd []"}, "run_yaml_not_understood"),
    ],
)
def test_what_cannot_be_understood_is_quarantined(files: dict[str, bytes], code: str) -> None:
    run = assess(files)
    assert (run.state, run.code) == ("quarantined", code)
    assert "allowed: " in run.reason


@pytest.mark.parametrize(
    "name", ["..", "a..b", ".hidden", "", "a\nb", "a\x00b", "x" * 201, "a\u202eb", "bad\udcff", "a\\b"]
)
def test_a_folder_name_that_cannot_be_a_partition_is_quarantined(name: str) -> None:
    run = assess(DELIVERY, name)
    assert (run.state, run.code) == ("quarantined", "bad_folder_name")
    assert run.run_id.encode() is not None  # a table can hold it
    assert run.reason.isprintable()


@pytest.mark.parametrize("name", ["x" * 200, "run 1", "L\u00e4ufe", "a.b-c_d"])
def test_other_folder_names_are_run_ids(name: str) -> None:
    assert assess(DELIVERY, name).run_id == name
    assert assess(DELIVERY, name).state == "ready"


def test_all_that_is_wrong_is_said_at_once() -> None:
    run = assess(
        {**without("RunInfo.xml"), "RunParameters.xml": b"<", "SampleSheet.csv": b"", "run.yaml": b"["}, "a..b"
    )
    assert run.code == "bad_folder_name"
    for part in ("RunInfo.xml: not there", "RunParameters.xml: XML", "SampleSheet.csv: no section", "run.yaml: a file"):
        assert part in run.reason


def test_a_file_that_cannot_be_read_or_is_too_large_is_quarantined() -> None:
    def refuse(path: str) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    run = runs.assess(listing(DELIVERY), refuse)
    assert (run.state, run.code) == ("quarantined", "file_not_readable")
    huge = FileStat("RunInfo.xml", runs.MAX_METADATA_BYTES + 1, 0.0)
    files = tuple(huge if file.path == "RunInfo.xml" else file for file in listing(INSTRUMENT).files)
    run = runs.assess(FolderListing(NAME, files), INSTRUMENT.__getitem__)
    assert (run.state, run.code) == ("quarantined", "file_too_large")


def test_a_run_info_with_all_its_tiles_is_read() -> None:
    tiles = b"<Tiles>" + b"<Tile>1_1101</Tile>" * 50_000 + b"</Tiles>"
    assert assess({**INSTRUMENT, "RunInfo.xml": RUN_INFO.replace(b"</Run>", tiles + b"</Run>")}).state == "ready"


METADATA = ["RunInfo.xml", "RunParameters.xml", "SampleSheet.csv", "run.yaml", "RTAComplete.txt"]
SNIPPETS = st.sampled_from(
    [RUN_INFO, SHEET, BOMB, b"<RunParameters/>", b"reference: !!timestamp x", b"&a [*a]", b"{[]: 1}"]
)


@given(st.text(max_size=30), st.dictionaries(st.sampled_from(METADATA), st.binary() | SNIPPETS))
def test_assess_never_raises(name: str, files: dict[str, bytes]) -> None:
    run = assess({**files, "CopyComplete.txt": b"", "HG001_R1.fastq": b""}, name)
    assert (run.state == "quarantined") == (run.code is not None)


# Listing


def test_list_folder_leaves_out_what_is_hidden_and_ends_in_loops(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    run = landing / "run"
    for path in ("run/b/x_R1.fq", "run/a.txt", "run/.hidden", "run/.cache/y_R1.fq", "run/._a.txt", "other/z_R1.fq"):
        (landing / path).parent.mkdir(parents=True, exist_ok=True)
        (landing / path).write_bytes(b"abc")
    (landing / "shared").mkdir()
    (landing / "shared/s_R1.fq").write_bytes(b"abcd")
    (run / "b/loop").symlink_to(run)
    (run / "up").symlink_to(landing)
    (run / "root").symlink_to("/")
    (run / "aa").symlink_to(run / "b")
    (run / "linked").symlink_to(landing / "shared")
    (run / "again").symlink_to(landing / "shared")
    (run / "dangling").symlink_to(run / "nothing")
    (run / "self").symlink_to(run / "self")
    os.mkfifo(run / "pipe")
    os.utime(run / "a.txt", (0, 1_700_000_000))
    found = runs.list_folder(run)
    assert found.name == "run"
    assert [(file.path, file.size) for file in found.files] == [("a.txt", 3), ("again/s_R1.fq", 4), ("b/x_R1.fq", 3)]
    assert found.files[0].modified == 1_700_000_000.0
    assert runs.list_folder(tmp_path / "vanished").files == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    with pytest.raises(InvalidInput) as caught:
        runs.list_folder(tmp_path)
    assert caught.value.code == "folder_not_readable"


def test_a_storage_error_is_no_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        runs.list_folder(tmp_path / ("x" * 300))
    assert caught.value.code == "folder_not_readable"


# FASTQ files


def assign(sheet: bytes, *paths: str) -> runs.FastqAssignment:
    return runs.fastqs(listing(dict.fromkeys(paths, b"")), sample_sheet.parse(b"[Data]\n" + sheet, "s"))


@pytest.mark.parametrize(
    ("name", "mate", "lane", "chunk"),
    [
        ("A_S1_L002_R1_001", "A_S1_L002_R2_001", 2, 1),
        ("A_S1_L002_R1_013", "A_S1_L002_R2_013", 2, 13),
        ("A_S12_R1_001", "A_S12_R2_001", 1, 1),
        ("A_L003_R1", "A_L003_R2", 3, 1),
        ("A_R1", "A_R2", 1, 1),
        ("A_1", "A_2", 1, 1),
        ("deep/er/A_R1", "deep/er/A_R2", 1, 1),
        ("R1/A_R1", "R2/A_R2", 1, 1),
    ],
)
@pytest.mark.parametrize("suffix", [".fastq.gz", ".fq.gz", ".fastq", ".fq", ".FASTQ.GZ"])
def test_fastq_names(name: str, mate: str, lane: int, chunk: int, suffix: str) -> None:
    found = assign(b"Sample_ID\nA\nB\n", name + suffix, mate + suffix, "A_R1.txt", "A_R1.fastq.md5")
    assert found.pairs == (Lane("A", lane, chunk, name + suffix, mate + suffix),)
    assert (found.unassigned, found.missing, found.set_aside) == ((), ("B",), ())
    assert assign(b"Sample_ID\nA\n", name + suffix).pairs == (Lane("A", lane, chunk, name + suffix, None),)


@pytest.mark.parametrize(
    ("sheet", "name", "sample_id"),
    [
        (b"Sample_ID\nA_S2\n", "A_S2_R1.fq", "A_S2"),
        (b"Sample_ID\nA_S2\n", "A_S2_S1_L001_R1_001.fq", "A_S2"),
        (b"Sample_ID\nA_S2\n", "A_S2_R1_001.fq", "A_S2"),
        (b"Sample_ID\nA\nA_S2\n", "A_S2_L001_R1_001.fq", "A"),
        (b"Sample_ID\nA_L001\n", "A_L001_R1.fq", "A_L001"),
        (b"Sample_ID\nA_1\n", "A_1_1.fq", "A_1"),
        (b"Sample_ID\nA_R1\n", "A_R1_R1.fq", "A_R1"),
        (b"Sample_ID,Sample_Name\nA,mother\n", "mother_S1_L001_R1_001.fq", "A"),
        (b"Sample_ID,Sample_Name\nA_1,mo_ther\n", "A-1_R1.fq", "A_1"),
        (b"Sample_ID,Sample_Name\nA_1,mo_ther\n", "mo-ther_R1.fq", "A_1"),
        (b"Sample_ID\nA-1\n", "A_1_R1.fq", "A-1"),
        (b"Sample_ID\nA_1\nA-1\n", "A-1_R1.fq", "A-1"),
    ],
)
def test_a_name_finds_its_sample(sheet: bytes, name: str, sample_id: str) -> None:
    assert [(pair.sample_id, pair.r1) for pair in assign(sheet, name).pairs] == [(sample_id, name)]


@pytest.mark.parametrize(
    ("sheet", "name", "code"),
    [
        (b"Sample_ID\nA\n", "B_R1.fq", "sample_not_in_sheet"),
        (b"Sample_ID\nA\n", "a_R1.fq", "sample_not_in_sheet"),
        (b"Sample_ID\nA\n", "AB_S1_L001_R1_001.fastq.gz", "sample_not_in_sheet"),
        (b"Sample_ID,Sample_Name\nA,x\nB,x\n", "x_R1.fq", "sample_not_in_sheet"),
        (b"Sample_ID\nA\nA_S2\n", "A_S2_R1.fq", "unreadable_name"),
        (b"Sample_ID\nA_1_x\nA-1_x\n", "A-1-x_R1.fq", "unreadable_name"),
        (b"Sample_ID,Sample_Name\nA,B\nB,A\n", "A_R1.fq", "unreadable_name"),
        (b"Sample_ID\nA\n", "A.fastq.gz", "unreadable_name"),
        (b"Sample_ID\nA\n", "A_R3.fastq.gz", "unreadable_name"),
        (b"Sample_ID\nA\n", "_R1.fastq.gz", "unreadable_name"),
        (b"Sample_ID\nA\n", "bad\udcff/A_R1.fq", "unreadable_name"),
        (b"Sample_ID\nA\n", "A_R2.fq", "read_2_without_read_1"),
    ],
)
def test_a_fastq_without_a_place_says_why(sheet: bytes, name: str, code: str) -> None:
    found = assign(sheet, name)
    assert found.pairs == ()
    [file] = found.unassigned
    assert file.code == code
    assert file.sample_id == ("A" if code == "read_2_without_read_1" else None)
    assert file.path.encode()
    assert file.reason


def test_lanes_and_chunks_are_pairs_of_their_own_in_the_order_of_the_sheet() -> None:
    names = [f"{s}_S1_L00{n}_R{r}_00{c}.fastq.gz" for s in "AB" for n in (1, 2) for r in (1, 2) for c in (1, 2)]
    found = assign(b"Sample_ID\nB\nA\n", *names)
    assert [pair[:3] for pair in found.pairs] == [(s, lane, chunk) for s in "BA" for lane in (1, 2) for chunk in (1, 2)]
    assert {path for pair in found.pairs for path in pair[3:]} == set(names)
    assert found.fastq_files == 16


def test_one_of_two_files_for_the_same_read_is_used_and_mates_stay_together() -> None:
    found = assign(b"Sample_ID\nA\n", "a/A_R1.fq", "b/A_R1.fq", "b/A_R2.fq", "c/A_R1.fq.gz", "c/A_R2.fq.gz")
    assert found.pairs == (Lane("A", 1, 1, "b/A_R1.fq", "b/A_R2.fq"),)
    assert [(file.path, file.code, file.sample_id) for file in found.unassigned] == [
        ("a/A_R1.fq", "duplicate_file", "A"),
        ("c/A_R1.fq.gz", "duplicate_file", "A"),
        ("c/A_R2.fq.gz", "duplicate_file", "A"),
    ]
    assert found.fastq_files == 5


def test_index_reads_and_undetermined_reads_are_set_aside() -> None:
    aside = ("A_S1_L001_I1_001.fastq.gz", "A_S1_L001_I2_001.fastq.gz", "Undetermined_S0_L001_R1_001.fastq.gz")
    found = assign(b"Sample_ID\nA\n", *aside)
    assert found.set_aside == aside
    assert (found.pairs, found.unassigned, found.missing, found.fastq_files) == ((), (), ("A",), 0)


NAMES = st.from_regex(r"[A-Z][A-Za-z0-9-]{0,8}", fullmatch=True).filter(lambda name: name.lower() != "undetermined")


@given(st.lists(st.text(max_size=20).map(lambda name: name + ".fastq") | NAMES.map(lambda name: f"{name}_R1.fq")))
def test_every_fastq_has_exactly_one_place(paths: list[str]) -> None:
    paths = [path for path in dict.fromkeys(paths) if basename(path) != ".fastq"]
    found = assign(b"Sample_ID\nA\nB\n", *paths)
    placed = [path for pair in found.pairs for path in pair[3:] if path] + [file.path for file in found.unassigned]
    assert sorted([*placed, *found.set_aside]) == sorted(paths)


# Delivered md5 sums

M1, M2 = hashlib.md5(b"1").hexdigest(), hashlib.md5(b"2").hexdigest()


def md5s(files: Mapping[str, bytes | str]) -> tuple[dict[str, str], tuple[Md5Problem, ...]]:
    data = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    return runs.delivered_md5s(listing(data), data.__getitem__)


@pytest.mark.parametrize(
    ("md5_file", "text"),
    [
        ("md5sum.txt", f"{M1}  f/a.fq\n{M2}  f/b.fq\n"),
        ("MD5SUM.TXT", f"{M1.upper()} *./f/a.fq\r\n{M2} *./f/b.fq\r\n"),
        ("md5.txt", f"MD5 (f/a.fq) = {M1}\nMD5(f/b.fq)= {M2}\n"),
        ("md5sums.txt", f"\ufeff# made by lab\n\n{M1}  a.fq\n{M2}\tb.fq"),
        ("f/checksums.md5", f"{M1}  a.fq\n{M2}  ./b.fq\n"),
        ("f/x.md5", f"{M1}  f/a.fq\n{M2}  ../f/b.fq\n"),
        ("g/x.md5", f"{M1}  ../f/a.fq\n{M2}  f\\b.fq\n"),
    ],
)
def test_md5_files_in_all_their_forms(md5_file: str, text: str) -> None:
    assert md5s({"f/a.fq": b"", "f/b.fq": b"", md5_file: text}) == ({"f/a.fq": M1, "f/b.fq": M2}, ())


@pytest.mark.parametrize("text", [M1, f"{M1}\n", f"{M1}  -\n", f"{M1}  a.fq\n", f"{M1}  /lab/disk/a.fq\n"])
def test_an_md5_beside_its_file(text: str) -> None:
    assert md5s({"f/a.fq": b"", "a.fq": b"", "f/a.fq.md5": text}) == ({"f/a.fq": M1}, ())


@pytest.mark.parametrize(
    ("files", "sums", "line"),
    [
        ({"a.fq": b"", "md5.txt": f"{M1}  a.fq\nhello\n"}, {"a.fq": M1}, 2),
        ({"a.fq": b"", "md5.txt": f"{M1[:-1]}  a.fq\n"}, {}, 1),
        ({"a.fq": b"", "md5.txt": f"a.fq  {M1}\n"}, {}, 1),
        ({"a.fq": b"", "md5.txt": f"\n{M1}\n"}, {}, 2),
        ({"md5.txt": f"{M1}  gone.fq\n"}, {}, 1),
        ({"b.fq.md5": M1}, {}, 1),
        ({"f/a.fq": b"", "g/a.fq": b"", "md5.txt": f"{M1}  a.fq\n"}, {}, 1),
        ({"a.fq": b"", "md5.txt": f"{M1}  /etc/a.fq\n"}, {}, 1),
        ({"a.fq": b"", "md5.txt": f"{M1}  ../../a.fq\n"}, {}, 1),
        ({"a.fq": b"", "md5.txt": f"{M1}  a.fq\n{M2}  a.fq\n"}, {"a.fq": M1}, 2),
        ({"a.fq": b"", "md5.txt": b"\xff\xfe\x00"}, {}, 1),
    ],
)
def test_an_md5_line_that_gives_no_sum_is_a_problem(
    files: dict[str, bytes | str], sums: dict[str, str], line: int
) -> None:
    found, problems = md5s(files)
    assert found == sums
    assert [problem.line for problem in problems] == [line]


def test_an_md5_file_that_cannot_be_read_is_a_problem() -> None:
    def refuse(path: str) -> bytes:
        raise OSError(5, "Input/output error", path)

    assert [problem.line for problem in runs.delivered_md5s(listing({"md5.txt": b"x"}), refuse)[1]] == [0]


@given(st.binary() | st.text().map(lambda name: f"{M1}  {name}".encode("utf-8", "replace")))
def test_any_md5_file_is_read(data: bytes) -> None:
    sums, _ = md5s({"a.fq": b"", "md5sum.txt": data})
    assert set(sums) <= {"a.fq", "md5sum.txt"}
