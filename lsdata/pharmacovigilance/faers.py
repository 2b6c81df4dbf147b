"""FAERS quarterly ASCII, legacy AERS (until 2012q3) and current layout, and lists of deleted cases.

Repairs are made where they are certain, and counted:
- A line that is not UTF-8 is read as cp1252, if all of its bytes are characters there.
- A record torn by line breaks is joined where its first line begins like a record, the lines after it do not, and
  together they have exactly the fields of the header.
- Two records in a line are parted where every record ends in a separator (AERS), the line has exactly twice the
  fields, and the second half begins like a record.
- A separator at the end of a record is dropped.
All other lines that have not the header's fields are refused, line by line.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from lsdata.catalog import Dataset
from lsdata.catalog.pharmacovigilance import FAERS, FAERS_DELETED, FAERS_FIELDS, FAERS_FILES, FAERS_SYNONYMS
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work

_QUARTER = re.compile(r"(?i)(?<!\d)(\d{4}|\d{2})_?q([1-4])(?!\d)")
_MEMBER = re.compile(r"(?i)(demo|drug|reac|outc|rpsr|ther|indi)(\d{2}|\d{4})q([1-4])[^/]*\.txt$")
_DELETED = re.compile(r"(?i)delete[^/]*(/|\.txt$)")
_MOST_TOLD = 100
"""Refused lines that a reason lists one by one; the file beside it holds all of them."""


class Member(NamedTuple):
    """One of the seven files in a zip."""

    name: str
    table: str
    quarter: str


def quarter_in(name: str) -> str | None:
    """The quarter that a name holds.

    >>> quarter_in("faers_ascii_2017Q2.zip"), quarter_in("ADR04Q1DeletedCases.txt"), quarter_in("x.zip")
    ('2017q2', '2004q1', None)
    """
    found = _QUARTER.search(name)
    return _named(found[1], found[2]) if found else None


def _named(year: str, quarter: str) -> str:
    # AERS begins in 2004; two-digit years are of this century.
    return f"{year if len(year) == 4 else f'20{year}'}q{quarter}"


def members(opened: zipfile.ZipFile) -> list[Member]:
    """The files of a zip that hold reports."""
    found = ((name, _MEMBER.search(name)) for name in opened.namelist() if not _DELETED.search(name))
    return [Member(name, m[1].lower(), _named(m[2], m[3])) for name, m in found if m]


def layout(opened: zipfile.ZipFile, found: Sequence[Member]) -> str:
    """`aers` where the reports have an ISR, else `faers`."""
    for member in found:
        if member.table == "demo":
            with opened.open(member.name) as stream:
                return "aers" if stream.readline(4096).lower().lstrip(b"\xef\xbb\xbf").startswith(b"isr") else "faers"
    return "faers"


# -- lines -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parsed:
    """What a file holds.

    Attributes:
        rows: source_line, record and the fields by the header's names, all text; empty ones are null.
        refused: line number and why.
        counts: where the lines went, see `FAERS_FILES`.
    """

    rows: pl.DataFrame
    refused: tuple[tuple[int, str], ...]
    counts: dict[str, int]


def parse(data: bytes, where: str) -> Parsed:
    """The records of one of the seven files.

    Raises:
        InvalidInput: the header names no report.
    """
    lines, recoded, undecodable = _lines(data)
    header = lines[0] if len(lines) else ""
    names = [name.strip().lower() for name in header.rstrip("\r").removesuffix("$").split("$")]
    if names[0] not in ("primaryid", "isr") or len(set(names)) < len(names):
        raise InvalidInput(
            where, code="header_not_understood", found=f"{len(names)} fields, the first neither primaryid nor isr",
            allowed="a header of $-separated field names", do="Deliver the file again.",
        )  # fmt: skip
    current = len(names) > 1 and names[1] == "caseid"
    frame = (
        pl.DataFrame({"text": lines})
        .with_row_index("source_line", offset=1)
        .slice(1)
        .with_columns(pl.col("source_line").cast(pl.Int64), pl.col("text").str.strip_chars_end("\r"))
        .with_columns(separators=pl.col("text").str.count_matches("$", literal=True).cast(pl.Int64))
    )
    blank = pl.col("text").str.strip_chars() == ""
    fits = (pl.col("separators") == len(names) - 1) | (
        (pl.col("separators") == len(names)) & pl.col("text").str.ends_with("$")
    )
    begins = pl.col("text").str.contains(_BEGIN)
    bad = pl.col("source_line").is_in(undecodable)
    good = frame.filter(fits & begins & ~blank & ~bad)
    others = frame.filter(~(fits & begins) & ~blank & ~bad)
    mended = _mend(others.rows(), len(names), current, trailing=_trailing(good, len(names)))
    refused = [(line, "neither UTF-8 nor cp1252") for line in undecodable] + mended.refused
    whole = pl.concat(
        [
            good.select("source_line", "text", record=pl.lit(1, pl.Int32)),
            pl.DataFrame(
                mended.records,
                schema={"source_line": pl.Int64, "text": pl.String, "record": pl.Int32},
                orient="row",
            ),
        ]
    ).sort("source_line", "record")
    fields = pl.col("text").str.split_exact("$", len(names) - 1).struct.rename_fields(names)
    return Parsed(
        whole.select("source_line", "record", fields.alias("f"))
        .unnest("f")
        .with_columns(pl.when(pl.col(names) != "").then(pl.col(names)).name.keep()),
        tuple(sorted(refused)),
        {
            "lines": len(lines),
            "header_lines": 1,
            "blank_lines": frame.filter(blank & ~bad).height,
            "joined_lines": mended.joined,
            "split_records": mended.split,
            "recoded_lines": recoded,
            "quarantined_lines": len(refused),
        },
    )


_BEGIN = r"^\s*\d+\s*\$"


def _begins(text: str, current: bool) -> bool:
    """Whether a line begins like a record: FAERS repeats the case number in the report's, AERS has it alone."""
    parts = [part.strip() for part in text.split("$", 2)]
    if not parts[0].isdigit() or len(parts) < 2:
        return False
    return parts[0].startswith(parts[1]) and parts[1].isdigit() if current else len(parts[0]) >= 5


