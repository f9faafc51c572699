"""Work on several things at once, in threads, and stop at the first that fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], max_workers: int
) -> Iterator[Result]:
    """What some work makes of each item, as each is done; when one fails the rest is not begun.

    Threads are enough where the work is done by libraries that let others run meanwhile, as
    Polars and onnxruntime do.
    """
    with ThreadPoolExecutor(max_workers) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
