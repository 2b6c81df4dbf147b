"""A hash of rows that depends on their values alone: not on the file they lie in, their order or how memory is cut."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import polars as pl


def ordered(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The frame in the order of some columns; itself where it is already, since sorting makes a copy of it."""
    return frame if _in_order(frame, by) else frame.sort(by, maintain_order=True)


def _in_order(frame: pl.DataFrame, by: Sequence[str]) -> bool:
    tied = pl.repeat(value=True, n=max(frame.height - 1, 0), dtype=pl.Boolean, eager=True)
    for series in map(frame.get_column, by):
        before, here = series[:-1], series[1:]
        differ = tied & here.ne_missing(before)
        if differ.any():
            if not ((here > before) | ~differ).fill_null(value=False).all():  # where nulls go is up to sorting
                return False
            tied &= ~differ
            if not tied.any():
                break
    return True


def rows_sha256(frame: pl.DataFrame, key: Sequence[str]) -> str:
    """SHA-256 over the values of a frame, rows taken in the order of `key`.

    Column by column: name, type and number of rows; which values are null; the values. Of text, equal values that
    follow one another are one run: length of each run, which are null, lengths in bytes, and the bytes themselves.

    >>> a = pl.DataFrame({"k": [1, 2], "v": ["x", None]})
    >>> rows_sha256(a, ["k"]) == rows_sha256(a.reverse(), ["k"])
    True
    """
    return _sha256(ordered(frame, key), [frame.height])[0]


def groups_sha256(frame: pl.DataFrame, by: str) -> dict[str, tuple[int, str]]:
    """Number and hash of the rows of each value of a column by which the frame is sorted.

    Columns are laid out once for all groups: 10,000 of one row cost little more than one of 10,000.

    >>> rows = pl.DataFrame({"k": ["a", "b", "b"]})
    >>> groups_sha256(rows, "k")["b"] == (2, rows_sha256(rows[1:], ()))
    True
    """
    runs = frame.get_column(by).rle().struct
    lengths, values = (runs.field(name).to_list() for name in ("len", "value"))
    return dict(zip(values, zip(lengths, _sha256(frame, lengths), strict=True), strict=True))


def _sha256(frame: pl.DataFrame, lengths: Sequence[int]) -> list[str]:
    """The hash of each group of rows; groups follow one another and are of these lengths."""
    digests = [hashlib.sha256() for _ in lengths]
    bounds = [0, *accumulate(lengths)]
    for series in frame.iter_columns():
        head = f"{series.name}\0{series.dtype}\0"
        for digest, length in zip(digests, lengths, strict=True):
            digest.update(f"{head}{length}\0".encode())
        for data, places in _laid_out(series, bounds):
            for digest, (start, end) in zip(digests, pairwise(places), strict=True):
                digest.update(data[start:end])
    return [digest.hexdigest() for digest in digests]


def _laid_out(series: pl.Series, bounds: Sequence[int]) -> "Iterator[tuple[memoryview, list[int]]]":
    """The bytes of a column, each time with the places in them that separate the groups.

    How many bytes a group has in one part is told by the parts before it, so that none can be taken for another.
    """
    import numpy as np

    def part(array: Any, at: Sequence[int]) -> "tuple[memoryview, list[int]]":
        return np.ascontiguousarray(array).view(np.uint8).data, [place * array.itemsize for place in at]

    if series.dtype == pl.String:
        begins = series.ne_missing(series.shift()).to_numpy(writable=True)
        begins[[at for at in bounds if at < series.len()]] = True  # no run goes over the end of its group
        starts = pl.Series(begins, dtype=pl.Boolean).arg_true().to_numpy()
        runs = np.searchsorted(starts, np.array(bounds, starts.dtype)).tolist()
        yield part(np.diff(starts, append=starts.dtype.type(series.len())), runs)
        text = series.gather(starts) if len(starts) < series.len() else series
        yield part(text.is_null().cast(pl.UInt8).to_numpy(), runs)
        text = text.fill_null("")  # the memory of a null may hold anything
        yield part(text.str.len_bytes().to_numpy(), runs)
        array = text.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        _, offsets, buffer = array.buffers()
        places = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        yield memoryview(buffer or b""), places[runs].tolist()
        return
    yield part(series.is_null().cast(pl.UInt8).to_numpy(), bounds)
    if isinstance(series.dtype, pl.List):
        lengths = series.list.len().fill_null(0).to_numpy()
        yield part(lengths, bounds)
        items = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[list(bounds)].tolist()
        yield from _laid_out(series.drop_nulls().explode(empty_as_null=False, keep_nulls=False), items)
    elif series.dtype == pl.Boolean:
        yield part(series.fill_null(value=False).cast(pl.UInt8).to_numpy(), bounds)
    elif series.dtype.is_float():
        # Equal values must be equal bytes: -0.0 is 0.0, and all NaN are one.
        yield part(series.fill_null(0.0).fill_nan(None).to_numpy() + 0.0, bounds)
    else:
        yield part(series.to_physical().fill_null(0).to_numpy(), bounds)


def combined_sha256(parts: Mapping[str, str]) -> str:
    """SHA-256 over named hashes, in the order of the names."""
    return hashlib.sha256("".join(f"{name}\0{parts[name]}\n" for name in sorted(parts)).encode()).hexdigest()
