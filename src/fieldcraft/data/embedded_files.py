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

IMAGE_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (  # position and first bytes of photos
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n", ".png"),
    (8, b"WEBP", ".webp"),
    (0, b"GIF8", ".gif"),
    (0, b"BM", ".bmp"),
    (0, b"II*\0", ".tif"),
    (0, b"MM\0*", ".tif"),
)
FALLBACK_SUFFIX = ".jpg"  # reading it tells what is wrong, as of any other file
RECORD_FIELDS = ("bytes", "path")


def can_hold_files(dtype: pl.DataType) -> bool:
    """Whether cells of a type may hold whole files: bytes, or records of bytes and a path."""
    if isinstance(dtype, pl.Struct):
        fields = {field.name: field.dtype for field in dtype.fields}
        return set(fields) == set(RECORD_FIELDS) and fields["bytes"] == pl.Binary
    return dtype == pl.Binary


def save_embedded_files(cells: pl.Series, is_image_column: bool = False) -> pl.Series | None:
    """The names of files that hold what cells hold; None where not one of them is a photo.

    Args:
        cells: bytes, or records of bytes and a path, of which the path counts where there are no
            bytes.
        is_image_column: whether other cells of the column are photos, so that these need not be.
    """
    paths: list[str | None] = [None] * len(cells)
    if isinstance(cells.dtype, pl.Struct):
        paths = cells.struct.field("path").cast(pl.String).to_list()
        cells = cells.struct.field("bytes").rename(cells.name)
    contents = cells.to_list()
    present_contents = [content for content in contents if content is not None]
    is_empty = not present_contents and not any(paths)
    if not is_image_column and (
        is_empty or (present_contents and not any(map(image_suffix, present_contents)))
    ):
        return None
    file_names = [
        path if content is None else cache_content(content)
        for content, path in zip(contents, paths, strict=True)
    ]
    return pl.Series(cells.name, file_names, dtype=pl.String)


def image_suffix(content: bytes) -> str | None:
    """How the name of a photo ends, by its first bytes; None for what is no photo.

    >>> ending_of(b"GIF89a"), ending_of(b"PK")
    ('.gif', None)
    """
    suffixes = (
        suffix
        for position, signature, suffix in IMAGE_SIGNATURES
        if content[position:].startswith(signature)
    )
    return next(suffixes, None)


def cache_content(content: bytes) -> str:
    """The path of the file that holds some bytes, written unless it is there."""
    name = hashlib.blake2b(content, digest_size=16).hexdigest()
    path = (
        files.cache_folder()
        / "cells"
        / name[:2]
        / f"{name[2:]}{image_suffix(content) or FALLBACK_SUFFIX}"
    )
    if not has_size(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary_path = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary_path.write_bytes(content)  # it can be made again, so nothing waits for the disk
        temporary_path.replace(path)
    return str(path.absolute())


def has_size(path: Path, size: int) -> bool:
    """Whether a file of some size is there."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False
