"""A hash of rows that depends on their values alone: not on the file they lie in, their order or how memory is cut."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import polars as pl


class Digest(Protocol):
    """A hash that takes bytes."""

    def update(self, data: bytes, /) -> None: ...


def rows_sha256(frame: pl.DataFrame, key: Sequence[str]) -> str:
    """SHA-256 over the values of a frame, rows taken in the order of `key`.

    Column by column: name and type, which values are null, then the values (strings: lengths, then bytes).

    >>> a = pl.DataFrame({"k": [1, 2], "v": ["x", None]})
    >>> rows_sha256(a, ["k"]) == rows_sha256(a.reverse(), ["k"])
    True
    """
    if key:
        frame = frame.sort(key, maintain_order=True)
    digest = hashlib.sha256()
    for series in frame.iter_columns():
        digest.update(f"{series.name}\0{series.dtype}\0{series.len()}\0".encode())
        _update(digest, series)
    return digest.hexdigest()


def _update(digest: "Digest", series: pl.Series) -> None:
    # Whether flags follow is written too, or they could be taken for values.
    digest.update(b"\1" if series.null_count() else b"\0")
    if series.null_count():
        digest.update(series.is_null().cast(pl.UInt8).to_numpy().tobytes())
    if isinstance(series.dtype, pl.List):
        digest.update(series.list.len().fill_null(0).to_numpy().tobytes())
        _update(digest, series.explode(empty_as_null=False, keep_nulls=False))
    elif series.dtype == pl.String:
        filled = series.fill_null("")
        digest.update(filled.str.len_bytes().to_numpy().tobytes())
        digest.update(filled.str.join("").item().encode() if filled.len() else b"")
    elif series.dtype == pl.Boolean:
        digest.update(series.fill_null(value=False).cast(pl.UInt8).to_numpy().tobytes())
    elif series.dtype.is_float():
        # Equal values must be equal bytes: -0.0 is 0.0, and all NaN are one.
        values = series.fill_null(0.0).fill_nan(None).to_numpy() + 0.0
        digest.update(values.tobytes())
    else:
        digest.update(series.to_physical().fill_null(0).to_numpy().tobytes())


def combined_sha256(parts: Mapping[str, str]) -> str:
    """SHA-256 over named hashes, in the order of the names."""
    return hashlib.sha256("".join(f"{name}\0{parts[name]}\n" for name in sorted(parts)).encode()).hexdigest()
