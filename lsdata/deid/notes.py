"""Clinical notes: deliveries as JSON lines, and the same notes without identifiers (contract B6)."""

import gzip
import hashlib
import html
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import polars as pl
import yaml

from lsdata.catalog.deid import NOTES, NOTES_SCRUBBED, TEXT_TYPES
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work
from lsdata.settings import DeidMethod, DeidOutput

if TYPE_CHECKING:
    from lsdata.deid.vault import Pseudonyms

_SETTINGS = "delivery.yaml"
_PLAIN = re.compile(r"[A-Za-z0-9_.\-]{1,63}")
_BATCH = 500
_SHOWN_NOTES, _SHOWN_LINES = 20, 50
REPORT = "deid_report.html"

# -- deliveries --------------------------------------------------------------------------------------------------------


def notes(work: Work) -> Outcome:
    """The lines of a delivery. A line that is no note is refused; a note without text or record goes on.

    A note is `{"id", "text", "patient"}`; text may be null, patient an object of known identifiers or null. Lines that
    are not UTF-8 are read as Windows-1252. Ids may occur twice: file and line tell the notes apart.

    Raises:
        InvalidInput: delivery.yaml cannot be understood.
    """
    told = _delivery(work)
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    landed: dict[str, str] = {}
    root = f"notes/{work.partition}/"
    for found in work.landed:
        name, path = found.path.removeprefix(root), work.landing.local(found.path)
        if name == _SETTINGS or name.lower() in ("copycomplete.txt", "readme.txt", "readme.md"):
            continue
        if not name.lower().endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
            rejects.append(_reject(found.path, "not_json_lines", "a file of another kind", [path]))
            continue
        try:
            data = _bytes(path)
        except (OSError, EOFError, zlib.error):
            rejects.append(_reject(found.path, "unreadable_gzip", "a file that is cut off or no gzip", [path]))
            continue
        landed[found.path] = hashlib.sha256(path.read_bytes()).hexdigest()
        bad: list[tuple[int, str, bytes]] = []
        for number, line in enumerate(data.split(b"\n"), 1):
            if not line.strip():
                continue
            note = _note(line)
            if isinstance(note, str):
                bad.append((number, note, line))
            else:
                rows.append({**told, "source_file": name, "source_line": number, **note})
        if bad:
            kept = work.staging.rows / f"{len(rejects)}" / f"{Path(name).name.partition('.')[0]}.refused.jsonl"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(b"\n".join(line for _, _, line in bad))
            lines = "; ".join(f"line {number}: {fault}" for number, fault, _ in bad[:_SHOWN_LINES])
            more = f"; and {len(bad) - _SHOWN_LINES} more" if len(bad) > _SHOWN_LINES else ""
            rejects.append(_reject(found.path, "lines_refused", lines + more, [kept]))
    frame = pl.DataFrame(rows, schema=arrow.polars_schema(NOTES))
    work.log(f"{work.partition}: {frame.height} notes, {frame['patient'].count()} with a record")
    repeated = frame.filter(pl.col("id").is_duplicated())["id"].n_unique()
    facts: dict[str, str | float] = {"notes": float(frame.height), "ids_that_repeat": float(repeated)}
    return Outcome(rows=frame, landed=landed, rejects=tuple(rejects), notes=facts)


def _reject(path: str, code: str, found: str, files: Sequence[Path]) -> Reject:
    return Reject(
        name=path.rpartition("/")[2], code=code, where=path, found=found,
        allowed='one JSON object a line: {"id": "...", "text": "..." or null, "patient": {...} or null}',
        do="Correct it and deliver it again.", files=tuple(files),
    )  # fmt: skip


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _note(line: bytes) -> dict[str, Any] | str:
    """A note of one line, or what is wrong with the line."""
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = line.decode("cp1252", errors="replace")
    try:
        found: object = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(found, dict):
        return "no object"
    note = cast("dict[str, Any]", found)
    given, body, patient = note.get("id"), note.get("text"), note.get("patient")
    if not isinstance(given, str | int) or isinstance(given, bool) or not str(given).strip():
        return "no id"
    if body is not None and not isinstance(body, str):
        return "text is no text"
    if patient is not None and not isinstance(patient, dict):
        return "patient is no object"
    # A lone surrogate is no character, and Arrow holds none.
    whole = None if body is None else body.encode("utf-8", "replace").decode()
    record = None if patient is None else json.dumps(patient, ensure_ascii=True)
    return {"id": str(given).encode("utf-8", "replace").decode(), "text": whole, "patient": record}


