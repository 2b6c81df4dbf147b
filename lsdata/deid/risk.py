"""How easily rows could be traced to people: the evidence for Expert Determination, 45 CFR 164.514(b)(1).

Rows that agree in all quasi-identifiers are an equivalence class. All measures are of its size in the data, its size in
the population the data were drawn from, and what a sensitive column holds in it. Null is a value like any other.

Source: Sweeney 2002, doi:10.1142/S0218488502001648 (k-anonymity); Machanavajjhala et al. 2007,
doi:10.1145/1217299.1217302 (l-diversity); Li et al. 2007, doi:10.1109/ICDE.2007.367856 (t-closeness);
El Emam, Guide to the De-Identification of Personal Health Information, 2013, and Dankar and El Emam 2010,
doi:10.1145/1754239.1754271 (prosecutor, journalist and marketer risk).
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdata.catalog.twin import Treatment, Twin, year_name
from lsdata.derived.expectations import CheckResult
from lsdata.errors import InvalidInput

K = 11
"""No class of 10 or fewer: CMS cell size suppression policy; 1/11 is the 0.09 of EMA policy 0070."""

MOST_SUPPRESSED = 0.05
"""Share of records up to which suppression is better than one more step of generalisation: a customary value."""

_ROWS = "deid rows"
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What a release must keep; None where it is measured only.

    Args:
        k: smallest class (records).
        l: fewest distinct values of a sensitive column in a class.
        t: largest distance of a class from all data, 0 to 1.
        prosecutor, journalist: largest probability that one record is found.
        marketer: largest expected share of records that are found.
    """

    k: int | None = K
    l: int | None = 2  # noqa: E741 - its name
    t: float | None = None
    prosecutor: float | None = None
    journalist: float | None = None
    marketer: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The risk of one release.

    Args:
        measures: `measure, column, value, threshold, passed, doc`; threshold and passed are null where not asked for.
        sizes: `size, classes, records`: how many classes there are of each size.
        suppression: `column, cells, share`: what `suppress` would take away so that no class is smaller than k;
            column `*` is whole rows.
        records: rows of the data (count).
        records_below_k: rows in classes smaller than k (count).
    """

    measures: pl.DataFrame
    sizes: pl.DataFrame
    suppression: pl.DataFrame
    records: int
    records_below_k: int

    @property
    def failing(self) -> tuple[str, ...]:
        """Names of the measures that break their threshold."""
        return tuple(self.measures.filter(~pl.col("passed"))["measure"].to_list())

    def check(self, dataset: str) -> CheckResult:
        """The report as one blocking check of a dataset."""
        return CheckResult(
            name="reidentification_risk",
            passed=not self.failing,
            blocking=True,
            failing=self.records_below_k,
            rows=self.records,
            doc=f"Over its threshold: {', '.join(self.failing) or 'nothing'}.",
            query=f"SELECT * FROM delta_scan('{dataset}')",
        )

    def markdown(self) -> str:
        """The measures as a table, the class sizes as a plot, and what to suppress. No value of any column."""
        told = [f"**{self.records} records, {self.records_below_k} in classes that are too small**", ""]
        told += _table(self.measures.select("measure", "column", "value", "threshold", "passed"))
        told += ["", _plot(self.sizes, self.records), ""]
        return "\n".join([*told, *(_table(self.suppression) if self.suppression.height else ())])


def risk(
    frame: pl.DataFrame | pl.LazyFrame,
    quasi_identifiers: Sequence[str],
    sensitive: Sequence[str] = (),
    *,
    population: pl.DataFrame | pl.LazyFrame | None = None,
    thresholds: Thresholds | None = None,
) -> Report:
    """Measure a release.

    Args:
        frame: one row per patient: several rows of one would hide each other.
        sensitive: columns that nobody should be able to infer. Numbers and dates have an order (ordered distance);
            other values are all equally far apart.
        population: the people the data were drawn from, with the same quasi-identifiers, a row each. Without it the
            data are taken for the population, which gives the journalist the prosecutor's certainty: an upper bound.

    Raises:
        InvalidInput: there are no rows, or no quasi-identifiers.
    """
    wanted, names = thresholds or Thresholds(), list(quasi_identifiers)
    if not names:
        raise _unmeasurable("no quasi-identifiers", "the columns that together may single a person out")
    rows = frame.lazy()
    classes = rows.group_by(names).agg(pl.len().cast(pl.Int64).alias(_ROWS)).collect(engine="streaming")
    f = classes[_ROWS].cast(pl.Float64).to_numpy()
    if not f.size:
        raise _unmeasurable("no rows", "at least one")
    n, people = f.sum(), _population(classes, names, population)
    measures = [
        _measure("k", "", f.min(), wanted.k, least=True, doc="Records in the smallest class."),
        _measure("prosecutor", "", 1 / f.min(), wanted.prosecutor, doc="Highest risk of a person known to be here."),
        _measure("prosecutor_average", "", f.size / n, None, doc="Mean risk of a person known to be here."),
        _measure("journalist", "", 1 / people.min(), wanted.journalist, doc="Highest risk of one of the population."),
        _measure(
            "journalist_average", "", max(f.size / people.sum(), (f / people).sum() / n), None,
            doc="Mean risk of one of the population.",
        ),
        _measure("marketer", "", (f / people).sum() / n, wanted.marketer, doc="Expected share of records found."),
    ]  # fmt: skip
    for column in sensitive:
        distinct, entropy, distance = _inference(rows, names, column)
        measures += [
            _measure("l", column, distinct, wanted.l, least=True, doc="Fewest distinct values in a class."),
            _measure("l_entropy", column, entropy, None, doc="Smallest exponential of a class's entropy."),
            _measure("t", column, distance, wanted.t, doc="Largest earth mover's distance of a class from all."),
        ]
    sizes = classes.group_by(size=pl.col(_ROWS)).agg(pl.len().alias("classes")).sort("size")
    least = wanted.k or K
    return Report(
        measures=pl.DataFrame(measures, schema=_MEASURES),
        sizes=sizes.with_columns(records=pl.col("size") * pl.col("classes")),
        suppression=_cells(_plan(classes, names, least), names, int(n)),
        records=int(n),
        records_below_k=int(f[f < least].sum()),
    )


def suppress(frame: pl.DataFrame, quasi_identifiers: Sequence[str], k: int = K) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of which no class is smaller than k, with as few cells made null as a greedy search finds; and the rest.

    For classes that are too small, one quasi-identifier is given up where that makes k rows agree, else two, three, at
    last all. Rows for which even that is not enough are returned apart, with all their columns.
    """
    names = list(quasi_identifiers)
    plan = _plan(frame.group_by(names).agg(pl.len().cast(pl.Int64).alias(_ROWS)), names, k).drop(_ROWS)
    marked = frame.join(plan, on=names, how="left", nulls_equal=True, maintain_order="left")
    apart = pl.col(_flag("*")).fill_null(value=False)
    kept = marked.filter(~apart).with_columns(
        pl.when(pl.col(_flag(name)).fill_null(value=False)).then(None).otherwise(pl.col(name)).alias(name)
        for name in names
    )
    return kept.select(frame.columns), marked.filter(apart).select(frame.columns)


