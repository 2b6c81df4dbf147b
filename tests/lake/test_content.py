"""The content hash: equal for equal rows however they lie, different for every difference."""

import math
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdata.catalog import Dataset
from lsdata.lake.content import combined_sha256, groups_sha256, ordered, rows_sha256

SCHEMA = pl.Schema(
    {
        "key": pl.Int64(), "text": pl.String(), "int": pl.Int32(), "float": pl.Float64(), "bool": pl.Boolean(),
        "day": pl.Date(), "time": pl.Datetime("us", "UTC"), "list": pl.List(pl.String()),
    }
)  # fmt: skip
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=5), "int": st.integers(-(2**31), 2**31 - 1), "float": st.floats(allow_nan=False),
    "bool": st.booleans(), "day": st.dates(), "time": st.datetimes(timezones=st.just(UTC)),
    "list": st.lists(st.none() | st.text(max_size=3), max_size=3),
}  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    keys = draw(st.lists(st.integers(0, 10**9), min_size=1, max_size=8, unique=True))
    return [{"key": key, **{name: draw(st.none() | values) for name, values in VALUES.items()}} for key in keys]


def sha256(found: list[dict[str, Any]]) -> str:
    return rows_sha256(pl.DataFrame(found, schema=SCHEMA), ["key"])


@settings(deadline=None)
@given(rows(), st.randoms())
def test_the_order_of_rows_never_matters(found: list[dict[str, Any]], shuffler: Any) -> None:
    other = list(found)
    shuffler.shuffle(other)
    assert sha256(other) == sha256(found)


@settings(deadline=None)
@given(rows(), st.data())
def test_how_memory_is_cut_never_matters(found: list[dict[str, Any]], data: st.DataObject) -> None:
    frame = pl.DataFrame(found, schema=SCHEMA)
    at = data.draw(st.integers(0, frame.height))
    cut = pl.concat([frame.head(at), frame.tail(frame.height - at)], rechunk=False)
    assert rows_sha256(cut, ["key"]) == rows_sha256(frame, ["key"])


@settings(deadline=None)
@given(rows(), st.data())
def test_the_hash_of_a_group_is_that_of_its_rows_alone(found: list[dict[str, Any]], data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.sampled_from("abc"), min_size=len(found), max_size=len(found)))
    frame = pl.DataFrame(found, schema=SCHEMA).with_columns(by=pl.Series(groups)).sort("by", "key")
    assert groups_sha256(frame, "by") == {
        by: (part.height, rows_sha256(part, ["key"])) for by in set(groups) for part in [frame.filter(by=by)]
    }
    assert groups_sha256(frame.clear(), "by") == {}


@settings(deadline=None)
@given(st.lists(st.tuples(st.none() | st.text("ab", max_size=2), st.none() | st.sampled_from([0.0, -0.0, math.nan]))))
def test_ordered_is_sorted_and_leaves_alone_what_is(found: list[tuple[str | None, float | None]]) -> None:
    frame = pl.DataFrame(found, schema={"a": pl.String, "b": pl.Float64}, orient="row").with_row_index()
    known = frame.sort("a", "b", maintain_order=True)
    assert ordered(frame, ["a", "b"]).equals(known)
    assert ordered(known, ["a", "b"]).equals(known)
    whole = known.drop_nulls()
    assert ordered(whole, ["a", "b"]) is whole


def test_what_lies_in_the_memory_of_a_null_is_no_content() -> None:
    def masked(values: list[Any]) -> pl.Series:
        array = pa.array(values)
        return pl.Series("v", pa.Array.from_buffers(array.type, 3, [pa.py_buffer(b"\5"), *array.buffers()[1:]]))

    pairs: list[tuple[list[Any], list[Any]]] = [
        (["a", "hidden", "b"], ["a", None, "b"]),
        ([1, 2, 3], [1, None, 3]),
        ([1.0, 2.0, 3.0], [1.0, None, 3.0]),
    ]
    for values, plain in pairs:
        hidden = masked(values)
        assert hidden.to_list() == plain
        assert rows_sha256(hidden.to_frame(), ()) == rows_sha256(pl.DataFrame({"v": plain}), ())
    items = pa.array([["a"], ["hidden"], ["b"]])
    whole = [pa.py_buffer(b"\5"), items.buffers()[1]]
    lists = pl.Series("v", pa.ListArray.from_buffers(items.type, 3, whole, children=[items.values]))
    assert lists.to_list() == [["a"], None, ["b"]]
    assert rows_sha256(lists.to_frame(), ()) == rows_sha256(pl.DataFrame({"v": [["a"], None, ["b"]]}), ())


def test_equal_texts_that_follow_one_another_are_counted() -> None:
    frames = [pl.DataFrame({"v": v}) for v in (["a", "a", "b"], ["a", "b", "b"], ["a", "b", "a"], ["aa", "", "b"])]
    assert len({rows_sha256(f, ()) for f in frames}) == len(frames)


