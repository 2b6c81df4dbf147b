"""Arrow and polars schemas say what is declared, and a frame that is not the declared one is refused."""

from collections.abc import Callable
from typing import Any, get_args

import polars as pl
import pyarrow as pa
import pytest

from lsdata.catalog import DATASETS, Dataset, Type
from lsdata.catalog.genomics import GENOTYPES, SUBJECTS
from lsdata.derived import arrow
from lsdata.errors import SchemaMismatch

Frames = Callable[..., pl.DataFrame]


def test_every_declared_type_has_a_polars_and_an_arrow_type() -> None:
    assert set(arrow.POLARS) == set(get_args(Type))
    assert {c.type for d in DATASETS.values() for c in d.columns} <= set(arrow.POLARS)


def test_arrow_schema_carries_names_types_nullability_and_meaning(every: Dataset) -> None:
    schema = arrow.arrow_schema(every)
    assert schema.names == list(every.names)
    assert [f.nullable for f in schema] == [c.nullable for c in every.columns]
    assert [f.metadata[b"comment"].decode() for f in schema] == [c.doc for c in every.columns]


def test_polars_and_arrow_schemas_are_the_same(every: Dataset) -> None:
    """What polars hands to Delta has the declared types without a conversion that could lose anything."""
    table = arrow.empty(every).to_arrow(compat_level=pl.CompatLevel.oldest())
    declared = arrow.arrow_schema(every)
    for field in declared:
        found, wanted = table.schema.field(field.name).type, field.type
        plain = {pa.large_string(): pa.string(), pa.large_list(pa.large_string()): pa.list_(pa.string())}
        assert plain.get(found, found) == wanted
    assert table.cast(declared).num_rows == 0


def test_timestamps_are_utc_and_in_microseconds() -> None:
    assert arrow.POLARS["timestamp"] == pl.Datetime("us", "UTC")


def test_a_frame_that_is_the_declared_one_is_taken_in_declared_order(every: Dataset, sample_frame: Frames) -> None:
    frame = sample_frame(every, 5)
    assert arrow.conform(every, frame.select(reversed(frame.columns))).equals(frame)
    assert arrow.conform(every, arrow.empty(every)).height == 0


def test_every_column_that_is_missing_or_of_another_type_is_listed(every: Dataset, sample_frame: Frames) -> None:
    frame = sample_frame(every, 2)
    with pytest.raises(SchemaMismatch) as caught:
        arrow.conform(every, frame.select(pl.lit(1).alias("undeclared")))
    assert caught.value.found == "; ".join([*(f"{n} is missing" for n in every.names), "undeclared is not declared"])
    wrong = frame.with_columns(pl.lit(b"x" if t == pl.String else "x").alias(n) for n, t in frame.schema.items())
    with pytest.raises(SchemaMismatch) as caught:
        arrow.conform(every, wrong)
    expected = [f"{n} is {wrong.schema[n]}; declared {t}" for n, t in arrow.polars_schema(every).items()]
    assert caught.value.found == "; ".join(expected)


def test_nulls_are_refused_where_none_is_declared_and_counted(every: Dataset, sample_frame: Frames) -> None:
    frame = sample_frame(every, 3)
    empty = frame.with_columns(pl.lit(None, t).alias(n) for n, t in frame.schema.items())
    with pytest.raises(SchemaMismatch) as caught:
        arrow.conform(every, empty)
    expected = [f"{c.name} has 3 nulls; declared not null" for c in every.columns if not c.nullable]
    assert caught.value.found == "; ".join(expected)


@pytest.mark.parametrize(
    ("column", "dtype"),
    [("pos", pl.Int32), ("gq", pl.Int64), ("gt", pl.Categorical), ("dp", pl.UInt64), ("chrom", pl.Enum(["chrom1"]))],
)
def test_types_that_are_near_are_not_near_enough(sample_frame: Frames, column: str, dtype: Any) -> None:
    frame = sample_frame(GENOTYPES, 1).with_columns(chrom=pl.lit("chrom1"))
    with pytest.raises(SchemaMismatch, match=f"{column} is"):
        arrow.conform(GENOTYPES, frame.with_columns(pl.col(column).cast(dtype)))


def test_a_refusal_says_where_what_is_allowed_and_what_to_do() -> None:
    with pytest.raises(SchemaMismatch) as caught:
        arrow.conform(SUBJECTS, pl.DataFrame({"name": ["Jane Roe"]}))
    assert str(caught.value).startswith("bronze/genomics/subjects: sample_id is missing; ")
    assert caught.value.allowed
    assert caught.value.do
    assert "Jane" not in str(caught.value)
