"""The vault: who a pseudonym is and by how many days a patient's dates are moved, until the key is destroyed.

Pseudonyms and offsets are drawn at random, never derived from an identifier (45 CFR 164.514(c)); what links them to
patients lies here alone. A study is a name space of its own: within it a patient has one pseudonym and one offset, for
all tables, deliveries and texts; across studies nothing links. Who needs no studies uses `DEFAULT_STUDY`.

Below the vault's root:

    deid/keys/<study>.wrapped           the study's data key, wrapped by the key provider
    deid/keys/<study>.destroyed         after destruction: the ledger entry that says so; `.recorded` when it has it
    deid/pseudonyms/<study>/<number>    batches of (keyed hash of the identifier, pseudonym)
    deid/date_offsets/<study>/<number>  batches of (keyed hash of the identifier, days)

A batch is written once and never changed: one line of JSON that says what it is, in clear and authenticated, and the
encrypted rows. Batches are numbered without gaps and created only if absent. A writer has read all batches before the
one it creates, so two writers can never give one patient two pseudonyms: who loses the race for a number reads what
the winner wrote, and tries the next. A process that dies leaves whole batches or none.

Identifiers are looked up by HMAC-SHA-256 (RFC 2104) cut to 128 bits: the store holds none of them, not even encrypted.
"""

import base64
import fcntl
import hmac
import io
import json
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lsdata.deid.keys import KeyProvider, create, provider, seal, shred, unseal
from lsdata.errors import KeyDestroyed, MissingData, SettingError, VaultTampered
from lsdata.lake.lake import Act, Lake
from lsdata.lake.ledger import Entry, Ledger

DEFAULT_STUDY = "default"

Table = Literal["pseudonyms", "date_offsets"]
TABLES: tuple[Table, ...] = ("pseudonyms", "date_offsets")

MOST_DAYS = 365
"""Offsets are uniform over -365 to 365 days without 0: no date stays where it was, and the season is not kept."""

