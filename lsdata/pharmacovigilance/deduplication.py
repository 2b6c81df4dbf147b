"""Reports of the same event that came as different cases: found by record linkage, kept with the probability.

Two reports are compared where the first event began on the same known day and they share a drug and a reaction. Their
weight is the sum of log2 likelihood ratios of the hit-miss model (Copas & Hilton 1990, doi:10.2307/2982736; Norén et
al. 2007, doi:10.1007/s10618-006-0052-8): agreement on a value weighs the more the rarer the value is, disagreement
counts against, a missing value says nothing. With N reports the odds that a pair is one event are 2^weight / N, one
duplicate for each report being expected at most; those with a probability of `PROBABLE` or more are linked, if sex
and age are known in both and agree. Values are counted among the reports known in the quarter of the later one, so
that what is loaded later changes nothing before it.
"""

import numpy as np
import polars as pl

PROBABLE = 0.99
"""Probability from which two reports are taken for one event."""
_MISS = 0.05
"""Chance that a value of one event is told differently, or left out of a list, by another reporter."""
_SAME_AGE_YEARS = 1.0
_MOST_ALIKE = 200
"""Reports of one day and drug above which they are not compared: a mass report tells them not apart."""
_KEY = ("source", "delivery", "report_id")


def links(reports: pl.DataFrame, case_drugs: pl.LazyFrame, case_reactions: pl.LazyFrame) -> pl.DataFrame:
    """Pairs of reports (`left`, `right`: their rows) of one event, with the probability and the quarter it shows.

    Args:
        reports: `cases.versions`: one source or several; only reports of a source are compared.
        case_drugs, case_reactions: `drug` and `event` of the reports.
    """
    frame = reports.lazy().with_row_index("row")
    able = frame.filter(pl.all_horizontal(pl.col("event_date", "sex", "age_years").is_not_null()))
    terms = pl.concat(
        [
            case_drugs.filter(pl.col("role") != "DN").select(*_KEY, kind=pl.lit("drug"), term="drug"),
            case_reactions.select(*_KEY, kind=pl.lit("event"), term="event"),
        ]
    ).unique()
    whose = frame.select("row", *_KEY, "known_from")
    told = terms.join(whose, on=list(_KEY)).select("row", "source", "known_from", "kind", "term")
    mine = told.join(able.select("row"), on="row", how="semi").collect()
    candidates = _candidates(able.collect(), mine)
    empty = {"left": pl.UInt32, "right": pl.UInt32, "probability": pl.Float64, "known": pl.String}
    if candidates.is_empty():
        return pl.DataFrame(schema=empty)
    values = pl.concat(
        [
            told,
            *(
                frame.select("row", "source", "known_from", kind=pl.lit(kind), term=value).drop_nulls("term")
                for kind, value in _VALUES.items()
            ),
        ]
    )
    heard = pl.concat(
        [
            candidates.lazy().select("known", "source", row="left"),
            candidates.lazy().select("known", "source", row="right"),
        ]
    )
    common = _frequencies(values, heard)
    weighed = _weights(candidates.lazy(), frame, told, common)
    odds = pl.col("weight") - pl.col("log_n")
    return (
        weighed.with_columns(probability=1 / (1 + (-(odds.clip(-50, 50)) * np.log(2)).exp()))
        .filter(pl.col("probability") >= PROBABLE)
        .select("left", "right", "probability", "known")
        .sort("left", "right")
        .cast(empty)  # pyright: ignore[reportArgumentType] - a mapping of names to types
        .collect()
    )


_VALUES = {
    "sex": pl.col("sex"),
    "age": pl.col("age_years").floor().cast(pl.Int64).cast(pl.String),
    "country": pl.col("country"),
    "date": pl.col("event_date").cast(pl.String),
}


