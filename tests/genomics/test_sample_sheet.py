"""Sample sheets: real ones, every spelling that labs deliver, and everything that must be refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.errors import InvalidInput
from lsdata.genomics import sample_sheet
from lsdata.genomics.sample_sheet import SheetRow, parse

REPO = Path(__file__).parents[2]
RUNS = Path(os.environ.get("LSDATA_TEST_DATA", REPO / "../shared/data")) / "genomics" / "runs"
real_data = pytest.mark.skipif(not RUNS.is_dir(), reason="the real run folders are not here: set LSDATA_TEST_DATA")

V1 = b"""[Header],,,
IEMFileVersion,4,,
Description,"a, b",,
,,,
[Reads],,,
151,,,
[Settings],,,
[Data],,,
Sample_ID,Sample_Name,index,index2,Sample_Project,Lane
HG001,mother,ACGT,TTTT,trio,1
HG001,mother,ACGT,TTTT,trio,2
HG002,child,GGGG,,,2
"""
V2 = b"""[Header]
FileFormatVersion,2
[BCLConvert_Settings]
SoftwareVersion,4.1.7
[BCLConvert_Data]
Lane,Sample_ID,Index,Index2
1,HG001,ACGT,TTTT
2,HG002,GGGG,
[Cloud_Data]
Sample_ID,ProjectName
HG001,trio
"""
BAD_LANES = ("0", "-1", "x", "1.0", "1+2", "1000", "L001", "\u0663", "0" * 5000 + "1")
BAD_NAMES = (
    "",
    "../x",
    "..",
    ".hidden",
    "a/b",
    "a\\b",
    "-rf",
    "a b",
    "a...b",
    "R\u00e9n\u00e9",
    "a=b",
    "*",
    "A" * 101,
    "undetermined",
    "$(id)",
    "\ufeffA",
    "A\u200b",
)


def refusal(data: bytes) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse(data, "run/SampleSheet.csv")
    return caught.value


@real_data
@pytest.mark.parametrize(
    ("file", "version", "rows", "samples", "first"),
    [
        (
            "180509_D00450_0598_BHGYFNBCX2/SampleSheet.csv",
            2,
            78,
            39,
            SheetRow("MIC4464A1", None, 1, "ACAGCAAG", None, None),
        ),
        (
            "180509_D00450_0598_BHGYFNBCX2/SampleSheet_bcl2fastq.csv",
            1,
            18,
            9,
            SheetRow("ACC4551A1", "ACC4551A1", 1, "AAGTCCAA", "TATGAGTA", "756157"),
        ),
        (
            "201203_D00483_0200_AHVKJCDRXX/SampleSheet.csv",
            1,
            2,
            1,
            SheetRow("ACC7769A10", "anonymous_1", 1, "CTATAGCGAG", "AGTCGACTAG", "150392"),
        ),
        (
            "20231108_LH00188_0028_B22F52TLT3/SampleSheet.csv",
            2,
            192,
            24,
            SheetRow("ACC13169A1", None, 1, "CACGAGCG", "ATCTGCCA", None),
        ),
    ],
)
def test_real_sheets_are_read_whole(file: str, version: int, rows: int, samples: int, first: SheetRow) -> None:
    sheet = parse((RUNS / file).read_bytes(), file)
    assert (sheet.version, len(sheet.rows), len(sheet.samples), sheet.duplicates) == (version, rows, samples, ())
    assert sheet.rows[0] == first


def test_classic_v1_sheet() -> None:
    sheet = parse(V1, "s")
    assert sheet.version == 1
    assert sheet.samples == ("HG001", "HG002")
    assert sheet.rows[2] == SheetRow("HG002", "child", 2, "GGGG", None, None)
    assert sheet.duplicates == ()


def test_v2_sheet_takes_its_samples_from_bclconvert_data() -> None:
    sheet = parse(V2, "s")
    assert sheet.version == 2
    assert sheet.rows == (
        SheetRow("HG001", None, 1, "ACGT", "TTTT", None),
        SheetRow("HG002", None, 2, "GGGG", None, None),
    )


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"[Data]\nSample_ID\nA\n", 1),
        (b"[Header]\nIEMFileVersion,5\n[Data]\nSample_ID\nA\n", 1),
        (b"[Header]\nFileFormatVersion,1\n[Data]\nSample_ID\nA\n", 1),
        (b"[Header]\nFileFormatVersion,2\n[Data]\nSample_ID\nA\n", 2),
        (b"[BCLConvert_Data]\nSample_ID\nA\n", 2),
        (b"[TSO500S_Data]\nSample_ID\nA\n", 2),
        (b"[Data]\nSample_ID\nB\n[BCLConvert_Data]\nSample_ID\nA\n", 2),
        (b"[Metadata]\nFileFormatVersion,2\n[Data]\nSample_ID\nA\n", 1),
    ],
)
def test_the_content_decides_the_version(data: bytes, version: int) -> None:
    sheet = parse(data, "s")
    assert (sheet.version, sheet.samples) == (version, ("A",))


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "bom": lambda data: b"\xef\xbb\xbf" + data,
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "cr": lambda data: data.replace(b"\n", b"\r"),
    "padding": lambda data: data.replace(b"\n", b",,,,\n"),
    "blank": lambda data: data.replace(b"\n", b"\n\n , \n"),
    "no end": lambda data: data.rstrip(b"\n"),
    "quoted": lambda data: data.replace(b"HG001", b'"HG001"'),
    "spaces": lambda data: data.replace(b"HG001", b" HG001 "),
    "sections": lambda data: data.replace(b"[BCLConvert_Data]", b"[bclconvert_DATA]").replace(b"[Data]", b'"[DATA]"'),
    "columns": lambda data: data.replace(b"Sample_ID", b"SAMPLEID").replace(b"Lane", b"LANE"),
    "cp1252": lambda data: data.replace(b"SoftwareVersion,4.1.7", b"Operator,Ren\xe9e").replace(b"a, b", b"\x80 5"),
}


@pytest.mark.parametrize("sheet", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_spelling_does_not_change_what_a_sheet_says(sheet: bytes, spelled: Callable[[bytes], bytes]) -> None:
    assert spelled(sheet) != sheet
    assert parse(spelled(sheet), "s") == parse(sheet, "s")


def test_a_cell_may_hold_a_comma_and_a_line_break_in_quotes() -> None:
    data = b'[Data]\nSample_ID,Description,Lane\nA,"x, ""y""\nz",1\nB,,0\n'
    assert "line 5" in str(refusal(data))
    assert parse(data.replace(b",0", b",2"), "s").samples == ("A", "B")


@pytest.mark.parametrize(
    ("body", "duplicates"),
    [
        (b"Sample_ID,Lane\nA,1\nA,2\nB,1\n", ()),
        (b"Sample_ID,Lane\nA,1\nB,1\nA,1\n", ("A",)),
        (b"Sample_ID,Lane\nA,1\nA,01\n", ("A",)),
        (b"Sample_ID\nB\nA\nA\nB\nB\n", ("B", "A")),
        (b"Sample_ID,Lane\nA,\nA,\n", ("A",)),
    ],
)
def test_a_duplicate_is_twice_in_one_lane(body: bytes, duplicates: tuple[str, ...]) -> None:
    assert parse(b"[Data]\n" + body, "s").duplicates == duplicates


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "sheet_not_understood"),
        (b"\n,,\n", "sheet_not_understood"),
        (b"sample,lane\nA,1\n", "sheet_not_understood"),
        (b"[Header]\nFileFormatVersion,2\n[Reads]\n151\n", "sheet_not_understood"),
        (b"[Metadata]\nSample_ID\nA\n", "sheet_not_understood"),
        (b"[Data];;\nSample_ID;Lane\nA;1\n", "sheet_not_understood"),
        (b'[Data]\nSample_ID,Lane\nA,"1\nB,2\n', "sheet_not_understood"),
        (b'[Data]\nSample_ID,Name\nA,"x\nB,"y\n', "sheet_not_understood"),
        (b"[Data]\nSample_ID\nA\n[data]\nSample_ID\nB\n", "sheet_not_understood"),
        (b"[Data]\nSample_ID,SampleID\nA,B\n", "sheet_not_understood"),
        (b"[Data]\nSample_ID,Lane\nsmith, john,1\n", "sheet_not_understood"),
        (b"[Data]\nSample_ID\n" + b"A" * 200_000, "sheet_not_understood"),
        (b"[Data]\nSample_Name,Lane\nA,1\n", "sheet_no_sample_column"),
        (b"[Data]\n", "sheet_empty"),
        (b"[Data]\nSample_ID,Lane\n,,\n", "sheet_empty"),
        (b"[BCLConvert_Data]\nSample_ID\n[Cloud_Data]\nSample_ID\nA\n", "sheet_empty"),
        *((f"[Data]\nSample_ID,Lane\nA,{lane}\n".encode(), "sheet_bad_lane") for lane in BAD_LANES),
        *((f"[Data]\nSample_ID,Lane\n{name},1\n".encode(), "sheet_bad_sample_id") for name in BAD_NAMES),
        (b"[Data]\nSample_ID\nR\xe9n\xe9\n", "sheet_bad_sample_id"),
        (b"PK\x03\x04\x14\x00\x06\x00[Data]", "sheet_binary"),
        ("[Data]\nSample_ID\nA\n".encode("utf-16"), "sheet_binary"),
        (b"[Data]\nSample_ID\nA\x00\n", "sheet_binary"),
        (b"[Data]\nSample_ID\n\x81\n", "sheet_binary"),
        (b"\x1f\x8b\x08\x00[Data]", "sheet_binary"),
    ],
)
def test_what_is_no_sheet_is_refused(data: bytes, code: str) -> None:
    error = refusal(data)
    assert error.code == code
    assert error.where == "run/SampleSheet.csv"


def test_all_bad_rows_are_listed_at_once_by_line_number() -> None:
    error = refusal(b"\r\n[Data]\r\nSample_ID,Lane\r\nA,1\r\nb b,1\r\n\r\n,2\r\nC,x\r\nd/d,x\r\nE,1,2\r\n")
    assert error.code == "sheet_bad_sample_id"
    for part in ("file name in lines 5, 9", "no Sample_ID in line 7", "to 999 in lines 8, 9", "columns in line 10"):
        assert part in str(error)


def test_no_cell_is_quoted_in_a_message() -> None:
    error = refusal(b"[Data]\nSample_ID,Lane\nJane Roe,MRN12345\n")
    assert not {"Jane", "Roe", "MRN12345"} & set(str(error).replace(",", " ").split())


@given(st.binary() | st.binary().map(lambda data: b"[Data]\nSample_ID,Lane\n" + data))
def test_any_bytes_are_a_sheet_or_invalid_input(data: bytes) -> None:
    try:
        sheet = parse(data, "s")
    except InvalidInput:
        return
    assert sheet.samples


NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() != "undetermined"
)


@given(st.lists(st.tuples(NAMES, st.none() | st.integers(1, 999)), min_size=1), st.sampled_from(["\n", "\r\n", "\r"]))
def test_no_row_is_lost(rows: list[tuple[str, int | None]], end: str) -> None:
    lines = ["[BCLConvert_Data]", "Lane,Sample_ID", *(f"{lane or ''},{name}" for name, lane in rows)]
    sheet = parse(end.join(lines).encode(), "s")
    assert [(row.sample_id, row.lane) for row in sheet.rows] == rows
    assert all(sample_sheet.PLAIN_NAME.fullmatch(name) for name in sheet.samples)
