"""Map a function over items in threads, and stop at the first failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    # The affinity, not the count: a container may be allowed two of sixty-four cores.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], max_workers: int
) -> Iterator[Result]:
    """Yield results in the order in which they finish; after a failure no further item is started.

    Threads are enough where libraries such as Polars and onnxruntime do the work, since they
    release the GIL.
    """
    with ThreadPoolExecutor(max_workers) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            # Also reached if the caller stops iterating. Running items are waited for, so that no
            # thread writes a file after its folder has been removed.
            pool.shutdown(wait=True, cancel_futures=True)
