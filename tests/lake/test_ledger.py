"""The audit ledger: RFC 6962 vectors, every way to tamper, every moment to crash, every writer at once."""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.errors import InvalidInput, LedgerTampered, MissingData, SettingError
from lsdata.lake.ledger import (
    JSON,
    Entry,
    Head,
    Ledger,
    LocalObjects,
    leaf_hash,
    merkle_root,
    node_hash,
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)

# The reference vectors of certificate-transparency (cpp/merkletree/merkle_tree_test.cc): leaves, roots of the first
# 0, 1, 2 … of them, and proofs.
LEAVES = [
    leaf_hash(bytes.fromhex(leaf))
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SECOND = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
THIRD_AND_FOURTH = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
FIFTH = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
FIFTH_AND_SIXTH = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
SEVENTH_AND_EIGHTH = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
LAST_FOUR = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"


def hexes(hashes: Sequence[bytes]) -> list[str]:
    return [made.hex() for made in hashes]


def test_roots_are_those_of_the_reference() -> None:
    assert [merkle_root(LEAVES[:size]).hex() for size in range(9)] == ROOTS


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [
        (0, 1, []),
        (0, 8, [SECOND, THIRD_AND_FOURTH, LAST_FOUR]),
        (5, 8, [FIFTH, SEVENTH_AND_EIGHTH, ROOTS[4]]),
        (2, 3, [ROOTS[2]]),
        (1, 5, [ROOTS[1], THIRD_AND_FOURTH, FIFTH]),
    ],
)
def test_inclusion_proofs_are_those_of_the_reference(index: int, size: int, proof: list[str]) -> None:
    assert hexes(prove_inclusion(LEAVES[:size], index)) == proof


@pytest.mark.parametrize(
    ("old_size", "new_size", "proof"),
    [
        (1, 1, []),
        (1, 8, [SECOND, THIRD_AND_FOURTH, LAST_FOUR]),
        (6, 8, [FIFTH_AND_SIXTH, SEVENTH_AND_EIGHTH, ROOTS[4]]),
        (2, 5, [THIRD_AND_FOURTH, FIFTH]),
    ],
)
def test_consistency_proofs_are_those_of_the_reference(old_size: int, new_size: int, proof: list[str]) -> None:
    assert hexes(prove_consistency(LEAVES[:new_size], old_size)) == proof


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962 writes it, to compare the incremental one with."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    left = max(2**power for power in range(len(leaves).bit_length()) if 2**power < len(leaves))
    return node_hash(tree_hash(leaves[:left]), tree_hash(leaves[left:]))


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(size)]


sizes = st.integers(min_value=1, max_value=130)


@given(sizes)
def test_the_root_is_the_recursive_tree_hash(size: int) -> None:
    assert merkle_root(leaves_of(size)) == tree_hash(leaves_of(size))


@given(st.data(), sizes)
def test_inclusion_is_proved_for_this_leaf_at_this_place_only(data: st.DataObject, size: int) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = prove_inclusion(leaves, index), merkle_root(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, proof, leaf_hash(b"other"))
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    assert not verify_inclusion(leaves[index], size, size, proof, root)
    assert not verify_inclusion(leaves[index], -1, size, proof, root)
    if size > 1:
        other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index))
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_inclusion(leaves[index], other, size, proof, root)
        assert not verify_inclusion(leaves[index], index, size, proof[:-1], root)
        assert not verify_inclusion(leaves[index], index, size, [*proof[:at], root, *proof[at + 1 :]], root)


