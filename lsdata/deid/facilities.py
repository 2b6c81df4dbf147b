"""Places of care, of study and of work: capitalised phrases that end in Hospital, Clinic, Inc and the like."""

import re
from bisect import bisect_left

from lsdata.deid import vocabulary as v
from lsdata.deid.gazetteer import Kind
from lsdata.deid.marks import Marks
from lsdata.deid.words import FUNCTION, PLACES, SAFE, Role

_EMPLOYER = re.compile(
    r"\b(?:(?:works?|worked|working|employed|employment|employee|job|position|intern(?:ed|ship)?|manager|clerk|"
    r"retired|consultant|founder|ceo|president|assistant|spent a year) (?:at|for|by|with|from|of)|"
    r"employer(?: is|:)?|company(?: is|:| called)?)[ \t]+(?:the )?$",
    re.IGNORECASE,
)

_WORKING = re.compile(r"\b(?:works?|worked|working|employed) (?:at|for|by) (?:the )?$", re.IGNORECASE)


class Facilities(Marks):
    def mark_facilities(self) -> None:
        """Capitalised phrases that end in Hospital, Clinic, Inc ... and say more than a department."""
        w = self.words
        for index, role in enumerate(w.roles):
            if role & Role.FACILITY and (role & Role.CAPITAL or self.caseless):
                self._headed(index, w.lowers[index])
        if " & " in w.text:
            for index in range(1, len(w.words)):
                if w.gaps[index] == " & " and self._is_partner(index - 1) and self._is_partner(index):
                    self.marks[index - 1] = self.marks[index] = "EMPLOYER"
        before = 0
        for index, role in enumerate(w.roles):
            if before & Role.EMPLOYER_END and role & Role.CAPITAL and index and not w.opening[index]:
                self._employed(index)
            before = role
        for index, role in enumerate(w.roles):
            # "Mercy Medical", "Kylemouth General Hospital": the rest of a name that is marked already.
            if (
                role & Role.FACILITY
                and role & Role.CAPITAL
                and index
                and self.marks[index - 1]
                and self.marks[index] is None
                and w.gaps[index] == " "
                and w.lowers[index] in v.FACILITIES
            ):
                self.marks[index] = self.marks[index - 1] = "FACILITY"

    def mark_blocks(self) -> None:
        """The line between a person and an address, as at the foot of a letter, is whom the person works for."""
        w = self.words
        for entity, start, _ in list(self.extra):
            end = w.text.rfind("\n", 0, start)
            if entity != "LOCATION" or end < 0 or any(map(str.isalnum, w.text[end:start])):
                continue
            first, last = self._line(end)
            here = self.marks[first:last]
            if (
                not 0 < last - first < 7
                or None not in here
                or "LOCATION" in here
                or ":" in w.text[w.starts[first] : end]
            ):
                continue
            top = first
            for _ in range(2):  # between the two a line may tell the occupation
                top, bottom = self._line(w.text.rfind("\n", 0, w.starts[top]))
                if 0 < bottom - top < 5 and "NAME" in self.marks[top:bottom]:
                    self.marks[first:last] = ["EMPLOYER"] * (last - first)
                    self.marks[top:bottom] = ["NAME"] * (bottom - top)
                if top == bottom:
                    break

    def _line(self, end: int) -> tuple[int, int]:
        """The indexes of the first word, and behind the last, of the line that ends at an offset."""
        w = self.words
        start = w.text.rfind("\n", 0, max(end, 0)) + 1
        return bisect_left(w.starts, start), bisect_left(w.starts, max(end, 0))

    def _headed(self, index: int, lower: str) -> None:
        w = self.words
        if lower in v.FACILITY_HEADS:
            self._phrase_before(index, "FACILITY")
        elif (
            lower in v.COMPANY_SUFFIXES
            and index
            and not w.words[index].islower()
            and w.gaps[index] in (" ", ", ", " & ", ". ")
        ):
            self._phrase_before(index, "EMPLOYER")
        if (
            lower in ("university", "hospital", "church", "institute", "college")
            and index + 2 < len(w.words)
            and w.lowers[index + 1] in ("of", "at")
            and w.is_capital(index + 2)
        ):
            self._phrase_after(index + 2, "FACILITY")

    def _is_partner(self, index: int) -> bool:
        """Whether a word can be one side of "Page & Whitt"; "Heart & Lung" has none."""
        w = self.words
        found = w.kinds[index]
        return (
            bool(found & Kind.LAST)
            and not found & Kind.MEDICAL
            and w.words[index].istitle()
            and w.lowers[index] not in v.DEPARTMENTS | FUNCTION
        )

    def _employed(self, index: int) -> None:
        w = self.words
        before = w.text[max(0, w.starts[index] - 40) : w.starts[index]]
        working = _WORKING.search(before)
        if w.words[index].isupper() and len(w.words[index]) < (3 if working else 5):
            return
        several = index + 1 < len(w.words) and w.is_capital(index + 1) and w.gaps[index + 1] == " "
        if working and several and v.DEPARTMENTS.isdisjoint(w.lowers[index : index + 2]):
            self.marks[index] = self.marks[index] or "EMPLOYER"
            self._phrase_after(index + 1, "EMPLOYER")
        elif before[-1:] == " " and (working or _EMPLOYER.search(before)):
            self._phrase_after(index, "EMPLOYER")

    def _phrase_before(self, head: int, entity: str) -> None:
        w = self.words
        index, telling = head - 1, False
        company = entity == "EMPLOYER"
        while index >= 0 and head - index < 7:
            lower, gap = w.lowers[index], w.gaps[index + 1]
            if gap not in (" ", "-", "'", ". ", " & ", "' ", "'s ", ", " if company else " "):
                break
            if self.caseless:
                if not w.kinds[index] & (Kind.NAME | PLACES) or w.kinds[index] & SAFE:
                    break
            elif not w.is_capital(index) and not (
                lower in ("of", "and", "the", "for") and index and w.is_capital(index - 1)
            ):
                break
            if w.words[index].isupper() and len(lower) < 4 and lower != "st":
                break
            telling = telling or not (
                lower in v.DEPARTMENTS
                or lower in FUNCTION
                or bool(w.kinds[index] & Kind.MEDICAL and not w.kinds[index] & Kind.NAME)
                or lower in v.FACILITIES
            )
            index -= 1
            if w.opening[index + 1]:
                break
        first = index + 1
        while first < head and (w.lowers[first] in FUNCTION or w.lowers[first] in ("outside", "previous", "prior")):
            first += 1
        if telling and first < head:
            for k in range(first, head + 1):
                self.marks[k] = entity

    def _phrase_after(self, index: int, entity: str) -> None:
        w = self.words
        first = index
        while index < len(w.words) and index - first < 5:
            lower = w.lowers[index]
            if index > first and w.gaps[index] not in (" ", "-", ", ", " & ", "'s ", "' "):
                return
            if lower == "and" and index + 1 < len(w.words) and w.is_capital(index + 1) and index > first:
                index += 1
                continue
            if not w.is_capital(index) or (w.words[index].isupper() and len(lower) < 5 and index > first):
                return
            if index == first and (w.kinds[index] & Kind.MEDICAL or lower in v.DEPARTMENTS or lower in FUNCTION):
                return
            self.marks[index] = self.marks[index] or entity
            index += 1
