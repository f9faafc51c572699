"""Calls that reach the disk, in their order: what a crash between two of them leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DiskCall = tuple[str, int, int]


def sync_call(path: Path) -> DiskCall:
    """How a sync of a file or folder, as it is now, is recorded: its number and its bytes."""
    found = path.stat()
    return "sync", found.st_ino, found.st_size if path.is_file() else 0


def move_call(path: Path) -> DiskCall:
    """How the move of a file or folder that stands here now is recorded."""
    return "move", path.stat().st_ino, 0


@pytest.fixture
def disk_calls(monkeypatch: pytest.MonkeyPatch) -> list[DiskCall]:
    """Every sync and every move by name, as they are called."""
    calls: list[DiskCall] = []
    sync, replace, rename = os.fsync, os.replace, os.rename

    def record_sync(handle: int) -> None:
        found = os.fstat(handle)
        is_folder = found.st_mode & 0o170000 == 0o040000
        calls.append(("sync", found.st_ino, 0 if is_folder else found.st_size))
        sync(handle)

    def record_replace(source: Path, target: Path) -> None:
        calls.append(move_call(Path(source)))
        replace(source, target)

    def record_rename(source: Path, target: Path) -> None:
        calls.append(move_call(Path(source)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_replace)
    monkeypatch.setattr(os, "rename", record_rename)
    return calls
