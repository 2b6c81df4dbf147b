"""Names of people: by word lists and by what stands around them (titles, labels, relatives, degrees)."""

import re
from bisect import bisect_left

from lsdata.deid import vocabulary as v
from lsdata.deid.gazetteer import Kind, is_unheard, kind
from lsdata.deid.marks import Marks
from lsdata.deid.words import FUNCTION, MONTHLIKE, PARTICLES, PERSON, PLACES, SAFE, Role, match_before

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
_STRICT_LABEL = re.compile(
    r"(?:\b(?:by|cc|to|with|per|dr|for|under the care of|notified|paged|consulted)|name|physician|provider|"
    r"doctor|surgeon|attending|author|pcp|patient|pt|signed|dictated)[ \t]*[:=,-]?[ \t]*\n?$",
    re.IGNORECASE,
)
_BEFORE_CREDENTIAL = re.compile(r"\.?,? ?,? ?(?<=[ ,])")
_CREDENTIALS = re.compile(
    r"(?:M\.?D|D\.?O|R\.?N|N\.?P|P\.?A(?:-C)?|L\.?P\.?N|C\.?N\.?A|Ph\.?D|"
    r"D\.?D\.?S|D\.?P\.?M|O\.?D|M\.?B\.?B\.?S|Pharm\.?D|"
    r"L?M?C?SW|LCSW|FNP(?:-C)?|A?R?APRN|ARNP|DNP|CRNA|CNM|RPh|PT|OTR|DPT|SLP|MPH|MSN|BSN|FACS|FACP|PsyD|Jr|Sr|"
    r"III|II|Esq)\b\.?"
)
_DOSE = re.compile(
    r"(?:\(?[\w/-]+\)?,? ){0,2}?\(?\d[\d.,/-]*(?: ?- ?\d+)? ?(?:mg|mcg|ug|g|gm|grams?|ml|cc|units?|iu|meq|tabs?|"
    r"tablets?|%|puffs?|caps?|drops|mL|milligrams|micrograms)\b"
    r"|(?:p\.?o|b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|q\.?d|q\.?h\.?s|p\.?r\.?n|q\d|daily|nightly|tablets?|inhaler|"
    r"cream|ointment|patch|drops|spray|injections?|infusion|therapy|XR|SR|ER|CR|XL|LA|HCT|dose|doses|sutures?|"
    r"mesh|stent|graft|clips?|gauze|tape|dressing|positive|negative|level|levels|scan)\b"
)
_LAST_FIRST = re.compile(
    r"[A-Z][A-Za-z'-]+, [A-Z][A-Za-z'-]+(?: [A-Z]\b\.?| [A-Z][a-z]+)?(?=[ \t]{2,}|[ \t]*(?:\n|$|[|(;.]))"
)
_WITH_INITIAL = re.compile(r"[A-Z][a-z]+ [A-Z]\. [A-Z][A-Za-z'-]+(?![a-z])")
_SIGNING = re.compile(r"\bby:? $|\buser:? $", re.IGNORECASE)
_HANDLE = re.compile(r"(?:\b(?:by|user|signed|entered|login|per|from|to|cc)[: ]{1,2}|/s/ ?|\()$", re.IGNORECASE)


