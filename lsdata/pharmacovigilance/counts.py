"""From report rows to counts of drug-event pairs, their margins and their expected counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdata.errors import InvalidInput, SchemaMismatch

Codes: TypeAlias = NDArray[np.int64]
Margins = Literal["reports", "pairs"]
REPORT = ("case_id", "drug", "event")


@dataclass(frozen=True)
class Counts:
    """Counts of the pairs that occur, in order of drug and event.

    Attributes:
        drugs, events: the names; `drug` and `event` are each pair's place among them.
        n: reports with both.
        n_drug, n_event: margins of each pair; n_total: what all of them are taken from.
        expected: n_drug * n_event / n_total, or the sum of that over the strata.
        drug_margins, event_margins: margins of each drug and event.
    """

    drugs: pl.Series
    events: pl.Series
    drug: Codes
    event: Codes
    n: Codes
    n_drug: Codes
    n_event: Codes
    n_total: int
    expected: NDArray[np.float64]
    drug_margins: Codes
    event_margins: Codes

    def frame(self) -> pl.DataFrame:
        """drug, event, n, n_drug, n_event, n_total, expected: a row per pair."""
        return pl.DataFrame(
            {
                "drug": self.drugs.gather(self.drug),
                "event": self.events.gather(self.event),
                "n": self.n,
                "n_drug": self.n_drug,
                "n_event": self.n_event,
                "n_total": np.full(len(self.n), self.n_total, dtype=np.int64),
                "expected": self.expected,
            }
        )


def count(reports: pl.DataFrame | pl.LazyFrame, strata: Sequence[str] = (), margins: Margins = "reports") -> Counts:
    """Counts of the drug-event pairs of reports. Repeated rows count once; the order of rows does not matter.

    Args:
        reports: case_id, drug, event and the strata, a row per combination; other columns are ignored. Of a frame in
            memory, or of a lazy one, no more than integer codes are copied.
        strata: columns that say which stratum a report lies in, the same in all rows of a report; null is a stratum
            of its own. Expected counts are summed over strata (DuMouchel 1999; Mantel & Haenszel).
        margins: "reports" counts distinct reports of a drug, of an event and in all (openEBGM); "pairs" sums n over
            the pairs of a drug, of an event and in all, so that a report counts as often as it has pairs (PhViD,
            vigipy).

    Raises:
        SchemaMismatch: a column is missing.
        InvalidInput: a report has no case, drug or event, or lies in several strata.
    """
    frame = _read(reports, tuple(dict.fromkeys((*REPORT, *strata))))
    case, cases = _coded(frame["case_id"])
    drug, drugs = _coded(frame["drug"])
    event, events = _coded(frame["event"])
    stratum = _strata(frame.select(strata), case, len(cases)) if strata else None
    del frame
    n_drugs, n_events = len(drugs), len(events)
    if len(cases) * n_drugs * n_events > np.iinfo(np.int64).max:
        raise _invalid(
            "too_many", f"{len(cases)} reports, {n_drugs} drugs, {n_events} events", "a product below 2^63",
            "Count parts of the reports.",
        )  # fmt: skip
    # One integer per row sorts and compares faster than three values, and takes less room.
    rows = case.astype(np.int64)
    for code, size in ((drug, n_drugs), (event, n_events)):
        rows *= size
        rows += code
    del case, drug, event, code
    triples = _distinct(rows)
    case, pair = np.divmod(triples, max(n_drugs * n_events, 1))
    pairs, n = _tally(pair.copy())
    of_drug, of_event = np.divmod(pairs, max(n_events, 1))
    if margins == "pairs":
        holders = ((case, pair // n_events), (case, pair % n_events), case)
    else:
        with_drug = _distinct(triples // max(n_events, 1))
        del triples
        case *= n_events
        case += pair % max(n_events, 1)
        del pair
        with_event = _distinct(case)
        holders = (
            np.divmod(with_drug, max(n_drugs, 1)),
            np.divmod(with_event, max(n_events, 1)),
            np.arange(len(cases)),
        )
    drug_margins, event_margins, total = _margins(holders, (n_drugs, n_events), stratum)
    n_drug, n_event = (m.sum(axis=0) for m in (drug_margins, event_margins))
    expected = np.zeros(len(pairs))
    for of_drugs, of_events, of_all in zip(drug_margins, event_margins, total, strict=True):
        expected += of_drugs[of_drug] * of_events[of_event] / of_all
    return Counts(
        drugs=drugs, events=events, drug=of_drug, event=of_event, n=n, n_drug=n_drug[of_drug],
        n_event=n_event[of_event], n_total=int(total.sum()), expected=expected, drug_margins=n_drug,
        event_margins=n_event,
    )  # fmt: skip


def _invalid(code: str, found: str, allowed: str, do: str) -> InvalidInput:
    return InvalidInput("reports", code=code, found=found, allowed=allowed, do=do)


def _read(reports: pl.DataFrame | pl.LazyFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The columns, with strings as integers and a dictionary of their own."""
    schema = reports.lazy().collect_schema()
    if missing := [name for name in columns if name not in schema]:
        raise SchemaMismatch(
            "reports", found=f"no column {', '.join(missing)}", allowed=f"{', '.join(columns)}", do="Add or rename it."
        )
    frame = (
        reports.lazy()
        .select(
            pl.col(name).cast(pl.Categorical(pl.Categories.random())) if schema[name] == pl.String else pl.col(name)
            for name in columns
        )
        .collect(engine="streaming")
    )
    if empty := {name: frame[name].null_count() for name in REPORT if frame[name].null_count()}:
        found = ", ".join(f"{rows} rows without {name}" for name, rows in empty.items())
        raise _invalid("incomplete_row", found, "case_id, drug and event in every row", "Quarantine those rows first.")
    return frame


