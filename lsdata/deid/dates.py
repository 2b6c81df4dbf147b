"""Dates as people and systems write them, to ISO 8601, complete or cut after the year or the month."""

import polars as pl

YEARS = (1850, 2150)
"""Years outside of these are typing errors, or two digits whose century nobody knows."""

_NAMED = ("%d-%b-%Y", "%d %B %Y", "%d.%B.%Y", "%B %d, %Y", "%B %d %Y", "%Y-%b-%d")
_NUMBERED = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y")
_MONTH_FIRST, _DAY_FIRST = ("%m/%d/%Y", "%m-%d-%Y"), ("%d/%m/%Y", "%d-%m-%Y")
_TIME = r"[T ]+\d{1,2}:\d{2}.*$"
_COMPACT = r"^(\d{4})(\d{2})(\d{2})$"


def iso_dates(texts: pl.Series) -> pl.Series:
    """ISO 8601 of each text; null where it is null, empty, impossible or of no known form. A time of day is cut off.

    Dates like 03/04/1985 are read month first, as in the United States, unless one of the series can only be day
    first and none only month first. Where the series has both kinds, those that could be either are not understood.

    Args:
        texts: one column of one delivery: the order of day and month is decided for all of it.
    """
    name = texts.name
    distinct = texts.drop_nulls().unique().alias("told").to_frame()
    text = pl.col("told").str.strip_chars().str.replace(_TIME, "").str.replace(_COMPACT, "$1-$2-$3")
    month, day = (_first(text, formats) for formats in (_MONTH_FIRST, _DAY_FIRST))
    read = distinct.select(
        "told",
        partial=text,
        sure=_first(text, (*_NUMBERED, *_NAMED)),
        month=month,
        day=day,
    )
    only_day, only_month = (
        read.select((pl.col(a).is_not_null() & pl.col(b).is_null()).any()).item() if read.height else False
        for a, b in (("day", "month"), ("month", "day"))
    )
    slashed = (
        pl.when(pl.col("month").is_null() | pl.col("day").is_null() | (pl.col("month") == pl.col("day"))).then(
            pl.coalesce("month", "day")
        )
        if only_day and only_month
        else pl.coalesce(*(("day", "month") if only_day else ("month", "day")))
    )
    whole = pl.coalesce("sure", slashed).dt.to_string("%Y-%m-%d")
    cut = pl.when(pl.col("partial").str.contains(r"^\d{4}(-(0[1-9]|1[0-2]))?$")).then("partial")
    iso = pl.coalesce(whole, cut)
    known = read.select("told", iso=pl.when(iso.str.head(4).cast(pl.Int32, strict=False).is_between(*YEARS)).then(iso))
    return texts.alias("told").to_frame().join(known, on="told", how="left", maintain_order="left")["iso"].alias(name)


def _first(text: pl.Expr, formats: tuple[str, ...]) -> pl.Expr:
    return pl.coalesce(text.str.to_date(form, strict=False) for form in formats)