_MAC_BYTES = 16
_CHARACTERS = 12
"""Of a pseudonym, 5 random bits each: the most that Arrow holds in place, so that joins stay cheap."""
_STUDY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,62}")
_VALUES: dict[Table, pl.DataType] = {"pseudonyms": pl.String(), "date_offsets": pl.Int32()}


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the vault holds of a study; known without any key.

    Args:
        patients: patients with an offset (count).
        pseudonyms: pseudonyms of patients and codes of other identifiers (count).
        destroyed: when its keys were destroyed, ISO 8601, UTC; None while they are there.
    """

    study: str
    patients: int
    pseudonyms: int
    destroyed: str | None


class Vault:
    """The vault of one root. Safe to use from several threads, processes and machines with one file system at once."""

    def __init__(self, root: Path, keys: KeyProvider, ledger: Ledger):
        self._root, self._keys, self._ledger = root / "deid", keys, ledger

    @classmethod
    def of(cls, lake: Lake) -> "Vault":
        """The vault of the lake's settings; what is done with it stands in the lake's ledger.

        Raises:
            SettingError: the vault is not on a local disk, or holds its own keys.
        """
        return cls(lake.settings.path("vault"), provider(lake.settings), lake.ledger)

    def open(self, study: str, act: Act) -> "Pseudonyms":
        """The pseudonyms of a study. Appends one ledger entry `vault_read`, before anything is read: open once a run.

        Raises:
            SettingError: the study's name cannot be used.
            KeyDestroyed: the study's keys were destroyed.
            VaultTampered: keys and vault do not belong together.
        """
        _expect_name(study)
        self._expect_alive(study)
        self._ledger.append(_entry(act, "vault_read", study))
        key = HKDF(SHA256(), 64, salt=None, info=b"lsdata vault").derive(self._data_key(study))
        return Pseudonyms(self, study, key[:32], key[32:])

    def destroy(self, study: str, act: Act) -> None:
        """Destroy the keys of a study: its pseudonyms become anonymous. The ledger gets the entry `destroy_key`.

        A crash in between is finished by the next call, or by the next one that asks for the study.

        Raises:
            SettingError: the study's name cannot be used.
            MissingData: there is no such study.
        """
        _expect_name(study)
        if not self._tombstone(study).exists():
            if not self._wrapped(study).exists():
                raise MissingData(
                    f"vault [{study}]",
                    found="no such study",
                    allowed=", ".join(held.study for held in self.studies()) or "none: the vault is empty",
                    do="Name one of them.",
                )
            create(self._tombstone(study), _entry(act, "destroy_key", study).to_line())
        self._finish(study)

    def studies(self) -> list[Held]:
        """What is held, by study."""
        found = {path.stem for end in ("wrapped", "destroyed") for path in (self._root / "keys").glob(f"*.{end}")}
        return [
            Held(
                study=study,
                patients=self._rows("date_offsets", study),
                pseudonyms=self._rows("pseudonyms", study),
                destroyed=Entry.from_line(told).at if (told := _read(self._tombstone(study))) else None,
            )
            for study in sorted(found)
        ]

    # -------- batches

    def read(self, table: Table, study: str, number: int, key: bytes) -> pl.DataFrame | None:
        """The rows of a batch; None when there is none of this number.

        Raises:
            VaultTampered: it was not written here with this key.
        """
        data = _read(self._batch(table, study, number))
        if data is None:
            return None
        said, _, sealed = data.partition(b"\n")
        rows = pl.read_ipc(io.BytesIO(unseal(key, sealed, said)), use_pyarrow=False)
        if said != _said(table, study, number, rows.height):
            raise _tampered(table, study, f"batch {number} says it is another")
        return rows

    def write(self, table: Table, study: str, number: int, rows: pl.DataFrame, key: bytes) -> bool:
        """Create a batch; False when another writer did."""
        said, plain = _said(table, study, number, rows.height), io.BytesIO()
        rows.write_ipc(plain)
        return create(self._batch(table, study, number), said + b"\n" + seal(key, plain.getvalue(), said))

    def expect_whole(self, table: Table, study: str, count: int) -> None:
        """
        Raises:
            KeyDestroyed: the study's keys were destroyed meanwhile.
            VaultTampered: of the batches from `count` on, one is missing before another.
        """
        self._expect_alive(study)
        # Others may be writing; what a listing shows and what it misses need not be of one moment, a name stays.
        for number in range(count, max(self._numbers(table, study), default=0)):
            if not self._batch(table, study, number).exists():
                raise _tampered(table, study, f"batch {number} is missing")

    def _numbers(self, table: Table, study: str) -> Iterator[int]:
        folder = self._root / table / study
        if folder.exists():
            yield from (int(path.name) for path in folder.iterdir() if path.name.isdigit())

    def _rows(self, table: Table, study: str) -> int:
        total = 0
        for number in self._numbers(table, study):
            with self._batch(table, study, number).open("rb") as file:
                total += json.loads(file.readline())["rows"]
        return total

    # -------- keys

    def _data_key(self, study: str) -> bytes:
        path = self._wrapped(study)
        if not path.exists():
            orphans = [table for table in TABLES if any(True for _ in self._numbers(table, study))]
            if orphans and not path.exists():
                self._expect_alive(study)
                raise _tampered("keys", study, f"the wrapped key of {', '.join(orphans)} is missing")
            create(path, self._keys.wrap(study, secrets.token_bytes(32)))
            if self._tombstone(study).exists():  # destroyed by another process since this one looked
                shred(path)
        self._expect_alive(study)
        wrapped = _read(path)
        if wrapped is None:
            self._expect_alive(study)
            raise _tampered("keys", study, "the wrapped key is missing")
        return self._keys.unwrap(study, wrapped)

    def _expect_alive(self, study: str) -> None:
        tombstone = _read(self._tombstone(study))
        if tombstone is None:
            return
        self._finish(study)
        raise KeyDestroyed(
            f"vault [{study}]",
            found=f"keys destroyed at {Entry.from_line(tombstone).at}",
            allowed="a study whose keys are there",
            do="Deliver under a new study name: it will not link to what was made before.",
        )

    def _finish(self, study: str) -> None:
        """Shred both sides of the key, then see to it that the ledger says so."""
        tombstone, recorded = self._tombstone(study), self._path("keys", f"{study}.recorded")
        if recorded.exists():
            return
        with tombstone.open("rb") as one_at_a_time:
            fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
            shred(self._wrapped(study))
            self._keys.destroy(study)
            entry = Entry.from_line(one_at_a_time.read())
            if all(told.id != entry.id for _, told in self._ledger.entries()):
                self._ledger.append(entry)
            create(recorded, b"")

    def _path(self, *parts: str) -> Path:
        return self._root.joinpath(*parts)

    def _wrapped(self, study: str) -> Path:
        return self._path("keys", f"{study}.wrapped")

    def _tombstone(self, study: str) -> Path:
        return self._path("keys", f"{study}.destroyed")

    def _batch(self, table: Table, study: str, number: int) -> Path:
        return self._path(table, study, f"{number:012d}")


class Pseudonyms:
    """The pseudonyms and offsets of one study, for one run; `Vault.open` gives it. Not for several threads at once."""

    def __init__(self, vault: Vault, study: str, key: bytes, mac_key: bytes):
        self._vault, self.study, self._key, self._mac_key = vault, study, key, mac_key
        self._known = {
            table: pl.DataFrame(schema={"mac": pl.Binary(), "value": dtype}) for table, dtype in _VALUES.items()
        }
        self._count: dict[Table, int] = dict.fromkeys(TABLES, 0)

    def patients(self, identifiers: pl.Series) -> pl.DataFrame:
        """Pseudonym and offset of each distinct patient; who has none yet gets them.

        Args:
            identifiers: text; nulls are nobody.

        Returns:
            `identifier, pseudonym, offset_days`, one row per distinct identifier.

        Raises:
            KeyDestroyed: the study's keys were destroyed meanwhile.
            VaultTampered: a batch is missing or was changed.
        """
        named = self._hashed("patient", identifiers)
        pseudonyms = self._lookup("pseudonyms", named, _draw_pseudonyms).rename({"value": "pseudonym"})
        return self._lookup("date_offsets", pseudonyms, _draw_offsets).rename({"value": "offset_days"}).drop("mac")

    def secret(self, name: str) -> bytes:
        """32 secret bytes of a pseudonym or of another name, alike in every run: what surrogates are made from."""
        return hmac.digest(self._mac_key, b"surrogates\0" + name.encode(), "sha256")

    def tokens(self, kind: str, values: pl.Series) -> pl.DataFrame:
        """A random code for each distinct value of an identifier other than the patient's.

        Args:
            kind: what is identified, e.g. the column's name; equal values of two kinds get different codes.
            values: text; nulls are left out.

        Returns:
            `identifier, pseudonym`, one row per distinct value. Errors as in `patients`.
        """
        named = self._hashed(f"other {kind}", values)
        return self._lookup("pseudonyms", named, _draw_pseudonyms).rename({"value": "pseudonym"}).drop("mac")

    def _hashed(self, kind: str, identifiers: pl.Series) -> pl.DataFrame:
        distinct = identifiers.drop_nulls().unique().sort()
        prefix = f"{kind}\0".encode()
        macs = [hmac.digest(self._mac_key, prefix + text.encode(), "sha256")[:_MAC_BYTES] for text in distinct]
        return pl.DataFrame({"identifier": distinct, "mac": pl.Series(macs, dtype=pl.Binary)})

    def _lookup(self, table: Table, named: pl.DataFrame, draw: Callable[[int, pl.Series], pl.Series]) -> pl.DataFrame:
        while True:
            self._catch_up(table)
            found = named.join(self._known[table], on="mac", how="left", maintain_order="left")
            new = found.filter(pl.col("value").is_null()).select("mac")
            if new.is_empty():
                self._vault.expect_whole(table, self.study, self._count[table])
                return found
            rows = new.with_columns(value=draw(new.height, self._known[table]["value"]))
            self._vault.write(table, self.study, self._count[table], rows, self._key)

    def _catch_up(self, table: Table) -> None:
        read = [self._known[table]]
        while (rows := self._vault.read(table, self.study, self._count[table], self._key)) is not None:
            read.append(rows)
            self._count[table] += 1
        if len(read) > 1:
            self._known[table] = pl.concat(read)
        self._vault.expect_whole(table, self.study, self._count[table])


@dataclass(frozen=True)
class Known:
    """Pseudonyms that were looked up before: for workers of a cluster, which have no way to the vault.

    Args:
        people: as `Pseudonyms.patients` returns them.
        others: by kind, as `Pseudonyms.tokens` returns them.
    """

    people: pl.DataFrame
    others: Mapping[str, pl.DataFrame]

    def patients(self, identifiers: pl.Series) -> pl.DataFrame:
        """As `Pseudonyms.patients`.

        Raises:
            MissingData: an identifier was not looked up.
        """
        return _all_of(self.people, identifiers)

    def tokens(self, kind: str, values: pl.Series) -> pl.DataFrame:
        """As `Pseudonyms.tokens`. Errors as in `patients`."""
        return _all_of(self.others[kind], values)


def _all_of(known: pl.DataFrame, identifiers: pl.Series) -> pl.DataFrame:
    found = known.filter(pl.col("identifier").is_in(identifiers.implode()))
    if missing := identifiers.drop_nulls().n_unique() - found.height:
        raise MissingData(
            "pseudonyms of this run",
            found=f"{missing} identifiers that were not looked up",
            allowed="those of the rows they were looked up for",
            do="Look them up in the vault first.",
        )
    return found


def _draw_pseudonyms(count: int, taken: pl.Series) -> pl.Series:
    while True:
        blocks = -(-count * _CHARACTERS // 8)  # base32 writes 5 bytes as 8 characters
        text = base64.b32encode(secrets.token_bytes(5 * blocks)).decode().lower()
        drawn = pl.Series([text[at : at + _CHARACTERS] for at in range(0, count * _CHARACTERS, _CHARACTERS)])
        if drawn.is_unique().all() and not drawn.is_in(taken.implode()).any():
            return drawn


def _draw_offsets(count: int, taken: pl.Series) -> pl.Series:
    del taken  # many patients share an offset
    # 64 bits over 730 values: none is likelier than another by more than 2 to the -54.
    drawn = pl.Series(np.frombuffer(secrets.token_bytes(8 * count), np.uint64) % (2 * MOST_DAYS)).cast(pl.Int32)
    drawn -= MOST_DAYS
    return drawn + (drawn >= 0).cast(pl.Int32)


def _said(table: Table, study: str, number: int, rows: int) -> bytes:
    told = {"number": number, "rows": rows, "study": study, "table": table}
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def _entry(act: Act, action: str, study: str) -> Entry:
    return Entry(
        id=uuid.uuid4().hex,
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        actor=act.operator,
        action=action,
        subject=f"vault/deid/{study}",
        old_version=None,
        new_version=None,
        reason=act.reason,
        content_sha256=None,
        detail={"run_id": act.run_id, "git_commit": act.git_commit},
    )


def _expect_name(study: str) -> None:
    if not _STUDY.fullmatch(study) or study.endswith(".tmp"):
        raise SettingError(
            "name of a study",
            found=f"{len(study)} characters that cannot be a file's name everywhere",
            allowed="1 to 63 of A-Z a-z 0-9 _ - . , not first a dot, not ending in .tmp",
            do="Use the protocol's code.",
        )


def _tampered(table: str, study: str, found: str) -> VaultTampered:
    return VaultTampered(
        f"vault {table} [{study}]",
        found=found,
        allowed="all that was written",
        do="Restore the vault from its backup: a patient must not get a second pseudonym.",
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
