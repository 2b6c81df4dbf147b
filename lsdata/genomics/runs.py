"""Sequencing run folders: what is in one, how far it is, and which FASTQ belongs to which sample.

Everything but `list_folder` is a pure function of a listing and of the small files in it.
"""

import datetime
import errno
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import basename, dirname, join, normpath
from typing import Literal, NamedTuple, TypeVar, cast
from xml.etree.ElementTree import Element, ParseError

import yaml
from defusedxml.ElementTree import fromstring

from lsdata.errors import InvalidInput
from lsdata.genomics import sample_sheet
from lsdata.genomics.sample_sheet import PLAIN_NAME, PLAIN_NAME_RULE, SampleSheet

State = Literal["copying", "awaiting_sheet", "awaiting_fastq", "ready", "quarantined"]
Read = Callable[[str], bytes]

MAX_METADATA_BYTES = 64 * 2**20
"""The largest sheet, XML or md5 list that is read; a real RunInfo.xml lists tiles and stays below 1 MiB."""

MAX_RUN_YAML_BYTES = 2**16
"""A few settings need no more, and the YAML parser is slow."""

MAX_FOLDER_NAME = 200

_INSTRUMENT_FILES = ("RTAComplete.txt", "RunInfo.xml", "RunParameters.xml")
_T = TypeVar("_T")


@dataclass(frozen=True)
class FileStat:
    """A file of a folder: path below it (posix), bytes, and when it was last changed (UTC, seconds since 1970)."""

    path: str
    size: int
    modified: float


@dataclass(frozen=True)
class FolderListing:
    """The name of a folder and the files anywhere below it, ordered by path."""

    name: str
    files: tuple[FileStat, ...]


@dataclass(frozen=True)
class RunState:
    """How far a run folder is, and why; `code` is set where it is quarantined."""

    run_id: str
    state: State
    reason: str
    code: str | None = None
    instrument: str | None = None
    run_date: datetime.date | None = None
    flowcell: str | None = None
    sheet: SampleSheet | None = None
    reference: str | None = None

    @property
    def sheet_version(self) -> int | None:
        """1 or 2; None without a sheet that can be read."""
        return self.sheet and self.sheet.version

    @property
    def samples(self) -> int | None:
        """How many samples the sheet names; None without a sheet that can be read."""
        return self.sheet and len(self.sheet.samples)


def list_folder(path: Path) -> FolderListing:
    """List the files below a folder.

    Hidden files and folders (`._*` too) are left out. A linked folder is followed once, so a loop of links ends; a
    file that vanishes meanwhile and a link to nothing are left out.

    Raises:
        InvalidInput: code folder_not_readable; the folder, or one below it, may not be read.
    """

    def refuse(error: OSError) -> None:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise InvalidInput(
                _printable(path.name),
                code="folder_not_readable",
                found=f"a folder that cannot be listed ({error.strerror or type(error).__name__})",
                allowed="folders and files that this process may read",
                do="Give read permission, or repair the storage.",
                files=(),
            ) from error

    def look(at: Path) -> os.stat_result | None:
        try:
            return at.stat()
        except OSError as error:
            return refuse(error)

    files: list[FileStat] = []
    # A link upwards would list the neighbours, or the whole disk, as files of this folder.
    seen = {(found.st_dev, found.st_ino) for parent in path.resolve().parents if (found := look(parent))}
    for folder, below, names in os.walk(path, followlinks=True, onerror=refuse):
        here = Path(folder)
        identity = look(here)
        if identity is None or (identity.st_dev, identity.st_ino) in seen:
            below.clear()
            continue
        seen.add((identity.st_dev, identity.st_ino))
        # Real folders before links to them: a file is then listed under its own path.
        visible = [name for name in below if name[0] != "."]
        below[:] = sorted(visible, key=lambda name, here=here: ((here / name).is_symlink(), name))
        files += [
            FileStat((here / name).relative_to(path).as_posix(), found.st_size, found.st_mtime)
            for name in names
            if name[0] != "." and (found := look(here / name)) and stat.S_ISREG(found.st_mode)
        ]
    return FolderListing(path.absolute().name, tuple(sorted(files, key=lambda file: file.path)))


