"""The public quarterly files of FDA, fetched with resume and checksum."""

import hashlib
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from lsdata.errors import InvalidInput, JobFailed
from lsdata.pharmacovigilance.faers import quarter_in

FDA = "https://fis.fda.gov/content/Exports"
"""Where FDA publishes the quarters (https://fis.fda.gov/extensions/FPD-QDE-FAERS/FPD-QDE-FAERS.html)."""
_FIRST_FAERS = "2012q4"
_PIECE = 2**20
_TRIES = 5
_TIMEOUT_SECONDS = 60


def names(quarter: str) -> tuple[str, ...]:
    """What FDA may call the zip of a quarter: letter case has changed over the years.

    >>> names("2024q4")
    ('faers_ascii_2024Q4.zip', 'faers_ascii_2024q4.zip')
    """
    prefix = "faers" if quarter >= _FIRST_FAERS else "aers"
    return f"{prefix}_ascii_{quarter.replace('q', 'Q')}.zip", f"{prefix}_ascii_{quarter}.zip"


def fetch(quarter: str, folder: Path, log: Callable[[str], None], base: str = FDA, sha256: str | None = None) -> Path:
    """The zip of a quarter, in a folder. What an earlier call has left unfinished is resumed.

    The zip's own checksums are tested before it gets its name, so that nobody sees half of it. FDA publishes no
    digest; the file's is logged, and compared where one is given.

    Raises:
        InvalidInput: not a quarter, or FDA has no such file, or it is damaged, or not the one that was wanted.
        JobFailed: the connection broke too often; another call resumes.
    """
    quarter = quarter.lower()
    if quarter_in(quarter) != quarter:
        raise InvalidInput(
            "lsdata faers fetch",
            code="not_a_quarter",
            found=ascii(quarter),
            allowed="e.g. 2024q4",
            do="Name a quarter.",
        )
    target = folder / names(quarter)[1]
    if target.exists():
        log(f"{target.name}: here already, SHA-256 {_digest(target)}")
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{target.name}.part"
    for name in names(quarter):
        if _download(f"{base}/{name}", part, log):
            break
    else:
        raise InvalidInput(
            f"{base}", code="no_such_quarter", found="404", allowed="a quarter that FDA has published",
            do="Look at FDA's page.", files=(),
        )  # fmt: skip
    found = _digest(part)
    if fault := _fault(part, found, sha256):
        part.unlink()
        raise InvalidInput(
            target.name, code="download_damaged", found=fault, allowed="a whole zip, the one that was wanted",
            do="Fetch it again.", files=(),
        )  # fmt: skip
    os.replace(part, target)
    log(f"{target.name}: {target.stat().st_size:,} bytes, SHA-256 {found}")
    return target


def _fault(part: Path, found: str, wanted: str | None) -> str | None:
    if wanted and found != wanted.lower():
        return f"SHA-256 {found}, not {wanted}"
    try:
        with zipfile.ZipFile(part) as opened:
            return "a member whose checksum is wrong" if opened.testzip() else None
    except zipfile.BadZipFile:
        return "not a zip"


def _download(url: str, part: Path, log: Callable[[str], None]) -> bool:
    """Whether there is such a file; it is at `part` then."""
    for tried in range(_TRIES):
        have = part.stat().st_size if part.exists() else 0
        asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urllib.request.urlopen(asked, timeout=_TIMEOUT_SECONDS) as answer:
                # A server that knows no ranges sends all of it again.
                with part.open("ab" if answer.status == 206 else "wb") as out:
                    while piece := answer.read(_PIECE):
                        out.write(piece)
                length = answer.headers.get("Content-Length")
                start = have if answer.status == 206 else 0
                if length is None or part.stat().st_size == start + int(length):
                    return True
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            if error.code == 416:
                return True  # it was whole already
            log(f"{url}: {error.code}, tried {tried + 1} times")
        except (OSError, HTTPException) as error:
            log(f"{url}: {type(error).__name__}, tried {tried + 1} times")
    raise JobFailed(
        url,
        found=f"no whole file after {_TRIES} tries",
        allowed="a connection",
        do="Call it again: it resumes.",
        passing=True,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
