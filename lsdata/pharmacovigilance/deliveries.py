"""What has landed: FAERS zips, E2B(R3) messages and line listings, decided file by file."""

import hashlib
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from lsdata.catalog.pharmacovigilance import DELIVERIES
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.lake.landing import Landed
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work
from lsdata.pharmacovigilance import faers

RESERVED = ("faers", "icsr")
"""Sources that are not folders of landing/reports."""


def deliveries(work: Work) -> Outcome:
    """A row per file; what cannot be read at all is refused here, single lines later."""
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    landed: dict[str, str] = {}
    for file in work.landed:
        row = _row(work, file)
        if row["state"] == "quarantined":
            rejects.append(
                Reject(
                    name=file.path,
                    code=row["code"],
                    where=file.path,
                    found=row["reason"],
                    allowed="a FAERS zip, an .xml of messages, or a .csv[.gz] line listing",
                    do="Correct or remove the file; it is looked at again.",
                    files=(work.landing.local(file.path),),
                )
            )
        landed[file.path] = row["sha256"]
        rows.append(row)
        work.log(f"{file.path}: {row['state']}. {row['reason']}")
    frame = pl.DataFrame(rows, schema=arrow.polars_schema(DELIVERIES))
    return Outcome(rows=frame, landed=landed, rejects=tuple(rejects))


def _row(work: Work, file: Landed) -> dict[str, Any]:
    parts = file.path.split("/")
    path = work.landing.local(file.path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    row: dict[str, Any] = {
        "source": parts[1] if parts[0] == "reports" else parts[0],
        "delivery": parts[-1],
        "kind": parts[0],
        "quarter": None,
        "as_of": faers.quarter_in(parts[-1]) or _arrival(file),
        "layout": None,
        "bytes": file.bytes,
        "sha256": sha256,
        "state": "ready",
        "code": None,
        "reason": "Complete.",
    }
    try:
        row |= _CHECKS[parts[0]](path, row["source"])
    except InvalidInput as error:
        row |= {"state": "quarantined", "code": error.code, "reason": f"{error.found}; allowed: {error.allowed}"}
    return row


def _arrival(file: Landed) -> str:
    at = datetime.fromtimestamp(file.modified_ns / 1e9, UTC)
    return f"{at.year}q{(at.month + 2) // 3}"


def _faers(path: Path, source: str) -> dict[str, Any]:
    del source
    try:
        with zipfile.ZipFile(path) as opened:
            found = faers.members(opened)
            names = {member.table for member in found}
            broken = opened.testzip()
            layout = faers.layout(opened, found)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise _refused("not_a_zip", f"cannot be read as a zip ({type(error).__name__})", "a whole zip") from error
    if broken:
        raise _refused("zip_damaged", "a member whose checksum is wrong", "a whole zip")
    if missing := [t for t in ("demo", "drug", "reac") if t not in names]:
        raise _refused(
            "incomplete_quarter", f"no file of {', '.join(missing)}", "DEMO, DRUG and REAC, e.g. DEMO17Q2.txt"
        )
    quarters = sorted({member.quarter for member in found})
    if len(quarters) > 1:
        raise _refused("several_quarters", f"files of {', '.join(quarters)}", "one quarter in a zip")
    return {"quarter": quarters[0], "as_of": quarters[0], "layout": layout}


def _icsr(path: Path, source: str) -> dict[str, Any]:
    del source
    if path.suffix.lower() != ".xml":
        raise _refused("not_xml", f"a file that ends in {path.suffix or 'nothing'}", ".xml")
    return {}


def _reports(path: Path, source: str) -> dict[str, Any]:
    if source in RESERVED:
        raise _refused("reserved_source", f"a folder called {source}", "another name")
    if not re.search(r"(?i)\.csv(\.gz)?$", path.name):
        raise _refused("not_csv", "another kind of file", ".csv or .csv.gz")
    return {}


_CHECKS = {"faers": _faers, "icsr": _icsr, "reports": _reports}


def _refused(code: str, found: str, allowed: str) -> InvalidInput:
    return InvalidInput("", code=code, found=found, allowed=allowed, do="Deliver it again.")