def assess(listing: FolderListing, read: Read) -> RunState:
    """Decide how far a run folder is. Never raises for what is in the folder.

    `copying`: CopyComplete.txt, or the RTAComplete.txt of an instrument's run, is not there yet. `quarantined`: it
    cannot be understood; `reason` lists everything that is wrong, `code` is that of the first. `awaiting_sheet`,
    `awaiting_fastq`: complete, but SampleSheet.csv or the reads are still to come. `ready`: go.
    An instrument's run is known by RTAComplete.txt, RunInfo.xml or RunParameters.xml; without any of them the folder
    is a plain FASTQ delivery. The names of these files count in any letter case, at the top of the folder only.

    Args:
        listing: the folder.
        read: gives the bytes of a file of the listing by its path; may raise OSError (code file_not_readable).
    """
    # A top-level file by its name in small letters; of RunInfo.xml and runinfo.xml the first of the listing counts.
    top = {file.path.lower(): file for file in reversed(listing.files) if "/" not in file.path}
    name = _printable(listing.name)
    run = RunState(name, "copying", "CopyComplete.txt is not there yet.", run_date=_date(listing.name))
    if "copycomplete.txt" not in top:
        return run

    problems: list[InvalidInput] = []

    def tried(check: Callable[[FileStat | None, str, Read], _T], file: str) -> _T | None:
        found = top.get(file.lower())
        try:
            return check(found, f"{name}/{found.path if found else file}", read)
        except InvalidInput as error:
            problems.append(error)
            return None

    remark = ""
    if any(file.lower() in top for file in _INSTRUMENT_FILES):
        info = tried(_run_info, "RunInfo.xml")
        if info is not None:
            if info.run_id != listing.name:
                remark = f" RunInfo.xml calls the run {info.run_id!r}."
            run = replace(run, instrument=info.instrument, run_date=info.date or run.run_date, flowcell=info.flowcell)
            if "rtacomplete.txt" not in top:
                return replace(run, reason="RTAComplete.txt is not there yet." + remark)
        tried(_run_parameters, "RunParameters.xml")
    if fault := _folder_name_fault(listing.name):
        problems.insert(0, fault)
    run = replace(run, reference=tried(_reference, "run.yaml"), sheet=tried(_sheet, "SampleSheet.csv"))

    if problems:
        reason = " ".join(str(problem) for problem in problems) + remark
        return replace(run, state="quarantined", code=problems[0].code, reason=reason)
    if run.sheet is None:
        return replace(
            run, state="awaiting_sheet", reason="The run is complete; SampleSheet.csv is not there yet." + remark
        )
    assigned = fastqs(listing, run.sheet)
    if not assigned.fastq_files:
        reason = f"{_counted(run.samples or 0, 'sample')}, no FASTQ file with their reads yet." + remark
        return replace(run, state="awaiting_fastq", reason=reason)
    return replace(run, state="ready", reason=_summary(run.sheet, assigned) + remark)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _summary(sheet: SampleSheet, assigned: "FastqAssignment") -> str:
    parts = [f"{_counted(len(sheet.samples), 'sample')}, {_counted(assigned.fastq_files, 'FASTQ file')}"]
    if assigned.missing:
        parts.append(f"no FASTQ of {_some(assigned.missing)}")
    if assigned.unassigned:
        codes = Counter(file.code for file in assigned.unassigned)
        parts.append("not used: " + ", ".join(f"{count} {code}" for code, count in sorted(codes.items())))
    if sheet.duplicates:
        parts.append(f"more than once in a lane of the sheet: {_some(sheet.duplicates)}")
    return "; ".join(parts) + "."


