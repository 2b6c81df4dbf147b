"""The audit ledger against sqlite: 2,000 acts, each durable before its caller goes on."""

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

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


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _ledger(folder: Path, entries: list[Entry]) -> None:
    ledger = Ledger.local(folder / "ledger", folder / "witness", folder / "key")
    with ThreadPoolExecutor(THREADS) as callers:
        indexes = list(callers.map(ledger.append, entries))
    if sorted(indexes) != list(range(ENTRIES)):
        raise RuntimeError("the ledger lost entries")


def _sqlite(folder: Path, lines: list[bytes]) -> None:
    database = sqlite3.connect(folder / "peer.sqlite", isolation_level=None)
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY, line BLOB NOT NULL)")
    for line in lines:
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO entries (line) VALUES (?)", (line,))
        database.execute("COMMIT")
    database.close()


def run() -> list[dict[str, str | float]]:
    """CPU-seconds for 2,000 appends from 64 threads; peer: sqlite, one synchronous=FULL transaction each."""
    entries = _entries()
    lines = [entry.to_line() for entry in entries]  # what is ours in the peer's rows is not on the peer's bill
    with TemporaryDirectory() as folder:
        ours = _cpu_seconds(lambda: _ledger(Path(folder), entries))
        peer = _cpu_seconds(lambda: _sqlite(Path(folder), lines))
    return [
        {
            "name": "ledger: 2,000 appends from 64 threads",
            "ours": ours,
            "peer": peer,
            "unit": "CPU-seconds",
            "ratio": ours / peer,
            "goal": GOAL,
        }
    ]
