"""Input that cannot be used: kept with its original bytes and the reason, while the good rest goes on."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from lsdata.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Reject:
    """One thing that was refused.

    Args:
        name: what it is called: a file, a folder, a sample; unique within its place.
        code: short reason.
        where, found, allowed, do: as in `lsdata.errors`.
        files: the original files, local paths.
    """

    name: str
    code: str
    where: str
    found: str
    allowed: str
    do: str
    files: tuple[Path, ...] = ()

    @classmethod
    def of(cls, error: InvalidInput, name: str, files: Iterable[Path] = ()) -> "Reject":
        """The reject that an error describes."""
        return cls(
            name=name,
            code=error.code,
            where=error.where,
            found=error.found,
            allowed=error.allowed,
            do=error.do,
            files=tuple(files),
        )


class Quarantine:
    """The quarantine zone: `<root>/<domain>/<dataset>/<partition>/<name>/` with the originals and `reason.json`."""

    def __init__(self, root: Path):
        self.root = root

    def replace(self, domain: str, dataset: str, partition: str, rejects: Sequence[Reject]) -> None:
        """Make these the open rejects of a partition. What was open before and is no longer is marked resolved."""
        place = self.root / domain / dataset / (partition or "all")
        kept = {_folder_name(r.name) for r in rejects}
        for reason in place.glob("*/reason.json"):
            if reason.parent.name not in kept:
                told = cast("dict[str, Any]", json.loads(reason.read_text()))
                if not told.get("resolved_at"):
                    _write(reason, {**told, "resolved_at": datetime.now(UTC).isoformat()})
        for reject in rejects:
            self._keep(place / _folder_name(reject.name), reject)

    def _keep(self, folder: Path, reject: Reject) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        files: list[dict[str, Any]] = []
        for source, name in _names([f for f in reject.files if f.is_file()]):
            target = folder / name
            target.unlink(missing_ok=True)
            try:
                _link_or_copy(source, target)
            except OSError as error:
                files.append({"name": ascii(name), "bytes": None, "sha256": None, "not_readable": error.strerror})
                continue
            with target.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            files.append(
                {
                    "name": name.encode("utf-8", "backslashreplace").decode(),
                    "bytes": target.stat().st_size,
                    "sha256": sha256,
                }
            )
        told = {k: v for k, v in asdict(reject).items() if k != "files"}
        told |= {"files": files, "quarantined_at": datetime.now(UTC).isoformat(), "resolved_at": None}
        _write(folder / "reason.json", told)

    def open(self, domain: str | None = None) -> Iterator[Mapping[str, Any]]:
        """The reasons of all rejects that are not resolved, with `path` below the root."""
        for reason in sorted((self.root / (domain or "")).rglob("reason.json")):
            told = cast("dict[str, Any]", json.loads(reason.read_text()))
            if not told.get("resolved_at"):
                yield {**told, "path": str(reason.parent.relative_to(self.root))}


def _folder_name(name: str) -> str:
    """A name as one folder. Where characters had to go, a part of the name's hash keeps two names apart."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "+" for c in name).lstrip(".")[:120]
    if plain == name:
        return plain
    return f"{plain or 'unnamed'}+{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _names(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Files with the names they are kept under: their own, numbered where one is taken."""
    taken = {"reason.json"}
    for path in files:
        name, n = path.name, 2
        while name in taken:
            name, n = f"{n}-{path.name}", n + 1
        taken.add(name)
        yield path, name


def _link_or_copy(source: Path, target: Path) -> None:
    # A hard link costs nothing, but it would follow an edit in place of the original: only read-only sources.
    if not os.access(source, os.W_OK) and source.stat().st_dev == target.parent.stat().st_dev:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _write(path: Path, told: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    temporary.replace(path)
