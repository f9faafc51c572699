"""Settings of the whole process: those that make small training steps quick, and its draws."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)
MAX_MMAP_THRESHOLD_BYTES = (
    32 * 2**20
)  # the most that glibc takes; larger blocks are mapped one by one
NEVER_TRIM_BYTES = 2**31 - 1


@contextmanager
def tuned_allocator() -> Iterator[None]:
    """Flush denormals and keep freed memory while the block runs.

    Moments of weights that see no gradient decay into numbers too small for a full mantissa, on
    which a processor is many times slower: they count as zero. And the tensors of one step are
    freed before the next: given back to the system each time, their pages would have to be zeroed
    again, which took half of a step in 32-bit floats (30.7 to 14.7 ms, docs/log.md).

    Afterwards denormals are numbers again, what is free is given back, and the thresholds of memory
    stay as high as glibc would by itself let them rise.
    """
    torch.set_flush_denormal(True)
    libc = find_glibc()
    if libc:
        libc.mallopt(M_MMAP_THRESHOLD, MAX_MMAP_THRESHOLD_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM_BYTES)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        if libc:
            libc.mallopt(M_TRIM_THRESHOLD, 2 * MAX_MMAP_THRESHOLD_BYTES)
            libc.malloc_trim(0)


def find_glibc() -> ctypes.CDLL | None:
    """The C library, if it is one with these settings."""
    try:
        library = ctypes.CDLL(None)
    except OSError:
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None


@contextmanager
def seeded_rng(seed: int) -> Iterator[None]:
    """Draws from a seed of its own while the block runs; afterwards they go on as before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
