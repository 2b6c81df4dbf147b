"""Serves the auditor's site of a lake on this machine; it follows the ledger as it grows."""

import hashlib
import threading
import time
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from lsdata.errors import LedgerTampered, LsdataError
from lsdata.lake.lake import Lake
from lsdata.site.build import Site

_LIVE = ("index.html", "quarantine.html")
"""Pages that show the quarantine, which changes without the ledger."""

_TYPES = {
    "txt": "text/plain; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "css": "text/css",
    "js": "text/javascript",
}
_OWN = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'"
_REPORT = (
    "default-src 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'none'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""A report runs the scripts it brings along; it loads nothing and sends nothing. No origin of its own ('sandbox'):
MultiQC needs local storage."""


def serve(lake: Lake, port: int, host: str = "127.0.0.1") -> None:
    """Build the site below the reports area and serve it, with the lake's HTML reports, until interrupted."""
    with server(lake, port, host) as running:
        running.serve_forever()


def server(lake: Lake, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """The server, built and bound but not running yet; port 0 takes a free one."""
    return ThreadingHTTPServer((host, port), partial(_Handler, _Live(lake)))


class _Live:
    """The site on disk, built again when the ledger has grown."""

    def __init__(self, lake: Lake):
        self._lake, self._lock = lake, threading.Lock()
        self._out = lake.settings.path("reports") / "site"
        self._build(Site(lake))

    def _build(self, site: Site) -> None:
        started = time.monotonic()
        self._site, self._written, self._seen = site, site.write(self._out), self._ledger_size()
        # At most half of the time goes into building, however fast the ledger grows.
        self._rest = 2 * time.monotonic() - started

    def _ledger_size(self) -> int | None:
        try:
            return self._lake.ledger.size()
        except LedgerTampered:
            return None

    def _follow(self) -> None:
        if time.monotonic() < self._rest or (size := self._ledger_size()) == self._seen:
            return
        site = self._site
        if site.verification.ok and size is not None and size >= site.size:
            site.refresh()
        else:  # what was read before cannot be built on
            site = Site(self._lake)
        self._build(site)

    def content(self, path: str) -> bytes | None:
        """A file of the site by its address; None where there is none."""
        with self._lock:
            if path.endswith((".html", ".json")):
                self._follow()
            # Only what the build has written is looked for on disk: an address cannot lead anywhere else.
            if path in self._written and path not in _LIVE:
                return (self._out / path).read_bytes()
            text = self._site.page(path)
            return None if text is None else text.encode()

    def missing(self) -> bytes:
        with self._lock:
            return self._site.missing().encode()

    def report(self, uri: str) -> tuple[HTTPStatus, bytes]:
        """A report of the lake, if it is in the file index and has the bytes that were published."""
        with self._lock:
            sha256 = self._site.report_at(uri)
        # Only what the file index names is read: an address cannot lead anywhere else.
        content = self._lake.files.read(uri) if sha256 else None
        if content is None:
            return HTTPStatus.NOT_FOUND, self.missing()
        if hashlib.sha256(content).hexdigest() != sha256:
            return HTTPStatus.CONFLICT, b"This file is not the one that was published: its SHA-256 differs."
        return HTTPStatus.OK, content


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "lsdata"
    sys_version = ""

    def __init__(self, live: _Live, *args: object):
        self._live = live
        super().__init__(*args)  # pyright: ignore[reportArgumentType] - request, address and server, as it is called

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        try:
            if path.startswith("files/"):
                status, content = self._live.report(path.removeprefix("files/"))
                self._answer(status, content, "html", _REPORT if status is HTTPStatus.OK else _OWN)
                return
            path = path if path and not path.endswith("/") else f"{path}index.html"
            content = self._live.content(path)
        except LsdataError as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode(), "txt", _OWN)
            return
        if content is None:
            self._answer(HTTPStatus.NOT_FOUND, self._live.missing(), "html", _OWN)
        else:
            self._answer(HTTPStatus.OK, content, path.rpartition(".")[2], _OWN)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, content: bytes, kind: str, policy: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", _TYPES.get(kind, "application/octet-stream"))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", policy)
        for name, value in (("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff"),
                            ("Referrer-Policy", "no-referrer")):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a page view is no event."""
