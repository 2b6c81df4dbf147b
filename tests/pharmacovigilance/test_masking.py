"""Masking: measured by leaving the masking drug's reports out, as a second count would."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdata.pharmacovigilance import disproportionality
from lsdata.pharmacovigilance.masking import masking

REPO = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LSDATA_TEST_DATA", REPO / "../shared/data")) / "pv"


def planted() -> pl.DataFrame:
    """A drug with most reports of an event, some of them shared with the drug it masks."""
    draw = np.random.default_rng(0)
    rows = [(case, draw.choice(list("abcdef")), draw.choice(list("uvwxyz"))) for case in range(2_000)]
    rows += [(case, "masker", "v") for case in range(1_900, 2_600)]
    rows += [(case, "masked", "v") for case in range(2_590, 2_630)]
    rows += [(case, "masked", "u") for case in range(2_630, 2_700)]
    return pl.DataFrame(rows, schema=["case_id", "drug", "event"], orient="row")


def check(reports: pl.DataFrame, found: pl.DataFrame) -> None:
    """Every measure without the masking drug is that of the reports without it."""
    for (masker,), rows in found.group_by("masked_by"):
        rest = reports.join(reports.filter(pl.col("drug") == masker).select("case_id"), on="case_id", how="anti")
        again = (
            disproportionality.signals(rest)[0]
            .join(rows.select("drug", "event"), on=["drug", "event"])
            .sort("drug", "event")
        )
        rows = rows.sort("drug", "event")
        assert again.height == rows.height
        for name in ("n", "expected", "prr", "ror", "ic", "ic025"):
            assert rows[f"{name}_without"].to_list() == pytest.approx(again[name].to_list(), nan_ok=True)


def test_a_planted_mask_is_found_and_measured_exactly():
    reports = planted()
    found = masking(reports)
    row = found.row(by_predicate=(pl.col("drug") == "masked") & (pl.col("event") == "v"), named=True)
    assert row["masked_by"] == "masker"
    assert (row["n"], row["n_without"]) == (40, 30)
    assert row["ic"] < row["ic_without"]
    assert row["unmasked"] == (row["ic025"] <= 0 < row["ic025_without"])
    assert row["unmasked"]
    check(reports, found)


def test_repeated_rows_and_their_order_change_nothing():
    reports = planted()
    again = masking(pl.concat([reports, reports]).sample(fraction=1, shuffle=True, seed=1).lazy())
    assert again.equals(masking(reports))


def test_nothing_masks_where_reports_are_alike():
    rows = [(10 * i + j, drug, event) for i, drug in enumerate("abc") for j, event in enumerate("xyz")] * 5
    assert masking(pl.DataFrame(rows, schema=["case_id", "drug", "event"], orient="row")).is_empty()


@pytest.mark.skipif(not DATA.is_dir(), reason="the real reports are not here: set LSDATA_TEST_DATA")
def test_risperidone_masks_gynaecomastia_in_a_real_quarter():
    """A mask known from litigation reports (Maignen et al. 2014)."""
    reports = pl.read_csv(DATA / "faers_2022q3_ps_cases_A.csv.gz", new_columns=["case_id", "drug", "event"])
    found = masking(reports)
    assert set(found.filter(pl.col("event") == "Gynaecomastia")["masked_by"]) == {"Risperdal"}
    check(reports, found.filter(pl.col("masking_ratio") > 2))
