"""The ledger is append-only, and tampering is detected."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.core import digest
from fieldcraft.core.errors import LedgerError
from fieldcraft.ledger.store import (
    GENESIS_HASH,
    LOCK_TIMEOUT_SECONDS,
    Ledger,
    chain_hash,
    enable_wal,
)

APPEND = """
import sys
from pathlib import Path
from fieldcraft.ledger.store import Ledger
for i in range(int(sys.argv[3])):
    Ledger(Path(sys.argv[1])).append([("metric", sys.argv[2], str(i), {"i": i})] * 2)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger without a file yet."""
    return Ledger(tmp_path / "new" / "project" / "ledger.sqlite")


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """A ledger with five entries."""
    ledger.append([("decision", "split", "k1", {"rows": 100})])
    ledger.append([("metric", "evaluate", "k2", {"auc": 0.5 + i / 10}) for i in range(3)])
    ledger.append([("decision", "evaluate", "k3", {"champion": "Zoë"})])
    return ledger


def tamper(ledger: Ledger, *statements: str) -> None:
    """Change the table without the ledger."""
    with closing(sqlite3.connect(ledger.path)) as base, base:
        for statement in statements:
            base.execute(statement)


def test_an_empty_ledger_has_no_file_no_entries_and_the_genesis_hash(ledger: Ledger) -> None:
    assert (ledger.entries(), ledger.head(), ledger.verify()) == ([], GENESIS_HASH, 0)
    assert ledger.last("metric", "evaluate") is None
    assert not ledger.path.exists()


def test_entries_are_read_in_order_as_they_were_written(filled: Ledger) -> None:
    entries = filled.entries()
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.body for entry in entries][::4] == [{"rows": 100}, {"champion": "Zoë"}]
    assert (entries[4].kind, entries[4].stage, entries[4].key) == ("decision", "evaluate", "k3")
    assert all(entry.created_at.endswith("+00:00") for entry in entries)


def test_each_entry_has_the_hash_of_the_previous_one(filled: Ledger) -> None:
    entries = filled.entries()
    assert [entry.previous_hash for entry in entries] == [
        GENESIS_HASH,
        *(e.hash for e in entries[:-1]),
    ]
    assert filled.head() == entries[-1].hash
    assert filled.verify() == 5


def test_the_hash_of_an_entry_is_the_sha256_of_the_previous_hash_and_all_fields(
    filled: Ledger,
) -> None:
    with closing(sqlite3.connect(filled.path)) as base:
        rows = base.execute("SELECT * FROM entries ORDER BY number").fetchall()
    before = "0" * 64
    for number, at, kind, stage, key, body, previous, entry_hash in rows:
        text = json.dumps(
            [before, number, at, kind, stage, key, body], separators=(",", ":"), ensure_ascii=False
        )
        assert previous == before
        assert entry_hash == hashlib.sha256(text.encode()).hexdigest()
        before = entry_hash
    assert [row[5] for row in rows[::4]] == ['{"rows":100}', '{"champion":"Zoë"}']


def test_every_field_changes_the_hash() -> None:
    entry: tuple[Any, ...] = (GENESIS_HASH, 1, "2024-01-31", "metric", "train", "k", "{}")
    hashes = {chain_hash(*entry)}
    for place, part in enumerate(entry):
        changed = (*entry[:place], 2 if part == 1 else f"{part} ", *entry[place + 1 :])
        hashes.add(chain_hash(*changed))
    swapped = (*entry[:3], entry[4], entry[3], *entry[5:])
    hashes.add(chain_hash(*swapped))
    assert len(hashes) == 1 + len(entry) + 1


def test_entries_have_the_time_of_the_call_in_utc(ledger: Ledger) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    ledger.append([("metric", "evaluate", "k", {})] * 2)
    first, second = (datetime.fromisoformat(entry.created_at) for entry in ledger.entries())
    assert before <= first == second <= datetime.now(UTC)
    with pytest.raises(FrozenInstanceError):
        ledger.entries()[0].created_at = "2020-01-01"  # type: ignore[misc]


def test_entries_are_filtered_by_kind_stage_and_key(filled: Ledger) -> None:
    def numbers(**wanted: str) -> list[int]:
        return [entry.number for entry in filled.entries(**wanted)]

    assert numbers(kind="decision") == [1, 5]
    assert numbers(stage="evaluate") == [2, 3, 4, 5]
    assert numbers(kind="metric", stage="evaluate", key="k2") == [2, 3, 4]
    assert numbers(key="x' OR '1'='1") == []
    last = filled.last("metric", "evaluate")
    assert last is not None
    assert last.body == {"auc": 0.7}
    assert filled.last("metric", "evaluate", "k3") is None


@pytest.mark.parametrize(
    ("statements", "entry"),
    [
        (["UPDATE entries SET body = '{\"auc\":0.99}' WHERE number = 3"], 3),
        (["UPDATE entries SET at = '2020-01-01' WHERE number = 1"], 1),
        (["UPDATE entries SET stage = 'train' WHERE number = 2"], 2),
        (["UPDATE entries SET kind = 'decision' WHERE number = 2"], 2),
        (["UPDATE entries SET number = 7 WHERE number = 5"], 5),
        (["UPDATE entries SET previous = hash WHERE number = 4"], 4),
        ([f"UPDATE entries SET previous = '{GENESIS_HASH}' WHERE number = 2"], 2),
        (["UPDATE entries SET key = 'k9' WHERE number = 5"], 5),
        (["UPDATE entries SET hash = previous WHERE number = 4"], 4),
        (["DELETE FROM entries WHERE number = 1"], 1),
        (["DELETE FROM entries WHERE number = 3"], 3),
        (
            [
                "DELETE FROM entries WHERE number = 3",
                "UPDATE entries SET number = 3 WHERE number = 4",
                "UPDATE entries SET number = 4 WHERE number = 5",
            ],
            3,
        ),
        (
            [
                "UPDATE entries SET number = 9 WHERE number = 2",
                "UPDATE entries SET number = 2 WHERE number = 3",
                "UPDATE entries SET number = 3 WHERE number = 9",
            ],
            2,
        ),
        (["INSERT INTO entries SELECT 6, at, kind, stage, key, body, previous, hash "
          "FROM entries WHERE number = 5"], 6),
        (
            [
                "UPDATE entries SET number = 6 WHERE number = 5",
                "INSERT INTO entries SELECT 5, at, kind, stage, key, '{}', previous, hash "
                "FROM entries WHERE number = 4",
            ],
            5,
        ),
    ],
    ids=[
        "body", "time", "stage", "kind", "number", "previous", "first's previous", "key", "hash",
        "first removed", "removed",
        "removed and closed up", "reordered", "added", "inserted",
    ],
)  # fmt: skip
def test_tampering_is_reported_at_its_entry(
    statements: list[str], entry: int, filled: Ledger
) -> None:
    tamper(filled, *statements)
    with pytest.raises(LedgerError, match=rf"broken at entry {entry}\n") as caught:
        filled.verify()
    assert "restore the ledger from a copy" in caught.value.hint


def test_a_forged_entry_with_a_valid_hash_breaks_the_chain_after_it(filled: Ledger) -> None:
    third = filled.entries()[2]
    body = '{"auc":0.99}'
    forged = chain_hash(
        third.previous_hash, 3, third.created_at, third.kind, third.stage, third.key, body
    )
    tamper(filled, f"UPDATE entries SET body = '{body}', hash = '{forged}' WHERE number = 3")
    with pytest.raises(LedgerError, match=r"broken at entry 4\n"):
        filled.verify()


def test_a_truncated_ledger_has_a_different_head(filled: Ledger) -> None:
    head = filled.head()
    tamper(filled, "DELETE FROM entries WHERE number = 5")
    assert filled.verify() == 4
    assert filled.head() != head


@pytest.mark.parametrize("body", [{"auc": float("nan")}, {"auc": {1, 2}}])
def test_entries_are_added_all_or_none(body: dict[str, Any], filled: Ledger) -> None:
    good = ("metric", "evaluate", "k4", {"auc": 0.9})
    with pytest.raises((ValueError, TypeError), match="JSON"):
        filled.append([good, ("metric", "evaluate", "k4", body)])
    assert filled.verify() == 5
    filled.append([good])
    assert filled.verify() == 6


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that connections execute from now on."""
    traced: list[str] = []
    connect = sqlite3.connect

    def connect_traced(*args: Any, **options: Any) -> sqlite3.Connection:
        base: sqlite3.Connection = connect(*args, **options)
        base.set_trace_callback(traced.append)
        return base

    monkeypatch.setattr(sqlite3, "connect", connect_traced)
    return traced


