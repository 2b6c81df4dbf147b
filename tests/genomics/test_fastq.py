"""The FASTQ pass: real files against a slow reader, every way to write the same reads, and everything to be refused."""

import gzip
import hashlib
import os
import random
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsdata.errors import InvalidInput
from lsdata.genomics import fastq
from lsdata.genomics.fastq import FastqStats, fastq_stats

REPO = Path(__file__).parents[2]
GENOMICS = Path(os.environ.get("LSDATA_TEST_DATA", REPO / "../shared/data")) / "genomics"
real_data = pytest.mark.skipif(
    not (GENOMICS / "reads").is_dir(), reason="the real reads are not here: set LSDATA_TEST_DATA"
)
# Pairs of reads per sample, from the README beside the data.
PAIRS = {
    "reads/NA12878": 13_142,
    "reads/HG002": 5_364,
    "trio/HG001wu": 881,
    "trio/NA12891": 1_258,
    "trio/NA12892": 1_211,
}

READ = b"@a 1:N:0\nACGT\n+\nIIII\n"
TWO = gzip.compress(READ * 20) + gzip.compress(READ * 20)
# SAM specification, section 4.1.2.
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def slow_stats(delivered: bytes) -> dict[str, int | str | bool | None]:
    """The same facts, by the standard library and one line after the other."""
    text = gzip.decompress(delivered) if delivered.startswith(b"\x1f\x8b") else delivered
    lines = [line.removesuffix(b"\r") for line in text.split(b"\n")]
    if lines[-1] == b"":
        del lines[-1]
    names = [(header[1:].split(b" ")[0]).split(b"\t")[0] for header in lines[::4]]
    sequences, qualities = lines[1::4], b"".join(lines[3::4])
    lengths = [len(sequence) for sequence in sequences]
    names = [name[:-2] if name.endswith((b"/1", b"/2")) else name for name in names]
    return {
        "bytes": len(delivered),
        "md5": hashlib.md5(delivered, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(delivered).hexdigest(),
        "reads": len(sequences),
        "bases": sum(lengths),
        "q20_bases": sum(quality - 33 >= 20 for quality in qualities),
        "q30_bases": sum(quality - 33 >= 30 for quality in qualities),
        "gc_bases": sum(b"".join(sequences).count(base) for base in (b"G", b"C", b"g", b"c")),
        "min_len": min(lengths, default=0),
        "max_len": max(lengths, default=0),
        "names_digest": hashlib.sha256(b"".join(name + b"\n" for name in names)).hexdigest(),
        "end_marker": delivered.endswith(END) or None,
    }


@real_data
@pytest.mark.parametrize("sample", PAIRS)
def test_real_pairs_have_the_counts_of_a_slow_reader_and_the_same_names(sample: str):
    mates = [GENOMICS / f"{sample}_R{mate}.fastq.gz" for mate in (1, 2)]
    stats = [fastq_stats(mate) for mate in mates]
    assert [dict(one) for one in stats] == [slow_stats(mate.read_bytes()) for mate in mates]
    assert [one.reads for one in stats] == [PAIRS[sample]] * 2
    assert stats[0].names_digest == stats[1].names_digest


@real_data
def test_different_samples_have_different_names():
    digests = {fastq_stats(GENOMICS / f"{sample}_R1.fastq.gz").names_digest for sample in PAIRS}
    assert len(digests) == len(PAIRS)


def test_stats_are_a_value_and_a_mapping(tmp_path: Path):
    file = tmp_path / "a.fastq"
    file.write_bytes(READ)
    stats = fastq_stats(str(file))
    assert stats["md5"] == stats.md5 == dict(stats)["md5"]
    assert list(stats.keys()) == list(FastqStats.__dataclass_fields__)
    assert stats == fastq_stats(file)
    with pytest.raises(KeyError):
        stats["mean_quality"]


# Qualities may start with @ and +, names hold / and #, and a header may go on after a blank.
WORD = st.text("ACGTN@+/12:#_", max_size=12).map(str.encode)
READS = st.lists(
    st.tuples(
        WORD,
        st.sampled_from([b"", b"/1", b"/2", b" 1:N:0:ACGT", b"/1\tx y", b" "]),
        st.one_of(st.integers(0, 12), st.integers(0, 300)).flatmap(
            lambda length: st.tuples(
                st.text("ACGTNacgtn.", min_size=length, max_size=length).map(str.encode),
                st.text([chr(code) for code in range(33, 127)], min_size=length, max_size=length).map(str.encode),
            )
        ),
        WORD,
    ),
    max_size=12,
)


@given(
    reads=READS,
    crlf=st.booleans(),
    last_line_end=st.booleans(),
    cuts=st.none() | st.lists(st.floats(0, 1), max_size=5),
    level=st.integers(0, 9),
    padding=st.integers(0, 20),
    buffer_bytes=st.integers(1, 400),
)
@example(
    reads=[(b"a", b"/1", (b"A", b"@"), b"")] * 2,
    crlf=True,
    last_line_end=False,
    cuts=[0.5, 0.5, 1],
    level=6,
    padding=3,
    buffer_bytes=1,
)
def test_every_way_to_write_reads_gives_the_same_counts(
    reads: list[tuple[bytes, bytes, tuple[bytes, bytes], bytes]],
    crlf: bool,
    last_line_end: bool,
    cuts: list[float] | None,
    level: int,
    padding: int,
    buffer_bytes: int,
    tmp_path_factory: pytest.TempPathFactory,
):
    text = b"".join(
        b"@%b%b\n%b\n+%b\n%b\n" % (name, rest, sequence, comment, quality)
        for name, rest, (sequence, quality), comment in reads
    )
    if reads and reads[-1][2][0] and not last_line_end:
        text = text[:-1]
    if crlf:
        text = text.replace(b"\n", b"\r\n")
    delivered = text
    if cuts is not None:
        at = [0, *sorted(int(cut * len(text)) for cut in cuts), len(text)]
        members = [gzip.compress(text[a:b], level) for a, b in pairwise(at)]
        delivered = b"".join(members) + bytes(padding)
    file = tmp_path_factory.getbasetemp() / "written.fastq"
    file.write_bytes(delivered)
    assert dict(fastq_stats(file, buffer_bytes=buffer_bytes)) == slow_stats(delivered)


def test_reads_of_very_different_lengths_are_counted_right(tmp_path: Path):
    chance = random.Random(7)
    lengths = [*chance.choices(range(300), k=3000), 700_000, 0, *chance.choices(range(60_000), k=30), 3_000_000, 1]
    text = b"".join(
        b"@%d %b\n%b\n+\n%b\n"
        % (
            number,
            b"x" * chance.choice((0, 5, 9_000)),
            bytes(chance.choices(b"ACGTNacgt", k=length)),
            bytes(chance.choices(range(33, 75), k=length)),
        )
        for number, length in enumerate(lengths)
    )
    file = tmp_path / "long.fastq"
    file.write_bytes(text)
    assert dict(fastq_stats(file)) == slow_stats(text)


@pytest.mark.parametrize(
    "delivered", [b"", gzip.compress(b""), gzip.compress(b"") * 2 + bytes(5)], ids=["empty", "gzip", "members"]
)
def test_a_file_without_reads_is_no_error(tmp_path: Path, delivered: bytes):
    file = tmp_path / "none.fastq.gz"
    file.write_bytes(delivered)
    stats = fastq_stats(file)
    assert (stats.reads, stats.min_len, stats.max_len, stats.bytes) == (0, 0, 0, len(delivered))


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0x10
    return bytes(changed)


BAD = {
    "plain text": (b"a,b\n1,2\n", "not_fastq", "bad.fastq", "starts with b'a,'"),
    "FASTA": (b">a\nACGT\n", "not_fastq", "bad.fastq", "starts with b'>a'"),
    "zip": (b"PK\x03\x04", "not_fastq", "bad.fastq", "starts with b'PK'"),
    "zero bytes": (bytes(100), "not_fastq", "bad.fastq", "starts with"),
    "first byte of a gzip": (b"\x1f", "not_fastq", "bad.fastq", "starts with"),
    "magic only": (b"\x1f\x8b", "truncated_gzip", "after read 0", "ends at byte 2,"),
    "cut gzip": (gzip.compress(READ * 9)[:-12], "truncated_gzip", "after read", "ends at byte"),
    "cut second member": (gzip.compress(READ * 9) + gzip.compress(READ)[:-1], "truncated_gzip", "after read 10", ""),
    "cut second header": (gzip.compress(READ * 9) + b"\x1f", "truncated_gzip", "after read 9", ""),
    "cut, after a bad read": (gzip.compress(b"@a\nA\n+\n\n" * 2) + b"\x1f", "truncated_gzip", "after read 0", ""),
    "checksum": (flipped(TWO, -8), "corrupt_gzip", "after read", "checksum"),
    "length": (flipped(TWO, -4), "corrupt_gzip", "after read", "checksum"),
    "not deflate": (gzip.compress(READ)[:10] + b"\xff" * 50, "corrupt_gzip", "after read 0", ""),
    "compression method": (flipped(TWO, 2), "corrupt_gzip", "after read 0", ""),
    "a byte after": (TWO + b"!", "corrupt_gzip", "after read 40", "not gzip"),
    "bytes after padding": (TWO + bytes(9) + b"garbage", "corrupt_gzip", "after read 40", "not gzip"),
    "many bytes after": (TWO + b"garbage" * 9, "corrupt_gzip", "after read 40", ""),
    "gzipped table": (gzip.compress(b"a\nb\nc\nd\n"), "malformed_fastq", "read 1", "line 1 starts with b'a'"),
    "no @": (READ + READ[1:], "malformed_fastq", "read 2", "line 1 starts with b'a'"),
    "empty header": (READ + b"\n" + READ, "malformed_fastq", "read 2", "line 1 is empty"),
    "no +": (READ * 2 + b"@a\nA\nI\n@a\nA\nI\n", "malformed_fastq", "read 3", "line 3 starts with b'I'"),
    "sequence on two lines": (b"@a\nAC\nGT\n+\nII\nII\n@", "malformed_fastq", "read 1", "line 3 starts with b'G'"),
    "qualities missing": (READ + b"@a\nACGT\n+\nIII\n", "malformed_fastq", "read 2", "4 bases and 3 quality"),
    "qualities too many": (b"@a\n\n+\nI\n", "malformed_fastq", "read 1", "0 bases and 1 quality"),
    "ends after header": (gzip.compress(READ + b"@a"), "malformed_fastq", "read 2", "ends after line 1"),
    "ends after sequence": (READ + b"@a\nACGT\n", "malformed_fastq", "read 2", "ends after line 2"),
    "ends after +": (READ + b"@a\r\nACGT\r\n+\r\n", "malformed_fastq", "read 2", "ends after line 3"),
    "empty line at the end": (READ + b"\n", "malformed_fastq", "read 2", "ends after line 1"),
    "lone @": (b"@", "malformed_fastq", "read 1", "ends after line 1"),
}


@pytest.mark.parametrize("buffer_bytes", [1, 64, fastq.BUFFER_BYTES])
@pytest.mark.parametrize(("delivered", "code", "where", "found"), BAD.values(), ids=BAD)
def test_bad_input_says_what_is_wrong_and_where(
    tmp_path: Path, delivered: bytes, code: str, where: str, found: str, buffer_bytes: int
):
    file = tmp_path / "bad.fastq"
    file.write_bytes(delivered)
    with pytest.raises(InvalidInput) as caught:
        fastq_stats(file, buffer_bytes=buffer_bytes)
    assert caught.value.code == code
    assert caught.value.where.startswith("bad.fastq")
    assert re.search(rf", {where}\b|^{where}$", caught.value.where)
    assert found in caught.value.found


def test_every_cut_of_a_gzip_is_reported_as_a_cut(tmp_path: Path):
    file = tmp_path / "cut.fastq.gz"
    for size in set(range(2, len(TWO))) - {len(TWO) // 2}:
        file.write_bytes(TWO[:size])
        with pytest.raises(InvalidInput) as caught:
            fastq_stats(file)
        assert caught.value.code == "truncated_gzip"


def bgzip(text: bytes) -> bytes:
    return subprocess.run(["bgzip", "-c"], input=text, capture_output=True, check=True).stdout


def blocks(bgzf: bytes) -> list[int]:
    """Where each block ends, by the size that its extra field tells."""
    ends = [0]
    while ends[-1] < len(bgzf):
        ends.append(ends[-1] + int.from_bytes(bgzf[ends[-1] + 16 : ends[-1] + 18], "little") + 1)
    return ends[1:]


@pytest.mark.parametrize("buffer_bytes", [64, fastq.BUFFER_BYTES])
def test_bgzf_cut_between_two_blocks_is_reported_as_cut(tmp_path: Path, buffer_bytes: int):
    """A block of 65,280 bytes holds whole records here, so that nothing else shows the cut."""
    record = b"@r\n" + b"A" * 124 + b"\n+\n" + b"I" * 124 + b"\n"
    assert 65_280 % len(record) == 0
    whole = bgzip(record * 256 * 4)
    assert whole.endswith(END)
    ends = blocks(whole)
    assert len(ends) == 5
    file = tmp_path / "cut.fastq.gz"
    file.write_bytes(whole)
    assert fastq_stats(file, buffer_bytes=buffer_bytes).end_marker is True
    for block, end in enumerate(ends[:-1], start=1):
        file.write_bytes(whole[:end])
        with pytest.raises(InvalidInput) as caught:
            fastq_stats(file, buffer_bytes=buffer_bytes)
        assert caught.value.code == "truncated_gzip"
        stats = fastq_stats(file, buffer_bytes=buffer_bytes, expect_end_marker=False)
        assert (stats.reads, stats.end_marker) == (256 * block, False)


@pytest.mark.parametrize(
    ("parts", "marker"),
    [
        ("zz", True), ("gz", True), ("zg", None), ("g", None), ("p", None), ("zo", False), ("oz", True), ("z0", True),
        ("o0", False),
    ],
)  # fmt: skip
def test_what_the_last_member_is_decides_whether_a_marker_is_missing(tmp_path: Path, parts: str, marker: bool | None):
    """z: bgzip, o: the same without its marker, g: gzip, p: plain, 0: padding."""
    made = {"z": bgzip(READ * 9), "g": gzip.compress(READ * 9), "p": READ * 9, "0": bytes(40)}
    made["o"] = made["z"].removesuffix(END)
    file = tmp_path / "joined.fastq.gz"
    file.write_bytes(b"".join(made[part] for part in parts))
    stats = fastq_stats(file, expect_end_marker=False)
    assert (stats.reads, stats.end_marker) == (9 * len(parts.strip("0")), marker)


def test_a_record_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fastq, "MAX_RECORD_BYTES", 1 << 20)
    file = tmp_path / "endless.fastq.gz"
    file.write_bytes(gzip.compress(READ + b"@" + bytes(5 << 20)))
    with pytest.raises(InvalidInput, match="read 2: no end of the record within 1 MiB") as caught:
        fastq_stats(file, buffer_bytes=1 << 16)
    assert caught.value.code == "malformed_fastq"


def test_a_missing_file_is_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        fastq_stats(tmp_path / "absent.fastq.gz")


@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.text("@+ACI \n\r", max_size=60).map(str.encode),
        st.integers(10, len(TWO) - 1).map(lambda at: flipped(TWO, at)),
        st.binary(max_size=30).map(lambda text: gzip.compress(b"@" + text)),
    ),
    buffer_bytes=st.integers(1, 100),
)
def test_whatever_is_delivered_gives_counts_or_a_reason(
    data: bytes, buffer_bytes: int, tmp_path_factory: pytest.TempPathFactory
):
    file = tmp_path_factory.getbasetemp() / "anything.fastq"
    file.write_bytes(data)
    try:
        stats = fastq_stats(file, buffer_bytes=buffer_bytes)
    except InvalidInput as refused:
        assert refused.code in {"truncated_gzip", "corrupt_gzip", "malformed_fastq", "not_fastq"}  # noqa: PT017 both ends are right
    else:
        assert dict(stats) == slow_stats(data)
