"""Presidio recognisers of what can be told by its form or its label: dates, numbers, addresses on the net, ages.

Identifiers: 45 CFR 164.514(b)(2)(i). Labels and forms as in Philter (Norgeot et al. 2020,
doi:10.1038/s41746-020-0258-y) and the i2b2 2014 annotation guideline (doi:10.1016/j.jbi.2015.07.020).
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from presidio_analyzer import EntityRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from lsdata.deid import text_dates, vocabulary, words
from lsdata.deid.words import Role, Words, match_before, matches_at

CERTAIN, LIKELY = 1.0, 0.6


class Recognizer(EntityRecognizer):
    """A recogniser that needs nothing but the text; `spans` yields (entity, start, end)."""

    entities: Sequence[str] = ()
    score = CERTAIN

    def __init__(self) -> None:
        super().__init__(list(self.entities))

    def load(self) -> None:
        """There is nothing to load."""

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Entity, start and end of everything found; spans may overlap."""
        raise NotImplementedError

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """What is found of the given entities (all, if the list is empty)."""
        return [
            RecognizerResult(entity, start, end, self.score)
            for entity, start, end in self.spans(text)
            if not entities or entity in entities
        ]


class DateRecognizer(Recognizer):
    """Dates in all forms; see `lsdata.deid.text_dates`."""

    entities = ("DATE",)

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Every date but a bare year."""
        for found in text_dates.find(text):
            yield "DATE", found.start, found.end


class _Rule(NamedTuple):
    entity: str
    pattern: re.Pattern[str]
    needs: tuple[str, ...] = ()
    """Lower-case strings, or `words`, of which one must occur; spares the search of most texts."""
    words: frozenset[str] = frozenset()
    numeric: bool = False
    """Whether it can only begin where a number begins."""
    code: bool = False
    """Whether it can only begin where a string of letters and digits begins that has a digit."""
    guard: re.Pattern[str] | None = None
    """A quicker pattern that must occur as well."""


def _rule(
    entity: str,
    pattern: str,
    *needs: str,
    words: str = "",
    flags: re.RegexFlag = re.IGNORECASE,
    numeric: bool = False,
    code: bool = False,
    guard: str | None = None,
) -> _Rule:
    quick = re.compile(guard) if guard else None
    return _Rule(entity, re.compile(pattern, flags), needs, frozenset(words.split()), numeric, code, quick)


_AGE = r"(?:9\d|1[0-3]\d)"
_AGE_WORDS = (
    r"(?:ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?|(?:one|a) hundred(?:[- ](?:and[- ])?\w+)?)"
)
_PERSON = (
    r"(?:he|she|patient|pt|who|mother|father|mom|dad|grand(?:mother|father|ma|pa|parents?)|aunt|uncle|wife|husband|"
    r"brother|sister|parents?|sibling|spouse|(?:fe)?male|woman|man|gentleman|lady|widow(?:er)?|veteran|resident)"
)
_UNIT = (
    r"(?!\s?(?:%|/|\.\d|kg|lbs?|pounds|cm|mm|mg|mcg|mmhg|beats|bpm|percent|degrees|days|weeks|months|hours|minutes|"
    r"feet|on room|ml|cc|units))"
)
_NOT_IN_WORD = r"(?<![A-Za-z0-9])"

_LONGEST_CODE = 17
_LONG_CODE = re.compile(r"[A-Z0-9]{9,17}(?![A-Za-z0-9])")
_AGE_NUMBER = re.compile(rf"(?<![\w./-]){_AGE}(?![\d.]\d|\d)")
_AGES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?P<v>{_AGE})[- ]?(?:years?|yrs?|y/?\.?o\.?|yo[mf]?)\b",
        r"\b(?:aged?|age of|age is|age was|age:|ages|turned|turning|turns|lived to(?: be)?|"
        rf"birthday)[ :(]{{0,3}}(?P<v>{_AGE})\b{_UNIT}",
        rf"\b(?:died|passed away|deceased|expired|living|alive|alive and well)[ ,(]{{1,2}}(?:(?:at|in)(?: age|"
        rf" her| his)? )?(?P<v>{_AGE})\b{_UNIT}",
        rf"\b{_PERSON},? (?:is |was |now |just |currently |who is |"
        rf"who was ){{1,3}}(?:age )?(?P<v>{_AGE})\b{_UNIT}(?! (?:and|to|over|systolic))",
        rf"\b{_PERSON},? (?:\()?(?P<v>{_AGE})(?=[,)])",
        rf"\b(?:mr|mrs|ms|miss|mx|dr)\.? (?:[^\W\d_][\w.'-]*,? ){{1,4}}(?:\()?(?P<v>{_AGE})(?=[,);])",
        rf"\b(?P<v>{_AGE})[ -]?(?:[MF]\b|male\b|female\b|(?:\w+[ -]){{0,2}}(?:woman|man|gentleman|lady|male|female)\b)",
    )
)

# Of a rule's groups the one named "v" is the identifier, or the whole match.
_RULES = (
    _rule("EMAIL", r"(?<![\w.+'-])[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,5}", "@"),
    _rule(
        "EMAIL",
        r"\b[\w.+-]{1,64} ?[\[({] ?at ?[\])}] ?[\w-]{1,63}(?: ?(?:\.|[\[({] ?dot ?[\])}]) ?[\w-]{2,63}){1,3}",
        "[at]",
        "(at)",
        "{at}",
        "[ at",
        "( at",
    ),
    _rule("EMAIL", r"\b[\w.+-]{1,64} at [\w-]{1,63} dot (?:com|org|net|edu|gov)\b", " dot "),
    _rule("URL", r"\b(?:https?|ftp)://[^\s<>\"']{1,2000}", "://"),
    _rule("URL", r"\bwww\.[^\s<>\"']{1,2000}", "www."),
    _rule(
        "URL",
        r"(?<![\w@.-])(?:[a-z0-9-]{1,63}\.){1,4}(?:com|org|net|edu|gov|io|info|biz|health|me|app|dev|"
        r"co\.uk)\b(?:/[^\s<>\"']{0,2000})?",
        ".com",
        ".org",
        ".net",
        ".edu",
        ".gov",
        ".io",
        ".info",
        ".biz",
        ".health",
        ".me",
        ".app",
        ".dev",
        ".co",
    ),
    _rule("IP", r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?![\d]|\.\d)", numeric=True),
    _rule(
        "IP",
        r"(?<![\w:])(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4}){1,6}(?![\w:])|"
        r"(?<![\w:])(?:[0-9a-f]{1,4}:){1,6}:[0-9a-f]{0,4}(?![\w:])",
        guard=r":[0-9a-fA-F]{0,4}:",
    ),
    _rule(
        "DEVICE",
        r"(?<![\w:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![\w:-])",
        guard=r"[:-][0-9a-fA-F]{2}[:-][0-9a-fA-F]{2}[:-]",
    ),
    _rule("SSN", r"(?<![\w-])\d{3}[-. ]\d{2}[-. ]\d{4}(?![\w-])", numeric=True),
    _rule("SSN", r"(?<![\w-])[x*#]{3}[- ]?[x*#]{2}[- ]?(?P<v>\d{4})(?!\d)", "xxx", "***", "###"),
    _rule(
        "SSN",
        r"\b(?:ssn?|social security)\b[^\n\d]{0,30}(?P<v>\d[\d .-]{2,12}\d)(?!\d)",
        words="ss ssn social",
    ),
    _rule("AGE90", rf"\b(?P<v>{_AGE_WORDS})(?:[- ]years?[- ]old|[- ]years? of age)", "hundred", "ninety"),
    _rule(
        "AGE90",
        r"\b(?:aged?|at|turned|is|to be) (?P<v>ninety[- ](?:one|two|three|four|five|six|seven|eight|nine))\b",
        "ninety",
    ),
    _rule(
        "AGE90",
        r"\b(?:(?:in|into) (?:his|her|their) (?:mid |early |late |mid-)?(?P<v>(?:90|nineties|100)'?s?)|(?:nona|"
        r"cente)narian)\b",
        "90",
        "nineties",
        "100",
        "narian",
    ),
    _rule("ZIP", r"\bzip(?:[ -]?code)?\b[^\n\w]{0,4}(?:is |are )?(?P<v>[A-Z]?\d[\dA-Z -]{1,9})\b", words="zip zipcode"),
    _rule("ZIP", r"(?<![\w-])\d{5}-\d{4}(?![\w-])", numeric=True),
    _rule(
        "BIOMETRIC",
        r"\b(?:fingerprints?|voice ?prints?|retina(?:l)?|iris|palm ?print|facial|face|biometric|hand geometry)"
        r"(?: (?:scan|template|recognition|identifier|hash|code|print|record|file|image))*(?: (?:id|no\.?|number|#))?"
        r"[ :#=]{1,3}(?:is )?(?P<v>(?=[\w-]*\d)[A-Z0-9][\w-]{3,})",
        "print",
        "retina",
        "iris",
        "facial",
        "face",
        "biometric",
        "hand geo",
    ),
    _rule(
        "VEHICLE",
        r"(?<![A-Za-z0-9])(?=[A-Z0-9]{0,16}\d)(?=[A-Z0-9]{0,16}[A-Z])[A-HJ-NPR-Z0-9]{17}(?![A-Za-z0-9])",
        flags=re.NOFLAG,
        code=True,
    ),
    _rule(
        "VEHICLE",
        r"\b(?:license plates?|number plate|plates?|tags?|registration|reg)(?: (?:no\.?|number|num|#|is|was|"
        r"reads?|of|on file))*"
        r"[ :#(]{1,3}(?:(?P<w>[A-Z]{2}) )?(?P<v>(?-i:(?=[A-Z0-9 -]{0,8}\d)[A-Z0-9]{1,7}(?:[ "
        r"-][A-Z0-9]{1,5}){0,2}))(?![A-Za-z0-9])",
        words="plate plates tag tags registration reg",
    ),
    _rule("LICENSE", r"(?<![A-Za-z0-9])[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}(?![A-Za-z0-9])", flags=re.NOFLAG, code=True),
    _rule("DEVICE", r"\(01\)\d{14}(?:\(\d{2}\)[\w/-]+)+", "(01)"),
    _rule(
        "USERNAME",
        r"\b(?:user ?names?|user ?ids?|log-?in(?: names?| ids?)?|logged (?:in|on) (?:as|by)|screen ?name|network id|"
        r"portal (?:id|account)|account name|userid)"
        r"(?:(?: (?:is|as|was|for \w+ is))[ :=#]{1,3}| ?[:=#] ?|"
        r" (?=[\w.-]*[\d_.@]\w))(?P<v>@?[A-Za-z][\w.-]{2,}[\w])",
        words="""user users username usernames userid userids log login logins logged screen screenname network portal
        account""",
    ),
    _rule("USERNAME", r"\bby:? (?P<v>(?-i:[a-z][a-z._]{1,30}\d{1,4}))\b", words="by", guard=r"[a-z._]\d"),
    _rule(
        "USERNAME",
        r"\b(?:handle|sign-?on|skype|twitter|instagram|facebook|user|by)(?: (?:is|"
        r"as))?[ ]?[:=][ ]?(?P<v>@?[A-Za-z][\w.-]{2,}[\w])",
        "by:",
        "by =",
        "by=",
        "by :",
        "sign-on",
        words="handle signon skype twitter instagram facebook user",
    ),
    _rule(
        "USERNAME",
        r"(?:\buser |[([]user:? ?|(?<![\w@.])@)(?P<v>(?-i:[a-z](?=[a-z_.-]*[\d_.]|[a-z]{4,})[a-z0-9_.-]{2,}[a-z0-9]))",
        "@",
        words="user",
    ),
)


class PatternsRecognizer(Recognizer):
    """E-mail, URLs, IP and hardware addresses, SSN, ages over 89, ZIP codes, plates and VINs, licences, user names."""

    entities = tuple(dict.fromkeys(rule.entity for rule in _RULES))

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """What the form alone tells."""
        cut = words.read(text)
        numbers = cut.numbers
        codes = dict.fromkeys(_code_start(text, number) for number in numbers)
        codes = [start for start in codes if _LONG_CODE.match(text, start)]
        for rule in _RULES:
            if (rule.guard and not rule.guard.search(text)) or (
                (rule.needs or rule.words)
                and not cut.has(rule.words)
                and not any(need in cut.lower for need in rule.needs)
            ):
                continue
            starts = cut.joined if rule.numeric else codes
            pattern = rule.pattern
            group = "v" if "v" in pattern.groupindex else 0
            for match in matches_at(pattern, text, starts) if rule.numeric or rule.code else pattern.finditer(text):
                yield rule.entity, *match.span(group)
        for number in matches_at(_AGE_NUMBER, text, [at for at in numbers if text[at] in "19"]):
            low = max(0, number.start() - 50)
            window = text[low : number.end() + 40]
            for pattern in _AGES:
                if any(match.start("v") + low == number.start() for match in pattern.finditer(window)):
                    yield "AGE90", *number.span()


def _code_start(text: str, number: int) -> int:
    """Where the letters and digits begin that a number is in; no further back than any code is long."""
    first = max(0, number - _LONGEST_CODE)
    while number > first and text[number - 1].isalnum():
        number -= 1
    return number


# North American numbers, with or without country code and extension; (0) of an international number.
_EXTENSION = r"(?:\s?(?:,|x|ext\.?|extension|#)\s?\d{1,6}\b)?"
_PHONE = re.compile(
    rf"(?<![\w./-])(?:\+?1[ .-]?)?(?:\(\d{{3}}\) ?|\d{{3}} ?[.\-/ ] ?)[2-9\d]\d\d ?[.\- ] ?\d{{4}}(?![\d/]|-\d|"
    rf"\.\d){_EXTENSION}"
    rf"|(?<![\w.])\+\d{{1,3}}[ .-]?(?:\(\d{{1,4}}\)[ .-]?)?\d(?:[ .\-/]?\d){{5,12}}(?!\d){_EXTENSION}"
    rf"|(?<![\w./-])00[1-9]\d{{0,2}}[ .-]\d(?:[ .\-/]?\d){{5,12}}(?!\d){_EXTENSION}",
    re.IGNORECASE,
)
_PHONE_LABEL = re.compile(
    r"\b(?:tele?phones?|phones?|tel|cell(?:ular)?(?: phone)?|mobile|pager|beeper|call(?:ed|ing)?(?: (?:him|her|me|"
    r"us|back|them))?|contact(?:ed)?|reach(?:ed|able)?"
    r"(?: (?:him|her|me|us|them))?|dial|ring|landline|home|work|office|desk|hotline|voicemail|text|sms|whatsapp|"
    r"messages?|registered|answering|fax(?:ed)?|facsimile|number|nr|ph|hm|wk|cp|p|t|f|h|c|w|o|m)\b"
    r"(?: (?:no|num|number|line|results?|is|at|to|on|or|it|records?|my|us|me|"
    r"with))*\.?[ \t:#)(\n-]{0,6}$",
    re.IGNORECASE,
)
_LABELLED_PHONE = re.compile(
    rf"(?<!\w)[+(]?\d(?:[ .\-/()]{{0,2}}\d){{6,14}}(?![\w])(?!\.\d|/\d|%){_EXTENSION}", re.IGNORECASE
)
# The fewest digits of any of them.
_SIX_DIGITS = re.compile(r"\d(?:[ .\-/()]{0,3}\d){5}")
_EXTENSIONS = frozenset(("ext", "extension", "pager", "beeper", "x"))
_PHONE_BEFORE = re.compile(
    rf"(?<![\w./-])(?P<v>\(?\d(?:[ .\-/()]{{0,2}}\d){{5,14}}{_EXTENSION})(?=[ -]{{1,3}}\(?(?:office|mobile|fax|"
    r"cell|home|work|desk|phone|tel)\b)",
    re.IGNORECASE,
)
_LOCAL = re.compile(
    rf"(?<![\w./-])(?<!\d )[2-9]\d\d-\d{{4}}(?![\w/-]|\.\d| ?(?:mg|ml|mcg|units?|iu|cc|cal|steps)){_EXTENSION}",
    re.IGNORECASE,
)
_EXTENSION_ALONE = re.compile(
    r"\b(?:ext|extension|pager|beeper|x)[.:#]? ?(?:no\.? |number |# ?)?(?P<v>\d{3,6})\b", re.IGNORECASE
)
_FAX = re.compile(r"\bfax|facsimile|\bf[:)]", re.IGNORECASE)


class PhoneRecognizer(Recognizer):
    """Telephone and fax numbers: North American ones by form, others by form or label."""

    entities = ("PHONE", "FAX")

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """A number is FAX if the words just before, or just after it, say so."""
        for start, end in self._numbers(words.read(text)):
            line = text[max(0, start - 25) : start].rsplit("\n", 1)[-1]
            fax = _FAX.search(line) or _FAX.match(text[end : end + 8].strip(" -("))
            yield "FAX" if fax else "PHONE", start, end

    def _numbers(self, cut: Words) -> Iterator[tuple[int, int]]:
        text = cut.text
        starts = [
            at
            for number in cut.numbers
            if _SIX_DIGITS.match(text, number)
            for at in ((number - 1, number) if text[number - 1 : number] in ("+", "(") else (number,))
        ]
        for pattern in (_PHONE, _LOCAL, _PHONE_BEFORE):
            for match in matches_at(pattern, text, starts):
                yield match.span("v" if "v" in pattern.groupindex else 0)
        for match in matches_at(_LABELLED_PHONE, text, starts):
            if _PHONE_LABEL.search(text, max(0, match.start() - 60), match.start()):
                yield match.span()
        if cut.has(_EXTENSIONS):
            for match in _EXTENSION_ALONE.finditer(text):
                yield match.span("v")


# The words that say what a number is, each with the entity; the nearest before the number counts.
_NUMBER = r"(?:numbers?|nos?\.?|nums?\.?|\#|id|i\.d\.|identifier|identification|code|ref(?:erence)?)"
_LABELS: tuple[tuple[str, str], ...] = (
    (
        "MRN",
        rf"mrn?|m\.r\.n\.?|med(?:ical)?\.? ?rec(?:ord)?s?(?: {_NUMBER})?|chart(?: {_NUMBER})|(?:patient|pt|"
        rf"hospital|unit|clinic|record|file|chart|hosp|epi)\s?{_NUMBER}|"
        rf"(?:unit|hospital|record|chart|history) ?(?:no|\#)|emrn?|ehr|hrn|uhn|umrn|empi|csn|fin",
    ),
    (
        "HEALTH_PLAN",
        r"(?:health ?plan|insurance|ins|member(?:ship)?|subscriber|beneficiary|policy(?:holder)?|group|medicare|"
        r"medicaid|mbi|hicn?|plan|payer|coverage|"
        r"benefits?|bcbs|blue cross(?: blue shield)?|aetna|cigna|humana|tricare|kaiser|enrollee|hmo|"
        r"ppo|certificate holder)(?: (?:member|policy|plan|health|group|card|card holder|"
        rf"beneficiary|claim|subscriber|insurance))*(?: {_NUMBER})?",
    ),
    (
        "ACCOUNT",
        rf"acc(?:oun)?t\.?(?: {_NUMBER})?|billing(?: {_NUMBER})?|guarantor(?: {_NUMBER})?|invoice(?: {_NUMBER})?|"
        rf"bank|iban|routing|claim(?: {_NUMBER})?|"
        rf"(?:credit |debit )?card(?: {_NUMBER})?|visa|mastercard|payment|transaction|statement|har|"
        rf"financial(?: class)?(?: {_NUMBER})",
    ),
    (
        "LICENSE",
        r"(?:driver'?s?'?|driving|dl|state|medical|nursing|professional|pharmacy|cdl)?\s?(?:licen[sc]es?|"
        rf"lic)(?: {_NUMBER})?|npi|dea|certificates?(?: {_NUMBER})?|cert|"
        rf"passport(?: {_NUMBER})?|registration(?: {_NUMBER})?|upin|permit(?: {_NUMBER})?|dl",
    ),
    ("VEHICLE", rf"vin|vehicle(?: {_NUMBER})?|plates?(?: {_NUMBER})?|tags?(?: {_NUMBER})?"),
    (
        "DEVICE",
        rf"serial(?: {_NUMBER})?|s/n|sn|lot(?: {_NUMBER})?|device(?: {_NUMBER})?|implant(?: {_NUMBER})?|"
        rf"pacemaker(?: {_NUMBER})?|model(?: {_NUMBER})?|udi|imei|"
        rf"ref(?: {_NUMBER})?|icd|generator(?: {_NUMBER})?|lead(?: {_NUMBER})|pump(?: {_NUMBER})?|"
        rf"prosthesis(?: {_NUMBER})?|batch(?: {_NUMBER})?|asset(?: {_NUMBER})?",
    ),
    (
        "BIOMETRIC",
        rf"finger ?prints?(?: {_NUMBER})?|voice ?prints?(?: {_NUMBER})?|biometrics?(?: {_NUMBER})?|"
        rf"iris(?: {_NUMBER})?|retina(?:l)?(?: {_NUMBER})?",
    ),
    ("SSN", r"ssn?|social security|tax(?:payer)?(?: id)?|tin|itin|ein"),
    ("ZIP", r"zip(?: ?code)?|postal ?code|post ?code"),
    (
        "OTHER_ID",
        r"case|docu?(?:ment)?|accession|acc|specimen|sample|order|encounter|enc|visit|study|subject|participant|"
        r"protocol|trial|confirmation|ref(?:erence)?|"
        r"referral|authori[sz]ation|auth|prior auth|requisition|req|job|dictation|transcription|"
        r"transcript|report|ticket|incident|docket|badge|employee|staff|student|prescription|"
        r"rx|barcode|tracking|image|exam|pathology|path|slide|block|cytology|surgical|(?:lab|test|"
        r"donor|kit|tissue|blood|bag|sequencing|run|request|message|mail|enrollment|"
        r"registry|donation|consent|contract|inmate|prisoner|military|service|veteran|va|birth|death|"
        r"pin|password|passcode|access)",
    ),
)
_MARKS = rf"{_NUMBER}|is|was|:|=|-|;|\(|with|of|on file|ending(?: in)?|card|type|plate"
_LABEL = re.compile(
    r"\b(?:" + "|".join(f"(?P<{entity}>{words})" for entity, words in _LABELS) + r")(?![A-Za-z])"
    rf"(?P<mark>(?:[ \t]*(?:{_MARKS})(?![A-Za-z]))*)[ \t.,:#(=]*$",
    re.IGNORECASE,
)
_MARK = re.compile(_MARKS, re.IGNORECASE)
_NUMBER_AT_END = re.compile(rf"\b{_NUMBER}$", re.IGNORECASE)
# The last words of labels of several words.
_LABEL_ENDS = frozenset(
    vocabulary.words("""
    security rec recs record records cross shield holder class file in print prints n d i chart patient pt hospital unit
    clinic hosp epi history lead
    """)
)
# Labels that are ordinary words: a number follows them in ordinary sentences as well.
_PLAIN_LABELS = re.compile(
    r"(?:group|plan|case|order|visit|study|subject|report|exam|block|unit|image|run|test|blood|bag|service|lead|"
    r"model|tag|tags|lot|sample|slide|job|"
    r"document|surgical|path|block|lab|kit|state|card|bank|statement|va|ref|permit|fin|lic|tissue|birth|death|"
    r"access|ins|icd|history|record|file|pump|"
    r"protocol|trial|enc|acc|acct|implant|pacemaker|generator|coverage|benefits?|payment|request|message|mail|"
    r"image|auth|dl|rx|enrollment|req|encounter|prescription|hospital|staff|student|military|doc|transcript|"
    r"specimen|iris|retinal?|ehr|ein|tin)",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_CODE_START = re.compile(r"(?<![A-Za-z])[A-Za-z]{0,6}[-#]?$")
# Something with a digit: no unit, no decimal, not part of a longer number.
_VALUE = re.compile(r"(?<![A-Za-z0-9.])[A-Za-z]{0,6}[-#]?\d[A-Za-z0-9]*(?:[-/.][A-Za-z0-9]+){0,6}")
_CARD = re.compile(r"(?<![\w.-])(?:\d{4}[ -]){3}\d{1,7}(?![\w-])|(?<![\w.-])\d{4}[ -]\d{6}[ -]\d{5}(?![\w-])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_NOT_ID = re.compile(
    r"(?:19|20)\d\d[-/](?:19|20)?\d\w*|\d+(?:st|nd|rd|th|s|x|mg|mcg|ml|cc|cm|mm|g|kg|lb|lbs|yo|yr|hr|hrs|min|fr|"
    r"gauge|french|units?|iu|meq|mmol|l|dl|am|pm|pt)|[a-z]?\d{1,2}[a-z]?(?:-[a-z]?\d{1,2})?|"
    r"(?:covid|sars|ca|hb|il|cd|ck|t|l|c|s|p|h|b|g|r|m|n|q|x|v|f|st|dm|nph|vit|vp|gi|hba|hla|ns|d|k|w|cn|mets|"
    r"hpv|ercc|brca|apoe|her|egfr)-?\d{1,4}[a-z]?",
    re.IGNORECASE,
)


class NumberRecognizer(Recognizer):
    """Numbers and codes that identify: by the label before them, or by their length alone."""

    entities = (*(entity for entity, _ in _LABELS), "PHONE")

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """A code needs three characters after a label of its own, more after a word that is also ordinary."""
        cut = words.read(text)
        for match in matches_at(_CARD, text, cut.joined):
            yield "ACCOUNT", *match.span()
        for match in matches_at(_IBAN, text, [at - 2 for at in cut.numbers if text[max(0, at - 2) : at].isupper()]):
            yield "ACCOUNT", *match.span()
        end = 0
        for start in cut.numbers:
            if start >= end and (match := _value(text, start)):
                end = match.end()
                if entity := _identifier(cut, match):
                    yield entity, *match.span()


def _value(text: str, number: int) -> re.Match[str] | None:
    """The code with letters and digits whose first digit is here."""
    if number and (text[number - 1].isalpha() or text[number - 1] in "-#"):
        before = _CODE_START.search(text, max(0, number - 9), number)
        for start in (before.start(), before.end()) if before else ():
            if match := _VALUE.match(text, start):
                return match
    return _VALUE.match(text, number)


def _identifier(cut: Words, match: re.Match[str]) -> str | None:
    text, value, start = cut.text, match.group(), match.start()
    digits = sum(map(str.isdigit, value))
    if len(value) < 3 or (digits < 3 and len(value) < 6):
        return None
    longest = max(map(len, _DIGITS.findall(value)))
    is_id = not _NOT_ID.fullmatch(value)
    if is_id and (index := _label_end(cut, start)) is not None:
        label = match_before(_LABEL, cut, index + 1, start)
        if label and "\n" not in label.group():
            label_words = label.group(entity := _of(label)).strip()
            marked = bool(label["mark"].strip()) or "#" in label.group() or ":" in text[label.end("mark") : start]
            marked = marked or bool(_NUMBER_AT_END.search(label_words))
            plain = _PLAIN_LABELS.fullmatch(label_words)
            is_code = digits >= 4 or (digits >= 2 and len(value) >= 5)
            if (marked and (not plain or is_code)) or (not plain and digits >= 3) or (plain and digits >= 5):
                return entity
    if longest >= 7:
        return "ACCOUNT" if longest >= 12 else "OTHER_ID"
    letters = any(map(str.isalpha, value))
    if not is_id:
        return None
    if letters and digits >= 5:
        return "OTHER_ID"
    if digits >= 7 and value.count("-") + value.count("/") >= 1 and "." not in value:
        return "OTHER_ID"
    return None


def _label_end(cut: Words, start: int) -> int | None:
    """The index of the word before an offset, if it can end a label; spares the search of most numbers."""
    index = bisect_left(cut.starts, start) - 1
    if index < 0 or cut.text[cut.ends[index] : start].strip(" \t:=-;(#.,"):
        return None
    return index if _ends_label(cut.lowers[index]) else None


@lru_cache(maxsize=1 << 14)
def _ends_label(word: str) -> bool:
    return word in _LABEL_ENDS or bool(_LABEL.search(word) or _MARK.fullmatch(word))


def _of(label: re.Match[str]) -> str:
    return next(entity for entity, _ in _LABELS if label[entity])


_CREDENTIAL = frozenset(
    vocabulary.words("""
    MD DO RN NP PA PT OT SLP LPN CNA MA DDS DMD DPM OD PHD MPH FACS FACP CRNA MSW RT RD EMT MS BS ST CC DD DT TD JR
    SR II III IV US IV PM AM ED ER OR ICU ENT ID DOB MRN SSN PCP HPI PMH ROS CT MRI XR EKG ECG NO NA OK TV IT IS IN
    ON AT BY TO OF AND THE FOR NOT ALL
    """)
)
# Two to four capitals, and the words before them that make them initials.
_CAPITALS = re.compile(r"(?<![A-Za-z0-9.])[A-Z]\.? ?[A-Z]\.?(?: ?[A-Z]\.?){0,2}(?![A-Za-z0-9])")
_SIGNED = re.compile(
    r"\b(?:(?:electronically |e-?|co-?)?signed(?: off)?|dictated|transcribed|typed|entered|reviewed|verified|scribed?|"
    r"witnessed|authenticated|approved|prepared|documented|recorded|performed|read|initials?|initial(?:l)?ed|"
    r"attending|resident|provider|author|clinician|nurse|physician|interpreted|checked|administered|attest(?:ed)?|"
    r"rn|md|np|staff|counselor|therapist|tech|technologist|examiner|(?:d|t|dd|dt|s|/s)(?=[:/]))"
    r"(?: (?:by|initials?|electronically|and verified))*"
    r"(?:[ \t]?[:/-][ \t]*|(?:(?<=by)|(?<=nitials)|(?<=igned))[ \t]+)[([]?$",
    re.IGNORECASE,
)
_SIGNS = (":", "/", "-", *(end for word in ("by", "nitials", "igned") for end in (word, word.upper(), word.title())))
_NO_DOTS = str.maketrans("", "", ". ")
# Of one of these _DOTTED and _MARKED need one.
_DEGREES = ("MD", "RN", "NP", "PA", "DO", "LPN", "M.D", "R.N", "N.P", "P.A", "D.O")
_NO_SIGNATURE = frozenset(("MD", "DO", "RN", "NP", "PA", "THE", "AND", "DR", "MR", "MS"))
# JRM/ab or JRM:ab, a dictator and a typist; alone at the end of a line: "-- JRM", "(JRM)", "J.R.M., MD".
_TYPIST_ALONE = re.compile(r"(?P<v>[A-Z]{2,4}[/:][a-z]{2,3})(?![A-Za-z0-9/])")
_TYPIST = re.compile(
    r"(?<![A-Za-z0-9/:.])(?P<v>[A-Z]{2,4}[/:](?:[a-z]{2,3}|[A-Z]{2,3}))(?![A-Za-z0-9/:])(?=[ \t]*(?:\d|\n|$|[,;.)-]|"
    r"[DT]{1,2}:))"
)
_CLOSING = re.compile(
    r"(?:^|\n|[ \t])(?:--?|~|/s/|\(|/)[ \t]?(?P<v>[A-Z](?:\.? ?[A-Z]){1,3}\.?)\)?[ \t]*(?=\n|$|,? ?(?:MD|RN|NP|PA|"
    r"DO)\b)"
)
_DOTTED = re.compile(r"(?<![A-Za-z0-9.])(?P<v>(?:[A-Z]\. ?){2,4})(?=,? ?(?:M\.?D|R\.?N|N\.?P|P\.?A|D\.?O)\b)")
_MARKED = re.compile(r"(?<=[ (\[])(?P<v>[A-Z]{2,3})(?=,? (?:MD|RN|NP|PA-C|DO|LPN|M\.D\.|R\.N\.)(?![A-Za-z]))")


class InitialsRecognizer(Recognizer):
    """Initials of clinicians and typists where notes are signed."""

    entities = ("INITIALS",)
    score = LIKELY

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Two to four capitals; degrees and departments are none."""
        cut = words.read(text)
        short = [index for index, role in enumerate(cut.roles) if role & (Role.INITIAL | Role.CAPITALS)]
        if not short:
            return
        for match in matches_at(_CAPITALS, text, [cut.starts[index] for index in short]):
            start, value = match.start(), match.group().rstrip()
            if value.translate(_NO_DOTS) not in _NO_SIGNATURE and _is_signature(text, start):
                yield "INITIALS", start, start + len(value)
        for index in short:
            if text[cut.ends[index] : cut.ends[index] + 1] in ("/", ":"):
                start = cut.starts[index]
                alone = not text[text.rfind("\n", 0, start) + 1 : start].strip(" \t")
                if match := (_TYPIST_ALONE.match(text, start) if alone else None) or _TYPIST.match(text, start):
                    yield from self._unless_degree(match)
        for pattern in (_CLOSING, _DOTTED, _MARKED) if any(degree in text for degree in _DEGREES) else (_CLOSING,):
            for match in pattern.finditer(text):
                yield from self._unless_degree(match)

    def _unless_degree(self, match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
        value = match["v"].rstrip()
        letters = re.sub(r"[. ]|[/:].*", "", value)
        pair = value[-1:].islower()  # JRM/ab is nothing else
        if pair or not (letters in _CREDENTIAL or letters.lower() in vocabulary.TERMS):
            yield "INITIALS", match.start("v"), match.start("v") + len(value)


def _is_signature(text: str, start: int) -> bool:
    before = text[max(0, start - 12) : start].rstrip(" \t([")
    return before.endswith(_SIGNS) and bool(_SIGNED.search(text, max(0, start - 40), start))