def _coded(values: pl.Series) -> tuple[NDArray[np.integer], pl.Series]:
    """The place of each value among the distinct ones, and those in order; null comes after them."""
    if values.null_count():
        codes, names = _coded(values.drop_nulls())
        all_codes = np.full(len(values), len(names))
        all_codes[values.is_not_null().to_numpy()] = codes
        return all_codes, names
    names = values.unique()
    if isinstance(values.dtype, pl.Categorical | pl.Enum):
        names = names.gather(names.cast(pl.String).arg_sort())
        values, keys = values.to_physical(), names.to_physical()
        names = names.cast(pl.String) if isinstance(names.dtype, pl.Categorical) else names
    else:
        keys = names = names.sort()
    if keys.dtype.is_integer() and len(keys):
        lowest, highest = int(keys.min()), int(keys.max())  # pyright: ignore[reportArgumentType]
        if highest - lowest <= 4 * len(values) + 1_000_000:
            place = np.zeros(highest - lowest + 1, dtype=np.int32)
            place[keys.to_numpy() - lowest] = np.arange(len(keys), dtype=np.int32)
            return place[values.to_numpy() - lowest], names
    return keys.search_sorted(values).to_numpy().astype(np.int64), names


def _strata(columns: pl.DataFrame, case: NDArray[np.integer], cases: int) -> Codes:
    """The stratum of each report."""
    codes = [_coded(column) for column in columns]
    stratum = reduce(lambda sum_, one: sum_ * (len(one[1]) + 1) + one[0], codes, np.zeros(len(case), dtype=np.int64))
    _, stratum = np.unique(stratum, return_inverse=True)
    of_case = np.zeros(cases, dtype=np.int64)
    of_case[case] = stratum
    if several := len(np.unique(case[of_case[case] != stratum])):
        raise _invalid(
            "several_strata", f"{several} reports in more than one stratum of {', '.join(columns.columns)}",
            "one stratum for all rows of a report", "Take one value per report first.",
        )  # fmt: skip
    return of_case


def _margins(
    holders: tuple[tuple[Codes, Codes], tuple[Codes, Codes], Codes], sizes: tuple[int, int], stratum: Codes | None
) -> tuple[Codes, Codes, Codes]:
    """What each drug, each event and all have in each stratum: (strata, drugs), (strata, events), (strata)."""
    strata = 1 if stratum is None else int(stratum.max(initial=-1)) + 1
    found: list[Codes] = []
    for (case, member), size in zip(holders[:2], sizes, strict=True):
        cell = member if stratum is None else stratum[case] * size + member
        found.append(np.bincount(cell, minlength=strata * size).reshape(strata, size))
    everything = np.zeros_like(holders[2]) if stratum is None else stratum[holders[2]]
    return found[0], found[1], np.bincount(everything, minlength=strata)


def _distinct(values: Codes) -> Codes:
    """The distinct values in order; sorts in place."""
    values.sort()
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def _tally(values: Codes) -> tuple[Codes, Codes]:
    """The distinct values in order, and how often each occurs; sorts in place."""
    values.sort()
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else np.zeros(0, dtype=np.int64)
    return values[first], np.diff(np.append(first, len(values)))
