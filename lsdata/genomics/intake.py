"""From the landing zone to bronze: run folders, the FASTQ manifest, cohorts and subjects."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from lsdata.catalog import Column, Dataset
from lsdata.catalog.genomics import COHORTS, FASTQ_MANIFEST, SEQUENCING_RUNS, SUBJECTS
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.genomics import runs
from lsdata.genomics.sample_sheet import PLAIN_NAME, PLAIN_NAME_RULE
from lsdata.lake.places import LocalPlace
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work

if TYPE_CHECKING:
    from lsdata.genomics.fastq import FastqStats

_METADATA = ("samplesheet.csv", "runinfo.xml", "runparameters.xml", "run.yaml")
_METADATA_BYTES = 64 * 2**20
"""The largest other file of a run folder that is kept when the folder is refused."""

Fault = tuple[str | None, InvalidInput]
"""A fault of a sample: the file at fault, None for the sheet."""


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# -- run folders -------------------------------------------------------------------------------------------------------


def sequencing_runs(work: Work) -> Outcome:
    """What stands in `landing/sequencing`, decided folder by folder; see `lsdata.genomics.runs.assess`."""
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    landed: dict[str, str] = {}
    for name in work.landing.folders("sequencing"):
        local = _local(work, name)
        try:
            listing = _listing(work, name)
            run = runs.assess(listing, lambda path, local=local: local(path).read_bytes())
        except InvalidInput as error:
            listing = runs.FolderListing(name, ())
            run = runs.RunState(_printable(name), "quarantined", str(error), error.code)
        rows.append({column: getattr(run, column) for column in SEQUENCING_RUNS.names})
        if run.state == "quarantined":
            rejects.append(
                Reject(
                    name=run.run_id,
                    code=run.code or "",
                    where=f"sequencing/{run.run_id}",
                    found=run.reason,
                    allowed="a run folder as the instrument writes it",
                    do="Correct the folder; it is looked at again.",
                    files=_metadata(local, listing),
                )
            )
        landed |= {
            f"sequencing/{name}/{f.path}": _sha256(local(f.path))
            for f in listing.files
            if f.path.lower() in _METADATA and run.code != "file_not_readable"
        }
        work.log(f"{run.run_id}: {run.state}. {run.reason}")
    frame = pl.DataFrame(rows, schema=arrow.polars_schema(SEQUENCING_RUNS))
    return Outcome(rows=frame, landed=landed, rejects=tuple(rejects))


Local = Callable[[str], Path]
"""The local path of a file of a run folder."""


def _local(work: Work, run_id: str) -> Local:
    return lambda path: work.landing.local(f"sequencing/{run_id}/{path}")


def _listing(work: Work, run_id: str) -> runs.FolderListing:
    if isinstance(work.landing.place, LocalPlace):
        return runs.list_folder(work.landing.local(f"sequencing/{run_id}"))
    folder = f"sequencing/{run_id}/"
    files = (
        runs.FileStat(f.path.removeprefix(folder), f.bytes, f.modified_ns / 1e9) for f in work.landing.files(folder)
    )
    return runs.FolderListing(run_id, tuple(sorted(files, key=lambda file: file.path)))


def _metadata(local: Local, listing: runs.FolderListing) -> tuple[Path, ...]:
    """The files of a run folder that say what it is: sheet and settings, and small files at its top; no reads."""
    return tuple(
        local(f.path)
        for f in listing.files
        if f.path.lower() in _METADATA
        or ("/" not in f.path and f.size <= _METADATA_BYTES and not f.path.lower().endswith((".gz", ".fastq", ".fq")))
    )


# -- FASTQ manifest ----------------------------------------------------------------------------------------------------


def fastq_manifest(work: Work, sequencing_runs: pl.LazyFrame) -> Outcome:
    """Read every FASTQ of a run once and accept the samples whose files are whole.

    A sample of the run is accepted with all of its files or not at all: half of a sample's reads would pass for a
    sample of low coverage. Refused samples go to quarantine with the fault of each file; the others go on.
    """
    from lsdata.genomics.fastq import no_end_marker

    run_id = work.partition
    local, listing = _local(work, run_id), _listing(work, run_id)
    run = runs.assess(listing, lambda path: local(path).read_bytes())
    if run.sheet is None or run.state != "ready":
        raise InvalidInput(
            f"sequencing/{run_id}",
            code=run.code or run.state,
            found=run.reason,
            allowed="a run that is ready",
            do="Wait until it is complete, or correct it.",
            # Not the reads: nothing is wrong with them, and they are many gigabytes.
            files=_metadata(local, listing),
        )
    assigned = runs.fastqs(listing, run.sheet)
    delivered, problems = runs.delivered_md5s(listing, lambda path: local(path).read_bytes())
    faults: dict[str, list[Fault]] = defaultdict(list)
    rejects: list[Reject] = []
    for sample in run.sheet.duplicates:
        found = f"{sample} twice in a lane"
        faults[sample].append(
            (None, _fault("duplicate_sample_id", found, "one row per sample and lane", "Correct the sheet."))
        )
    rows: list[dict[str, Any]] = []
    for done, lane in enumerate(assigned.pairs, 1):
        stats = {path: _read(local, path, delivered, faults[lane.sample_id]) for path in (lane.r1, lane.r2) if path}
        work.log(f"{done} of {len(assigned.pairs)} lanes: {lane.sample_id} lane {lane.lane}")
        agree = _mates_agree(stats, lane, faults[lane.sample_id])
        # Equal mates or an MD5 show a file to be whole: bcl2fastq2 writes BGZF without a marker.
        doubtful = [path for path, told in stats.items() if told and told.end_marker is False and path not in delivered]
        if lane.r2 is None or agree is False:
            faults[lane.sample_id] += [(path, no_end_marker("")) for path in doubtful]
        rows += [
            {
                "run_id": run_id,
                "sample_id": lane.sample_id,
                "lane": lane.lane,
                "read": read,
                "chunk": lane.chunk,
                "path": path,
                **{k: told[k] for k in told if k in FASTQ_MANIFEST.names},
                "mates_agree": agree,
                "md5_delivered": path in delivered,
                "flowcell": run.flowcell,
                "reference": run.reference,
            }
            for read, path in (("R1", lane.r1), ("R2", lane.r2))
            if path and (told := stats[path])
        ]
    _expect_mates(assigned.pairs, faults, every=run.instrument is not None)
    digests = {row["sha256"] for row in rows}
    expected = f"FASTQs named for a sample of the sheet: {_listed(run.sheet.samples, 20, ', ')}"
    for path, code, reason, owner in assigned.unassigned:
        fault = _fault(code, reason, expected, "Correct the sheet or the file's name.")
        # Another copy of what has been read takes nothing away from the sample; other reads of it do.
        if owner and not (code == "duplicate_file" and _sha256(local(path)) in digests):
            faults[owner].append((path, fault))
        else:
            rejects.append(Reject.of(_at(f"sequencing/{run_id}/{path}", fault), path, [local(path)]))
    rejects += _md5_rejects(run_id, local, problems)
    sheet = next(file.path for file in listing.files if file.path.lower() == "samplesheet.csv")
    for sample, found in faults.items():
        rejects += _refused(run_id, local, sample, [(path or sheet, fault) for path, fault in found])
    refused = {sample for sample, found in faults.items() if found}
    frame = pl.DataFrame(rows, schema=arrow.polars_schema(FASTQ_MANIFEST)).filter(~pl.col("sample_id").is_in(refused))
    landed = {f"sequencing/{run_id}/{path}": sha for path, sha in frame.select("path", "sha256").iter_rows()}
    landed |= {
        f"sequencing/{run_id}/{f.path}": _sha256(local(f.path)) for f in listing.files if f.path.lower() in _METADATA
    }
    notes: dict[str, str | float] = {"samples_accepted": float(frame["sample_id"].n_unique())}
    if assigned.missing:
        notes["samples_without_fastq"] = ", ".join(assigned.missing)
    if refused:
        notes["samples_refused"] = ", ".join(sorted(refused))
    return Outcome(rows=frame, landed=landed, rejects=tuple(rejects), notes=notes)


def _fault(code: str, found: str, allowed: str, do: str) -> InvalidInput:
    return InvalidInput("", code=code, found=found, allowed=allowed, do=do)


def _at(where: str, fault: InvalidInput, do: str = "") -> InvalidInput:
    return InvalidInput(where, code=fault.code, found=fault.found, allowed=fault.allowed, do=f"{fault.do}{do}")


def _read(local: Local, path: str, delivered: Mapping[str, str], faults: list[Fault]) -> "FastqStats | None":
    """The statistics of a file, or None with the fault noted."""
    from lsdata.genomics.fastq import fastq_stats

    try:
        stats = fastq_stats(local(path), expect_end_marker=False)
    except InvalidInput as error:
        faults.append((path, error))
        return None
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror or type(error).__name__})"
        do = "Give read permission, or copy the file again."
        faults.append((path, _fault("file_not_readable", found, "a file that this process may read", do)))
        return None
    if path in delivered and delivered[path] != stats.md5:
        allowed = f"MD5 {delivered[path]} as delivered"
        faults.append((path, _fault("md5_differs", f"MD5 {stats.md5}", allowed, "Copy the file again.")))
    if not stats.bases:
        found = f"{stats.reads} reads without a base" if stats.reads else "no reads"
        faults.append((path, _fault("fastq_empty", found, "at least one read", "Deliver it again.")))
    return stats


def _mates_agree(stats: "Mapping[str, FastqStats | None]", lane: runs.Lane, faults: list[Fault]) -> bool | None:
    r1, r2 = stats.get(lane.r1), stats.get(lane.r2) if lane.r2 else None
    if lane.r2 is None or r1 is None or r2 is None:
        return None
    if r1.reads != r2.reads:
        found = f"{r2.reads} reads, {r1.reads} in {lane.r1}"
        do = "Deliver both files again."
        faults.append((lane.r2, _fault("mates_unequal", found, "equal numbers of reads", do)))
    elif r1.names_digest != r2.names_digest:
        found = f"read names other than those of {lane.r1}"
        do = "Deliver both files again, unsorted."
        faults.append((lane.r2, _fault("mate_names_differ", found, "the same names in order", do)))
    return r1.reads == r2.reads and r1.names_digest == r2.names_digest


def _expect_mates(pairs: Sequence[runs.Lane], faults: Mapping[str, list[Fault]], every: bool) -> None:
    """Where one lane of a sample has two mates, all have; an instrument's run is paired as a whole (`every`)."""
    paired = {lane.sample_id for lane in pairs if lane.r2}
    for lane in pairs:
        if lane.r2 is None and (lane.sample_id in paired or (every and paired)):
            found = "read 1 without read 2, in paired data"
            fault = _fault("read_1_without_read_2", found, "both mates", "Deliver the file of read 2.")
            faults[lane.sample_id].append((lane.r1, fault))