@settings(deadline=None)
@given(rows(), st.data())
def test_any_changed_value_changes_the_hash(found: list[dict[str, Any]], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(found) - 1))
    name = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw((st.none() | VALUES[name]).filter(lambda v: v != found[row][name]))
    changed = [dict(r, **{name: value}) if i == row else r for i, r in enumerate(found)]
    assert sha256(changed) != sha256(found)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("text", [None, "", "0", " ", "None", "\0"]),
        ("int", [None, 0, 1, -1]),
        ("float", [None, 0.0, 1.0, math.inf, -math.inf, math.nan, 5e-324]),
        ("bool", [None, False, True]),
        ("day", [None, date(1970, 1, 1), date(1970, 1, 2)]),
        ("time", [None, datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)]),
        ("list", [None, [], [""], [None], ["", ""], ["a", "b"], ["ab"], ["ab", ""]]),
    ],
)
def test_null_and_empty_and_zero_are_different_values(name: str, values: list[Any]) -> None:
    one_row = {rows_sha256(pl.DataFrame({name: [v]}, schema={name: SCHEMA[name]}), ()) for v in values}
    assert len(one_row) == len(values)


def test_minus_zero_is_zero() -> None:
    assert rows_sha256(pl.DataFrame({"v": [-0.0]}), ()) == rows_sha256(pl.DataFrame({"v": [0.0]}), ())


def test_the_sign_bit_of_a_nan_is_no_value() -> None:
    plus, minus = pl.DataFrame({"v": [math.nan]}), pl.DataFrame({"v": [math.copysign(math.nan, -1)]})
    assert plus.equals(minus)
    assert rows_sha256(plus, ()) == rows_sha256(minus, ())


def test_nulls_are_told_from_the_lengths_of_texts_that_look_like_them() -> None:
    """Null flags and text lengths follow one another in what is hashed; one must not be read as the other."""
    with_null = pl.DataFrame({"v": ["x", None, "", "", "", "", "a" * 124, "b" * 124]})
    same_bytes = "|\0\0\0|\0\0\0x" + "a" * 124 + "b" * 124
    without = pl.DataFrame({"v": [same_bytes[:256], "", same_bytes[256:], "", "", "", "", ""]})
    assert not with_null.equals(without)
    assert rows_sha256(with_null, ()) != rows_sha256(without, ())


def test_names_types_and_order_of_columns_are_content() -> None:
    frames = [
        pl.DataFrame({"a": [1], "b": [2]}),
        pl.DataFrame({"b": [2], "a": [1]}),
        pl.DataFrame({"a": [1], "c": [2]}),
        pl.DataFrame({"a": [1], "b": [2]}, schema={"a": pl.Int64, "b": pl.Int32}),
        pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64}),
        pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int32}),
    ]
    assert len({rows_sha256(f, ()) for f in frames}) == len(frames)


def test_a_row_twice_is_other_content_than_once() -> None:
    once = pl.DataFrame({"a": [1], "b": ["x"]})
    assert rows_sha256(pl.concat([once, once]), ["a"]) != rows_sha256(once, ["a"])


def test_text_moved_between_neighbouring_rows_or_columns_is_other_content() -> None:
    frames = [pl.DataFrame({"a": a, "b": b}) for a, b in ((["ab", "c"], ["", ""]), (["a", "bc"], ["", ""]))]
    frames.append(pl.DataFrame({"a": ["ab", ""], "b": ["c", ""]}))
    assert len({rows_sha256(f, ()) for f in frames}) == 3


def test_a_combined_hash_depends_on_names_and_hashes_and_not_on_their_order() -> None:
    one, other = {"a": "1" * 64, "b": "2" * 64}, {"a": "2" * 64, "b": "1" * 64}
    assert combined_sha256(one) == combined_sha256(dict(reversed(list(one.items()))))
    assert len({combined_sha256(parts) for parts in (one, other, {"a": "1" * 64}, {})}) == 4


def test_every_declared_dataset_can_be_hashed_with_and_without_rows(sample_frame: Any, every: Dataset) -> None:
    frame = sample_frame(every, 5)
    hashes = {rows_sha256(frame.head(n), every.primary_key) for n in range(6)}
    assert len(hashes) == 6
    assert rows_sha256(frame.reverse(), every.primary_key) == rows_sha256(frame, every.primary_key)


def test_what_lies_under_a_null_is_no_content() -> None:
    clean = pl.DataFrame({"s": [None, "b", None]}, schema={"s": pl.String})
    hidden = pl.DataFrame({"s": ["a text of more than twelve bytes", "b", "c"], "keep": [False, True, False]})
    masked = hidden.select(pl.when("keep").then("s"))
    assert rows_sha256(masked, ()) == rows_sha256(clean, ())
