"""Photos decoded once: squares of pixels by address and size, on disk where memory is short."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np

from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array
from fieldcraft.data import file_cells
from fieldcraft.kinds.image.decode import ImageHeader, decode_image, read_image_header

BLOCK_BYTES = 1 << 26  # bytes of pixels that are kept together
MEMORY_FRACTION_DIVISOR = 8  # an eighth of the memory may be filled with pixels; more go to disk
MIN_ITEMS_FOR_THREADS = 8  # photos that are not worth a second thread
T = TypeVar("T")
CacheKey = tuple[str, tuple[int, ...] | None]


@lru_cache(maxsize=1 << 17)
def read_cached_header(address: str, stamp: tuple[int, ...] | None) -> ImageHeader | None:
    """What the head of the photo at an address says; None where there is no such photo.

    Args:
        address: of the photo.
        stamp: changes with the file: see `media.stamp`.
    """
    try:
        return read_image_header(file_cells.read_content(address))
    except DataError:
        return None


def read_image_headers(addresses: Sequence[str]) -> list[ImageHeader | None]:
    """What the heads of photos say, in their order."""
    return map_in_threads(
        lambda address: read_cached_header(address, file_cells.content_stamp(address)), addresses
    )


class PixelCache:
    """Photos of one size by address; a photo is decoded when it is first asked for."""

    def __init__(self, side: int) -> None:
        """An empty store for squares of some side."""
        self.side = side
        self.position_by_key: dict[CacheKey, int] = {}  # -1: cannot be decoded
        self.blocks: list[Array] = []
        self.n_stored = 0
        self.images_per_block = max(BLOCK_BYTES // (3 * side * side), 1)

    def get_pixels(self, addresses: Sequence[str | None], fill: Array) -> Array:
        """The photos at some addresses, shape (addresses, side, side, 3); unsigned 8-bit integers.

        Args:
            addresses: of photos; None where there is none.
            fill: colour of the square that stands for a photo that is not there or is broken.
        """
        keys = [
            None if address is None else (address, file_cells.content_stamp(address))
            for address in addresses
        ]
        missing_keys = list(
            dict.fromkeys(key for key in keys if key and key not in self.position_by_key)
        )
        self.add(missing_keys)
        pixels = allocate_pixels((len(keys), self.side, self.side, 3))
        for row, key in enumerate(keys):
            position = -1 if key is None else self.position_by_key[key]
            pixels[row] = (
                fill
                if position < 0
                else self.blocks[position // self.images_per_block][
                    position % self.images_per_block
                ]
            )
        return pixels

    def find_broken(self, addresses: Sequence[str]) -> list[bool]:
        """Which of the photos at some addresses cannot be decoded."""
        keys = [(address, file_cells.content_stamp(address)) for address in addresses]
        self.add(list(dict.fromkeys(key for key in keys if key not in self.position_by_key)))
        return [self.position_by_key[key] < 0 for key in keys]

    def add(self, keys: Sequence[CacheKey]) -> None:
        """Decode photos and keep them; a few blocks at a time, so that memory is bounded."""
        batch_size = self.images_per_block
        for start in range(0, len(keys), batch_size):
            batch = keys[start : start + batch_size]
            for key, pixels in zip(
                batch, map_in_threads(self.decode_or_none, [k[0] for k in batch]), strict=True
            ):
                self.position_by_key[key] = -1 if pixels is None else self.append(pixels)

    def decode_or_none(self, address: str) -> Array | None:
        """The photo at an address, decoded; None if it cannot be."""
        try:
            return decode_image(file_cells.read_content(address), self.side)
        except DataError:
            return None

    def append(self, pixels: Array) -> int:
        """Put a square into the last block; its place."""
        if self.n_stored == len(self.blocks) * self.images_per_block:
            used_bytes = len(self.blocks) * BLOCK_BYTES
            self.blocks.append(
                allocate_pixels((self.images_per_block, self.side, self.side, 3), used_bytes)
            )
        self.blocks[-1][self.n_stored % self.images_per_block] = pixels
        self.n_stored += 1
        return self.n_stored - 1


@lru_cache(maxsize=4)
def get_pixel_cache(side: int) -> PixelCache:
    """The store of this process for photos of some size."""
    return PixelCache(side)


def allocate_pixels(shape: tuple[int, ...], used_bytes: int = 0) -> Array:
    """An array to be filled: in memory, or in a file without a name where it would take too much.

    Args:
        shape: of the array of unsigned 8-bit integers.
        used_bytes: bytes in memory that belong to the same thing.
    """
    n_bytes = int(np.prod(shape))
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if n_bytes + used_bytes <= memory_bytes // MEMORY_FRACTION_DIVISOR:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(prefix="fieldcraft-") as stream:  # lives as long as the mapping
        stream.truncate(n_bytes)
        return np.memmap(stream, dtype=np.uint8, mode="r+", shape=shape)


def map_in_threads(function: Callable[[str], T], items: Sequence[str]) -> list[T]:
    """What some work makes of items, in their order; several at a time where they are many."""
    if len(items) < MIN_ITEMS_FOR_THREADS:
        return [function(item) for item in items]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(function, items, chunksize=4))
