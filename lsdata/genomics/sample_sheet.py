"""Illumina sample sheets, v1 and v2, as values."""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from lsdata.errors import InvalidInput

# Names that become file names, partition keys and command-line arguments: no separator, no blank, no leading dot
# or dash, and no `..` (a path step, and within `...` Dagster's partition-range mark). Illumina reserves
# `Undetermined` for reads without a sample; the longest Sample_ID of its sheets is 100 characters.
PLAIN_NAME = re.compile(r"(?!.*\.\.)(?!(?i:undetermined)$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
PLAIN_NAME_RULE = "1 to 100 of A-Z a-z 0-9 _ . -, not starting with . or -, without '..', not 'Undetermined'"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]")
_COLUMNS = ("sampleid", "samplename", "lane", "index", "index2", "sampleproject", "project")
_SECTION = re.compile(r"\[(.+)\]")
_LANE = re.compile(r"0{0,2}[1-9][0-9]{0,2}")  # FASTQ names carry a lane as L001 to L999


@dataclass(frozen=True)
class SheetRow:
    """One library of a sheet: a sample in a lane. `lane` is None where the sheet names none (all lanes)."""

    sample_id: str
    sample_name: str | None
    lane: int | None
    index: str | None
    index2: str | None
    project: str | None


@dataclass(frozen=True)
class SampleSheet:
    """A parsed sheet; `duplicates` are the sample ids that stand twice in one lane (or twice without a lane)."""

    version: int
    rows: tuple[SheetRow, ...]
    duplicates: tuple[str, ...]

    @property
    def samples(self) -> tuple[str, ...]:
        """The distinct sample ids, in the sheet's order."""
        return tuple(dict.fromkeys(row.sample_id for row in self.rows))


@dataclass(frozen=True)
class _Line:
    number: int
    cells: list[str]


def parse(data: bytes, where: str) -> SampleSheet:
    """Read a sheet; v1 or v2 is decided by its content.

    v2 has `FileFormatVersion,2` in [Header] or a [BCLConvert_Data] (or other [*_Data]) section; v1 has [Data].
    Section names count in any letter case, column names also with or without underscore. UTF-8 (with or without
    BOM) and cp1252 are read, with any line ending.

    Source: Illumina, "Sample Sheet Structure" (v2) and bcl2fastq2 Conversion Software v2.20 Guide (v1).

    Args:
        data: the file's bytes.
        where: what messages call the file.

    Raises:
        InvalidInput: code sheet_binary, sheet_not_understood, sheet_no_sample_column, sheet_empty,
            sheet_bad_sample_id or sheet_bad_lane. Bad rows are listed all at once, by line number (1-based); cells
            are never quoted, since a patient's name may have slipped into one.

    >>> sheet = parse(b"[Data]\\nLane,SampleID\\n1,NA12878\\n2,NA12878\\n", "SampleSheet.csv")
    >>> sheet.version, sheet.samples, [row.lane for row in sheet.rows]
    (1, ('NA12878',), [1, 2])
    """
    refused = partial(InvalidInput, where)
    sections = _sections(_lines(_text(data, refused), refused), refused)
    version = 2 if _says_2(sections.get("header", [])) or any(name.endswith("_data") for name in sections) else 1
    name = next(
        (name for name in ("bclconvert_data", "data", *sections) if name in sections and _holds_data(name)), None
    )
    if name is None:
        raise refused(
            code="sheet_not_understood",
            found="no section with samples",
            allowed="comma-separated text with a section [Data] (v1) or [BCLConvert_Data] (v2)",
            do="Deliver the sheet that the run was demultiplexed with.",
        )
    rows = _rows(sections[name], name, refused)
    seen = Counter((row.sample_id, row.lane) for row in rows)
    duplicates = tuple(dict.fromkeys(sample_id for (sample_id, _), count in seen.items() if count > 1))
    return SampleSheet(version, rows, duplicates)


_Refused = Callable[..., InvalidInput]


def _text(data: bytes, refused: _Refused) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(text):
            return text
    raise refused(
        code="sheet_binary",
        found="bytes that are not text",
        allowed="comma-separated text in UTF-8 or cp1252",
        do="Export the sheet as CSV (from Excel: 'CSV UTF-8') and deliver it again.",
    )


