"""Unpack what is compressed, within bounds: a small file must not fill the memory."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from typing import IO

from fieldcraft.core.errors import DataError

BLOCK = 1 << 20
GZIP_MARK = b"\x1f\x8b"
FREE = 1 << 28  # bytes that any archive may inflate to
MOST_TIMES = 500  # larger ones may grow that many times; tables that are honest hardly grow 200
MEMORY_SHARE = 0.5  # of the machine's memory, that unpacked bytes may fill


def is_gzip(data: bytes) -> bool:
    """Whether bytes begin as gzip files do."""
    return data[:2] == GZIP_MARK


def unpacked(data: bytes, name: str) -> bytes:
    """The bytes of a gzip file.

    Raises:
        DataError: the archive is damaged, cut short or a bomb.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return inflated(stream, len(data), name)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{name} cannot be unpacked",
            seen=str(error),
            way_out="use a gzip file that is whole; copy or download it again",
        ) from error


def inflated(stream: io.BufferedIOBase | IO[bytes], packed: int, name: str) -> bytes:
    """All bytes of a compressed stream, read block by block.

    Args:
        stream: gives the unpacked bytes.
        packed: number of bytes that the stream takes while packed.
        name: what it is called in messages.

    Raises:
        DataError: there are more bytes than an honest table of that size packs.
    """
    blocks: list[bytes] = []
    size = 0
    while block := stream.read(BLOCK):
        blocks.append(block)
        size += len(block)
        refuse_bomb(size, packed, name)
    return b"".join(blocks)


def refuse_bomb(size: int, packed: int, name: str) -> None:
    """Make sure that unpacked bytes are not far more than the packed ones, and fit the memory.

    Raises:
        DataError: they are, or do not.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size <= FREE or (size <= MOST_TIMES * packed and size <= MEMORY_SHARE * memory):
        return
    raise DataError(
        f"{name} unpacks to far too much",
        seen=f"{packed:,} bytes that make more than {size:,}; the memory holds {memory:,}",
        way_out="unpack it yourself if you trust it, and name the unpacked file",
    )
