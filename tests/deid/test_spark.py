"""Scrubber and transform give on Spark what they give here, row by row."""

import json
from datetime import date
from functools import partial
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from lsdata.catalog import Dataset
from lsdata.catalog.genomics import SUBJECTS_TWIN, SUBJECTS_TYPED
from lsdata.catalog.twin import Method
from lsdata.deid.scrub import Scrubber, scrub_batches
from lsdata.deid.structured import arrow_batches, deidentify, look_up
from lsdata.deid.vault import Vault
from lsdata.derived import arrow
from lsdata.derived.spark import spark_schema
from lsdata.lake.lake import Act, Lake

ACT = Act(operator="Ada", reason="a test", run_id="run-1", git_commit="c0ffee")
NOTE = "Ms. {last} (MRN {mrn}) was seen on {day} by Dr. Harold Finchley at Mercy Hospital. She takes lisinopril 10 mg."


def struct_type(dataset: Dataset) -> Any:
    from pyspark.sql.types import StructType

    return StructType.fromJson(spark_schema(dataset))


def people() -> list[dict[str, str]]:
    return [
        {"patient_id": f"P{n}", "first": "Zelda", "last": last, "mrn": f"55{n:04d}"}
        for n, last in enumerate(("Quillfeather", "Orange", "May", "Reading"))
    ]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from lsdata.settings import Settings
    from resources.spark import session

    return session(Settings(home=tmp_path_factory.mktemp("spark")))


def test_texts_are_scrubbed_alike(spark: Any) -> None:
    notes = [
        (f"n{n}", NOTE.format(**one, day=f"March {n + 1}, 2020"), json.dumps(one)) for n, one in enumerate(people() * 3)
    ]
    notes += [("none", None, None), ("plain", "No record: call 617-555-0142.", None)]
    scrubber = Scrubber(ner=False)
    frame = spark.createDataFrame(notes, "id string, text string, patient string").repartition(3)
    schema = "id string, text string, redactions map<string,int>, withheld string"
    made = (
        frame.mapInArrow(partial(scrub_batches, scrubber=scrubber), schema).select("id", "text", "withheld").collect()
    )
    table = pa.table(pl.DataFrame(notes, schema=["id", "text", "patient"], orient="row").to_arrow())
    here = pa.Table.from_batches(scrub_batches(table.to_batches(), scrubber)).select(["id", "text", "withheld"])
    assert sorted(map(tuple, made)) == sorted(tuple(row.values()) for row in here.to_pylist())
    assert not [row for row in made if "Quillfeather" in row["text"] or "Finchley" in row["text"]]


@pytest.mark.parametrize("method", Method)
def test_tables_are_de_identified_alike(spark: Any, lake: Lake, method: Method) -> None:
    rows = pl.DataFrame(
        [
            {
                "sample_id": f"S{n}", "patient_id": one["patient_id"], "name": one["last"], "mrn": one["mrn"],
                "birth_date": f"196{n}-03-14", "sex": "F", "zip": "02139",
                "phenotype_note": NOTE.format(**one, day="5/2/2020"),
            }
            for n, one in enumerate(people())
        ],
        schema=arrow.polars_schema(SUBJECTS_TYPED),
    )  # fmt: skip
    known = look_up(SUBJECTS_TWIN, rows, Vault.of(lake).open("S1", ACT))
    how: dict[str, Any] = {"as_of": date(2026, 1, 1), "method": method}
    here = deidentify(SUBJECTS_TWIN, rows, pseudonyms=known, scrub=Scrubber(ner=False).scrub, **how)
    run = arrow_batches(SUBJECTS_TWIN, known, scrubber=_scrubber, **how)
    frame = spark.createDataFrame(rows.to_arrow().to_pylist(), struct_type(SUBJECTS_TYPED)).repartition(2)
    made = frame.mapInArrow(run, struct_type(SUBJECTS_TWIN)).toArrow()
    found = pl.DataFrame(made).sort("sample_id").cast(dict(arrow.polars_schema(SUBJECTS_TWIN)))
    assert found.equals(here.sort("sample_id"))


def _scrubber() -> Any:
    return Scrubber(ner=False).scrub
