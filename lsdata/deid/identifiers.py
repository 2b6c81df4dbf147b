"""The first layer: everything in a text that stands in the patient's own record.

The keys of the record are free: what a value is follows from its key and, where that says nothing, from its look.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, lru_cache
from itertools import accumulate, compress
from typing import cast

from rapidfuzz.distance import OSA

from lsdata.deid import text_dates, vocabulary, words
from lsdata.deid.folding import fold
from lsdata.deid.gazetteer import Kind, kind
from lsdata.deid.recognizers import Recognizer
from lsdata.deid.words import Role, Words, matches_at

Patient = Mapping[str, object]

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_KEY_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# What a record says of the patient that identifies nobody.
_HARMLESS_KEYS = frozenset(
    vocabulary.words("""
    sex gender race ethnicity state relation relationship language marital status occupation job diagnosis diagnoses
    allergies age country type use system active deceased religion unit units title prefix suffix degree specialty
    """)
)
_HARMLESS_VALUES = frozenset(
    vocabulary.words("""
    male female unknown none other self married single divorced widowed true false yes no null nan usual official
    home work mobile temp english spanish na
    """)
)
_KEYS: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (entity, frozenset(words.split()))
    for entity, words in (
        ("FAX", "fax"),
        ("PHONE", "phone telephone tel cell mobile pager telecom"),
        ("EMAIL", "email mail"),
        ("URL", "url website web portal"),
        ("IP", "ip"),
        ("SSN", "ssn social"),
        ("ZIP", "zip zipcode postal postcode postalcode"),
        ("DATE", "dob birth birthdate birthday dod date death admission discharge admitted discharged"),
        ("USERNAME", "username login user userid"),
        ("EMPLOYER", "employer company workplace"),
        ("FACILITY", "facility hospital clinic site school pharmacy organization"),
        (
            "LOCATION",
            "street address addr city town county line line1 line2 address1 address2 district village precinct",
        ),
        ("LICENSE", "license licence npi dea driver passport certificate"),
        ("VEHICLE", "vehicle plate vin"),
        ("DEVICE", "device serial udi implant"),
        ("BIOMETRIC", "biometric fingerprint voiceprint"),
        ("HEALTH_PLAN", "plan insurance member subscriber policy beneficiary medicare medicaid mbi group payer"),
        ("ACCOUNT", "account acct billing guarantor invoice card iban"),
        ("MRN", "mrn medicalrecord record chart emr ehr"),
        (
            "NAME",
            """name names first last middle given family surname maiden forename nickname nick alias aliases aka
            preferred pcp provider physician doctor attending surgeon nurse contact kin spouse mother father wife
            husband son daughter partner guardian full legal married previous former""",
        ),
        ("OTHER_ID", "id identifier identifiers number no code accession encounter case"),
    )
)
_ENTITIES = {word: entity for entity, words in reversed(_KEYS) for word in words}
_OTHERS = vocabulary.RELATIVES | {"contact", "contacts", "emergency", "kin", "pcp", "provider", "physician", "doctor"}
_SHORT_FORMS: dict[str, list[str]] = {}
for _short, _full in vocabulary.NICKNAMES.items():
    for _name in _full:
        _SHORT_FORMS.setdefault(_name, []).append(_short)
_NOT_NAMES = vocabulary.TITLES | vocabulary.CREDENTIALS | vocabulary.RELATIVES
_CODE = (
    "MRN",
    "SSN",
    "PHONE",
    "FAX",
    "HEALTH_PLAN",
    "ACCOUNT",
    "LICENSE",
    "VEHICLE",
    "DEVICE",
    "BIOMETRIC",
    "OTHER_ID",
)
# Codes shorter than this are found as whole words only, longer ones in any punctuation and inside other strings.
_LONG = 6
_TYPO_LENGTH = 6


@dataclass(slots=True)
class Identifiers:
    """What to look for.

    Args:
        words: lower-case words of names and places, with the entity.
        codes: lower-case letters and digits of identifiers without punctuation, with the entity.
        phrases: lower-case words of streets, towns, employers that count only together.
        dates: days of the record.
        texts: values searched for as they are, in any case (e-mail, URL, user name).
        initials: of the patient, such as "ds" and "dms".
    """

    words: dict[str, str] = field(default_factory=dict[str, str])
    codes: dict[str, str] = field(default_factory=dict[str, str])
    phrases: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])
    dates: set[date] = field(default_factory=set[date])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    initials: set[str] = field(default_factory=set[str])
    common: set[str] = field(default_factory=set[str])


def read(patient: Patient) -> Identifiers:
    """The identifiers of a record."""
    found = Identifiers()
    leaves = list(_leaves(patient, ()))
    for path, value in leaves:
        _add(found, path, value)
    found.common = {word for word in found.words if is_common(word)}
    own = {key: value for path, value in reversed(leaves) if not _OTHERS & set(path) for key in path}
    given, middle, family = (
        next((words[0] for key in keys if (words := _name_words(own.get(key, "")))), "")
        for keys in (("first", "given", "forename"), ("middle",), ("last", "family", "surname"))
    )
    if given and family:
        found.phrases |= {(given, family): "NAME", (family, given): "NAME"}
        found.initials = {given[0] + middle[:1] + family[0], given[0] + family[0]}
    return found


@lru_cache(maxsize=1 << 14)
def is_common(word: str) -> bool:
    """Whether a name is also an ordinary word, so that only its place in the text tells which is meant."""
    return (bool(kind(word) & (Kind.ORDINARY | Kind.MEDICAL)) and not kind(word) & Kind.NAME) or _is_function_word(word)


def _is_function_word(word: str) -> bool:
    return len(word) < 3 or word in vocabulary.TERMS


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for key, inner in cast(Mapping[object, object], value).items():
            words = tuple(word.lower() for word in _KEY_WORD.findall(str(key)))
            yield from _leaves(inner, (*path, *words))
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in cast(Iterable[object], value):
            yield from _leaves(inner, path)
    elif isinstance(value, datetime | date):
        yield (*path, "date"), value.isoformat()[:10]
    elif value is not None and not isinstance(value, bool) and (plain := fold(str(value)).text.strip()):
        yield path, plain


def _add(found: Identifiers, path: tuple[str, ...], value: str) -> None:
    """Files one value under every reading it allows: to look for too much costs a word, for too little a leak."""
    lower = value.lower()
    entity = _entity(path)
    if lower in ("none", "null", "unknown", "n/a") or (lower in _HARMLESS_VALUES and entity != "NAME"):
        return  # Self and Nan are names as well
    code = _squeezed(lower)
    digits = sum(map(str.isdigit, code))
    if "@" in value:
        found.texts[lower] = "EMAIL"
        local = lower.split("@")[0]
        if len(local) >= 4 and not kind(local) & Kind.ORDINARY:
            found.texts[local] = "USERNAME"
    elif entity in ("URL", "IP", "USERNAME") and len(lower) >= 3:
        found.texts[lower.removeprefix("https://").removeprefix("http://").rstrip("/")] = entity
    elif (day := text_dates.parse(value)) is not None:
        found.dates.add(day)
    elif entity == "ZIP":
        found.codes[code[:5]] = "ZIP"
        found.codes[code] = "ZIP"
    elif entity in ("LOCATION", "EMPLOYER", "FACILITY"):
        _add_phrase(found, value, entity)
    elif digits >= 4 or (digits and entity in _CODE and len(code) >= 4):
        _add_code(found, code, entity if entity in _CODE else "OTHER_ID")
    elif digits:
        _add_phrase(found, value, "LOCATION")
    elif entity == "NAME" or (entity in (*_CODE, None) and not _HARMLESS_KEYS & set(path[-2:])):
        _add_name(found, value, strict=entity == "NAME")


@lru_cache(maxsize=1 << 12)
def _entity(path: tuple[str, ...]) -> str | None:
    """By the last key that says something: contact.phone is a phone."""
    joined = [*path, "".join(path[-2:])]
    for word in reversed(joined):
        if word in _HARMLESS_KEYS and word == path[-1]:
            return None
        if entity := _ENTITIES.get(word):
            return entity
    return None


def _add_code(found: Identifiers, code: str, entity: str) -> None:
    found.codes[code] = entity
    number = re.sub(r"\D", "", code)
    if entity in ("PHONE", "FAX") and len(number) >= 10:
        found.codes[number[-10:]] = entity
        found.codes[number[-7:]] = entity
    elif entity == "SSN" and len(number) == 9:
        found.codes[number] = entity
        found.codes[number[-4:]] = entity
    elif len(number) >= _LONG:
        found.codes[number] = entity
        if len(number.lstrip("0")) >= _LONG:
            found.codes[number.lstrip("0")] = entity


def _add_name(found: Identifiers, value: str, *, strict: bool) -> None:
    words = _name_words(value)
    if not strict and all(kind(w) & Kind.ORDINARY and not kind(w) & Kind.NAME for w in words):
        return  # "retired", "high school": an unknown key with ordinary words
    for word in words:
        if word in _NOT_NAMES or len(word) < 2:
            continue
        found.words[word] = "NAME"
        for part in word.split("'"):
            if len(part) > 2:
                found.words[part] = "NAME"
        for short in _SHORT_FORMS.get(word, ()):
            found.words.setdefault(short, "NICKNAME")
        for full in vocabulary.NICKNAMES.get(word, ()):
            found.words.setdefault(full, "NICKNAME")
    if len(words) > 1:
        found.phrases[tuple(words)] = "NAME"
        found.phrases[(words[-1], *words[:-1])] = "NAME"
        found.words.setdefault("".join(words), "NAME")


def _name_words(value: str) -> list[str]:
    return [word.removesuffix("'s") for word in WORD.findall(value.lower())]


def _add_phrase(found: Identifiers, value: str, entity: str) -> None:
    lower = value.lower()
    words: list[str] = re.findall(r"[^\W_]+(?:'[^\W_]+)?", lower)
    if len(words) > 1:
        found.phrases[tuple(words)] = entity
        if words[-1] in vocabulary.STREET_SUFFIXES:
            found.phrases[tuple(words[:-1])] = entity
    for word in words:
        if word.isdigit():
            if len(word) >= 5:
                found.codes.setdefault(word, entity)
        elif len(word) > 2 and not (len(words) > 1 and _is_generic(word)):
            found.words.setdefault(word, entity)
    zips = re.findall(r"\b\d{5}(?:-\d{4})?$", value)
    if zips and len(words) > 3:
        found.codes[zips[-1][:5]] = "ZIP"


def _is_generic(word: str) -> bool:
    return word in _GENERIC or is_common(word)


_GENERIC = (
    vocabulary.STREET_SUFFIXES
    | vocabulary.FACILITIES
    | vocabulary.COMPANY_SUFFIXES
    | vocabulary.DEPARTMENTS
    | vocabulary.STATES
    | frozenset(
        vocabulary.words("""
    north south east west new apt apartment suite unit box the saint san upper lower port lake mount
    """)
    )
)


def _squeezed(text: str) -> str:
    return _BETWEEN.sub("", text).lower()


_BETWEEN = re.compile(r"[\W_]+")


class RecordRecognizer(Recognizer):
    """Finds one patient's identifiers; made anew for each record (Presidio's "ad hoc" recogniser)."""

    entities = tuple(dict.fromkeys((*(entity for entity, _ in _KEYS), "INITIALS")))

    def __init__(self, patient: Patient) -> None:
        super().__init__()
        self.identifiers = read(patient)
        # First letter and length of words that can be a slip of the pen.
        self._alike = {
            (known[0], len(known) + more)
            for known, entity in self.identifiers.words.items()
            if len(known) >= _TYPO_LENGTH and entity != "NICKNAME"
            for more in (-1, 0, 1)
            if len(known) + more >= _TYPO_LENGTH
        }

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Names in any order and case, codes and phones in any punctuation, the days of the record in any form."""
        cut = words.read(text)
        yield from self._words(cut)
        yield from self._codes(cut)
        for value, entity in self.identifiers.texts.items():
            yield from ((entity, at, at + len(value)) for at in _occurrences(cut.lower, value))
        if self.identifiers.dates and cut.numbers:
            yield from self._dates(cut)

    def _words(self, cut: Words) -> Iterator[tuple[str, int, int]]:
        known = self.identifiers
        if not known.words and not known.phrases:
            return
        text = cut.text
        tokens = _Tokens.of(text)
        firsts = {phrase[0] for phrase in known.phrases}
        caseless = _is_caseless(text)
        telling = {word for word in set(tokens.lowers) if self._is_telling(word, firsts)}
        hits: list[tuple[int, str]] = []
        for index, word in enumerate(tokens.lowers):
            if word not in telling:
                continue
            if word in firsts:
                yield from self._phrase(tokens, index)
            bare = _bare(word)
            written = tokens.words[index]
            entity = known.words.get(bare)
            if entity is not None:
                if bare not in known.common and entity != "NICKNAME":
                    hits.append((index, entity))
                elif entity == "NICKNAME":
                    if not written.islower() and (bare not in known.common or self._near(tokens, index)):
                        hits.append((index, "NAME"))
                elif caseless or self._is_name_here(tokens, index):
                    hits.append((index, entity))
            elif len(bare) >= _TYPO_LENGTH and (close := self._misspelt(bare)):
                hits.append((index, close))
            elif len(bare) == 1 and self._is_initial(tokens, index):
                hits.append((index, "NAME"))
            elif bare in known.initials and written.isupper() and len(bare) == 3:
                hits.append((index, "INITIALS"))
        for index, entity in hits:
            end = tokens.ends[index]
            if tokens.lowers[index].endswith("'s"):
                end -= 2
            yield entity, tokens.starts[index], end
        for joined, entity in known.words.items():
            # Inside a longer string only what could not be there by chance: "DanielleJohnson", "ssanchez-lopez".
            if len(joined) >= _LONG and joined not in known.common and entity != "NICKNAME":
                yield from (("NAME", at, at + len(joined)) for at in _occurrences(cut.lower, joined))
        capitals = [cut.starts[index] for index, role in enumerate(cut.roles) if role & Role.INITIAL]
        for length in {len(initials) for initials in known.initials} if capitals else ():
            for match in matches_at(_dotted(length), text, capitals):
                if match.group().translate(_NO_DOTS).lower() in known.initials:
                    yield "INITIALS", match.start(), match.end()

    def _is_telling(self, word: str, firsts: set[str]) -> bool:
        """Whether a lower-case word has anything to do with the record, wherever it stands."""
        known, bare = self.identifiers, _bare(word)
        return (
            bare in known.words
            or word in firsts
            or len(bare) == 1
            or bare in known.initials
            or ((bare[:1], len(bare)) in self._alike and self._misspelt(bare) is not None)
        )

    def _phrase(self, tokens: "_Tokens", index: int) -> Iterator[tuple[str, int, int]]:
        for phrase, entity in self.identifiers.phrases.items():
            if tuple(tokens.lowers[index : index + len(phrase)]) == phrase:
                start, end = tokens.starts[index], tokens.ends[index + len(phrase) - 1]
                if end - start <= sum(map(len, phrase)) + 4 * len(phrase):
                    yield entity, start, end

    def _misspelt(self, word: str) -> str | None:
        if kind(word) & (Kind.ORDINARY | Kind.MEDICAL):
            return None
        for known, entity in self.identifiers.words.items():
            alike = len(known) >= _TYPO_LENGTH and known[0] == word[0] and abs(len(known) - len(word)) <= 1
            if alike and entity != "NICKNAME" and OSA.distance(known, word, score_cutoff=1) <= 1:
                return entity
        return None

    def _is_name_here(self, tokens: "_Tokens", index: int) -> bool:
        """A name that is an ordinary word: capitalised without need, or beside another name or a title."""
        word = tokens.words[index]
        if self._near(tokens, index):
            return True
        # "May return to work": nobody can tell, and a word too much is better than a name too few.
        return not word.islower() and not (word.isupper() and tokens.lowers[index] in _AUXILIARIES and len(word) > 1)

    def _near(self, tokens: "_Tokens", index: int) -> bool:
        known, lowers = self.identifiers, tokens.lowers
        for other in (index - 1, index + 1):
            if 0 <= other < len(lowers):
                gap = tokens.gaps[max(index, other)]
                if len(gap) > 3 or gap.strip(" .,-"):
                    continue
                neighbour = lowers[other].removesuffix("'s")
                if other < index and neighbour in vocabulary.TITLES:
                    return True
                if neighbour in known.words and neighbour != lowers[index] and neighbour not in known.common:
                    return True
        start = tokens.starts[index]
        return bool(_NAME_LABEL.search(tokens.text[max(0, start - 30) : start].lower()))

    def _is_initial(self, tokens: "_Tokens", index: int) -> bool:
        """A single capital between or before the names of the record: "Danielle R. Johnson", "D. Johnson"."""
        if not tokens.words[index].isupper():
            return False
        for other in (index - 1, index + 1):
            if 0 <= other < len(tokens.lowers) and tokens.lowers[other].removesuffix("'s") in self.identifiers.words:
                end = tokens.ends[index]
                degree = re.match(r"\.? ?[A-Z]\b", tokens.text[end : end + 4])  # "Baker, M.D."
                if tokens.gaps[max(index, other)] in (" ", ". ", ", ", ".") and not (other < index and degree):
                    return True
        return False

    def _codes(self, cut: Words) -> Iterator[tuple[str, int, int]]:
        text = cut.text
        if not self.identifiers.codes:
            return
        squeezed: str | None = None
        offsets: list[int] = []
        for code, entity in self.identifiers.codes.items():
            if len(code) < _LONG or entity == "ZIP":
                if (
                    len(code) >= 4
                    and code in cut.lower
                    and (entity != "SSN" or len(code) > 4 or _LAST_FOUR.search(text))
                ):
                    for at in _occurrences(cut.lower, code):
                        if not (text[at - 1 : at].isalnum() or text[at + len(code) : at + len(code) + 1].isalnum()):
                            yield entity, at, at + len(code)
                continue
            if squeezed is None:
                squeezed = _squeezed(text)
            for at in _occurrences(squeezed, code):
                offsets = offsets or list(compress(range(len(text)), map(str.isalnum, text)))
                start, end = offsets[at], offsets[at + len(code) - 1] + 1
                # The same digits across words or list items are a coincidence.
                if (
                    len(code) < 10
                    and (re.search(r"\n|[A-Za-z]{3}", text[start:end]) and not code.isalpha())
                    and not text[start:end].isalnum()
                ):
                    continue
                if end - start <= 3 * len(code):
                    yield entity, start, end

    def _dates(self, cut: Words) -> Iterator[tuple[str, int, int]]:
        text = cut.text
        numbers = [(match, sorted(map(int, match.groups()))) for match in matches_at(_THREE_NUMBERS, text, cut.numbers)]
        years = [int(match.group()) for match in matches_at(_CENTURY, text, cut.numbers)]
        runs = list(matches_at(_RUN, text, cut.numbers))
        for day in self.identifiers.dates:
            y, m, d = day.year, day.month, day.day
            for match, values in numbers:
                if values in (sorted((y, m, d)), sorted((y % 100, m, d))):
                    yield "DATE", match.start(), match.end()
            for form in (
                f"{y}{m:02}{d:02}",
                f"{m:02}{d:02}{y}",
                f"{d:02}{m:02}{y}",
                f"{m:02}{d:02}{y % 100:02}",
                f"{y % 100:02}{m:02}{d:02}",
                f"{d:02}{m:02}{y % 100:02}",
            ):
                yield from (("DATE", match.start(), match.end()) for match in runs if match.group() == form)
            if years and max(years) - y >= 90:
                # The year tells an age over 89 (45 CFR 164.514(b)(2)(i)(C)).
                yield from (("DATE", at, at + 4) for at in _occurrences(text, str(y)))


