"""Declared Delta tables and files: read them, and publish partitions of them.

The publish protocol: stage -> check -> publish in one Delta commit -> record in the ledger. A crash leaves either the
last good version, or a commit whose entry is recovered from its own metadata by `Lake.recover`.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, cast
from urllib.parse import unquote

import polars as pl

from lsdata.catalog import DATASETS, Dataset, Store
from lsdata.catalog.core import FILE_INDEX
from lsdata.derived import arrow
from lsdata.derived.expectations import CheckResult
from lsdata.errors import InvalidInput, LedgerTampered, MissingData, PublishConflict, SchemaMismatch, UnsupportedTable
from lsdata.lake import large
from lsdata.lake.content import combined_sha256, groups_sha256, ordered, rows_sha256
from lsdata.lake.ledger import Entry, Ledger, StoredObjects
from lsdata.lake.places import LocalPlace, place_of
from lsdata.lake.quarantine import Quarantine
from lsdata.lake.state import Input, State
from lsdata.settings import Settings

COMMIT_KEY = "lsdata"
"""Under this name a Delta commit carries the ledger entry it must have."""

_KEEP_LOG = {"delta.logRetentionDuration": "interval 9125 days", "delta.enableExpiredLogCleanup": "false"}
_ATTEMPTS = 20


@dataclass(frozen=True, kw_only=True)
class Act:
    """Who publishes, why, and with what code (21 CFR 11.10(e))."""

    operator: str
    reason: str
    run_id: str = ""
    git_commit: str = ""


Validate = Callable[[Dataset, pl.DataFrame], Sequence[CheckResult]]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was made for one partition besides rows: the files, and what it was made from."""

    inputs: tuple[Input, ...] = ()
    fingerprint: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Published:
    """The result of a publish.

    Args:
        version: Delta version that shows it; None when nothing was published.
        rows: rows published, by partition.
        refused: partitions a blocking check kept out, with the names of the checks.
        results: all check results, over all partitions together.
        staged: where refused rows are kept.
    """

    version: int | None
    rows: Mapping[str, int]
    refused: Mapping[str, tuple[str, ...]]
    results: tuple[CheckResult, ...]
    staged: str | None = None


@cache
def code_version() -> str:
    """Git commit of the code, `+changes` when files differ from it; the package version outside a checkout."""
    here = Path(__file__).resolve().parents[2]
    if told := os.environ.get("LSDATA_GIT_COMMIT"):
        return told
    if (here / ".git").exists() and shutil.which("git"):
        git = ["git", "-C", str(here)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False).stdout
        return head + ("+changes" if changed.strip() else "") if head else "unknown"
    from importlib.metadata import version

    return f"lsdata {version('lsdata')}"


def reached(step: str) -> None:
    """A point of the publish protocol; crash tests replace this to kill the process there."""


