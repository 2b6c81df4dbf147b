"""Line listings of other spontaneous sources: a row per case, drug and event."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lsdata.catalog.pharmacovigilance import REPORT_LINES
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work

_FIELDS = REPORT_LINES.names[4:]
_REQUIRED = tuple(c.name for c in REPORT_LINES.columns[4:] if not c.nullable)
_MOST_TOLD = 100


def report_lines(work: Work, deliveries: pl.LazyFrame) -> Outcome:
    """The lines of all deliveries of a source; those without case, drug or event are refused line by line."""
    frames: list[pl.DataFrame] = [arrow.empty(REPORT_LINES)]
    rejects: list[Reject] = []
    landed: dict[str, str] = {}
    notes: dict[str, str | float] = {}
    known = set(
        deliveries.filter(pl.col("state") == "ready", pl.col("kind") == "reports")
        .select("delivery")
        .collect()["delivery"]
    )
    for file in (f for f in work.landed if Path(f.path).name in known):
        path = work.landing.local(file.path)
        data = path.read_bytes()
        landed[file.path] = hashlib.sha256(data).hexdigest()
        name = Path(file.path).name
        try:
            lines, unknown = read(gzip.decompress(data) if name.lower().endswith(".gz") else data, file.path)
        except (OSError, EOFError, zlib.error) as error:
            found = f"cannot be unpacked ({type(error).__name__})"
            told = InvalidInput(
                file.path, code="not_gzip", found=found, allowed="a whole gzip file", do="Deliver it again."
            )
            rejects.append(Reject.of(told, name, [path]))
            continue
        except InvalidInput as error:
            rejects.append(Reject.of(error, name, [path]))
            continue
        if unknown:
            notes[f"{name}: columns left out"] = ", ".join(unknown)
        whole = pl.all_horizontal(pl.col(n).is_not_null() for n in _REQUIRED)
        frames.append(
            lines.filter(whole).select(
                source=pl.lit(work.partition),
                delivery=pl.lit(name),
                source_file=pl.lit(file.path),
                source_line=pl.col("source_line"),
                **{n: pl.col(n) for n in _FIELDS},
            )
        )
        bad = lines.filter(~whole)["source_line"].to_list()
        if bad:
            rejects.append(_refused(file.path, name, bad, path))
    return Outcome(rows=pl.concat(frames), landed=landed, rejects=tuple(rejects), notes=notes)


def read(data: bytes, where: str) -> tuple[pl.DataFrame, list[str]]:
    """source_line (record, the header being 1) and the fields as text, null where empty; and unknown columns.

    UTF-8, else cp1252. Letter case of the header does not matter.

    Raises:
        InvalidInput: a required column is missing or twice there, or the quoting leaves open what the cells are.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    header = [name.strip().lower() for name in next(csv.reader(io.StringIO(text)), list[str]())]
    faults = [f"no column {n}" for n in _REQUIRED if n not in header]
    faults += [f"column {n} more than once" for n in _FIELDS if header.count(n) > 1]
    if faults:
        raise InvalidInput(
            where, code="header_not_understood", found=", ".join(faults), allowed=",".join(_FIELDS),
            do="Name the columns so.",
        )  # fmt: skip
    names = [name if header.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(header)]
    try:
        frame = pl.read_csv(
            io.BytesIO(text.encode()), has_header=False, skip_rows=1, new_columns=names, infer_schema=False,
            schema=dict.fromkeys(names, pl.String), raise_if_empty=False,
        )  # fmt: skip
    except pl.exceptions.ComputeError:
        frame = _by_line(text, names, where)
    value = pl.col(pl.String).str.strip_chars()
    frame = frame.with_columns(pl.when(value != "").then(value).name.keep())
    lines = frame.with_row_index("source_line", offset=2).select(
        pl.col("source_line").cast(pl.Int64),
        *(pl.col(n) if n in names else pl.lit(None, pl.String).alias(n) for n in _FIELDS),
    )
    empty = pl.all_horizontal(pl.col(n).is_null() for n in _FIELDS)
    return lines.filter(~empty), [n for n in header if n not in _FIELDS]


def _by_line(text: str, names: Sequence[str], where: str) -> pl.DataFrame:
    """The slow way, for a file with lines of too many cells: those become empty and so are refused by their line."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]
    except csv.Error as error:
        raise InvalidInput(
            where, code="quoting_not_understood", found="a quote that is not closed or stands inside a cell",
            allowed="RFC 4180", do="Have it written again.",
        ) from error  # fmt: skip
    cells = [
        row + [""] * (len(names) - len(row)) if len(row) <= len(names) else ["?"] + [""] * (len(names) - 1)
        for row in rows
    ]
    return pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")


def _refused(where: str, name: str, bad: Sequence[int], path: Path) -> Reject:
    lines = ", ".join(str(line) for line in bad[:_MOST_TOLD])
    return Reject(
        name=f"{name} lines",
        code="lines_not_understood",
        where=where,
        found=f"{len(bad)} lines without {', '.join(_REQUIRED)} or with too many cells: {lines}",
        allowed=f"{', '.join(_REQUIRED)} in every line",
        do="Correct the lines; the others are published.",
        files=(path,),
    )
