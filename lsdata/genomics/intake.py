"""From the landing zone to bronze: run folders, the FASTQ manifest, cohorts and subjects."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lsdata.catalog import Column, Dataset
from lsdata.catalog.genomics import COHORTS, FASTQ_MANIFEST, SEQUENCING_RUNS, SUBJECTS
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.genomics import runs
from lsdata.genomics.manifest import FastqStats, fastq_stats
from lsdata.genomics.sample_sheet import PLAIN_NAME, PLAIN_NAME_RULE
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work

_METADATA_BYTES = 64 * 2**20


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# -- run folders -------------------------------------------------------------------------------------------------------


def sequencing_runs(work: Work) -> Outcome:
    """What stands in `landing/sequencing`, decided folder by folder; see `lsdata.genomics.runs.assess`."""
    place = work.landing / "sequencing"
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for folder in sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")):
        listing = runs.list_folder(folder)
        run = runs.assess(listing, lambda path, folder=folder: (folder / path).read_bytes())
        rows.append({name: getattr(run, name) for name in SEQUENCING_RUNS.names})
        if run.state == "quarantined":
            about = [f for f in listing.files if "/" not in f.path and f.size <= _METADATA_BYTES]
            rejects.append(
                Reject(
                    name=run.run_id,
                    code=run.code or "",
                    where=f"sequencing/{run.run_id}",
                    found=run.reason,
                    allowed="a run folder as the instrument writes it",
                    do="Correct the folder; it is looked at again.",
                    files=tuple(
                        folder / f.path for f in about if not f.path.lower().endswith((".gz", ".fastq", ".fq"))
                    ),
                )
            )
        work.log(f"{run.run_id}: {run.state}. {run.reason}")
    return Outcome(rows=pl.DataFrame(rows, schema=arrow.polars_schema(SEQUENCING_RUNS)), rejects=tuple(rejects))


# -- FASTQ manifest ----------------------------------------------------------------------------------------------------


def fastq_manifest(work: Work, sequencing_runs: pl.LazyFrame) -> Outcome:
    """Read every FASTQ of a run once and accept the samples whose files are whole.

    A sample of the run is accepted with all of its files or not at all: half of a sample's reads would pass for a
    sample of low coverage. Refused samples go to quarantine with the fault of each file; the others go on.
    """
    run_id = work.partition
    folder = work.landing / "sequencing" / run_id
    listing = runs.list_folder(folder)
    run = runs.assess(listing, lambda path: (folder / path).read_bytes())
    if run.sheet is None or run.state != "ready":
        raise InvalidInput(
            f"sequencing/{run_id}",
            code=run.code or run.state,
            found=run.reason,
            allowed="a run that is ready",
            do="Wait until it is complete, or correct it.",
        )
    assigned = runs.fastqs(listing, run.sheet)
    delivered, problems = runs.delivered_md5s(listing, lambda path: (folder / path).read_bytes())
    faults: dict[str, list[tuple[str | None, InvalidInput]]] = defaultdict(list)
    rejects = [
        Reject(
            name=path,
            code=code,
            where=f"sequencing/{run_id}/{path}",
            found=reason,
            allowed="FASTQs named for a sample of the sheet",
            do="Correct the sheet or the file's name.",
            files=(folder / path,),
        )
        for path, code, reason in assigned.unassigned
    ]
    rejects += [
        Reject(
            name=f"{p.path} line {p.line}",
            code="md5_not_understood",
            where=f"sequencing/{run_id}/{p.path}",
            found=p.reason,
            allowed="md5sum lines of delivered files",
            do="Correct the checksum file.",
            files=(folder / p.path,),
        )
        for p in problems
    ]
    for sample in run.sheet.duplicates:
        faults[sample].append(
            (
                None,
                _fault(
                    f"sequencing/{run_id}/SampleSheet.csv",
                    "duplicate_sample_id",
                    f"{sample} twice in a lane",
                    "one row per sample and lane",
                    "Correct the sheet.",
                ),
            )
        )
    rows: list[dict[str, Any]] = []
    for done, lane in enumerate(assigned.pairs, 1):
        stats = {path: _read(folder, path, delivered, faults[lane.sample_id]) for path in (lane.r1, lane.r2) if path}
        work.log(f"{done} of {len(assigned.pairs)} lanes: {lane.sample_id} lane {lane.lane}")
        agree = _mates_agree(stats, lane, faults[lane.sample_id])
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
    paths = {s: [p for x in assigned.pairs if x.sample_id == s for p in (x.r1, x.r2) if p] for s in faults}
    for sample, found in faults.items():
        rejects += _refused(run_id, sample, found, paths[sample], folder)
    refused = {sample for sample, found in faults.items() if found}
    frame = pl.DataFrame(rows, schema=arrow.polars_schema(FASTQ_MANIFEST)).filter(~pl.col("sample_id").is_in(refused))
    landed = {f"sequencing/{run_id}/{path}": sha for path, sha in frame.select("path", "sha256").iter_rows()}
    landed |= {
        f"sequencing/{run_id}/{f.path}": _sha256(folder / f.path)
        for f in listing.files
        if f.path.lower() in ("samplesheet.csv", "runinfo.xml", "run.yaml")
    }
    notes: dict[str, str | float] = {"samples_accepted": float(frame["sample_id"].n_unique())}
    if assigned.missing:
        notes["samples_without_fastq"] = ", ".join(assigned.missing)
    if refused:
        notes["samples_refused"] = ", ".join(sorted(refused))
    return Outcome(rows=frame, landed=landed, rejects=tuple(rejects), notes=notes)


def _fault(where: str, code: str, found: str, allowed: str, do: str) -> InvalidInput:
    return InvalidInput(where, code=code, found=found, allowed=allowed, do=do)


def _read(
    folder: Path, path: str, delivered: Mapping[str, str], faults: list[tuple[str | None, InvalidInput]]
) -> FastqStats | None:
    """The statistics of a file, or None with the fault noted."""
    try:
        stats = fastq_stats(folder / path)
    except InvalidInput as error:
        faults.append((path, error))
        return None
    if path in delivered and delivered[path].lower() != stats.md5:
        faults.append(
            (
                path,
                _fault(
                    path,
                    "md5_differs",
                    f"MD5 {stats.md5}",
                    f"MD5 {delivered[path]} as delivered",
                    "Copy the file again.",
                ),
            )
        )
    if not stats.reads:
        faults.append((path, _fault(path, "fastq_empty", "no reads", "at least one read", "Deliver it again.")))
    return stats


def _mates_agree(
    stats: Mapping[str, FastqStats | None], lane: runs.Lane, faults: list[tuple[str | None, InvalidInput]]
) -> bool | None:
    r1, r2 = stats.get(lane.r1), stats.get(lane.r2) if lane.r2 else None
    if lane.r2 is None or r1 is None or r2 is None:
        return None
    if r1.reads != r2.reads:
        faults.append(
            (
                lane.r2,
                _fault(
                    lane.r2,
                    "mates_unequal",
                    f"{r2.reads} reads, {r1.reads} in {lane.r1}",
                    "equal numbers of reads",
                    "Deliver both files again.",
                ),
            )
        )
    elif r1.names_digest != r2.names_digest:
        faults.append(
            (
                lane.r2,
                _fault(
                    lane.r2,
                    "mate_names_differ",
                    f"read names other than those of {lane.r1}",
                    "the same names in order",
                    "Deliver both files again, unsorted.",
                ),
            )
        )
    return r1.reads == r2.reads and r1.names_digest == r2.names_digest


def _refused(
    run_id: str, sample: str, faults: Sequence[tuple[str | None, InvalidInput]], paths: Sequence[str], folder: Path
) -> Iterator[Reject]:
    for path, error in faults:
        told = _fault(
            f"sequencing/{run_id}/{path or 'SampleSheet.csv'}",
            error.code,
            error.found,
            error.allowed,
            f"{error.do} Sample {sample} of this run waits until then ({len(paths)} files).",
        )
        kept = [folder / path] if path else []
        yield Reject.of(told, f"{sample} {path or error.code}", kept)


# -- cohorts and subjects ----------------------------------------------------------------------------------------------


def cohorts(work: Work) -> Outcome:
    """`landing/cohorts.csv`; rows that name no sample or a name that cannot be a partition are refused."""
    return _table(work, COHORTS, plain=("cohort_id", "sample_id"))


def subjects(work: Work) -> Outcome:
    """`landing/subjects.csv`, values as delivered. PHI: nothing of it is logged."""
    return _table(work, SUBJECTS, plain=("sample_id",))


def _table(work: Work, dataset: Dataset, plain: Sequence[str]) -> Outcome:
    """A CSV of declared columns. Bad rows are refused by line; a repeated row counts once."""
    path = work.landing / work.landed[0].path
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = [(name or "").strip() for name in reader.fieldnames or []]
    required = [c.name for c in dataset.columns if not c.nullable]
    if missing := [name for name in required if name not in header]:
        raise InvalidInput(
            path.name,
            code="columns_missing",
            found=f"no column {', '.join(missing)}",
            allowed=", ".join(dataset.names),
            do="Correct the header.",
        )
    reader.fieldnames = header
    rows: dict[tuple[str, ...], dict[str, str | None]] = {}
    bad: list[tuple[int, str]] = []
    for row in reader:
        told = {name: (row.get(name) or "").strip() or None for name in dataset.names}
        fault = _row_fault(dataset.columns, told, plain)
        key = tuple(told[k] or "" for k in dataset.primary_key)
        if fault is None and rows.get(key, told) != told:
            fault = f"{', '.join(dataset.primary_key)} given before with other values"
        if fault:
            bad.append((reader.line_num, fault))
        else:
            rows[key] = told
    rejects = (
        [
            Reject(
                name=path.name,
                code="rows_refused",
                where=path.name,
                found="; ".join(f"line {n}: {fault}" for n, fault in bad[:100])
                + (f"; {len(bad)} in all" if len(bad) > 100 else ""),
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


def _row_fault(columns: Sequence[Column], row: Mapping[str, str | None], plain: Sequence[str]) -> str | None:
    if empty := [c.name for c in columns if not c.nullable and row[c.name] is None]:
        return f"{', '.join(empty)} empty"
    if odd := [name for name in plain if not PLAIN_NAME.fullmatch(row[name] or "")]:
        return f"{', '.join(odd)} cannot be a name"
    return None
