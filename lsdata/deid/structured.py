"""Structured data without identifiers: what `lsdata.catalog.twin` declares, done to frames.

Source: 45 CFR 164.514(b)(1) and (2); HHS OCR, Guidance Regarding Methods for De-identification of PHI (2012).
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import polars as pl

from lsdata.catalog import Column, Dataset, Phi
from lsdata.catalog.twin import AGE_CAP_YEARS, AGE_CAPS, ISO_DATE, Method, Treatment, Twin, treatment, year_name
from lsdata.deid.dates import iso_dates
from lsdata.deid.vault import Known, Pseudonyms
from lsdata.deid.zip3 import zip3
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, SchemaMismatch, ScrubFailed

if TYPE_CHECKING:
    import pyarrow as pa

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

DATE_NOT_READ = "date_not_read"

_IDENTIFIER, _PSEUDONYM, _OFFSET = "deid identifier", "deid pseudonym", "deid offset"
"""Working columns. The blank keeps them apart from declared ones, which are identifiers of SQL."""

_TEXTS_A_BATCH = 1_000

_MIDDLE = (7, 2)
"""Month and day of the middle of a year."""

_AGE = r"^\s*(\d{1,3})(\.\d+)?\s*([A-Za-z]+[ \-]?(old)?)?\s*$"


class Scrubbed(Protocol):
    """One text after scrubbing."""

    @property
    def text(self) -> str:
        """Without identifiers."""
        ...

    @property
    def withheld(self) -> str | None:
        """Why the text is not given out; None where it is."""
        ...


Scrub = Callable[..., Sequence[Scrubbed]]
"""`scrub(texts, patients)`; by the expert method `scrub(texts, patients, day_offsets=...)`.

Args: lists of one length: texts; per text the known identifiers of its row by column name; the days by which its
patient's dates move, None where there is no patient. Returns one result a text, in order.
"""


def typed(dataset: Dataset, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of a bronze dataset as its `silver_phi`: dates in ISO 8601, texts trimmed, empty ones null.

    Args:
        dataset: as `lsdata.catalog.twin.typed` declares it.

    Returns:
        All rows; and per date that could not be read `row` (0-based), `column`, `reason`: there it is null.
    """
    texts = [c.name for c in dataset.columns if c.type == "string" and c.phi is not Phi.FREE_TEXT]
    trimmed = pl.col(texts).str.strip_chars()
    rows = frame.with_columns(pl.when(trimmed.str.len_bytes() > 0).then(trimmed))
    dates = [c.name for c in dataset.columns if c.type == "string" and treatment(c) is Treatment.DATE]
    read = rows.with_columns(iso_dates(rows[name]) for name in dates)
    faults = [
        read.select(row=pl.int_range(pl.len()), column=pl.lit(name), reason=pl.lit(DATE_NOT_READ)).filter(
            rows[name].is_not_null() & read[name].is_null()
        )
        for name in dates
    ]
    none = pl.DataFrame(schema={"row": pl.Int64(), "column": pl.String(), "reason": pl.String()})
    return read.select(dataset.names), pl.concat([none, *faults])


def deidentify(
    twin: Twin,
    frame: Frame,
    *,
    pseudonyms: Pseudonyms | Known,
    as_of: date,
    method: Method = Method.SAFE_HARBOR,
    scrub: Scrub | None = None,
) -> Frame:
    """Rows of a twin from rows of its source, in their order. Lazy rows stay lazy unless there is free text in them.

    Both methods remove direct identifiers, give the patient's pseudonym, three digits of ZIP codes and 90 for ages over
    89, and scrub free text. Safe Harbor keeps of dates the year. Expert moves all dates of a patient by the patient's
    offset, so that intervals stay; a year without a day moves as its middle does.

    Args:
        frame: the declared columns of the source.
        as_of: a day no earlier than any event in the data, e.g. that of the delivery. A year 90 before it, or
            earlier, shows an age over 89 and is given as that year.
        scrub: e.g. `Scrubber().scrub`; needed where the source has free text.

    Raises:
        SchemaMismatch: the frame has not the declared columns.
        InvalidInput: expert, and rows belong to no patient.
        ScrubFailed: free text and no scrubber, or the scrubber failed: there is no output.
        KeyDestroyed, VaultTampered: of the vault.
    """
    source, lazy = twin.source, frame.lazy()
    if faults := arrow.schema_faults(source, lazy.collect_schema()):
        raise SchemaMismatch(
            source.key,
            found="; ".join(faults),
            allowed="the declared columns",
            do="Pass rows of the twin's source.",
        )
    if method is Method.EXPERT and twin.patient is None:
        raise InvalidInput(
            twin.key,
            code="no_patient",
            found="no patient's column is declared, so there is no offset",
            allowed="safe_harbor",
            do="Declare the patient's column, or use safe_harbor.",
        )
    texts = [name for name, how in twin.treatments.items() if how is Treatment.SCRUB]
    if texts and scrub is None:
        raise ScrubFailed(
            twin.key,
            found=f"free text in {', '.join(texts)} and no scrubber",
            allowed="text that was scrubbed",
            do="Pass a scrubber, or declare the columns as removed.",
        )
    rows = _linked(twin, lazy.select(source.names), pseudonyms)
    if texts and scrub is not None:
        told = rows.collect()
        rows = told.with_columns([_scrubbed(twin, told, name, scrub, method) for name in texts]).lazy()
    made = [e for c in source.columns for e in _expressions(c, twin.treatments[c.name], as_of, method)]
    out = rows.select(*made, pl.lit(str(method)).alias("deid_method"))
    checked = out.select(pl.col(name).cast(dtype) for name, dtype in arrow.polars_schema(twin).items())
    return cast("Frame", checked if isinstance(frame, pl.LazyFrame) else checked.collect())


