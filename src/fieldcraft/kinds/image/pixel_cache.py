"""A cache of decoded photos by address and size, on disk if they would take too much memory."""

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

BLOCK_BYTES = 1 << 26  # 64 MiB per allocation
MEMORY_FRACTION_DIVISOR = 8  # pixels may fill an eighth of the memory; more go to disk
MIN_ITEMS_FOR_THREADS = 8  # fewer photos are not worth a thread pool
T = TypeVar("T")
CacheKey = tuple[str, tuple[int, ...] | None]


@lru_cache(maxsize=1 << 17)
def read_cached_header(address: str, stamp: tuple[int, ...] | None) -> ImageHeader | None:
    """Read the header of the photo at an address; None if it cannot be read.

    Args:
        address: the address of the photo.
        stamp: changes with the file, so that the cache does not return old headers; see
            `file_cells.content_stamp`.
    """
    try:
        return read_image_header(file_cells.read_content(address))
    except DataError:
        return None


def read_image_headers(addresses: Sequence[str]) -> list[ImageHeader | None]:
    """Read the headers of photos, in their order; None where one cannot be read."""
    return map_in_threads(
        lambda address: read_cached_header(address, file_cells.content_stamp(address)), addresses
    )


class PixelCache:
    """Photos of one size by address; a photo is decoded when it is first requested."""

    def __init__(self, side: int) -> None:
        """Set up an empty cache of images with some side in pixels."""
        self.side = side
        self.position_by_key: dict[CacheKey, int] = {}  # -1: cannot be decoded
        self.blocks: list[Array] = []
        self.n_stored = 0
        self.images_per_block = max(BLOCK_BYTES // (3 * side * side), 1)

    def get_pixels(self, addresses: Sequence[str | None], fill: Array) -> Array:
        """The photos at some addresses, shape (addresses, side, side, 3), uint8.

        Args:
            addresses: addresses of photos; None where there is none.
            fill: color of the square that replaces a missing or unreadable photo.
        """
        keys = [
            None if address is None else (address, file_cells.content_stamp(address))
            for address in addresses
        ]
        missing_keys = list(
            dict.fromkeys(key for key in keys if key and key not in self.position_by_key)
        )
        # Distinct keys first: the same photo in several rows is decoded once.
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
        """Decode photos and keep them; one block at a time, to bound memory."""
        batch_size = self.images_per_block
        for start in range(0, len(keys), batch_size):
            batch = keys[start : start + batch_size]
            for key, pixels in zip(
                batch, map_in_threads(self.decode_or_none, [k[0] for k in batch]), strict=True
            ):
                self.position_by_key[key] = -1 if pixels is None else self.append(pixels)

    def decode_or_none(self, address: str) -> Array | None:
        """Decode the photo at an address; None if that fails."""
        try:
            return decode_image(file_cells.read_content(address), self.side)
        except DataError:
            return None

    def append(self, pixels: Array) -> int:
        """Append an image to the last block; return its position."""
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
    """The cache of this process for photos of some size."""
    return PixelCache(side)


def allocate_pixels(shape: tuple[int, ...], used_bytes: int = 0) -> Array:
    """Allocate a uint8 array: in memory, or in an unnamed file if it would take too much.

    Args:
        shape: shape of the array.
        used_bytes: bytes that the same cache already holds in memory.
    """
    n_bytes = int(np.prod(shape))
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if n_bytes + used_bytes <= memory_bytes // MEMORY_FRACTION_DIVISOR:
        return np.empty(shape, dtype=np.uint8)
    # The file has no name, so its disk space is freed with the mapping, even after a crash.
    with tempfile.TemporaryFile(prefix="fieldcraft-") as stream:
        stream.truncate(n_bytes)
        return np.memmap(stream, dtype=np.uint8, mode="r+", shape=shape)


def map_in_threads(function: Callable[[str], T], items: Sequence[str]) -> list[T]:
    """Map a function over items, in threads if there are many; results are in their order.

    Threads are enough: Pillow releases the GIL while it decodes.
    """
    if len(items) < MIN_ITEMS_FOR_THREADS:
        return [function(item) for item in items]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(function, items, chunksize=4))
