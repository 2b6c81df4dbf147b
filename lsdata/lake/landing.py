"""The landing zone: what has been dropped, by name, size and time, without reading it."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Landed:
    """A file of the landing zone: path below its root, size in bytes, time of last change in ns since 1970 (UTC)."""

    path: str
    bytes: int
    modified_ns: int


class LandingZone:
    """Reads listings, each folder once: make a new one to see what is new.

    Hidden files are not there: half-copied files of many tools are hidden.
    """

    def __init__(self, root: Path):
        self.root = root
        self._walked: dict[Path, tuple[Landed, ...]] = {}

    def listing(self, pattern: str, partition: str = "") -> tuple[Landed, ...]:
        """The files that a declared pattern names: `*` within a folder, `**` below it, `{partition}` the key."""
        # A key is a name: a '*' in it stands for itself.
        fixed = pattern.split("*")[0].replace("{partition}", partition)
        if "*" not in pattern:
            found = self._file(self.root / fixed)
            return (found,) if found else ()
        start = self.root / fixed.rpartition("/")[0]
        matches = re.compile(_regex(pattern, partition)).fullmatch
        if start not in self._walked:
            self._walked[start] = tuple(self._files(start))
        return tuple(sorted(f for f in self._walked[start] if matches(f.path)))

    def folders(self, name: str) -> tuple[str, ...]:
        """Names of the folders in a folder."""
        place = self.root / name
        if not place.is_dir():
            return ()
        return tuple(sorted(p.name for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")))

    def _files(self, start: Path) -> Iterator[Landed]:
        for folder, folders, files in os.walk(start):
            folders[:] = [f for f in folders if not f.startswith(".")]
            for name in files:
                found = None if name.startswith(".") else self._file(Path(folder) / name)
                if found:
                    yield found

    def _file(self, path: Path) -> Landed | None:
        """A file as it is now; None where there is none (any more)."""
        try:
            told = path.stat()
        except OSError:
            return None
        return Landed(path.relative_to(self.root).as_posix(), told.st_size, told.st_mtime_ns)


def fingerprint(files: Sequence[Landed]) -> str:
    """SHA-256 over a listing."""
    lines = (f"{f.path}\0{f.bytes}\0{f.modified_ns}\n" for f in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _regex(pattern: str, partition: str) -> str:
    words = {"**": ".*", "*": "[^/]*", "{partition}": re.escape(partition)}
    return "".join(words.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*|\{partition\})", pattern))
