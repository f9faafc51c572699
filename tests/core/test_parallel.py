"""Work in threads: all results come, and the first failure ends it."""

from __future__ import annotations

import threading
import time

import pytest

from fieldcraft.core.parallel import available_cpus, parallel_map


def test_all_results_come_from_several_threads() -> None:
    together = threading.Barrier(2, timeout=5)  # passes only if two work at once

    def work(number: int) -> int:
        if number < 2:
            together.wait()
        return number * number

    assert sorted(parallel_map(work, range(20), 2)) == [n * n for n in range(20)]
    assert available_cpus() >= 1


def test_after_a_failure_nothing_more_is_begun() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        if number == 1:
            raise ValueError("bad")
        return number

    with pytest.raises(ValueError, match="bad"):
        list(parallel_map(work, range(500), 2))
    assert len(begun) < 50


def test_a_reader_that_stops_stops_the_work() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        return number

    found = parallel_map(work, range(500), 2)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert len(begun) < 50
