"""ZIP codes to the three digits that Safe Harbor may keep.

Source: 45 CFR 164.514(b)(2)(i)(B): the first three digits, if the area of all ZIP codes that begin with them holds more
than 20,000 people "according to the current publicly available data from the Bureau of the Census", else 000.
"""

import polars as pl

WITHHELD = "000"

_CODE = r"^(?:[0-9]{3}|[0-9]{4,5}(?:[- ]?[0-9]{4})?)$"
"""A prefix, ZIP or ZIP+4; the last two also without the leading zero that a spreadsheet takes away."""

_CENSUS_2020 = """
    006-007 009-054 056-089 100-191 193-212 214-268 270-310 312-331 333-339 341-342 344 346-347 349-352 354-374 376-398
    400-418 420-427 430-458 460-508 510-516 520-528 530-532 534-535 537-551 553-554 556-567 570-577 580-588 590-620
    622-631 633-641 644-648 650-658 660-662 664-681 683-693 700-701 703-708 710-714 716-731 734-741 743-770 772-816
    820-838 840-841 843-847 850-853 855-857 859-860 863-865 870-871 873-875 877-884 890-891 893-895 897-898 900 902-908
    910-928 930-937 939-941 943-961 967-968 970-986 988-999
"""
"""Prefixes that are in the 2020 census at all: DHC table P1 by ZIP Code Tabulation Area, 50 states, DC, Puerto Rico.

What is not here is military mail (090-098, 340, 962-966), the Virgin Islands, Guam and Samoa (008, 969: not in that
table), mail of one agency or firm (e.g. 055, 192, 733), or unassigned.
"""


def _prefixes(ranges: str) -> frozenset[str]:
    bounds = [part.split("-") for part in ranges.split()]
    return frozenset(f"{n:03d}" for b in bounds for n in range(int(b[0]), int(b[-1]) + 1))


RESTRICTED_2000 = _prefixes("036 059 063 102 203 556 692 790 821 823 830-831 878-879 884 890 893")
"""20,000 people or fewer in the 2000 census: HHS OCR guidance of 26 November 2012, section on paragraph (B)."""

RESTRICTED_2020 = _prefixes("036 059 102 202-205 369 556 692 753 772 821 823 878-879 884 893")
"""20,000 people or fewer in the 2020 census, same table."""

ALLOWED = _prefixes(_CENSUS_2020) - RESTRICTED_2000 - RESTRICTED_2020
"""Prefixes that are kept. The guidance's own list is honoured beside the newer one."""

_KEPT = pl.Series([prefix if (prefix := f"{n:03d}") in ALLOWED else WITHHELD for n in range(1_000)])
"""What becomes of each prefix, by its number."""


def zip3(codes: pl.Expr) -> pl.Expr:
    """First three digits of US ZIP codes, `000` where they may not be kept or the text is no ZIP code; null stays null.

    Args:
        codes: text (ZIP, ZIP+4 with or without hyphen, or three digits) or whole numbers; a leading zero that was
            lost is put back.
    """
    text = codes.cast(pl.String).str.strip_chars()
    length, fifth = text.str.len_bytes(), text.str.slice(4, 1)
    cut = length.is_in([4, 8]) | ((length == 9) & fifth.is_in(["-", " "]))
    digits = pl.when(cut).then(text.str.head(2)).otherwise(text.str.head(3))
    number = pl.when(text.str.contains(_CODE)).then(digits.cast(pl.UInt16, strict=False))
    prefix = pl.lit(_KEPT).gather(number.fill_null(0))
    return pl.when(codes.is_not_null()).then(prefix)
