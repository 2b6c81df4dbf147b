"""A text as recognisers read it: one plain spelling of every character, with the way back to the original offsets.

"FranÃ§oise", "Françoise" in either normal form and "Fran&ccedil;oise" are one name; full-width digits and
"1<b>2</b>3" are 123.
Normalisation forms: Unicode Standard Annex 15.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from html import unescape

# An opening or closing tag with attributes stays: what stands in an attribute must be read as well.
_ODD = re.compile(
    r"(?P<other>[^\x00-\x7f]+)|[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]|</?(?P<tag>[A-Za-z][A-Za-z0-9]{0,9})\s?/?>"
    r"|(?P<entity>&(?:\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)"
)
_INLINE = frozenset(
    (
        "a",
        "abbr",
        "b",
        "big",
        "code",
        "em",
        "font",
        "i",
        "mark",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "tt",
        "u",
        "wbr",
    )
)
# Letters without a decomposition, and punctuation of which patterns know one form only.
_PLAIN = {
    **dict(zip("øØłŁđĐðÐıħŧŋ", "oOlLdDdDihtn", strict=True)),
    **{
        "\u00df": "ss",
        "\u00e6": "ae",
        "\u00c6": "Ae",
        "\u0153": "oe",
        "\u0152": "Oe",
        "\u00fe": "th",
        "\u00de": "Th",
        "\ufffd": "x",
    },
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u2032`\u00b4\uff07", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
    **dict.fromkeys("\u0085\u2028\u2029", "\n"),
    **dict.fromkeys("\u00b5\u03bc", "u"),
    **{"\u2044": "/", "\u2206": "\u0394"},
    "\u00b7": ".",
}


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text.

    Args:
        text: the plain spelling.
        starts, ends: of each of its characters, where the original of it starts and ends; None if nothing changed.
    """

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the original of text[start:end], which must not be empty."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]

    def is_foreign(self, original: str, start: int, end: int) -> bool:
        """Whether text[start:end] was written with letters outside ASCII."""
        return self.starts is not None and not original[slice(*self.span(start, end))].isascii()


def fold(text: str) -> Folded:
    """The plain spelling of a text; runs in linear time and changes nothing in plain ASCII."""
    if text.isascii() and (_is_plain(text) or not _ODD.search(text)):
        return Folded(text)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def keep(plain: str, start: int, end: int) -> None:
        parts.append(plain)
        starts.extend([start] * len(plain))
        ends.extend([end] * len(plain))

    done = 0
    for odd in _ODD.finditer(text):
        parts.append(text[done : odd.start()])
        starts.extend(range(done, odd.start()))
        ends.extend(range(done + 1, odd.start() + 1))
        done = odd.end()
        match odd.lastgroup:
            case "tag":
                keep("" if odd["tag"].lower() in _INLINE else " ", odd.start(), done)
            case "entity":
                keep("".join(map(_plain, unescape(odd.group()))), odd.start(), done)
            case "other":
                if (meant := _repaired(odd.group())) != odd.group():
                    keep("".join(map(_plain, meant)), odd.start(), done)
                else:
                    for offset, character in enumerate(odd.group(), odd.start()):
                        keep(_plain(character), offset, offset + 1)
            case _:
                keep(" ", odd.start(), done)
    parts.append(text[done:])
    starts.extend(range(done, len(text)))
    ends.extend(range(done + 1, len(text) + 1))
    return Folded("".join(parts), starts, ends)


def _is_plain(text: str) -> bool:
    """Whether an ASCII text has no tag, entity or control character; much quicker than a search."""
    return "<" not in text and "&" not in text and text.replace("\n", "").replace("\t", "").isprintable()


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category in ("Cf", "Cc", "Mn", "Me"):
        return ""
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Zs":
        return " "
    return "".join(_PLAIN.get(c, c) for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))


def _repaired(run: str) -> str:
    """UTF-8 that was read as Windows-1252, once or twice, as it was meant."""
    for _ in range(2):
        try:
            run = b"".join(_byte(character) for character in run).decode()
        except UnicodeError:
            break
    return run


def _byte(character: str) -> bytes:
    return bytes([ord(character)]) if ord(character) < 256 else character.encode("cp1252")
