"""Plots that the UI shows beside a partition, as markdown with an embedded PNG."""

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from lsdata.lake.lake import Lake
from lsdata.lake.work import Markdown

Axes = Any
"""matplotlib's own, which its stubs type only in part."""

_WIDTH, _HEIGHT = 6.4, 3.2
_MOST_BARS = 60


def _figure(draw: Callable[[Axes], Any], title: str, x: str, y: str) -> Markdown:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110, metadata={"Software": None})
    return Markdown(f"![{title}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})")


def _bars(axes: Axes, names: list[str], values: list[float]) -> None:
    axes.bar(range(len(names)), values, color="#3b6ea5")
    axes.set_xticks(
        range(len(names)), names, rotation=45 if len(names) > 6 else 0, ha="right" if len(names) > 6 else "center"
    )


def run_states(lake: Lake, rows: pl.DataFrame, partition: str) -> Mapping[str, Any]:
    """Run folders by state, as a markdown table."""
    del lake, partition
    lines = [f"| `{r['run_id']}` | {r['state']} | {r['reason']} |" for r in rows.sort("run_id").to_dicts()]
    return {"runs": Markdown("\n".join(["| run | state | reason |", "| --- | --- | --- |", *lines]))}


def reads_by_sample(lake: Lake, rows: pl.DataFrame, partition: str) -> Mapping[str, Any]:
    """Reads of each sample of a run."""
    del lake
    if rows.is_empty():
        return {}
    totals = rows.group_by("sample_id").agg(pl.col("reads").sum()).sort("sample_id").head(_MOST_BARS)
    names, reads = totals["sample_id"].to_list(), totals["reads"].to_list()
    return {"reads_plot": _figure(lambda a: _bars(a, names, reads), f"Reads, {partition}", "", "reads")}


def coverage_by_target(lake: Lake, rows: pl.DataFrame, partition: str) -> Mapping[str, Any]:
    """Mean depth over each target of a sample."""
    del lake
    if rows.is_empty():
        return {}
    shown = rows.head(_MOST_BARS)
    names, depth = shown["target"].to_list(), shown["coverage_mean_x"].to_list()
    return {"coverage_plot": _figure(lambda a: _bars(a, names, depth), f"Coverage, {partition}", "", "mean depth (x)")}


def frequency_spectrum(lake: Lake, rows: pl.DataFrame, partition: str) -> Mapping[str, Any]:
    """Allele-frequency spectrum of a cohort."""
    del lake
    af = rows["af"].drop_nulls().to_list()
    if not af:
        return {}
    return {
        "af_plot": _figure(
            lambda a: a.hist(af, bins=20, range=(0, 1), color="#3b6ea5", edgecolor="white"),
            f"Allele frequencies, {partition}",
            "AF",
            "alleles",
        )
    }


def titv(lake: Lake, rows: pl.DataFrame, partition: str) -> Mapping[str, Any]:
    """Transitions over transversions of each sample; about 2.0-2.1 is expected genome-wide, 3.0 in exomes."""
    del lake
    known = rows.drop_nulls("titv").sort("sample_id").head(_MOST_BARS)
    if known.is_empty():
        return {}
    names, ratios = known["sample_id"].to_list(), known["titv"].to_list()

    def draw(axes: Axes) -> None:
        _bars(axes, names, ratios)
        axes.axhline(2.05, color="#b04a3a", linestyle="--", linewidth=1, label="genome-wide, about 2.05")
        axes.legend(frameon=False)

    return {"titv_plot": _figure(draw, f"Ti/Tv, {partition}", "", "Ti/Tv")}
