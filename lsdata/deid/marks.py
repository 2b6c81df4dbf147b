"""What the layers of context write into: the entity of each word of a text."""

from bisect import bisect_left
from functools import cache

from lsdata.deid import vocabulary as v
from lsdata.deid.gazetteer import Kind, surnames
from lsdata.deid.words import PERSON, Words


@cache
def _frequent_surnames() -> frozenset[str]:
    return frozenset(surnames()[:1_000])


class Marks:
    """Entity of each word, by index; None where it is harmless."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.marks: list[str | None] = [None] * len(words.words)
        self.extra: list[tuple[str, int, int]] = []
        self.sure: set[str] = set()
        text = words.text
        self.caseless = text.islower() and len(words.words) > 2
        self.shouting = text.isupper() and len(words.words) > 2

    def is_eponym(self, index: int) -> bool:
        w = self.words
        if index and w.lowers[index - 1] in v.TITLES and w.gaps[index].strip(" .") == "":
            return False
        for after in range(index + 1, min(index + 4, len(w.words))):
            if len(w.gaps[after]) > 1 and w.gaps[after] not in ("'s ", "-", "' ", ". ", " ("):
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
        return index < len(w.words) and w.is_capital(index) and bool(w.kinds[index] & PERSON) and w.gaps[index] == " "

    def take_span(self, entity: str, start: int, end: int) -> None:
        w = self.words
        for index in range(bisect_left(w.starts, start), bisect_left(w.starts, end)):
            if not (w.kinds[index] & Kind.STATE and w.is_capital(index)):
                self.marks[index] = entity
        self.extra.append((entity, start, end))
