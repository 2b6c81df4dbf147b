"""A page for reviewers: what the newest quarter shows of a source, in one self-contained HTML file."""

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from lsdata.catalog.pharmacovigilance import SIGNAL_REPORT
from lsdata.derived import arrow
from lsdata.lake.work import Outcome, Work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Axes = Any
"""matplotlib's own, which its stubs type only in part."""
_MOST_ROWS = 25
_MOST_CURVES = 6
_MOST_TRENDS = 8
_INK, _ALERT, _QUIET, _ACCENT = "#1f2a37", "#c2410c", "#94a3b8", "#1d4ed8"

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2a37;margin:0;background:#f5f7fa}
main{max-width:1080px;margin:0 auto;padding:2rem 1.5rem 4rem}
header{border-bottom:3px solid #1d4ed8;margin-bottom:1.5rem}h1{margin:0 0 .2rem;font-size:1.7rem}
h2{margin:2.2rem 0 .4rem;font-size:1.2rem}p{margin:.3rem 0 .8rem;max-width:75ch}
.tiles{display:flex;gap:1rem;flex-wrap:wrap}.tile{background:#fff;border:1px solid #d9e0e8;border-radius:8px;
padding:.7rem 1.1rem;min-width:9rem}.tile b{display:block;font-size:1.5rem}
figure{margin:0;background:#fff;border:1px solid #d9e0e8;border-radius:8px;padding:.6rem}
figure img{width:100%;height:auto;display:block}
.two{display:grid;grid-template-columns:1fr 1fr;gap:1rem}@media(max-width:800px){.two{grid-template-columns:1fr}}
.wide{overflow-x:auto}table{border-collapse:collapse;background:#fff;width:100%;font-size:13.5px}
th,td{padding:.35rem .6rem;border-bottom:1px solid #e5eaf0;text-align:left}th{background:#eef2f7;position:sticky;top:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.new{color:#c2410c;font-weight:600}
.note{background:#fff7ed;border-left:4px solid #c2410c;padding:.5rem .9rem}footer{margin-top:3rem;color:#64748b}
"""


def signal_report(
    work: Work,
    signals: pl.LazyFrame,
    prior_fits: pl.LazyFrame,
    alerts: pl.LazyFrame,
    masking: pl.LazyFrame,
    time_to_onset: pl.LazyFrame,
    adjusted_ror: pl.LazyFrame,
) -> Outcome:
    """The page of a source, and how many alerts it shows."""
    crude = signals.filter(pl.col("stratum").is_in(["all", "adjusted"])).collect()
    newest = crude["as_of"].max()
    now = crude.filter(pl.col("as_of") == newest)
    shown = alerts.filter(pl.col("as_of") == newest, pl.col("rule") == "ebgm").collect()
    standing = shown.filter(pl.col("status") != "lost")
    row = {
        "source": work.partition,
        "as_of": newest,
        "pairs": now.filter(pl.col("stratum") == "all").height,
        "alerts": standing.height,
        "new_alerts": shown.filter(pl.col("status") == "new").height,
    }
    page = _page(
        row,
        crude,
        prior_fits.filter(pl.col("as_of") == newest).collect(),
        shown,
        masking.filter(pl.col("as_of") == newest).collect(),
        time_to_onset.collect(),
        adjusted_ror.collect(),
    )
    (work.destination / "signal_report.html").write_text(page, encoding="utf-8")
    return Outcome(rows=pl.DataFrame([row], schema=arrow.polars_schema(SIGNAL_REPORT)), files=("signal_report.html",))


def _page(
    told: dict[str, Any],
    crude: pl.DataFrame,
    priors: pl.DataFrame,
    alerts: pl.DataFrame,
    masking: pl.DataFrame,
    onset: pl.DataFrame,
    adjusted: pl.DataFrame,
) -> str:
    now = crude.filter(pl.col("as_of") == told["as_of"], pl.col("stratum") == "all")
    standing = alerts.filter(pl.col("status") != "lost").sort("eb05", descending=True, nulls_last=True)
    prior = priors.filter(pl.col("stratum") == "all")
    total = int(now["n_total"][0]) if now.height else 0
    parts = [
        f"<header><h1>Signals of {escape(str(told['source']))}</h1>"
        f"<p>As of {escape(str(told['as_of'] or 'no quarter'))}.</p></header>",
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{value:,}</b>{name}</div>'
            for name, value in (
                ("reports", total), ("drug-event pairs", told["pairs"]), ("alerts", told["alerts"]),
                ("new alerts", told["new_alerts"]), ("lost", alerts.filter(pl.col("status") == "lost").height),
            )
        )
        + "</div>",
        "<p>An alert is a pair with EBGM &gt; 2 and n &gt; 3 (Almenoff et al. 2006). It says that the pair is reported "
        "together more often than expected among these reports. It measures neither incidence nor cause: reporting "
        "varies with publicity, indication and time on the market, and each alert needs a reviewer.</p>",
    ]  # fmt: skip
    if prior.height and not prior["converged"][0]:
        parts.append('<p class="note">The prior did not converge: EBGM and its alerts are held back.</p>')
    if now.is_empty():
        return _html(told, [*parts, "<p>No report counts: there is nothing to show.</p>"])
    parts += ["<h2>Alerts, strongest first</h2>", _table(standing, _ALERT_COLUMNS)]
    parts += [
        "<h2>All pairs</h2><div class='two'>", _figure(lambda a: _volcano(a, now), "Strength and certainty"),
        _figure(lambda a: _forest(a, standing, now), "Strongest alerts: EBGM with EB05 to EB95"), "</div>",
    ]  # fmt: skip
    if crude["as_of"].n_unique() > 1:
        parts += [
            "<h2>Quarter by quarter</h2>",
            _figure(lambda a: _trends(a, crude, standing), "EBGM as of each quarter", 9),
        ]
    parts += ["<h2>The prior</h2>", _prior(now, prior)]
    change = _change(crude.filter(pl.col("as_of") == told["as_of"]))
    parts += [
        "<h2>With and without adjustment</h2>",
        "<p>Adjusted: expected counts summed over sex, age group and year. Pairs that change most.</p>", change,
        "<h2>Masking</h2>",
        "<p>Without the reports of the masking drug, these pairs have an IC025 above 0; with them, not.</p>",
        _table(masking.filter("unmasked").sort("ic025_without", descending=True), _MASK_COLUMNS),
        "<h2>Adjusted odds ratios</h2>",
        "<p>Logistic regression with age, sex, indication and co-medication; penalised (Firth) where reports are "
            "few.</p>",
        _table(adjusted.sort("adjusted_lower", descending=True, nulls_last=True), _ADJUSTED_COLUMNS),
        "<h2>Time to onset</h2>",
    ]  # fmt: skip
    fitted = onset.filter(pl.col("shape").is_not_null())
    # Of alerts first: of others there are too many to look at.
    of_alerts = fitted.join(standing.select("drug", "event"), on=["drug", "event"], how="semi")
    chosen = (of_alerts if of_alerts.height else fitted).sort("n", "drug", "event", descending=[True, False, False])
    if chosen.height:
        parts.append(
            _figure(lambda a: _onsets(a, chosen.head(_MOST_CURVES)), "Share of events by day, Weibull fits", 9)
        )
    parts.append(_table(chosen, _ONSET_COLUMNS))
    return _html(told, parts)


def _html(told: dict[str, Any], parts: Sequence[str]) -> str:
    title = f"Signals of {escape(str(told['source']))}, {escape(str(told['as_of'] or ''))}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head><body><main>'
        f"{''.join(parts)}<footer>lsdata, gold/pharmacovigilance. Definitions: docs/pharmacovigilance.md.</footer>"
        "</main></body></html>\n"
    )


_Columns = tuple[tuple[str, str, str], ...]
_ALERT_COLUMNS: _Columns = (
    ("drug", "Drug", "s"), ("event", "Event", "s"), ("status", "Status", "s"), ("n", "n", "d"), ("ebgm", "EBGM", ".2f"),
    ("eb05", "EB05", ".2f"), ("ic025", "IC025", ".2f"), ("prr", "PRR", ".1f"), ("ror_lower", "ROR lower", ".1f"),
    ("ebgm_previous", "EBGM before", ".2f"),
)  # fmt: skip
_MASK_COLUMNS: _Columns = (
    ("drug", "Drug", "s"), ("event", "Event", "s"), ("masked_by", "Masked by", "s"), ("masking_ratio", "Ratio", ".2f"),
    ("n", "n", "d"), ("prr", "PRR", ".2f"), ("prr_without", "without", ".2f"), ("ic025", "IC025", ".2f"),
    ("ic025_without", "without", ".2f"),
)  # fmt: skip
_ADJUSTED_COLUMNS: _Columns = (
    ("drug", "Drug", "s"), ("event", "Event", "s"), ("n", "n", "d"), ("ror", "ROR", ".2f"),
    ("adjusted_ror", "Adjusted", ".2f"), ("adjusted_lower", "lower", ".2f"), ("adjusted_upper", "upper", ".2f"),
    ("method", "Method", "s"), ("undefined_reason", "Undefined", "s"),
)  # fmt: skip
_ONSET_COLUMNS: _Columns = (
    ("drug", "Drug", "s"), ("event", "Event", "s"), ("n", "Onsets", "d"), ("median_days", "Median, days", ".1f"),
    ("shape", "Shape", ".2f"), ("shape_lower", "lower", ".2f"), ("shape_upper", "upper", ".2f"),
    ("scale_days", "Scale, days", ".1f"), ("pattern", "Pattern", "s"),
)  # fmt: skip


def _table(rows: pl.DataFrame, columns: _Columns) -> str:
    if rows.is_empty():
        return "<p>None.</p>"
    head = "".join(f'<th class="{"" if kind == "s" else "n"}">{escape(label)}</th>' for _, label, kind in columns)
    body = "".join(
        "<tr>" + "".join(_cell(row[name], kind) for name, _, kind in columns) + "</tr>"
        for row in rows.head(_MOST_ROWS).iter_rows(named=True)
    )
    more = f"<p>{_MOST_ROWS} of {rows.height:,}; the table has all.</p>" if rows.height > _MOST_ROWS else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def _cell(value: Any, kind: str) -> str:
    if kind == "s":
        text = "" if value is None else escape(str(value))
        return f'<td class="new">{text}</td>' if value == "new" else f"<td>{text}</td>"
    return f'<td class="n">{"&ndash;" if value is None else format(value, kind)}</td>'


def _figure(draw: Callable[[Axes], None], title: str, width: float = 6.0) -> str:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(width, 4.6), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=130, metadata={"Software": None})
    data = base64.b64encode(png.getvalue()).decode()
    return f'<figure><img alt="{escape(title)}" src="data:image/png;base64,{data}"></figure>'


def _alerting() -> pl.Expr:
    return (pl.col("ebgm") > 2) & (pl.col("n") > 3)


def _volcano(axes: Axes, now: pl.DataFrame) -> None:
    """IC against chi-squared."""
    told = now.drop_nulls(["ic", "chi2"])
    if told.is_empty():
        axes.text(0.5, 0.5, "No pair has all measures.", ha="center", transform=axes.transAxes)
        return
    for rows, color, size, label in (
        (told.filter(~_alerting().fill_null(value=False)), _QUIET, 5, "other pairs"),
        (told.filter(_alerting()), _ALERT, 12, "alerts"),
    ):
        axes.scatter(
            rows["ic"],
            rows["chi2"].clip(lower_bound=1e-3),
            s=size,
            c=color,
            label=label,
            linewidths=0,
            alpha=0.6,
            rasterized=True,
        )
    for row in told.filter(_alerting()).sort("chi2", descending=True).head(5).iter_rows(named=True):
        axes.annotate(f"{row['drug'][:18]} - {row['event'][:22]}", (row["ic"], row["chi2"]), fontsize=6.5,
                      xytext=(-4, 4), textcoords="offset points", ha="right")  # fmt: skip
    axes.set(xlabel="IC, log2 (observed / expected)", ylabel="chi-squared", yscale="log", ylim=(1e-3, None))
    axes.legend(frameon=False, fontsize=8)


def _forest(axes: Axes, standing: pl.DataFrame, now: pl.DataFrame) -> None:
    rows = standing.head(15).select("drug", "event").join(now, on=["drug", "event"], how="left", maintain_order="left")
    rows = rows.reverse()
    if rows.is_empty():
        axes.text(0.5, 0.5, "No alert.", ha="center", transform=axes.transAxes)
        return
    place = range(rows.height)
    axes.hlines(place, rows["eb05"], rows["eb95"], color=_ACCENT, lw=1.5)
    axes.plot(rows["ebgm"], place, "o", color=_ACCENT, ms=4)
    axes.axvline(2, color=_ALERT, lw=1, ls="--")
    axes.set_yticks(place, [f"{d[:20]} - {e[:24]} ({n})" for d, e, n in rows.select("drug", "event", "n").iter_rows()])
    axes.set(xlabel="EBGM, log scale", xscale="log")


def _trends(axes: Axes, crude: pl.DataFrame, standing: pl.DataFrame) -> None:
    quarters = crude["as_of"].unique().sort().to_list()
    for drug, event in standing.head(_MOST_TRENDS).select("drug", "event").iter_rows():
        rows = crude.filter(
            (pl.col("drug") == drug) & (pl.col("event") == event) & (pl.col("stratum") == "all")
        ).sort("as_of")  # fmt: skip
        axes.plot(
            [quarters.index(q) for q in rows["as_of"]], rows["ebgm"], "-o", ms=3, label=f"{drug[:24]} - {event[:28]}"
        )
    axes.axhline(2, color=_ALERT, lw=1, ls="--")
    step = max(1, len(quarters) // 12)
    axes.set_xticks(range(0, len(quarters), step), quarters[::step])
    axes.set_ylabel("EBGM")
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


def _prior(now: pl.DataFrame, prior: pl.DataFrame) -> str:
    row = prior.row(0, named=True)
    if not row["converged"]:
        return "<p>No fit.</p>"
    edge = " It lies at the boundary of what a component may be." if row["at_boundary"] else ""
    words = (
        f"<p>Two gammas, fitted to {row['n_pairs']:,} pairs: "
        f"{row['p']:.3g} &times; Γ({row['alpha1']:.3g}, {row['beta1']:.3g}) + "
        f"{1 - row['p']:.3g} &times; Γ({row['alpha2']:.3g}, {row['beta2']:.3g}); "
        f"negative log-likelihood {row['neg_log_likelihood']:,.1f}.{edge}</p>"
    )
    theta = [row[name] for name in ("alpha1", "beta1", "alpha2", "beta2", "p")]
    return words + _figure(
        lambda a: _predicted(a, now, theta), "Pairs with n reports: seen and predicted by the prior", 9
    )


def predicted(expected: "NDArray[np.float64]", theta: Sequence[float], most: int) -> list[float]:
    """How many pairs the prior predicts with 1 to `most` reports, given at least one (the truncated mixture)."""
    import numpy as np

    seen = 1 - _chance(np.zeros_like(expected), expected, theta)
    return [float((_chance(np.full_like(expected, n), expected, theta) / seen).sum()) for n in range(1, most + 1)]


def _chance(n: Any, expected: Any, theta: Sequence[float]) -> Any:
    """Negative binomial mixture: the chance of n reports of a pair."""
    from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

    alpha1, beta1, alpha2, beta2, p = theta
    nbinom: Any = stats.nbinom
    one, two = (nbinom.pmf(n, alpha, beta / (beta + expected)) for alpha, beta in ((alpha1, beta1), (alpha2, beta2)))
    return p * one + (1 - p) * two


def _predicted(axes: Axes, now: pl.DataFrame, theta: Sequence[float]) -> None:
    most = min(30, int(now["n"].quantile(0.999) or 1) + 1)
    counts = dict(now.group_by("n").len().iter_rows())
    seen = [counts.get(n, 0) for n in range(1, most + 1)]
    expected = now["expected"].to_numpy()
    axes.bar(range(1, most + 1), [max(s, 0.5) for s in seen], color="#cbd5e1", label="seen")
    axes.plot(range(1, most + 1), predicted(expected, theta, most), "o-", color=_ACCENT, ms=4, label="predicted")
    axes.set(xlabel="reports of a pair", ylabel="pairs, log scale", yscale="log")
    axes.legend(frameon=False, fontsize=8)


def _change(now: pl.DataFrame) -> str:
    on = ["drug", "event"]
    both = (
        now.filter(pl.col("stratum") == "all")
        .join(now.filter(pl.col("stratum") == "adjusted").select(*on, ic_adjusted="ic", expected_adjusted="expected",
              ic025_adjusted="ic025", ebgm_adjusted="ebgm"), on=on)
        .filter(pl.col("n") > 3)
        .with_columns(change=pl.col("ic_adjusted") - pl.col("ic"))
        .sort(pl.col("change").abs(), descending=True)
        .head(10)
    )  # fmt: skip
    columns: _Columns = (
        ("drug", "Drug", "s"), ("event", "Event", "s"), ("n", "n", "d"), ("expected", "Expected", ".2f"),
        ("expected_adjusted", "adjusted", ".2f"), ("ic", "IC", ".2f"), ("ic_adjusted", "adjusted", ".2f"),
        ("ebgm", "EBGM", ".2f"), ("ebgm_adjusted", "adjusted", ".2f"),
    )  # fmt: skip
    return _table(both, columns)


def _onsets(axes: Axes, rows: pl.DataFrame) -> None:
    import numpy as np

    days = np.geomspace(0.5, max(10.0, float(rows["scale_days"].max() or 1) * 4), 200)  # pyright: ignore[reportArgumentType]
    for row in rows.iter_rows(named=True):
        share = 1 - np.exp(-((days / row["scale_days"]) ** row["shape"]))
        axes.plot(days, share, label=f"{row['drug'][:20]} - {row['event'][:24]} ({row['pattern']}, n = {row['n']})")
    axes.set(xlabel="days since the first dose, log scale", ylabel="share of events", xscale="log")
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