@given(st.data(), sizes)
def test_consistency_is_proved_for_prefixes_only(data: st.DataObject, new_size: int) -> None:
    leaves = leaves_of(new_size)
    old_size = data.draw(st.integers(0, new_size))
    proof, old, new = prove_consistency(leaves, old_size), merkle_root(leaves[:old_size]), merkle_root(leaves)
    other = leaf_hash(b"other")
    assert verify_consistency(old_size, new_size, old, new, proof)
    assert not verify_consistency(old_size, new_size, other, new, proof)
    assert not verify_consistency(old_size, new_size, old, new, [*proof, new])
    assert not verify_consistency(new_size, old_size - 1, old, new, proof)
    if 0 < old_size < new_size:
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_consistency(old_size, new_size, old, other, proof)
        assert not verify_consistency(old_size, new_size, old, new, proof[:-1])
        assert not verify_consistency(old_size, new_size, old, new, [])
        assert not verify_consistency(old_size, new_size, old, new, [*proof[:at], other, *proof[at + 1 :]])


# ---------------------------------------------------------------- entries


def entry(number: int = 0, **detail: JSON) -> Entry:
    return Entry(
        id=UUID(int=number).hex,
        at="2026-01-02T03:04:05.000006+00:00",
        actor="amélie",
        action="publish",
        subject="gold/core/x",
        old_version=None,
        new_version=number,
        reason="",
        content_sha256=None,
        detail=detail,
    )


texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)


@given(st.dictionaries(texts, values))
def test_a_line_reads_back_as_the_entry_that_was_written(detail: dict[str, JSON]) -> None:
    written = replace(entry(), detail=detail)
    line = written.to_line()
    assert b"\n" not in line
    assert Entry.from_line(line) == written
    assert Entry.from_line(line).to_line() == line


