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


def sync(path: Path) -> None:
    """Make sure a file's or folder's content has reached the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with aside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def cache_folder() -> Path:
    """Where files are kept that can be fetched again: ``FIELDCRAFT_CACHE``, or the user's cache."""
    given = os.environ.get("FIELDCRAFT_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fieldcraft"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, indented, whole or not at all; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file in UTF-8."""
    return json.loads(path.read_text(encoding="utf-8"))


def commit_folder(aside: Path, final: Path) -> None:
    """Move a finished folder into its place, replacing what stood there, and sync all of it."""
    for path in aside.rglob("*"):
        sync(path)
    sync(aside)
    final.parent.mkdir(parents=True, exist_ok=True)
    if not final.exists():
        aside.rename(final)
    elif not exchange(aside, final):
        old = final.with_name(f".{final.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
        aside.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    sync(final.parent)
    shutil.rmtree(aside, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step, so that neither is ever missing; False where that cannot be."""
    if not sys.platform.startswith("linux"):
        return False
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange_flag = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)
    if swap is None:
        return False
    return bool(swap(here, os.fsencode(one), here, os.fsencode(other), exchange_flag) == 0)


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """A folder to fill that appears under its final name only if the block ends well."""
    aside = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        commit_folder(aside, final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def lock(path: Path) -> Iterator[bool]:
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
