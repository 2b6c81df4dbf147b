"""A text cut into words once, for all recognisers: what each word can be, and which part it may play.

A clinical note is some two hundred words, nine in ten of them harmless: a recogniser visits only those whose `Role`
concerns it. What a word can be is looked up once for each spelling.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from lsdata.deid import vocabulary as v
from lsdata.deid.gazetteer import Kind, kind

_WORD = re.compile(r"([^\W\d_]+(?:'[^\W\d_]+)*)")
_NUMBER = re.compile(r"\d+")
_JOINED = re.compile(r"\d+(?: ?[-/.] ?|\s)\d|\d{8}")
_SENTENCE_END = re.compile(r"[.!?:;\n\"*>|]")
SAFE = Kind.ORDINARY | Kind.MEDICAL
PERSON = Kind.FIRST | Kind.LAST
PLACES = Kind.PLACE | Kind.COUNTRY
PARTICLES = frozenset(
    v.words("""
    van von der den de dei degli del della di da do dos das la le el al bin ibn ben st ter ten af av y e zu
    """)
)
MONTHLIKE = frozenset(
    v.words("""
    january february march april may june july august september october november december
    """)
)

FUNCTION = frozenset(
    v.words("""
    a an the of and or in on at to by for with from as is was were be been are am i he she it we they you his her my
    our their its this that these those not no nor but if then than so do does did has have had will would can could
    may might shall should must who whom which what when where why how all any some each every both few more most
    other such only own same too very just also there here again once during before after above below between into
    through about against up down out off over under yes new old per via please both either neither your me him them
    us
    """)
)
# The last word before a name that is labelled ("Seen by"), before an address ("lives at"), before an employer.
LABEL_ENDS = frozenset(
    v.words("""
    name names named called as by under am i'm this it it's hi hello dear thanks regards sincerely attn attention
    starring says said at asked told patient pt client member subject resident mother father parent spouse guardian
    provider physician doctor surgeon nurse referring referred attending ordering author primary emergency kin
    contact consultant anesthesiologist assistant cosigner pcp clinician therapist pathologist radiologist counselor
    interpreter witness informant historian surrogate proxy poa caregiver employee staff technician recipient sender
    scribe md care cc c to for signed from re you yours user bot notified paged consulted per of with is was s aka
    account appears
    """)
)
STATE_SECONDS = frozenset(
    v.words("""
    york jersey hampshire mexico carolina dakota virginia island
    """)
)
STATE_ENDS = v.STATES | STATE_SECONDS
ADDRESS_ENDS = frozenset(
    v.words("""
    address to same is at on in near of from residing visit visiting visited town city hometown including live lives
    lived reside resides with it
    """)
)
EMPLOYER_ENDS = frozenset(("at", "for", "by", "with", "from", "of", "the", "is", "called", "employer", "company"))
COUNTRY_STARTS = frozenset(phrase.split()[0] for phrase in v.COUNTRY_PHRASES.split("|"))
BOX_STARTS = frozenset(
    v.words("""
    p po pob psc unit cmr box rr fpo apo dpo uss usns uscgc usnv
    """)
)


class Role:
    """What a word, as it is written, may be or introduce. Bits of plain integers, as in `Kind`."""

    CAPITAL = 1
    CANDIDATE = 2
    """May be a name or a place whatever stands around it."""
    LABEL_END = 4
    TITLE = 8
    RELATIVE = 16
    CREDENTIAL = 32
    """A degree, or the first letter of one that is written with dots."""
    INITIAL = 64
    CAPITALS = 128
    """Two to four capitals."""
    USER = 256
    """Lower case and in no list, such as a user name."""
    ADDRESS = 512
    FACILITY = 1024
    EMPLOYER_END = 2048
    MONTH = 4096


_ROLES = (
    (LABEL_ENDS, Role.LABEL_END),
    (v.TITLES, Role.TITLE),
    (v.RELATIVES, Role.RELATIVE),
    (v.CREDENTIALS | {"psyd", "otr", "dpt", "rph", "csw", "lsw", "lmsw", "mcsw"}, Role.CREDENTIAL),
    (STATE_ENDS | ADDRESS_ENDS | BOX_STARTS | COUNTRY_STARTS, Role.ADDRESS),
    (v.FACILITIES | v.FACILITY_HEADS | v.COMPANY_SUFFIXES, Role.FACILITY),
    (EMPLOYER_ENDS, Role.EMPLOYER_END),
    (frozenset(v.MONTHS), Role.MONTH),
)


def _role(word: str, lower: str, found: int) -> int:
    role = 0
    for words, bit in _ROLES:
        if lower in words:
            role |= bit
    if word in v.STATE_CODES:
        role |= Role.ADDRESS
    if word[0].isupper():
        role |= Role.CAPITAL
        if len(word) == 1:
            role |= Role.INITIAL | Role.CREDENTIAL
        elif len(word) < 5 and word.isupper():
            role |= Role.CAPITALS
    elif len(word) > 4 and not found and word.islower() and word.isascii() and "'" not in word:
        role |= Role.USER
    if _is_candidate(word, lower, found):
        role |= Role.CANDIDATE
    return role


def _is_candidate(word: str, lower: str, found: int) -> bool:
    """Capitalised and neither ordinary nor medical, or a name in any case."""
    named = found & (Kind.NAME | PLACES)
    if (not named and found & SAFE) or len(lower) == 1 or lower in FUNCTION or found & Kind.STATE or lower in MONTHLIKE:
        return False
    if not word[0].isupper():
        if not word.isascii():
            return len(word) > 2
        return bool(found & Kind.NAME) and not found & (SAFE | Kind.NOUN) and len(lower) > 3
    if word.isupper() and word.isascii():
        return len(lower) > 5 or bool(named and not found & SAFE and len(lower) > 3)
    # HbA, TFTs
    return word.istitle() or len(lower) > 5 or sum(map(str.isupper, word)) < 2 or bool(found & Kind.NAME)


class _Known(dict[str, tuple[str, int, int]]):
    """Lower case without 's, kind and role of each spelling met so far."""

    MOST = 1 << 18

    def __missing__(self, word: str) -> tuple[str, int, int]:
        if len(self) >= self.MOST:
            self.clear()
        lower = word.lower().removesuffix("'s")
        found = kind(lower)
        self[word] = known = lower, found, _role(word, lower, found)
        return known