def _candidates(able: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """left, right, source, known: pairs of one day that share a drug and a reaction, are of different cases, and
    agree on sex and age.
    """
    columns = ("row", "source", "case", "known_from", "event_date", "sex", "age_years")
    drugs = told.filter(pl.col("kind") == "drug").select("row", "term")
    blocks = able.select(columns).join(drugs, on="row")
    within = ["source", "event_date", "sex", "term"]
    blocks = blocks.filter(pl.len().over(within) <= _MOST_ALIKE)
    events = told.filter(pl.col("kind") == "event").select("row", "term")
    pairs = (
        blocks.join(blocks, on=within, suffix="_right")
        .filter(
            (pl.col("row") < pl.col("row_right"))
            & (pl.col("case") != pl.col("case_right"))
            & ((pl.col("age_years") - pl.col("age_years_right")).abs() <= _SAME_AGE_YEARS)
        )
        .select("source", left="row", right="row_right", known=pl.max_horizontal("known_from", "known_from_right"))
        .unique()
    )
    shared = pairs.join(events, left_on="left", right_on="row").join(
        events, left_on=["right", "term"], right_on=["row", "term"], how="semi"
    )
    return shared.select(pairs.columns).unique().sort("left", "right")


def _frequencies(values: pl.LazyFrame, heard: pl.LazyFrame) -> pl.LazyFrame:
    """source, known, kind, term, share: of the reports known in that quarter, those with the value; and n of them."""
    quarters = heard.select("source", "known").unique()
    new = values.group_by("source", "kind", "term", "known_from").agg(n=pl.len())
    terms = values.join(heard, on="row", how="semi").select("source", "kind", "term").unique()
    counted = (
        new.join(terms, on=["source", "kind", "term"], how="semi")
        .join(quarters, on="source")
        .filter(pl.col("known_from") <= pl.col("known"))
        .group_by("source", "known", "kind", "term")
        .agg(pl.col("n").sum())
    )
    total = (
        values.select("source", "row", "known_from").unique()
        .join(quarters, on="source")
        .filter(pl.col("known_from") <= pl.col("known"))
        .group_by("source", "known")
        .agg(total=pl.len())
    )  # fmt: skip
    return counted.join(total, on=["source", "known"]).select(
        "source", "known", "kind", "term", "total", share=pl.col("n") / pl.col("total")
    )


def _weights(pairs: pl.LazyFrame, frame: pl.LazyFrame, told: pl.LazyFrame, common: pl.LazyFrame) -> pl.LazyFrame:
    """Pairs with their weight (bits) and log2 of the number of reports."""
    hit = ((1 - _MISS) / pl.col("share") + _MISS).log(2)
    miss = float(np.log2(_MISS))
    texts = frame.select("row", **_VALUES)
    both = pairs.join(texts, left_on="left", right_on="row").join(
        texts, left_on="right", right_on="row", suffix="_right"
    )
    on = ["source", "known", "term"]
    single = [
        both.select("left", "right", "source", "known", term=kind, other=f"{kind}_right", kind=pl.lit(kind))
        .join(common.filter(pl.col("kind") == kind).select(*on, "share"), on=on, how="left")
        .select(
            "left", "right",
            # Ages a year apart are one age told on two days: neither for nor against.
            bits=pl.when(pl.col("term") == pl.col("other")).then(hit)
            .when(pl.col("term").is_null() | pl.col("other").is_null() | (pl.col("kind") == "age")).then(0.0)
            .otherwise(miss),
        )
        for kind in _VALUES
    ]  # fmt: skip
    lists = [
        pairs.join(told.select("kind", "term", row="row"), left_on=mine, right_on="row")
        .join(told.select("kind", "term", row="row", there=pl.lit(value=True)),
              left_on=[theirs, "kind", "term"], right_on=["row", "kind", "term"], how="left")
        .join(common.select(*on, "kind", "share"), on=[*on, "kind"])
        .select("left", "right",
                # Counted from both sides: half each. What only one names weighs a little against.
                bits=pl.when("there").then(hit / 2).otherwise(miss / 4))
        for mine, theirs in (("left", "right"), ("right", "left"))
    ]  # fmt: skip
    total = common.select("source", "known", "total").unique()
    return (
        pl.concat([*single, *lists])
        .group_by("left", "right")
        .agg(weight=pl.col("bits").sum())
        .join(pairs, on=["left", "right"])
        .join(total, on=["source", "known"])
        .with_columns(log_n=pl.col("total").log(2))
    )


def periods(reports: pl.DataFrame, found: pl.DataFrame, quarters: list[str]) -> pl.DataFrame:
    """The reports with valid_from, valid_until, superseded_reason, superseded_by and duplicate_probability.

    As of each quarter, the reports that count and are linked form clusters; the one known first (then received first,
    then with the lowest number) counts, the others do not. When it goes, another one counts again.
    """
    frame = reports.with_row_index("row").with_columns(duplicate_probability=pl.lit(None, pl.Float64))
    plain = frame.filter(~pl.col("row").is_in(pl.concat([found["left"], found["right"]]).implode())).with_columns(
        valid_from="known_from", valid_until="ends"
    )
    linked = frame.join(plain.select("row"), on="row", how="anti").sort(
        "known_from", "received_date", "order", "delivery", nulls_last=True
    )
    return pl.concat([plain, _linked(linked, found, quarters)]).drop("row")


def _linked(reports: pl.DataFrame, found: pl.DataFrame, quarters: list[str]) -> pl.DataFrame:
    n = reports.height
    place = {row: i for i, row in enumerate(reports["row"])}
    left = np.array([place[row] for row in found["left"]], dtype=np.int64)
    right = np.array([place[row] for row in found["right"]], dtype=np.int64)
    best = found["probability"].to_numpy()
    joined = list(zip(left.tolist(), right.tolist(), found["known"].to_list(), strict=True))
    starts, ends = reports["known_from"].to_list(), reports["ends"].to_list()
    ids = reports["report_id"].to_list()
    highest = np.zeros(n)
    np.maximum.at(highest, left, best)
    np.maximum.at(highest, right, best)
    # Reports are in order of preference: the first of a cluster that is live stands for it.
    # Of each report: the quarters in which its standing changed, and to what: -1 does not exist, own place, or whose
    # duplicate it is.
    standing: list[list[tuple[str, int]]] = [[] for _ in range(n)]
    for quarter in quarters:
        live = [s <= quarter and (e is None or quarter < e) for s, e in zip(starts, ends, strict=True)]
        edges = [(i, j) for i, j, since in joined if since <= quarter and live[i] and live[j]]
        first = _first_of_cluster(n, edges)
        for i in range(n):
            now = first[i] if live[i] else -1
            if not standing[i] or standing[i][-1][1] != now:
                standing[i].append((quarter, now))
    rows: list[tuple[int, str, str | None, str | None, str | None, float | None]] = []
    base = reports.select("superseded_reason", "superseded_by").rows()
    for i in range(n):
        row, counted = int(reports["row"][i]), False
        for step, (quarter, now) in enumerate(standing[i]):
            if now != i:
                continue
            counted = True
            after = standing[i][step + 1] if step + 1 < len(standing[i]) else None
            if after is None:
                rows.append((row, quarter, None, None, None, None))
            elif after[1] == -1:
                rows.append((row, quarter, after[0], *base[i], None))
            else:
                rows.append((row, quarter, after[0], "duplicate_of", ids[after[1]], float(highest[i])))
        if not counted:
            other = next((now for _, now in standing[i] if now not in (-1, i)), None)
            if other is not None:
                rows.append((row, starts[i], starts[i], "duplicate_of", ids[other], float(highest[i])))
            else:
                rows.append((row, starts[i], starts[i], *base[i], None))
    told = pl.DataFrame(
        rows,
        schema={
            "row": pl.UInt32, "valid_from": pl.String, "valid_until": pl.String, "superseded_reason": pl.String,
            "superseded_by": pl.String, "duplicate_probability": pl.Float64,
        },
        orient="row",
    )  # fmt: skip
    return (
        reports.drop("superseded_reason", "superseded_by", "duplicate_probability")
        .join(told, on="row")
        .select(*reports.columns, "valid_from", "valid_until")
    )


def _first_of_cluster(n: int, edges: list[tuple[int, int]]) -> list[int]:
    """Of each of n nodes, the lowest one it is connected with (union-find)."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in edges:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    return [root(i) for i in range(n)]