def test_entries_are_written_in_one_synchronous_transaction(
    filled: Ledger, statements: list[str]
) -> None:
    filled.append([("metric", "evaluate", "k4", {"auc": 0.9})] * 3)
    begin, commit = statements.index("BEGIN IMMEDIATE"), statements.index("COMMIT")
    assert statements.index("PRAGMA synchronous=FULL") < begin
    assert [text[:6] for text in statements[begin + 1 : commit]] == ["SELECT"] + ["INSERT"] * 3
    assert statements[commit + 1 :] == []


def test_no_other_writer_can_start_once_the_head_is_read(
    filled: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    canonical = digest.canonical_json
    refused: list[str] = []

    def write_meanwhile(value: Any) -> bytes:
        with closing(sqlite3.connect(filled.path, timeout=0, isolation_level=None)) as rival:
            try:
                rival.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                refused.append(str(error))
        return canonical(value)

    monkeypatch.setattr(digest, "canonical_json", write_meanwhile)
    filled.append([("metric", "evaluate", "k4", {})] * 2)
    assert refused[::2] == ["database is locked"] * 2  # once for the body, once for the hash


def test_a_writer_waits_for_another(filled: Ledger) -> None:
    with closing(
        sqlite3.connect(filled.path, isolation_level=None, check_same_thread=False)
    ) as rival:
        rival.execute("BEGIN IMMEDIATE")
        ending = threading.Timer(0.1, rival.execute, ["ROLLBACK"])
        ending.start()
        filled.append([("metric", "evaluate", "k4", {})])
        ending.join()
    assert filled.verify() == 6


class BusyConnection:
    """A connection that raises errors of given codes."""

    def __init__(self, codes: Sequence[int]) -> None:
        self.codes = list(codes)
        self.statements: list[str] = []

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        if self.codes:
            error = sqlite3.OperationalError("not now")
            error.sqlite_errorcode = self.codes.pop(0)
            raise error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """All sleeps; the clock advances only by them."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 1_000 + sum(pauses))
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def test_a_busy_new_ledger_is_tried_again(clock: list[float]) -> None:
    base: Any = BusyConnection([sqlite3.SQLITE_BUSY] * 2)
    enable_wal(base)
    assert base.statements == ["PRAGMA journal_mode=WAL"] * 3
    assert clock == [0.01] * 2


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_BUSY])
def test_a_ledger_that_stays_busy_times_out(code: int, clock: list[float]) -> None:
    base: Any = BusyConnection([code] * 100_000)
    with pytest.raises(sqlite3.OperationalError, match="not now"):
        enable_wal(base)
    waited = LOCK_TIMEOUT_SECONDS if code == sqlite3.SQLITE_BUSY else 0
    assert sum(clock) == pytest.approx(waited, abs=0.02)


def test_two_processes_that_append_do_not_fork_the_chain(ledger: Ledger) -> None:
    n_appends = 8
    writers = [
        subprocess.Popen([sys.executable, "-c", APPEND, str(ledger.path), name, str(n_appends)])
        for name in ("one", "other")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert ledger.verify() == 2 * 2 * n_appends
    for name in ("one", "other"):
        numbers = [entry.number for entry in ledger.entries(stage=name)]
        assert len(numbers) == 2 * n_appends
        # The two entries of one call are adjacent: no other process writes in between.
        assert all(
            after == before + 1 for before, after in zip(numbers[::2], numbers[1::2], strict=True)
        )


def test_threads_that_create_a_ledger_at_once_do_not_fork_the_chain(ledger: Ledger) -> None:
    def write(i: int) -> None:
        Ledger(ledger.path).append([("metric", f"s{i}", "k", {"i": i})])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert ledger.verify() == 24
    assert {entry.body["i"] for entry in ledger.entries()} == set(range(24))


def test_a_writer_does_not_block_readers(filled: Ledger) -> None:
    with closing(sqlite3.connect(filled.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM entries")
        assert filled.verify() == 5
        writer.execute("ROLLBACK")


def test_an_invalid_ledger_file_is_named(ledger: Ledger) -> None:
    ledger.path.parent.mkdir(parents=True)
    ledger.path.write_bytes(b"not a database, but long enough to be looked at" * 40)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be used"):
        ledger.verify()
    with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be used"):
        ledger.append([("decision", "split", "k", {})])