def _md5_rejects(run_id: str, local: Local, problems: Sequence[runs.Md5Problem]) -> Iterator[Reject]:
    """One for each checksum file."""
    for path in dict.fromkeys(problem.path for problem in problems):
        lines = [f"line {p.line}: {p.reason}" for p in problems if p.path == path]
        yield Reject(
            name=path,
            code="md5_not_understood",
            where=f"sequencing/{run_id}/{path}",
            found=_listed(lines),
            allowed="md5sum lines of delivered files",
            do="Correct the checksum file.",
            files=() if any(p.path == path and not p.line for p in problems) else (local(path),),
        )


def _refused(run_id: str, local: Local, sample: str, faults: Sequence[tuple[str, InvalidInput]]) -> Iterator[Reject]:
    for path, fault in faults:
        place = fault.where.removeprefix(Path(path).name)
        told = _at(f"sequencing/{run_id}/{path}{place}", fault, f" Sample {sample} of this run waits until then.")
        kept = [] if fault.code == "file_not_readable" else [local(path)]
        yield Reject.of(told, f"{sample} {path} {fault.code}", kept)


def _listed(lines: Sequence[str], most: int = 100, between: str = "; ") -> str:
    return between.join(lines[:most]) + (f"{between}{len(lines)} in all" if len(lines) > most else "")


