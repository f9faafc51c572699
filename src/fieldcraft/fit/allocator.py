"""Allocator and denormal settings that speed up small training steps; seeded RNG scopes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)
MAX_MMAP_THRESHOLD_BYTES = 32 * 2**20  # glibc takes no more; larger blocks are always mapped
NEVER_TRIM_BYTES = 2**31 - 1  # the largest C int: freed memory is kept


@contextmanager
def tuned_allocator() -> Iterator[None]:
    """Flush denormals to zero and keep freed memory while the block runs.

    Moments of weights that see no gradient decay into denormal numbers, on which a CPU is many
    times slower. And the tensors of a step are freed before the next one: if their pages went back
    to the system, it would have to zero them again, which took half of a step in 32-bit floats
    (30.7 ms before, 14.7 ms after; docs/log.md).

    On exit, denormals are numbers again and free memory is returned. The thresholds stay where
    glibc's own dynamic adjustment would let them rise.
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
    """The C library if it is glibc; musl and macOS have no such settings."""
    try:
        library = ctypes.CDLL(None)
    except OSError:
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None


@contextmanager
def seeded_rng(seed: int) -> Iterator[None]:
    """Use a random stream of its own while the block runs; the global one then continues."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
