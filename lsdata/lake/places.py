"""Where bytes lie: a folder of this machine, or a container of an object store, behind the same few verbs.

Names are relative, with `/` between their parts. A local store hands out its own paths; an object store mirrors what is
asked for below a scratch folder, and takes from there what is to be kept.
"""

import fcntl
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from lsdata.settings import Area, Settings, local_path

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket

_LEASE_SECONDS, _WAIT_SECONDS = 60, 0.2
"""A turn of a process that died ends after this long; one that lives renews it three times as often."""


@dataclass(frozen=True, slots=True, order=True)
class Stored:
    """A file: path below the store's root, size in bytes, time of last change in ns since 1970 (UTC)."""

    path: str
    bytes: int
    modified_ns: int


class Place(Protocol):
    """What the lake needs of a place. All methods raise `OSError` or the store's own error when the place fails."""

    def uri(self, name: str) -> str:
        """Where readers of other libraries find it."""
        ...

    @property
    def options(self) -> dict[str, str]:
        """Storage options that other libraries need with the URI; they hold credentials."""
        ...

    def items(self, folder: str = "") -> Iterator[Stored]:
        """All files below a folder, in no order."""
        ...

    def folders(self, folder: str = "") -> tuple[str, ...]:
        """Names of the folders in a folder, sorted."""
        ...

    def stat(self, name: str) -> Stored | None:
        """A file as it is now; None where there is none."""
        ...

    def read(self, name: str) -> bytes | None:
        """All bytes of a file; None where there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, as a whole, in place of what was there."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Put a file there as a whole; False when there is one."""
        ...

    def near(self, name: str) -> Path:
        """The local path that stands for a name: files are made there, and `keep` puts them into the store."""
        ...

    def keep(self, name: str) -> None:
        """Put the file made at `near(name)` into the store."""
        ...

    def local(self, name: str) -> Path:
        """A local path of a file or of a folder with all that is in it, as it is now; it may not exist."""
        ...

    def move(self, source: str, target: str) -> bool:
        """Move a file over another; False where there is none to move."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""
        ...

    def turn(self, name: str) -> "TurnContext":
        """Hold a name alone, among all processes that use this store."""
        ...


TurnContext = Any
"""A context manager without a value."""


def place_of(settings: Settings, area: Area) -> "Place":
    """Where an area is.

    Raises:
        SettingError: the URL is of a scheme that is not known.
    """
    url = settings.url(area)
    if url.startswith("file:"):
        return LocalPlace(local_path(url), settings.home / "locks")
    return RemotePlace(url, settings.scratch / "mirror" / area, settings.storage_options(url))


# -- a folder ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LocalPlace:
    """A folder of this machine."""

    root: Path
    locks: Path

    def uri(self, name: str) -> str:
        """See `Place.uri`."""
        return str(self.root / name)

    @property
    def options(self) -> dict[str, str]:
        """See `Place.options`."""
        return {}

    def items(self, folder: str = "") -> Iterator[Stored]:
        """See `Place.items`."""
        for at, _, files in os.walk(self.root / folder):
            for name in files:
                if found := self.stat((Path(at) / name).relative_to(self.root).as_posix()):
                    yield found

    def folders(self, folder: str = "") -> tuple[str, ...]:
        """See `Place.folders`."""
        try:
            with os.scandir(self.root / folder) as found:
                return tuple(sorted(at.name for at in found if at.is_dir()))
        except (FileNotFoundError, NotADirectoryError):
            return ()

    def stat(self, name: str) -> Stored | None:
        """See `Place.stat`."""
        try:
            told = (self.root / name).stat()
        except OSError:
            return None
        return Stored(name, told.st_size, told.st_mtime_ns)

    def read(self, name: str) -> bytes | None:
        """See `Place.read`."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """See `Place.write`."""
        os.replace(self._written(name, data), self.root / name)

    def create(self, name: str, data: bytes) -> bool:
        """See `Place.create`. A rename would replace, a link refuses."""
        temporary = self._written(name, data)
        try:
            os.link(temporary, self.root / name)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def _written(self, name: str, data: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        return temporary

    def near(self, name: str) -> Path:
        """See `Place.near`."""
        return self.root / name

    def keep(self, name: str) -> None:
        """See `Place.keep`."""

    def local(self, name: str) -> Path:
        """See `Place.local`."""
        return self.root / name

    def move(self, source: str, target: str) -> bool:
        """See `Place.move`."""
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(self.root / source, self.root / target)
        except FileNotFoundError:
            return False
        return True

    def remove(self, name: str) -> None:
        """See `Place.remove`."""
        _discard(self.root / name)

    @contextmanager
    def turn(self, name: str) -> Generator[None]:
        """See `Place.turn`. Processes of other machines that share the folder are not kept out."""
        self.locks.mkdir(parents=True, exist_ok=True)
        with (self.locks / f"{name.replace('/', '.')}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# -- an object store ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RemotePlace:
    """A container, or a prefix of one, of any store that obstore knows: `az://`, `abfss://`, `s3://`, `gs://`.

    Lost connections and throttled requests are tried again with growing pauses by obstore and delta-rs, ten times.
    """

    url: str
    mirror: Path
    options: dict[str, str] = field(repr=False)
    _bucket: list["Bucket"] = field(default_factory=list["Bucket"], init=False, repr=False)

    @property
    def bucket(self) -> "Bucket":
        """The client; made at first use, so that settings can be read without a network."""
        if not self._bucket:
            from obstore.store import from_url

            given = {k: v for k, v in self.options.items() if k != _ALLOW_HTTP}
            client = {"allow_http": _ALLOW_HTTP in self.options}
            # The type of a configuration depends on the scheme, which is known at run time.
            self._bucket.append(cast("Any", from_url)(self.url, config=given, client_options=client))
        return self._bucket[0]

    def uri(self, name: str) -> str:
        """See `Place.uri`."""
        return f"{self.url}/{name}"

    def items(self, folder: str = "") -> Iterator[Stored]:
        """See `Place.items`."""
        import obstore

        for chunk in obstore.list(self.bucket, f"{folder.rstrip('/')}/" if folder else None):
            for found in chunk:
                yield _stored(found)

    def folders(self, folder: str = "") -> tuple[str, ...]:
        """See `Place.folders`."""
        import obstore

        found = obstore.list_with_delimiter(self.bucket, f"{folder.rstrip('/')}/" if folder else None)
        return tuple(sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]))

    def stat(self, name: str) -> Stored | None:
        """See `Place.stat`."""
        import obstore

        try:
            return _stored(obstore.head(self.bucket, name))
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes | None:
        """See `Place.read`."""
        import obstore

        try:
            return obstore.get(self.bucket, name).bytes().to_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """See `Place.write`."""
        import obstore

        obstore.put(self.bucket, name, data)

    def create(self, name: str, data: bytes) -> bool:
        """See `Place.create`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            obstore.put(self.bucket, name, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def near(self, name: str) -> Path:
        """See `Place.near`."""
        return self.mirror / name

    def keep(self, name: str) -> None:
        """See `Place.keep`. Large files go up in parts."""
        import obstore

        obstore.put(self.bucket, name, self.near(name))

    def local(self, name: str) -> Path:
        """See `Place.local`. What the mirror holds already, by size and time, is not fetched again."""
        found = [one] if (one := self.stat(name)) else list(self.items(name))
        for item in found:
            self._fetch(item)
        path, wanted = self.near(name), {self.near(item.path) for item in found}
        for stale in [p for p in (path, *path.rglob("*")) if p.is_file() and p not in wanted]:
            stale.unlink(missing_ok=True)
        return path

    def forget(self, name: str) -> None:
        """Remove what the mirror holds of a file or folder."""
        _discard(self.near(name))

    def _fetch(self, item: Stored) -> None:
        import obstore

        path = self.near(item.path)
        with_time = path.stat() if path.exists() else None
        if with_time and (with_time.st_size, with_time.st_mtime_ns) == (item.bytes, item.modified_ns):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with temporary.open("wb") as stream:
            for chunk in obstore.get(self.bucket, item.path).stream():
                stream.write(chunk)
        os.utime(temporary, ns=(item.modified_ns, item.modified_ns))
        os.replace(temporary, path)

    def move(self, source: str, target: str) -> bool:
        """See `Place.move`."""
        import obstore

        try:
            obstore.copy(self.bucket, source, target)
        except FileNotFoundError:
            return False
        obstore.delete(self.bucket, source)
        return True

    def remove(self, name: str) -> None:
        """See `Place.remove`."""
        import obstore

        paths = [item.path for item in self.items(name)]
        for one in [*paths, *([name] if not paths and self.stat(name) else [])]:
            obstore.delete(self.bucket, one)
        self.forget(name)

    @contextmanager
    def turn(self, name: str) -> Generator[None]:
        """See `Place.turn`. An object, created once, renewed while its owner lives, then taken over."""
        import obstore

        lock, owner, ended = f"_locks/{name.replace('/', '.')}", uuid.uuid4().hex, threading.Event()
        held = self._lease(lock, owner)

        def renew() -> None:
            tag = held
            while not ended.wait(_LEASE_SECONDS / 3):
                tag = obstore.put(self.bucket, lock, _lease(owner), mode={"e_tag": tag}, use_multipart=False)["e_tag"]

        renewing = threading.Thread(target=renew, name=f"turn {name}", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()
            told = self.read(lock)
            if told and json.loads(told)["owner"] == owner:
                obstore.delete(self.bucket, lock)

    def _lease(self, lock: str, owner: str) -> str | None:
        """Wait for the lock and take it; the tag of the object that says so."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        while True:
            try:
                return obstore.put(self.bucket, lock, _lease(owner), mode="create", use_multipart=False)["e_tag"]
            except AlreadyExistsError:
                pass
            try:
                told = obstore.get(self.bucket, lock)
                tag, until = told.meta["e_tag"], json.loads(told.bytes().to_bytes())["until"]
                if until < time.time():
                    mode: Any = {"e_tag": tag}
                    return obstore.put(self.bucket, lock, _lease(owner), mode=mode, use_multipart=False)["e_tag"]
            except (FileNotFoundError, PreconditionError):
                continue
            time.sleep(_WAIT_SECONDS)


_ALLOW_HTTP = "allow_http"


def _lease(owner: str) -> bytes:
    return json.dumps({"owner": owner, "until": time.time() + _LEASE_SECONDS}).encode()


def _stored(found: Any) -> Stored:
    return Stored(found["path"], found["size"], int(found["last_modified"].timestamp() * 1e6) * 1_000)
