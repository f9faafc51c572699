"""Items are processed in threads; the first failure stops the rest."""

from __future__ import annotations

import threading
import time

import pytest

from fieldcraft.core.parallel import available_cpus, parallel_map


def test_all_results_arrive_from_several_threads() -> None:
    barrier = threading.Barrier(2, timeout=5)  # passes only if two work at once

    def work(number: int) -> int:
        if number < 2:
            barrier.wait()
        return number * number

    assert sorted(parallel_map(work, range(20), 2)) == [n * n for n in range(20)]
    assert available_cpus() >= 1


def test_after_a_failure_no_further_item_is_started() -> None:
    started: list[int] = []

    def work(number: int) -> int:
        started.append(number)
        time.sleep(0.01)
        if number == 1:
            raise ValueError("bad")
        return number

    with pytest.raises(ValueError, match="bad"):
        list(parallel_map(work, range(500), 2))
    assert len(started) < 50


def test_closing_the_iterator_stops_the_work() -> None:
    started: list[int] = []

    def work(number: int) -> int:
        started.append(number)
        time.sleep(0.01)
        return number

    results = parallel_map(work, range(500), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(started) < 50
