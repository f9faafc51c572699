"""Jobs have the same results in this process and in others, whose callbacks answer here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from fieldcraft.core.callbacks import JobCallbacks, NullJobCallbacks
from fieldcraft.core.errors import DataError, TrainingError
from fieldcraft.core.executor import (
    Executor,
    InProcessExecutor,
    Job,
    MultiProcessExecutor,
    choose_affinity,
)


def square(number: int, callbacks: JobCallbacks) -> tuple[int, int]:
    """The square, and the process that computed it."""
    return number**2, os.getpid()


def count_epochs(n_epochs: int, callbacks: JobCallbacks) -> int:
    """Count epochs until the callbacks say stop."""
    for epoch in range(1, n_epochs + 1):
        callbacks.on_progress(f"epoch {epoch}", epoch / n_epochs)
        if callbacks.on_epoch_end(epoch, {"validation_loss": 1 / epoch}):
            return epoch
    return n_epochs


def fail(kind: str, callbacks: JobCallbacks) -> None:
    """End in one of several bad ways, at once or after a checkpoint."""
    if kind == "expected":
        raise DataError("rows are missing", detail="0 rows", hint="add rows")
    if kind == "truncated":
        raise EOFError("a file ended too early")
    if kind == "unexpected":
        raise ZeroDivisionError("division by zero")
    if kind == "unpicklable":
        raise UnpicklableError(lambda: None)
    os.kill(os.getpid(), signal.SIGKILL)


def ignores_interrupts(_: None, callbacks: JobCallbacks) -> bool:
    """Whether Ctrl+C ends this process."""
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


class UnpicklableError(Exception):
    """An error that holds what cannot be pickled."""


def wait_forever(folder: Path, callbacks: JobCallbacks) -> None:
    """Write down the process and wait."""
    (folder / str(os.getpid())).touch()
    while True:
        callbacks.on_progress("waiting", None)
        time.sleep(0.01)


class RecordingCallbacks(NullJobCallbacks):
    """Keep what was reported, and stop after an epoch."""

    def __init__(self, last_epoch: int | None = None) -> None:
        self.last_epoch = last_epoch
        self.messages: list[tuple[str, float | None]] = []
        self.metrics: list[Mapping[str, float]] = []
        self.processes: set[int] = set()

    def on_progress(self, message: str, fraction: float | None) -> None:
        self.messages.append((message, fraction))

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        self.metrics.append(metrics)
        self.processes.add(os.getpid())
        return epoch == self.last_epoch


@pytest.fixture(autouse=True)
def importable_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other processes import this module, whatever pytest was started by."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


EXECUTORS = [InProcessExecutor(), MultiProcessExecutor(2)]


def make_jobs(specs: list[Any], callbacks: JobCallbacks | None = None) -> list[Job[Any]]:
    return [
        Job(partial(lambda spec: spec, spec), callbacks or NullJobCallbacks()) for spec in specs
    ]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_results_come_in_the_order_of_the_jobs(executor: Executor) -> None:
    results = executor.map(square, make_jobs([3, 1, 2, 5, 4]))
    assert [number for number, _ in results] == [9, 1, 4, 25, 16]
    assert list(executor.map(square, [])) == []


def test_jobs_run_in_other_processes() -> None:
    results = MultiProcessExecutor(2).map(square, make_jobs(list(range(6))))
    processes = {process for _, process in results}
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2
    assert {process for _, process in InProcessExecutor().map(square, make_jobs([1]))} == {
        os.getpid()
    }


@pytest.mark.parametrize("executor", EXECUTORS)
def test_callbacks_are_called_here_and_can_stop_a_job(executor: Executor) -> None:
    stopping, going_on = RecordingCallbacks(last_epoch=3), RecordingCallbacks()
    jobs = [Job(lambda: 5, stopping), Job(lambda: 4, going_on)]
    assert list(executor.map(count_epochs, jobs)) == [3, 4]
    assert stopping.messages == [(f"epoch {n}", n / 5) for n in (1, 2, 3)]
    assert [metrics["validation_loss"] for metrics in going_on.metrics] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert stopping.processes == {os.getpid()}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_error_of_a_job_is_raised(executor: Executor) -> None:
    with pytest.raises(DataError, match="rows are missing") as caught:
        list(executor.map(fail, make_jobs(["expected"])))
    assert caught.value.hint == "add rows"
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        list(executor.map(fail, make_jobs(["unexpected"])))
    # Not taken for the end of a process.
    with pytest.raises(EOFError, match="a file ended too early"):
        list(executor.map(fail, make_jobs(["truncated"])))


def test_an_unexpected_error_of_another_process_shows_where_it_was_raised() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(MultiProcessExecutor(1).map(fail, make_jobs(["unexpected"])))
    assert any("in fail" in note for note in caught.value.__notes__)
    with pytest.raises(RuntimeError, match="UnpicklableError"):
        list(MultiProcessExecutor(1).map(fail, make_jobs(["unpicklable"])))


def test_a_killed_process_is_an_error_with_a_hint() -> None:
    with pytest.raises(TrainingError, match="ended before its work was done") as caught:
        list(MultiProcessExecutor(2).map(fail, make_jobs(["killed"])))
    assert caught.value.detail == "exit code -9"
    assert "resume" in caught.value.hint


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_exception_of_a_callback_ends_all_jobs(executor: Executor, tmp_path: Path) -> None:
    class Cancel(NullJobCallbacks):
        def on_progress(self, message: str, fraction: float | None) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(executor.map(wait_forever, [Job(lambda: tmp_path, Cancel())] * 2))
    for path in tmp_path.iterdir():
        if int(path.name) != os.getpid():
            with pytest.raises(ProcessLookupError):
                os.kill(int(path.name), 0)


def test_an_interrupt_ends_the_other_processes_through_this_one() -> None:
    assert list(MultiProcessExecutor(1).map(ignores_interrupts, make_jobs([None]))) == [True]
    assert list(InProcessExecutor().map(ignores_interrupts, make_jobs([None]))) == [False]


def test_processes_end_when_that_of_the_executor_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.core.test_executor import *;"
        f"list(MultiProcessExecutor(2).map(wait_forever, make_jobs([Path({str(tmp_path)!r})] * 2)))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as parent:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        parent.kill()
    for path in tmp_path.iterdir():
        wait_until(lambda pid=int(path.name): not psutil.pid_exists(pid))  # type: ignore[misc]


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds, and fail if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_specification_is_made_when_the_job_starts() -> None:
    done: list[int] = []

    class Finish(NullJobCallbacks):
        def on_progress(self, message: str, fraction: float | None) -> None:
            if fraction == 1:
                done.append(1)

    jobs = [Job(lambda: 1 + len(done), Finish()) for _ in range(3)]
    assert list(InProcessExecutor().map(count_epochs, jobs)) == [1, 2, 3]
    done.clear()
    assert list(MultiProcessExecutor(1).map(count_epochs, jobs)) == [1, 2, 3]


def test_a_process_prefers_jobs_that_share_its_cache() -> None:
    jobs = [Job(partial(int, n), affinity=affinity) for n, affinity in enumerate("aabab")]
    results = MultiProcessExecutor(2).map(square, jobs)
    assert [number for number, _ in results] == [0, 1, 4, 9, 16]
    assert choose_affinity("aabab", "b", ()) == 2
    assert choose_affinity("aabab", "c", {"a"}) == 2
    assert choose_affinity("aabab", None, ()) == 0
    assert choose_affinity("aa", "b", {"a"}) == 0
