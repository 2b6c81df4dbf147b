"""Names and places without a record: by word lists and by what stands around them, then everywhere in the note.

The order of Philter (Norgeot et al. 2020, doi:10.1038/s41746-020-0258-y): what is not known to be harmless goes. A
capitalised word that is neither an ordinary nor a medical one is taken for a name; an ordinary word (Will, May,
Reading, Orange) is a name where a title, a relative, a degree, an address or another name says so.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

from lsdata.deid import vocabulary as v
from lsdata.deid.gazetteer import Kind, is_town, is_unheard, kind, surnames
from lsdata.deid.recognizers import Recognizer

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_SAFE = Kind.ORDINARY | Kind.MEDICAL
_PERSON = Kind.FIRST | Kind.LAST
_PLACES = Kind.PLACE | Kind.COUNTRY
_SENTENCE_END = re.compile(r"[.!?:;\n\"*>|]")
_PARTICLES = frozenset(
    v.words("""
    van von der den de dei degli del della di da do dos das la le el al bin ibn ben st ter ten af av y e zu
    """)
)
_PLACE_FIRST = frozenset(
    v.words("""
    new north south east west lake port fort mount mt saint st san santa los las el upper lower glen cape point
    great little
    """)
)
_MONTHLIKE = frozenset(
    v.words("""
    january february march april may june july august september october november december
    """)
)

_FUNCTION = frozenset(
    v.words("""
    a an the of and or in on at to by for with from as is was were be been are am i he she it we they you his her my
    our their its this that these those not no nor but if then than so do does did has have had will would can could
    may might shall should must who whom which what when where why how all any some each every both few more most
    other such only own same too very just also there here again once during before after above below between into
    through about against up down out off over under yes new old per via please both either neither your me him them
    us
    """)
)
# After these a word at the start of a sentence is a person.
_PERSON_VERBS = frozenset(
    v.words("""
    denies denied reports reported states stated says said is was has had presents presented complains complained
    notes noted admits admitted describes described feels felt lives lived works worked tolerated underwent returns
    returned came comes called calls reports appears appeared continues continued developed did does wants wanted
    agrees agreed understands verbalized requests requested asked asks told saw seen will would who and can may went
    accompanied awoke became began brought declined decided discussed enjoys experienced explained fell gave got
    gets himself herself informed likes mentioned moved needs notices received recalls refused remains requires
    retired sees smokes drinks spoke sustained takes took thinks thought tells traveled tried uses used walked walks
    """)
)
_NAMING = re.compile(
    r"\b(?:(?:my|his|her|their|the|your|whose|first|last|full|maiden|middle|family|given|preferred|legal|"
    r"partner's|wife's|husband's) name(?:s)?"
    r"(?: on the \w+)?(?: is|'s| was| to|\?|:)|named?|called|known as|nicknamed|goes by|aka|a\.k\.a\.|"
    r"name appears|under|i am|i'm|this is|it's|hi|hello|dear|thanks|regards|sincerely|"
    r"attn|directed by|starring|says?|said|shouted at|asked|told|written by|by)(?:\b|(?<=[?:]))[:,]?[ \t]+\"?$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\b(?:(?:patient|pt|client|member|subject|resident|mother|father|parent|spouse|guardian|provider|physician|"
    r"doctor|surgeon|nurse|referring|referred|"
    r"attending|ordering|author|primary|emergency|next of kin|kin|contact|consultant|anesthesiologist|assistant|"
    r"cosigner|pcp|provider|clinician|therapist|pathologist|"
    r"radiologist|counselor|interpreter|witness|informant|historian|surrogate|proxy|poa|caregiver|employee|"
    r"staff|technician|recipient|sender|scribe)"
    r"(?:'s)?(?: (?:name|physician|provider|doctor|surgeon|contact|md|by|care physician|care provider|nurse))*|"
    r"name|(?:first|last|full|maiden|middle|given|family) name|"
    r"cc|c\.c\.|copy(?:/ies)? to|copies to|(?:electronically |e-?|co-?)?signed(?: by)?|dictated(?: by| for)?|"
    r"transcribed by|typed by|seen by|seen and examined by|examined by|evaluated by|"
    r"reviewed by|verified by|entered by|referred by|performed by|prepared by|authenticated by|read by|"
    r"interpreted by|assisted by|documented by|reported by|"
    r"scribed by|witnessed by|discussed with|spoke (?:with|to)|attn|attention|from|to|re|by|regards|sincerely|"
    r"respectfully|thank you|thanks|"
    r"user|bot|sincerely yours|directed by|notified|paged|consulted|per|under the care of|followed by|"
    r"accompanied by|attended by|managed by)"
    r"[ \t]{0,3}(?P<mark>[:=,#-]?)[ \t]{0,4}\n?$",
    re.IGNORECASE,
)
# The last word before a name in one of these; spares the search elsewhere.
_LABEL_ENDS = frozenset(
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
_STRICT_LABEL = re.compile(
    r"(?:\b(?:by|cc|to|with|per|dr|for|under the care of|notified|paged|consulted)|name|physician|provider|"
    r"doctor|surgeon|attending|author|pcp|patient|pt|signed|dictated)[ \t]*[:=,-]?[ \t]*\n?$",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(
    r"(?<=[A-Za-z.]),? ?,? ?(?<=[ ,])(?:M\.?D|D\.?O|R\.?N|N\.?P|P\.?A(?:-C)?|L\.?P\.?N|C\.?N\.?A|Ph\.?D|"
    r"D\.?D\.?S|D\.?P\.?M|O\.?D|M\.?B\.?B\.?S|Pharm\.?D|"
    r"L?M?C?SW|LCSW|FNP(?:-C)?|A?R?APRN|ARNP|DNP|CRNA|CNM|RPh|PT|OTR|DPT|SLP|MPH|MSN|BSN|FACS|FACP|PsyD|Jr|Sr|"
    r"III|II|Esq)\b\.?"
)
_STATE_NAME = (
    "|".join(sorted(v.STATES))
    + r"|new (?:york|jersey|hampshire|mexico)|(?:north|south) (?:carolina|dakota)|west virginia|rhode island"
)
_STATE = "|".join(sorted(v.STATE_CODES)) + rf"|(?i:{_STATE_NAME})"
_BEFORE_STATE = re.compile(
    rf"(?P<town>(?<![A-Za-z'])[A-Z][\w'.-]*(?: [A-Za-z][\w'.-]*){{0,3}}),? (?P<state>(?:{_STATE}))\b\.?(?:,? "
    rf"?(?P<zip>\d{{5}}(?:-\d{{4}})?)\b)?"
)
_STATE_SECONDS = frozenset(
    v.words("""
    york jersey hampshire mexico carolina dakota virginia island
    """)
)
_STATE_ENDS = v.STATES | _STATE_SECONDS
_ZIP_AFTER_STATE = re.compile(r"\.?[ ,\t\n]{1,3}(?P<zip>\d{5}(?:-\d{4})?)(?![\w-])")
_SUFFIX = "|".join(sorted((s for s in v.STREET_SUFFIXES if len(s) > 1), key=len, reverse=True))
_STREET = re.compile(
    rf"(?<![\w/.-])\d{{1,6}}(?:-\d{{1,5}})?[A-Za-z]?(?: 1/2)?,? (?:(?:[NSEW]|[NS][EW]|North|South|East|West)\.? )?"
    rf"(?:(?:[A-Z][\w'.-]*|\d{{1,3}}(?:st|nd|rd|th)|of|the|de|la|los|"
    rf"del) ){{1,4}}?(?i:{_SUFFIX})\b\.?(?: (?:[NSEW]|[NS][EW])\b)?"
)
_LOWER_STREET = re.compile(
    r"(?<![\w/.-])\d{1,6} (?:[nsew] )?(?:[a-z][a-z'-]+ ){1,3}(?:st|street|ave|avenue|rd|road|blvd|boulevard|ln|"
    r"lane|dr|drive|ct|court|way|parkway|pkwy|terrace|circle|highway|hwy)\b(?! of)"
)
_HIGHWAY = re.compile(
    r"\b(?:(?:State |County |US )?(?:Highway|Hwy|Route|Rte|Interstate|County Road|CR|FM)\.? \d{1,4}|I-\d{1,3})\b"
)
_UNIT = re.compile(
    r"[,\n ]{0,4}(?:(?:[Aa]pt|[Aa]partment|[Ss]uite|[Ss]te|[Uu]nit|[Bb]ldg|[Bb]uilding|[Ff]loor|[Rr]oom|[Rr]m|"
    r"[Ll]ot|APT|STE|SUITE|UNIT)\.? ?#?|#)(?P<v>[A-Z]?\d[\w-]*|[A-Z]\b)"
)
_UNIT_ALONE = re.compile(r"\b(?:[Aa]pt|[Aa]partment|[Ss]uite|[Ss]te|APT|STE|SUITE|[Bb]ldg)\.? ?#?(?P<v>[A-Z]?\d[\w-]*)")
_BOX = re.compile(
    r"\b(?:P\.? ?O\.? ?Box|POB|(?:PSC|Unit|UNIT|CMR) \d+,? Box|Box|RR \d+,? Box|p\.?o\.? box|(?:psc|"
    r"unit) \d+,? box)\s#?\d+\b|\b(?:FPO|APO|DPO|fpo|apo|dpo),? [A-Za-z]{2},? \d{5}\b|\bUS(?:S|NS|CGC|"
    r"NV)\.? [A-Z]\w+|\bus(?:s|ns|cgc|nv) [a-z]\w+"
)
_ADDRESS = re.compile(
    r"(?:\b(?:(?<!IP )(?<!ip )address(?: (?:is|to|of|was|linked to \w+ \w+ \w+ to|to the same|"
    r"changed to))?[:?]?|address of [\w&,. ]{1,60} is|address:|lives? (?:at|on|in|near)|lived (?:at|on|in)|"
    r"living (?:at|on|in)|resid(?:es|ed|ing|ence) (?:at|on|in|is)?|"
    r"located (?:at|on|in)|meet (?:me|us) at|bus drops you off at|(?:station|office|restaurant|store|clinic|"
    r"house|home|hotel) is (?:at|on|located at)|sent to|return(?:ed)? to|arrived at|"
    r"deliver(?:ed)? to|ship(?:ped)? to|mail(?:ed)? to|taxi to|drive to|moved (?:here )?(?:to|from)|"
    r"relocated (?:to|from)|based in|born in|grew up in|raised in|native of|resident of|travel(?:l?ing|l?ed|"
    r"s)? (?:to|from|in)|"
    r"(?:the )?corner of|home city|home ?town(?: is| of)?|the (?:city|town|village|county|borough|hamlet|"
    r"parish) of|visit(?:ing|ed)?|vacation(?:ing|ed)? in|trip (?:to|from|in)|flew (?:to|from)|returned (?:to|"
    r"from)|located near|district of|neighborhood of|from)"
    r")[ \t:,?]*\n?[ \t]*$",
    re.IGNORECASE,
)
_ADDRESS_ENDS = frozenset(
    v.words("""
    address to same is at on in near of from residing visit visiting visited town city hometown including live lives
    lived reside resides with it
    """)
)
_ADDRESS_NEXT = re.compile(r"[ \t:,?]*\n?[ \t]*(?=[A-Z\d#]|[^\x00-\x7f]|(?:the |ul\.|rue |via |calle ))")
_ADDRESS_BODY = re.compile(
    r"(?:(?:[A-Z][\w'./-]*|\d[\w/.-]*|#\d+|(?:of|and|the|de|la|le|du|des|ul\.|via|van|der|den|rue|al|el|do|da|"
    r"dos|corner|nan)\b|\([^)\n]{1,30}\)|[^\W\d_a-zA-Z][\w'.-]*)"
    r"(?P<gap>[ \t]*,?[ \t]?(?:\n[ \t]*,?[ \t]*)?)){1,14}"
)
_EMPLOYER = re.compile(
    r"\b(?:(?:works?|worked|working|employed|employment|employee|job|position|intern(?:ed|ship)?|manager|clerk|"
    r"retired|consultant|founder|ceo|president|assistant|spent a year) (?:at|for|by|with|from|of)|"
    r"employer(?: is|:)?|company(?: is|:| called)?)[ \t]+(?:the )?$",
    re.IGNORECASE,
)
_EMPLOYER_ENDS = frozenset(("at", "for", "by", "with", "from", "of", "the", "is", "called", "employer", "company"))
_DOSE = re.compile(
    r"(?:\(?[\w/-]+\)?,? ){0,2}?\(?\d[\d.,/-]*(?: ?- ?\d+)? ?(?:mg|mcg|ug|g|gm|grams?|ml|cc|units?|iu|meq|tabs?|"
    r"tablets?|%|puffs?|caps?|drops|mL|milligrams|micrograms)\b"
    r"|(?:p\.?o|b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|q\.?d|q\.?h\.?s|p\.?r\.?n|q\d|daily|nightly|tablets?|inhaler|"
    r"cream|ointment|patch|drops|spray|injections?|infusion|therapy|XR|SR|ER|CR|XL|LA|HCT|dose|doses|sutures?|"
    r"mesh|stent|graft|clips?|gauze|tape|dressing|positive|negative|level|levels|scan)\b"
)
_NUMBER_BEFORE = re.compile(r"(?<![\w./:,-])\d{1,6}[A-Za-z]?(?:-\d{1,4})? $")
_NUMBER_AFTER = re.compile(
    r" \d{1,4}[A-Za-z]?(?!\w|-|[.,/:]\d| ?(?:mg|mcg|ml|cc|units?|tabs?|%|years?|days?|weeks?|months?|hours?|yo|y/o|"
    r"times|cm|mm|kg|lbs?|am|pm|minutes?))"
)
_DATELIKE = re.compile(r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b")
_COUNTRY = re.compile(rf"(?:{v.COUNTRY_PHRASES})\b", re.IGNORECASE)
_CORNER = re.compile(r"(?:the )?corner of", re.IGNORECASE)
_COUNTRY_STARTS = frozenset(phrase.split()[0] for phrase in v.COUNTRY_PHRASES.split("|"))
_HOUSE_NUMBER = re.compile(r"\d(?<![\w./:-]\d)")
_BOX_STARTS = frozenset(
    v.words("""
    p po pob psc unit cmr box rr fpo apo dpo uss usns uscgc usnv
    """)
)
# A house number before, or after, a word that is no English word; which it is, is looked up.
_HOUSE = re.compile(
    r"(?<![\w./:-])\d{1,6}[A-Za-z]?,? (?:\d{1,5} )?(?:(?:[Uu]l|[Rr]ue|[Cc]alle|[Aa]v|[Vv]ia|"
    r"[Rr]ua)\.? (?:\w{1,3} )?)?(?P<word>[A-Z][^\W\d_]+)(?: [A-Za-z][\w'.-]*){0,4}?(?= \d{1,5}[A-Za-z]?\b(?! "
    r"?(?:mg|mcg|ml|units?|%))|,|\n| [A-Z]|\.?$)"
)
_STREET_WORD = (
    r"(?:[Rr]ue|[Aa]venue|[Aa]venida|[Bb]oulevard|[Cc]alle|[Cc]arrer|[Vv]ia|[Vv]iale|[Rr]ua|[Uu]lica|[Uu]l\.|[Tt]rg|"
    r"[Pp]lace|[Pp]laza|[Pp]iazza|[Ss]trada|[Vv]icolo|[Rr]\.)"
)
_PARTICLE = r"(?:of|de|dei|degli|la|le|les|du|des|van|der|den|al|el|do|da|dos|nad|am|and|the|u\.)"
# "26 rue des Lilas", "Via delle Coste 41", "ul. Cicha 86"; via and avenue are English words as well.
_FOREIGN_STREET = re.compile(
    rf"(?:(?<![\w./:-])(?:\d{{1,6}} ){{1,2}}{_STREET_WORD}|\b(?:[Rr]ue|[Cc]alle|[Rr]ua|[Uu]l\.|Via|Viale|"
    rf"[Uu]lica|Piazza|Strada)) (?:(?:{_PARTICLE}|delle|della|do) |l'|d'){{0,3}}"
    r"(?!(?:of|the|and)\b)[^\W\d_][\w'-]*(?: [A-Z][\w'-]+){0,3}(?: \d{1,5}\b)?"
)
_PART = (
    r"(?:[A-Z][\w'/-]*(?:\.(?=,? [\d#a-z])|(?<= [A-Z][a-z])\.|(?<=[ (][A-Z])\.)?|[^\x00-\x7f\W][\w'-]*\.?|"
    r"\d{1,6}[A-Za-z]?(?!\w|[.:/]\d|-\d{3})|\d{4,5}-\d{3,4}|\d{2}-\d{3}(?!\d)|#\d+"
    rf"|\([A-Z][^)\n]{{0,30}}\)|{_PARTICLE}(?= [A-Z])|{_PARTICLE}(?= {_PARTICLE} [A-Z])|{_STREET_WORD}|"
    rf"(?<=, )[a-z]{{2,3}}(?= ?\d|\s*\n|$|[.?]))"
)
_RUN_AFTER = re.compile(rf"(?:(?:,? )?{_PART}){{0,14}}+")
_RUN_BEFORE = re.compile(
    rf"(?<![\w.:/-])(?:(?:[A-Z][\w'/-]*\.?|\d{{1,6}}[A-Za-z]?\.?|{_PARTICLE}|{_STREET_WORD}|"
    rf"[^\x00-\x7f\W][\w'-]*)[ ,\n>]{{1,3}}){{1,8}}[ \t>?]*$"
)
_NEXT_LINE = re.compile(
    rf"[.,]?[ \t]*\n(?P<blank>[ \t>?]*\n)?[ \t>?]*,?[ \t]*(?P<v>(?>{_PART}(?:,? {_PART}){{0,6}}))(?![:\w])"
)
# A postal code behind a place: "Riisa 62488", "Sindi, PR 20134", "Oulu\n80896" is taken with the lines above.
_CODE_AFTER = re.compile(
    r"(?:,? [A-Za-z]{2,3}\.?|\s\([^)\n]{1,30}\))?,? (?P<v>\d{4,6}(?:-\d{3,4})?)(?!\w|[.,/:]\d| ?(?:mg|mcg|ml|cc|"
    r"units?|tabs?|%|steps|feet|cal|iu)\b)"
)
_LAST_FIRST = re.compile(
    r"(?:(?<=\n)|^|[A-Za-z][:|][ \t]*)(?P<v>[A-Z][A-Za-z'-]+, [A-Z][A-Za-z'-]+(?: [A-Z]\b\.?|"
    r" [A-Z][a-z]+)?)(?=[ \t]{2,}|[ \t]*(?:\n|$|[|(;.]))"
)
_WITH_INITIAL = re.compile(r"(?<![A-Za-z])(?P<v>[A-Z][a-z]+ [A-Z]\. [A-Z][A-Za-z'-]+)(?![a-z])")
_SIGNING = re.compile(r"\bby:? $|\buser:? $", re.IGNORECASE)
_HANDLE = re.compile(r"(?:\b(?:by|user|signed|entered|login|per|from|to|cc)[: ]{1,2}|/s/ ?|\()$", re.IGNORECASE)


@cache
def _frequent_surnames() -> frozenset[str]:
    return frozenset(surnames()[:1_000])


@dataclass(slots=True)
class _Words:
    """The words of a text, in order."""

    text: str
    starts: list[int] = field(default_factory=list[int])
    ends: list[int] = field(default_factory=list[int])
    words: list[str] = field(default_factory=list[str])
    lowers: list[str] = field(default_factory=list[str])
    kinds: list[int] = field(default_factory=list[int])
    opening: list[bool] = field(default_factory=list[bool])
    """Whether the word begins a sentence, a line or an item, where a capital says nothing."""

    def gap(self, index: int) -> str:
        """What stands between a word and the one before."""
        return self.text[self.ends[index - 1] if index else 0 : self.starts[index]]

    def is_capital(self, index: int) -> bool:
        return self.words[index][0].isupper()


@dataclass(slots=True)
class Reading:
    """What the word layer makes of a text.

    Args:
        spans: (entity, start, end).
        open: (start, end) of sentences with capitals that it cannot tell, for a language model.
    """

    spans: list[tuple[str, int, int]]
    open: list[tuple[int, int]]


class NameRecognizer(Recognizer):
    """Names, places, facilities and employers by gazetteer and context."""

    entities = ("NAME", "LOCATION", "FACILITY", "EMPLOYER", "ZIP", "USERNAME")

    def load(self) -> None:
        """Reads the word lists."""
        kind("a")

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Names and places; once found, a name counts everywhere in the text."""
        yield from self.read(text).spans

    def read(self, text: str, is_foreign: Callable[[int, int], bool] | None = None) -> Reading:
        """Spans, and the sentences left open.

        Args:
            is_foreign: whether text[start:end] had letters outside ASCII before it was folded: Basic with an accent
                is a name.
        """
        words = _split(text, is_foreign)
        found = _Marks(words)
        found.mark_addresses()
        found.mark_words()
        found.mark_context()
        found.mark_facilities()
        found.spread()
        return Reading(found.joined(), found.undecided())