class Names(Marks):
    # ------------------------------------------------ single words

    def mark_words(self) -> None:
        """Capitalised words that are neither ordinary nor medical, and names in any case."""
        w = self.words
        for index, role in enumerate(w.roles):
            if (role & Role.CANDIDATE or self.caseless) and self.marks[index] is None:
                self.marks[index] = self._alone(index) if role & Role.CANDIDATE else self._caseless(index)

    def _caseless(self, index: int) -> str | None:
        """A word of a text without capitals that no list has, or that is a place only."""
        w = self.words
        found, lower = w.kinds[index], w.lowers[index]
        if len(lower) < 4 or found & SAFE or found & Kind.STATE or lower in FUNCTION or lower in MONTHLIKE:
            return None
        if found & Kind.NAME or is_unheard(lower):
            return "NAME"
        return "LOCATION" if found & PLACES else None

    def _alone(self, index: int) -> str | None:
        w = self.words
        word, lower, found = w.words[index], w.lowers[index], w.kinds[index]
        if not w.is_capital(index):
            return "NAME"
        ordinary = bool(found & SAFE)
        if (ordinary and not found & Kind.NAME) or (lower in v.DRUGS and not self._beside_person(index)):
            return None
        if ordinary and (w.opening[index] or word.isupper()) and not self._beside_person(index):
            return None
        if self.is_eponym(index):
            return None
        if not found & (PERSON | PLACES) and _DOSE.match(w.text, w.ends[index] + 1):
            return None
        if found & PLACES and not found & Kind.NAME:
            return "LOCATION"
        if found & PLACES and index and w.lowers[index - 1] in ("in", "near", "from", "to"):
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
            and w.gaps[after + 1] == " "
        ):
            return (
                bool(w.kinds[after + 1] & Kind.NAME)
                and not w.words[index].isupper()
                and not w.kinds[index] & Kind.MEDICAL
            )
        if after >= len(w.words) or w.gaps[after] not in (" ", ", ", " (", "'s "):
            return False
        if (
            w.is_capital(after)
            and not w.words[after].isupper()
            and w.kinds[after] & Kind.NAME
            and not self.is_eponym(after)
        ):
            return True
        return w.gaps[after] == " " and w.lowers[after] in _PERSON_VERBS and bool(w.kinds[index] & Kind.NAME)

    # ------------------------------------------------ what stands around

    def mark_context(self) -> None:
        """Titles, labels, relatives, degrees; ordinary words become names by them."""
        w = self.words
        before = 0
        for index, role in enumerate(w.roles):
            if role & Role.TITLE and self._is_title(index):
                dotted = index + 1 < len(w.words) and "." in w.gaps[index + 1]
                self._take_names(index + 1, first=True, lower=self.caseless or dotted)
            elif role & Role.RELATIVE:
                self._after_relative(index)
            elif role & Role.CAPITAL and self.marks[index] is None and not w.opening[index] and not self.shouting:
                self._capital(index)
            if before & Role.LABEL_END and (
                role & Role.CAPITAL or self.caseless or w.opening[index] or w.gaps[index][:1] in ":,=-\n"
            ):
                self._labelled(index)
            before = role
        for index, role in enumerate(w.roles):
            if role & Role.CAPITAL and index and w.gaps[index] in (", ", " ", ". "):
                if w.gaps[index] == ", ":
                    self._last_first(index)
                elif role & Role.INITIAL and w.gaps[index] == " ":
                    self._with_initial(index)
        self._neighbours()
        for index, role in enumerate(w.roles):
            if (
                role & Role.CREDENTIAL
                and index
                and _BEFORE_CREDENTIAL.fullmatch(w.gaps[index])
                and _CREDENTIALS.match(w.text, w.starts[index])
            ):
                self._before_credential(index - 1)
        self._user_names()

    def _last_first(self, comma: int) -> None:
        """A line or field that is nothing but "Rice, Hope M"."""
        w = self.words
        first = comma - 1
        while first and w.gaps[first] == "-":
            first -= 1
        before = w.gaps[first].rstrip(" \t")
        field = not before if not first else before[-1:] == "\n" or before in (":", "|")
        if field and (match := _LAST_FIRST.match(w.text, w.starts[first])):
            self._take_all(first, match.end())

    def _with_initial(self, initial: int) -> None:
        """ "Hope M. Rice" anywhere."""
        w = self.words
        if match := _WITH_INITIAL.match(w.text, w.starts[initial - 1]):
            self._take_all(initial - 1, match.end())

    def _take_all(self, first: int, end: int) -> None:
        """Names, if all words can be."""
        w = self.words
        words = range(first, bisect_left(w.starts, end))
        if all(
            (w.kinds[k] & PERSON or not w.kinds[k] & SAFE)
            and (w.lowers[k] not in v.TERMS or (w.lowers[k] in MONTHLIKE and w.kinds[k] & Kind.FIRST))
            for k in words
            if len(w.words[k]) > 1
        ):
            for k in words:
                self.marks[k] = "NAME"

    def _neighbours(self) -> None:
        """What a name or place goes on with: Villafranca del Cid, Daniela C. Capon, Hauta-aho; frank freud."""
        w = self.words
        count = len(w.words)
        near = bytearray(count + 3)  # words with a marked one at most two away
        for index, mark in enumerate(self.marks):
            if mark:
                near[max(0, index - 2) : index + 3] = b"\1" * (index + 3 - max(0, index - 2))
        index = 0
        while 0 < (index := near.find(1, index + 1)) < count:
            if self.marks[index] is None:
                self._neighbour(index)
                if self.marks[index] or (index + 1 < count and self.marks[index + 1]):
                    near[index + 1 : index + 4] = b"\1\1\1"

    def _neighbour(self, index: int) -> None:
        w = self.words
        gap, word, found = w.gaps[index], w.words[index], w.kinds[index]
        before = self.marks[index - 1]
        if (
            index + 2 < len(w.words)
            and self.marks[index + 2]
            and w.is_capital(index)
            and w.words[index + 1] in PARTICLES
            and not w.opening[index]
        ) and (
            w.gaps[index + 1] == w.gaps[index + 2] == " "
            and not found & Kind.MEDICAL
            and w.lowers[index] not in v.TITLES | FUNCTION
        ):
            self.marks[index] = self.marks[index + 1] = self.marks[index + 2]
            return
        after = index + 1 < len(w.words) and self.marks[index + 1]
        if before and gap == " & " and w.is_capital(index):
            self.marks[index] = before
        elif after and w.gaps[index + 1] == " & " and w.is_capital(index) and found & Kind.LAST:
            self.marks[index] = after
        elif (
            after == "NAME"
            and w.gaps[index + 1] == " "
            and w.is_capital(index)
            and not w.opening[index]
            and not word.isupper()
            and len(word) > 2
        ):
            telling = w.kinds[index + 1] & Kind.LAST and not w.kinds[index + 1] & SAFE
            if (
                telling
                and not found & Kind.MEDICAL
                and w.lowers[index] not in FUNCTION | v.DEPARTMENTS | v.FACILITIES | v.TITLES | v.RELATIVES
            ):
                self.marks[index] = "NAME"
        elif before in ("NAME", "LOCATION"):
            if (gap == "-" and not found & Kind.MEDICAL and (w.is_capital(index) or not found & Kind.ORDINARY)) or (
                gap == " " and self.caseless and not found & SAFE and w.lowers[index] not in FUNCTION and len(word) > 2
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
            initial = len(middle) == 1 and middle.isupper() and w.gaps[index - 1] == " " and gap in (" ", ". ")
            particle = middle in PARTICLES and gap == w.gaps[index - 1] == " "
            if (initial and not w.kinds[index] & Kind.MEDICAL and w.lowers[index] not in FUNCTION) or particle:
                self.marks[index] = self.marks[index - 1] = self.marks[index - 2]
        if (
            index + 1 < len(w.words)
            and self.marks[index + 1] == "NAME"
            and w.gaps[index + 1] == " "
            and w.is_capital(index)
            and found & Kind.FIRST
        ) and (
            w.kinds[index + 1] & Kind.LAST
            and (
                not w.kinds[index + 1] & SAFE
                or w.lowers[index] in MONTHLIKE
                or not (found & Kind.MEDICAL or w.lowers[index] in FUNCTION)
            )
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
        if index + 1 >= len(w.words) or w.gaps[index + 1] not in (" ", ". ", ".", ".  ", "  "):
            return False
        if w.lowers[index] in ("nurse", "miss", "sir", "madam", "judge", "doctor", "fr", "sgt", "capt"):
            return (
                "." not in w.gaps[index + 1]
                and w.is_capital(index + 1)
                and (w.is_capital(index) or w.lowers[index] in ("doctor", "nurse"))
                and bool(w.kinds[index + 1] & PERSON or not w.kinds[index + 1] & SAFE)
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
            gap = w.gaps[at]
            if offset and gap not in (" ", ". ", ".", "-", "  ", ", ", " '", "' ", ' "', '" '):
                return
            if offset and gap == ", " and not self._is_last_first(at):
                return
            word, found = w.words[at], w.kinds[at]
            capital = word[0].isupper()
            if w.lowers[at] in v.CREDENTIALS and offset and word.isupper():
                return
            if not capital:
                particle = w.lowers[at] in PARTICLES and at + 1 < len(w.words) and w.is_capital(at + 1)
                unknown = not found & SAFE and w.lowers[at] not in FUNCTION and len(word) > 1
                if not particle and not (
                    lower
                    and (
                        (first and not offset and w.lowers[at] not in FUNCTION)
                        or unknown
                        or (offset and found & Kind.NAME)
                    )
                ):
                    return
            elif (
                (offset and len(word) > 1 and found & SAFE and not found & PERSON)
                or (
                    offset
                    and found & SAFE
                    and not found & Kind.NAME
                    and (w.opening[at] or w.lowers[at] in v.EPONYM_NOUNS)
                )
                or (
                    w.lowers[at] in FUNCTION
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
        return not w.kinds[at] & SAFE or bool(re.match(r" [A-Z]\b|\s*(?:\n|$|[;)(|]|  )", after))

    def _after_relative(self, index: int) -> None:
        w = self.words
        at = index + 1
        if (
            at < len(w.words)
            and w.gaps[at] in (" ", ", ", ": ", " (", " - ")
            and w.lowers[at] in ("is", "named", "called", "name", "was", "who")
        ):
            at += 1
        if (
            at < len(w.words)
            and w.gaps[at] in (" ", ", ", ": ", " (", " - ")
            and w.is_capital(at)
            and not w.words[at].isupper()
            and self._may_be_name(at)
        ):
            self._take_names(at, first=True)

    def _may_be_name(self, index: int) -> bool:
        w = self.words
        found = w.kinds[index]
        if w.lowers[index] in FUNCTION and w.lowers[index] not in ("will", "may", "an", "do"):
            return False
        return bool(found & PERSON) or not found & SAFE

    def _capital(self, index: int) -> None:
        """A capitalised ordinary word within a sentence, beside a name or where a place stands."""
        w = self.words
        word, lower, found = w.words[index], w.lowers[index], w.kinds[index]
        if len(word) == 1:
            # An initial belongs to the name beside it.
            if (index and self.marks[index - 1] == "NAME" and w.gaps[index] == " ") or (
                index + 1 < len(w.words)
                and self.marks[index + 1] == "NAME"
                and w.gaps[index + 1] in (" ", ". ", ".")
                and not (w.gaps[index + 1] == ". " and word in "ABC" and w.opening[index])
            ):
                self.marks[index] = "NAME"
            return
        if word.isupper() and len(word) < 4:
            return
        before = w.lowers[index - 1] if index else ""
        gap = w.gaps[index]
        following = w.lowers[index + 1] if index + 1 < len(w.words) else ""
        if (
            index
            and gap == " "
            and self.marks[index - 1] == "NAME"
            and not found & Kind.MEDICAL
            and not word.isupper()
            and lower not in FUNCTION
        ):
            alone = index + 1 >= len(w.words) or not w.is_capital(index + 1) or w.gaps[index + 1] != " "
            if (
                w.kinds[index - 1] & Kind.FIRST
                and alone
                and lower not in v.EPONYM_NOUNS | v.DEPARTMENTS | v.FACILITIES | v.COMPANY_SUFFIXES
            ):
                self.marks[index] = "NAME"
                return
        if found & PERSON and lower not in FUNCTION | {"patient", "doctor"} and following not in v.EPONYM_NOUNS:
            left = (
                index
                and self.marks[index - 1] == "NAME"
                and (gap in (" ", "-", " '") or (gap == ", " and self._is_last_first(index)))
                and not w.kinds[index - 1] & Kind.MEDICAL
            )
            right = (
                index + 1 < len(w.words)
                and self.marks[index + 1] == "NAME"
                and w.gaps[index + 1] in (" ", "-", ". ", "' ")
                and not w.opening[index + 1]
            )
            if (left or right) and not found & Kind.MEDICAL | (lower in v.TERMS):
                self.marks[index] = "NAME"
                return
        if (
            found & Kind.FIRST
            and index + 1 < len(w.words)
            and w.gaps[index + 1] == " "
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
                beyond = index + 2 >= len(w.words) or not w.is_capital(index + 2) or w.gaps[index + 2] != " "
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
        if self.marks[index] is not None:
            return
        start = w.starts[index]
        before = w.text[max(0, start - 48) : start]
        naming = match_before(_NAMING, w, index, start)
        label = match_before(_LABEL, w, index, start)
        if not naming and not label:
            return
        if w.lowers[index] in v.TITLES | v.RELATIVES:
            return
        if not w.is_capital(index):
            # Lower case: only what is no word at all, or what "my name is" makes one.
            strong = bool(naming and re.search(r"name", naming.group(), re.IGNORECASE)) or bool(
                label and _STRICT_LABEL.search(before) and ":" in before[-3:]
            )
            if w.lowers[index] in FUNCTION or not (strong or self.caseless):
                return
            if w.kinds[index] & SAFE and not (
                strong and naming and naming.group().rstrip().lower().endswith(("is", "'s", "was", ":", "?"))
            ):
                return
            if w.kinds[index] & Kind.NAME or not w.kinds[index] & SAFE:
                self._take_names(index, first=True, lower=True)
            return
        if not self._may_be_name(index) or (w.words[index].isupper() and len(w.words[index]) < 5 and not self.shouting):
            return
        if w.kinds[index] & SAFE and not w.kinds[index] & Kind.NAME:
            # "Patient: Will May", "Seen by Grace", but "Patient: Alert and oriented".
            after = w.text[w.ends[index] : w.ends[index] + 3]
            paired = (
                index + 1 < len(w.words)
                and w.gaps[index + 1] in (" ", ", ", " '")
                and w.is_capital(index + 1)
                and bool(w.kinds[index + 1] & PERSON)
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
            if self.marks[index] == "LOCATION" or (not word[0].isupper() and w.lowers[index] not in PARTICLES):
                return
            if word.isupper() and w.lowers[index] in v.CREDENTIALS:
                index -= 1
                continue
            beside = taken == 1 and not found & Kind.MEDICAL and w.lowers[index] not in v.DEPARTMENTS
            if len(word) > 1 and not (found & PERSON or not found & SAFE or beside):
                return
            if (w.lowers[index] in FUNCTION and w.lowers[index] not in ("will", "may", "an", "do", "so")) or w.lowers[
                index
            ] in v.TITLES:
                return
            self.marks[index] = "NAME"
            if len(word) > 2:
                self.sure.add(w.lowers[index])
            taken += 1
            if w.gaps[index] not in (" ", ". ", "-", ".", ", ") or (w.gaps[index] == ", " and taken > 2):
                return
            index -= 1

    def _user_names(self) -> None:
        """Lower-case words such as kjohnson, johnsonk, mary.lopez that are a surname and an initial."""
        w = self.words
        for index, role in enumerate(w.roles):
            if not role & Role.USER:
                continue
            word = w.words[index]
            before = w.text[max(0, w.starts[index] - 12) : w.starts[index]]
            named = kind(word[1:]) & Kind.NAME or kind(word[:-1]) & Kind.NAME
            if _SIGNING.search(before) and is_unheard(word):
                named = True
            known = len(word) > 6 and bool(kind(word[1:]) & Kind.NAME) and not kind(word[1:]) & SAFE
            if known or (named and _HANDLE.search(before)):
                end = w.ends[index]
                digits = re.compile(r"\d{0,4}(?!\w)").match(w.text, end)
                self.extra.append(("USERNAME", w.starts[index], digits.end() if digits else end))
