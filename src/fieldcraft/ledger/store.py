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
LOCK_TIMEOUT_SECONDS = 30  # seconds to wait for other processes
CREATE_TABLE_SQL = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, stage TEXT NOT NULL,
    key TEXT NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL
) STRICT
"""


@dataclass(frozen=True)
class LedgerEntry:
    """One piece of evidence: when, of what kind, from which stage and inputs, and its content."""

    number: int
    created_at: str
    kind: str
    stage: str
    key: str
    body: Mapping[str, Any]
    previous_hash: str
    hash: str


def chain_hash(
    previous_hash: str, number: int, created_at: str, kind: str, stage: str, key: str, body: str
) -> str:
    """Hash of an entry: SHA-256 over the hash before it and everything the entry says."""
    return digest.of_json([previous_hash, number, created_at, kind, stage, key, body])


def entry_from_row(row: tuple[Any, ...]) -> LedgerEntry:
    """An entry from its row in the table."""
    number, created_at, kind, stage, key, body, previous_hash, entry_hash = row
    return LedgerEntry(
        number, created_at, kind, stage, key, json.loads(body), previous_hash, entry_hash
    )


def enable_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side (write-ahead logging)."""
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite waits for every lock but this one, when several start a ledger at once.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class Ledger:
    """The evidence of one project. Safe to open from several processes at once."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at a path; the file comes into being with the first entry."""
        self.path = path

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(
                sqlite3.connect(self.path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None)
            ) as connection:
                enable_wal(connection)
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute(CREATE_TABLE_SQL)
                yield connection
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"the ledger {self.path.name} cannot be used",
                detail=str(error),
                hint="make sure that the disk is not full and the file is whole; "
                "restore it from a copy if it is damaged",
            ) from error

    def append(self, records: Sequence[tuple[str, str, str, Mapping[str, Any]]]) -> None:
        """Add entries, all or none: (kind, stage, key, body) each."""
        created_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")  # one writer at a time, or the chain would fork
            last_row = connection.execute(
                "SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1"
            ).fetchone()
            number, previous_hash = last_row or (0, GENESIS)
            for kind, stage, key, body in records:
                number += 1
                body_json = digest.canonical_json(dict(body)).decode()
                entry_hash = chain_hash(
                    previous_hash, number, created_at, kind, stage, key, body_json
                )
                connection.execute(
                    "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (number, created_at, kind, stage, key, body_json, previous_hash, entry_hash),
                )
                previous_hash = entry_hash
            connection.execute("COMMIT")

    def entries(
        self, kind: str | None = None, stage: str | None = None, key: str | None = None
    ) -> list[LedgerEntry]:
        """Entries in order, of one kind, stage or key if asked."""
        if not self.path.exists():
            return []
        filters = {"kind": kind, "stage": stage, "key": key}
        active_filters = {name: value for name, value in filters.items() if value is not None}
        where_clause = " AND ".join(f"{name} = :{name}" for name in active_filters) or "1"
        with self._connect() as connection:
            rows = connection.execute(
                f"SELECT * FROM entries WHERE {where_clause} ORDER BY number", active_filters
            )
            return [entry_from_row(row) for row in rows]

    def last(self, kind: str, stage: str, key: str | None = None) -> LedgerEntry | None:
        """The newest entry of a kind from a stage, if there is one."""
        matching = self.entries(kind, stage, key)
        return matching[-1] if matching else None

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
        with self._connect() as connection:
            rows = connection.execute("SELECT * FROM entries ORDER BY number").fetchall()
        previous_hash = GENESIS
        for position, (
            number,
            created_at,
            kind,
            stage,
            key,
            body,
            stored_previous,
            stored_hash,
        ) in enumerate(rows, 1):
            expected = chain_hash(previous_hash, position, created_at, kind, stage, key, body)
            if (number, stored_previous, stored_hash) != (position, previous_hash, expected):
                raise LedgerError(
                    f"the chain of evidence is broken at entry {position}",
                    detail=f"entry {number} ({kind} of {stage}, {created_at}): hash {str(stored_hash)[:12]}, "
                    f"expected {expected[:12]}",
                    hint="restore the ledger from a copy made before the change; "
                    "figures after this entry must not be trusted",
                )
            previous_hash = stored_hash
        return len(rows)
