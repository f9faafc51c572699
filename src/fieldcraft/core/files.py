"""Atomic files and folders: written under a temporary name, synced, then renamed."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


def fsync_path(path: Path) -> None:
    """Flush the content of a file, or the entries of a folder, to disk."""
    is_windows = sys.platform == "win32"
    if is_windows and path.is_dir():
        return  # NTFS keeps a journal of folder entries, and folders cannot be opened
    descriptor = os.open(path, os.O_RDWR if is_windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_stamp(path: str | Path) -> tuple[int, int]:
    """Return size (bytes) and modification time (ns) of a file, to notice changes cheaply.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def temporary_path_for(path: Path) -> Path:
    """Return a temporary path beside a file, which no other process or thread uses.

    It is in the same folder because a rename is atomic only within one file system.
    """
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")


def publish_file(temporary_path: Path, target_path: Path, *, sync_folder: bool = True) -> None:
    """Rename a finished file to its final name; after a crash the old file or the new one is there.

    Args:
        temporary_path: a closed file in the same file system.
        target_path: the final name; an existing file is replaced.
        sync_folder: whether the new name is on disk when this returns. Without it a crash may
            bring back the old file, but never leaves a part of a file.
    """
    # First the content, then the name: file systems may write a rename to disk before the data
    # it refers to, and a crash between them would leave an empty file under the final name.
    fsync_path(temporary_path)
    os.replace(temporary_path, target_path)
    # The rename changes the folder, and is on disk only once the folder is synced.
    if sync_folder:
        fsync_path(target_path.parent)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary_path = temporary_path_for(path)
    try:
        temporary_path.write_bytes(data)
        publish_file(temporary_path, path)
    finally:
        temporary_path.unlink(missing_ok=True)  # otherwise retries would fill a full disk further


def atomic_write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically."""
    atomic_write_bytes(path, text.encode())


def cache_folder() -> Path:
    """Return the folder of re-creatable files: ``FIELDCRAFT_CACHE``, or the user's cache."""
    own_folder = os.environ.get("FIELDCRAFT_CACHE")
    if own_folder:
        return Path(own_folder)
    # XDG Base Directory Specification: ~/.cache where XDG_CACHE_HOME is unset or empty.
    xdg_folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg_folder) if xdg_folder else Path.home() / ".cache") / "fieldcraft"


def atomic_write_json(path: Path, value: Any) -> None:
    """Write an indented JSON file atomically.

    Raises:
        ValueError: the value holds NaN or infinity; the old file stays.
    """
    atomic_write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file in UTF-8."""
    return json.loads(path.read_text(encoding="utf-8"))


def replace_folder(temporary_folder: Path, target_folder: Path) -> None:
    """Rename a finished folder to its final name, replacing an existing one; all is synced."""
    # All content is on disk before the name is, as in `publish_file`; a crash up to here leaves
    # the old folder untouched.
    for path in temporary_folder.rglob("*"):
        fsync_path(path)
    fsync_path(temporary_folder)
    target_folder.parent.mkdir(parents=True, exist_ok=True)
    if not target_folder.exists():
        temporary_folder.rename(target_folder)
    elif not swap_folders(temporary_folder, target_folder):
        # rename(2) does not replace a folder that has content, so the old one is moved away
        # first. A crash between the two renames leaves no target, but both folders complete
        # beside it: that is why Linux swaps them in one step instead.
        old_folder = target_folder.with_name(f".{target_folder.name}.old")
        shutil.rmtree(old_folder, ignore_errors=True)  # of an earlier crash
        target_folder.rename(old_folder)
        temporary_folder.rename(target_folder)
        shutil.rmtree(old_folder, ignore_errors=True)
    fsync_path(target_folder.parent)
    # After a swap this is the old folder. It goes last: until the sync above a crash may undo
    # the swap, and then its content is the target again.
    shutil.rmtree(temporary_folder, ignore_errors=True)


def swap_folders(first: Path, second: Path) -> bool:
    """Swap two folders in one step, so that neither is ever missing; False if unsupported."""
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    at_cwd, exchange_flag = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)
    if renameat2 is None:  # glibc before 2.28
        return False
    # It fails where the file system does not support the flag (NFS): then callers rename twice.
    return bool(
        renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), exchange_flag) == 0
    )


@contextmanager
def atomic_folder(target_folder: Path) -> Iterator[Path]:
    """Yield a folder to fill, which gets its final name only if the block raises nothing."""
    temporary_folder = target_folder.with_name(f".{target_folder.name}.{os.getpid()}.tmp")
    # A killed process with the same ID may have left a half-filled folder.
    shutil.rmtree(temporary_folder, ignore_errors=True)
    temporary_folder.mkdir(parents=True)
    try:
        yield temporary_folder
        replace_folder(temporary_folder, target_folder)
    finally:
        shutil.rmtree(temporary_folder, ignore_errors=True)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock file while the block runs; yields whether the lock was free.

    The system frees the lock when the process ends, however it ends.
    """
    # Not a lock by creating and removing the file: after a killed process the file would stay and
    # block all others. The file is never removed: while one process holds a lock on the removed
    # file, another could create and lock a new file of the same name.
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
