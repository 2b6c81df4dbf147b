"""Addresses: streets, boxes, towns before a state, ZIP codes, and what follows the words of an address."""

import re
from bisect import bisect_left, bisect_right

from lsdata.deid import vocabulary as v
from lsdata.deid.gazetteer import Kind, is_town
from lsdata.deid.marks import Marks
from lsdata.deid.words import (
    ADDRESS_ENDS,
    BOX_STARTS,
    COUNTRY_STARTS,
    FUNCTION,
    MONTHLIKE,
    PLACES,
    SAFE,
    STATE_ENDS,
    STATE_SECONDS,
    Role,
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
_ADDRESS_NEXT = re.compile(
    r"[ \t:,?]*\n?[ \t]*(?=[A-Z\d#]|[^\x00-\x7f]|(?:the (?=[A-Z\d]|corner )|ul\.|rue |via |calle ))"
)
_ADDRESS_BODY = re.compile(
    r"(?:(?:[A-Z][\w'./-]*|\d[\w/.-]*|#\d+|(?:of|and|the|de|la|le|du|des|ul\.|via|van|der|den|rue|al|el|do|da|"
    r"dos|corner|nan)\b|\([^)\n]{1,30}\)|[^\W\d_a-zA-Z][\w'.-]*)"
    r"(?P<gap>[ \t]*,?[ \t]?(?:\n[ \t]*,?[ \t]*)?)){1,14}"
)
NUMBER_BEFORE = re.compile(r"(?<![\w./:,-])\d{1,6}[A-Za-z]?(?:-\d{1,4})? $")
NUMBER_AFTER = re.compile(
    r" \d{1,4}[A-Za-z]?(?!\w|-|[.,/:]\d| ?(?:mg|mcg|ml|cc|units?|tabs?|%|years?|days?|weeks?|months?|hours?|yo|y/o|"
    r"times|cm|mm|kg|lbs?|am|pm|minutes?))"
)
_DATELIKE = re.compile(r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b")
_COUNTRY = re.compile(rf"(?:{v.COUNTRY_PHRASES})\b", re.IGNORECASE)
# "74 Sikelianou utca and Ten Oaks Pass": two streets, one of them with a number or a capital.
_CROSSING = re.compile(
    r" (?=[^\n]{0,40}?(?:\d|[A-Z]))[^\n;:!?]{3,50}? (?:and|&) (?:[a-z]{2,3} )?[^\s,;]+(?: [A-Z][\w'-]*)*"
    rf"(?: (?i:{_SUFFIX})\b)?"
)
_CORNER = re.compile(r"(?:the )?corner of", re.IGNORECASE)
_HOUSE_NUMBER = re.compile(r"\d{1,6}(?:-\d{1,5})?[A-Za-z]?(?: 1/2)?,? [A-Za-z\d]")
_IN_NUMBER = re.compile(r"[\w./:-]")
# A house number before, or after, a word that is no English word; which it is, is looked up.
_HOUSE = re.compile(
    r"(?<![\w./:-])\d{1,6}[A-Za-z]?,? (?:\d{1,5} )?(?:(?:[Uu]l|[Rr]ue|[Cc]alle|[Aa]v|[Vv]ia|"
    r"[Rr]ua)\.? (?:\w{1,3} )?)?(?P<word>[A-Z][^\W\d_]+)(?: [A-Za-z][\w'.-]*){0,4}?(?= \d{1,5}[A-Za-z]?\b(?! "
    r"?(?:mg|mcg|ml|units?|%))|,|\n| [A-Z]|\.?$)"
)
_STREET_WORDS = frozenset(
    v.words("""
    rue avenue avenida boulevard calle carrer via viale rua ulica ul trg place plaza piazza strada vicolo r
    """)
)
_HIGHWAYS = frozenset(("highway", "hwy", "route", "rte", "interstate", "county", "cr", "fm", "i"))
_UNITS = frozenset(("apt", "apartment", "suite", "ste", "bldg"))
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
    rf"(?<=, )[a-z]{{2,3}}(?= ?\d|\s*\n|$|[.?])|"
    rf"(?<=\s)[a-z]{{2,3}}(?=\s{{1,8}}\d{{2,6}}(?:[ -]\d{{2,4}})?\s*(?:[.\n]|$)))"
)
_RUN_AFTER = re.compile(rf"(?:(?:,? )?{_PART}){{0,14}}+")
_RUN_BEFORE = re.compile(
    rf"(?<![\w.:/-])(?:(?:[A-Z][\w'/-]*\.?|\d{{1,6}}[A-Za-z]?\.?|{_PARTICLE}|{_STREET_WORD}|"
    rf"[^\x00-\x7f\W][\w'-]*)[ ,\n>]{{1,3}}){{1,8}}[ \t>?]*$"
)
# A postal code that has a line of its own, below a town or a province.
_CODE_LINE = re.compile(r"[ \t]*\n[ \t]*(?:\d{2}-\d{3}|\d{3,6}(?:-\d{4})?)[ \t]*(?:\n|$)")
_NEXT_LINE = re.compile(
    rf"[.,]?[ \t]*\n(?P<blank>[ \t>?]*\n)?[ \t>?]*,?[ \t]*(?P<v>(?>{_PART}(?:,? {_PART}){{0,6}}))(?![:\w])"
)
# A postal code behind a place: "Riisa 62488", "Sindi, PR 20134", "Oulu\n80896" is taken with the lines above.
CODE_AFTER = re.compile(
    r"(?:,? [A-Za-z]{2,3}\.?|\s\([^)\n]{1,30}\))?,? (?P<v>\d{4,6}(?:-\d{3,4})?)(?!\w|[.,/:]\d| ?(?:mg|mcg|ml|cc|"
    r"units?|tabs?|%|steps|feet|cal|iu)\b)"
)


class Addresses(Marks):
    def mark_addresses(self) -> None:
        """Streets, boxes, towns before a state, ZIP codes, and what follows the words of an address."""
        w = self.words
        text = w.text
        for index, role in enumerate(w.roles):
            if role & Role.ADDRESS:
                self._around(index, w.lowers[index])
        for start in w.numbers:
            if not _HOUSE_NUMBER.match(text, start) or (start and _IN_NUMBER.match(text, start - 1)):
                continue
            for pattern in (_STREET, _LOWER_STREET):
                if match := pattern.match(text, start):
                    self._take_address(*match.span())
            if (match := _HOUSE.match(text, start)) and self._is_street_word(
                bisect_left(w.starts, match.start("word"))
            ):
                self._take_address(*match.span())
        if w.has(_STREET_WORDS):
            for match in _FOREIGN_STREET.finditer(text):
                self._take_address(*match.span())
        if w.has(_HIGHWAYS):
            for match in _HIGHWAY.finditer(text):
                self.take_span("LOCATION", *match.span())
        for match in _UNIT_ALONE.finditer(text) if w.has(_UNITS) else ():
            self.take_span("LOCATION", *match.span("v"))
            if self.caseless:
                line = text.rfind("\n", 0, match.start()) + 1
                digit = re.compile(r"\d").search(text, line, match.end())
                stop = text.find("\n", match.end())
                self.take_span("LOCATION", digit.start() if digit else match.start(), stop if stop >= 0 else len(text))
                continue
            before = _RUN_BEFORE.search(text, max(0, match.start() - 80), match.start())
            if before and any(map(str.isdigit, before.group())):
                self._take_address(before.start(), match.end())

    def _around(self, index: int, lower: str) -> None:
        w = self.words
        text = w.text
        if w.words[index] in v.STATE_CODES or lower in STATE_ENDS:
            start = w.starts[index - 1] if lower in STATE_SECONDS and index else w.starts[index]
            if match := _BEFORE_STATE.search(text, max(0, start - 60), w.ends[index] + 12):
                self._town(match)
            if match := _ZIP_AFTER_STATE.match(text, w.ends[index]):
                self.extra.append(("ZIP", *match.span("zip")))
        elif lower in COUNTRY_STARTS and (match := _COUNTRY.match(text, w.starts[index])):
            self.take_span("LOCATION", *match.span())
        elif lower in ADDRESS_ENDS and (match := _ADDRESS_NEXT.match(text, w.ends[index])):
            cue = _ADDRESS.search(text, max(0, w.starts[index] - 30), match.end())
            if cue and (corner := _CORNER.match(text, cue.start())):
                streets = _CROSSING.match(text, corner.end())
                self.take_span("LOCATION", corner.start(), streets.end() if streets else corner.end())
            if cue and (body := _ADDRESS_BODY.match(text, match.end())):
                self._address(cue, body)
        elif lower in BOX_STARTS and (match := _BOX.match(text, w.starts[index])):
            self._take_address(*match.span())

    def _is_street_word(self, index: int) -> bool:
        w = self.words
        found = w.kinds[index]
        return (
            not found & SAFE
            and len(w.lowers[index]) > 3
            and not (w.words[index].isupper() and len(w.lowers[index]) < 6)
            and not self.is_eponym(index)
        )

    def _take_address(self, start: int, end: int) -> None:
        """An address that begins here: on over units, towns and codes, also at the head of the next lines."""
        text = self.words.text
        end = _RUN_AFTER.match(text, end).end()  # pyright: ignore[reportOptionalMemberAccess]
        for _ in range(6):
            line = _NEXT_LINE.match(text, end)
            # A line that begins with a comma goes on with the one before.
            goes_on = line is not None and text[line.start() : line.start("v")].rstrip().endswith(",")
            if line is not None and _CODE_LINE.match(text, line.end("v")):
                goes_on = True
            if line is not None and not line["blank"] and re.match(r"[ \t]*(?:\n|$)", text[line.end("v") :][:9]):
                goes_on = goes_on or bool(re.search(r"\d", text[max(start, end - 12) : end]))
            if line is None or not (goes_on or self._is_place_line(*line.span("v"), after_blank=bool(line["blank"]))):
                break
            end = line.end("v")
        self.take_span("LOCATION", start, end)

    def _is_place_line(self, start: int, end: int, *, after_blank: bool) -> bool:
        w = self.words
        if not after_blank and re.fullmatch(r"(?:.*\D)?\d{3,6}", w.text[start:end]):
            return True
        words = range(bisect_left(w.starts, start), bisect_left(w.starts, end))
        kinds = PLACES if after_blank else PLACES | Kind.STATE
        return any(
            not w.kinds[k] & SAFE
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
                or lower in FUNCTION - {"new", "old"}
                or lower in v.TITLES
                or (w.kinds[index] & Kind.STATE and index == last)
            ):
                break
            if lower in v.CREDENTIALS and w.words[index].isupper():
                return
            index -= 1
        words = range(index + 1, last + 1)
        known = is_town(" ".join(w.lowers[k] for k in words)) or any(
            not w.kinds[k] & SAFE or w.kinds[k] & PLACES for k in words
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
            if not w.kinds[k] & SAFE:
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
        while last > first and w.lowers[last - 1] in FUNCTION:
            last -= 1
        for index in range(first, last):
            lower, found = w.lowers[index], w.kinds[index]
            if w.opening[index] and not numbered and index > first:
                break
            if w.words[index].isupper() and len(lower) < 4 and not numbered:
                continue
            if (
                lower in FUNCTION
                or lower in v.TITLES
                or (found & Kind.MEDICAL and not numbered)
                or lower in v.FACILITIES
            ):
                continue
            if weak and found & Kind.ORDINARY and not found & (PLACES | Kind.LAST):
                continue
            if found & Kind.STATE or (lower in MONTHLIKE and not numbered):
                continue
            if w.is_capital(index) or not w.words[index].isascii():
                self.marks[index] = self.marks[index] or "LOCATION"