def _printable(name: str) -> str:
    """The name as text that every table and log can hold: bytes that are not UTF-8 stand as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _folder_name_fault(name: str) -> InvalidInput | None:
    path_like = name.startswith(".") or any(part in name for part in ("..", "/", "\\"))
    if 0 < len(name) <= MAX_FOLDER_NAME and name.isprintable() and not path_like:
        return None
    return InvalidInput(
        ascii(name),
        code="bad_folder_name",
        found="a folder name that cannot be a partition key and a path",
        allowed=f"at most {MAX_FOLDER_NAME} printable characters, not starting with a dot, without '..', / or \\",
        do="Rename the folder.",
    )


def _content(file: FileStat, where: str, read: Read, most: int = MAX_METADATA_BYTES) -> bytes:
    if file.size > most:
        raise InvalidInput(
            where,
            code="file_too_large",
            found=f"{file.size} bytes",
            allowed=f"at most {most} bytes",
            do="Deliver the file as it was first written.",
        )
    try:
        return read(file.path)
    except OSError as error:
        raise InvalidInput(
            where,
            code="file_not_readable",
            found=f"a file that cannot be read ({error.strerror or type(error).__name__})",
            allowed="a file that this process may read",
            do="Give read permission, or copy the file again.",
        ) from error


def _xml(file: FileStat | None, where: str, read: Read, root: str, code: str) -> Element:
    def refused(found: str, missing: bool = False) -> InvalidInput:
        return InvalidInput(
            where,
            code=f"{code}_missing" if missing else f"{code}_not_readable",
            found=found,
            allowed=f"the instrument's XML with the root element {root}, without a document type",
            do="Copy the file from the instrument's run folder.",
        )

    if file is None:
        raise refused("not there, though the run is complete", missing=True)
    try:
        # No document type at all: no entity bombs, no external entities; instruments write none.
        tree = fromstring(_content(file, where, read), forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:
        # Both the parser's and defusedxml's (ValueError) text may quote the file: say the kind and the place only.
        line = f", line {error.position[0]}" if isinstance(error, ParseError) else ""
        raise refused(f"XML that cannot be read ({type(error).__name__}{line})") from error
    if tree.tag != root:
        raise refused("another root element")
    return tree


class _RunInfo(NamedTuple):
    run_id: str
    instrument: str | None
    date: datetime.date | None
    flowcell: str | None


def _run_info(file: FileStat | None, where: str, read: Read) -> _RunInfo:
    run = _xml(file, where, read, "RunInfo", "run_info").find("Run")
    run_id = run.get("Id", "").strip() if run is not None else ""
    if run is None or not run_id:
        raise InvalidInput(
            where,
            code="run_info_not_readable",
            found="no run id",
            allowed="an element Run with the attribute Id",
            do="Copy the file from the instrument's run folder.",
        )

    def text(tag: str) -> str | None:
        return (run.findtext(tag) or "").strip() or None

    return _RunInfo(run_id, text("Instrument"), _date(text("Date") or ""), text("Flowcell"))


def _run_parameters(file: FileStat | None, where: str, read: Read) -> None:
    _xml(file, where, read, "RunParameters", "run_parameters")


_DATES = (
    # 180509 (HiSeq, MiSeq, NextSeq 500) and 20231108, alone or before the rest of a folder's name
    (re.compile(r"[0-9]{6}(?![0-9])"), "%y%m%d"),
    (re.compile(r"[0-9]{8}(?![0-9])"), "%Y%m%d"),
    # 2023-11-08T19:55:57Z (NovaSeq X, NextSeq 1000): the day as written, which is UTC
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])"), "%Y-%m-%d"),
    # 11/8/2023 7:55:57 PM (NovaSeq 6000): month first
    (re.compile(r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}(?![0-9])"), "%m/%d/%Y"),
)


def _date(text: str) -> datetime.date | None:
    for pattern, form in _DATES:
        if match := pattern.match(text):
            try:
                return datetime.datetime.strptime(match[0], form).date()
            except ValueError:
                return None
    return None


def _sheet(file: FileStat | None, where: str, read: Read) -> SampleSheet | None:
    return sample_sheet.parse(_content(file, where, read), where) if file else None


def _reference(file: FileStat | None, where: str, read: Read) -> str | None:
    if file is None:
        return None

    def refused(found: str) -> InvalidInput:
        return InvalidInput(
            where,
            code="run_yaml_not_understood",
            found=found,
            allowed=f"YAML with a key `reference`, the name of a registered reference ({PLAIN_NAME_RULE})",
            do="Correct run.yaml, or remove it to use the default reference.",
        )

    try:
        # BaseLoader makes strings, lists and mappings only: `reference: 38` is the name "38", and no tag builds
        # an object or fails in its own way.
        settings: object = yaml.load(_content(file, where, read, most=MAX_RUN_YAML_BYTES), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise refused(f"a file that is not YAML ({type(error).__name__})") from error
    if not isinstance(settings, dict):
        raise refused("no mapping")
    reference = cast(dict[object, object], settings).get("reference")
    if reference is None or (isinstance(reference, str) and PLAIN_NAME.fullmatch(reference)):
        return reference
    raise refused("a `reference` that is not a plain name")


# FASTQ files -----------------------------------------------------------------------------------------------------


class Lane(NamedTuple):
    """The reads of a sample in a lane: `r2` is None for single reads. Lane and chunk are 1 where the name has none."""

    sample_id: str
    lane: int
    chunk: int
    r1: str
    r2: str | None


class Unassigned(NamedTuple):
    """A FASTQ that belongs to no pair: sample_not_in_sheet, read_2_without_read_1, duplicate_file, unreadable_name.

    `sample_id` is the sample of the sheet it is named for; None where that is none, or more than one.
    """

    path: str
    code: str
    reason: str
    sample_id: str | None = None


@dataclass(frozen=True)
class FastqAssignment:
    """The FASTQ files of a folder against its sheet.

    `missing` are samples of the sheet without any FASTQ; `set_aside` are index reads and reads without a sample
    (Undetermined), by path.
    """

    pairs: tuple[Lane, ...]
    unassigned: tuple[Unassigned, ...]
    missing: tuple[str, ...]
    set_aside: tuple[str, ...]

    @property
    def fastq_files(self) -> int:
        """How many FASTQ files there are, without those set aside."""
        return sum(1 if pair.r2 is None else 2 for pair in self.pairs) + len(self.unassigned)


_FASTQ = re.compile(r"(?P<stem>.+)\.(?:fastq|fq)(?:\.gz)?", re.IGNORECASE | re.DOTALL)
# `<library>_R1_001` (bcl2fastq, BCL Convert), `<library>_R1`, `<library>_1`; I1 and I2 are index reads
_READ = re.compile(
    r"(?P<library>.+?)_(?:(?P<kind>[RI])(?P<read>[12])(?:_(?P<chunk>[0-9]{3}))?|(?P<bare>[12]))", re.DOTALL
)
_LANE = re.compile(r"(?P<rest>.+)_L(?P<lane>[0-9]{3})", re.DOTALL)
_NUMBER = re.compile(r"(?P<rest>.+)_S[0-9]+", re.DOTALL)


def fastqs(listing: FolderListing, sheet: SampleSheet) -> FastqAssignment:
    """Give each FASTQ file below a run folder to a sample of the sheet, and pair the reads.

    Names: `<sample>_S1_L001_R1_001`, `<sample>_S1_R1_001`, `<sample>_L001_R1`, `<sample>_R1`, `<sample>_1`, with
    .fastq.gz, .fq.gz, .fastq or .fq. <sample> is a Sample_ID, a Sample_Name that only one Sample_ID has, or, where
    neither fits, the same with `_` written as `-`; a name that fits two samples is given to none. Of files for the
    same sample, lane, chunk and read one is used (mates of one folder first, then the first by path), the others
    are `duplicate_file`.
    Source: bcl2fastq2 Conversion Software v2.20 Guide, "FASTQ File Names".
    """
    names = _SampleNames(sheet)
    found: dict[tuple[str, int, int], dict[str, list[str]]] = defaultdict(lambda: {"1": [], "2": []})
    unassigned: list[Unassigned] = []
    set_aside: list[str] = []
    for path in sorted(file.path for file in listing.files):
        fastq = _FASTQ.fullmatch(basename(path))
        if fastq is None:
            continue
        name = _READ.fullmatch(fastq["stem"])
        if fastq["stem"].lower().startswith("undetermined_") or (name and name["kind"] == "I"):
            set_aside.append(path)
        elif name is None or path != _printable(path):
            reason = "the name does not end in _R1, _R2, _1 or _2 (_R1_001, _R2_001), or is not UTF-8"
            unassigned.append(Unassigned(_printable(path), "unreadable_name", reason))
        else:
            owners = names.owners(name["library"], numbered=name["chunk"] is not None)
            if len(owners) == 1:
                [(sample_id, lane)] = owners
                found[sample_id, lane, int(name["chunk"] or 1)][name["read"] or name["bare"]].append(path)
            elif owners:
                reason = f"the name fits more than one sample of the sheet: {_some(sorted(s for s, _ in owners))}"
                unassigned.append(Unassigned(path, "unreadable_name", reason))
            else:
                reason = "the name starts with no Sample_ID or Sample_Name of the sheet"
                unassigned.append(Unassigned(path, "sample_not_in_sheet", reason))

    order = {sample_id: place for place, sample_id in enumerate(sheet.samples)}
    pairs: list[Lane] = []
    for (sample_id, lane, chunk), reads in sorted(found.items(), key=lambda item: (order[item[0][0]], *item[0][1:])):
        if not reads["1"]:
            reason = f"{sample_id} has no read 1 for lane {lane}, chunk {chunk}"
            unassigned += [Unassigned(path, "read_2_without_read_1", reason, sample_id) for path in reads["2"]]
            continue
        together = {dirname(path) for path in reads["1"]} & {dirname(path) for path in reads["2"]}
        r1, r2 = (_first(reads[read], together) for read in ("1", "2"))
        pairs.append(Lane(sample_id, lane, chunk, cast(str, r1), r2))
        for read, used in (("1", r1), ("2", r2)):
            reason = f"read {read} of {sample_id}, lane {lane}, chunk {chunk}, once more: {used} is used"
            spare = [path for path in reads[read] if path != used]
            unassigned += [Unassigned(path, "duplicate_file", reason, sample_id) for path in spare]
    missing = tuple(sample_id for sample_id in sheet.samples if sample_id not in {key[0] for key in found})
    return FastqAssignment(tuple(pairs), tuple(sorted(unassigned)), missing, tuple(set_aside))


def _first(paths: Sequence[str], folders: set[str]) -> str | None:
    return min(paths, key=lambda path: (dirname(path) not in folders, dirname(path), path), default=None)


class _SampleNames:
    """Which samples of a sheet a file name can mean."""

    def __init__(self, sheet: SampleSheet):
        by_name: dict[str, set[str]] = defaultdict(set)
        for row in sheet.rows:
            if row.sample_name:
                by_name[row.sample_name].add(row.sample_id)
        self._exact: dict[str, set[str]] = defaultdict(set)
        self._dashed: dict[str, set[str]] = defaultdict(set)
        # Where a Sample_Name is another sample's Sample_ID both stay: bcl2fastq writes the name, BCL Convert the id.
        unique = ((name, owner) for name, ids in by_name.items() if len(ids) == 1 for owner in ids)
        for name, owner in (*((sample_id, sample_id) for sample_id in sheet.samples), *unique):
            self._exact[name].add(owner)
            self._dashed[_dash(name)].add(owner)

    def owners(self, library: str, numbered: bool) -> set[tuple[str, int]]:
        """The (sample id, lane) that a library's name fits; `numbered`: it is written as bcl2fastq writes it.

        There `_S<n>` and `_L<nnn>` are the sheet's count and the lane. Elsewhere, or where that fits nothing, they
        may as well be the end of the sample's own name.
        """
        readings = [(library, 1)]
        if lane := _LANE.fullmatch(library):
            readings.append((lane["rest"], int(lane["lane"])))
        readings += [(tag["rest"], lane) for name, lane in readings if (tag := _NUMBER.fullmatch(name))]
        for options in ([readings[-1:]] if numbered else []) + [readings]:
            for known, spelled in ((self._exact, str), (self._dashed, _dash)):
                owners = {(owner, lane) for name, lane in options for owner in known.get(spelled(name), ())}
                if owners:
                    return owners
        return set()


def _dash(name: str) -> str:
    return name.replace("_", "-")


# Delivered md5 sums ----------------------------------------------------------------------------------------------


class Md5Problem(NamedTuple):
    """A line of an md5 file that gives no sum (1-based; 0 is the whole file), and why."""

    path: str
    line: int
    reason: str


_MD5_FILES = ("md5sum.txt", "md5.txt", "md5sums.txt", "checksums.md5")
_MD5_LINE = re.compile(r"(?P<md5>[0-9a-f]{32})(?:\s+\*?(?P<name>\S.*))?", re.IGNORECASE)  # GNU md5sum, or bare
_BSD_LINE = re.compile(r"MD5 ?\((?P<name>.+)\) ?= ?(?P<md5>[0-9a-f]{32})", re.IGNORECASE)  # BSD md5, openssl


def delivered_md5s(listing: FolderListing, read: Read) -> tuple[dict[str, str], tuple[Md5Problem, ...]]:
    """Md5 sums delivered with a run: (path below the folder → md5 in small letters, lines that give none).

    Read from md5sum.txt, md5.txt, md5sums.txt and *.md5 anywhere, in the formats of GNU md5sum (`md5  file`,
    `md5 *file`), BSD (`MD5 (file) = md5`) and a bare md5 in `<file>.md5`. A file is named by its path from the md5
    file's folder or from the run folder, or by the end of its path where only one file ends so.
    """
    paths = {file.path for file in listing.files}
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_name[basename(path)].append(path)

    def named(name: str | None, md5_file: str) -> str | None:
        beside = md5_file[: -len(".md5")] if md5_file.lower().endswith(".md5") else None
        if name in (None, "-"):
            return beside if beside in paths else None
        name = name.replace("\\", "/")
        choices = [normpath(join(dirname(md5_file), name)), normpath(name)]
        if beside and basename(beside) == basename(name):
            choices.insert(0, beside)
        ends = [path for path in by_name[basename(name)] if f"/{path}".endswith(f"/{normpath(name)}")]
        return next((choice for choice in choices if choice in paths), ends[0] if len(ends) == 1 else None)

    sums: dict[str, str] = {}
    problems: list[Md5Problem] = []
    for file in sorted(listing.files, key=lambda file: file.path):
        if basename(file.path).lower() not in _MD5_FILES and not file.path.lower().endswith(".md5"):
            continue
        try:
            text = _content(file, file.path, read).decode("utf-8-sig", "replace")
        except InvalidInput as error:
            problems.append(Md5Problem(file.path, 0, error.found))
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            line = line.strip()
            if not line or line[0] in "#;":
                continue
            match = _MD5_LINE.fullmatch(line) or _BSD_LINE.fullmatch(line)
            if match is None:
                problems.append(Md5Problem(file.path, number, "no md5 sum and file name"))
                continue
            path, md5 = named(match["name"], file.path), match["md5"].lower()
            if path is None:
                problems.append(Md5Problem(file.path, number, "names no file, or more than one, of this delivery"))
            elif sums.setdefault(path, md5) != md5:
                problems.append(Md5Problem(file.path, number, "another md5 than given before for the same file"))
    return sums, tuple(problems)
