"""Photos decoded once: squares of pixels by address and size, on disk where memory is short."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np

from fieldcraft.contracts import Array
from fieldcraft.core.errors import DataError
from fieldcraft.data import media
from fieldcraft.kinds.image.decode import Glance, decode, glance

BLOCK = 1 << 26  # bytes of pixels that are kept together
SHARE = 8  # an eighth of the memory may be filled with pixels; more go to disk
ALONE = 8  # photos that are not worth a second thread
T = TypeVar("T")
Key = tuple[str, tuple[int, ...] | None]


@lru_cache(maxsize=1 << 17)
def glance_at(address: str, stamp: tuple[int, ...] | None) -> Glance | None:
    """What the head of the photo at an address says; None where there is no such photo.

    Args:
        address: of the photo.
        stamp: changes with the file: see `media.stamp`.
    """
    try:
        return glance(media.content(address))
    except DataError:
        return None


def look_at(addresses: Sequence[str]) -> list[Glance | None]:
    """What the heads of photos say, in their order."""
    return in_threads(lambda address: glance_at(address, media.stamp(address)), addresses)


class Store:
    """Photos of one size by address; a photo is decoded when it is first asked for."""

    def __init__(self, side: int) -> None:
        """An empty store for squares of some side."""
        self.side = side
        self.places: dict[Key, int] = {}  # -1: cannot be decoded
        self.blocks: list[Array] = []
        self.filled = 0
        self.a_block = max(BLOCK // (3 * side * side), 1)

    def pixels(self, addresses: Sequence[str | None], fill: Array) -> Array:
        """The photos at some addresses, shape (addresses, side, side, 3); unsigned 8-bit integers.

        Args:
            addresses: of photos; None where there is none.
            fill: colour of the square that stands for a photo that is not there or is broken.
        """
        keys = [None if a is None else (a, media.stamp(a)) for a in addresses]
        fresh = list(dict.fromkeys(key for key in keys if key and key not in self.places))
        self.add(fresh)
        found = space((len(keys), self.side, self.side, 3))
        for row, key in enumerate(keys):
            place = -1 if key is None else self.places[key]
            found[row] = (
                fill if place < 0 else self.blocks[place // self.a_block][place % self.a_block]
            )
        return found

    def broken(self, addresses: Sequence[str]) -> list[bool]:
        """Which of the photos at some addresses cannot be decoded."""
        keys = [(address, media.stamp(address)) for address in addresses]
        self.add(list(dict.fromkeys(key for key in keys if key not in self.places)))
        return [self.places[key] < 0 for key in keys]

    def add(self, keys: Sequence[Key]) -> None:
        """Decode photos and keep them; a few blocks at a time, so that memory is bounded."""
        step = self.a_block
        for start in range(0, len(keys), step):
            part = keys[start : start + step]
            for key, square in zip(
                part, in_threads(self.square, [k[0] for k in part]), strict=True
            ):
                self.places[key] = -1 if square is None else self.keep(square)

    def square(self, address: str) -> Array | None:
        """The photo at an address, decoded; None if it cannot be."""
        try:
            return decode(media.content(address), self.side)
        except DataError:
            return None

    def keep(self, square: Array) -> int:
        """Put a square into the last block; its place."""
        if self.filled == len(self.blocks) * self.a_block:
            taken = len(self.blocks) * BLOCK
            self.blocks.append(space((self.a_block, self.side, self.side, 3), taken))
        self.blocks[-1][self.filled % self.a_block] = square
        self.filled += 1
        return self.filled - 1


@lru_cache(maxsize=4)
def store_for(side: int) -> Store:
    """The store of this process for photos of some size."""
    return Store(side)


def space(shape: tuple[int, ...], taken: int = 0) -> Array:
    """An array to be filled: in memory, or in a file without a name where it would take too much.

    Args:
        shape: of the array of unsigned 8-bit integers.
        taken: bytes in memory that belong to the same thing.
    """
    size = int(np.prod(shape))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size + taken <= memory // SHARE:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(prefix="fieldcraft-") as stream:  # lives as long as the mapping
        stream.truncate(size)
        return np.memmap(stream, dtype=np.uint8, mode="r+", shape=shape)


def in_threads(work: Callable[[str], T], items: Sequence[str]) -> list[T]:
    """What some work makes of items, in their order; several at a time where they are many."""
    if len(items) < ALONE:
        return [work(item) for item in items]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(work, items, chunksize=4))
