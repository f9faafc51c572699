"""Unpack what is compressed, within bounds: a small file must not fill the memory."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from typing import IO

from fieldcraft.core.errors import DataError

READ_BLOCK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
MIN_BOMB_BYTES = 1 << 28  # bytes that any archive may inflate to
MAX_COMPRESSION_RATIO = (
    500  # larger ones may grow that many times; tables that are honest hardly grow 200
)
MAX_MEMORY_FRACTION = 0.5  # of the machine's memory, that unpacked bytes may fill


def is_gzip(data: bytes) -> bool:
    """Whether bytes begin as gzip files do."""
    return data[:2] == GZIP_MAGIC


def decompress_gzip(data: bytes, name: str) -> bytes:
    """The bytes of a gzip file.

    Raises:
        DataError: the archive is damaged, cut short or a bomb.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return read_decompressed(stream, len(data), name)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{name} cannot be unpacked",
            detail=str(error),
            hint="use a gzip file that is whole; copy or download it again",
        ) from error


def read_decompressed(
    stream: io.BufferedIOBase | IO[bytes], compressed_bytes: int, name: str
) -> bytes:
    """All bytes of a compressed stream, read block by block.

    Args:
        stream: gives the unpacked bytes.
        compressed_bytes: number of bytes that the stream takes while packed.
        name: what it is called in messages.

    Raises:
        DataError: there are more bytes than an honest table of that size packs.
    """
    blocks: list[bytes] = []
    size = 0
    while block := stream.read(READ_BLOCK_BYTES):
        blocks.append(block)
        size += len(block)
        reject_decompression_bomb(size, compressed_bytes, name)
    return b"".join(blocks)


def reject_decompression_bomb(size: int, compressed_bytes: int, name: str) -> None:
    """Make sure that unpacked bytes are not far more than the packed ones, and fit the memory.

    Raises:
        DataError: they are, or do not.
    """
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size <= MIN_BOMB_BYTES or (
        size <= MAX_COMPRESSION_RATIO * compressed_bytes
        and size <= MAX_MEMORY_FRACTION * memory_bytes
    ):
        return
    raise DataError(
        f"{name} unpacks to far too much",
        detail=f"{compressed_bytes:,} bytes that make more than {size:,}; the memory holds {memory_bytes:,}",
        hint="unpack it yourself if you trust it, and name the unpacked file",
    )
