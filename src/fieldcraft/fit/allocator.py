"""Settings of memory and denormals that speed up small training steps; seeded random numbers."""

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

    The moments of weights without a gradient decay into denormal numbers, on which a CPU is many
    times slower. The tensors of a step are freed before the next one. If their pages went back to
    the system, it would zero them again for every step, which took half of the time in 32-bit
    floats (a step took 30.7 ms with this and 14.7 ms without; docs/log.md).

    On exit, denormals are numbers again and free memory is returned. The thresholds stay at the
    highest values that glibc's dynamic adjustment reaches by itself: see mallopt(3).
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
    """Seed PyTorch's random numbers while the block runs, and restore their state afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
