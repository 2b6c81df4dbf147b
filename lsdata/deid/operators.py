"""Presidio operators: what stands in the place of an identifier."""

import hmac
import random
import re
from typing import Any

from presidio_anonymizer.operators import Operator, OperatorType

from lsdata.deid import gazetteer, text_dates
from lsdata.deid import vocabulary as v
from lsdata.deid.folding import fold

Params = dict[str, Any]

_WORD = re.compile(r"[^\W\d_]+")


class Tag(Operator):
    """The type in brackets: `[NAME]`; `[AGE]` for an age over 89, so that the tag itself shows no age."""

    def operate(self, text: str, params: Params | None = None) -> str:
        """The tag of `params["entity_type"]`."""
        return f"[{(params or {})['entity_type']}]".replace("AGE90", "AGE")

    def validate(self, params: Params | None = None) -> None:
        """Every value will do."""

    def operator_name(self) -> str:
        """The name under which Presidio knows it."""
        return "tag"

    def operator_type(self) -> OperatorType:
        """It cannot be undone."""
        return OperatorType.Anonymize


class ShiftDate(Tag):
    """A date moved by `params["days"]`, written as it was; `[DATE]` where there is no single day to move."""

    def operate(self, text: str, params: Params | None = None) -> str:
        """The moved date, or the tag."""
        values = params or {}
        return text_dates.shift(fold(text).text, values["days"]) or super().operate(text, values)

    def operator_name(self) -> str:
        """The name under which Presidio knows it."""
        return "shift_date"


class Surrogate(Tag):
    """An invented value of the same kind, the same for the same text of a patient.

    It is drawn by HMAC-SHA256 from `params["key"]`, the patient's random secret: without it nothing leads back, and
    destroying it makes the surrogates anonymous. No word of `params["taken"]` (the record's names) is ever drawn.
    Numbers on the net and telephones come from ranges reserved for examples: RFC 5737, RFC 2606, 555-01xx.
    """

    def operate(self, text: str, params: Params | None = None) -> str:
        """The surrogate; `[DATE]` for a date, which only a shift can replace."""
        values = params or {}
        entity, key = values["entity_type"], values["key"]
        plain = fold(text).text
        draw = _draw(key, entity, plain)
        match entity:
            case "DATE":
                return super().operate(text, values)
            case "AGE90":
                return "90+"
            case "ZIP":
                return "00000"
            case "EMAIL":
                return f"user{draw.randrange(10_000)}@example.org"
            case "USERNAME":
                return f"user{draw.randrange(10_000)}"
            case "URL":
                return f"https://example.org/{draw.randrange(10_000)}"
            case "IP":
                return f"192.0.2.{draw.randrange(1, 255)}"
            case "PHONE" | "FAX":
                return f"555-01{draw.randrange(100):02}"
            case "NAME" | "LOCATION" | "FACILITY" | "EMPLOYER":
                return self._words(plain, entity, key, values.get("taken") or ())
            case _:
                return "".join(_like(character, draw) for character in plain)

    def _words(self, text: str, entity: str, key: bytes, taken: Any) -> str:
        def replace(match: re.Match[str]) -> str:
            word = match.group()
            lower = word.lower()
            generic = v.FACILITIES | v.COMPANY_SUFFIXES | v.STREET_SUFFIXES
            if lower in v.TITLES | v.CREDENTIALS or (entity != "NAME" and lower in generic):
                return word
            if entity == "NAME":
                known = gazetteer.kind(lower)
                first = bool(known & gazetteer.Kind.FIRST) and lower not in gazetteer.surnames()[:500]
                choices = gazetteer.first_names() if first else gazetteer.surnames()
            else:
                choices = gazetteer.towns()
            draw = _draw(key, "word", lower)
            if len(word) == 1:
                return draw.choice("ABCDEFGHJKLMNPRSTW")
            new = draw.choice(choices)
            while new == lower or new in taken:
                new = draw.choice(choices)
            return new.upper() if word.isupper() else new if word.islower() else new.capitalize()

        digits = _draw(key, entity, text)
        return re.sub(r"\d", lambda _: str(digits.randrange(10)), _WORD.sub(replace, text))

    def operator_name(self) -> str:
        """The name under which Presidio knows it."""
        return "surrogate"


def _draw(key: bytes, *what: str) -> random.Random:
    return random.Random(hmac.digest(key, "\0".join(what).encode(), "sha256"))


def _like(character: str, draw: random.Random) -> str:
    if character.isdigit():
        return str(draw.randrange(10))
    if character.isalpha():
        letter = draw.choice("ABCDEFGHJKLMNPRSTVWXYZ")
        return letter if character.isupper() else letter.lower()
    return character