def _delivery(work: Work) -> dict[str, str]:
    """Study, method and output of the delivery: as delivery.yaml says, else as the settings say."""
    settings = work.settings
    found: object = {}
    path = f"notes/{work.partition}/{_SETTINGS}"
    if any(file.path == path for file in work.landed):
        try:
            found = yaml.safe_load(work.landing.local(path).read_text()) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise _not_understood(path, "no YAML") from error
    if not isinstance(found, dict):
        raise _not_understood(path, "no mapping")
    told = dict(cast("dict[str, Any]", found))
    method, output = told.pop("method", settings.deid_method), told.pop("output", settings.deid_output)
    study = told.pop("study", settings.deid_study)
    faults = [f"method {method!r}"] if method not in get_args(DeidMethod) else []
    faults += [f"output {output!r}"] if output not in get_args(DeidOutput) else []
    faults += ["a study that is no plain name"] if not isinstance(study, str) or not _PLAIN.fullmatch(study) else []
    faults += [f"{len(told)} other settings"] if told else []
    if faults:
        raise _not_understood(path, "; ".join(faults))
    return {"delivery_id": work.partition, "study": study, "deid_method": method, "deid_output": output}


def _not_understood(path: str, found: str) -> InvalidInput:
    return InvalidInput(
        path,
        code="delivery_not_understood",
        found=found,
        allowed=f"study: a name; method: {', '.join(get_args(DeidMethod))}; output: {', '.join(get_args(DeidOutput))}",
        do="Correct it, or remove it to take what the settings say.",
    )


# -- scrubbing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Person:
    """What the vault holds of a note's patient."""

    pseudonym: str | None = None
    offset_days: int | None = None
    key: bytes | None = None


def scrubbed(work: Work, notes: pl.LazyFrame) -> Outcome:
    """The notes of a delivery without identifiers, and a report. What cannot be scrubbed is withheld, never given out.

    By the expert method the dates of a note move as those of its patient's tables do. Patients are known by
    `patient_id` of their record, or else by `mrn`; a note without either has no pseudonym and no dates that move.

    Raises:
        KeyDestroyed: the keys of the study were destroyed.
    """
    from lsdata.deid.scrub import Scrubber
    from lsdata.deid.vault import Vault

    rows = notes.sort(NOTES.primary_key).collect()
    made = [arrow.empty(NOTES_SCRUBBED)]
    for (study, method, output), part in rows.group_by("study", "deid_method", "deid_output", maintain_order=True):
        records = [None if text is None else json.loads(text) for text in part["patient"]]
        names = [_identifier(record) for record in records]
        # What is invented must not follow from what everybody can know: without the vault there is no secret.
        known = Vault.of(work.lake).open(str(study), work.act) if output == "surrogates" or any(names) else None
        people = _people(known, names)
        scrubber = Scrubber(ner=work.settings.deid_model, output=cast("DeidOutput", output))
        for start in range(0, part.height, _BATCH):
            batch, group = part.slice(start, _BATCH), people[start : start + _BATCH]
            results = scrubber.scrub(
                batch["text"].to_list(),
                records[start : start + _BATCH],
                day_offsets=[one.offset_days if method == "expert" else None for one in group],
                keys=_keys(known, batch, group) if known and output == "surrogates" else None,
            )
            made.append(_rows(batch, group, results))
            work.log(f"{work.partition}: {start + batch.height} of {part.height} notes")
    frame = pl.concat(made)
    (work.destination / REPORT).write_text(_report(work.partition, frame))
    counts = {f"redactions_{kind.lower()}": float(frame[f"n_redactions_{kind.lower()}"].sum()) for kind in TEXT_TYPES}
    told: dict[str, str | float] = {"withheld": float(frame["withheld"].count()), **counts}
    return Outcome(rows=frame, files=(REPORT,), notes=told)


def _keys(known: "Pseudonyms", batch: pl.DataFrame, people: Sequence[_Person]) -> list[bytes]:
    """The secret of each note's patient; where nobody is known, one of the note's own."""
    places = batch.select("delivery_id", "source_file", "source_line").iter_rows()
    return [one.key or known.secret("\0".join(map(str, place))) for one, place in zip(people, places, strict=True)]


def _people(known: "Pseudonyms | None", names: Sequence[str | None]) -> list[_Person]:
    if known is None:
        return [_Person()] * len(names)
    found = known.patients(pl.Series(names, dtype=pl.String))
    people = {
        name: _Person(pseudonym, days, known.secret(pseudonym))
        for name, pseudonym, days in found.select("identifier", "pseudonym", "offset_days").iter_rows()
    }
    return [people.get(name or "", _Person()) for name in names]


def _identifier(record: Mapping[str, Any] | None) -> str | None:
    for name in ("patient_id", "mrn"):
        value = (record or {}).get(name)
        if isinstance(value, str | int) and str(value).strip():
            return str(value).strip()
    return None