_known = _Known()


@dataclass(slots=True)
class Words:
    """The words of a text, in order, one item each in every list.

    Args:
        text: folded.
        lower: the text in lower case.
        numbers: where its runs of digits start.
        joined: those of them that are long, or that punctuation or a blank joins to another one.
        starts, ends: offsets.
        words, lowers: as written; in lower case without 's.
        kinds, roles: bits of `Kind` and of `Role`.
        gaps: what stands before each word.
        opening: whether the word begins a sentence, a line or an item, where a capital says nothing.
        vocabulary: the different lowers.
    """

    text: str
    lower: str
    numbers: list[int]
    joined: list[int]
    starts: list[int]
    ends: list[int]
    words: list[str]
    lowers: list[str]
    kinds: list[int]
    roles: list[int]
    gaps: list[str]
    opening: list[bool]
    vocabulary: frozenset[str]

    def is_capital(self, index: int) -> bool:
        """Whether a word begins with a capital."""
        return bool(self.roles[index] & Role.CAPITAL)

    def with_names(self, indexes: Iterable[int]) -> "Words":
        """The same words, with those at the indexes taken for surnames."""
        kinds, roles, found = self.kinds.copy(), self.roles.copy(), Kind.LAST | Kind.NAME
        for index in indexes:
            kinds[index], roles[index] = found, _role(self.words[index], self.lowers[index], found)
        return replace(self, kinds=kinds, roles=roles)

    def has(self, words: frozenset[str]) -> bool:
        """Whether one of these lower-case words occurs."""
        return not words.isdisjoint(self.vocabulary)


@lru_cache(maxsize=8)
def read(text: str) -> Words:
    """The words of a folded text; recognisers that read one text in turn share them."""
    parts = _WORD.split(text)  # gap, word, gap ... word, gap
    edges = list(accumulate(map(len, parts)))
    words, gaps = parts[1::2], parts[:-1:2]
    known = [_known[word] for word in words]
    numbers = [match.start() for match in _NUMBER.finditer(text)]
    lowers, kinds, roles = map(list, zip(*known, strict=True)) if known else ([], [], [])
    return Words(
        text,
        text.lower(),
        numbers,
        [start for start in numbers if _JOINED.match(text, start)],
        edges[:-1:2],
        edges[1::2],
        words,
        lowers,
        kinds,
        roles,
        gaps,
        [gap != " " and (not index or _opens(gap, lowers[index - 1])) for index, gap in enumerate(gaps)],
        frozenset(lowers),
    )


def _opens(gap: str, before: str) -> bool:
    if gap in (". ", ".") and (len(before) == 1 or before in v.TITLES or before in ("st", "mt", "ft")):
        return False
    return bool(_SENTENCE_END.search(gap))


# A label such as "electronically signed and verified by Dr." has no more words.
_LABEL_WORDS = 8


def match_before(pattern: re.Pattern[str], words: Words, index: int, end: int) -> re.Match[str] | None:
    """The match of a pattern that ends at an offset and begins with one of the words before a word, the longest one.

    It is what `search` finds for a pattern with $ in a window, at a tenth of the cost.
    """
    for start in words.starts[max(0, index - _LABEL_WORDS) : index]:
        if match := pattern.match(words.text, start, end):
            return match
    return None


def matches_at(pattern: re.Pattern[str], text: str, starts: Iterable[int]) -> Iterator[re.Match[str]]:
    """What `finditer` finds, for a pattern that can only match at one of these ascending offsets."""
    end = 0
    for start in starts:
        if start >= end and (match := pattern.match(text, start)):
            yield match
            end = match.end()
