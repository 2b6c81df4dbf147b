"""A large partition is written by polars; what is in the table is the same for every reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from lsdata.catalog.genomics import GENOTYPES
from lsdata.lake import large
from lsdata.lake.lake import Lake

Frames = Callable[..., pl.DataFrame]
Publish = Callable[..., Any]
KEY = GENOTYPES.key


@pytest.fixture
def both(lake: Lake, sample_frame: Frames, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A table of both ways of writing: created large, another partition small, and the first replaced large."""
    first, small, again = (sample_frame(GENOTYPES, n, p, n) for n, p in ((5, "c1"), (2, "c2"), (4, "c1")))
    with monkeypatch.context() as patch:
        patch.setattr(large, "ROWS", 3)
        for rows in (first, small, again):
            publish(lake, GENOTYPES, rows)
    return pl.concat([again, small]).sort(GENOTYPES.primary_key)


def test_versions_partitions_and_ledger_are_as_of_any_publish(lake: Lake, both: pl.DataFrame) -> None:
    assert lake.read(KEY).collect().sort(GENOTYPES.primary_key).equals(both)
    assert lake.read(KEY, version=0).collect().height == 5
    assert lake.read(KEY, ["c1"]).collect().height == 4
    assert [p.version for p in lake.state().history(KEY, "c1")] == [0, 2]
    assert sorted(p.name for p in (lake.tables.root / KEY).glob("cohort_id=*")) == ["cohort_id=c1", "cohort_id=c2"]
    assert lake.ledger.verify().ok
    assert lake.rolled_back() == []


def test_it_is_the_declared_table(lake: Lake, both: pl.DataFrame, sample_frame: Frames, publish: Publish) -> None:
    from deltalake import DeltaTable

    table = DeltaTable(lake.uri(KEY))
    assert table.metadata().partition_columns == ["cohort_id"]
    assert table.metadata().description == GENOTYPES.doc
    assert table.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"
    fields = {f.name: f for f in table.schema().fields}
    assert {c.name: (fields[c.name].nullable, fields[c.name].metadata["comment"]) for c in GENOTYPES.columns} == {
        c.name: (c.nullable, c.doc) for c in GENOTYPES.columns
    }
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    assert sorted(actions["num_records"].to_list()) == [2, 4]
    assert actions.sort("num_records")["min.pos"].to_list()[1] == both.filter(cohort_id="c1")["pos"].min()
    publish(lake, GENOTYPES, sample_frame(GENOTYPES, 2, "c1", 9))
    assert lake.read(KEY, ["c1"]).collect().height == 2


def test_duckdb_and_spark_read_the_same(lake: Lake, both: pl.DataFrame) -> None:
    from duckdb_extensions import import_extension  # pyright: ignore[reportMissingTypeStubs] - it has none

    from resources.spark import session

    import_extension("delta")
    with duckdb.connect() as connection:
        connection.sql("load delta")
        found = connection.sql(f"select * from delta_scan('{lake.uri(KEY)}')").pl()
    assert found.select(GENOTYPES.names).sort(GENOTYPES.primary_key).equals(both)
    told = session(lake.settings).read.format("delta").load(lake.uri(KEY)).toArrow()
    spark = pl.DataFrame(told).select(GENOTYPES.names).sort(GENOTYPES.primary_key)
    assert spark.equals(both)


def test_keys_that_a_url_would_spell_otherwise_go_the_other_way(sample_frame: Frames) -> None:
    rows = sample_frame(GENOTYPES, 3, "a b").head(0)
    assert not large.fits(GENOTYPES, rows, ["a b"], Path("/nowhere"))
    assert not large.fits(GENOTYPES, rows, ["a", "b"], Path("/nowhere"))