_TOKEN = re.compile(r"([^\W_]+(?:'[^\W\d_]+)*)")
_CENTURY = re.compile(r"20\d\d(?!\d)")
_RUN = re.compile(r"\d{6,8}(?!\d)")


@dataclass(slots=True)
class _Tokens:
    """Words and numbers of a text; `gaps` stand before each."""

    text: str
    words: list[str]
    lowers: list[str]
    gaps: list[str]
    starts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, text: str) -> "_Tokens":
        parts = _TOKEN.split(text)
        edges = list(accumulate(map(len, parts)))
        found = parts[1::2]
        return cls(text, found, list(map(str.lower, found)), parts[:-1:2], edges[:-1:2], edges[1::2])


def _bare(word: str) -> str:
    return word.removesuffix("'s").removesuffix("'") if "'" in word else word


_THREE_NUMBERS = re.compile(r"(\d{1,4})[^\w\n]{1,3}(\d{1,2})[^\w\n]{1,3}(\d{1,4})(?!\d)")
_AUXILIARIES = frozenset(
    vocabulary.words("""
    will may can do so an in on he she may us it is be as at by or no to we
    """)
)
_NAME_LABEL = re.compile(
    r"(?:\b(?:name|patient|pt|named|surname|provider|signed|seen by|called|mr|mrs|ms|miss|dr|re|cc|attending|"
    r"physician)\b[ .:=]{1,3}|\bfor: ?)$"
)
_LAST_FOUR = re.compile(r"last (?:4|four)|ending|ends in|[x*#]{2,}[- ]?\d{4}|\bssn?\b", re.IGNORECASE)


def _occurrences(text: str, value: str) -> Iterator[int]:
    at = text.find(value)
    while at >= 0:
        yield at
        at = text.find(value, at + len(value))


_NO_DOTS = str.maketrans("", "", ". ")


@cache
def _dotted(length: int) -> re.Pattern[str]:
    """D.S. or D. M. S."""
    return re.compile(rf"(?<![A-Za-z.])(?:[A-Z]\. ?){{{length - 1}}}[A-Z]\.(?![A-Za-z])")


def _is_caseless(text: str) -> bool:
    """All of it lower case; capitals tell nothing then."""
    return text.islower()