def look_up(twin: Twin, frame: pl.DataFrame | pl.LazyFrame, pseudonyms: Pseudonyms) -> Known:
    """All pseudonyms that `deidentify` needs for these rows, so that it can run where the vault is not."""
    rows = frame.lazy()
    return Known(
        pseudonyms.patients(_named(rows, twin.patient)[_IDENTIFIER] if twin.patient else pl.Series(dtype=pl.String)),
        {name.lower(): pseudonyms.tokens(name.lower(), _named(rows, name)[_IDENTIFIER]) for name in _coded(twin)},
    )


def arrow_batches(
    twin: Twin,
    pseudonyms: Known,
    as_of: date,
    method: Method = Method.SAFE_HARBOR,
    scrubber: Callable[[], Scrub] | None = None,
) -> "Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]":
    """`deidentify` for Spark's `mapInArrow`: the same rows as on one machine, batch by batch.

    Args:
        pseudonyms: of all rows, from `look_up`.
        scrubber: makes the scrubber, once a task; models are not sent to workers.
    """

    def run(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        scrub = scrubber() if scrubber else None
        schema = arrow.arrow_schema(twin, comments=False)
        for batch in batches:
            rows = pl.DataFrame(batch, schema=arrow.polars_schema(twin.source))
            made = deidentify(twin, rows, pseudonyms=pseudonyms, as_of=as_of, method=method, scrub=scrub)
            yield from made.rechunk().to_arrow().cast(schema).to_batches()

    return run


def _linked(twin: Twin, rows: pl.LazyFrame, pseudonyms: Pseudonyms | Known) -> pl.LazyFrame:
    """With the patient's pseudonym and offset, and with codes in place of other identifiers."""
    if twin.patient is not None:
        named = _named(rows, twin.patient)
        known = pseudonyms.patients(named[_IDENTIFIER])
        rows = _join(rows, named, known.rename({"pseudonym": _PSEUDONYM, "offset_days": _OFFSET}))
    for name in _coded(twin):
        named = _named(rows, name)
        known = pseudonyms.tokens(name.lower(), named[_IDENTIFIER])
        rows = _join(rows, named, known.rename({"pseudonym": f"{_PSEUDONYM} {name}"}))
    return rows


def _coded(twin: Twin) -> list[str]:
    return [name for name, how in twin.treatments.items() if how is Treatment.TOKEN]


def _named(rows: pl.LazyFrame, name: str) -> pl.DataFrame:
    """Each value of a column, and the identifier it is: text without blanks around it; an empty one is nobody's.

    The work of this goes by the number of patients, not of rows.
    """
    text = pl.col(name).cast(pl.String).str.strip_chars()
    distinct = rows.select(name).unique().collect(engine="streaming")
    return distinct.with_columns(pl.when(text.str.len_bytes() > 0).then(text).alias(_IDENTIFIER))


def _join(rows: pl.LazyFrame, named: pl.DataFrame, known: pl.DataFrame) -> pl.LazyFrame:
    mapped = named.join(known, left_on=_IDENTIFIER, right_on="identifier").drop(_IDENTIFIER)
    return rows.join(mapped.lazy(), on=mapped.columns[0], how="left", maintain_order="left")


def _expressions(column: Column, how: Treatment, as_of: date, method: Method) -> Iterator[pl.Expr]:
    """The twin's columns of one column, in the order in which `lsdata.catalog.twin` declares them."""
    value = pl.col(column.name)
    match how:
        case Treatment.REMOVE:
            return
        case Treatment.KEEP | Treatment.SCRUB:
            yield value
        case Treatment.PSEUDONYM:
            yield pl.col(_PSEUDONYM).alias(column.name)
        case Treatment.TOKEN:
            yield pl.col(f"{_PSEUDONYM} {column.name}").alias(column.name)
        case Treatment.ZIP3:
            yield zip3(value).alias(column.name)
        case Treatment.AGE:
            yield _age(column).alias(column.name)
        case Treatment.YEAR:
            year = _shifted(pl.date(value, *_MIDDLE)).dt.year() if method is Method.EXPERT else value
            yield _year(year, as_of).alias(column.name)
        case Treatment.DATE if method is Method.SAFE_HARBOR:
            yield _year(_known_year(column), as_of).alias(year_name(column.name))
            yield pl.lit(None).alias(column.name)
        case Treatment.DATE:
            yield _year(_shifted(_day(column)).dt.year(), as_of).alias(year_name(column.name))
            yield _young(_shifted(_whole(column)), as_of).alias(column.name)


def _year(year: pl.Expr, as_of: date) -> pl.Expr:
    return year.clip(lower_bound=as_of.year - AGE_CAP_YEARS)


def _young(day: pl.Expr, as_of: date) -> pl.Expr:
    """The day, unless it was 90 years ago or more."""
    last = date(as_of.year - AGE_CAP_YEARS, as_of.month, min(as_of.day, 28) if as_of.month == 2 else as_of.day)
    return pl.when(day.dt.date() > last).then(day)


def _shifted(day: pl.Expr) -> pl.Expr:
    """Moved by the patient's offset; null without one."""
    return day + pl.duration(days=_OFFSET)


def _known_year(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    if column.type != "string":
        return value.dt.year()
    return pl.when(value.str.contains(f"^{ISO_DATE}$")).then(value.str.head(4)).cast(pl.Int32, strict=False)


def _whole(column: Column) -> pl.Expr:
    """The day of a complete date."""
    value = pl.col(column.name)
    return value.str.to_date("%Y-%m-%d", strict=False) if column.type == "string" else value


def _day(column: Column) -> pl.Expr:
    """The day of a date, the middle of what it can be where that is not told."""
    if column.type != "string":
        return pl.col(column.name)
    value = pl.col(column.name)
    digits = value.str.len_bytes()
    middle = pl.when(digits == 4).then(value + "-07-02").when(digits == 7).then(value + "-15").otherwise(value)
    return middle.str.to_date("%Y-%m-%d", strict=False)


def _age(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    if column.type != "string":
        return value.clip(upper_bound=AGE_CAPS[column.unit or ""])
    number = value.str.extract(_AGE, 1).cast(pl.Int32, strict=False)
    years = ~value.str.contains(r"(?i)\d\s*(m|w|d|h)")
    over = f"{AGE_CAP_YEARS}+"
    known = pl.when(years & (number >= AGE_CAP_YEARS)).then(pl.lit(over)).when(number.is_not_null()).then(value)
    return pl.when(value.str.strip_chars() == over).then(pl.lit(over)).otherwise(known)


def _scrubbed(twin: Twin, rows: pl.DataFrame, name: str, scrub: Scrub, method: Method) -> pl.Series:
    """One column of free text, scrubbed a batch at a time."""
    identifying = [c.name for c in twin.source.columns if c.phi not in (Phi.NONE, Phi.FREE_TEXT)]
    clean: list[str | None] = []
    for batch in rows.drop_nulls(name).iter_slices(_TEXTS_A_BATCH):
        patients: list[Mapping[str, Any]] = [
            {k: v for k, v in row.items() if v is not None} for row in batch.select(identifying).iter_rows(named=True)
        ]
        more = {"day_offsets": batch[_OFFSET].to_list()} if method is Method.EXPERT else {}
        clean += _outcome(twin, name, functools.partial(scrub, batch[name].to_list(), patients, **more), batch.height)
    return pl.Series(name, [None] * rows.height, dtype=pl.String).scatter(rows[name].is_not_null().arg_true(), clean)


def _outcome(twin: Twin, column: str, scrub: Callable[[], Sequence[Scrubbed]], count: int) -> list[str | None]:
    """The scrubbed texts; null where one is withheld. What is said of a failure may hold the text: it stays here."""
    found, texts = "", list[str | None]()
    try:
        results = list(scrub())
        texts = [None if result.withheld else result.text for result in results]
        if len(texts) != count or not all(type(result.text) is str for result in results):
            found = "other than one text for each"
    except Exception as error:
        found = f"the scrubber failed with {type(error).__name__}"
    if found:
        raise ScrubFailed(
            twin.key,
            found=f"{column}: {found}, of {count} texts",
            allowed="one scrubbed text for each",
            do="Nothing was passed on. Run the scrubber alone on this delivery, where its message may be read.",
        )
    return texts