# ---------------------------------------------------------------- generalisation


def levels(twin: Twin) -> Mapping[str, tuple[pl.Expr, ...]]:
    """The hierarchy of each quasi-identifier, from as it is to nothing, each level made from the first.

    Years and ages: single, then the first of 5, 10 and 20. ZIP codes: three digits, then the first as `9xx`. Other
    values: as they are. The last level is null.
    """
    found: dict[str, tuple[pl.Expr, ...]] = {}
    for column, how in twin.treatments.items():
        name = year_name(column) if how is Treatment.DATE else column
        if name not in twin.quasi_identifiers:
            continue
        value, kind = pl.col(name), twin.column(name).type
        steps: list[pl.Expr] = [value]
        if how in (Treatment.DATE, Treatment.YEAR) or (how is Treatment.AGE and kind in ("int32", "int64")):
            steps += [value - value % width for width in (5, 10, 20)]
        elif how is Treatment.ZIP3:
            steps += [value.str.head(1) + "xx"]
        found[name] = (*steps, pl.when(False).then(value))
    return found


def generalise(twin: Twin, frame: pl.DataFrame, chosen: Mapping[str, int]) -> pl.DataFrame:
    """Rows of a twin with quasi-identifiers at a level of `levels`; a date whose year is not as it is becomes null."""
    hierarchies = levels(twin)
    coarse = [hierarchies[name][level].alias(name) for name, level in chosen.items() if level]
    days = [
        pl.lit(None, frame.schema[column]).alias(column)
        for column, how in twin.treatments.items()
        if how is Treatment.DATE and chosen.get(year_name(column))
    ]
    return frame.with_columns(*coarse, *days)


