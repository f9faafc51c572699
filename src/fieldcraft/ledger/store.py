"""The ledger: append-only records in SQLite, each entry chained to the previous one by its hash.

Changing, removing or reordering an entry breaks the chain, and `verify` reports where. Each bundle
stores the hash of the last entry, so that a truncated ledger is noticed too.
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

GENESIS_HASH = "0" * 64  # previous hash of the first entry
LOCK_TIMEOUT_SECONDS = 30  # how long to wait for other processes
LOCK_POLL_SECONDS = 0.01
CREATE_TABLE_SQL = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, stage TEXT NOT NULL,
    key TEXT NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL
) STRICT
"""


@dataclass(frozen=True)
class LedgerEntry:
    """One record of the ledger: its time, kind, stage, key of the inputs, and content."""

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
    """Return the hash of an entry: SHA-256 of the previous hash and all fields of the entry."""
    return digest.of_json([previous_hash, number, created_at, kind, stage, key, body])


def entry_from_row(row: tuple[Any, ...]) -> LedgerEntry:
    """Build an entry from a row of the table."""
    number, created_at, kind, stage, key, body, previous_hash, entry_hash = row
    return LedgerEntry(
        number, created_at, kind, stage, key, json.loads(body), previous_hash, entry_hash
    )


def enable_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, so that readers do not block the writer."""
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite's own timeout covers every lock but this one: when several processes open a
            # new ledger at once, all but one get SQLITE_BUSY immediately.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(LOCK_POLL_SECONDS)


class Ledger:
    """The ledger of one project; several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at a path; the first entry creates the file."""
        self.path = path

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(
                sqlite3.connect(self.path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None)
            ) as connection:
                enable_wal(connection)
                # With NORMAL, a power failure may undo the last commits in WAL mode: a bundle would
                # then name a ledger head that does not exist.
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute(CREATE_TABLE_SQL)
                yield connection
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"the ledger {self.path.name} cannot be used",
                detail=str(error),
                hint="make sure that the disk is not full and the file is intact; "
                "restore it from a copy if it is damaged",
            ) from error

    def append(self, records: Sequence[tuple[str, str, str, Mapping[str, Any]]]) -> None:
        """Add entries of (kind, stage, key, body) in one transaction, all or none."""
        created_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._connect() as connection:
            # BEGIN IMMEDIATE takes the write lock before the last entry is read. With a deferred
            # transaction two writers could read the same last entry, and the chain would fork.
            connection.execute("BEGIN IMMEDIATE")
            last_row = connection.execute(
                "SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1"
            ).fetchone()
            number, previous_hash = last_row or (0, GENESIS_HASH)
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
            # An exception or a crash before this line rolls back all of the entries.
            connection.execute("COMMIT")

    def entries(
        self, kind: str | None = None, stage: str | None = None, key: str | None = None
    ) -> list[LedgerEntry]:
        """Return the entries in order, optionally of one kind, stage or key."""
        if not self.path.exists():  # connecting would create the file, and reading must not
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
        """Return the newest entry of a kind from a stage, or None."""
        matching = self.entries(kind, stage, key)
        return matching[-1] if matching else None

    def head(self) -> str:
        """Return the hash of the newest entry, or 64 zeros if the ledger is empty."""
        entries = self.entries()
        return entries[-1].hash if entries else GENESIS_HASH

    def verify(self) -> int:
        """Recompute the whole chain and return the number of entries.

        Entries removed from the end leave a valid chain: compare `head` with the ``ledger_head``
        that a bundle stores.

        Raises:
            LedgerError: an entry was changed, removed or inserted.
        """
        if not self.path.exists():
            return 0
        with self._connect() as connection:
            rows = connection.execute("SELECT * FROM entries ORDER BY number").fetchall()
        previous_hash = GENESIS_HASH
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
            # By position, not by the stored number, so that a removed first entry is noticed.
            expected = chain_hash(previous_hash, position, created_at, kind, stage, key, body)
            if (number, stored_previous, stored_hash) != (position, previous_hash, expected):
                raise LedgerError(
                    f"the hash chain of the ledger is broken at entry {position}",
                    detail=f"entry {number} ({kind} of {stage}, {created_at}): "
                    f"hash {str(stored_hash)[:12]}, expected {expected[:12]}",
                    hint="restore the ledger from a copy made before the change; "
                    "records from this entry on cannot be trusted",
                )
            previous_hash = stored_hash
        return len(rows)
