"""The audit ledger: a tamper-evident, append-only Merkle log of who did what (21 CFR 11.10(e)).

Under the ledger's root lies one immutable object per group commit, named after the index of its first entry
(`000000000000.jsonl`). It holds one canonical JSON line per entry and, as its last line, the signed tree head:

    {"head":{"at":…,"key":…,"peaks":[…],"previous":…,"root":…,"signature":…,"size":…}}

The root is the Merkle tree hash over all entry lines up to here; the peaks are the roots of its perfect subtrees (all
that an append needs to know of the past); `previous` is the SHA-256 of the object before. So every byte below the root
is covered by a signature, and `Ledger.verify` finds each one that changed. An object is there as a whole or not at
all, so writers need no lock: who loses the race for a name reads what is new and tries the next name.

The witness is a copy of the newest head at another place: it shows that the end of the ledger was cut off, or an older
copy put back. It protects as far as its place does: whoever can roll back both hides what was rolled back.

Source: RFC 6962 section 2.1 (tree hash), RFC 9162 sections 2.1.3 and 2.1.4 (proofs), RFC 8032 (Ed25519).
"""

import fcntl
import hashlib
import json
import os
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self, cast
from uuid import uuid4

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from lsdata.errors import InvalidInput, LedgerTampered, MissingData, SettingError

JSON = str | int | float | bool | None | Sequence["JSON"] | Mapping[str, "JSON"]

# ---------------------------------------------------------------- Merkle tree


def leaf_hash(line: bytes) -> bytes:
    """Hash of one leaf: SHA-256(0x00 || line), line without its newline. Source: RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right). Source: RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Merkle tree hash over leaf hashes (each a `leaf_hash`); that of no leaves is SHA-256 of nothing.

    Source: RFC 6962 section 2.1.
    """
    return _root(_grow([], 0, leaves))