def _trailing(good: pl.DataFrame, fields: int) -> bool:
    """Whether every record ends in a separator of its own."""
    return bool(good.height) and bool((good["separators"] == fields).all())


def _lines(data: bytes) -> tuple[pl.Series, int, list[int]]:
    """The lines; how many were read as cp1252; the numbers of those that are neither."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    data = data.removesuffix(b"\n")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _recoded(data.split(b"\n"))
    return pl.Series("text", [text]).str.split("\n").explode() if text else pl.Series("text", [], pl.String), 0, []


def _recoded(raw: Sequence[bytes]) -> tuple[pl.Series, int, list[int]]:
    texts: list[str] = []
    recoded = 0
    undecodable: list[int] = []
    for number, line in enumerate(raw, 1):
        try:
            texts.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            try:
                texts.append(line.decode("cp1252"))
                recoded += 1
            except UnicodeDecodeError:
                texts.append("?")
                undecodable.append(number)
    return pl.Series("text", texts), recoded, undecodable


@dataclass
class _Mended:
    records: list[tuple[int, str, int]]
    refused: list[tuple[int, str]]
    joined: int = 0
    split: int = 0


def _mend(others: Sequence[tuple[int, str, int]], fields: int, current: bool, trailing: bool) -> _Mended:
    """Records of the lines that do not have the header's fields, where they are certain."""
    mended = _Mended([], [])
    place = 0
    while place < len(others):
        number, text, separators = others[place]
        if trailing and separators == 2 * fields and text.endswith("$"):
            cut = [m.end() for m in re.finditer(r"\$", text)][fields - 1]
            if _begins(text, current) and _begins(text[cut:], current):
                mended.records += [(number, text[:cut], 1), (number, text[cut:], 2)]
                mended.split += 1
                place += 1
                continue
        end, total = place + 1, separators
        if _begins(text, current) and separators < fields - 1:
            while (
                end < len(others)
                and others[end][0] == others[end - 1][0] + 1
                and not _begins(others[end][1], current)
                and total < fields - 1
            ):
                total += others[end][2]
                end += 1
            closes = end < len(others) and others[end][0] == others[end - 1][0] + 1 and others[end][2] == 1
            if trailing and total == fields - 1 and closes and others[end][1].endswith("$"):
                # The last field is torn: its end and the closing separator stand in a line of their own.
                total, end = total + 1, end + 1
            joined = " ".join(one[1] for one in others[place:end])
            if end > place + 1 and (total == fields - 1 or (total == fields and joined.endswith("$"))):
                mended.records.append((number, joined, 1))
                mended.joined += end - place - 1
                place = end
                continue
            end = place + 1
        mended.refused.append((number, f"{separators + 1} fields, {fields} in the header"))
        place = end
    return mended


