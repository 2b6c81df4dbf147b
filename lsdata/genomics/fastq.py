"""One pass over a delivered FASTQ: what was delivered (size, hashes) and what is in it (reads, bases, qualities).

The scan is numpy rather than a compiled kernel: it costs as little as inflating the file, and importing numba costs
more than scanning hundreds of megabytes.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from gzip import BadGzipFile
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import numpy as np
from isal import igzip_lib
from numpy.typing import NDArray

from lsdata.errors import InvalidInput

# About what fits a core's L2 cache; no size from half to twice this was clearly faster.
BUFFER_BYTES = 1 << 20
# The longest nanopore reads are about 4 Mb. A longer "record" is no FASTQ, and must not fill the memory.
MAX_RECORD_BYTES = 64 << 20

_READ_BYTES = 256 << 10
# Below this, padding costs less than one more numpy call.
_PADDED_BYTES = 64 << 10
_GZIP_MAGIC = b"\x1f\x8b"
_BGZF_FLAGS, _BGZF_FIELD = b"\x1f\x8b\x08\x04", b"BC\x02\x00"
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block at the end of BGZF. Source: SAM specification, sections 4.1 and 4.1.2."""
_LF, _CR, _BLANK, _PLUS, _SLASH, _ONE, _TWO, _AT = b"\n\r +/12@"
# Phred+33 characters of quality 20 and 30.
_Q20, _Q30 = 20 + 33, 30 + 33

Text = NDArray[np.uint8]
Offsets = NDArray[np.intp]


class _Member(Protocol):
    """isal's decompressor of one gzip member; its own stub leaves arguments untyped."""

    needs_input: bool
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_IsalError = cast(type[Exception], igzip_lib.IsalError)  # the stub calls the class an instance


@dataclass(frozen=True)
class FastqStats(Mapping[str, int | str | bool | None]):
    """What one FASTQ file holds; also a mapping, so that `stats["md5"]` and `dict(stats)` work.

    Args:
        bytes, md5, sha256: size and hex digests of the file as delivered.
        reads, bases: records, and characters in their sequences.
        q20_bases, q30_bases: bases of Phred quality (offset 33) at least 20, 30.
        gc_bases: G or C, upper or lower case.
        min_len, max_len: bases of the shortest and of the longest read; 0 if there are no reads.
        names_digest: SHA-256 of the read names in order. A name ends at the first blank and carries no /1 or /2, so
            the two files of a pair have the same digest exactly if their reads belong together one by one.
        end_marker: whether BGZF ends with its end-of-file marker; None for what is not BGZF.
    """

    bytes: int
    md5: str
    sha256: str
    reads: int
    bases: int
    q20_bases: int
    q30_bases: int
    gc_bases: int
    min_len: int
    max_len: int
    names_digest: str
    end_marker: bool | None

    def __getitem__(self, key: str) -> int | str | bool | None:
        return self.__dict__[key]

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))

    def __len__(self) -> int:
        return len(fields(self))


