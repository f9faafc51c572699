"""Cells that hold photos themselves, as bytes: each is kept as a file, and its cell names that.

Parquet files and frames hold them as binary cells, or, as Hugging Face writes them, as records
of ``bytes`` and ``path``. A file is named by the digest of its content, so that the same bytes
are written once, whichever table they come from.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import polars as pl

from fieldcraft.core import files

MARKS: tuple[tuple[int, bytes, str], ...] = (  # position and first bytes of photos
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n", ".png"),
    (8, b"WEBP", ".webp"),
    (0, b"GIF8", ".gif"),
    (0, b"BM", ".bmp"),
    (0, b"II*\0", ".tif"),
    (0, b"MM\0*", ".tif"),
)
NO_PHOTO = ".jpg"  # reading it tells what is wrong, as of any other file
RECORD = ("bytes", "path")


def holds_files(kind: pl.DataType) -> bool:
    """Whether cells of a type may hold whole files: bytes, or records of bytes and a path."""
    if isinstance(kind, pl.Struct):
        fields = {field.name: field.dtype for field in kind.fields}
        return set(fields) == set(RECORD) and fields["bytes"] == pl.Binary
    return kind == pl.Binary


def named_files(cells: pl.Series, sure: bool = False) -> pl.Series | None:
    """The names of files that hold what cells hold; None where not one of them is a photo.

    Args:
        cells: bytes, or records of bytes and a path, of which the path counts where there are no
            bytes.
        sure: whether other cells of the column are photos, so that these need not be.
    """
    paths: list[str | None] = [None] * len(cells)
    if isinstance(cells.dtype, pl.Struct):
        paths = cells.struct.field("path").cast(pl.String).to_list()
        cells = cells.struct.field("bytes").rename(cells.name)
    bodies = cells.to_list()
    there = [body for body in bodies if body is not None]
    nothing = not there and not any(paths)
    if not sure and (nothing or (there and not any(map(ending_of, there)))):
        return None
    found = [path if body is None else kept(body) for body, path in zip(bodies, paths, strict=True)]
    return pl.Series(cells.name, found, dtype=pl.String)


def ending_of(body: bytes) -> str | None:
    """How the name of a photo ends, by its first bytes; None for what is no photo.

    >>> ending_of(b"GIF89a"), ending_of(b"PK")
    ('.gif', None)
    """
    found = (ending for place, mark, ending in MARKS if body[place:].startswith(mark))
    return next(found, None)


def kept(body: bytes) -> str:
    """The path of the file that holds some bytes, written unless it is there."""
    name = hashlib.blake2b(body, digest_size=16).hexdigest()
    path = files.cache_folder() / "cells" / name[:2] / f"{name[2:]}{ending_of(body) or NO_PHOTO}"
    if not is_whole(path, len(body)):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        aside.write_bytes(body)  # it can be made again, so nothing waits for the disk
        aside.replace(path)
    return str(path.absolute())


def is_whole(path: Path, size: int) -> bool:
    """Whether a file of some size is there."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False
