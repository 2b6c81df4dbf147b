"""ZIP codes: three digits where more than 20,000 people live, else 000."""

import csv
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.deid.zip3 import ALLOWED, RESTRICTED_2000, RESTRICTED_2020, WITHHELD, zip3

REPO = Path(__file__).resolve().parents[2]
TABLE = Path(os.environ.get("LSDATA_TEST_DATA", REPO / "../shared/data")) / "deid" / "zip3_restricted.csv"


def one(code: object) -> str | None:
    return pl.select(zip3(pl.lit(code))).item()


def test_the_seventeen_prefixes_of_the_hhs_guidance_become_000() -> None:
    """HHS OCR guidance 2012: "the 17 restricted ZIP codes"."""
    assert len(RESTRICTED_2000) == 17
    for prefix in RESTRICTED_2000:
        assert one(f"{prefix}01") == WITHHELD


@pytest.mark.skipif(not TABLE.is_file(), reason=f"no census table in {TABLE}: set LSDATA_TEST_DATA")
def test_restricted_prefixes_are_those_of_both_censuses() -> None:
    with TABLE.open() as file:
        rows = list(csv.DictReader(file))
    assert {r["zip3"] for r in rows if r["in_hhs_2012_list_census2000"] == "1"} == RESTRICTED_2000
    assert {r["zip3"] for r in rows if r["restricted_census2020"] == "1"} == RESTRICTED_2020
    assert not ALLOWED & {r["zip3"] for r in rows}


@pytest.mark.parametrize("prefix", ["090", "098", "340", "962", "966", "000", "001", "099", "213", "269", "345", "987"])
def test_military_mail_and_unassigned_prefixes_become_000(prefix: str) -> None:
    assert one(f"{prefix}12") == WITHHELD


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("02138", "021"), ("02138-1234", "021"), ("021381234", "021"), ("02138 1234", "021"), (" 02138 ", "021"),
        ("021", "021"), ("2138", "021"), ("2138-1234", "021"), (2138, "021"), (94107, "941"), (21381234, "021"),
        ("SW1A 1AA", "000"), ("K1A 0B1", "000"), ("", "000"), ("1", "000"), ("941071", "000"), ("94l07", "000"),
        ("2138.0", "000"), ("\uff19\uff14\uff11\uff10\uff17", "000"), ("94107\n10001", "000"), (-94107, "000"),
    ],
)  # fmt: skip
def test_codes_are_read_as_they_are_written_and_what_is_none_becomes_000(code: object, kept: str) -> None:
    assert one(code) == kept


def test_null_stays_null() -> None:
    assert pl.DataFrame({"zip": [None]}, schema={"zip": pl.String}).select(zip3(pl.col("zip"))).item() is None


@given(st.text(max_size=12) | st.integers(0, 99_999).map(lambda n: f"{n:05d}"))
def test_nothing_but_an_allowed_prefix_ever_comes_out(code: str) -> None:
    assert one(code) in {*ALLOWED, WITHHELD}