def fastq_stats(path: str | Path, *, buffer_bytes: int = BUFFER_BYTES, expect_end_marker: bool = True) -> FastqStats:
    """Size, hashes and base counts of one FASTQ, plain or gzipped (also bgzip and concatenated members), in one pass.

    Magic bytes decide, not the file's name. Line ends may be LF or CRLF, and the last one may be missing. A file
    without reads is no error here.

    Args:
        path: the file.
        buffer_bytes: text scanned at a time; grows as far as the longest record needs.
        expect_end_marker: refuse BGZF without its end-of-file marker, as it may have been cut between two blocks. bgzip
            and BCL Convert write the marker, bcl2fastq2 does not: where something else shows that nothing is missing,
            it need not be expected.

    Raises:
        InvalidInput: `truncated_gzip`, `corrupt_gzip`, `malformed_fastq` (also sequences over several lines) or
            `not_fastq` (neither gzip nor text that starts with @). A damaged gzip is reported rather than the
            malformed records it causes.
        OSError: the file cannot be read.
    """
    name = Path(path).name
    scan = _Scan(name, buffer_bytes)
    with open(path, "rb", buffering=0) as file:
        delivery = _Delivery(file)
        head = delivery.read()
        if head.startswith(_GZIP_MAGIC):
            pieces = _inflated(head, delivery, max(1, buffer_bytes // 2))
        elif head[:1] in (b"", b"@"):
            pieces = _plain(head, delivery.read)
        else:
            raise InvalidInput(
                name,
                code="not_fastq",
                found=f"the file starts with {head[:2]!r}",
                allowed="a FASTQ (starts with @), plain or gzipped (starts with 1f 8b)",
                do="Deliver the reads as FASTQ.",
            )
        try:
            for piece in pieces:
                scan.add(piece)
        except (EOFError, BadGzipFile, _IsalError) as error:
            truncated = isinstance(error, EOFError)
            scan.records()
            raise InvalidInput(
                f"{name}, after read {scan.reads}",
                code="truncated_gzip" if truncated else "corrupt_gzip",
                found=f"the file ends at byte {delivery.size}, inside gzip data" if truncated else f"{error}",
                allowed="complete gzip members, with matching checksums and nothing but zero bytes after them",
                do="Transfer the file again and compare its md5 with the sender's.",
            ) from error
    scan.finish()
    if expect_end_marker and delivery.end_marker is False:
        raise no_end_marker(name)
    return FastqStats(
        bytes=delivery.size,
        md5=delivery.md5.hexdigest(),
        sha256=delivery.sha256.hexdigest(),
        reads=scan.reads,
        bases=scan.bases,
        q20_bases=scan.q20_bases,
        q30_bases=scan.q30_bases,
        gc_bases=scan.gc_bases,
        min_len=scan.min_len or 0,
        max_len=scan.max_len,
        names_digest=scan.names.hexdigest(),
        end_marker=delivery.end_marker,
    )


def no_end_marker(where: str) -> InvalidInput:
    """What is wrong with BGZF that has no end-of-file marker."""
    return InvalidInput(
        where,
        code="truncated_gzip",
        found="BGZF without its end-of-file marker: it may have been cut between two blocks",
        allowed="BGZF that ends with its empty block, or that an MD5 or the mate's reads show to be whole",
        do="Transfer the file again; if it came so from the demultiplexer, deliver its md5 beside it.",
    )


class _Delivery:
    """A file that is sized and hashed while it is read."""

    def __init__(self, file: BinaryIO):
        self.file, self.size = file, 0
        self.end_marker: bool | None = None
        self.md5, self.sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()

    def read(self) -> bytes:
        data = self.file.read(_READ_BYTES)
        self.size += len(data)
        self.md5.update(data)
        self.sha256.update(data)
        return data


def _plain(head: bytes, read: Callable[[], bytes]) -> Iterator[bytes]:
    while head:
        yield head
        head = read()


def _member() -> _Member:
    return cast(_Member, igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP))


def _inflated(data: bytes, delivery: _Delivery, piece_bytes: int) -> Iterator[bytes]:
    """The text of all gzip members, in pieces; `data` is the start of the file and `delivery` gives the rest.

    Of each member it is told whether it is the marker that may be the last of BGZF.

    Raises:
        EOFError: the data end inside a member.
        BadGzipFile, IsalError: bad header, deflate data, checksum or length, or something else after a member.
    """
    start = b""  # of the member at hand; empty between members
    member = _member()
    while data or not member.needs_input or (data := delivery.read()):
        if not start:
            data = data.lstrip(b"\0")
            if not data:
                continue
            if len(data) < len(_BGZF_END):
                data += delivery.read()
            start = data[:2]
            delivery.end_marker = _end_marker(data)
        piece = member.decompress(data, piece_bytes)
        data = b""
        if piece:
            yield piece
        if member.eof:
            data, start = member.unused_data, b""
            member = _member()
    if start:
        # Garbage shorter than a gzip header looks like the start of a cut member to the decompressor.
        raise EOFError if _GZIP_MAGIC.startswith(start) else BadGzipFile("bytes after the last member are not gzip")


def _end_marker(member: bytes) -> bool | None:
    """Whether a member that starts so is BGZF's end-of-file marker; None where it is no BGZF."""
    extra = member[12 : 12 + int.from_bytes(member[10:12], "little")]
    if not member.startswith(_BGZF_FLAGS) or _BGZF_FIELD not in extra:
        return None
    return member.startswith(_BGZF_END)


class _Scan:
    """Counts over text that comes in pieces; a record may span any number of them.

    The first fault is kept and raised by `finish`, so that damage to the gzip itself, which explains it, comes first.
    """

    def __init__(self, name: str, room: int):
        self.name = name
        self.fault: InvalidInput | None = None
        self.reads = self.bases = self.q20_bases = self.q30_bases = self.gc_bases = self.max_len = 0
        self.min_len: int | None = None
        self.names = hashlib.sha256()
        # Not yet counted text, after the line end before it: so every line lies between two line ends.
        self.room, self.text, self.fill = room, _text(room), 1
        self.text[0] = _LF

    def add(self, piece: bytes) -> None:
        if self.fill + len(piece) > self.room:
            self.records()
        if self.fill + len(piece) > self.room:
            self._grow(self.fill + len(piece))
        if self.fault is None:
            self.text[self.fill : self.fill + len(piece)] = np.frombuffer(piece, np.uint8)
            self.fill += len(piece)

    def finish(self) -> None:
        """Count the last record, whose line end may be missing.

        Raises:
            InvalidInput: `malformed_fastq`, the first fault of the whole text.
        """
        if self.text[self.fill - 1] != _LF:
            self.text[self.fill] = _LF
            self.fill += 1
        self.records()
        if self.fill > 1:
            lines = np.count_nonzero(self.text[1 : self.fill] == _LF)
            self._malformed(f"the file ends after line {lines} of the record")
        if self.fault is not None:
            raise self.fault

    def records(self) -> None:
        """Count the complete records, and keep what follows them."""
        if self.fault is not None:
            return
        text = self.text[: self.fill]
        # Line ends, and the blanks that end names, are the only such bytes of a FASTQ, so one search finds both.
        marks = np.flatnonzero(text <= _BLANK)
        line_ends = np.flatnonzero(text[marks] == _LF)
        count = (line_ends.size - 1) // 4
        if count == 0:
            return
        line_ends = line_ends[: 4 * count + 1]
        bounds = marks[line_ends]
        starts = (bounds[:-1] + 1).reshape(-1, 4)
        ends = (bounds[1:] - (text[bounds[1:] - 1] == _CR)).reshape(-1, 4)
        header, sequence, plus, quality = starts.T
        lengths = ends[:, 1] - sequence
        bad = (text[header] != _AT) | (text[plus] != _PLUS) | (lengths != ends[:, 3] - quality)
        if bad.any():
            first = int(bad.argmax())
            self.reads += first
            self._malformed(_wrong(text, starts[first], ends[first]))
            return

        self.reads += count
        self.bases += int(lengths.sum())
        shortest = int(lengths.min())
        self.min_len = shortest if self.min_len is None else min(self.min_len, shortest)
        self.max_len = max(self.max_len, int(lengths.max()))
        for rows in _rows(self.text, quality, lengths):
            self.q20_bases += int(np.count_nonzero(rows >= _Q20))
            self.q30_bases += int(np.count_nonzero(rows >= _Q30))
        for rows in _rows(self.text, sequence, lengths):
            # C, G, c and g are the bytes that differ in no other bit than 0x04 and 0x20.
            self.gc_bases += int(np.count_nonzero((rows & 0xDB) == 0x43))

        name = header + 1
        name_ends = marks[line_ends[:-1:4] + 1]
        mate = text[name_ends - 1]
        name_ends -= 2 * ((text[name_ends - 2] == _SLASH) & ((mate == _ONE) | (mate == _TWO)))
        text[name_ends] = _LF
        for rows in _rows(self.text, name, name_ends - name + 1):
            # A name has no byte below the blank that ends it, so zeros are padding.
            self.names.update(rows[rows != 0].data)

        rest = self.fill - int(bounds[-1])
        self.text[:rest] = self.text[int(bounds[-1]) : self.fill]
        self.fill = rest

    def _grow(self, needed: int) -> None:
        if needed > MAX_RECORD_BYTES:
            self._malformed(f"no end of the record within {MAX_RECORD_BYTES >> 20} MiB")
        if self.fault is None:
            self.room, counted = 2 * needed, self.text[: self.fill]
            self.text = _text(self.room)
            self.text[: self.fill] = counted

    def _malformed(self, found: str) -> None:
        self.fault = self.fault or InvalidInput(
            f"{self.name}, read {self.reads + 1}",
            code="malformed_fastq",
            found=found,
            allowed="four lines a record: @ and name, sequence, +, as many quality characters as bases",
            do="Deliver an undamaged FASTQ with each sequence on one line.",
        )


def _text(room: int) -> Text:
    # Twice the room: a row of `_rows` may reach beyond the text by its width.
    return np.zeros(2 * room + 2, np.uint8)


def _rows(text: Text, starts: Offsets, lengths: Offsets) -> Iterator[Text]:
    """The slices of `text` as matrices, a slice a row, in order, zeros after the shorter ones.

    Slices of very different lengths come in several matrices, so that padding stays small beside the text.
    """
    width, half = int(lengths.max()), len(starts) // 2
    if width == 0:
        return
    if half and len(starts) * width > max(_PADDED_BYTES, 2 * int(lengths.sum())):
        yield from _rows(text, starts[:half], lengths[:half])
        yield from _rows(text, starts[half:], lengths[half:])
        return
    every = np.ndarray((len(text) - width + 1,), f"V{width}", text, strides=(1,))
    rows = every[starts].view(np.uint8).reshape(-1, width)
    if lengths.min() < width:
        column = np.min_scalar_type(width)
        rows *= np.arange(width, dtype=column) < lengths.astype(column)[:, np.newaxis]
    yield rows


def _wrong(text: Text, starts: Offsets, ends: Offsets) -> str:
    for line, mark in ((0, _AT), (2, _PLUS)):
        first = text[starts[line] : ends[line]][:1].tobytes()
        if first != bytes([mark]):
            return f"line {line + 1} starts with {first!r}" if first else f"line {line + 1} is empty"
    bases, qualities = (ends - starts)[[1, 3]]
    return f"{bases} bases and {qualities} quality characters"
