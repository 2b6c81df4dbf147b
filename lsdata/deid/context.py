"""Names and places without a record: by word lists and by what stands around them, then everywhere in the note.

The order of Philter (Norgeot et al. 2020, doi:10.1038/s41746-020-0258-y): what is not known to be harmless goes. A
capitalised word that is neither an ordinary nor a medical one is taken for a name; an ordinary word (Will, May,
Reading, Orange) is a name where a title, a relative, a degree, an address or another name says so.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lsdata.deid import vocabulary as v
from lsdata.deid import words
from lsdata.deid.addresses import CODE_AFTER, NUMBER_AFTER, NUMBER_BEFORE, Addresses
from lsdata.deid.facilities import Facilities
from lsdata.deid.gazetteer import Kind, kind
from lsdata.deid.names import Names
from lsdata.deid.recognizers import Recognizer
from lsdata.deid.words import FUNCTION, PARTICLES, SAFE, Role

_PLACE_FIRST = frozenset(
    v.words("""
    new north south east west lake port fort mount mt saint st san santa los las el upper lower glen cape point
    great little
    """)
)


@dataclass(slots=True)
class Reading:
    """What the word layer makes of a text.

    Args:
        spans: (entity, start, end).
        open: gives (start, end) of sentences with capitals that it cannot tell, for a language model.
    """

    spans: list[tuple[str, int, int]]
    open: Callable[[], list[tuple[int, int]]]


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
        split = words.read(text)
        if is_foreign:
            split = split.with_names(
                index
                for index, (role, kinds) in enumerate(zip(split.roles, split.kinds, strict=True))
                if role & Role.CAPITAL
                and kinds & Kind.ORDINARY
                and split.lowers[index] not in v.MEDICAL_WORDS
                and is_foreign(split.starts[index], split.ends[index])
            )
        found = _Note(split)
        found.mark_addresses()
        found.mark_words()
        found.mark_context()
        found.mark_facilities()
        found.spread()
        found.mark_blocks()
        return Reading(found.joined(), found.undecided)


class _Note(Names, Addresses, Facilities):
    """All that is marked in one text, and what follows from it elsewhere."""

    def spread(self) -> None:
        """A name that context has proved counts wherever the note has it again."""
        w = self.words
        proved = self.sure | {
            w.lowers[i]
            for i, mark in enumerate(self.marks)
            if mark in ("NAME", "LOCATION")
            and len(w.lowers[i]) > 3
            and not w.kinds[i] & SAFE
            and not w.kinds[i] & Kind.STATE
        }
        for index, lower in enumerate(w.lowers):
            if lower in proved and self.marks[index] is None and not self.is_eponym(index):
                found = w.kinds[index]
                if not found & SAFE or (
                    w.is_capital(index) and not w.words[index].isupper() and (not w.opening[index] or found & Kind.NAME)
                ):
                    self.marks[index] = "NAME"

    def joined(self) -> list[tuple[str, int, int]]:
        """Marked neighbours as one span, with initials, house numbers and particles between and around them."""
        w = self.words
        spans = list(self.extra)
        last = -1
        for index, entity in enumerate(self.marks):
            if entity is None or index <= last:
                continue
            last = index
            while last + 1 < len(self.marks):
                gap = w.gaps[last + 1]
                if self.marks[last + 1] == entity and len(gap) < 3 and not gap.strip(" .,-'&\n"):
                    last += 1
                elif (
                    last + 2 < len(self.marks)
                    and self.marks[last + 2] == entity
                    and gap in (" ", ". ")
                    and w.gaps[last + 2] in (" ", ". ", ".")
                    and (w.lowers[last + 1] in PARTICLES or (len(w.words[last + 1]) == 1 and w.is_capital(last + 1)))
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
        return spans

    def _start_with_prefix(self, index: int, entity: str) -> int:
        """New, Lake, San before a place; a single initial before a name."""
        w = self.words
        if index and w.gaps[index] in (" ", ". ") and w.is_capital(index - 1) and self.marks[index - 1] is None:
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
        if code := CODE_AFTER.match(text, end):
            found.append(("ZIP", *code.span("v")))
        if before := NUMBER_BEFORE.search(text, max(0, start - 10), start):
            found.append(("LOCATION", before.start(), before.end() - 1))
        if after := NUMBER_AFTER.match(text, end):
            found.append(("LOCATION", after.start() + 1, after.end()))
        return found

    def undecided(self) -> list[tuple[int, int]]:
        """Sentences with a capital inside that no layer explains."""
        w = self.words
        found: list[tuple[int, int]] = []
        text = w.text
        for index, role in enumerate(w.roles):
            if not role & Role.CAPITAL or self.marks[index] is not None or w.opening[index]:
                continue
            word, kinds = w.words[index], w.kinds[index]
            if (
                (word.isupper() and (self.shouting or len(word) < 6))
                or kinds & Kind.MEDICAL
                or kinds & Kind.STATE
                or w.lowers[index] in FUNCTION
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
