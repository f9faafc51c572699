"""Digests that identify data, settings and results: SHA-256 over canonical bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

READ_BLOCK_BYTES = 1 << 20


def of_bytes(data: bytes) -> str:
    """Return the SHA-256 of bytes as 64 hexadecimal characters."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Serialize a JSON value in its one canonical form: sorted keys, no spaces, UTF-8.

    Raises:
        ValueError: the value holds NaN or infinity, which JSON cannot represent.
    """
    # NaN is refused: it is not valid JSON, so other programs could not recompute the digest.
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def of_json(value: Any) -> str:
    """Return the digest of a JSON value; the order of keys does not matter.

    >>> of_json({"a": 1, "b": 2}) == of_json({"b": 2, "a": 1})
    True
    """
    return of_bytes(canonical_json(value))


def of_file(path: Path) -> str:
    """Return the digest of a file, read block by block."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(READ_BLOCK_BYTES):
            hasher.update(block)
    return hasher.hexdigest()


def of_folder(folder: Path) -> dict[str, str]:
    """Map each file below a folder, by its relative POSIX path, to its digest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): of_file(path) for path in files}
