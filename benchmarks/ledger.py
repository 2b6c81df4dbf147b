"""The audit ledger against sqlite: 2,000 acts from 64 threads, each durable before its caller goes on."""

import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import measure
from lsdata.lake.ledger import Entry, Ledger

ENTRIES = 2_000
THREADS = 64
GOAL = 1.0
"""Tamper evidence must not cost more than a plain database's durability."""


def _entries() -> list[Entry]:
    return [
        Entry(
            id=f"{number:032x}",
            at="2026-01-01T00:00:00+00:00",
            actor="benchmark",
            action="publish",
            subject="silver/genomics/sample_metrics",
            old_version=number,
            new_version=number + 1,
            reason="rerun",
            content_sha256=f"{number:064x}",
            detail={"partition": f"S{number:05d}", "rows": number},
        )
        for number in range(ENTRIES)
    ]


def _ours(folder: Path, entries: list[Entry]) -> int:
    ledger = Ledger.local(folder / "ledger", folder / "witness", folder / "key")
    with ThreadPoolExecutor(THREADS) as callers:
        return len(set(callers.map(ledger.append, entries)))


def _peer(folder: Path, lines: list[bytes]) -> int:
    database = sqlite3.connect(folder / "peer.sqlite", isolation_level=None)
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY, line BLOB NOT NULL)")
    for line in lines:
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO entries (line) VALUES (?)", (line,))
        database.execute("COMMIT")
    return database.execute("SELECT count(*) FROM entries").fetchone()[0]


def run() -> list[measure.Result]:
    """CPU-seconds for 2,000 appends from 64 threads; peer: sqlite, one synchronous=FULL transaction each."""
    ours, peer = (measure.python(__name__, which) for which in ("ours", "peer"))
    return [measure.compare("ledger: 2,000 appends from 64 threads", ours, peer, GOAL)]


def main(which: str) -> None:
    """One side of the comparison."""
    entries = _entries()
    lines = [entry.to_line() for entry in entries]  # what is ours in the peer's rows is not on the peer's bill
    with TemporaryDirectory() as folder:
        measure.begin()
        print(_ours(Path(folder), entries) if which == "ours" else _peer(Path(folder), lines))


if __name__ == "__main__":
    main(sys.argv[1])
