"""Files and folders that are either whole or not there: written aside, synced, renamed."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def fsync_path(path: Path) -> None:
    """Make sure a file's or folder's content has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary_path = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary_path.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary_path.replace(path)
    finally:
        temporary_path.unlink(missing_ok=True)
    fsync_path(path.parent)


def atomic_write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    atomic_write_bytes(path, text.encode())


def cache_folder() -> Path:
    """Where files are kept that can be fetched again: ``FIELDCRAFT_CACHE``, or the user's cache."""
    own_folder = os.environ.get("FIELDCRAFT_CACHE")
    if own_folder:
        return Path(own_folder)
    xdg_folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg_folder) if xdg_folder else Path.home() / ".cache") / "fieldcraft"


def atomic_write_json(path: Path, value: Any) -> None:
    """Write a JSON file, indented, whole or not at all; NaN is refused."""
    atomic_write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file in UTF-8."""
    return json.loads(path.read_text(encoding="utf-8"))


def replace_folder(temporary_folder: Path, target_folder: Path) -> None:
    """Move a finished folder into its place, replacing what stood there, and sync all of it."""
    for path in temporary_folder.rglob("*"):
        fsync_path(path)
    fsync_path(temporary_folder)
    target_folder.parent.mkdir(parents=True, exist_ok=True)
    if not target_folder.exists():
        temporary_folder.rename(target_folder)
    elif not swap_folders(temporary_folder, target_folder):
        old_folder = target_folder.with_name(f".{target_folder.name}.old")
        shutil.rmtree(old_folder, ignore_errors=True)
        target_folder.rename(old_folder)
        temporary_folder.rename(target_folder)
        shutil.rmtree(old_folder, ignore_errors=True)
    fsync_path(target_folder.parent)
    shutil.rmtree(temporary_folder, ignore_errors=True)


def swap_folders(first: Path, second: Path) -> bool:
    """Swap two folders in one step, so that neither is ever missing; False where that cannot be."""
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    at_cwd, exchange_flag = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)
    if renameat2 is None:
        return False
    return bool(
        renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), exchange_flag) == 0
    )


@contextmanager
def atomic_folder(target_folder: Path) -> Iterator[Path]:
    """A folder to fill that appears under its final name only if the block ends well."""
    temporary_folder = target_folder.with_name(f".{target_folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary_folder, ignore_errors=True)
    temporary_folder.mkdir(parents=True)
    try:
        yield temporary_folder
        replace_folder(temporary_folder, target_folder)
    finally:
        shutil.rmtree(temporary_folder, ignore_errors=True)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock file while the block runs; tells whether nobody else holds it.

    The system frees the lock when the process ends, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
