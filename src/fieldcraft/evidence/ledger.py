"""The ledger: append-only evidence in SQLite, each entry chained to the one before by its hash.

Whoever changes, removes or reorders an entry breaks the chain, and `verify` says where. The
hash of the last entry is written into every bundle, so that a ledger cut short is noticed too.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fieldcraft.core import digest
from fieldcraft.core.errors import LedgerError

GENESIS = "0" * 64
WAIT = 30  # seconds to wait for other processes
TABLE = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, stage TEXT NOT NULL,
    key TEXT NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL
) STRICT
"""


@dataclass(frozen=True)
class Entry:
    """One piece of evidence: when, of what kind, from which stage and inputs, and its content."""

    number: int
    at: str
    kind: str
    stage: str
    key: str
    body: Mapping[str, Any]
    previous: str
    hash: str


def chain_hash(
    previous: str, number: int, at: str, kind: str, stage: str, key: str, body: str
) -> str:
    """Hash of an entry: SHA-256 over the hash before it and everything the entry says."""
    return digest.of_json([previous, number, at, kind, stage, key, body])


def entry_of(row: tuple[Any, ...]) -> Entry:
    """An entry from its row in the table."""
    number, at, kind, stage, key, body, previous, found = row
    return Entry(number, at, kind, stage, key, json.loads(body), previous, found)


def let_readers_in(base: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side (write-ahead logging)."""
    until = time.monotonic() + WAIT
    while True:
        try:
            base.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite waits for every lock but this one, when several start a ledger at once.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


class Ledger:
    """The evidence of one project. Safe to open from several processes at once."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at a path; the file comes into being with the first entry."""
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)) as base:
                let_readers_in(base)
                base.execute("PRAGMA synchronous=FULL")
                base.execute(TABLE)
                yield base
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"the ledger {self.path.name} cannot be used",
                seen=str(error),
                way_out="make sure that the disk is not full and the file is whole; "
                "restore it from a copy if it is damaged",
            ) from error

    def append(self, records: Sequence[tuple[str, str, str, Mapping[str, Any]]]) -> None:
        """Add entries, all or none: (kind, stage, key, body) each."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._open() as base:
            base.execute("BEGIN IMMEDIATE")  # one writer at a time, or the chain would fork
            last = base.execute(
                "SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1"
            ).fetchone()
            number, previous = last or (0, GENESIS)
            for kind, stage, key, body in records:
                number += 1
                text = digest.canonical(dict(body)).decode()
                found = chain_hash(previous, number, now, kind, stage, key, text)
                base.execute(
                    "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (number, now, kind, stage, key, text, previous, found),
                )
                previous = found
            base.execute("COMMIT")

    def entries(
        self, kind: str | None = None, stage: str | None = None, key: str | None = None
    ) -> list[Entry]:
        """Entries in order, of one kind, stage or key if asked."""
        if not self.path.exists():
            return []
        wanted = {"kind": kind, "stage": stage, "key": key}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = :{name}" for name in given) or "1"
        with self._open() as base:
            rows = base.execute(f"SELECT * FROM entries WHERE {where} ORDER BY number", given)
            return [entry_of(row) for row in rows]

    def last(self, kind: str, stage: str, key: str | None = None) -> Entry | None:
        """The newest entry of a kind from a stage, if there is one."""
        found = self.entries(kind, stage, key)
        return found[-1] if found else None

    def head(self) -> str:
        """Hash of the newest entry; of an empty ledger, 64 zeros."""
        entries = self.entries()
        return entries[-1].hash if entries else GENESIS

    def verify(self) -> int:
        """Recompute the whole chain and return how many entries it has.

        Raises:
            LedgerError: an entry was changed, removed or put in between.
        """
        if not self.path.exists():
            return 0
        with self._open() as base:
            rows = base.execute("SELECT * FROM entries ORDER BY number").fetchall()
        previous = GENESIS
        for position, (number, at, kind, stage, key, body, before, found) in enumerate(rows, 1):
            expected = chain_hash(previous, position, at, kind, stage, key, body)
            if (number, before, found) != (position, previous, expected):
                raise LedgerError(
                    f"the chain of evidence is broken at entry {position}",
                    seen=f"entry {number} ({kind} of {stage}, {at}): hash {str(found)[:12]}, "
                    f"expected {expected[:12]}",
                    way_out="restore the ledger from a copy made before the change; "
                    "figures after this entry must not be trusted",
                )
            previous = found
        return len(rows)