def _split(text: str, is_foreign: Callable[[int, int], bool] | None = None) -> _Words:
    words = _Words(text)
    end = 0
    for match in _WORD.finditer(text):
        word = match.group()
        start = match.start()
        lower = word.lower()
        if lower.endswith("'s"):
            lower = lower[:-2]
        gap = text[end:start]
        if not end:
            opening = True
        elif (
            gap == " "
            or not _SENTENCE_END.search(gap)
            or (
                gap in (". ", ".")
                and (
                    words.lowers[-1] in v.TITLES or len(words.lowers[-1]) == 1 or words.lowers[-1] in ("st", "mt", "ft")
                )
            )
        ):
            opening = False
        else:
            opening = True
        end = match.end()
        words.starts.append(start)
        words.ends.append(end)
        words.words.append(word)
        words.lowers.append(lower)
        found = kind(lower)
        if (
            is_foreign
            and found & Kind.ORDINARY
            and lower not in v.MEDICAL_WORDS
            and word[0].isupper()
            and is_foreign(start, end)
        ):
            found = Kind.LAST | Kind.NAME
        words.kinds.append(found)
        words.opening.append(opening)
    return words


class _Marks:
    """Entity of each word, by index; None where it is harmless."""

    def __init__(self, words: _Words) -> None:
        self.words = words
        self.marks: list[str | None] = [None] * len(words.words)
        self.extra: list[tuple[str, int, int]] = []
        self.sure: set[str] = set()
        text = words.text
        self.caseless = text.islower() and len(words.words) > 2
        self.shouting = text.isupper() and len(words.words) > 2

    # ------------------------------------------------ single words

    def mark_words(self) -> None:
        """Capitalised words that are neither ordinary nor medical, and names in any case."""
        w = self.words
        for index, word in enumerate(w.words):
            if self.marks[index] is None and (entity := self._alone(index, word)):
                self.marks[index] = entity

    def _alone(self, index: int, word: str) -> str | None:
        w = self.words
        found = w.kinds[index]
        lower = w.lowers[index]
        if not found & (Kind.NAME | _PLACES) and found & _SAFE:
            return None
        if len(lower) == 1 or lower in _FUNCTION or found & Kind.STATE or lower in _MONTHLIKE:
            return None
        if not word[0].isupper():
            if not word.isascii():
                return "NAME" if len(word) > 2 else None
            dictionary = 0 if self.caseless else Kind.NOUN
            if found & Kind.NAME and not found & (_SAFE | dictionary) and len(lower) > 3:
                return "NAME"
            if self.caseless and len(lower) > 3 and is_unheard(lower):
                return "NAME"
            if self.caseless and found & _PLACES and not found & _SAFE and len(lower) > 3:
                return "LOCATION"
            return None
        if word.isupper() and word.isascii():
            if len(lower) < 6 and not (found & (Kind.NAME | _PLACES) and not found & _SAFE and len(lower) > 3):
                return None
        elif not word.istitle() and len(lower) < 6 and sum(map(str.isupper, word)) > 1 and not found & Kind.NAME:
            return None  # HbA, TFTs
        ordinary = bool(found & _SAFE)
        if (ordinary and not found & Kind.NAME) or (lower in v.DRUGS and not self._beside_person(index)):
            return None
        if ordinary and (w.opening[index] or word.isupper()) and not self._beside_person(index):
            return None
        if self._is_eponym(index):
            return None
        if not found & (_PERSON | _PLACES) and _DOSE.match(w.text, w.ends[index] + 1):
            return None
        if found & _PLACES and not found & Kind.NAME:
            return "LOCATION"
        if found & _PLACES and index and w.lowers[index - 1] in ("in", "near", "from", "to"):
            return "LOCATION"
        return "NAME"

    def _beside_person(self, index: int) -> bool:
        """An ordinary word that opens a sentence: a name if another name or what a person does follows."""
        w = self.words
        after = index + 1
        if w.kinds[index] & Kind.FIRST and re.match(r':\s?"', w.text[w.ends[index] : w.ends[index] + 3]):
            return True
        if (
            after + 1 < len(w.words)
            and w.lowers[after] == "and"
            and w.is_capital(after + 1)
            and w.gap(after + 1) == " "
        ):
            return (
                bool(w.kinds[after + 1] & Kind.NAME)
                and not w.words[index].isupper()
                and not w.kinds[index] & Kind.MEDICAL
            )
        if after >= len(w.words) or w.gap(after) not in (" ", ", ", " (", "'s "):
            return False
        if (
            w.is_capital(after)
            and not w.words[after].isupper()
            and w.kinds[after] & Kind.NAME
            and not self._is_eponym(after)
        ):
            return True
        return w.gap(after) == " " and w.lowers[after] in _PERSON_VERBS and bool(w.kinds[index] & Kind.NAME)

    def _is_eponym(self, index: int) -> bool:
        w = self.words
        if index and w.lowers[index - 1] in v.TITLES and w.gap(index).strip(" .") == "":
            return False
        for after in range(index + 1, min(index + 4, len(w.words))):
            if len(w.gap(after)) > 1 and w.gap(after) not in ("'s ", "-", "' ", ". ", " ("):
                break
            if w.lowers[after] in v.EPONYM_NOUNS:
                return (
                    after == index + 1
                    or w.lowers[index] in v.EPONYMS
                    or all(w.is_capital(k) for k in range(index + 1, after))
                )
        if w.lowers[index] in v.EPONYMS:
            if w.words[index].endswith("'s") and index + 1 < len(w.words) and not w.is_capital(index + 1):
                return not (w.kinds[index + 1] & Kind.ORDINARY and w.lowers[index + 1] in v.RELATIVES)
            before = w.lowers[index - 1] if index else ""
            determined = before in ("positive", "negative", "modified", "post", "p")
            determined = determined or (
                before in ("the", "a", "an", "with", "of") and w.lowers[index] not in _frequent_surnames()
            )
            return determined and not self._is_named(index + 1)
        return False

    def _is_named(self, index: int) -> bool:
        w = self.words
        return index < len(w.words) and w.is_capital(index) and bool(w.kinds[index] & _PERSON) and w.gap(index) == " "

    # ------------------------------------------------ what stands around

    def mark_context(self) -> None:
        """Titles, labels, relatives, degrees; ordinary words become names by them."""
        w = self.words
        for index, lower in enumerate(w.lowers):
            if lower in v.TITLES and self._is_title(index):
                self._take_names(
                    index + 1, first=True, lower=self.caseless or "." in w.gap(min(index + 1, len(w.words) - 1))
                )
            elif lower in v.RELATIVES:
                self._after_relative(index)
            elif w.is_capital(index) and self.marks[index] is None and not w.opening[index] and not self.shouting:
                self._capital(index)
            if self.caseless or w.opening[index] or (index and w.gap(index)[:1] in ":,=-\n") or w.is_capital(index):
                self._labelled(index)
        for pattern in (_LAST_FIRST, _WITH_INITIAL):
            for match in pattern.finditer(w.text):
                self._last_first(*match.span("v"))
        self._neighbours()
        for match in _CREDENTIALS.finditer(w.text):
            self._before_credential(bisect_right(w.ends, match.start() + (w.text[match.start()] == ".")) - 1)
        self._user_names()

    def _last_first(self, start: int, end: int) -> None:
        """A line or field that is nothing but "Rice, Hope M", or "Hope M. Rice" anywhere: names, if all can be."""
        w = self.words
        words = range(bisect_left(w.starts, start), bisect_left(w.starts, end))
        if all(
            (w.kinds[k] & _PERSON or not w.kinds[k] & _SAFE) and w.lowers[k] not in v.TERMS
            for k in words
            if len(w.words[k]) > 1
        ):
            for k in words:
                self.marks[k] = "NAME"

    def _neighbours(self) -> None:
        """What a name or place goes on with: Villafranca del Cid, Daniela C. Capon, Hauta-aho; frank freud."""
        w = self.words
        for index in range(1, len(w.words)):
            if self.marks[index] is not None:
                continue
            gap, word, found = w.gap(index), w.words[index], w.kinds[index]
            before = self.marks[index - 1]
            if (
                index + 2 < len(w.words)
                and self.marks[index + 2]
                and w.is_capital(index)
                and w.words[index + 1] in _PARTICLES
                and not w.opening[index]
            ) and (
                w.gap(index + 1) == w.gap(index + 2) == " "
                and not found & Kind.MEDICAL
                and w.lowers[index] not in v.TITLES | _FUNCTION
            ):
                self.marks[index] = self.marks[index + 1] = self.marks[index + 2]
                continue
            after = index + 1 < len(w.words) and self.marks[index + 1]
            if before and gap == " & " and w.is_capital(index):
                self.marks[index] = before
            elif after and w.gap(index + 1) == " & " and w.is_capital(index) and found & Kind.LAST:
                self.marks[index] = after
            elif (
                after == "NAME"
                and w.gap(index + 1) == " "
                and w.is_capital(index)
                and not w.opening[index]
                and not word.isupper()
                and len(word) > 2
            ):
                telling = w.kinds[index + 1] & Kind.LAST and not w.kinds[index + 1] & _SAFE
                if (
                    telling
                    and not found & Kind.MEDICAL
                    and w.lowers[index] not in _FUNCTION | v.DEPARTMENTS | v.FACILITIES | v.TITLES | v.RELATIVES
                ):
                    self.marks[index] = "NAME"
            elif before in ("NAME", "LOCATION"):
                if (gap == "-" and not found & Kind.MEDICAL and (w.is_capital(index) or not found & Kind.ORDINARY)) or (
                    gap == " "
                    and self.caseless
                    and not found & _SAFE
                    and w.lowers[index] not in _FUNCTION
                    and len(word) > 2
                ):
                    self.marks[index] = before
            elif (
                index > 1
                and self.marks[index - 2] in ("NAME", "LOCATION")
                and w.is_capital(index)
                and not word.isupper()
                and len(word) > 1
            ):
                middle = w.words[index - 1]
                initial = len(middle) == 1 and middle.isupper() and w.gap(index - 1) == " " and gap in (" ", ". ")
                particle = middle in _PARTICLES and gap == w.gap(index - 1) == " "
                if (initial and not w.kinds[index] & Kind.MEDICAL and w.lowers[index] not in _FUNCTION) or particle:
                    self.marks[index] = self.marks[index - 1] = self.marks[index - 2]
            if (
                index + 1 < len(w.words)
                and self.marks[index + 1] == "NAME"
                and w.gap(index + 1) == " "
                and w.is_capital(index)
                and found & Kind.FIRST
            ) and (
                w.kinds[index + 1] & Kind.LAST
                and not w.kinds[index + 1] & _SAFE
                and not (word.isupper() and len(word) < 4)
            ):
                self.marks[index] = "NAME"
            if (
                self.caseless
                and self.marks[index] == "NAME"
                and self.marks[index - 1] is None
                and w.kinds[index - 1] & Kind.FIRST
                and gap == " "
            ) and w.kinds[index - 1] & Kind.NAME:
                self.marks[index - 1] = "NAME"

    def _is_title(self, index: int) -> bool:
        w = self.words
        if index + 1 >= len(w.words) or w.gap(index + 1) not in (" ", ". ", ".", ".  ", "  "):
            return False
        if w.lowers[index] in ("nurse", "miss", "sir", "madam", "judge", "doctor", "fr", "sgt", "capt"):
            return (
                "." not in w.gap(index + 1)
                and w.is_capital(index + 1)
                and (w.is_capital(index) or w.lowers[index] in ("doctor", "nurse"))
                and bool(w.kinds[index + 1] & _PERSON or not w.kinds[index + 1] & _SAFE)
                and not w.words[index + 1].isupper()
            )
        return True

    def _take_names(self, index: int, *, first: bool, lower: bool = False, limit: int = 4) -> None:
        """Marks the words of a name that begins here."""
        w = self.words
        for offset in range(limit):
            at = index + offset
            if at >= len(w.words):
                return
            gap = w.gap(at)
            if offset and gap not in (" ", ". ", ".", "-", "  ", ", ", " '", "' ", ' "', '" '):
                return
            if offset and gap == ", " and not self._is_last_first(at):
                return
            word, found = w.words[at], w.kinds[at]
            capital = word[0].isupper()
            if w.lowers[at] in v.CREDENTIALS and offset and word.isupper():
                return
            if not capital:
                particle = w.lowers[at] in _PARTICLES and at + 1 < len(w.words) and w.is_capital(at + 1)
                unknown = not found & _SAFE and w.lowers[at] not in _FUNCTION and len(word) > 1
                if not particle and not (
                    lower
                    and (
                        (first and not offset and w.lowers[at] not in _FUNCTION)
                        or unknown
                        or (offset and found & Kind.NAME)
                    )
                ):
                    return
            elif (
                (offset and len(word) > 1 and found & _SAFE and not found & _PERSON)
                or (
                    offset
                    and found & _SAFE
                    and not found & Kind.NAME
                    and (w.opening[at] or w.lowers[at] in v.EPONYM_NOUNS)
                )
                or (
                    w.lowers[at] in _FUNCTION
                    and word.isupper() is False
                    and offset
                    and w.lowers[at] not in ("will", "may", "an", "do", "so")
                )
            ):
                return
            self.marks[at] = self.marks[at] or "NAME"
            if self.marks[at] == "LOCATION":
                self.marks[at] = "NAME"
            if len(word) > 2 and capital:
                self.sure.add(w.lowers[at])

    def _is_last_first(self, at: int) -> bool:
        """Smith, John M."""
        w = self.words
        if not (w.is_capital(at) and w.kinds[at] & Kind.FIRST and (not w.opening[at])):
            return False
        after = w.text[w.ends[at] : w.ends[at] + 4]
        return not w.kinds[at] & _SAFE or bool(re.match(r" [A-Z]\b|\s*(?:\n|$|[;)(|]|  )", after))

    def _after_relative(self, index: int) -> None:
        w = self.words
        at = index + 1
        if (
            at < len(w.words)
            and w.gap(at) in (" ", ", ", ": ", " (", " - ")
            and w.lowers[at] in ("is", "named", "called", "name", "was", "who")
        ):
            at += 1
        if (
            at < len(w.words)
            and w.gap(at) in (" ", ", ", ": ", " (", " - ")
            and w.is_capital(at)
            and not w.words[at].isupper()
            and self._may_be_name(at)
        ):
            self._take_names(at, first=True)

    def _may_be_name(self, index: int) -> bool:
        w = self.words
        found = w.kinds[index]
        if w.lowers[index] in _FUNCTION and w.lowers[index] not in ("will", "may", "an", "do"):
            return False
        return bool(found & _PERSON) or not found & _SAFE

    def _capital(self, index: int) -> None:
        """A capitalised ordinary word within a sentence, beside a name or where a place stands."""
        w = self.words
        word, lower, found = w.words[index], w.lowers[index], w.kinds[index]
        if len(word) == 1:
            # An initial belongs to the name beside it.
            if (index and self.marks[index - 1] == "NAME" and w.gap(index) == " ") or (
                index + 1 < len(w.words)
                and self.marks[index + 1] == "NAME"
                and w.gap(index + 1) in (" ", ". ", ".")
                and not (w.gap(index + 1) == ". " and word in "ABC" and w.opening[index])
            ):
                self.marks[index] = "NAME"
            return
        if word.isupper() and len(word) < 4:
            return
        before = w.lowers[index - 1] if index else ""
        gap = w.gap(index)
        following = w.lowers[index + 1] if index + 1 < len(w.words) else ""
        if (
            index
            and gap == " "
            and self.marks[index - 1] == "NAME"
            and not found & Kind.MEDICAL
            and not word.isupper()
            and lower not in _FUNCTION
        ):
            alone = index + 1 >= len(w.words) or not w.is_capital(index + 1) or w.gap(index + 1) != " "
            if (
                w.kinds[index - 1] & Kind.FIRST
                and alone
                and lower not in v.EPONYM_NOUNS | v.DEPARTMENTS | v.FACILITIES | v.COMPANY_SUFFIXES
            ):
                self.marks[index] = "NAME"
                return
        if found & _PERSON and lower not in _FUNCTION | {"patient", "doctor"} and following not in v.EPONYM_NOUNS:
            left = (
                index
                and self.marks[index - 1] == "NAME"
                and (gap in (" ", "-", " '") or (gap == ", " and self._is_last_first(index)))
                and not w.kinds[index - 1] & Kind.MEDICAL
            )
            right = (
                index + 1 < len(w.words)
                and self.marks[index + 1] == "NAME"
                and w.gap(index + 1) in (" ", "-", ". ", "' ")
                and not w.opening[index + 1]
            )
            if (left or right) and not found & Kind.MEDICAL | (lower in v.TERMS):
                self.marks[index] = "NAME"
                return
        if (
            found & Kind.FIRST
            and index + 1 < len(w.words)
            and w.gap(index + 1) == " "
            and w.is_capital(index + 1)
            and not word.isupper()
        ):
            second = w.kinds[index + 1]
            if (
                second & Kind.LAST
                and not (found | second) & Kind.MEDICAL
                and not w.words[index + 1].isupper()
                and following not in v.EPONYM_NOUNS
            ):
                beyond = index + 2 >= len(w.words) or not w.is_capital(index + 2) or w.gap(index + 2) != " "
                if beyond and following not in v.FACILITIES:
                    self.marks[index] = self.marks[index + 1] = "NAME"
                    return
        if (
            gap == " "
            and before in ("in", "from", "near", "to", "at", "of", "around", "outside", "visiting", "toward")
            and found & Kind.PLACE
        ) and (before not in ("to", "at", "of") or not found & Kind.MEDICAL):
            self.marks[index] = "LOCATION"

    def _labelled(self, index: int) -> None:
        w = self.words
        if index == 0 or self.marks[index] is not None or w.lowers[index - 1] not in _LABEL_ENDS:
            return
        start = w.starts[index]
        before = w.text[max(0, start - 48) : start]
        naming = _NAMING.search(before)
        label = _LABEL.search(before)
        if not naming and not label:
            return
        if w.lowers[index] in v.TITLES | v.RELATIVES:
            return
        if not w.is_capital(index):
            # Lower case: only what is no word at all, or what "my name is" makes one.
            strong = bool(naming and re.search(r"name", naming.group(), re.IGNORECASE)) or bool(
                label and _STRICT_LABEL.search(before) and ":" in before[-3:]
            )
            if w.lowers[index] in _FUNCTION or not (strong or self.caseless):
                return
            if w.kinds[index] & _SAFE and not (
                strong and naming and naming.group().rstrip().lower().endswith(("is", "'s", "was", ":", "?"))
            ):
                return
            if w.kinds[index] & Kind.NAME or not w.kinds[index] & _SAFE:
                self._take_names(index, first=True, lower=True)
            return
        if not self._may_be_name(index) or (w.words[index].isupper() and len(w.words[index]) < 5 and not self.shouting):
            return
        if w.kinds[index] & _SAFE and not w.kinds[index] & Kind.NAME:
            # "Patient: Will May", "Seen by Grace", but "Patient: Alert and oriented".
            after = w.text[w.ends[index] : w.ends[index] + 3]
            paired = (
                index + 1 < len(w.words)
                and w.gap(index + 1) in (" ", ", ", " '")
                and w.is_capital(index + 1)
                and bool(w.kinds[index + 1] & _PERSON)
            )
            alone = bool(re.match(r"\s*(?:\n|$|[;)(|.,])", after)) and bool(naming or _STRICT_LABEL.search(before))
            common = w.kinds[index] & Kind.MEDICAL and w.lowers[index] not in (
                "may",
                "will",
                "summer",
                "april",
                "june",
                "august",
                "angel",
                "hope",
            )
            if common or not (paired or alone):
                return
        self._take_names(index, first=True)

    def _before_credential(self, index: int) -> None:
        w = self.words
        taken = 0
        while index >= 0 and taken < 4:
            word, found = w.words[index], w.kinds[index]
            if self.marks[index] == "LOCATION" or (not word[0].isupper() and w.lowers[index] not in _PARTICLES):
                return
            if word.isupper() and w.lowers[index] in v.CREDENTIALS:
                index -= 1
                continue
            beside = taken == 1 and not found & Kind.MEDICAL and w.lowers[index] not in v.DEPARTMENTS
            if len(word) > 1 and not (found & _PERSON or not found & _SAFE or beside):
                return
            if (w.lowers[index] in _FUNCTION and w.lowers[index] not in ("will", "may", "an", "do", "so")) or w.lowers[
                index
            ] in v.TITLES:
                return
            self.marks[index] = "NAME"
            if len(word) > 2:
                self.sure.add(w.lowers[index])
            taken += 1
            if w.gap(index) not in (" ", ". ", "-", ".", ", ") or (w.gap(index) == ", " and taken > 2):
                return
            index -= 1

    def _user_names(self) -> None:
        """Lower-case words such as kjohnson, johnsonk, mary.lopez that are a surname and an initial."""
        w = self.words
        for index, word in enumerate(w.words):
            if len(word) < 5 or w.kinds[index] or not word.islower() or not word.isascii() or "'" in word:
                continue
            before = w.text[max(0, w.starts[index] - 12) : w.starts[index]]
            named = kind(word[1:]) & Kind.NAME or kind(word[:-1]) & Kind.NAME
            if _SIGNING.search(before) and is_unheard(word):
                named = True
            known = len(word) > 6 and bool(kind(word[1:]) & Kind.NAME) and not kind(word[1:]) & _SAFE
            if known or (named and _HANDLE.search(before)):
                end = w.ends[index]
                digits = re.compile(r"\d{0,4}(?!\w)").match(w.text, end)
                self.extra.append(("USERNAME", w.starts[index], digits.end() if digits else end))

    # ------------------------------------------------ places

    def mark_addresses(self) -> None:
        """Streets, boxes, towns before a state, ZIP codes, and what follows the words of an address."""
        w = self.words
        text = w.text
        for index, lower in enumerate(w.lowers):
            if w.words[index] in v.STATE_CODES or lower in _STATE_ENDS:
                start = w.starts[index - 1] if lower in _STATE_SECONDS and index else w.starts[index]
                if match := _BEFORE_STATE.search(text, max(0, start - 60), w.ends[index] + 12):
                    self._town(match)
                if match := _ZIP_AFTER_STATE.match(text, w.ends[index]):
                    self.extra.append(("ZIP", *match.span("zip")))
            elif lower in _COUNTRY_STARTS and (match := _COUNTRY.match(text, w.starts[index])):
                self._take_span("LOCATION", *match.span())
            elif lower in _ADDRESS_ENDS and (match := _ADDRESS_NEXT.match(text, w.ends[index])):
                cue = _ADDRESS.search(text, max(0, w.starts[index] - 30), match.end())
                if cue and (corner := _CORNER.match(text, cue.start())):
                    self._take_span("LOCATION", *corner.span())
                if cue and (body := _ADDRESS_BODY.match(text, match.end())):
                    self._address(cue, body)
            elif lower in _BOX_STARTS and (match := _BOX.match(text, w.starts[index])):
                self._take_address(*match.span())
        for number in _HOUSE_NUMBER.finditer(text):
            for pattern in (_STREET, _LOWER_STREET):
                if match := pattern.match(text, number.start()):
                    self._take_address(*match.span())
            if (match := _HOUSE.match(text, number.start())) and self._is_street_word(
                bisect_left(w.starts, match.start("word"))
            ):
                self._take_address(*match.span())
        for match in _FOREIGN_STREET.finditer(text):
            self._take_address(*match.span())
        for match in _HIGHWAY.finditer(text):
            self._take_span("LOCATION", *match.span())
        for match in _UNIT_ALONE.finditer(text):
            self._take_span("LOCATION", *match.span("v"))
            if self.caseless:
                line = text.rfind("\n", 0, match.start()) + 1
                digit = re.compile(r"\d").search(text, line, match.end())
                stop = text.find("\n", match.end())
                self._take_span("LOCATION", digit.start() if digit else match.start(), stop if stop >= 0 else len(text))
                continue
            before = _RUN_BEFORE.search(text, max(0, match.start() - 80), match.start())
            if before and any(map(str.isdigit, before.group())):
                self._take_address(before.start(), match.end())

    def _is_street_word(self, index: int) -> bool:
        w = self.words
        found = w.kinds[index]
        return (
            not found & _SAFE
            and len(w.lowers[index]) > 3
            and not (w.words[index].isupper() and len(w.lowers[index]) < 6)
            and not self._is_eponym(index)
        )

    def _take_address(self, start: int, end: int) -> None:
        """An address that begins here: on over units, towns and codes, also at the head of the next lines."""
        text = self.words.text
        end = _RUN_AFTER.match(text, end).end()  # pyright: ignore[reportOptionalMemberAccess]
        for _ in range(6):
            line = _NEXT_LINE.match(text, end)
            # A line that begins with a comma goes on with the one before.
            goes_on = line is not None and text[line.start() : line.start("v")].rstrip().endswith(",")
            if line is not None and not line["blank"] and re.match(r"[ \t]*(?:\n|$)", text[line.end("v") :][:9]):
                goes_on = goes_on or bool(re.search(r"\d", text[max(start, end - 12) : end]))
            if line is None or not (goes_on or self._is_place_line(*line.span("v"), after_blank=bool(line["blank"]))):
                break
            end = line.end("v")
        self._take_span("LOCATION", start, end)

    def _is_place_line(self, start: int, end: int, *, after_blank: bool) -> bool:
        w = self.words
        if not after_blank and re.fullmatch(r"(?:.*\D)?\d{3,6}", w.text[start:end]):
            return True
        words = range(bisect_left(w.starts, start), bisect_left(w.starts, end))
        kinds = _PLACES if after_blank else _PLACES | Kind.STATE
        return any(
            not w.kinds[k] & _SAFE
            or (w.kinds[k] & kinds and not w.kinds[k] & Kind.ORDINARY)
            or (w.words[k] in v.STATE_CODES and not after_blank)
            for k in words
        ) or (not after_blank and bool(_UNIT_ALONE.match(w.text, start)))

    def _town(self, match: re.Match[str]) -> None:
        """The capitalised words before a state: "Reading, PA", "South Orange, New Jersey 07079"."""
        w = self.words
        start, end = match.span("town")
        last = bisect_right(w.starts, end - 1) - 1
        comma = "," in match.string[end : match.start("state")]
        code = match["state"].isupper() and len(match["state"]) == 2
        index = last
        while index >= 0 and w.starts[index] >= start and last - index < 4:
            lower = w.lowers[index]
            if (
                not w.is_capital(index)
                or lower in _FUNCTION - {"new", "old"}
                or lower in v.TITLES
                or (w.kinds[index] & Kind.STATE and index == last)
            ):
                break
            if lower in v.CREDENTIALS and w.words[index].isupper():
                return
            index -= 1
        words = range(index + 1, last + 1)
        known = is_town(" ".join(w.lowers[k] for k in words)) or any(
            not w.kinds[k] & _SAFE or w.kinds[k] & _PLACES for k in words
        )
        if (
            not words
            or not (comma or match["zip"] or (known and not code))
            or (code and not comma and not match["zip"])
        ):
            return
        if not known and not match["zip"] and any(w.kinds[k] & Kind.MEDICAL for k in words):
            return
        if (
            match["state"] in ("MD", "PA", "DO", "MA", "MS")
            and not match["zip"]
            and any(w.kinds[k] & Kind.FIRST for k in words)
        ):
            return  # a degree
        if (
            code
            and not match["zip"]
            and not known
            and match["state"] in ("OR", "IN", "ME", "OK", "HI", "MD", "PA", "MS", "MA", "ID", "DE", "CO", "AL")
        ):
            return
        for k in words:
            self.marks[k] = "LOCATION"
            if not w.kinds[k] & _SAFE:
                self.sure.add(w.lowers[k])

    def _address(self, cue: re.Match[str], body: re.Match[str]) -> None:
        """Capitals and numbers after "lives at"; after a mere "from" only what may be a place."""
        w = self.words
        text = w.text
        weak = cue.group().strip().lower() in ("from", "in")
        start, end = body.span()
        end -= len(body["gap"])
        if not any(c.isupper() or not c.isascii() for c in text[start:end]):
            return
        first, last = bisect_left(w.starts, start), bisect_left(w.starts, end)
        if not weak and (run := _RUN_AFTER.match(text, start)):
            here = run.group()
            if re.search(r"\d", here) and re.search(r"[A-Z]|[^\x00-\x7f]", here) and not _DATELIKE.search(here):
                self._take_address(start, start)
                return
        numbered = any(c.isdigit() for c in text[start:end])
        end = min([end, *(at for cut in ("\n", ". ") if (at := text.find(cut, start, end)) >= 0)])
        last = bisect_left(w.starts, end)
        while last > first and w.lowers[last - 1] in _FUNCTION:
            last -= 1
        for index in range(first, last):
            lower, found = w.lowers[index], w.kinds[index]
            if w.opening[index] and not numbered and index > first:
                break
            if w.words[index].isupper() and len(lower) < 4 and not numbered:
                continue
            if (
                lower in _FUNCTION
                or lower in v.TITLES
                or (found & Kind.MEDICAL and not numbered)
                or lower in v.FACILITIES
            ):
                continue
            if weak and found & Kind.ORDINARY and not found & (_PLACES | Kind.LAST):
                continue
            if found & Kind.STATE or (lower in _MONTHLIKE and not numbered):
                continue
            if w.is_capital(index) or not w.words[index].isascii():
                self.marks[index] = self.marks[index] or "LOCATION"

    def _take_span(self, entity: str, start: int, end: int) -> None:
        w = self.words
        for index in range(bisect_left(w.starts, start), bisect_left(w.starts, end)):
            if not (w.kinds[index] & Kind.STATE and w.is_capital(index)):
                self.marks[index] = entity
        self.extra.append((entity, start, end))

    # ------------------------------------------------ places of care and of work

    def mark_facilities(self) -> None:
        """Capitalised phrases that end in Hospital, Clinic, Inc ... and say more than a department."""
        w = self.words
        for index, lower in enumerate(w.lowers):
            if not w.is_capital(index) and not self.caseless:
                continue
            if lower in v.FACILITY_HEADS:
                self._phrase_before(index, "FACILITY")
            elif (
                lower in v.COMPANY_SUFFIXES
                and index
                and not w.words[index].islower()
                and w.gap(index) in (" ", ", ", " & ", ". ")
            ):
                self._phrase_before(index, "EMPLOYER")
            if (
                lower in ("university", "hospital", "church", "institute", "college")
                and index + 2 < len(w.words)
                and w.lowers[index + 1] in ("of", "at")
                and w.is_capital(index + 2)
            ):
                self._phrase_after(index + 2, "FACILITY")
        for index in range(1, len(w.words)):
            if (
                w.is_capital(index)
                and not w.opening[index]
                and not (w.words[index].isupper() and len(w.words[index]) < 5)
                and w.lowers[index - 1] in _EMPLOYER_ENDS
            ):
                before = w.text[max(0, w.starts[index] - 40) : w.starts[index]]
                if before[-1:] == " " and _EMPLOYER.search(before):
                    self._phrase_after(index, "EMPLOYER")
        for index in range(1, len(w.words)):
            # "Mercy Medical", "Kylemouth General Hospital": the rest of a name that is marked already.
            if (
                self.marks[index - 1]
                and self.marks[index] is None
                and w.gap(index) == " "
                and w.is_capital(index)
                and w.lowers[index] in v.FACILITIES
            ):
                self.marks[index] = self.marks[index - 1] = "FACILITY"

    def _phrase_before(self, head: int, entity: str) -> None:
        w = self.words
        index, telling = head - 1, False
        company = entity == "EMPLOYER"
        while index >= 0 and head - index < 7:
            lower, gap = w.lowers[index], w.gap(index + 1)
            if gap not in (" ", "-", "'", ". ", " & ", "' ", "'s ", ", " if company else " "):
                break
            if self.caseless:
                if not w.kinds[index] & (Kind.NAME | _PLACES) or w.kinds[index] & _SAFE:
                    break
            elif not w.is_capital(index) and not (
                lower in ("of", "and", "the", "for") and index and w.is_capital(index - 1)
            ):
                break
            if w.words[index].isupper() and len(lower) < 4 and lower != "st":
                break
            telling = telling or not (
                lower in v.DEPARTMENTS
                or lower in _FUNCTION
                or bool(w.kinds[index] & Kind.MEDICAL and not w.kinds[index] & Kind.NAME)
                or lower in v.FACILITIES
            )
            index -= 1
            if w.opening[index + 1]:
                break
        first = index + 1
        while first < head and (w.lowers[first] in _FUNCTION or w.lowers[first] in ("outside", "previous", "prior")):
            first += 1
        if telling and first < head:
            for k in range(first, head + 1):
                self.marks[k] = entity

    def _phrase_after(self, index: int, entity: str) -> None:
        w = self.words
        first = index
        while index < len(w.words) and index - first < 5:
            lower = w.lowers[index]
            if index > first and w.gap(index) not in (" ", "-", ", ", " & ", "'s ", "' "):
                return
            if lower == "and" and index + 1 < len(w.words) and w.is_capital(index + 1) and index > first:
                index += 1
                continue
            if not w.is_capital(index) or (w.words[index].isupper() and len(lower) < 5 and index > first):
                return
            if index == first and (w.kinds[index] & Kind.MEDICAL or lower in v.DEPARTMENTS or lower in _FUNCTION):
                return
            self.marks[index] = self.marks[index] or entity
            index += 1

    # ------------------------------------------------ the whole note

    def spread(self) -> None:
        """A name that context has proved counts wherever the note has it again."""
        w = self.words
        proved = self.sure | {
            w.lowers[i]
            for i, mark in enumerate(self.marks)
            if mark in ("NAME", "LOCATION")
            and len(w.lowers[i]) > 3
            and not w.kinds[i] & _SAFE
            and not w.kinds[i] & Kind.STATE
        }
        if not proved:
            return
        for index, lower in enumerate(w.lowers):
            if self.marks[index] is None and lower in proved and not self._is_eponym(index):
                found = w.kinds[index]
                if not found & _SAFE or (
                    w.is_capital(index) and not w.words[index].isupper() and (not w.opening[index] or found & Kind.NAME)
                ):
                    self.marks[index] = "NAME"

    def joined(self) -> list[tuple[str, int, int]]:
        """Marked neighbours as one span, with initials, house numbers and particles between and around them."""
        w = self.words
        spans = list(self.extra)
        index = 0
        while index < len(self.marks):
            entity = self.marks[index]
            if entity is None:
                index += 1
                continue
            last = index
            while last + 1 < len(self.marks):
                gap = w.gap(last + 1)
                if self.marks[last + 1] == entity and len(gap) < 3 and not gap.strip(" .,-'&\n"):
                    last += 1
                elif (
                    last + 2 < len(self.marks)
                    and self.marks[last + 2] == entity
                    and gap in (" ", ". ")
                    and w.gap(last + 2) in (" ", ". ", ".")
                    and (w.lowers[last + 1] in _PARTICLES or (len(w.words[last + 1]) == 1 and w.is_capital(last + 1)))
                ):
                    last += 2
                else:
                    break
            start, end = self._start_with_prefix(index, entity), w.ends[last]
            if w.words[last].lower().endswith("'s"):
                end -= 2
            spans.append((entity, start, end))
            if entity != "FACILITY" and not self._follows_title(index):
                spans += self._house_numbers(start, end)
            index = last + 1
        return spans

    def _start_with_prefix(self, index: int, entity: str) -> int:
        """New, Lake, San before a place; a single initial before a name."""
        w = self.words
        if index and w.gap(index) in (" ", ". ") and w.is_capital(index - 1) and self.marks[index - 1] is None:
            lower = w.lowers[index - 1]
            if (
                lower in _PLACE_FIRST
                and not w.kinds[index] & Kind.STATE
                and (entity != "NAME" or not w.opening[index - 1] or len(lower) < 6)
            ):
                return w.starts[index - 1]
            if len(lower) == 1 and entity == "NAME" and lower not in "i" and not w.opening[index - 1]:
                return w.starts[index - 1]
        return w.starts[index]

    def _follows_title(self, index: int) -> bool:
        return bool(index and self.words.lowers[index - 1] in v.TITLES)

    def _house_numbers(self, start: int, end: int) -> list[tuple[str, int, int]]:
        """A number beside a street or a town that no pattern knows: "Laukaantie 80", "3657 Harjukuja"."""
        text = self.words.text
        found: list[tuple[str, int, int]] = []
        if code := _CODE_AFTER.match(text, end):
            found.append(("ZIP", *code.span("v")))
        if before := _NUMBER_BEFORE.search(text, max(0, start - 10), start):
            found.append(("LOCATION", before.start(), before.end() - 1))
        if after := _NUMBER_AFTER.match(text, end):
            found.append(("LOCATION", after.start() + 1, after.end()))
        return found

    def undecided(self) -> list[tuple[int, int]]:
        """Sentences with a capital inside that no layer explains."""
        w = self.words
        found: list[tuple[int, int]] = []
        text = w.text
        for index in range(len(w.words)):
            if self.marks[index] is not None or w.opening[index] or not w.is_capital(index):
                continue
            word, kinds = w.words[index], w.kinds[index]
            if (
                (word.isupper() and (self.shouting or len(word) < 6))
                or kinds & Kind.MEDICAL
                or kinds & Kind.STATE
                or w.lowers[index] in _FUNCTION
                or w.lowers[index] in v.FACILITIES | v.TITLES | v.DEPARTMENTS
            ):
                continue
            if found and w.starts[index] < found[-1][1]:
                continue
            found.append(_sentence(text, w.starts[index]))
        return found


_BREAK = re.compile(r"[.!?]\s|\n")
_LONGEST_SENTENCE = 600


def _sentence(text: str, at: int) -> tuple[int, int]:
    low = max(0, at - _LONGEST_SENTENCE // 2)
    start = low
    for match in _BREAK.finditer(text, low, at):
        start = match.end()
    end = _BREAK.search(text, at, at + _LONGEST_SENTENCE // 2)
    return start, end.start() + 1 if end else min(len(text), at + _LONGEST_SENTENCE // 2)