def prove_inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of the leaf hash at a 0-based index (which must exist). Source: RFC 6962 section 2.1.1 (PATH)."""
    if len(leaves) == 1:
        return []
    left = _left(len(leaves))
    if index < left:
        return [*prove_inclusion(leaves[:left], index), merkle_root(leaves[left:])]
    return [*prove_inclusion(leaves[left:], index - left), merkle_root(leaves[:left])]


def prove_consistency(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the first `old_size` leaf hashes (no more than there are) are a prefix of all of them.

    Source: RFC 6962 section 2.1.2 (PROOF).
    """
    return _subproof(leaves, old_size, known=True) if old_size else []


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that the leaf hash is at this 0-based index of the tree. Source: RFC 9162 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, made = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            made = node_hash(sibling, made)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            made = node_hash(made, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and made == root


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the old tree is a prefix of the new one. Source: RFC 9162 2.1.4.2.

    Beyond the RFC, which leaves it open: the empty tree is a prefix of every tree, with an empty proof.
    """
    if not 0 <= old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == merkle_root(())
    path = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)
    if not path:
        return False
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _grow(peaks: list[bytes], size: int, leaves: Iterable[bytes]) -> list[bytes]:
    """The peaks (roots of the perfect subtrees, left to right) after more leaves: a binary counter of hashes."""
    peaks = list(peaks)
    for count, leaf in enumerate(leaves, size):
        node = leaf
        while count & 1:
            node = node_hash(peaks.pop(), node)
            count >>= 1
        peaks.append(node)
    return peaks


def _root(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return hashlib.sha256().digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def _left(size: int) -> int:
    """Number of leaves in the left subtree: the largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def _subproof(leaves: Sequence[bytes], old_size: int, *, known: bool) -> list[bytes]:
    # known: whoever checks the proof has the root of these leaves already
    if old_size == len(leaves):
        return [] if known else [merkle_root(leaves)]
    left = _left(len(leaves))
    if old_size <= left:
        return [*_subproof(leaves[:left], old_size, known=known), merkle_root(leaves[left:])]
    return [*_subproof(leaves[left:], old_size - left, known=False), merkle_root(leaves[:left])]


# ---------------------------------------------------------------- canonical lines

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_version(value: object) -> bool:
    return value is None or (type(value) is int and value >= 0)


def _hex(digits: int) -> Callable[[object], bool]:
    # Lower case only: "a" and "A" are the same number, one bit apart.
    pattern = re.compile(f"[0-9a-f]{{{digits}}}")
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_instant(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() == timedelta(0)
    except ValueError:
        return False


_is_sha256 = _hex(64)

# Per field: the rule, and the rule in words.
_Rules = Mapping[str, tuple[Callable[[Any], bool], str]]

_ENTRY: _Rules = {
    "id": (_hex(32), "32 lower-case hex digits (uuid4().hex)"),
    "at": (_is_instant, "an ISO 8601 instant in UTC"),
    "actor": (_is_text, "a non-empty text"),
    "action": (_is_text, "a non-empty text"),
    "subject": (_is_text, "a non-empty text"),
    "old_version": (_is_version, "a whole number from 0, or null"),
    "new_version": (_is_version, "a whole number from 0, or null"),
    "reason": (lambda value: isinstance(value, str), "a text"),
    "content_sha256": (lambda value: value is None or _is_sha256(value), "64 lower-case hex digits, or null"),
    "detail": (lambda value: isinstance(value, dict), "an object of JSON values"),
}
_HEAD: _Rules = {
    "size": (lambda value: type(value) is int and value >= 0, "a whole number from 0"),
    "root": (_is_sha256, "64 lower-case hex digits"),
    "peaks": (lambda value: isinstance(value, list) and all(map(_is_sha256, cast("list[object]", value))), "SHA-256s"),
    "previous": (lambda value: value is None or _is_sha256(value), "64 lower-case hex digits, or null"),
    "at": (_is_instant, "an ISO 8601 instant in UTC"),
    "key": (_is_sha256, "64 lower-case hex digits"),
    "signature": (_hex(128), "128 lower-case hex digits"),
}


def _invalid(what: str, found: str, allowed: str) -> InvalidInput:
    # Neither values nor the decoder's error, which carries them: an entry may have been written over with anything.
    return InvalidInput(what, code="not_canonical", found=found, allowed=allowed, do="Correct what made it.")


def _canonical(what: str, value: object) -> bytes:
    try:
        return _encode(value).encode()
    except (TypeError, ValueError, RecursionError):
        raise _invalid(what, "not writable as JSON", "objects with text keys, lists, texts, finite numbers") from None


def _parse(what: str, line: bytes) -> dict[str, Any]:
    """The JSON object of a line that is exactly what `_canonical` writes for it."""
    try:
        value: object = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise _invalid(what, "not JSON in UTF-8", "one JSON object a line") from None
    if not isinstance(value, dict) or _canonical(what, cast("object", value)) != line:
        raise _invalid(what, "not a canonical JSON object", "sorted unique text keys, no spaces, UTF-8") from None
    return cast("dict[str, Any]", value)


def _check_fields(what: str, values: Mapping[str, Any], rules: _Rules) -> None:
    if values.keys() != rules.keys():
        raise _invalid(what, "other fields than declared", ", ".join(rules))
    if wrong := [name for name, (holds, _) in rules.items() if not holds(values[name])]:
        raise _invalid(what, f"bad {', '.join(wrong)}", "; ".join(f"{name} is {rules[name][1]}" for name in wrong))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Who did what, when, to which versions of what, and why.

    Args:
        id: uuid4().hex; whoever repeats an append after a crash finds by it whether the first one got through.
        at: ISO 8601 instant, UTC.
        actor: who did it.
        action: what was done: publish, delete, grant, sign, destroy_key, repair, …
        subject: to what: the key of a dataset, or another name.
        old_version, new_version: table versions before and after; None where there is none.
        reason: why.
        content_sha256: hash of the content that was written, or None.
        detail: more, as JSON.
    """

    id: str
    at: str
    actor: str
    action: str
    subject: str
    old_version: int | None
    new_version: int | None
    reason: str
    content_sha256: str | None
    detail: Mapping[str, JSON]

    def to_line(self) -> bytes:
        """The canonical JSON line, without newline.

        Raises:
            InvalidInput: a field breaks its rule, or the line would not read back as it was written.
        """
        values = {name: getattr(self, name) for name in _ENTRY}
        line = _canonical("ledger entry", values | {"detail": dict(self.detail)})
        _check_fields("ledger entry", _parse("ledger entry", line), _ENTRY)
        return line

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """The entry of a canonical line.

        Raises:
            InvalidInput: not canonical JSON, or a field is missing, unknown or breaks its rule.
        """
        values = _parse("ledger entry", line)
        _check_fields("ledger entry", values, _ENTRY)
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A signed tree head: what the ledger was when it had `size` entries. Hashes are lower-case hex SHA-256.

    Args:
        size: number of entries.
        root: Merkle tree hash over them.
        peaks: roots of the perfect subtrees, left to right.
        previous: hash of the object before the one that ends with this head; None for the first.
        at: ISO 8601 instant of signing, UTC, with microseconds.
        key: fingerprint of the public key: hash of its 32 raw bytes.
        signature: hex Ed25519 signature over the canonical JSON object of all other fields.
    """

    size: int
    root: str
    peaks: tuple[str, ...]
    previous: str | None
    at: str
    key: str
    signature: str

    @classmethod
    def sign(cls, key: Ed25519PrivateKey, *, size: int, peaks: Sequence[bytes], previous: str | None) -> Self:
        """Make and sign the head of a ledger of this size, now."""
        head = cls(
            size=size,
            root=_root(peaks).hex(),
            peaks=tuple(peak.hex() for peak in peaks),
            previous=previous,
            at=datetime.now(UTC).isoformat(timespec="microseconds"),
            key=_fingerprint(key.public_key()),
            signature="",
        )
        return replace(head, signature=key.sign(head._signed()).hex())

    def to_line(self) -> bytes:
        """The canonical JSON line, without newline."""
        return _canonical("ledger head", {"head": {name: getattr(self, name) for name in _HEAD}})

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """The head of a canonical line; does not check the signature.

        Raises:
            InvalidInput: not canonical JSON, or a field is missing, unknown or breaks its rule.
        """
        outer = _parse("ledger head", line)
        values = outer.get("head")
        if outer.keys() != {"head"} or not isinstance(values, dict):
            raise _invalid("ledger head", "no head", '{"head":{…}}')
        values = cast("dict[str, Any]", values)
        _check_fields("ledger head", values, _HEAD)
        head = cls(**dict(values, peaks=tuple(values["peaks"])))
        if len(head.peaks) != head.size.bit_count() or _root(head._peak_hashes()).hex() != head.root:
            raise _invalid("ledger head", "peaks that do not make the root", "those of a tree of this size")
        return head

    def fault(self, public: Ed25519PublicKey) -> str | None:
        """What is wrong with the signature; None when it is by this key and fits."""
        if self.key != _fingerprint(public):
            return "signed with another key"
        try:
            public.verify(bytes.fromhex(self.signature), self._signed())
        except InvalidSignature:
            return "the signature does not fit"
        return None

    def _signed(self) -> bytes:
        return _canonical("ledger head", {name: getattr(self, name) for name in _HEAD if name != "signature"})

    def _peak_hashes(self) -> list[bytes]:
        return [bytes.fromhex(peak) for peak in self.peaks]


# ---------------------------------------------------------------- storage


class Objects(Protocol):
    """Where the ledger's objects lie: anything that can create a name once."""

    def list(self) -> Sequence[str]:
        """All names below the root, sorted; also those that do not belong there."""
        ...

    def read(self, name: str) -> bytes | None:
        """All bytes of an object; None when there is none of this name."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Create the object durably, as a whole or not at all; False when the name exists."""
        ...


@dataclass(frozen=True, slots=True)
class LocalObjects:
    """Objects as files of one folder. Files on their way lie in `<root>.tmp` beside it, on the same file system."""

    root: Path

    def list(self) -> Sequence[str]:
        """All names in the folder, sorted; what is not a plain file (folder, link) ends with a slash."""
        try:
            with os.scandir(self.root) as found:
                return sorted(at.name if at.is_file(follow_symlinks=False) else f"{at.name}/" for at in found)
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes | None:
        """All bytes of a file; None when there is none of this name."""
        return _read(self.root / name)

    def create(self, name: str, data: bytes) -> bool:
        """Create the file durably, as a whole or not at all; False when the name exists."""
        through = self.root.with_name(f"{self.root.name}.tmp")
        for folder in (self.root, through):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                _sync_folder(folder.parent)
        return _create(self.root / name, data, through=through)


class Bucket(Protocol):
    """What `StoredObjects` needs of an object store."""

    def items(self, folder: str = "") -> Iterator[Any]: ...
    def read(self, name: str) -> bytes | None: ...
    def create(self, name: str, data: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class StoredObjects:
    """Objects of an object store, which creates a name once by itself."""

    bucket: Bucket

    def list(self) -> Sequence[str]:
        """All names below the root, sorted."""
        return sorted(item.path for item in self.bucket.items())

    def read(self, name: str) -> bytes | None:
        """All bytes of an object; None when there is none of this name."""
        return self.bucket.read(name)

    def create(self, name: str, data: bytes) -> bool:
        """Create the object; False when the name exists."""
        return self.bucket.create(name, data)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _sync_folder(path: Path) -> None:
    """Make names created in a folder survive a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _create(path: Path, data: bytes, *, through: Path, mode: int = 0o666) -> bool:
    """Create a file durably, as a whole or not at all; False when it exists. A rename would replace, a link refuses."""
    temporary = through / f"{path.name}.{uuid4().hex}.tmp"
    try:
        _write_new(temporary, data, mode)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


# ---------------------------------------------------------------- keys


def _fingerprint(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()


def _public_path(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def _pem(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _not_ed25519(path: Path) -> SettingError:
    return SettingError(
        str(path), found="not an Ed25519 key", allowed="an unencrypted Ed25519 key, PEM", do="Restore the ledger's key."
    )


def _private_key(path: Path) -> Ed25519PrivateKey | None:
    data = _read(path)
    if data is None:
        return None
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _not_ed25519(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_ed25519(path)
    return key


def _public_key(key: Path) -> Ed25519PublicKey | None:
    """The public key beside a private one, else that of the private one, else None."""
    path = _public_path(key)
    data = _read(path)
    if data is None:
        private = _private_key(key)
        return private and private.public_key()
    try:
        public = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_ed25519(path) from error
    if not isinstance(public, Ed25519PublicKey):
        raise _not_ed25519(path)
    return public


# ---------------------------------------------------------------- ledger


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (object and line, or file), what was found, what to do."""

    where: str
    found: str
    do: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `Ledger.verify` found; size and root (hex) are those the newest readable head claims."""

    ok: bool
    size: int
    root: str | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Tip:
    """The state after an object: its head and the hash of its bytes."""

    name: str = ""
    digest: str | None = None
    head: Head | None = None

    @property
    def size(self) -> int:
        return self.head.size if self.head else 0

    @property
    def peaks(self) -> list[bytes]:
        return [bytes.fromhex(peak) for peak in self.head.peaks] if self.head else []


@dataclass(frozen=True, slots=True)
class _Group:
    first: int
    lines: Sequence[bytes]
    entries: Sequence[Entry]
    tip: _Tip


@dataclass(slots=True)
class _Request:
    """Lines of one caller on their way into the next group."""

    lines: Sequence[bytes]
    first: int | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.first is not None or self.error is not None


_NAME = re.compile(r"[0-9]{12}\.jsonl")
_COMPARE = "Append nothing; compare with a backup and find out who changed it, when and why."
_RESTORE_KEY = "Restore the key pair of this ledger from its backup."


def _name(first: int) -> str:
    return f"{first:012d}.jsonl"


def _first(name: str) -> int:
    return int(name.removesuffix(".jsonl"))


def _tampered(problems: Iterable[Problem]) -> LedgerTampered:
    return LedgerTampered(
        "audit ledger",
        found="; ".join(f"{problem.where}: {problem.found}" for problem in problems),
        allowed="a ledger that verifies",
        do="Append nothing; run `lsdata ledger verify` and have a person look at what it says.",
    )


def _inspect(
    name: str, data: bytes, before: _Tip | None = None, public: Ed25519PublicKey | None = None
) -> tuple[_Group | None, list[Problem]]:
    """Read one object; also all that is wrong with it by itself, after the object before, and under the key."""
    problems: list[Problem] = []

    def problem(found: str, line: int | None = None) -> None:
        problems.append(Problem(name if line is None else f"{name}, line {line}", found, _COMPARE))

    *lines, last = data.removesuffix(b"\n").split(b"\n")
    if not data.endswith(b"\n"):
        problem("the last line has no end", len(lines) + 1)
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(Entry.from_line(line))
        except InvalidInput as error:
            problem(error.found, number)
    try:
        head = Head.from_line(last)
    except InvalidInput as error:
        problem(error.found, len(lines) + 1)
        return None, problems
    first = _first(name)
    if not lines:
        problem("no entries")
    if head.size != first + len(lines):
        problem(f"the head has {head.size} entries, name and lines make {first + len(lines)}", len(lines) + 1)
    if public is not None and (fault := head.fault(public)):
        problem(fault, len(lines) + 1)
    if before is not None and first != before.size:
        problem(f"begins at entry {first}, the object before ends before {before.size}: objects are missing or added")
    elif before is not None:
        if head.previous != before.digest:
            problem("`previous` is not the hash of the object before: one of both was changed", len(lines) + 1)
        if _grow(before.peaks, first, map(leaf_hash, lines)) != [bytes.fromhex(peak) for peak in head.peaks]:
            problem(f"lines 1 to {len(lines)} are not the entries that were signed")
    return _Group(first, lines, entries, _Tip(name, hashlib.sha256(data).hexdigest(), head)), problems


def _inspect_witness(
    path: Path, data: bytes, public: Ed25519PublicKey | None = None
) -> tuple[Head | None, list[Problem]]:
    """Read the head in a witness; also what is wrong with it."""
    try:
        head = Head.from_line(data.removesuffix(b"\n"))
    except InvalidInput as error:
        return None, [Problem(str(path), error.found, _COMPARE)]
    faults = [] if data.endswith(b"\n") else ["the line has no end"]
    if public is not None and (fault := head.fault(public)):
        faults.append(fault)
    return head, [Problem(str(path), fault, _COMPARE) for fault in faults]


def _astray(path: Path, held: Head, size: int) -> Problem:
    found = (
        f"saw {held.size} entries, the ledger has {size}: its end was cut off or an older copy put back"
        if held.size > size
        else f"saw another ledger when it had {held.size} entries: entries were written anew"
    )
    return Problem(str(path), found, _COMPARE)


def _no_witness(path: Path) -> Problem:
    return Problem(str(path), "no witness of a ledger that has entries", _COMPARE)


def _foreign(name: str) -> Problem:
    return Problem(ascii(name), "not an object of the ledger", "Find out who put it there and take it away.")


class Ledger:
    """The audit ledger, for any number of threads and processes at once.

    Args:
        objects: where the objects lie.
        witness: file for a copy of the newest head, where those who can write to the objects cannot.
        key: the Ed25519 private key, PEM; created on first use, with the public key beside it as `<key>.pub`.
    """

    def __init__(self, objects: Objects, witness: Path, key: Path):
        self._objects, self._witness, self._key = objects, witness, key
        self._signer: Ed25519PrivateKey | None = None
        self._tip: _Tip | None = None  # the newest object this process has checked
        self._seen: tuple[bytes, Head] | None = None  # the newest witness this process has checked
        self._latest = _Tip()  # the newest object a reader of this process has seen
        self._changed = threading.Condition()
        self._waiting: list[_Request] = []
        self._writing = False

    @classmethod
    def local(cls, root: Path, witness: Path, key: Path) -> Self:
        """A ledger in a folder.

        Raises:
            SettingError: witness or key lie below the root, where every byte is evidence.
        """
        for path in (witness, key):
            if path.resolve().is_relative_to(root.resolve()):
                raise SettingError(
                    str(path), found="below the ledger's root", allowed="any other place", do="Put it elsewhere."
                )
        return cls(LocalObjects(root), witness, key)

    # -------- append

    def append(self, entry: Entry) -> int:
        """Append one entry; returns its index when it is durable. Errors as in `append_many`."""
        return self.append_many((entry,))[0]

    def append_many(self, entries: Iterable[Entry]) -> range:
        """Append entries side by side in one group; returns their indexes when all are durable.

        Calls of several threads share one object, one signature and one sync.

        Raises:
            InvalidInput: an entry breaks a rule; none was appended.
            LedgerTampered: the newest part of the ledger does not verify, or witness or key are not as they must be.
            OSError: the storage failed. Whether the entries got through is open: look for their ids.
        """
        request = _Request([entry.to_line() for entry in entries])
        if not request.lines:
            return range(0)
        with self._changed:
            self._waiting.append(request)
            self._changed.wait_for(lambda: request.done or not self._writing)
            lead = not request.done
            self._writing = self._writing or lead
        if lead:
            self._write()
        if request.error is not None:
            raise request.error
        first = cast("int", request.first)
        return range(first, first + len(request.lines))

    def _write(self) -> None:
        """Write what all threads wait for as one object, and tell them."""
        group: list[_Request] = []
        first, error = 0, None
        try:
            signer, tip = self._catch_up()
            group = self._take()  # after the check: who came meanwhile goes along
            first = self._create([line for request in group for line in request.lines], signer, tip)
        except BaseException as failure:  # whatever ends this thread must not leave the others waiting
            error = failure
        with self._changed:
            for request in group or self._take():
                request.first, request.error = first, error
                first += len(request.lines)
            self._writing = False
            self._changed.notify_all()

    def _take(self) -> list[_Request]:
        with self._changed:
            group, self._waiting = self._waiting, []
        return group

    def _create(self, lines: Sequence[bytes], signer: Ed25519PrivateKey, tip: _Tip) -> int:
        """Create the next object, however many other processes do so too; returns the index of its first entry."""
        leaves = [leaf_hash(line) for line in lines]
        while True:
            peaks = _grow(tip.peaks, tip.size, leaves)
            head = Head.sign(signer, size=tip.size + len(lines), peaks=peaks, previous=tip.digest)
            name = _name(tip.size)
            data = b"".join(line + b"\n" for line in (*lines, head.to_line()))
            # A remote store may answer "exists" to its client's own second try: then the object there is this one.
            if self._objects.create(name, data) or self._objects.read(name) == data:
                self._tip = _Tip(name, hashlib.sha256(data).hexdigest(), head)
                self._write_witness(head)
                return tip.size
            signer, tip = self._catch_up()

    def _catch_up(self) -> tuple[Ed25519PrivateKey, _Tip]:
        """The newest object, with all checked that this process has not seen before and that a moment suffices for.

        Raises:
            LedgerTampered: it does not verify, or is behind the witness.
        """
        signer = self._signer = self._signer or self._load_signer()
        public = signer.public_key()
        # The witness is read first: at any moment the objects are not behind it. The first object may come between.
        witness, tip = _read(self._witness), self._follow(public)
        if witness is None and tip.size:
            witness, tip = _read(self._witness), self._follow(public)
        if witness is None:
            if tip.size:
                raise _tampered([_no_witness(self._witness)])
            # A witness of nothing, so that from here on a missing one is never just the trace of a crash.
            self._write_witness(Head.sign(signer, size=0, peaks=(), previous=None))
        elif self._seen is None or self._seen[0] != witness:
            head, problems = _inspect_witness(self._witness, witness, public)
            if head is None or problems:
                raise _tampered(problems)
            self._seen = witness, head
        held = self._seen and self._seen[1]
        if held and (held.size > tip.size or (held.size == tip.size > 0 and held != tip.head)):
            raise _tampered([_astray(self._witness, held, tip.size)])
        return signer, tip

    def _follow(self, public: Ed25519PublicKey) -> _Tip:
        """From the newest object this process knows, or the last but one, to the newest there is."""
        if self._tip is not None:
            tip, newest = self._tip, self._tip.name
            data = self._objects.read(newest)
            if data is None or hashlib.sha256(data).hexdigest() != tip.digest:
                raise _tampered([Problem(newest, "changed or gone since this process saw it", _COMPARE)])
        else:
            names = self._names()
            if foreign := [_foreign(name) for name in names if not _NAME.fullmatch(name)]:
                raise _tampered(foreign)
            newest = names[-1] if names else ""
            tip = (len(names) > 1 and self._step(names[-2], None, public)) or _Tip()
        passed = {tip.name}
        while following := self._step(_name(tip.size), tip, public):
            tip = following
            passed.add(tip.name)
        if newest not in passed:
            raise _tampered([Problem(newest, f"does not follow on {tip.size} entries before it", _COMPARE)])
        self._tip = tip if tip.head else None
        return tip

    def _step(self, name: str, before: _Tip | None, public: Ed25519PublicKey) -> _Tip | None:
        data = self._objects.read(name)
        if data is None:
            return None
        group, problems = _inspect(name, data, before, public)
        if group is None or problems:
            raise _tampered(problems)
        return group.tip

    def _write_witness(self, head: Head) -> None:
        """Put the head there, unless a newer one is."""
        line = head.to_line() + b"\n"
        self._witness.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self._witness}.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (current := _read(self._witness)) is not None:
                held, problems = _inspect_witness(self._witness, current)
                if held is None:
                    raise _tampered(problems)
                if held.size >= head.size:
                    return
            temporary = self._witness.with_name(f"{self._witness.name}.tmp")
            temporary.unlink(missing_ok=True)
            _write_new(temporary, line, 0o666)
            os.replace(temporary, self._witness)
            if current is None:  # afterwards, a power cut leaves an older witness, which is a true one
                _sync_folder(self._witness.parent)
        self._seen = line, head

    def _load_signer(self) -> Ed25519PrivateKey:
        """The private key; made when there is none and nothing was ever written with one."""
        public_path = _public_path(self._key)
        # The key is looked for last: it is made before anything is made with it.
        fresh = not (self._names() or self._witness.exists() or public_path.exists())
        private = _private_key(self._key)
        if private is None and not fresh:
            raise _tampered([Problem(str(self._key), "missing, but there is what was made with it", _RESTORE_KEY)])
        if private is None:
            self._key.parent.mkdir(parents=True, exist_ok=True)
            pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _create(self._key, pem, through=self._key.parent, mode=0o600)
            return self._load_signer()  # who lost the race takes the winner's key
        public = private.public_key()
        if not _create(public_path, _pem(public), through=public_path.parent) and _public_key(self._key) != public:
            raise _tampered([Problem(str(public_path), "not the public key of the private one", _RESTORE_KEY)])
        return private

    # -------- read

    def entries(self, start: int = 0) -> Iterator[tuple[int, Entry]]:
        """Entries with their indexes from `start` on; who has seen `size` entries goes on with `start=size`.

        Reads the object that holds `start` and those after it. Does not check signatures, `verify` does.

        Raises:
            LedgerTampered: an object is malformed or missing.
        """
        for group in self._groups(start):
            for index, entry in enumerate(group.entries, group.first):
                if index >= start:
                    yield index, entry

    def size(self) -> int:
        """Number of entries."""
        head = self.head()
        return head.size if head else 0

    def head(self) -> Head | None:
        """The newest head as it is written (its signature is not checked, `verify` does); None when there is none."""
        names = self._object_names()
        if not names:
            return None
        return self._latest.head if self._latest.name == names[-1] else self._group(names[-1]).tip.head

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Audit path of the entry at `index` in the tree of the first `size` entries. Source: RFC 6962 2.1.1.

        Raises:
            MissingData: there is no such entry, or there are fewer than `size`.
        """
        leaves = self._leaves(size)
        if not 0 <= index < len(leaves):
            raise MissingData(
                "audit ledger",
                found=f"entry {index} asked for",
                allowed=f"0 to {len(leaves) - 1}",
                do="Ask for what is there.",
            )
        return prove_inclusion(leaves, index)

    def consistency_proof(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """Proof that the first `old_size` entries are a prefix of the first `new_size`. Source: RFC 6962 2.1.2.

        Raises:
            MissingData: there are fewer than `new_size` entries, or `old_size` is not between 0 and `new_size`.
        """
        leaves = self._leaves(new_size)
        if not 0 <= old_size <= len(leaves):
            raise MissingData(
                "audit ledger",
                found=f"size {old_size} asked for",
                allowed=f"0 to {len(leaves)}",
                do="Ask for what is there.",
            )
        return prove_consistency(leaves, old_size)

    def verify(self) -> Verification:
        """Check every byte; needs the public key only, changes nothing, and may run while others append.

        Lists all problems it can find. After a bad object it goes on from what that object's head says, so that one
        change is not reported once for each object after it.
        """
        problems: list[Problem] = []
        # As in `_catch_up`: the witness before the objects, the key after them.
        witness, names = _read(self._witness), self._names()
        if witness is None and names:
            witness, names = _read(self._witness), self._names()
        if witness is None and not names:
            return Verification(ok=True, size=0, root=None, problems=())
        public: Ed25519PublicKey | None = None
        try:
            public = _public_key(self._key)
            if public is None:
                problems.append(Problem(str(_public_path(self._key)), "no public key to check with", _RESTORE_KEY))
        except SettingError as error:
            problems.append(Problem(error.where, error.found, _RESTORE_KEY))
        held, known = None, False
        if witness is None:
            problems.append(_no_witness(self._witness))
        else:
            held, found = _inspect_witness(self._witness, witness, public)
            problems += found
        newest = before = _Tip()
        for name in names:
            if not _NAME.fullmatch(name):
                problems.append(_foreign(name))
                continue
            data = self._objects.read(name)
            if data is None:
                problems.append(Problem(name, "listed, but not there to be read", _COMPARE))
                continue
            group, found = _inspect(name, data, before, public)
            problems += found
            before = group and group.tip
            newest = before or newest
            known = known or (held is not None and held == newest.head)
        if held and held.size and not known:
            problems.append(_astray(self._witness, held, newest.size))
        return Verification(not problems, newest.size, newest.head and newest.head.root, tuple(problems))

    def _names(self) -> Sequence[str]:
        """All names, sorted, without a gap: a listing may miss a name made meanwhile, yet hold one made after it."""
        newest = max(self._objects.list(), default="")
        return [name for name in self._objects.list() if name <= newest]

    def _object_names(self) -> list[str]:
        return [name for name in self._names() if _NAME.fullmatch(name)]

    def _group(self, name: str) -> _Group:
        group, problems = _inspect(name, self._objects.read(name) or b"")
        if group is None or problems:
            raise _tampered(problems)
        if name > self._latest.name:
            self._latest = group.tip
        return group

    def _groups(self, start: int) -> Iterator[_Group]:
        """The group that holds `start`, and those after it."""
        names = self._object_names()
        if not names or (names[-1] == self._latest.name and start >= self._latest.size):
            return
        at = bisect_right(names, _name(start)) - 1
        expected = _first(names[at]) if at >= 0 else 0
        for name in names[max(at, 0) :]:
            group = self._group(name)
            if group.first != expected:
                raise _tampered([Problem(name, f"begins at entry {group.first}, not {expected}", _COMPARE)])
            yield group
            expected += len(group.lines)

    def _leaves(self, size: int | None) -> list[bytes]:
        leaves = [leaf_hash(line) for group in self._groups(0) for line in group.lines]
        if size is not None and not 0 <= size <= len(leaves):
            raise MissingData(
                "audit ledger",
                found=f"size {size} asked for",
                allowed=f"0 to {len(leaves)}",
                do="Ask for what is there.",
            )
        return leaves[:size]
