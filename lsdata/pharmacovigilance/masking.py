"""Masking: a drug with so many reports of an event that the event looks ordinary for every other drug."""

import numpy as np
import polars as pl

from lsdata.pharmacovigilance import counts, disproportionality

MINIMUM_RATIO = 1.1
"""Masking ratio from which a drug counts as masking: it raises what is expected of others by a tenth or more."""
MINIMUM_REPORTS = 3
"""Fewest reports of a pair that is looked at again (Evans et al. 2001)."""


def masking(
    reports: pl.DataFrame | pl.LazyFrame,
    minimum_ratio: float = MINIMUM_RATIO,
    minimum_reports: int = MINIMUM_REPORTS,
) -> pl.DataFrame:
    """Which drug masks which pair, and by how much: measures with all reports, and without the masking drug's.

    For each event the drug is taken whose removal lowers the event's share of all reports most, by the masking ratio
    (n_event / n_total) / ((n_event - n) / (n_total - n_drug)) of Maignen et al. 2014, doi:10.1002/pds.3529. The
    other drugs' pairs are then counted again from the reports that do not name it: exactly, co-reporting included.

    Args:
        reports: case_id, drug, event; see `counts.count`.
        minimum_ratio: masking ratio (> 1) below which an event counts as not masked.
        minimum_reports: pairs with fewer reports, all or remaining, are left out.

    Returns:
        A row per masked pair in order of drug and event: masked_by, masking_ratio; n, expected, prr, ror, ic, ic025
        with all reports, and the same `_without` the masking drug's; unmasked: IC025 is above 0 only without them.
        Ratios that have no value are null.
    """
    pairs = counts.count(reports).frame()
    total, n_event = pl.col("n_total"), pl.col("n_event")
    masks = (
        pairs.filter(n_event > pl.col("n"))
        .with_columns(masking_ratio=(n_event / total) / ((n_event - pl.col("n")) / (total - pl.col("n_drug"))))
        .filter(pl.col("masking_ratio") >= minimum_ratio)
        .sort("masking_ratio", "n", "drug", descending=[True, True, False])
        .unique("event", keep="first", maintain_order=True)
        .select("event", "masking_ratio", masked_by="drug", n_mask="n", n_drug_mask="n_drug")
    )
    with_mask = _together(reports, masks)
    masked = (
        pairs.filter(pl.col("n") >= minimum_reports)
        .join(masks, on="event")
        .filter(pl.col("drug") != pl.col("masked_by"))
        .join(with_mask[0], on=["masked_by", "drug"], how="left")
        .join(with_mask[1], on=["masked_by", "drug", "event"], how="left")
        .with_columns(pl.col("both_drugs", "all_three").fill_null(0))
        .filter(pl.col("n") - pl.col("all_three") >= minimum_reports)
        .sort("drug", "event")
    )
    rest = masked.select(
        n=pl.col("n") - pl.col("all_three"),
        n_drug=pl.col("n_drug") - pl.col("both_drugs"),
        n_event=n_event - pl.col("n_mask"),
        n_total=total - pl.col("n_drug_mask"),
    )
    rest = rest.with_columns(expected=pl.col("n_drug") * pl.col("n_event") / pl.col("n_total"))
    return pl.concat(
        [
            masked.select("drug", "event", "masked_by", "masking_ratio"),
            _measures(masked),
            _measures(rest).select(pl.all().name.suffix("_without")),
        ],
        how="horizontal",
    ).with_columns(unmasked=(pl.col("ic025") <= 0) & (pl.col("ic025_without") > 0))


def _together(reports: pl.DataFrame | pl.LazyFrame, masks: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Reports of each masking drug that also name a drug (`both_drugs`), and it with a masked event (`all_three`)."""
    rows = reports.lazy().select(counts.REPORT).unique()
    drugs = rows.select("case_id", "drug").unique()
    of_masks = drugs.rename({"drug": "masked_by"}).join(
        masks.lazy().select("masked_by").unique(), on="masked_by", how="semi"
    )
    both = drugs.join(of_masks, on="case_id").group_by("masked_by", "drug").agg(both_drugs=pl.len().cast(pl.Int64))
    three = (
        rows.join(masks.lazy().select("event", "masked_by"), on="event")
        .join(of_masks, on=["case_id", "masked_by"], how="semi")
        .group_by("masked_by", "drug", "event")
        .agg(all_three=pl.len().cast(pl.Int64))
    )
    return both.collect(), three.collect()


def _measures(pairs: pl.DataFrame) -> pl.DataFrame:
    n, n_drug, n_event, n_total, expected = (
        pairs[name].to_numpy().astype(np.float64) for name in ("n", "n_drug", "n_event", "n_total", "expected")
    )
    table = n, n_drug - n, n_event - n, n_total - n_drug - n_event + n
    ic = disproportionality.information_component(n, expected)
    found = {
        "prr": disproportionality.prr(*table).estimate,
        "ror": disproportionality.ror(*table).estimate,
        "ic": ic.estimate,
        "ic025": ic.lower,
    }
    return pairs.select("n", "expected").with_columns(
        pl.Series(name, values, nan_to_null=True) for name, values in found.items()
    )