def search(twin: Twin, frame: pl.DataFrame, k: int = K, most_suppressed: float = MOST_SUPPRESSED) -> Mapping[str, int]:
    """The levels that lose least, and leave no more than a share of the records in classes smaller than k.

    Loss is the mean of level / highest level (Sweeney's precision). All levels are tried, the least loss first, on
    classes instead of rows. Source: El Emam et al. 2009, doi:10.1197/jamia.M3144, for the criterion.
    """
    hierarchies = levels(twin)
    names = list(hierarchies)
    classes = frame.group_by(names).agg(pl.len().alias(_ROWS))
    heights = [len(hierarchies[name]) - 1 for name in names]

    def loss(node: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return sum(level / top for level, top in zip(node, heights, strict=True)), node

    for node in sorted(product(*(range(top + 1) for top in heights)), key=loss):
        merged = classes.select(
            *(hierarchies[name][level].alias(name) for name, level in zip(names, node, strict=True)), _ROWS
        )
        sizes = merged.group_by(names).agg(pl.col(_ROWS).sum())[_ROWS]
        if sizes.filter(sizes < k).sum() <= most_suppressed * frame.height:
            return dict(zip(names, node, strict=True))
    return dict(zip(names, heights, strict=True))


# ---------------------------------------------------------------- measures

_MEASURES = {
    "measure": pl.String(), "column": pl.String(), "value": pl.Float64(), "threshold": pl.Float64(),
    "passed": pl.Boolean(), "doc": pl.String(),
}  # fmt: skip


def _measure(
    name: str, column: str, value: float, threshold: float | None, *, least: bool = False, doc: str
) -> dict[str, Any]:
    value = float(value)
    holds = None if threshold is None else (value >= threshold if least else value <= threshold)
    return {
        "measure": name, "column": column, "value": value, "threshold": threshold, "passed": holds, "doc": doc,
    }  # fmt: skip


def _unmeasurable(found: str, allowed: str) -> InvalidInput:
    return InvalidInput(
        "re-identification risk", code="not_measurable", found=found, allowed=allowed, do="Declare or deliver them."
    )


def _population(classes: pl.DataFrame, names: list[str], population: pl.DataFrame | pl.LazyFrame | None) -> _Floats:
    """People of each class; the class itself where the population misses some of it."""
    if population is None:
        return cast("_Floats", classes[_ROWS].cast(pl.Float64).to_numpy())
    people = population.lazy().group_by(names).agg(pl.len().cast(pl.Int64).alias("people")).collect(engine="streaming")
    joined = classes.join(people, on=names, how="left", nulls_equal=True, maintain_order="left")
    sizes = joined.select(pl.max_horizontal(_ROWS, pl.col("people").fill_null(0)).cast(pl.Float64))
    return cast("_Floats", sizes.to_series().to_numpy())


def _inference(rows: pl.LazyFrame, names: list[str], column: str) -> tuple[float, float, float]:
    """Fewest distinct values, smallest exp(entropy) and largest distance over all classes."""
    groups, value = [pl.col(name).alias(f"q{i}") for i, name in enumerate(names)], pl.col(column).alias("value")
    cells = (
        rows.select(*groups, value)
        .group_by(pl.all())
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .collect(engine="streaming")
    )
    values = cells.group_by("value").agg(pl.col("n").sum()).sort("value")
    order = values.select("value", at=pl.int_range(pl.len()))
    keys = [f"q{i}" for i in range(len(names))]
    cells = (
        cells.join(order, on="value", nulls_equal=True)
        .sort(*keys, "at")
        .with_columns(group=pl.struct(keys).rle_id(), share=pl.col("n") / pl.col("n").sum().over(keys))
    )
    by_class = cells.group_by("group").agg(distinct=pl.len(), entropy=-(pl.col("share") * pl.col("share").log()).sum())
    share = (values["n"] / values["n"].sum()).to_numpy()
    ordered = cells.schema["value"].is_numeric() or cells.schema["value"].is_temporal()
    distances = (_ordered if ordered else _equal)(
        cells["group"].to_numpy(), cells["at"].to_numpy(), cells["share"].to_numpy(), cast("_Floats", share)
    )
    fewest, smallest = by_class.select(pl.col("distinct").min(), pl.col("entropy").min()).row(0)
    return float(fewest), float(np.exp(smallest)), float(distances.max())


def _equal(group: npt.NDArray[Any], at: npt.NDArray[Any], share: _Floats, overall: _Floats) -> _Floats:
    """Earth mover's distance where all values are equally far apart: half the sum of |p - q|. Source: Li, section 5.2.

    Of the values a class has not, the sum is what is left of q.
    """
    q = overall[at]
    return (np.bincount(group, np.abs(share - q)) + 1 - np.bincount(group, q)) / 2


def _ordered(group: npt.NDArray[Any], at: npt.NDArray[Any], share: _Floats, overall: _Floats) -> _Floats:
    """Earth mover's distance of ordered values: mean of |P - Q|, both cumulated, over m - 1 steps. Source: Li, 5.1.

    P is constant between two values of a class, and Q grows: so where Q passes P, found by bisection, splits the sum
    over the values in between in two, each of which follows from the cumulated Q. No class meets the values it lacks.
    """
    m = overall.size
    if m == 1:
        return np.zeros(1)
    cumulated = np.cumsum(overall)
    sums = np.concatenate(([0.0], np.cumsum(cumulated)))  # sums[i] is of the first i
    first = np.concatenate(([True], group[1:] != group[:-1]))
    total = np.cumsum(share)
    level = total - (total - share)[first][group]  # P from this value up to the next of the class
    end = np.where(np.concatenate((first[1:], [True])), m, np.concatenate((at[1:], [m])))
    turn = np.clip(np.searchsorted(cumulated, level, side="right"), at, end)
    between = level * (turn - at) - (sums[turn] - sums[at]) + (sums[end] - sums[turn]) - level * (end - turn)
    before = np.where(first, sums[at], 0.0)  # P is 0 up to the first value
    return np.bincount(group, between + before) / (m - 1)


# ---------------------------------------------------------------- suppression


def _flag(name: str) -> str:
    return f"deid suppress {name}"


def _plan(classes: pl.DataFrame, names: list[str], k: int) -> pl.DataFrame:
    """Classes smaller than k with a flag for each column to give up, and `*` for rows that have to go."""
    pending, done = classes.filter(pl.col(_ROWS) < k), list[pl.DataFrame]()
    distinct = pending.select(pl.col(names).n_unique()).row(0)
    # What tells most apart is given up first.
    worst = [name for _, name in sorted(zip(distinct, names, strict=True), reverse=True)]
    for given_up in _subsets(worst):
        rest = [name for name in names if name not in given_up]
        together = pl.col(_ROWS).sum().over(rest) if rest else pl.col(_ROWS).sum()
        pending = pending.with_columns(together.alias("together"))
        done.append(_flagged(pending.filter(pl.col("together") >= k), names, given_up))
        pending = pending.filter(pl.col("together") < k)
    return pl.concat([*done, _flagged(pending, names, ("*",))])


def _subsets(names: list[str]) -> Iterable[tuple[str, ...]]:
    """One, two, three, all: more in between would cost more than they save."""
    for size in sorted({min(size, len(names)) for size in (1, 2, 3)} | {len(names)}):
        yield from combinations(names, size)


def _flagged(classes: pl.DataFrame, names: list[str], given_up: tuple[str, ...]) -> pl.DataFrame:
    return classes.select(*names, _ROWS, *(pl.lit(name in given_up).alias(_flag(name)) for name in [*names, "*"]))


def _cells(plan: pl.DataFrame, names: list[str], records: int) -> pl.DataFrame:
    told = plan.select(pl.col(_ROWS).filter(pl.col(_flag(name))).sum().alias(name) for name in [*names, "*"])
    cells = told.row(0)
    return pl.DataFrame(
        {"column": [*names, "*"], "cells": cells, "share": [c / records for c in cells]},
        schema={"column": pl.String, "cells": pl.Int64, "share": pl.Float64},
    ).filter(pl.col("cells") > 0)


# ---------------------------------------------------------------- shown


def _table(frame: pl.DataFrame) -> list[str]:
    def cell(value: object) -> str:
        return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    rows = [f"| {' | '.join(cell(value) for value in row)} |" for row in frame.iter_rows()]
    return [f"| {' | '.join(frame.columns)} |", f"|{' --- |' * frame.width}", *rows]


def _plot(sizes: pl.DataFrame, records: int) -> str:
    """Share of the records by size of their class, as a markdown image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(6.4, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = (sizes["records"].cum_sum() / records).to_list()
    axes.step([0, *sizes["size"].to_list()], [0, *shares], where="post", color="#3b6ea5")
    axes.axvline(K, color="#b04a3a", linestyle="--", linewidth=1, label=f"k = {K}")
    axes.set(title="Records in classes up to a size", xlabel="records in the class", ylabel="share", xscale="symlog")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110, metadata={"Software": None})
    return f"![Records in classes up to a size](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})"
