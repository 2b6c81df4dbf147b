"""Calendar dates in free text: found in every form that clinicians write, and moved by a number of days.

What counts: all elements of a date but the year (45 CFR 164.514(b)(2)(i)(C)); days of the week, holidays, and seasons
with a year as in the i2b2 2014 annotation guideline (Stubbs & Uzuner 2015, doi:10.1016/j.jbi.2015.07.020). A bare
year and the time of day stay.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from lsdata.deid import vocabulary, words
from lsdata.deid.words import Role, Words, matches_at

_ORDINALS = {
    word: number
    for number, word in enumerate(
        vocabulary.words("""
    first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
    fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third
    twenty-fourth twenty-fifth twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first
    """),
        1,
    )
}
_YEAR = r"(?:1[89]|20)\d\d"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"

# Three numbers: 3/4/2020, 2020-03-04, 04.03.20, 3 / 4 / 20. The separator is the same twice.
_NUMERIC = re.compile(
    r"(?<![\d/.\-])(?<!\d[,:])(?P<a>\d{1,4})(?P<s> ?[-/.] ?|\s)(?P<b>\d{1,2})(?P=s)(?P<c>\d{4}|\d{1,2})"
    r"(?![\d/\-]|\.\d|\s?%)"
)
_YEAR_MONTH = re.compile(
    rf"(?<![\d/.\-])(?:(?P<m>{_MONTH})(?P<s>[/\-.])(?P<y>{_YEAR})|(?P<y2>{_YEAR})[/\-](?P<m2>0[1-9]|"
    r"1[0-2]))(?![\d/\-]|\.\d)"
)
_COMPACT = re.compile(
    r"(?<!\d)(?:(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])"
    r"|(?P<m2>0[1-9]|1[0-2])(?P<d2>0[1-9]|[12]\d|3[01])(?P<y2>(?:19|20)\d\d))(?=T?\d{6}(?!\d)|T\d{4}|\D|$)"
)
_SHORT = re.compile(rf"(?<![\d/.\-:])(?P<m>{_MONTH})(?P<s>/)(?P<d>{_DAY})(?![\d/%]|\.\d)")
_SHORT_RANGE = re.compile(rf"(?<![\d/.\-:]){_MONTH}/(?P<d>{_DAY})(?: ?- ?| to ){_MONTH}/(?P<e>{_DAY})(?![\d/%]|\.\d)")
_LABEL_HYPHEN = re.compile(rf"(?<![\d/.\-:])(?P<m>{_MONTH})(?P<s>[-.])(?P<d>{_DAY})(?![\d/%\-]|\.\d)")

_DATE_LABEL = (
    r"(?:dates?|d\.?o\.?b|born|birth(?:day|date)?|admi(?:t|tted|ssion)|disch(?:arged?)?|d/c'?d?|seen|"
    r"visit(?:ed)?|dos|doa|"
    r"dictated|transcribed|signed|dated?|reported|collected|received|printed|entered|reviewed|performed|completed|"
    r"appointment|appt|surgery|due|updated|electronically|effective|expires?|exp|adm|dt|dd)"
)
# What may stand before a month and day without a year. The weak ones also stand before fractions and scores.
_STRONG = re.compile(
    rf"(?:\b(?:on|since|dated|until|till|thru|through|{_DATE_LABEL})\b[ \t:.,(]*(?:on |of )?|"
    r"\b[DT]{1,2}:[ \t]*|\b(?:MD|M\.D\.|RN|NP|PA|PA-C|DO)[,.]?\s+)$",
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"\b(?:from|by|of|to|and|after|before|between|week|around|about|for|the|last|next|in|"
    r"mon|tues?|wed|thurs?|fri|sat|sun|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b[ .,(]*$|"
    r"[-(;]\s?$|\n\s*$",
    re.IGNORECASE,
)
_LABELLED = re.compile(rf"\b{_DATE_LABEL}\b[ \t:.,(]*$", re.IGNORECASE)
_SCORE = re.compile(
    r"\s*(?:of|strength|motor|pain|power|scale|murmur|systolic|diastolic|pulses?|reflex|inch|mile|packs?|ppd|"
    r"tabs?|cups?|"
    r"cm|mm|mg|ml|in(?:ch)?\b|hours?|bilateral|muscle|in the (?:upper|lower|left|right)|throughout|on the|weakness|"
    r"upper|lower|grip|dorsi|plantar|flex|exten|quad|hip|severity|intensity|at (?:rest|worst|best)|normal|full|"
    r"ths?\b|dose)",
    re.IGNORECASE,
)
_DENOMINATORS = frozenset((2, 3, 4, 5, 6, 8, 10))

_MONTH_WORD = re.compile(
    r"(?:" + "|".join(sorted(vocabulary.MONTHS, key=len, reverse=True)) + r")(?![A-Za-z])", re.IGNORECASE
)
_ORDINAL = "|".join(sorted(_ORDINALS, key=len, reverse=True)).replace("-", "[- ]")
# A digit, or the end of first, second, third, fourth.
_DAY_BEFORE = re.compile(r"\d|(?:st|nd|rd|th)\b", re.IGNORECASE)
_BEFORE_MONTH = re.compile(
    rf"(?:(?<![\d.])(?P<y>{_YEAR})[ ,./-]{{1,2}})?"
    rf"(?:(?<![\d/.:\-])(?P<d>{_DAY})(?:\s?(?:st|nd|rd|th))?|\b(?P<o>{_ORDINAL}))?"
    r"(?P<gap>\.?[ \t\n./\-,]{0,2}(?:day )?(?:of )?(?:de )?)$",
    re.IGNORECASE,
)
_RANGE = rf"(?:\s?(?:-|to|and|&|through|or|,)\s?(?:{_DAY})(?:st|nd|rd|th)?(?![\d:/%]))"
_AFTER_MONTH = re.compile(
    rf"\.?(?:(?:[ \t]|\s?\n|[./\-]|, ){{1,2}}(?:the )?(?:(?P<d>{_DAY})(?:\s?(?:st|nd|rd|th))?(?!\d|[:%]\d|\.\d)|"
    rf"(?P<o>{_ORDINAL}))(?P<r>{_RANGE})?)?"
    rf"(?P<gap>[ \t]?[,./\-]?\s?(?:of |de )?)(?:(?P<y>{_YEAR})|'(?P<q>\d\d)|(?<=[-/ ,])(?P<z>\d\d))?(?!\d)",
    re.IGNORECASE,
)
_IN_MONTH = re.compile(
    r"\b(?:in|since|until|till|by|of|from|last|this|next|early|late|mid|during|through|around|before|after|to|"
    r"between|every|"
    r"beginning|end|middle|each)[ -]$",
    re.IGNORECASE,
)
_FULL_MONTHS = frozenset(
    vocabulary.words("""
    january february march april may june july august september october november december
    """)
)
_WEEKDAY = re.compile(
    r"\b(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?|(?:MON|TUES|WEDNES|THURS|FRI|SATUR|SUN)DAYS?"
    r"|(?<=[Oo]n )(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?<=last )(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|(?:Mon|Tue|Tues|Wed|Thu|Thur|Thurs|Fri|Sat|Sun)\b\.?(?=,? ?\d{1,2}[/ -]))"
)
_HOLIDAY = re.compile(
    r"\b(?:Christmas(?: (?:Eve|Day))?|Thanksgiving(?: Day)?|Easter(?: Sunday)?|New Year'?s(?: (?:Eve|Day))?|Hanukkah|"
    r"Ramadan|Passover|Halloween|Valentine'?s Day|(?:Memorial|Labor|Independence|Veterans|Mother's|Father's|Columbus|"
    r"Presidents'?|St\.? Patrick's) Day|(?:4th|Fourth) of July|Super Bowl Sunday|Good Friday|Ash Wednesday)\b"
)
_SEASON = re.compile(
    r"\b(?:spring|summer|fall|autumn|winter|Q[1-4]|[1-4]Q|(?:first|second|third|fourth) quarter)"
    rf"(?=(?: of)?,?[ /-]{_YEAR})",
    re.IGNORECASE,
)

_NAMED = tuple(
    (frozenset(vocabulary.words(needs)), pattern)
    for needs, pattern in (
        (
            """monday mondays tuesday tuesdays wednesday wednesdays thursday thursdays friday fridays saturday saturdays
            sunday sundays mon tue tues wed thu thur thurs fri sat sun""",
            _WEEKDAY,
        ),
        (
            """christmas thanksgiving easter year hanukkah ramadan passover halloween valentine day july super friday
            ash""",
            _HOLIDAY,
        ),
        ("spring summer fall autumn winter q quarter", _SEASON),
    )
)


@dataclass(frozen=True, slots=True)
class Found:
    """A date in a text.

    Args:
        start, end: offsets.
        year: None if the text has none; two digits are read as 1930 to 2029.
        month, day: None where the text has none, or where it names a day that no calendar has.
        spans: where year, month and day stand, as (start, end); None for those that are absent.
    """

    start: int
    end: int
    year: int | None = None
    month: int | None = None
    day: int | None = None
    spans: tuple[tuple[int, int] | None, tuple[int, int] | None, tuple[int, int] | None] = (None, None, None)


_BEGINNING = re.compile(
    r"\d{1,4}(?: ?[-/.] ?|\s)\d{1,2}(?!\d)|\d{8}|\d{1,2}[^\W\d]{2}|\d{1,4}\W{1,2}[^\W\d]{2}|(?P<word>[a-zA-Z]{3,})"
)
_FIRST_WORDS = frozenset(vocabulary.MONTHS) | {ordinal.split("-")[0] for ordinal in _ORDINALS}


def find(text: str) -> Iterator[Found]:
    """Every date of a folded text; they may overlap."""
    cut = words.read(text)
    yield from _numeric(text, cut.joined)
    yield from _worded(cut)
    for needs, pattern in _NAMED:
        if cut.has(needs):
            for match in pattern.finditer(text):
                yield Found(match.start(), match.end())


def shift(text: str, days: int, year: int | None = None) -> str | None:
    """One date as it was written, moved by a number of days; None if it names no day or month of a calendar.

    A date of month and year moves as its 15th day does; one without a year as in the year given, else in 2001.

    >>> shift("March 4th, 2020", 30), shift("28-Feb-19", 1), shift("2019-02-28T10:30", 1)
    ('April 3rd, 2020', '01-Mar-19', '2019-03-01T10:30')
    """
    for found in (*find(text), *_bare(text)):
        moved = _moved(found, days, year)
        if found.start == 0 and found.month and moved is not None:
            values = (moved.year, moved.month, moved.day)
            pieces = sorted(
                (span, _written(text[slice(*span)], part, value))
                for part, (span, value) in enumerate(zip(found.spans, values, strict=True))
                if span is not None
            )
            made, done = "", 0
            for (start, end), written in pieces:
                made += text[done:start] + written
                done = end
            return _with_ordinal(made + text[done : found.end], moved.day) + text[found.end :]
    return None


def parse(text: str) -> date | None:
    """The day that a text names in full, or None."""
    text = text.strip()
    begin = _BEGINNING.match(text)
    if begin is None or (begin["word"] and begin["word"].lower() not in _FIRST_WORDS):
        return None
    for found in find(text):
        if found.start == 0 and found.year and found.month and found.day:
            return date(found.year, found.month, found.day)
    return None


def _moved(found: Found, days: int, year: int | None) -> date | None:
    try:
        return date(found.year or year or 2001, found.month or 1, found.day or 15) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None


def _written(old: str, part: int, value: int) -> str:
    """A value in the style of the old one: as many digits, as long a month, the same case."""
    if part == 1 and not old.isdigit():
        same_length = [w for w, n in vocabulary.MONTHS.items() if n == value and w in _FULL_MONTHS]
        new = same_length[0] if old.lower() in _FULL_MONTHS and len(old) > 3 else same_length[0][:3]
        return new.upper() if old.isupper() else new.capitalize() if old[0].isupper() else new
    if not old.isdigit():
        new = next(w for w, n in _ORDINALS.items() if n == value)
        return new.capitalize() if old[0].isupper() else new
    return f"{value % 10 ** len(old):0{len(old)}d}" if part == 0 or len(old) == 2 else str(value)


def _with_ordinal(text: str, day: int) -> str:
    suffix = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return re.sub(rf"\b({day:02d}|{day})\s?(?:st|nd|rd|th)\b", rf"\g<1>{suffix}", text, count=1)


def _numeric(text: str, starts: list[int]) -> Iterator[Found]:
    for match in matches_at(_NUMERIC, text, starts):
        if (found := _three(match)) is not None:
            yield found
    for match in matches_at(_YEAR_MONTH, text, starts):
        year, month = ("y", "m") if match["y"] else ("y2", "m2")
        spans = (match.span(year), match.span(month), None)
        yield Found(match.start(), match.end(), int(match[year]), int(match[month]), None, spans)
    for match in matches_at(_COMPACT, text, starts):
        names = ("y", "m", "d") if match["y"] else ("y2", "m2", "d2")
        yield _made(match, names)
    for match in matches_at(_SHORT, text, starts):
        if _is_short_date(text, match):
            yield _made(match, ("", "m", "d"))
    for match in matches_at(_SHORT_RANGE, text, starts):
        if match["d"] != match["e"] and not _SCORE.match(text, match.end()):
            yield Found(match.start(), match.end())
    for match in matches_at(_LABEL_HYPHEN, text, starts):
        if _LABELLED.search(text, max(0, match.start() - 30), match.start()):
            yield _made(match, ("", "m", "d"))


def _bare(text: str) -> Iterator[Found]:
    """A whole text that is month and day only."""
    for pattern in (_SHORT, _LABEL_HYPHEN):
        if match := pattern.fullmatch(text):
            yield _made(match, ("", "m", "d"))


def _is_short_date(text: str, match: re.Match[str]) -> bool:
    if _SCORE.match(text, match.end()):
        return False
    before = max(0, match.start() - 30)
    if _STRONG.search(text, before, match.start()):
        return True
    month, day = int(match["m"]), int(match["d"])
    fraction = day in _DENOMINATORS or (day == 12 and month < 12)
    if match["m"][0] == "0" or (match["d"][0] == "0" and len(match["d"]) == 2):
        return True
    return not fraction and (day > 12 or bool(_WEAK.search(text, before, match.start())))


def _three(match: re.Match[str]) -> Found | None:
    """Day, month and year from three numbers; the American order unless the first can only be a day or a year."""
    a, b, c = match["a"], match["b"], match["c"]
    separator = match["s"].strip()
    if len(a) > 2:
        if len(a) == 3 or len(c) > 2 or not re.fullmatch(_YEAR, a):
            return None
        order = "abc"
    elif len(c) == 1 or (len(c) == 4 and not re.fullmatch(_YEAR, c)):
        return None
    elif int(a) > 12 or (separator == "." and int(b) <= 12):
        order = "cba"
    else:
        order = "cab"
    values = [int(match[name]) for name in order]
    real = 1 <= values[1] <= 12 and 1 <= values[2] <= 31
    if len(a) <= 2 and len(c) == 2 and not real and len(b) == 2 and int(a) > 31 and int(b) <= 12 and 1 <= int(c) <= 31:
        order, real = "abc", True  # 20-03-04 style with a year above 31
        values = [int(match[name]) for name in order]
    four_digits = len(a) == 4 or len(c) == 4
    # Blanks between numbers, or a day that no calendar has: only what cannot be a list of numbers.
    if (not separator and not (four_digits and real and len(b) == 2)) or (not real and not four_digits):
        return None
    return _made(match, tuple(order))


def _made(match: re.Match[str], names: tuple[str, ...]) -> Found:
    """From the groups that hold year ("" for none), month and day."""
    year = _full_year(match[names[0]]) if names[0] else None
    month, day = int(match[names[1]]), int(match[names[2]])
    spans = (match.span(names[0]) if names[0] else None, match.span(names[1]), match.span(names[2]))
    try:
        date(year or 2000, month, day)
    except ValueError:
        return Found(match.start(), match.end())
    return Found(match.start(), match.end(), year, month, day, spans)


def _full_year(digits: str) -> int:
    year = int(digits)
    return year if len(digits) == 4 else year + (2000 if year < 30 else 1900)


def _worded(cut: Words) -> Iterator[Found]:
    text = cut.text
    for index, role in enumerate(cut.roles):
        match = _MONTH_WORD.match(text, cut.starts[index]) if role & Role.MONTH else None
        if match is None:
            continue
        word = match.group()
        number = vocabulary.MONTHS[word.lower()]
        start, end = match.span()
        left = None
        if _DAY_BEFORE.search(text, max(0, start - 24), start):
            left = _BEFORE_MONTH.search(text, max(0, start - 40), start)
        right = _AFTER_MONTH.match(text, end)
        before = left if left and (left["d"] or left["o"] or left["y"]) else None
        after = right if right and (right["d"] or right["o"] or right["y"] or right["q"] or right["z"]) else None
        if after and after["z"] and not (after["d"] or after["o"] or (before and (before["d"] or before["o"]))):
            after = right = None if word.islower() else after
        if before is None and after is None:
            if (
                word.lower() in _FULL_MONTHS
                and not word.islower()
                and _IN_MONTH.search(text, max(0, start - 12), start)
            ):
                yield Found(start, end, None, number, None, (None, (start, end), None))
            continue
        ambiguous = word.islower() and word.lower() in ("may", "march", "mar", "mars", "mai", "dec", "sep")
        whole = (after is not None and bool(after["y"] or after["q"])) or (before is not None and bool(before["o"]))
        if ambiguous and not whole:
            continue
        yield _composed(match, number, before, after)


def _composed(month: re.Match[str], number: int, before: re.Match[str] | None, after: re.Match[str] | None) -> Found:
    start, end = month.span()
    day = year = None
    day_span = year_span = None
    if before is not None:
        start = min(before.start(name) for name in ("y", "d", "o") if before[name])
        if before["d"] or before["o"]:
            name = "d" if before["d"] else "o"
            day, day_span = _day(before[name]), before.span(name)
        if before["y"]:
            year, year_span = int(before["y"]), before.span("y")
    if after is not None:
        ends = [after.end(name) for name in ("d", "o", "r", "y", "q", "z") if after[name]]
        if (after["d"] or after["o"]) and day is None:
            name = "d" if after["d"] else "o"
            day, day_span = _day(after[name]), after.span(name)
        for name in ("y", "q", "z"):
            if after[name] and year is None:
                year, year_span = _full_year(after[name]), after.span(name)
        end = max(ends)
        suffix = re.compile(r"\s?(?:st|nd|rd|th)\b").match(month.string, end)
        end = suffix.end() if suffix else end
    try:
        date(year or 2000, number, day or 1)
    except ValueError:
        return Found(start, end)
    if after is not None and after["r"]:
        return Found(start, end)  # two days in one date: no single day to move
    return Found(start, end, year, number, day, (year_span, month.span(), day_span))


def _day(word: str) -> int:
    return int(word) if word.isdigit() else _ORDINALS[word.lower().replace(" ", "-")]
