"""Decompress gzip data within limits, so that a small file cannot fill the memory."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from fieldcraft.core.errors import DataError

READ_BLOCK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
MIN_BOMB_BYTES = 1 << 28  # 256 MB: any archive may decompress to this size
# Limit beyond that size. Tables are rarely compressed by more than 200, bombs by nearly 1,032, the
# most that DEFLATE can do.
MAX_COMPRESSION_RATIO = 500
MAX_MEMORY_FRACTION = 0.5  # of the machine's memory that decompressed bytes may fill


def is_gzip(data: bytes) -> bool:
    """Return whether bytes start like a gzip file."""
    return data[:2] == GZIP_MAGIC


def decompress_gzip(data: bytes, name: str) -> bytes:
    """Return the decompressed bytes of a gzip file.

    Raises:
        DataError: the file is damaged, truncated or a decompression bomb.
    """
    with gzip_errors(name), gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return read_decompressed(stream, len(data), name)


@contextmanager
def gzip_errors(name: str) -> Iterator[None]:
    """Turn errors of the gzip module into a DataError that names the file.

    Raises:
        DataError: the file is damaged or truncated.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise corrupt_archive_error(name, error, "gzip") from error


def corrupt_archive_error(name: str, error: Exception, archive_format: str) -> DataError:
    """Return the error for an archive that cannot be unpacked."""
    return DataError(
        f"{name} cannot be unpacked",
        detail=str(error),
        hint=f"use a complete {archive_format} file; copy or download it again",
    )


def read_decompressed(
    stream: io.BufferedIOBase | IO[bytes], compressed_bytes: int, name: str
) -> bytes:
    """Read all bytes of a decompressing stream, block by block.

    Args:
        stream: yields the decompressed bytes.
        compressed_bytes: the compressed size.
        name: the name of the file in messages.

    Raises:
        DataError: there are more bytes than the limits allow.
    """
    blocks: list[bytes] = []
    size = 0
    while block := stream.read(READ_BLOCK_BYTES):
        blocks.append(block)
        size += len(block)
        reject_decompression_bomb(size, compressed_bytes, name)
    return b"".join(blocks)


def reject_decompression_bomb(size: int, compressed_bytes: int, name: str) -> None:
    """Check decompressed bytes against the limits of ratio and memory.

    Raises:
        DataError: there are too many.
    """
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size <= MIN_BOMB_BYTES or (
        size <= MAX_COMPRESSION_RATIO * compressed_bytes
        and size <= MAX_MEMORY_FRACTION * memory_bytes
    ):
        return
    raise DataError(
        f"{name} decompresses to far too much",
        detail=f"{compressed_bytes:,} bytes become more than {size:,}; memory: {memory_bytes:,}",
        hint="unpack it yourself if you trust it, and use the unpacked file",
    )