@dataclass(frozen=True)
class Staging:
    """A private place for one publication: local folders, on the same disk as what they become where that is local."""

    token: str
    rows: Path
    files: Path
    lock: int = field(repr=False)

    def folder(self, partition: str) -> Path:
        """Where the files of a partition are put before they are published.

        Raises:
            InvalidInput: the key cannot be a folder.
        """
        _expect_folder_names("staging", [partition] if partition else [])
        folder = self.files / (partition or "all")
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Lake:
    """The lake of one set of settings. Safe to use from several processes at once."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.tables, self.files = place_of(settings, "lake"), place_of(settings, "files")
        evidence, key = place_of(settings, "ledger"), settings.key_folder / "ledger.ed25519"
        self.ledger = (
            Ledger.local(evidence.root, settings.witness_file, key)
            if isinstance(evidence, LocalPlace)
            else Ledger(StoredObjects(evidence), settings.witness_file, key)
        )
        self.quarantine = Quarantine(place_of(settings, "quarantine"))
        self._state = State(self.ledger)

    # -- reading -------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """What is published, up to date."""
        return self._state.refresh()

    def uri(self, key: str) -> str:
        """Where the table of a dataset is."""
        return self.tables.uri(key)

    def exists(self, key: str) -> bool:
        """Whether the dataset has been published. A process that dies in a first commit leaves an empty log."""
        return any(item.path.endswith(".json") for item in self.tables.items(f"{key}/_delta_log"))

    def version(self, key: str) -> int | None:
        """The table's Delta version; None before the first publish."""
        return self._delta(key).version() if self.exists(key) else None

    def read(self, key: str, partitions: Sequence[str] | None = None, version: int | None = None) -> pl.LazyFrame:
        """The rows of a declared dataset, or of some of its partitions; no rows before the first publish.

        Raises:
            LedgerTampered: the ledger has recorded versions and there is no table.
            UnsupportedTable: the table maps columns, which readers here would see as nulls.
            SchemaMismatch: the table is not the declared one.
        """
        dataset = DATASETS[key]
        if not self.exists(key):
            self._expect_writable(key)
            return arrow.empty(dataset).lazy()
        frame = _scan(self._table(key, version))
        # A declaration may have gained columns since: they read null until their partition is published again.
        gained = {c.name for c in dataset.columns if c.nullable} - set(frame.collect_schema())
        frame = frame.with_columns(pl.lit(None, arrow.POLARS[dataset.column(name).type]).alias(name) for name in gained)
        if faults := arrow.schema_faults(dataset, frame.collect_schema()):
            raise SchemaMismatch(
                key,
                found="; ".join(faults),
                allowed="the declared columns",
                do="Publish it again with the code of today.",
            )
        frame = frame.select(dataset.names)
        if partitions is not None and dataset.partition:
            frame = frame.filter(pl.col(dataset.partition.column).is_in(list(partitions)))
        return frame

    def _delta(self, key: str, version: int | None = None):
        from deltalake import DeltaTable

        return DeltaTable(self.uri(key), version=version, storage_options=self.tables.options or None)

    def _table(self, key: str, version: int | None = None):
        table = self._delta(key, version)
        mapping = table.metadata().configuration.get("delta.columnMapping.mode", "none")
        if mapping != "none":
            raise UnsupportedTable(
                key,
                found=f"column mapping mode {mapping}",
                allowed="tables without column mapping",
                do="Rewrite it with delta.columnMapping.mode = none; read as it is, every value would be null.",
            )
        return table

    def file(self, key: str, partition: str, name: str) -> Path:
        """A local path of a published file, with those published beside it.

        Raises:
            MissingData: it has not been published.
        """
        path = self.folder(key, partition) / name
        if not path.exists():
            raise MissingData(
                f"{key} [{partition}]",
                found=f"no file {name}",
                allowed="a published partition",
                do=f"Materialize {key} for {partition} first.",
            )
        return path

    def folder(self, key: str, partition: str = "") -> Path:
        """A local folder of the files of a partition; those of an object store are fetched where they are not yet."""
        return self.files.local(_joined(key, partition))

    # -- publishing ----------------------------------------------------------------------------------------------

    @contextmanager
    def staging(self, key: str) -> Generator[Staging]:
        """A staging place, gone afterwards unless rows were refused or the process died."""
        token = f"{key.replace('/', '.')}-{uuid.uuid4().hex}"
        place = f"_staging/{token}"
        rows, files = self.tables.near(place), self.files.near(place)
        rows.mkdir(parents=True)
        files.mkdir(parents=True, exist_ok=True)
        lock = os.open(rows / "lock", os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield Staging(token, rows, files, lock)
        finally:
            os.close(lock)
            # What is written down and not done is finished by `recover`; what was refused is kept to be looked at.
            if not any((rows / name).exists() for name in ("refused.json", "journal.json")):
                _remove(rows, files)

    def publish(
        self,
        dataset: Dataset,
        rows: pl.DataFrame,
        made: Mapping[str, Made],
        act: Act,
        validate: Validate,
        staging: Staging | None = None,
    ) -> Published:
        """Check rows and files and publish them as the new content of the partitions of `made`, in one commit.

        Args:
            rows: exactly the declared columns; rows of all the partitions.
            made: by partition ('' for an unpartitioned dataset); one without rows becomes empty.
            staging: where files were put; not needed for rows alone.

        Raises:
            SchemaMismatch: the frame is not the declared one; nothing is published.
            InvalidInput: a partition key or a file name that cannot be a path below its folder.
            LedgerTampered, UnsupportedTable: the table there cannot be built upon.
        """
        if staging is None:
            with self.staging(dataset.key) as staging:
                return self.publish(dataset, rows, made, act, validate, staging)
        column = dataset.partition.column if dataset.partition else None
        _expect_folder_names(dataset.key, list(made) if column else [])
        frame = arrow.conform(dataset, rows, within=(column, list(made)) if column else None)
        frame = ordered(frame, [column, *dataset.primary_key] if column else dataset.primary_key)
        self._expect_writable(dataset.key)
        self._expect_no_gap(dataset, made)
        reached("stage")
        results, refused = _checked(dataset, frame, list(made), column, validate)
        if refused:
            frame.write_ipc(staging.rows / "rows.arrow")
            why = {"dataset": dataset.key, "refused": {p: list(names) for p, names in refused.items()}}
            (staging.rows / "refused.json").write_text(json.dumps(why, indent=2))
            for name in ("rows.arrow", "refused.json"):
                self.tables.keep(f"_staging/{staging.token}/{name}")
        good = {p: m for p, m in made.items() if p not in refused}
        staged = self.tables.uri(f"_staging/{staging.token}") if refused else None
        if not good:
            return Published(version=None, rows={}, refused=refused, results=results, staged=staged)
        if refused:
            frame = frame.filter(pl.col(column or "").is_in(list(good)))
        reached("checked")
        hashes = _partition_hashes(dataset, frame, list(good), column)
        # A partition that has files loses those it no longer makes.
        files = {
            p: _file_hashes(staging.folder(p), m.files)
            for p, m in good.items()
            if m.files or (dataset.files and any(self.files.items(_joined(dataset.key, p))))
        }
        act = act if act.git_commit else replace(act, git_commit=code_version())
        told: dict[str, dict[str, Any]] = {
            p: {
                "rows": n,
                "sha256": combined_sha256({"": sha256, **files[p]}) if files.get(p) else sha256,
                "fingerprint": good[p].fingerprint,
                "inputs": [i.as_json() for i in good[p].inputs],
                **({"files": files[p]} if p in files else {}),
            }
            for p, (n, sha256) in hashes.items()
        }
        content = told[""]["sha256"] if column is None else combined_sha256({p: t["sha256"] for p, t in told.items()})
        entry = _entry(act, dataset.key, content, {"partitions": told})
        if files:
            self._journal(staging, dataset, frame, files, entry, act)
        version = self._complete(dataset, frame, list(good), files, entry, act, staging)
        return Published(
            version=version,
            rows={p: t["rows"] for p, t in told.items()},
            refused=refused,
            results=results,
            staged=staged,
        )

    def _complete(
        self,
        dataset: Dataset,
        frame: pl.DataFrame,
        partitions: Sequence[str],
        files: Mapping[str, Mapping[str, str]],
        entry: Entry,
        act: Act,
        staging: Staging,
    ) -> int:
        """Everything after the checks. Each step may be done again after a crash and then changes nothing.

        In one turn: files of one publication never lie beside rows of another.
        """
        with self._turn(dataset.key):
            if files:
                for partition, hashes in files.items():
                    self._move(staging, dataset.key, partition, hashes)
                reached("files moved")
                with self._turn(FILE_INDEX.key):
                    self._index(dataset, files, entry, act)
                reached("files indexed")
            column = dataset.partition.column if dataset.partition else None
            predicate = _is_in(column, partitions) if column else None
            version = self._write(dataset, frame, predicate, entry, [column] if column else [], partitions)
            for name in ("journal.json", "publish.arrow"):
                self.tables.remove(f"_staging/{staging.token}/{name}")
        return version

    def _journal(
        self,
        staging: Staging,
        dataset: Dataset,
        frame: pl.DataFrame,
        files: Mapping[str, Mapping[str, str]],
        entry: Entry,
        act: Act,
    ) -> None:
        """Files and table cannot change in one commit: what is about to be done is written down first."""
        frame.write_ipc(staging.rows / "publish.arrow")
        told = {
            "dataset": dataset.key,
            "files": files,
            "entry": entry.to_line().decode(),
            "act": {"operator": act.operator, "reason": act.reason, "run_id": act.run_id, "git_commit": act.git_commit},
        }
        temporary = staging.rows / "journal.tmp"
        with temporary.open("w") as stream:
            json.dump(told, stream)
            stream.flush()
            os.fsync(stream.fileno())
        reached("journal written")
        temporary.rename(staging.rows / "journal.json")
        place = f"_staging/{staging.token}"
        for name in [f"{p or 'all'}/{name}" for p, hashes in files.items() for name in hashes]:
            self.files.keep(f"{place}/{name}")
        # The journal last: where it is, all that it speaks of is there.
        for name in ("publish.arrow", "journal.json"):
            self.tables.keep(f"{place}/{name}")
        reached("journal in place")

    def _move(self, staging: Staging, key: str, partition: str, hashes: Mapping[str, str]) -> None:
        target = _joined(key, partition)
        for name in hashes:
            if self.files.move(f"_staging/{staging.token}/{partition or 'all'}/{name}", f"{target}/{name}"):
                reached("file moved")
        kept = {f"{target}/{name}" for name in hashes}
        for old in [item.path for item in self.files.items(target) if item.path not in kept]:
            self.files.remove(old)

    def _index(self, dataset: Dataset, files: Mapping[str, Mapping[str, str]], entry: Entry, act: Act) -> None:
        rows = [
            {
                "dataset": dataset.key,
                "partition": partition,
                "uri": (uri := f"{_joined(dataset.key, partition)}/{name}"),
                "format": _format(dataset, name),
                "sha256": sha256,
                "run_id": act.run_id,
                "bytes": stat.bytes if (stat := self.files.stat(uri)) else 0,
                "published_at": datetime.fromisoformat(entry.at),
            }
            for partition, hashes in files.items()
            for name, sha256 in hashes.items()
        ]
        frame = pl.DataFrame(rows, schema=arrow.polars_schema(FILE_INDEX)).sort(FILE_INDEX.primary_key)
        detail = {"run_id": act.run_id, "git_commit": act.git_commit, "files": {r["uri"]: r["sha256"] for r in rows}}
        about = _entry(act, FILE_INDEX.key, rows_sha256(frame, FILE_INDEX.primary_key), detail)
        about = replace(about, id=uuid.uuid5(uuid.UUID(entry.id), "files").hex)
        predicate = f"dataset = {_sql(dataset.key)} AND {_is_in('partition', list(files))}"
        self._write(FILE_INDEX, frame, predicate, about, ["dataset"])

    def _write(
        self,
        dataset: Dataset,
        frame: pl.DataFrame,
        predicate: str | None,
        entry: Entry,
        partition_by: list[str],
        partitions: Sequence[str] = (),
    ) -> int:
        """Commit rows and record the commit, in the turn of the table; done already, it only says at which version.

        Args:
            partitions: where the predicate is just about them: the partitions that are replaced.
        """
        from deltalake import CommitProperties
        from deltalake.exceptions import CommitFailedError

        told = CommitProperties(custom_metadata={COMMIT_KEY: entry.to_line().decode()}, max_commit_retries=5)
        for _ in range(_ATTEMPTS):
            if entry.id in self._state.recorded:
                return self._state.versions[dataset.key]
            self._expect_writable(dataset.key)
            if (version := self._record_commits(dataset.key, entry.id)) is not None:
                return version
            try:
                root = Path(self.uri(dataset.key))
                if isinstance(self.tables, LocalPlace) and large.fits(dataset, frame, partitions, root):
                    large.write(root, dataset, frame, partitions[0], _KEEP_LOG, told)
                else:
                    self._put(dataset, frame, predicate, partition_by, told)
            except CommitFailedError:
                self._state.refresh()
                continue
            reached("committed")
            if (version := self._record_commits(dataset.key, entry.id)) is not None:
                reached("recorded")
                return version
        raise PublishConflict(
            dataset.key,
            found=f"{_ATTEMPTS} attempts lost to other writers",
            allowed="a commit of its own",
            do="Run it again when the other runs are done.",
        )

    def _put(
        self, dataset: Dataset, frame: pl.DataFrame, predicate: str | None, partition_by: list[str], told: Any
    ) -> None:
        from deltalake import write_deltalake

        new = not self.exists(dataset.key)
        # The meaning of a column is written with the table; Delta refuses to merge one that was worded anew.
        schema = arrow.arrow_schema(dataset, comments=new)
        write_deltalake(
            self.uri(dataset.key),
            arrow.reader(frame, schema),
            storage_options=self.tables.options or None,
            mode="overwrite",
            partition_by=partition_by or None,
            predicate=None if new else predicate,
            # A column that the declaration has gained: rows of other partitions have null there.
            schema_mode=None if new else "merge" if predicate else "overwrite",
            configuration=_KEEP_LOG if new else None,
            description=dataset.doc if new else None,
            commit_properties=told,
        )

    def _record_commits(self, key: str, entry_id: str | None = None) -> int | None:
        """Give every commit that has no ledger entry its own; the version that carries `entry_id`. Under `_turn`."""
        found: int | None = None
        for version, commit in self._unrecorded(key):
            told = _entry_of(commit)
            # An entry is about one commit: a copy of it, or one about another table, was not made here.
            if told is None or told.subject != key or told.id in self._state.recorded:
                told = _foreign(key, version, commit)
            elif told.id == entry_id:
                found = version
            self._record(replace(told, old_version=version - 1 if version else None, new_version=version))
        return found

    def rolled_back(self) -> list[str]:
        """Tables that are not what the ledger has recorded of their newest version."""
        self.state()
        return [
            f"{key}: version {version} is not the one that is recorded: the table was deleted or rolled back"
            for key, version in self._state.versions.items()
            if not self._is_recorded_one(key)
        ]

    def _is_recorded_one(self, key: str) -> bool:
        """Whether the newest recorded version of a table is there, and is that very commit."""
        last = self._state.last.get(key)
        if last is None:
            return True
        commit = self._commit(key, last.new_version or 0)
        if commit is None:
            return False
        return last.id in (told.id if (told := _entry_of(commit)) else None, _foreign(key, 0, commit).id)

    def _commit(self, key: str, version: int) -> bytes | None:
        return self.tables.read(f"{key}/_delta_log/{version:020d}.json")

    def _expect_writable(self, key: str) -> None:
        """
        Raises:
            LedgerTampered: the table is not what the ledger has recorded.
            UnsupportedTable: see `read`.
        """
        self._state.refresh()
        if not self._is_recorded_one(key):
            raise LedgerTampered(
                key,
                found=f"no version {self._state.versions[key]} as the ledger has recorded it",
                allowed="tables that only grow",
                do="Restore the table, or give it up with `lsdata drop`.",
            )
        if self.exists(key):
            self._table(key)

    def _expect_no_gap(self, dataset: Dataset, made: Mapping[str, Made]) -> None:
        """
        Raises:
            SchemaMismatch: a column that is new and not nullable would be null in partitions not being made.
        """
        required = {c.name for c in dataset.columns if not c.nullable}
        if dataset.partition is None or not self.exists(dataset.key):
            return
        gained = required - {f.name for f in self._table(dataset.key).schema().fields}
        others = {p for p, told in self._state.partitions(dataset.key).items() if told.rows} - set(made)
        if gained and others:
            raise SchemaMismatch(
                dataset.key,
                found=f"{', '.join(sorted(gained))} is new and not nullable; {len(others)} other partitions have none",
                allowed="a new column that is nullable, or one that all partitions get in one run",
                do="Declare it nullable, publish all partitions together, or give the table up with `lsdata drop`.",
            )

    def _unrecorded(self, key: str) -> list[tuple[int, bytes]]:
        """Commits newer than the ledger's newest entry about a table."""
        found: list[tuple[int, bytes]] = []
        version = self._state.versions.get(key, -1) + 1
        while (commit := self._commit(key, version)) is not None:
            found.append((version, commit))
            version += 1
        return found

    @contextmanager
    def _turn(self, key: str) -> Generator[None]:
        """One writer of a table at a time; whoever does not keep to it meets the others in the Delta commit."""
        with self.tables.turn(key):
            self._state.refresh()
            yield

    def _record(self, entry: Entry) -> None:
        if entry.id not in self.state().recorded:
            self.ledger.append(entry)

    # -- after a crash -------------------------------------------------------------------------------------------

    def recover(self) -> list[str]:
        """Finish what a dead process had begun, and give every commit its ledger entry. Says what was done.

        Files whose journal is in place are published; staged data without one is left to its owner or removed.
        """
        done: list[str] = []
        for token in self.tables.folders("_staging"):
            done += self._recover_staging(token)
        for orphan in self.files.folders("_staging"):
            if isinstance(self.files, LocalPlace) and orphan not in self.tables.folders("_staging"):
                self.files.remove(f"_staging/{orphan}")
        for key in sorted(self._tables()):
            with self._turn(key):
                done += [f"{key} version {version}: recorded" for version, _ in self._unrecorded(key)]
                self._record_commits(key)
        return done

    def _tables(self) -> Iterator[str]:
        for layer in self.tables.folders():
            for domain in self.tables.folders(layer):
                for name in self.tables.folders(f"{layer}/{domain}"):
                    if "_delta_log" in self.tables.folders(key := f"{layer}/{domain}/{name}"):
                        yield key

    def _recover_staging(self, token: str) -> Iterator[str]:
        place = f"_staging/{token}"
        rows = self.tables.near(place)
        if not isinstance(self.tables, LocalPlace):
            # Nobody sees whether the owner lives: to finish its work in the table's turn is right in both cases.
            yield from self._finish(Staging(token, rows, self.files.near(place), -1))
            return
        try:
            lock = os.open(rows / "lock", os.O_RDWR)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
        try:
            yield from self._finish(Staging(token, rows, self.files.near(place), lock))
            if not (rows / "refused.json").exists():
                self.tables.remove(place)
                self.files.remove(place)
        finally:
            os.close(lock)

    def _finish(self, staging: Staging) -> Iterator[str]:
        """Publish what a journal speaks of, unless it has been published anew since."""
        place = f"_staging/{staging.token}"
        journal = self.tables.read(f"{place}/journal.json")
        if journal is None:
            return
        told = json.loads(journal)
        dataset, entry = DATASETS[told["dataset"]], Entry.from_line(told["entry"].encode())
        files, act = told["files"], Act(**told["act"])
        partitions = list(cast("dict[str, Any]", entry.detail["partitions"]))
        published = self.state().partitions(dataset.key)
        if any(p in published and published[p].at > entry.at for p in partitions):
            yield f"{dataset.key} {', '.join(partitions)}: given up, published anew since"
        else:
            frame = pl.read_ipc(io.BytesIO(self.tables.read(f"{place}/publish.arrow") or b""))
            self._complete(dataset, frame, partitions, files, entry, act, staging)
            yield f"{dataset.key} {', '.join(partitions)}: published"
        self.tables.remove(f"{place}/journal.json")

    def drop(self, key: str, act: Act) -> None:
        """Give up a table and its files; the ledger keeps the evidence."""
        with self._turn(key), self._turn(FILE_INDEX.key):
            old = self._state.versions.get(key)
            self.tables.remove(key)
            self.files.remove(key)
            entry = replace(_entry(act, key, None, {"table": True}), action="delete", old_version=old)
            self.ledger.append(entry)
            if self.exists(FILE_INDEX.key):
                about = replace(_entry(act, FILE_INDEX.key, None, {"dropped": key}), action="drop_files")
                self._write(FILE_INDEX, arrow.empty(FILE_INDEX), f"dataset = {_sql(key)}", about, ["dataset"])

    # -- upkeep --------------------------------------------------------------------------------------------------

    def compact(self, key: str, act: Act) -> int | None:
        """Merge small files of a table; rows stay as they are. The version, or None where there was nothing to do."""
        from deltalake import CommitProperties

        if not self.exists(key) or DATASETS[key].store is not Store.DELTA:
            return None
        with self._turn(key):
            self._expect_writable(key)
            self._record_commits(key)
            before = self.version(key)
            entry = replace(_entry(act, key, None, {"run_id": act.run_id}), action="compact")
            table = self._table(key)
            table.optimize.compact(
                commit_properties=CommitProperties(custom_metadata={COMMIT_KEY: entry.to_line().decode()})
            )
            if table.version() == before:
                return None
            self._record(replace(entry, old_version=before, new_version=table.version()))
            return table.version()


def _entry(act: Act, subject: str, sha256: str | None, detail: Mapping[str, Any]) -> Entry:
    return Entry(
        id=uuid.uuid4().hex,
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        actor=act.operator,
        action="publish",
        subject=subject,
        old_version=None,
        new_version=None,
        reason=act.reason,
        content_sha256=sha256,
        detail={"run_id": act.run_id, "git_commit": act.git_commit, **detail},
    )


def _entry_of(commit: bytes) -> Entry | None:
    """The entry a commit carries; None where it has none that can be read."""
    for line in commit.splitlines():
        told = cast("dict[str, Any]", json.loads(line).get("commitInfo") or {}).get(COMMIT_KEY)
        if isinstance(told, str):
            try:
                return Entry.from_line(told.encode())
            except InvalidInput:
                return None
    return None


def _foreign(key: str, version: int, commit: bytes) -> Entry:
    """The entry of a commit that was not made here; its id follows from the commit's bytes."""
    sha256 = hashlib.sha256(commit).hexdigest()
    act = Act(operator="unknown", reason="commit found that was not made by lsdata")
    told = replace(_entry(act, key, sha256, {}), action="foreign_commit", new_version=version)
    return replace(told, id=uuid.uuid5(uuid.NAMESPACE_OID, f"{key}@{sha256}").hex)


def _scan(table: Any) -> pl.LazyFrame:
    # polars takes the URL of a table for a path: where the two differ (a space, an umlaut) Arrow reads it.
    plain = unquote(table.table_uri) == table.table_uri
    return pl.scan_delta(table) if plain else pl.scan_pyarrow_dataset(table.to_pyarrow_dataset())


def _joined(key: str, partition: str) -> str:
    return f"{key}/{partition}" if partition else key


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _expect_folder_names(where: str, names: Sequence[str]) -> None:
    bad = [n for n in names if not n.isprintable() or n in ("", ".", "..") or set(n) & {"/", "\\"}]
    if bad:
        raise InvalidInput(
            where,
            code="bad_partition_key",
            found=f"{len(bad)} partition keys that cannot be a folder",
            allowed="printable names without / and \\, not empty, . or ..",
            do="Correct the key where it comes from.",
        )


def _checked(
    dataset: Dataset, frame: pl.DataFrame, partitions: list[str], column: str | None, validate: Validate
) -> tuple[tuple[CheckResult, ...], dict[str, tuple[str, ...]]]:
    """All results over the whole frame, and for a blocking failure which partitions are to blame."""
    results = tuple(validate(dataset, frame))
    failed = tuple(r.name for r in results if r.blocking and not r.passed)
    if not failed:
        return results, {}
    if column is None or len(partitions) == 1:
        return results, dict.fromkeys(partitions, failed)
    parts = cast("dict[tuple[str], pl.DataFrame]", frame.partition_by(column, as_dict=True))
    refused: dict[str, tuple[str, ...]] = {}
    for partition in partitions:
        part = parts.get((partition,), frame.clear())
        if names := tuple(r.name for r in validate(dataset, part) if r.blocking and not r.passed):
            refused[partition] = names
    # What no partition shows alone is wrong with all of them together.
    return results, refused or dict.fromkeys(partitions, failed)


def _partition_hashes(
    dataset: Dataset, frame: pl.DataFrame, partitions: Sequence[str], column: str | None
) -> dict[str, tuple[int, str]]:
    """Row count and content hash by partition; the frame is sorted already."""
    if column is None:
        return {"": (frame.height, rows_sha256(frame, ()))}
    nothing = (0, rows_sha256(arrow.empty(dataset), ()))
    return {**dict.fromkeys(partitions, nothing), **groups_sha256(frame, column)}


def _file_hashes(folder: Path, names: Sequence[str]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for name in names:
        path = folder / name
        plain = PurePosixPath(name).parts == tuple(name.split("/")) and ".." not in name.split("/")
        if not plain or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise InvalidInput(
                name,
                code="no_such_file",
                found="not a file in the staging folder",
                allowed="files that were made",
                do="Name only what the job has put there.",
            )
        with path.open("rb") as stream:
            hashes[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return hashes


def _format(dataset: Dataset, name: str) -> str:
    from fnmatch import fnmatch

    return next((kind.format for kind in dataset.files if fnmatch(name, kind.name)), "other")


def _sql(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _is_in(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(_sql(v) for v in values)})" if len(values) > 1 else f"{column} = {_sql(values[0])}"