@pytest.mark.parametrize(
    ("change", "field_name"),
    [
        ({"id": "x"}, "id"),
        ({"id": str(uuid4()).upper()}, "id"),
        ({"at": "2026-01-02T03:04:05"}, "at"),
        ({"at": "2026-01-02T03:04:05+01:00"}, "at"),
        ({"actor": ""}, "actor"),
        ({"action": ""}, "action"),
        ({"subject": ""}, "subject"),
        ({"old_version": True}, "old_version"),
        ({"new_version": -1}, "new_version"),
        ({"reason": None}, "reason"),
        ({"content_sha256": "A" * 64}, "content_sha256"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(change: dict[str, object], field_name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"bad {field_name}; allowed: {field_name} is"):
        replace(entry(), **change).to_line()


def test_all_bad_fields_are_named_at_once() -> None:
    with pytest.raises(InvalidInput, match="bad actor, subject"):
        replace(entry(), actor="", subject="").to_line()


@pytest.mark.parametrize(
    "detail", [{"x": float("nan")}, {"x": float("inf")}, {"x": b""}, {2: 1, 10: 1}, {"x": "\ud800"}]
)
def test_a_detail_that_would_not_read_back_is_refused(detail: dict[str, JSON]) -> None:
    with pytest.raises(InvalidInput):
        replace(entry(), detail=detail).to_line()


NOT_CANONICAL: list[Callable[[bytes], bytes]] = [
    lambda line: line.replace(b":", b": ", 1),
    lambda line: line.replace(b'"detail":{}', b'"detail":{},"detail":{}'),
    lambda line: line.replace("é".encode(), rb"\u00e9"),
    lambda line: line.decode().encode("utf-16"),
    lambda line: b"\xef\xbb\xbf" + line,
    lambda line: line.replace(b'"reason":"",', b""),
    lambda line: line.replace(b"{", b'{"a":1,', 1),
    lambda line: line + b" ",
    lambda line: b"[]",
    lambda line: b"",
    lambda line: b"[" * 100_000,
    lambda line: b"\xff",
]


@pytest.mark.parametrize("change", NOT_CANONICAL)
def test_a_line_that_is_not_canonical_is_refused(change: Callable[[bytes], bytes]) -> None:
    line = entry().to_line()
    assert change(line) != line
    with pytest.raises(InvalidInput):
        Entry.from_line(change(line))


# ---------------------------------------------------------------- append and read


@dataclass
class Place:
    """A ledger's folder, and all that belongs to it elsewhere."""

    base: Path

    @property
    def root(self) -> Path:
        return self.base / "ledger"

    @property
    def witness(self) -> Path:
        return self.base / "elsewhere" / "witness"

    @property
    def key(self) -> Path:
        return self.base / "keys" / "ledger.pem"

    @property
    def public(self) -> Path:
        return self.base / "keys" / "ledger.pem.pub"

    def open(self) -> Ledger:
        """As another process would."""
        return Ledger.local(self.root, self.witness, self.key)

    def objects(self) -> list[Path]:
        return sorted(self.root.iterdir())

    def bytes(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.base.rglob("*") if path.is_file()}


@pytest.fixture
def empty(tmp_path: Path) -> Place:
    return Place(tmp_path)


GROUPS = (2, 1, 3)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Six entries in three objects."""
    made = Place(tmp_path)
    fill(made.open())
    return made


def fill(ledger: Ledger, first: int = 0) -> None:
    for size in GROUPS:
        ledger.append_many([entry(first + number) for number in range(size)])
        first += size


def test_an_empty_ledger_verifies(empty: Place) -> None:
    ledger = empty.open()
    found = ledger.verify()
    assert (found.ok, found.size, found.root, found.problems) == (True, 0, None, ())
    assert (ledger.size(), ledger.head(), list(ledger.entries())) == (0, None, [])
    assert empty.bytes() == {}


def test_appending_nothing_writes_nothing(empty: Place) -> None:
    assert list(empty.open().append_many([])) == []
    assert empty.bytes() == {}


def test_entries_come_back_in_order_with_their_indexes(place: Place) -> None:
    ledger = place.open()
    assert ledger.append(entry(6)) == 6
    assert list(ledger.append_many([entry(7), entry(8)])) == [7, 8]
    assert list(ledger.entries()) == [(number, entry(number)) for number in range(9)]
    assert list(ledger.entries(start=3)) == [(number, entry(number)) for number in range(3, 9)]
    assert next(ledger.entries(start=4)) == (4, entry(4))
    assert list(ledger.entries(start=9)) == []
    assert list(ledger.entries(start=99)) == []


def test_an_object_holds_canonical_lines_and_a_signed_head(place: Place) -> None:
    first, second, third = place.objects()
    assert [path.name for path in place.objects()] == [f"{index:012d}.jsonl" for index in (0, 2, 3)]
    *lines, last, end = third.read_bytes().split(b"\n")
    head = Head.from_line(last)
    assert (lines, end) == ([entry(number).to_line() for number in (3, 4, 5)], b"")
    assert head.to_line() == last
    assert head.size == 6
    assert head.root == merkle_root([leaf_hash(entry(number).to_line()) for number in range(6)]).hex()
    assert len(head.peaks) == 2
    assert head.previous == hashlib.sha256(second.read_bytes()).hexdigest()
    assert Head.from_line(first.read_bytes().split(b"\n")[-2]).previous is None
    assert place.witness.read_bytes() == last + b"\n"
    assert place.open().head() == head


def test_a_filled_ledger_verifies_with_the_public_key_only(place: Place) -> None:
    place.key.unlink()
    found = place.open().verify()
    assert (found.ok, found.size, found.problems) == (True, 6, ())
    head = place.open().head()
    assert head
    assert found.root == head.root


def test_verifying_writes_nothing(place: Place) -> None:
    before = place.bytes()
    place.open().verify()
    assert place.bytes() == before


def test_the_private_key_is_for_its_owner_only(place: Place) -> None:
    assert stat.S_IMODE(place.key.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["witness", "key"])
def test_what_is_not_evidence_must_not_lie_below_the_root(empty: Place, name: str) -> None:
    places = {"root": empty.root, "witness": empty.witness, "key": empty.key} | {name: empty.root / "x"}
    with pytest.raises(SettingError, match="below the ledger's root"):
        Ledger.local(**places)


@dataclass
class Watched:
    """Objects that note what is read, and fail when told to."""

    objects: LocalObjects
    reads: list[str] = field(default_factory=list[str])
    failures: int = 0
    lost_answers: int = 0

    def list(self) -> Sequence[str]:
        return self.objects.list()

    def read(self, name: str) -> bytes | None:
        self.reads.append(name)
        return self.objects.read(name)

    def create(self, name: str, data: bytes) -> bool:
        if self.failures:
            self.failures -= 1
            raise OSError("disk full")
        made = self.objects.create(name, data)
        if self.lost_answers:
            self.lost_answers -= 1
            return False
        return made


@pytest.fixture
def watched(place: Place) -> tuple[Watched, Ledger]:
    objects = Watched(LocalObjects(place.root))
    return objects, Ledger(objects, place.witness, place.key)


def test_a_reader_reads_only_what_it_has_not_seen(watched: tuple[Watched, Ledger]) -> None:
    objects, ledger = watched
    assert len(list(ledger.entries(2))) == 4
    assert objects.reads == ["000000000002.jsonl", "000000000003.jsonl"]
    objects.reads.clear()
    assert list(ledger.entries(6)) == []
    assert ledger.size() == 6
    assert objects.reads == []


def test_opening_a_long_ledger_reads_its_end_only(watched: tuple[Watched, Ledger]) -> None:
    objects, ledger = watched
    ledger.append(entry(6))
    assert set(objects.reads) == {"000000000002.jsonl", "000000000003.jsonl", "000000000006.jsonl"}


def test_a_failing_store_fails_its_callers_and_nobody_else(watched: tuple[Watched, Ledger], place: Place) -> None:
    objects, ledger = watched
    objects.failures = 1
    with pytest.raises(OSError, match="disk full"):
        ledger.append(entry(6))
    assert ledger.append(entry(7)) == 6
    assert place.open().verify().ok


def test_a_create_whose_answer_was_lost_counts_once(watched: tuple[Watched, Ledger]) -> None:
    objects, ledger = watched
    objects.lost_answers = 1
    assert ledger.append(entry(6)) == 6
    assert ledger.size() == 7


def test_threads_share_groups_and_each_gets_its_index(empty: Place) -> None:
    ledger = empty.open()
    with ThreadPoolExecutor(32) as threads:
        indexes = list(threads.map(ledger.append, map(entry, range(640))))
    assert sorted(indexes) == list(range(640))
    written = dict(ledger.entries())
    assert all(written[index] == entry(number) for number, index in enumerate(indexes))
    assert len(empty.objects()) < 640
    assert ledger.verify().ok


def test_proofs_of_a_ledger_verify(place: Place) -> None:
    ledger = place.open()
    leaves = [leaf_hash(item.to_line()) for _, item in ledger.entries()]
    for size in range(1, 7):
        root = merkle_root(leaves[:size])
        assert verify_consistency(size, 6, root, merkle_root(leaves), ledger.consistency_proof(size))
        for index in range(size):
            assert verify_inclusion(leaves[index], index, size, ledger.inclusion_proof(index, size), root)
    with pytest.raises(MissingData):
        ledger.inclusion_proof(6)
    with pytest.raises(MissingData):
        ledger.inclusion_proof(0, 7)
    with pytest.raises(MissingData):
        ledger.consistency_proof(4, 3)


# ---------------------------------------------------------------- tampering


@dataclass
class Memory:
    """Objects in memory: thousands of changes, quickly."""

    held: dict[str, bytes]

    def list(self) -> Sequence[str]:
        return sorted(self.held)

    def read(self, name: str) -> bytes | None:
        return self.held.get(name)

    def create(self, name: str, data: bytes) -> bool:
        return self.held.setdefault(name, data) is data


def flips(data: bytes) -> Iterator[bytes]:
    """The data with each of its bits flipped in turn."""
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def test_every_flipped_bit_is_found(empty: Place) -> None:
    objects = Memory({})
    ledger = Ledger(objects, empty.witness, empty.key)
    ledger.append(entry(0))
    ledger.append(entry(1))
    assert ledger.verify().ok
    for name, true in dict(objects.held).items():
        for changed in flips(true):
            objects.held[name] = changed
            assert not ledger.verify().ok, (name, changed)
        objects.held[name] = true
    true = empty.witness.read_bytes()
    for changed in flips(true):
        empty.witness.write_bytes(changed)
        assert not ledger.verify().ok, changed
    empty.witness.write_bytes(true)
    assert ledger.verify().ok


def test_every_truncation_and_every_added_byte_is_found(place: Place) -> None:
    ledger = place.open()
    for path in (*place.objects(), place.witness):
        true = path.read_bytes()
        for end in range(len(true)):
            path.write_bytes(true[:end])
            assert not ledger.verify().ok, f"{path.name} cut at {end}"
        for added in (b"\n", b" ", b"\x00", b"{}\n", true):
            for changed in (true + added, added + true):
                path.write_bytes(changed)
                assert not ledger.verify().ok
        path.write_bytes(true)
    assert ledger.verify().ok


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def other_ledger(place: Place, *, same_key: bool) -> Place:
    """A ledger of the same shape with other entries, and its own witness."""
    other = Place(place.base.with_name(f"{place.base.name}-other"))
    if same_key:
        shutil.copytree(place.key.parent, other.key.parent)
    fill(other.open(), first=100)
    return other


def replace_folder(target: Path, source: Path) -> None:
    shutil.rmtree(target)
    shutil.copytree(source, target)


def roll_back(place: Place) -> None:
    """An older copy of the whole folder comes back."""
    copy = place.base / "copy"
    shutil.copytree(place.root, copy)
    place.open().append_many([entry(6), entry(7)])
    replace_folder(place.root, copy)


def foreign_key(place: Place, *, with_witness: bool) -> None:
    """Someone writes the ledger anew with a key of their own."""
    other = other_ledger(place, same_key=False)
    replace_folder(place.root, other.root)
    if with_witness:
        shutil.copy(other.witness, place.witness)


def forge(place: Place) -> None:
    """Someone without the key writes everything anew, the witness too, and names the true key in each head."""
    key = Head.from_line(place.witness.read_bytes().rstrip(b"\n")).key
    other = other_ledger(place, same_key=False)
    replace_folder(place.root, other.root)
    previous = None
    for path in place.objects():
        *lines, last = path.read_bytes().splitlines()
        line = replace(Head.from_line(last), key=key, previous=previous).to_line()
        path.write_bytes(b"".join(line + b"\n" for line in (*lines, line)))
        place.witness.write_bytes(line + b"\n")
        previous = hashlib.sha256(path.read_bytes()).hexdigest()


def forked(place: Place) -> None:
    """Someone with the true key goes back in time and writes another history, longer than the true one."""
    other = other_ledger(place, same_key=True)
    other.open().append_many([entry(number) for number in range(200, 220)])
    replace_folder(place.root, other.root)


TAMPERING: dict[str, tuple[Callable[[Place], object], str]] = {
    "first object deleted": (lambda at: at.objects()[0].unlink(), "000000000002.jsonl: begins at entry 2"),
    "object in the middle deleted": (lambda at: at.objects()[1].unlink(), "000000000003.jsonl: begins at entry 3"),
    "last object deleted": (lambda at: at.objects()[2].unlink(), "saw 6 entries, the ledger has 3"),
    "all objects deleted": (lambda at: shutil.rmtree(at.root), "saw 6 entries, the ledger has 0"),
    "first line deleted": (lambda at: rewrite(at.objects()[2], lambda lines: lines[1:]), "line 3: the head has 6"),
    "head deleted": (lambda at: rewrite(at.objects()[2], lambda lines: lines[:-1]), "line 3: no head"),
    "line doubled": (lambda at: rewrite(at.objects()[0], lambda lines: [lines[0], *lines]), "line 4: the head has 2"),
    "line replaced": (
        lambda at: rewrite(at.objects()[2], lambda lines: [entry(9).to_line() + b"\n", *lines[1:]]),
        "000000000003.jsonl: lines 1 to 3 are not the entries that were signed",
    ),
    "lines swapped": (
        lambda at: rewrite(at.objects()[2], lambda lines: [lines[1], lines[0], *lines[2:]]),
        "000000000003.jsonl: lines 1 to 3 are not the entries that were signed",
    ),
    "line not an entry": (lambda at: rewrite(at.objects()[1], lambda lines: [b"{}\n", *lines[1:]]), "jsonl, line 1"),
    "blank line": (lambda at: rewrite(at.objects()[0], lambda lines: [*lines[:1], b"\n", *lines[1:]]), "jsonl, line 2"),
    "line ends of another system": (
        lambda at: rewrite(at.objects()[0], lambda lines: [line.replace(b"\n", b"\r\n") for line in lines]),
        "000000000000.jsonl, line 1: not a canonical JSON object",
    ),
    "objects swapped": (lambda at: swap(at.objects()[0], at.objects()[2]), "line 4: the head has 6"),
    "object renamed": (lambda at: at.objects()[2].rename(at.root / "000000000004.jsonl"), "begins at entry 4"),
    "object added": (lambda at: shutil.copy(at.objects()[0], at.root / "000000000001.jsonl"), "begins at entry 1"),
    "object emptied": (lambda at: at.objects()[1].write_bytes(b""), "000000000002.jsonl, line 1"),
    "older copy put back": (roll_back, "saw 8 entries, the ledger has 6"),
    "foreign file": (lambda at: (at.root / "notes.txt").write_text("hello"), "'notes.txt': not an object"),
    "hidden file": (lambda at: (at.root / ".x").touch(), "'.x': not an object"),
    "foreign folder": (lambda at: (at.root / "000000000006.jsonl").mkdir(), "jsonl/': not an object"),
    "link": (lambda at: (at.root / "000000000006.jsonl").symlink_to(at.witness), "jsonl/': not an object"),
    "digits of another script": (
        lambda at: (at.root / ("\N{ARABIC-INDIC DIGIT ZERO}" * 12 + ".jsonl")).touch(),
        "not an object",
    ),
    "signed by a foreign key": (lambda at: foreign_key(at, with_witness=False), "line 3: signed with another key"),
    "foreign key and witness": (lambda at: foreign_key(at, with_witness=True), "line 3: signed with another key"),
    "forged": (forge, "000000000003.jsonl, line 4: the signature does not fit"),
    "history written anew": (forked, "saw another ledger when it had 6 entries"),
    "witness deleted": (lambda at: at.witness.unlink(), "no witness of a ledger that has entries"),
    "witness of another key": (
        lambda at: shutil.copy(other_ledger(at, same_key=False).witness, at.witness),
        "witness: signed with another key",
    ),
    "witness of another ledger": (
        lambda at: shutil.copy(other_ledger(at, same_key=True).witness, at.witness),
        "saw another ledger when it had 6 entries",
    ),
}


@pytest.mark.parametrize(("tamper", "found"), TAMPERING.values(), ids=TAMPERING)
def test_tampering_is_found_and_its_place_named(place: Place, tamper: Callable[[Place], object], found: str) -> None:
    tamper(place)
    verified = place.open().verify()
    assert not verified.ok
    assert found in "\n".join(f"{problem.where}: {problem.found}" for problem in verified.problems)
    assert all(problem.do for problem in verified.problems)


def test_all_problems_are_listed_and_none_is_repeated_for_what_follows(place: Place) -> None:
    fill(place.open(), first=6)
    objects = place.objects()
    rewrite(objects[0], lambda lines: [lines[1], lines[0], lines[2]])
    rewrite(objects[4], lambda lines: [b"{}\n", *lines[1:]])
    (place.root / "x").touch()
    where = [problem.where for problem in place.open().verify().problems]
    assert where == [
        "000000000000.jsonl",
        "000000000002.jsonl, line 2",  # `previous` no longer fits
        "000000000008.jsonl, line 1",
        "000000000008.jsonl",
        "000000000009.jsonl, line 4",
        "'x'",
    ]


# What lies before the last two objects is for `verify`: an append would have to read the whole ledger to see it.
BEFORE_THE_END = {
    "first object deleted",
    "line doubled",
    "blank line",
    "line ends of another system",
    "object added",
    "history written anew",
}


@pytest.mark.parametrize("tamper", [TAMPERING[name][0] for name in TAMPERING if name not in BEFORE_THE_END])
def test_nothing_is_appended_to_a_ledger_whose_end_does_not_verify(
    place: Place, tamper: Callable[[Place], object]
) -> None:
    tamper(place)
    before = place.bytes()
    with pytest.raises(LedgerTampered, match="have a person look"):
        place.open().append(entry(9))
    assert place.bytes() == before


AT_THE_END: list[Callable[[Place], object]] = [
    lambda at: at.objects()[-1].unlink(),
    lambda at: rewrite(at.objects()[-1], lambda lines: lines[::-1]),
    lambda at: shutil.rmtree(at.root),
    lambda at: at.witness.unlink(),
    lambda at: at.witness.write_bytes(b""),
    lambda at: replace_folder(at.root, other_ledger(at, same_key=True).root),
    lambda at: (at.root / "000000000007.jsonl").write_text("{}\n"),
]


@pytest.mark.parametrize("tamper", AT_THE_END)
def test_a_process_that_has_appended_before_notices_too(place: Place, tamper: Callable[[Place], object]) -> None:
    ledger = place.open()
    ledger.append(entry(6))
    tamper(place)
    with pytest.raises(LedgerTampered):
        ledger.append(entry(7))
    assert not place.open().verify().ok


def test_a_gap_is_noticed_when_the_witness_is_older_than_it(place: Place) -> None:
    first, second, _ = place.objects()
    place.witness.write_bytes(first.read_bytes().splitlines(keepends=True)[-1])
    assert place.open().verify().ok
    second.unlink()
    with pytest.raises(LedgerTampered, match="does not follow on 2 entries"):
        place.open().append(entry(6))


def test_without_any_key_nothing_is_vouched_for_or_appended(place: Place) -> None:
    place.key.unlink()
    place.public.unlink()
    (problem,) = place.open().verify().problems
    assert (problem.where, problem.found) == (str(place.public), "no public key to check with")
    with pytest.raises(LedgerTampered, match="missing, but there is what was made with it"):
        place.open().append(entry(6))
    assert not place.key.exists()


def test_a_public_key_that_is_not_that_of_the_private_one_is_refused(place: Place) -> None:
    shutil.copy(other_ledger(place, same_key=False).public, place.public)
    assert not place.open().verify().ok
    with pytest.raises(LedgerTampered, match="not the public key of the private one"):
        place.open().append(entry(6))


def test_a_lost_public_key_is_made_again(place: Place) -> None:
    public = place.public.read_bytes()
    place.public.unlink()
    assert place.open().verify().ok
    place.open().append(entry(6))
    assert place.public.read_bytes() == public


def test_a_file_that_is_no_key_is_said_to_be_none(place: Place) -> None:
    place.public.write_text("no key")
    (problem,) = place.open().verify().problems
    assert problem.found == "not an Ed25519 key"
    place.key.write_text("no key")
    with pytest.raises(SettingError, match="not an Ed25519 key"):
        place.open().append(entry(6))


def test_a_witness_one_group_behind_is_what_a_crash_leaves(place: Place) -> None:
    behind = place.witness.read_bytes()
    place.open().append(entry(6))
    place.witness.write_bytes(behind)
    assert place.open().verify().ok
    place.open().append(entry(7))
    assert Head.from_line(place.witness.read_bytes().rstrip(b"\n")).size == 8


# ---------------------------------------------------------------- processes

CHILD = """
import os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID
from lsdata.lake.ledger import Entry, Ledger

base = Path(sys.argv[2])

def entry(number):
    return Entry(id=UUID(int=number).hex, at="2026-01-02T03:04:05+00:00", actor="child", action="publish", subject="x",
                 old_version=None, new_version=None, reason="", content_sha256=None, detail={})

def ledger(at):
    return Ledger.local(at / "ledger", at / "elsewhere" / "witness", at / "keys" / "ledger.pem")

def writers(first, count, threads):
    # Says which entry got which index, as soon as it is durable.
    opened = ledger(base)
    def one(number):
        index = opened.append(entry(number))
        os.write(1, f"{number} {index}\\n".encode())
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(first, first + count)))

def crashes():
    # One child per moment: it dies at its n-th change to the disk; the last one comes through.
    for moment in range(200):
        child = os.fork()
        if not child:
            left = moment
            def dying(call):
                def wrapped(*args, **named):
                    nonlocal left
                    if not left:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1
                    return call(*args, **named)
                return wrapped
            for name in ("open", "fsync", "link", "unlink", "replace", "mkdir"):
                setattr(os, name, dying(getattr(os, name)))
            at = base / str(moment)
            opened = ledger(at)
            for number in range(3):
                opened.append(entry(number))
                with open(at / "acknowledged", "a") as file:
                    file.write(f"{number}\\n")
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            return
    sys.exit("no child came through")

if sys.argv[1] == "crashes":
    crashes()
else:
    writers(*map(int, sys.argv[3:]))
"""


def child(*args: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CHILD, *map(str, args)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def durable(said: str) -> dict[int, int]:
    pairs = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
    return {int(number): int(index) for number, index in pairs}


def test_processes_with_threads_lose_nothing_and_overwrite_nothing(empty: Place) -> None:
    writers = [child("writers", empty.base, first, 120, 4) for first in (0, 1000)]
    said: dict[int, int] = {}
    for writer in writers:
        said |= durable(writer.communicate(timeout=60)[0])
        assert writer.returncode == 0
    ledger = empty.open()
    assert {int(item.id, 16): index for index, item in ledger.entries()} == said
    assert sorted(said.values()) == list(range(240))
    assert ledger.verify().problems == ()


def test_killed_at_any_change_to_the_disk_it_verifies_and_goes_on(empty: Place) -> None:
    crashes = child("crashes", empty.base)
    crashes.communicate(timeout=100)
    assert crashes.returncode == 0
    moments = [Place(path) for path in empty.base.iterdir()]
    assert len(moments) > 25
    for place in moments:
        ledger = place.open()
        assert ledger.verify().problems == (), place.base.name
        log = place.base / "acknowledged"
        said = len(log.read_text().splitlines()) if log.exists() else 0
        size = ledger.size()
        assert said <= size <= said + 1
        assert ledger.append(entry(9)) == size
        assert ledger.verify().problems == ()


def test_killed_while_many_threads_append_it_keeps_all_it_acknowledged(empty: Place) -> None:
    writer = child("writers", empty.base, 0, 100_000, 16)
    assert writer.stdout
    said = "".join(writer.stdout.readline() for _ in range(100))
    writer.send_signal(signal.SIGKILL)
    said += writer.communicate(timeout=60)[0]
    assert writer.returncode == -signal.SIGKILL
    ledger = empty.open()
    assert ledger.verify().problems == ()
    written = {int(item.id, 16): index for index, item in ledger.entries()}
    assert durable(said).items() <= written.items()
    assert ledger.append(entry(200_000)) == len(written)
    assert ledger.verify().problems == ()


def test_verifying_while_others_append_finds_no_fault(empty: Place) -> None:
    writer = child("writers", empty.base, 0, 2_000, 4)
    assert writer.stdout
    writer.stdout.readline()
    ledger, seen = empty.open(), 0
    for _ in range(20):
        found = ledger.verify()
        assert found.problems == ()
        assert found.size >= seen
        seen = found.size
    writer.kill()
    writer.communicate(timeout=60)
