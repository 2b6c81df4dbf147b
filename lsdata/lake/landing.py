"""The landing zone: what has been dropped, by name, size and time, without reading it."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from lsdata.lake.places import Place, RemotePlace, Stored

Landed = Stored
"""A file of the landing zone."""


class LandingZone:
    """Reads listings, each folder once: make a new one to see what is new.

    Hidden files are not there: half-copied files of many tools are hidden.
    """

    def __init__(self, place: Place):
        self.place = place
        self._walked: dict[str, tuple[Landed, ...]] = {}
        self._handed_out: set[str] = set()

    def listing(self, pattern: str, partition: str = "") -> tuple[Landed, ...]:
        """The files that a declared pattern names: `*` within a folder, `**` below it, `{partition}` the key."""
        # A key is a name: a '*' in it stands for itself.
        fixed = pattern.split("*")[0].replace("{partition}", partition)
        if "*" not in pattern:
            found = self.place.stat(fixed)
            return (found,) if found else ()
        start = fixed.rpartition("/")[0]
        matches = re.compile(_regex(pattern, partition)).fullmatch
        if start not in self._walked:
            self._walked[start] = self.files(start)
        return tuple(sorted(f for f in self._walked[start] if matches(f.path)))

    def files(self, folder: str) -> tuple[Landed, ...]:
        """All files below a folder."""
        return tuple(f for f in self.place.items(folder) if not _hidden(f.path.removeprefix(folder)))

    def folders(self, name: str) -> tuple[str, ...]:
        """Names of the folders in a folder."""
        return tuple(folder for folder in self.place.folders(name) if not folder.startswith("."))

    def local(self, path: str) -> Path:
        """A local path of a landing file or folder; of an object store, a copy that `close` removes."""
        self._handed_out.add(path)
        return self.place.local(path)

    def close(self) -> None:
        """Remove the copies that `local` has made."""
        if isinstance(self.place, RemotePlace):
            for path in self._handed_out:
                self.place.forget(path)
        self._handed_out.clear()


def _hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path


def fingerprint(files: Sequence[Landed]) -> str:
    """SHA-256 over a listing."""
    lines = (f"{f.path}\0{f.bytes}\0{f.modified_ns}\n" for f in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _regex(pattern: str, partition: str) -> str:
    words = {"**": ".*", "*": "[^/]*", "{partition}": re.escape(partition)}
    return "".join(words.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*|\{partition\})", pattern))