def _lines(text: str, refused: _Refused) -> list[_Line]:
    """The lines that hold something, cells stripped, without padding at their end."""
    # strict: a stray quote would otherwise swallow the lines, and so the samples, up to the next one.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[_Line] = []
    start = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                lines.append(_Line(start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise refused(
            code="sheet_not_understood",
            found=f"line {start} is not comma-separated text ({error})",
            allowed='cells separated by commas, a cell with a comma in a pair of "',
            do="Correct the line.",
        ) from None
    return lines


def _sections(lines: list[_Line], refused: _Refused) -> dict[str, list[_Line]]:
    sections: dict[str, list[_Line]] = {}
    current: list[_Line] = []
    for line in lines:
        if len(line.cells) == 1 and (match := _SECTION.fullmatch(line.cells[0])):
            name = match[1].strip().lower()
            if name in sections and _holds_data(name):
                raise refused(
                    code="sheet_not_understood",
                    found=f"line {line.number} starts a second section [{name}]",
                    allowed="one section of each name",
                    do="Deliver one sheet for each run, or join the sections.",
                )
            current = sections.setdefault(name, [])
        else:
            current.append(line)
    return sections


def _holds_data(section: str) -> bool:
    return section == "data" or section.endswith("_data")


def _says_2(header: list[_Line]) -> bool:
    return any([_column(cell) for cell in line.cells] == ["fileformatversion", "2"] for line in header)


def _column(name: str) -> str:
    return name.lower().replace("_", "").replace(" ", "")


def _rows(lines: list[_Line], section: str, refused: _Refused) -> tuple[SheetRow, ...]:
    if len(lines) < 2:
        raise refused(
            code="sheet_empty",
            found=f"no sample in section [{section}]",
            allowed="a line of column names and a line for each sample",
            do="Fill in the samples of the run.",
        )
    names = [_column(cell) for cell in lines[0].cells]
    if "sampleid" not in names:
        raise refused(
            code="sheet_no_sample_column",
            found=f"line {lines[0].number} names no column Sample_ID",
            allowed="a column Sample_ID (or SampleID)",
            do="Add the column.",
        )
    twice = [name for name in _COLUMNS if names.count(name) > 1]
    if twice:
        raise refused(
            code="sheet_not_understood",
            found=f"line {lines[0].number} names {', '.join(twice)} more than once",
            allowed="each column once, in one spelling",
            do="Remove the columns that do not hold.",
        )

    faults: dict[tuple[str, str], list[int]] = defaultdict(list)
    rows: list[SheetRow] = []
    for line in lines[1:]:
        cell = dict(zip(names, line.cells, strict=False))
        sample_id, lane = cell.get("sampleid", ""), cell.get("lane", "")
        # A cell too many means that a comma has shifted the others: which sample the line is about is a guess.
        if len(line.cells) > len(names):
            faults["sheet_not_understood", "more cells than columns"].append(line.number)
        if not sample_id:
            faults["sheet_bad_sample_id", "no Sample_ID"].append(line.number)
        elif not PLAIN_NAME.fullmatch(sample_id):
            faults["sheet_bad_sample_id", "a Sample_ID that cannot be a file name"].append(line.number)
        if lane and not _LANE.fullmatch(lane):
            faults["sheet_bad_lane", "a Lane that is not a number from 1 to 999"].append(line.number)
        if not faults:
            project = cell.get("sampleproject") or cell.get("project")
            rows.append(
                SheetRow(
                    sample_id,
                    cell.get("samplename") or None,
                    int(lane) if lane else None,
                    cell.get("index") or None,
                    cell.get("index2") or None,
                    project or None,
                )
            )
    if faults:
        raise refused(
            code=next(iter(faults))[0],
            found="; ".join(f"{what} in {_numbered(numbers)}" for (_, what), numbers in faults.items()),
            allowed=f"a cell for each column; Sample_ID: {PLAIN_NAME_RULE}; Lane: 1 to 999 or blank",
            do="Correct these lines and deliver the sheet again.",
        )
    return tuple(rows)


def _numbered(numbers: Iterable[int]) -> str:
    listed = [str(number) for number in numbers]
    return f"line{'s' if len(listed) > 1 else ''} {', '.join(listed)}"