# -- the seven files -------------------------------------------------------------------------------------------------


def _zips(work: Work, deliveries: pl.LazyFrame) -> Iterator[tuple[str, str, zipfile.ZipFile]]:
    """Name, SHA-256 and the opened zip of each delivery of a quarter, in order of name."""
    ready = deliveries.filter(pl.col("state") == "ready", pl.col("kind") == "faers").sort("delivery").collect()
    for name, sha256 in ready.select("delivery", "sha256").iter_rows():
        with zipfile.ZipFile(work.landing.local(f"faers/{name}")) as opened:
            yield name, sha256, opened


def table(work: Work, deliveries: pl.LazyFrame, dataset: Dataset) -> Outcome:
    """One of the seven files of a quarter, of all its zips. Lines that cannot be read are refused one by one."""
    name = dataset.name.removeprefix("faers_")
    frames: list[pl.DataFrame] = [arrow.empty(dataset)]
    rejects: list[Reject] = []
    landed: dict[str, str] = {}
    notes: dict[str, str | float] = {}
    for delivery, sha256, opened in _zips(work, deliveries):
        landed[f"faers/{delivery}"] = sha256
        for member in (m for m in members(opened) if m.table == name):
            source_file = f"{delivery}/{member.name}"
            data = opened.read(member.name)
            try:
                parsed = parse(data, source_file)
            except InvalidInput as error:
                kept = _kept(work.destination, f"{delivery}-{Path(member.name).name}", data)
                rejects.append(Reject.of(error, source_file, [kept]))
                continue
            frames.append(_typed(dataset, name, parsed.rows, work.partition, source_file))
            if parsed.refused:
                rejects.append(_lines_refused(work, parsed, data, source_file))
            for what in ("joined_lines", "split_records", "recoded_lines", "quarantined_lines"):
                if parsed.counts[what]:
                    notes[what] = float(notes.get(what, 0.0)) + parsed.counts[what]
    return Outcome(rows=pl.concat(frames), landed=landed, rejects=tuple(rejects), notes=notes)


def _typed(dataset: Dataset, table: str, rows: pl.DataFrame, quarter: str, source_file: str) -> pl.DataFrame:
    known = {name for name, _ in FAERS_FIELDS[table]}
    renamed = rows.rename({n: to for n in rows.columns if (to := FAERS_SYNONYMS.get((table, n))) and n not in known})
    extras = [n for n in renamed.columns if n not in known and n not in ("source_line", "record")]
    return renamed.select(
        pl.lit(quarter).alias("quarter"),
        pl.lit(source_file).alias("source_file"),
        "source_line",
        "record",
        *(pl.col(n) if n in renamed.columns else pl.lit(None, pl.String).alias(n) for n, _ in FAERS_FIELDS[table]),
        (pl.struct(extras).struct.json_encode() if extras else pl.lit(None, pl.String)).alias("extras"),
    ).select(dataset.names)


def _lines_refused(work: Work, parsed: Parsed, data: bytes, source_file: str) -> Reject:
    raw = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    kept = b"\n".join(raw[line - 1] for line, _ in parsed.refused if line <= len(raw)) + b"\n"
    lines = [f"line {line}: {why}" for line, why in parsed.refused[:_MOST_TOLD]]
    more = f"; {len(parsed.refused)} in all" if len(parsed.refused) > _MOST_TOLD else ""
    return Reject(
        name=source_file,
        code="lines_not_understood",
        where=f"faers/{source_file}",
        found="; ".join(lines) + more,
        allowed="the fields of the header, $-separated",
        do="Correct the lines and deliver the quarter again; the other lines are published.",
        files=(_kept(work.destination, f"{source_file.replace('/', '-')}.lines", kept),),
    )


def _kept(folder: Path, name: str, data: bytes) -> Path:
    path = folder / "refused" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


_NOT_ROWS = ("quarantined_lines", "header_lines", "blank_lines", "joined_lines")


