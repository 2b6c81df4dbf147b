"""Input that cannot be used: kept with its original bytes and the reason, while the good rest goes on."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from lsdata.errors import InvalidInput
from lsdata.lake.places import Place


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


def originals(error: InvalidInput, local: Callable[[str], Path], landed: Iterable[str]) -> tuple[Path, ...]:
    """The delivered files to keep with an error that refuses a whole partition.

    Those that the error names; else the one that its place is (or is in: `a.csv, line 3`); else all, as any of them
    may be at fault.

    Args:
        local: gives the local path of a landing file.
        landed: paths below the landing zone of what was delivered.
    """
    if error.files is not None:
        return error.files
    paths = tuple(landed)
    named = tuple(p for p in paths if error.where == p or error.where.startswith(f"{p},"))
    return tuple(local(p) for p in named or paths)


class Quarantine:
    """The quarantine zone: `<root>/<domain>/<dataset>/<partition>/<name>/` with the originals and `reason.json`."""

    def __init__(self, place: Place):
        self.place = place

    def replace(self, domain: str, dataset: str, partition: str, rejects: Sequence[Reject]) -> None:
        """Make these the open rejects of a partition. What was open before and is no longer is marked resolved."""
        folder = f"{domain}/{dataset}/{partition or 'all'}"
        kept = {_folder_name(r.name) for r in rejects}
        for name in self.place.folders(folder):
            told = self._reason(f"{folder}/{name}/{_REASON}")
            if name not in kept and told and not told.get("resolved_at"):
                self._write(f"{folder}/{name}", {**told, "resolved_at": datetime.now(UTC).isoformat()})
        for reject in rejects:
            self._keep(f"{folder}/{_folder_name(reject.name)}", reject)

    def _keep(self, folder: str, reject: Reject) -> None:
        files: list[dict[str, Any]] = []
        for source, name in _names([f for f in reject.files if f.is_file()]):
            target = self.place.near(f"{folder}/{name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _copy(source, target)
            except OSError as error:
                target.unlink(missing_ok=True)
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
            self.place.keep(f"{folder}/{name}")
        told = {k: v for k, v in asdict(reject).items() if k != "files"}
        told |= {"files": files, "quarantined_at": datetime.now(UTC).isoformat(), "resolved_at": None}
        self._write(folder, told)

    def open(self, domain: str | None = None) -> Iterator[Mapping[str, Any]]:
        """The reasons of all rejects that are not resolved, with `path` below the root."""
        for path in sorted(item.path for item in self.place.items(domain or "")):
            folder, _, name = path.rpartition("/")
            if name == _REASON and (told := self._reason(path)) and not told.get("resolved_at"):
                yield {**told, "path": folder}

    def _reason(self, path: str) -> dict[str, Any] | None:
        data = self.place.read(path)
        return None if data is None else cast("dict[str, Any]", json.loads(data))

    def _write(self, folder: str, told: Mapping[str, Any]) -> None:
        text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
        self.place.write(f"{folder}/{_REASON}", text.encode())


_REASON = "reason.json"


def _folder_name(name: str) -> str:
    """A name as one folder. Where characters had to go, a part of the name's hash keeps two names apart."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "+" for c in name).lstrip(".")[:120]
    if plain == name:
        return plain
    return f"{plain or 'unnamed'}+{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _names(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Files with the names they are kept under: their own, numbered where one is taken."""
    taken = {_REASON}
    for path in files:
        name, n = path.name, 2
        while name in taken:
            name, n = f"{n}-{path.name}", n + 1
        taken.add(name)
        yield path, name


def _copy(source: Path, target: Path) -> None:
    """A copy that shares its blocks with the original where the file system can (btrfs, XFS, NFS 4.2): it costs no
    space and does not change with the original. A hard link would follow an edit in place, so there are none.
    """
    told = source.stat()
    if target.is_file() and (kept := target.stat()).st_size == told.st_size and kept.st_mtime_ns == told.st_mtime_ns:
        return  # kept already: a bad file of many gigabytes is looked at again with every change of its folder
    with source.open("rb") as original:
        target.unlink(missing_ok=True)
        with target.open("xb") as copy:
            try:
                while os.copy_file_range(original.fileno(), copy.fileno(), 2**30):
                    pass
            except OSError as error:
                # Two file systems, or one that does not know how.
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
                shutil.copyfileobj(original, copy, 2**20)
    os.utime(target, ns=(told.st_atime_ns, told.st_mtime_ns))
