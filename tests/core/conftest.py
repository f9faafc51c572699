"""Record syncs and renames in their order, which decides what a crash between them leaves."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

DiskCall = tuple[str, int, int]


def sync_call(path: Path) -> DiskCall:
    """The record of a sync of a file or folder as it is now: inode and size in bytes."""
    status = path.stat()
    return "sync", status.st_ino, status.st_size if path.is_file() else 0


def move_call(path: Path) -> DiskCall:
    """The record of a rename of the file or folder that is now at this path."""
    return "move", path.stat().st_ino, 0


@pytest.fixture
def disk_calls(monkeypatch: pytest.MonkeyPatch) -> list[DiskCall]:
    """Every sync and every rename, in the order of the calls."""
    calls: list[DiskCall] = []
    sync, replace, rename = os.fsync, os.replace, os.rename

    def record_sync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(status.st_mode)
        calls.append(("sync", status.st_ino, 0 if is_folder else status.st_size))
        sync(descriptor)

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
