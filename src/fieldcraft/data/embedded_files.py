"""Cells that hold photos as bytes: each becomes a file in the cache, and the cell its path.

Parquet files and frames hold photos as binary cells or, as Hugging Face writes them, as records
of ``bytes`` and ``path``. A file is named by the digest of its content, so that equal photos are
written once, whichever table they come from.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from fieldcraft.core import files

IMAGE_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes, file extension
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n", ".png"),
    (8, b"WEBP", ".webp"),
    (0, b"GIF8", ".gif"),
    (0, b"BM", ".bmp"),
    (0, b"II*\0", ".tif"),
    (0, b"MM\0*", ".tif"),
)
FALLBACK_SUFFIX = ".jpg"  # for bytes that are not a photo: decoding them raises the usual error
RECORD_FIELDS = ("bytes", "path")


def can_hold_files(dtype: pl.DataType) -> bool:
    """Return whether a type can hold files: bytes, or records of bytes and a path."""
    if isinstance(dtype, pl.Struct):
        fields = {field.name: field.dtype for field in dtype.fields}
        return set(fields) == set(RECORD_FIELDS) and fields["bytes"] == pl.Binary
    return dtype == pl.Binary


def save_embedded_files(cells: pl.Series, is_image_column: bool = False) -> pl.Series | None:
    """Save the photos in cells and return their paths; None if no cell is a photo.

    Args:
        cells: bytes, or records of bytes and a path; the path is used if there are no bytes.
        is_image_column: whether the column has photos in other rows, so that none is needed here.
    """
    paths: list[str | None] = [None] * len(cells)
    if isinstance(cells.dtype, pl.Struct):
        paths = cells.struct.field("path").cast(pl.String).to_list()
        cells = cells.struct.field("bytes").rename(cells.name)
    # With one photo, the column is a column of files. Its other bytes become files too, and the
    # code that reads them reports what is wrong with each.
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
    """Return the file extension of a photo by its first bytes; None if it is not a photo.

    >>> image_suffix(b"GIF89a"), image_suffix(b"PK")
    ('.gif', None)
    """
    suffixes = (
        suffix
        for position, signature, suffix in IMAGE_SIGNATURES
        if content[position:].startswith(signature)
    )
    return next(suffixes, None)


def cache_content(content: bytes) -> str:
    """Write bytes to the cache unless they are there, and return the path."""
    name = hashlib.blake2b(content, digest_size=16).hexdigest()
    path = (
        files.cache_folder()
        / "cells"
        / name[:2]
        / f"{name[2:]}{image_suffix(content) or FALLBACK_SUFFIX}"
    )
    if not has_size(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary_path = files.temporary_path_for(path)
        temporary_path.write_bytes(content)
        # Renamed, so that no reader sees a part of the file, but not synced: a table may have
        # 100,000 photos. A file cut short by a power failure has another size and is rewritten.
        temporary_path.replace(path)
    return str(path.absolute())


def has_size(path: Path, size: int) -> bool:
    """Return whether there is a file of that size."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False