# -- cohorts and subjects ----------------------------------------------------------------------------------------------


def cohorts(work: Work) -> Outcome:
    """`landing/cohorts.csv`; rows that name no sample or a name that cannot be a partition are refused."""
    return _table(work, COHORTS, plain=("cohort_id", "sample_id"))


def subjects(work: Work) -> Outcome:
    """`landing/subjects.csv`, values as delivered. PHI: nothing of it is logged."""
    return _table(work, SUBJECTS, plain=("sample_id",))


def _table(work: Work, dataset: Dataset, plain: Sequence[str]) -> Outcome:
    """A CSV of declared columns. Bad rows are refused by line; a repeated row counts once.

    Raises:
        InvalidInput: the header or the quoting leaves open what the cells mean. No cell is ever quoted.
    """
    path = work.landing.local(work.landed[0].path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    required = [c.name for c in dataset.columns if not c.nullable]
    # strict: a stray quote would otherwise swallow the rows up to the next one.
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: dict[tuple[str, ...], dict[str, str | None]] = {}
    bad: list[tuple[int, str]] = []
    disputed: dict[tuple[str, ...], list[int]] = defaultdict(list)
    start = 1
    empty: list[str] = []
    try:
        header = [name.strip() for name in next(lines, empty)]
        missing = [f"no column {name}" for name in required if name not in header]
        twice = [f"column {name} more than once" for name in dataset.names if header.count(name) > 1]
        if missing or twice:
            raise InvalidInput(
                path.name,
                code="header_not_understood",
                found=", ".join(missing + twice),
                allowed=f"comma-separated {', '.join(dataset.names)}",
                do="Correct the header.",
            )
        start = lines.line_num + 1
        for cells in lines:
            number, start = start, lines.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            row = dict(zip(header, cells, strict=False))
            told = {name: (row.get(name) or "").strip() or None for name in dataset.names}
            key = tuple(told[k] or "" for k in dataset.primary_key)
            if fault := _row_fault(dataset.columns, told, plain, shifted=any(cells[len(header) :])):
                bad.append((number, fault))
            elif rows.setdefault(key, told) != told:
                disputed[key].append(number)
    except csv.Error as error:
        raise InvalidInput(
            path.name,
            code="not_csv",
            found=f"line {start} is not comma-separated text ({error})",
            allowed='cells separated by commas, a cell with a comma in a pair of "',
            do="Correct the line.",
        ) from None
    for key, numbers in disputed.items():
        # Which of them holds is not for us to guess.
        del rows[key]
        bad += [(n, f"{', '.join(dataset.primary_key)} given before with other values; none is used") for n in numbers]
    rejects = (
        [
            Reject(
                name=path.name,
                code="rows_refused",
                where=path.name,
                found=_listed([f"line {n}: {fault}" for n, fault in sorted(bad)]),
                allowed=f"{', '.join(required)} filled, {PLAIN_NAME_RULE}",
                do="Correct these lines.",
                files=(path,),
            )
        ]
        if bad
        else []
    )
    return Outcome(
        rows=pl.DataFrame(list(rows.values()), schema=arrow.polars_schema(dataset)),
        landed={path.name: hashlib.sha256(data).hexdigest()},
        rejects=tuple(rejects),
    )


def _row_fault(
    columns: Sequence[Column], row: Mapping[str, str | None], plain: Sequence[str], shifted: bool
) -> str | None:
    if shifted:
        return "more cells than columns"
    if empty := [c.name for c in columns if not c.nullable and row[c.name] is None]:
        return f"{', '.join(empty)} empty"
    if odd := [name for name in plain if not PLAIN_NAME.fullmatch(row[name] or "")]:
        return f"{', '.join(odd)} cannot be a name"
    if unread := [name for name, value in row.items() if "\ufffd" in (value or "")]:
        return f"{', '.join(unread)} with characters that are neither UTF-8 nor cp1252"
    return None