def files(work: Work, deliveries: pl.LazyFrame, **tables: pl.LazyFrame) -> Outcome:
    """Where each line of a quarter's files went, beside the rows that were published of them."""
    published = pl.concat(
        [frame.group_by("source_file").agg(rows=pl.len().cast(pl.Int64)) for frame in tables.values()]
    ).collect()
    rows_of = dict(published.iter_rows())
    rows: list[dict[str, object]] = []
    landed: dict[str, str] = {}
    for delivery, sha256, opened in _zips(work, deliveries):
        landed[f"faers/{delivery}"] = sha256
        for member in members(opened):
            source_file = f"{delivery}/{member.name}"
            data = opened.read(member.name)
            try:
                counts = parse(data, source_file).counts
            except InvalidInput:
                lines = len(data.removesuffix(b"\n").split(b"\n"))
                counts = dict.fromkeys(FAERS_FILES.names[3:-2], 0) | {"lines": lines, "quarantined_lines": lines}
            found = rows_of.get(source_file, 0)
            kept = found + sum(counts[n] for n in _NOT_ROWS)
            rows.append(
                {
                    "quarter": work.partition,
                    "source_file": source_file,
                    "table": member.table,
                    **counts,
                    "rows": found,
                    "unaccounted_lines": counts["lines"] + counts["split_records"] - kept,
                }
            )
    return Outcome(rows=pl.DataFrame(rows, schema=arrow.polars_schema(FAERS_FILES)), landed=landed)


# -- deleted cases ---------------------------------------------------------------------------------------------------


def deleted(work: Work, deliveries: pl.LazyFrame) -> Outcome:
    """Lists of deleted cases: files of landing/faers/deleted and of the DELETED folders inside the zips."""
    frames: list[pl.DataFrame] = [arrow.empty(FAERS_DELETED)]
    rejects: list[Reject] = []
    landed: dict[str, str] = {}
    for file in work.landed:
        path = work.landing.local(file.path)
        data = path.read_bytes()
        landed[file.path] = hashlib.sha256(data).hexdigest()
        quarter = quarter_in(path.name)
        if quarter is None:
            rejects.append(
                Reject(
                    name=file.path,
                    code="no_quarter",
                    where=file.path,
                    found="a name without a quarter",
                    allowed="a name that holds one, e.g. DELETE24Q4.txt",
                    do="Rename it.",
                    files=(path,),
                )
            )
            continue
        rows, refused = _case_ids(data, quarter, file.path.removeprefix("faers/"))
        frames.append(rows)
        if refused:
            rejects.append(
                Reject(
                    name=file.path,
                    code="lines_not_understood",
                    where=file.path,
                    found="; ".join(f"line {n}" for n in refused[:_MOST_TOLD]) + f"; {len(refused)} in all",
                    allowed="a case number in each line",
                    do="Correct the list; its other lines count.",
                    files=(path,),
                )
            )
    for delivery, sha256, opened in _zips(work, deliveries):
        for name in opened.namelist():
            if _DELETED.search(name) and name.lower().endswith(".txt"):
                quarter = quarter_in(Path(name).name) or quarter_in(delivery)
                quarter = quarter or next((m.quarter for m in members(opened)), None)
                if quarter:
                    landed[f"faers/{delivery}"] = sha256
                    frames.append(_case_ids(opened.read(name), quarter, f"{delivery}/{name}")[0])
    return Outcome(rows=pl.concat(frames), landed=landed, rejects=tuple(rejects))


def _case_ids(data: bytes, quarter: str, source_file: str) -> tuple[pl.DataFrame, list[int]]:
    """Case numbers, one a line; a first line of words is a header."""
    texts = data.decode("utf-8-sig", errors="replace").splitlines()
    cases = [(n, text.strip().strip('"').removesuffix("$").strip()) for n, text in enumerate(texts, 1) if text.strip()]
    if cases and not cases[0][1].isdigit():
        cases = cases[1:]
    good = [(case, quarter, source_file, n) for n, case in cases if case.isdigit()]
    refused = [n for n, case in cases if not case.isdigit()]
    return pl.DataFrame(good, schema=arrow.polars_schema(FAERS_DELETED), orient="row"), refused


TABLES = FAERS
"""The seven datasets by file."""
