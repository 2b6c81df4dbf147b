"""A declaration gains a column while its table is published: old partitions read null there, on every engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from lsdata.catalog import Dataset
from lsdata.catalog.genomics import GENOTYPES
from lsdata.derived import arrow
from lsdata.errors import SchemaMismatch
from lsdata.lake.lake import Lake, Made
from lsdata.settings import Settings

Frames = Callable[..., pl.DataFrame]
Publish = Callable[..., Any]
GAINED, REQUIRED = "ps", "gt"


def without(name: str) -> Dataset:
    """The declaration as it was before."""
    return replace(GENOTYPES, columns=tuple(c for c in GENOTYPES.columns if c.name != name))


@pytest.fixture
def grown(lake: Lake, sample_frame: Frames, publish: Publish) -> list[tuple[str, int | None]]:
    """Two partitions of the old declaration, one of them published again with the new; all rows by key."""
    old = {p: sample_frame(GENOTYPES, 2, p, seed=i) for i, p in enumerate(("c1", "c2"))}
    publish(lake, without(GAINED), pl.concat(old.values()).drop(GAINED))
    new = sample_frame(GENOTYPES, 3, "c1", seed=5)
    publish(lake, GENOTYPES, new)
    assert new[GAINED].drop_nulls().len() > 0
    return sorted([*new.select("cohort_id", GAINED).rows(), ("c2", None), ("c2", None)], key=str)


def test_a_table_of_the_old_declaration_is_read_with_nulls(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    old = sample_frame(GENOTYPES, 2, "c1")
    publish(lake, without(GAINED), old.drop(GAINED))
    assert lake.read(GENOTYPES.key).collect().equals(old.with_columns(pl.lit(None, pl.Int64).alias(GAINED)))


def test_partitions_of_the_old_declaration_read_null(lake: Lake, grown: list[Any]) -> None:
    assert sorted(lake.read(GENOTYPES.key).select("cohort_id", GAINED).collect().rows(), key=str) == grown
    assert lake.read(GENOTYPES.key, ["c2"]).collect()[GAINED].to_list() == [None, None]


def test_duckdb_reads_null_there_too(lake: Lake, grown: list[Any]) -> None:
    from duckdb_extensions import import_extension  # pyright: ignore[reportMissingTypeStubs] - it has none

    import_extension("delta")
    with duckdb.connect() as connection:
        connection.sql("load delta")
        found = connection.sql(f"select cohort_id, {GAINED} from delta_scan('{lake.uri(GENOTYPES.key)}')").fetchall()
    assert sorted(found, key=str) == grown


def test_spark_reads_null_there_too(lake: Lake, grown: list[Any]) -> None:
    from resources.spark import session

    table = session(lake.settings).read.format("delta").load(lake.uri(GENOTYPES.key))
    assert sorted([tuple(row) for row in table.select("cohort_id", GAINED).collect()], key=str) == grown


def test_an_old_version_reads_null(lake: Lake, grown: list[Any]) -> None:
    assert lake.read(GENOTYPES.key, version=0).collect()[GAINED].null_count() == 4


def test_a_table_without_a_required_column_is_refused(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, without(REQUIRED), sample_frame(GENOTYPES, 2, "c1").drop(REQUIRED))
    with pytest.raises(SchemaMismatch, match=f"{REQUIRED} is missing"):
        lake.read(GENOTYPES.key)


def test_a_new_column_that_is_not_nullable_is_refused_while_other_partitions_would_have_none(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    frame = pl.concat([sample_frame(GENOTYPES, 2, p) for p in ("c1", "c2")])
    publish(lake, without(REQUIRED), frame.drop(REQUIRED))
    with pytest.raises(SchemaMismatch, match=f"{REQUIRED} is new and not nullable; 1 other partitions"):
        publish(lake, GENOTYPES, sample_frame(GENOTYPES, 2, "c1"))
    assert lake.version(GENOTYPES.key) == 0
    publish(lake, GENOTYPES, frame)
    assert lake.read(GENOTYPES.key).collect().sort(GENOTYPES.primary_key).equals(frame.sort(GENOTYPES.primary_key))


def test_partitions_without_rows_have_nothing_that_could_be_null(
    tmp_path: Path, publish: Publish, sample_frame: Frames
):
    lake = Lake(Settings(home=tmp_path / "home", operator="Ada", reason="a test"))
    publish(lake, without(REQUIRED), arrow.empty(without(REQUIRED)), {"c2": Made()})
    publish(lake, GENOTYPES, sample_frame(GENOTYPES, 2, "c1"))
    assert lake.read(GENOTYPES.key).collect()[REQUIRED].null_count() == 0
