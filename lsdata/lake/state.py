"""What has been published, from what: a fold over the ledger.

The ledger is the one record of which partition holds which content and which input versions it was made from; this
is its index in memory. Delta versions are per table; content hashes are per partition.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast


class Entries(Protocol):
    """What is read of a ledger: entries from an index on."""

    def entries(self, start: int = 0) -> Iterator[tuple[int, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input of a partition, exactly.

    Args:
        key: upstream dataset, or `landing`.
        version: its Delta version; None for landing files.
        partitions: content hash of each partition used; empty where the whole table was read.
        files: of landing: path below the landing zone to SHA-256.
    """

    key: str
    version: int | None
    partitions: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    def as_json(self) -> dict[str, Any]:
        """Without what is empty."""
        told: dict[str, Any] = {"key": self.key}
        if self.version is not None:
            told["version"] = self.version
        if self.partitions:
            told["partitions"] = dict(self.partitions)
        if self.files:
            told["files"] = dict(self.files)
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One partition as published once."""

    key: str
    partition: str
    version: int
    at: str
    actor: str
    reason: str
    run_id: str
    git_commit: str
    rows: int
    sha256: str
    fingerprint: str
    inputs: tuple[Input, ...]
    files: Mapping[str, str]
    entry: int


class State:
    """Publications by dataset and partition, oldest first. `refresh` reads what the ledger has gained."""

    def __init__(self, ledger: Entries):
        self._ledger = ledger
        self._read = 0
        self._history: dict[str, dict[str, list[Publication]]] = {}
        self.versions: dict[str, int] = {}
        self.last: dict[str, Any] = {}
        self.drops: dict[str, int] = {}
        self.recorded: set[str] = set()

    def refresh(self) -> "State":
        """This state, up to date with the ledger."""
        for index, entry in self._ledger.entries(self._read):
            self._read = index + 1
            self.recorded.add(entry.id)
            if entry.new_version is not None:
                self.versions[entry.subject] = entry.new_version
                self.last[entry.subject] = entry
            if entry.action == "publish":
                self._publish(index, entry)
            elif entry.action == "delete":
                self._history.pop(entry.subject, None)
                self.versions.pop(entry.subject, None)
                self.last.pop(entry.subject, None)
                self.drops[entry.subject] = self.drops.get(entry.subject, 0) + 1
        return self

    def _publish(self, index: int, entry: Any) -> None:
        detail = cast("dict[str, Any]", entry.detail)
        for partition, told in detail.get("partitions", {}).items():
            self._history.setdefault(entry.subject, {}).setdefault(partition, []).append(
                Publication(
                    key=entry.subject,
                    partition=partition,
                    version=entry.new_version,
                    at=entry.at,
                    actor=entry.actor,
                    reason=entry.reason,
                    run_id=detail.get("run_id", ""),
                    git_commit=detail.get("git_commit", ""),
                    rows=told["rows"],
                    sha256=told["sha256"],
                    fingerprint=told.get("fingerprint", ""),
                    inputs=tuple(
                        Input(
                            key=i["key"],
                            version=i.get("version"),
                            partitions=i.get("partitions", {}),
                            files=i.get("files", {}),
                        )
                        for i in told.get("inputs", ())
                    ),
                    files=told.get("files", {}),
                    entry=index,
                )
            )

    def keys(self) -> tuple[str, ...]:
        """Datasets with a publication."""
        return tuple(self._history)

    def partitions(self, key: str) -> dict[str, Publication]:
        """The newest publication of each partition of a dataset."""
        return {partition: history[-1] for partition, history in self._history.get(key, {}).items()}

    def history(self, key: str, partition: str = "") -> tuple[Publication, ...]:
        """All publications of a partition, oldest first."""
        return tuple(self._history.get(key, {}).get(partition, ()))

    def publication(self, key: str, partition: str = "", version: int | None = None) -> Publication | None:
        """The publication of a partition that a table version shows; the newest by default."""
        history = self._history.get(key, {}).get(partition, [])
        return next((p for p in reversed(history) if version is None or p.version <= version), None)