def _rows(batch: pl.DataFrame, people: Sequence[_Person], results: Sequence[Any]) -> pl.DataFrame:
    counts: list[Counter[str]] = [Counter(one.counts) for one in results]
    absent = batch["text"].is_null().to_list()
    made = batch.drop("text", "patient").with_columns(
        pl.Series("patient", [one.pseudonym for one in people], dtype=pl.String),
        pl.Series(
            "text",
            [None if one.withheld or none else one.text for one, none in zip(results, absent, strict=True)],
            dtype=pl.String,
        ),
        pl.Series("withheld", [one.withheld for one in results], dtype=pl.String),
        pl.Series("n_redactions", [count.total() for count in counts]),
        *(pl.Series(f"n_redactions_{kind.lower()}", [count[kind] for count in counts]) for kind in TEXT_TYPES),
    )
    return arrow.typed(NOTES_SCRUBBED, made)


# -- what people look at -----------------------------------------------------------------------------------------------

_SUSPICIOUS = re.compile(r"\b(?:[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})+|\d[\d\-./]{3,}\d|\S+@\S+)")
"""What an identifier that was missed would look like: capitalised words in a row, long numbers, an address."""


def _report(delivery: str, frame: pl.DataFrame) -> str:
    totals = {kind: int(frame[f"n_redactions_{kind.lower()}"].sum()) for kind in TEXT_TYPES}
    most = max([1, *totals.values()])
    bars = "".join(
        f"<tr><td>{kind}</td><td class=n>{n:,}</td><td><i style='width:{100 * n / most:.1f}%'></i></td></tr>"
        for kind, n in sorted(totals.items(), key=lambda pair: -pair[1])
        if n
    )
    reasons = frame["withheld"].drop_nulls().value_counts().sort("withheld").iter_rows()
    withheld = "".join(f"<li>{html.escape(why)}: {n:,} notes</li>" for why, n in reasons) or "<li>none</li>"
    told = frame.select("study", "deid_method", "deid_output").unique().sort("study").iter_rows()
    how = "; ".join(f"study {s}, method {m}, output {o}" for s, m, o in told)
    sample = "".join(_sampled(frame))
    return _PAGE.format(
        delivery=html.escape(delivery), notes=f"{frame.height:,}", how=html.escape(how), bars=bars, withheld=withheld,
        redactions=f"{frame['n_redactions'].sum():,}", linked=f"{frame['patient'].drop_nulls().n_unique():,}",
        sample=sample or "<p>Nothing looks like an identifier any more.</p>",
    )  # fmt: skip


def _sampled(frame: pl.DataFrame) -> Iterator[str]:
    """The notes in which most is left that looks like an identifier, those first; closed until somebody opens them."""
    texts = frame.drop_nulls("text").select("source_file", "source_line", "text")
    left = [(len(_SUSPICIOUS.findall(text)), file, line, text) for file, line, text in texts.iter_rows()]
    for count, file, line, text in sorted(left, key=lambda one: (-one[0], one[1], one[2]))[:_SHOWN_NOTES]:
        if count:
            marked = _marked(text[:4_000])
            where = f"{html.escape(file)}, line {line}: {count} places to look at"
            yield f"<details><summary>{where}</summary><pre>{marked}</pre></details>"


def _marked(text: str) -> str:
    made, last = "", 0
    for found in _SUSPICIOUS.finditer(text):
        made += f"{html.escape(text[last : found.start()])}<mark>{html.escape(found[0])}</mark>"
        last = found.end()
    return made + html.escape(text[last:])


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>De-identification of {delivery}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem }} h2 {{ font-size: 1.1rem; margin-top: 2rem }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem }} dt {{ color: #5b6b7b }}
table {{ border-collapse: collapse; width: 100% }} td {{ padding: .15rem .6rem }} .n {{ text-align: right }}
td:last-child {{ width: 60% }} i {{ display: block; height: .8rem; background: #2f6f8f; border-radius: 2px }}
details {{ border: 1px solid #d5dde5; border-radius: 6px; margin: .4rem 0; padding: .4rem .8rem }}
summary {{ cursor: pointer }} pre {{ white-space: pre-wrap; font: 13px/1.5 ui-monospace, monospace }}
mark {{ background: #ffe9a8 }} .quiet {{ color: #5b6b7b }}
</style>
<h1>De-identification of delivery {delivery}</h1>
<dl><dt>Notes</dt><dd>{notes}</dd><dt>Patients with a pseudonym</dt><dd>{linked}</dd>
<dt>Pieces replaced</dt><dd>{redactions}</dd><dt>How</dt><dd>{how}</dd></dl>
<h2>What was replaced</h2><table>{bars}</table>
<h2>Notes withheld</h2><ul>{withheld}</ul>
<h2>For a person to look through</h2>
<p class="quiet">The scrubbed notes in which most is left that has the form of an identifier. Each is closed until you
open it. Most of what is marked is harmless: drugs, diagnoses, doses. Report what is not.</p>
{sample}
</html>
"""
