"""Fetching a quarter: from a server that breaks off, has no ranges, has nothing, or sends something else."""

import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lsdata.errors import InvalidInput, JobFailed
from lsdata.pharmacovigilance import download


def a_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("DEMO24Q4.txt", "primaryid$caseid\n" + "1$1\n" * 50_000)
    return out.getvalue()


@dataclass
class Server:
    """What is served, and what was asked."""

    base: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    ranges: bool = True
    breaks_after: list[int] = field(default_factory=list[int])
    asked: list[str] = field(default_factory=list[str])


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = self.headers.get("Range", "")
            told.asked.append(f"{self.path} {start}".strip())
            data = told.files.get(self.path.lstrip("/"))
            if data is None:
                self.send_error(404)
                return
            at = int(found[1]) if told.ranges and (found := re.match(r"bytes=(\d+)-", start)) else 0
            self.send_response(206 if at else 200)
            self.send_header("Content-Length", str(len(data) - at))
            self.end_headers()
            end = at + told.breaks_after.pop(0) if told.breaks_after else len(data)
            self.wfile.write(data[at:end])

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        told.base = f"http://127.0.0.1:{http.server_port}"
        yield told
        http.shutdown()
        thread.join()


def get(server: Server, folder: Path, quarter: str = "2024q4", **more: str) -> Path:
    return download.fetch(quarter, folder, lambda _: None, server.base, **more)


def test_a_quarter_is_fetched_under_either_name_and_only_once(server: Server, tmp_path: Path) -> None:
    server.files["faers_ascii_2024q4.zip"] = data = a_zip()
    path = get(server, tmp_path, sha256=hashlib.sha256(data).hexdigest())
    assert path.read_bytes() == data
    asked = len(server.asked)
    assert get(server, tmp_path) == path
    assert len(server.asked) == asked
    assert [p.name for p in tmp_path.iterdir()] == ["faers_ascii_2024q4.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_was_broken_off_is_resumed(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.files["faers_ascii_2024Q4.zip"] = data = a_zip()
    server.ranges, server.breaks_after = ranges, [1000, 70_000]
    assert get(server, tmp_path).read_bytes() == data
    assert server.asked[1].endswith("bytes=1000-")


def test_a_server_that_always_breaks_off_is_given_up_and_resumed_by_the_next_call(
    server: Server, tmp_path: Path
) -> None:
    server.files["faers_ascii_2024Q4.zip"] = data = a_zip()
    server.breaks_after = [10] * 5
    with pytest.raises(JobFailed):
        get(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == data
    assert server.asked[-1].endswith("bytes=50-")


def test_what_is_not_there_or_not_whole_or_not_wanted_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="404"):
        get(server, tmp_path)
    with pytest.raises(InvalidInput, match="2024q5"):
        get(server, tmp_path, "2024q5")
    server.files["faers_ascii_2024Q4.zip"] = b"<html>"
    with pytest.raises(InvalidInput, match="not a zip"):
        get(server, tmp_path)
    server.files["faers_ascii_2024Q4.zip"] = a_zip()
    with pytest.raises(InvalidInput, match="SHA-256"):
        get(server, tmp_path, sha256="00")
    assert list(tmp_path.iterdir()) == []
